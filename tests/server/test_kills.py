"""Killed again and again during ingest: nothing acknowledged is lost, nothing is stored twice.

A few rounds here; fifty with ``python -m benchmarks.kills --rounds 50``.
"""

import resource
import threading
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from benchmarks import kills
from benchmarks.own_postgres import own_postgres
from server.db import Database
from server.settings import Settings
from tests.server.conftest import PASSWORD, jpeg, make_passage, sha256
from tests.server.test_process import BEARER, process


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    found = kills.run(Settings(data_dir=tmp_path / "server"), None, rounds=2)
    assert found["lost"] == found["doubled"] == found["never_sent"] == found["unalerted"] == 0
    assert found["acknowledged"] > 50
    assert found["sightings"] > 0


@pytest.mark.postgres
def test_neither_does_a_database_that_is_killed_while_the_server_runs_on(tmp_path: Path) -> None:
    with own_postgres() as postgres:
        settings = Settings(data_dir=tmp_path / "server", database={"url": postgres.url})
        found = kills.run(settings, postgres, rounds=2)
    assert found["killed"] == {"server": 1, "database": 1}
    assert found["lost"] == found["doubled"] == found["never_sent"] == found["unalerted"] == 0
    assert found["sightings"] > 0


def test_a_full_disk_is_503_and_nothing_is_half_stored(sqlite_settings: Settings) -> None:
    """The process may write no file longer than it is: what a full disk does to it."""
    with process(sqlite_settings) as server:
        kept = [make_passage(plate=f"鲁A0000{n}") for n in range(3)]
        assert server.post(*kept).status_code == 200
        pid = server.process.pid
        full = (64 * 1024, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, full)
        refused = [make_passage(plate=f"鲁B{n:05}") for n in range(150)]
        answer = server.post(*refused)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        picture = jpeg() + b"\0" * 200_000
        put = server.client.put(
            f"/api/v1/evidence/{sha256(picture)}", content=picture, headers=BEARER
        )
        assert put.status_code == 503
        assert server.client.get("/health/live").status_code == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = server.post(*refused)
        assert {r["outcome"] for r in again.json()["results"]} == {"accepted"}
        late = server.client.put(
            f"/api/v1/evidence/{sha256(picture)}", content=picture, headers=BEARER
        )
        assert late.status_code == 201
    database = Database(sqlite_settings)
    with database.read() as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        assert session.execute(text("SELECT count(*) FROM passage")).scalar_one() == 153
    database.close()
    assert not list(sqlite_settings.evidence_dir.rglob(".new-*"))


def test_two_servers_on_one_database_store_each_passage_once(settings: Settings) -> None:
    passages = [make_passage(plate=f"鲁A{n:05}") for n in range(60)]
    accepted: list[str] = []
    refused: list[httpx.Response] = []
    with process(settings) as one, process(settings) as other:

        def send(number: int) -> None:
            server = (one, other)[number % 2]
            mine = passages[number * 7 :] + passages[: number * 7]
            with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:  # noqa: S501
                for start in range(0, 60, 15):
                    batch = {
                        "agent_id": "box",
                        "sent_at": passages[0]["captured_at"],
                        "passages": mine[start : start + 15],
                    }
                    while True:
                        answer = client.post("/api/v1/passages", json=batch, headers=BEARER)
                        if answer.status_code != 503:  # SQLite: the other server is writing
                            break
                        time.sleep(0.05)
                    if answer.status_code != 200:
                        refused.append(answer)
                        return
                    accepted.extend(
                        r["passage_id"]
                        for r in answer.json()["results"]
                        if r["outcome"] == "accepted"
                    )

        threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        login = {"name": "officer", "password": PASSWORD}
        assert one.client.post("/api/v1/login", json=login).status_code == 200
    assert not refused
    assert sorted(accepted) == sorted(p["passage_id"] for p in passages)
