"""From the POST of a watched vehicle to the alert at a listening client, over real HTTP.

A server process, several made-up agents that post at a steady rate, and one client that listens
to the stream of alerts as a browser does. Among the traffic one vehicle a second is watched and new;
its time runs from before the POST to when its alert's last byte has come. Of the other traffic one
passage in some thousand rings, too.
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.ingest import serving
from benchmarks.own_postgres import own_postgres
from benchmarks.roadside import Line, Producer, percentile, prepare
from benchmarks.watchlist_data import fill
from server import partitions
from server.auth.accounts import Role, add_user
from server.db import Database
from server.settings import DatabaseSettings, Settings

PASSWORD = "a-long-benchmark-password"  # noqa: S105 - of a database that lives for a minute
SENDERS = 8
BATCH = 20


def measure_alerts(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; ``rate`` passages a second for ``seconds``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kakou-alerts-")))
        url = "" if options.sqlite else stack.enter_context(own_postgres()).url
        settings = Settings(data_dir=folder, database=DatabaseSettings(url=url))
        prepare(settings, pictures=0)
        database = Database(settings)
        partitions.keep_up(database.engine, settings.partitions, datetime.now(UTC), None)
        with database.write() as session:
            add_user(
                session, name="watcher", password=PASSWORD, role=Role.OFFICER, now=datetime.now(UTC)
            )
        fill(database, options.entries, options.fuzzy, elsewhere=True)
        database.close()
        server = stack.enter_context(serving(settings))
        return _run(server.url, options)


def _run(url: str, options: argparse.Namespace) -> dict[str, Any]:
    posted: dict[str, float] = {}
    seen: dict[str, float] = {}
    stop = threading.Event()
    opened = threading.Event()
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        answer = client.post("/api/v1/login", json={"name": "watcher", "password": PASSWORD})
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        plates = [f"川Z{n:05}" for n in range(int(options.seconds) + 30)]
        for plate in plates:
            body = {"plate": plate, "reason": "stolen", "level": 1, "case_number": "B1"}
            client.post("/api/v1/watchlist", json=body | {"urgent": "measured"}).raise_for_status()
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    listening = threading.Thread(target=_listen, args=(url, cookie, seen, opened, stop))
    listening.start()
    if not opened.wait(60):
        raise SystemExit("the stream did not open")
    sent = [0] * SENDERS
    senders = [
        threading.Thread(target=_send, args=(url, n, options.rate, stop, sent))
        for n in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    time.sleep(5)  # warm
    began, before = time.perf_counter(), sum(sent)
    line = Line(url, SENDERS)
    answered: list[float] = []
    for plate in plates[: int(options.seconds)]:
        body = _watched(plate)
        posted[plate] = time.perf_counter()
        status, _ = line.post(body)
        answered.append((time.perf_counter() - posted[plate]) * 1e3)
        if status != 200:
            raise SystemExit(f"the watched vehicle was answered {status}")
        time.sleep(max(0.0, 1 - (time.perf_counter() - posted[plate])))
    rate = (sum(sent) - before) / (time.perf_counter() - began)
    time.sleep(3)
    stop.set()
    for thread in (*senders, listening):
        thread.join(30)
    took = [(seen[plate] - at) * 1e3 for plate, at in posted.items() if plate in seen]
    return {
        "entries": options.entries,
        "alert_p50_ms": round(percentile(took, 0.50), 1),
        "alert_p99_ms": round(percentile(took, 0.99), 1),
        "alert_highest_ms": round(max(took), 1),
        "answer_p50_ms": round(percentile(answered, 0.50), 1),
        "answer_p99_ms": round(percentile(answered, 0.99), 1),
        "alerts": len(took),
        "missing": len(posted) - len(took),
        "passages_per_s": round(rate),
        "database": "sqlite" if options.sqlite else "postgresql",
    }


def _send(url: str, agent: int, rate: int, stop: threading.Event, sent: list[int]) -> None:
    """Post a batch now and then, so that all together come to the rate."""
    producer, line = Producer(agent, pictures=0), Line(url, agent)
    pause = BATCH * SENDERS / rate
    due = time.perf_counter() + pause * agent / SENDERS
    while not stop.is_set():
        time.sleep(max(0.0, due - time.perf_counter()))
        due += pause
        status, _ = line.post(producer.batch(BATCH))
        if status == 200:
            sent[agent] += BATCH


def _watched(plate: str) -> bytes:
    """A batch of one, by an agent of its own."""
    message = json.loads(Producer(SENDERS, pictures=0).batch(1))
    passage = message["passages"][0]
    passage["passage_id"] = str(uuid.UUID(int=uuid.UUID(passage["passage_id"]).int ^ 1))
    passage["plate"]["text"] = plate
    passage["plate"]["characters"] = []
    return json.dumps(message).encode()


def _listen(
    url: str, cookie: str, seen: dict[str, float], opened: threading.Event, stop: threading.Event
) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", "/api/v1/alerts/stream", headers={"Cookie": cookie})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"the stream was answered {response.status}")
    opened.set()
    while not stop.is_set():
        line = response.readline()
        at = time.perf_counter()
        if line.startswith(b'data: {"id"'):
            seen.setdefault(json.loads(line[6:])["plate"], at)
    connection.close()
