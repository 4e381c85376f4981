"""Server and database are killed again and again during ingest; is anything lost or doubled?

    python -m benchmarks.kills --db sqlite|postgresql --rounds 50 --json

Senders behave as agents do: a batch is repeated until it is acknowledged, then the next one is
made. Each round one victim is killed with SIGKILL at a random moment and started again: the
server, or on PostgreSQL in every other round the whole database server, while the server runs on.
At the end every passage that was acknowledged must be stored, none twice, and every stored passage
of a watched plate must have its alert's sighting.
"""

import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.own_postgres import OwnPostgres, own_postgres
from benchmarks.roadside import Line, Producer, now_s, plate, prepare
from server.db import Database
from server.settings import Settings

SENDERS = 4
BATCH = 25
WATCHED_PLATES = 40
_PATIENCE = 3_000
"""Turns of 20 ms."""
_ID = re.compile(rb'"passage_id":"([0-9a-f-]{36})"')


@dataclass
class Tally:
    """What the senders sent and heard."""

    sent: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    refused: int = 0
    unanswered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ServerProcess:
    """A server on a port of its own that can be killed and started again."""

    def __init__(self, settings: Settings) -> None:
        """Start it."""
        self._settings = settings
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.process = self._start()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def restart(self) -> None:
        """Start it again."""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KAKOU_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve", "--port", str(self._port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=clean
            | {
                "KAKOU_DATA_DIR": str(self._settings.data_dir),
                "KAKOU_DATABASE__URL": self._settings.database.url,
                "KAKOU_PLATES__COUNT_EVERY_S": "0.5",
                "KAKOU_LOG__LEVEL": "error",
            },
        )
        said = process.stdout.readline() if process.stdout else ""
        if not said.startswith("listening on "):
            raise SystemExit(f"the server did not start: {said!r}")
        return process


def main() -> int:
    """Run the rounds and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--db", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="one line")
    args = parser.parse_args()
    own = own_postgres() if args.db == "postgresql" else nullcontext()
    with tempfile.TemporaryDirectory(prefix="kakou-kills-") as folder, own as postgres:
        url = postgres.url if postgres is not None else ""
        settings = Settings(data_dir=Path(folder) / "server", database={"url": url})
        found = run(settings, postgres, rounds=args.rounds)
    print(json.dumps(found) if args.json else json.dumps(found, indent=2))
    return 0 if found["lost"] == found["doubled"] == found["unalerted"] == 0 else 1


def run(settings: Settings, postgres: OwnPostgres | None, *, rounds: int) -> dict[str, Any]:
    """Prepare the database, run the rounds, and count."""
    prepare(settings, pictures=0, watched=0)
    _watch_some(settings)
    tally, server = Tally(), ServerProcess(settings)
    kills = {"server": 0, "database": 0}
    began = now_s()
    try:
        with sending(server.url, tally):
            for number in range(rounds):
                _wait_for_progress(tally)
                time.sleep(random.uniform(0.05, 0.6))
                if postgres is not None and number % 2:
                    postgres.kill()
                    time.sleep(0.2)
                    postgres.start()
                    kills["database"] += 1
                else:
                    server.kill()
                    server.restart()
                    kills["server"] += 1
            _wait_for_progress(tally)
    finally:
        server.kill()
    return _count(settings, tally) | {
        "rounds": rounds,
        "killed": kills,
        "seconds": round(now_s() - began, 1),
        "database": postgres.version() if postgres is not None else "SQLite",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def sending(url: str, tally: Tally) -> Iterator[None]:
    """Senders at work until the end of the block; then each finishes its batch."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_send, args=(url, agent, tally, stop)) for agent in range(SENDERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _send(url: str, agent: int, tally: Tally, stop: threading.Event) -> None:
    line, producer = Line(url, agent), Producer(agent, pictures=0)
    with closing(line):
        _send_until(stop, line, producer, tally)


def _send_until(stop: threading.Event, line: Line, producer: Producer, tally: Tally) -> None:
    while not stop.is_set():
        body = producer.batch(BATCH)
        sent = set(_ID.findall(body))
        with tally.lock:
            tally.sent |= sent
        while not stop.is_set():
            try:
                status, answer = line.post(body)
            except (OSError, HTTPException):
                with tally.lock:
                    tally.unanswered += 1
                time.sleep(0.05)
                continue
            if status == 200:
                with tally.lock:
                    tally.acknowledged |= set(_ID.findall(answer))
                break
            with tally.lock:
                tally.refused += 1
            time.sleep(0.1)


def _wait_for_progress(tally: Tally) -> None:
    """Until something new was acknowledged: each round kills a system that works."""
    before = len(tally.acknowledged)
    for _ in range(_PATIENCE):  # by turns, not by the clock: all of this may be stopped meanwhile
        if len(tally.acknowledged) > before:
            return
        time.sleep(0.02)
    raise SystemExit("nothing was acknowledged within a minute")


def _watch_some(settings: Settings) -> None:
    """Watch plates that pass often, so that alerts are raised all the time."""
    database = Database(settings)
    with database.write() as session:
        now = datetime.now(UTC)
        for number in range(WATCHED_PLATES):
            session.execute(
                text(
                    "INSERT INTO watchlist_entry (plate, reason, level, case_number, note, "
                    "valid_from, state, state_at, created_at, created_by, revision) VALUES "
                    "(:p, 'stolen', 3, 'A1', '', :t, 'active', :t, :t, 'officer', "
                    "(SELECT value + 1 FROM counter WHERE name = 'watchlist'))"
                ),
                {"p": plate(number), "t": datetime(2020, 1, 1) if database.is_sqlite else now},  # noqa: DTZ001
            )
        session.execute(text("UPDATE counter SET value = value + 1 WHERE name = 'watchlist'"))
    database.close()


def _count(settings: Settings, tally: Tally) -> dict[str, Any]:
    database = Database(settings)
    with database.read() as session:
        stored = [str(each[0]) for each in session.execute(text("SELECT passage_id FROM passage"))]
        unalerted = session.execute(
            text(
                "SELECT count(*) FROM passage p JOIN watchlist_entry w ON w.plate = p.plate "
                "WHERE NOT EXISTS (SELECT 1 FROM alert_sighting s WHERE s.passage_id = p.passage_id)"
            )
        ).scalar_one()
        sightings = session.execute(text("SELECT count(*) FROM alert_sighting")).scalar_one()
    with suppress(ValueError):
        stored = [each if "-" in each else _dashed(each) for each in stored]
    database.close()
    acknowledged = {each.decode() for each in tally.acknowledged}
    return {
        "acknowledged": len(acknowledged),
        "stored": len(stored),
        "lost": len(acknowledged - set(stored)),
        "doubled": len(stored) - len(set(stored)),
        "never_sent": len(set(stored) - {each.decode() for each in tally.sent}),
        "sightings": sightings,
        "unalerted": unalerted,
        "refused_with_retry": tally.refused,
        "unanswered": tally.unanswered,
    }


def _dashed(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


if __name__ == "__main__":
    sys.exit(main())
