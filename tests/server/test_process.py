"""The real process: its command line, its streams, how it starts, stops and dies."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from sqlalchemy import select, text

from server import schema
from server.db import Database
from server.settings import Settings
from server.tables import Base, Passage
from tests.server.conftest import (
    CAMERAS,
    CHECKPOINTS,
    PASSWORD,
    TOKEN,
    iso,
    make_passage,
)

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def environment(settings: Settings) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KAKOU_")}
    return clean | {
        "KAKOU_DATA_DIR": str(settings.data_dir),
        "KAKOU_DATABASE__URL": settings.database.url,
        "KAKOU_DATABASE__DISTRIBUTED": settings.database.distributed,
        "KAKOU_ALERTS__POLL_MS": "100",
        "KAKOU_ALERTS__KEEPALIVE_S": "0.5",
    }


def run(settings: Settings, *args: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *args],
        check=False,
        capture_output=True,
        text=True,
        input=said,
        env=environment(settings),
        timeout=60,
    )


def client_of(url: str) -> httpx.Client:
    """Without TLS there is no need to load the world's certificates for each client."""
    return httpx.Client(base_url=url, timeout=30, verify=False)  # noqa: S501


@dataclass
class Process:
    """A server process and its address."""

    process: subprocess.Popen[str]
    url: str
    client: httpx.Client
    errors: list[str] = field(default_factory=list)

    def post(self, *passages: Any) -> httpx.Response:
        batch = {
            "agent_id": "box",
            "sent_at": iso(datetime.now(UTC)),
            "passages": list(passages),
        }
        return self.client.post("/api/v1/passages", json=batch, headers=BEARER)

    @contextmanager
    def log_in(self, name: str = "officer") -> Iterator[httpx.Client]:
        with client_of(self.url) as client:
            opened = client.post("/api/v1/login", json={"name": name, "password": PASSWORD})
            assert opened.status_code == 200, opened.text
            client.headers["X-CSRF-Token"] = opened.json()["csrf_token"]
            yield client

    @contextmanager
    def listen(self, **options: Any) -> Iterator["Listener"]:
        with self.log_in() as client, Listener(client, **options) as listener:
            yield listener


@contextmanager
def process(settings: Settings, *args: str) -> Iterator[Process]:
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--port", "0", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(settings),
    )
    errors: list[str] = []
    assert server.stderr is not None
    assert server.stdout is not None
    reader = threading.Thread(target=lambda: errors.extend(server.stderr or ()))
    reader.start()
    try:
        line = server.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), (line, errors)
        url = line.split()[-1]
        with client_of(url) as client:
            yield Process(server, url, client, errors)
    finally:
        if server.poll() is None:
            server.kill()
        server.wait()
        reader.join()
        server.stdout.close()
        server.stderr.close()


@dataclass
class Listener:
    """Reads a stream in a thread; ``events`` gets (id, name, data)."""

    client: httpx.Client
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    events: "queue.Queue[tuple[int, str, dict]]" = field(default_factory=queue.Queue)
    opened: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert self.opened.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            with self.client.stream(
                "GET", "/api/v1/alerts/stream", params=self.params, headers=self.headers
            ) as response:
                assert response.status_code == 200
                assert response.headers["content-type"].startswith("text/event-stream")
                self.opened.set()
                for line in response.iter_lines():
                    if self._stop.is_set():
                        return
                    name, _, value = line.partition(": ")
                    if name in {"id", "event", "data"}:
                        fields[name] = value
                    elif not line:
                        if fields.get("event", "").startswith("alert"):
                            self.events.put(
                                (int(fields["id"]), fields["event"], json.loads(fields["data"]))
                            )
                        fields = {}
        except httpx.TransportError:
            pass
        finally:
            self.ended.set()

    def next(self) -> tuple[int, str, dict]:
        return self.events.get(timeout=15)


def watch(client: httpx.Client, plate: str) -> None:
    body = {"plate": plate, "reason": "stolen", "level": 1, "case_number": "A1", "urgent": "now"}
    assert client.post("/api/v1/watchlist", json=body).status_code == 201


def live(plate: str = "鲁H12345", **override: Any) -> dict[str, Any]:
    return make_passage(plate=plate, captured_at=datetime.now(UTC), **override)


# ---- the stream


def test_an_alert_reaches_a_listener_at_once_and_its_signature_too(settings: Settings) -> None:
    with process(settings) as server, server.log_in() as client:
        watch(client, "鲁H12345")
        with server.listen() as listener:
            began = time.monotonic()
            server.post(live())
            seq, name, alert = listener.next()
            assert time.monotonic() - began < 5
            assert (name, alert["plate"], alert["id"]) == ("alert", "鲁H12345", seq)
            client.post(f"/api/v1/alerts/{alert['id']}/sign", json={})
            changed_seq, name, changed = listener.next()
            assert (name, changed["state"]) == ("alert-changed", "signed")
            assert changed_seq > seq


def test_a_listener_that_was_away_misses_nothing_and_hears_nothing_twice(
    settings: Settings,
) -> None:
    with process(settings) as server, server.log_in() as client:
        for number in range(6):
            watch(client, f"鲁H0000{number}")
        server.post(live("鲁H00000"))
        cursor = client.get("/api/v1/alerts").json()["cursor"]
        server.post(live("鲁H00001"), live("鲁H00002"))
        with server.listen(params={"after": cursor}) as listener:
            first, second = listener.next(), listener.next()
            assert [first[2]["plate"], second[2]["plate"]] == ["鲁H00001", "鲁H00002"]
        server.post(live("鲁H00003"))
        resumed = {"Last-Event-ID": str(second[0])}
        with server.listen(params={"after": cursor}, headers=resumed) as listener:
            assert listener.next()[2]["plate"] == "鲁H00003"
            server.post(live("鲁H00004"))
            assert listener.next()[2]["plate"] == "鲁H00004"
            assert listener.events.empty()


def test_a_number_from_a_lost_future_does_not_deafen_a_listener(sqlite_settings: Settings) -> None:
    """The database was restored from a backup; the wall's last number is ahead of it."""
    with process(sqlite_settings) as server, server.log_in() as client:
        watch(client, "鲁H12345")
        with server.listen(headers={"Last-Event-ID": "999999"}) as listener:
            server.post(live())
            assert listener.next()[2]["plate"] == "鲁H12345"


def test_an_alert_of_another_process_is_heard(settings: Settings) -> None:
    with process(settings) as one, process(settings) as other, one.log_in() as client:
        watch(client, "鲁H12345")
        with one.listen() as listener:
            other.post(live())
            assert listener.next()[2]["plate"] == "鲁H12345"


def test_alerts_of_concurrent_senders_arrive_complete_and_in_order(settings: Settings) -> None:
    """Numbers follow the order of commits: whoever has seen n has seen everything below n."""
    plates = [f"鲁H{n:05d}" for n in range(40)]
    with process(settings) as one, process(settings) as other, one.log_in() as client:
        for plate in plates:
            watch(client, plate)
        with one.listen() as listener:
            servers = (one, other)
            threads = [
                threading.Thread(
                    target=lambda part=part: [
                        servers[part % 2].post(live(plate)) for plate in plates[part::4]
                    ]
                )
                for part in range(4)
            ]
            for thread in threads:
                thread.start()
            heard = [listener.next() for _ in plates]
            for thread in threads:
                thread.join()
    assert sorted(alert["plate"] for _, _, alert in heard) == plates
    seqs = [seq for seq, _, _ in heard]
    assert seqs == sorted(seqs)
    assert len(set(seqs)) == len(seqs)


def test_a_stream_ends_with_its_session(sqlite_settings: Settings) -> None:
    with (
        process(sqlite_settings) as server,
        server.listen() as listener,
        client_of(server.url) as twin,
    ):
        twin.cookies = listener.client.cookies
        csrf = {"X-CSRF-Token": listener.client.headers["X-CSRF-Token"]}
        assert twin.post("/api/v1/logout", headers=csrf).status_code == 204
        assert listener.ended.wait(10)


# ---- life and death


def test_it_stops_cleanly_on_sigterm_even_with_listeners(sqlite_settings: Settings) -> None:
    with process(sqlite_settings) as server, server.listen():
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0


def test_every_acknowledged_passage_survives_kill_9(settings: Settings) -> None:
    acknowledged: set[str] = set()
    for _ in range(3):
        with process(settings) as server:
            stop = threading.Event()

            def send(server: Process = server, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    try:
                        answer = server.post(*[live() for _ in range(10)])
                    except httpx.TransportError:
                        return
                    acknowledged.update(r["passage_id"] for r in answer.json()["results"])

            threads = [threading.Thread(target=send) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(1.0)
            server.process.kill()
            stop.set()
            for thread in threads:
                thread.join()
    assert len(acknowledged) > 20
    database = Database(settings)
    with database.read() as session:
        stored = [str(found) for found in session.scalars(select(Passage.passage_id))]
    database.close()
    assert acknowledged <= set(stored)
    assert len(stored) == len(set(stored))


def test_no_plate_stands_in_the_log(sqlite_settings: Settings) -> None:
    with process(sqlite_settings) as server, server.log_in() as client:
        watch(client, "鲁H12345")
        server.post(live(), {"plate": "鲁H12345"})
        why = {"purpose": "criminal_case", "case_number": "A1"}
        client.get("/api/v1/trajectories/鲁H12345", params=why)
        client.get("/api/v1/passages", params={"plate": "鲁H12345"} | why)
        client.get("/鲁H12345")
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(15)
    log = "".join(server.errors)
    assert "/api/v1/trajectories/{plate}" in log
    assert "12345" not in log


# ---- the command line


def test_an_unmigrated_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    refused = run(settings, "serve", "--port", "0")
    assert refused.returncode == 1
    assert "python -m server migrate" in refused.stderr
    assert run(settings, "migrate").returncode == 0
    again = run(settings, "migrate")
    assert (again.returncode, again.stdout) == (0, f"{schema.newest()} -> {schema.newest()}\n")


def test_servers_that_migrate_at_once_migrate_once(settings: Settings) -> None:
    """They are updated together; neither fails, nothing is done twice."""
    database = Database(settings)
    Base.metadata.drop_all(database.engine)
    with database.write() as session:
        session.execute(text("DROP TABLE alembic_version"))
        if not database.is_sqlite:
            session.execute(text("DROP FUNCTION refuse_change"))
    migrations = [
        subprocess.Popen(
            [sys.executable, "-m", "server", "migrate"],
            env=environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [migration.communicate(timeout=60)[1] for migration in migrations]
    assert [migration.returncode for migration in migrations] == [0, 0, 0], said
    schema.require_newest(database.engine)
    with database.read() as session:
        names = session.execute(text("SELECT name FROM counter")).scalars().all()
    assert sorted(names) == ["alert", "application", "audit", "watchlist"]
    database.close()


def test_a_database_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, database={"url": "postgresql+psycopg2://kakou@127.0.0.1:1/none"}
    )
    failed = run(settings, "migrate")
    assert failed.returncode == 1
    assert "the database is locked or away" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_example_of_a_whole_start_works(tmp_path: Path) -> None:
    """Migrate, seed twice, add a user: the second time changes nothing and the tokens stay."""
    settings = Settings(data_dir=tmp_path / "data")
    seed = tmp_path / "seed.json"
    seed.write_text(
        json.dumps(
            {
                "checkpoints": [
                    {
                        "id": place.id,
                        "name": place.name,
                        "lat": place.lat,
                        "lon": place.lon,
                        "cameras": [{"id": c} for c, at in CAMERAS.items() if at == place.id],
                    }
                    for place in CHECKPOINTS
                ],
                "agents": [{"id": "box", "cameras": ["west-1"]}],
                "users": [{"name": "chief", "password": PASSWORD, "role": "administrator"}],
                "watchlist": [
                    {"plate": "鲁H12345", "reason": "stolen", "level": 1, "case_number": "A1"}
                ],
            }
        ),
        encoding="utf-8",
    )
    assert run(settings, "migrate").returncode == 0
    tokens = tmp_path / "tokens"
    for _ in range(2):
        done = run(settings, "seed-demo", str(seed), "--tokens", str(tokens))
        assert done.returncode == 0, done.stderr
        token = (tokens / "box.token").read_text(encoding="utf-8")
    assert (tokens / "box.token").stat().st_mode & 0o077 == 0
    added = run(settings, "user", "add", "wang", "--role", "officer", said="long enough\n")
    assert added.returncode == 0, added.stderr
    assert run(settings, "user", "add", "wang", "--role", "officer", said="x" * 9).returncode == 1
    short = run(settings, "user", "add", "li", "--role", "officer", said="short\n")
    assert "password" in short.stderr
    listed = run(settings, "user", "list").stdout
    assert "wang\tofficer\tactive" in listed
    with process(settings) as server:
        bearer = {"Authorization": f"Bearer {token.strip()}"}
        batch = {
            "agent_id": "box",
            "sent_at": iso(datetime.now(UTC)),
            "passages": [live()],
        }
        answer = server.client.post("/api/v1/passages", json=batch, headers=bearer)
        assert answer.json()["results"][0]["outcome"] == "accepted"
    anchors = settings.data_dir / "audit-anchors.jsonl"
    told = run(settings, "audit", "verify").stdout
    assert told == f"1 anchors in {anchors}\nthe chain is whole\n"
    assert run(settings, "agent-token", "revoke", "box").stdout == "1 revoked\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"checkpoint": []}', "checkpoint"),
        ('{"checkpoints": [{"id": "a", "name": "b", "lat": 95, "lon": 0}]}', "checkpoints.0.lat"),
        ("{", "neither JSON nor TOML"),
    ],
)
def test_a_wrong_seed_file_is_named_with_its_key(tmp_path: Path, content: str, said: str) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    file = tmp_path / "seed.json"
    file.write_text(content, encoding="utf-8")
    failed = run(settings, "seed-demo", str(file))
    assert failed.returncode == 1
    assert str(file) in failed.stderr
    assert said in failed.stderr
