"""How many passages a second the server takes in over HTTP, beside what its database could take.

    python -m benchmarks.ingest --db sqlite|postgresql://… --seconds N --json

Without an address a PostgreSQL of its own is started. Three things are measured in one run, on
one machine that client, server and database share:

1. raw: rows of the same form, ready made, into a table with the same partitions and indexes, by
   COPY of 10,000 a commit (SQLite: ``executemany``), before and after the second part;
2. passages a second: real batches from several agents, watchlist matching, receipts and picture
   references on; every receipt is read, and at the end the table is counted;
3. the time to a receipt at ``--rate`` passages a second in batches of ``--paced-batch``.

On PostgreSQL two server processes take the passages in, as in production (docs/scaling.md);
``--servers 1`` shows what one does. What client and database take of the processors is said, too.
Whether the servers' memory grows is seen with ``--paced-seconds 600 --rate 300``.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.own_postgres import OwnPostgres, cpu_s_of, own_postgres
from benchmarks.roadside import AGENTS, Line, Producer, now_s, percentile, prepare
from server import partitions
from server.db import Database
from server.ingest import rows as row_module
from server.ingest.clock import ClockFlag
from server.ingest.message import read_envelope, read_passage
from server.settings import Settings

RAW_AT_ONCE = 10_000


@dataclass
class Load:
    """What the senders of one part saw."""

    accepted: int = 0
    other: int = 0
    refused: int = 0
    ack_ms: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, status: int, body: bytes, took_ms: float, sent: int) -> None:
        """Take one answer in."""
        accepted = body.count(b'"accepted"') if status == 200 else 0
        with self.lock:
            self.accepted += accepted
            self.other += sent - accepted if status == 200 else 0
            self.refused += status != 200
            self.ack_ms.append(took_ms)


def main() -> int:
    """Measure and print."""
    args = _parser().parse_args()
    own = own_postgres() if args.db in {"", "postgresql"} else nullcontext()
    with tempfile.TemporaryDirectory(prefix="kakou-bench-") as folder, own as postgres:
        url = "" if args.db in {"", "sqlite", "postgresql"} else _address(args.db)
        settings = Settings(
            data_dir=Path(folder) / "server",
            database={"url": postgres.url if postgres is not None else url},
        )
        args.servers = args.servers or (1 if settings.database_url.startswith("sqlite") else 2)
        result = measure(settings, args, postgres)
        result["database"] = postgres.version() if postgres is not None else args.db
    print(json.dumps(result) if args.json else json.dumps(result, indent=2))
    return 0


def measure(
    settings: Settings, args: argparse.Namespace, postgres: OwnPostgres | None = None
) -> dict[str, Any]:
    """Run the three parts on a prepared database; ``postgres`` if it is one of our own."""
    prepare(settings)
    database = Database(settings)
    partitions.keep_up(database.engine, settings.partitions, datetime.now(UTC), None)
    before = _raw(database, args.raw_seconds)
    with ExitStack() as running:
        servers = [running.enter_context(serving(settings)) for _ in range(args.servers)]
        urls, pids = [one.url for one in servers], [one.process.pid for one in servers]
        full, watch = Load(), Memory(pids)
        began, cpu = now_s(), _cpu_of_all(pids, postgres)
        _flood(urls, full, seconds=args.seconds, senders=args.senders, batch=args.batch)
        took = now_s() - began
        spent = [
            round(1e6 * (after - before) / max(1, full.accepted))
            for before, after in zip(cpu, _cpu_of_all(pids, postgres), strict=True)
        ]
        paced = Load()
        _pace(urls, paced, seconds=args.paced_seconds, rate=args.rate, batch=args.paced_batch)
        watch.stop()
    after = _raw(database, args.raw_seconds)
    with database.read() as session:
        stored = session.execute(text("SELECT count(*) FROM passage")).scalar_one()
    database.close()
    raw = (before + after) / 2
    rate = full.accepted / took
    return {
        "passages_per_s": round(rate),
        "raw_rows_per_s": round(raw),
        "ratio": round(rate / raw, 3),
        "ack_p99_ms": round(percentile(paced.ack_ms, 0.99), 1),
        "ack_p50_ms": round(percentile(paced.ack_ms, 0.50), 1),
        "paced_rate_per_s": round(paced.accepted / args.paced_seconds),
        "full_load_ack_p99_ms": round(percentile(full.ack_ms, 0.99), 1),
        "rss_mb": round(watch.mb[-1]),
        "rss_mb_at_half": round(watch.mb[len(watch.mb) // 2]),
        "rss_mb_highest": round(max(watch.mb)),
        "rss_mb_each_tenth": [round(watch.mb[len(watch.mb) * n // 10], 1) for n in range(10)],
        "rss_mb_an_hour": watch.an_hour(),
        "server_cpu_us_per_passage": spent[0],
        "client_cpu_us_per_passage": spent[1],
        "database_cpu_us_per_passage": spent[2] if postgres is not None else None,
        "servers": args.servers,
        "accepted": full.accepted + paced.accepted,
        "stored": stored,
        "not_accepted": full.other + paced.other + full.refused + paced.refused,
        "seconds": round(took, 1),
        "senders": args.senders,
        "batch": args.batch,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }


# ---- over HTTP


@dataclass
class Server:
    """A server process that says where it listens."""

    process: subprocess.Popen[str]
    url: str


@contextmanager
def serving(settings: Settings, **environment: str) -> Iterator[Server]:
    """Run a server process on these settings until the end of the block."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KAKOU_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean
        | {
            "KAKOU_DATA_DIR": str(settings.data_dir),
            "KAKOU_DATABASE__URL": settings.database.url,
            "KAKOU_LOG__LEVEL": "warning",
        }
        | environment,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening on "):
            raise SystemExit(f"the server did not start: {line!r}")
        yield Server(process, line.removeprefix("listening on ").strip())
    finally:
        process.terminate()
        process.wait(60)  # the upkeep may end the step that is under way


def _flood(urls: Sequence[str], load: Load, *, seconds: float, senders: int, batch: int) -> None:
    """As fast as receipts come, from several agents at once."""
    until = now_s() + seconds

    def send(agent: int) -> None:
        line, producer = Line(urls[agent % len(urls)], agent), Producer(agent)
        while now_s() < until:
            _post(line, load, producer.batch(batch), batch)

    _together(send, senders)


def _pace(urls: Sequence[str], load: Load, *, seconds: float, rate: int, batch: int) -> None:
    """At a steady rate, every batch at its own moment, whether or not earlier ones are answered."""
    senders = 16
    began, step = now_s() + 0.2, batch / rate

    def send(number: int) -> None:
        line, producer = Line(urls[number % len(urls)], number), Producer(number)
        for turn in range(number, int(seconds / step), senders):
            body, due = producer.batch(batch), began + turn * step
            time.sleep(max(0.0, due - now_s()))
            _post(line, load, body, batch)

    _together(send, senders)


def _post(line: Line, load: Load, body: bytes, sent: int) -> None:
    began = now_s()
    try:
        status, answer = line.post(body)
    except (OSError, HTTPException):  # closed while nothing was said; to send again is harmless
        status, answer = line.post(body)
    load.answered(status, answer, (now_s() - began) * 1000, sent)
    if status == 503:
        time.sleep(0.2)


def _together(send: Any, count: int) -> None:
    threads = [threading.Thread(target=send, args=(n % AGENTS,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- raw


def _raw(database: Database, seconds: float) -> float:
    """Rows a second into a table like ``passage``, past the server."""
    rows = _ready_rows(RAW_AT_ONCE)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        if driver is None:
            raise SystemExit("no connection")
        sqlite = database.is_sqlite
        _make_raw_table(connection, sqlite=sqlite)
        statement = (
            f"INSERT INTO raw_passage ({row_module.COLUMNS}) VALUES "  # noqa: S608 - names of ours
            f"({', '.join('?' * len(rows[0]))})"
        )
        stored, spent, number = 0, 0.0, 0
        while spent < seconds:
            number += 1
            fresh = [row._replace(agent_id=f"raw-{number}") for row in _renewed(rows, number)]
            lines = "\n".join(row_module.as_copy_line(row) for row in fresh).encode()
            values = [row_module.as_sqlite(row) for row in fresh] if sqlite else []
            began = now_s()
            if sqlite:
                driver.execute("BEGIN IMMEDIATE")
                driver.executemany(statement, values)
                driver.execute("COMMIT")
            else:
                with driver.cursor() as cursor:
                    cursor.copy_expert(
                        f"COPY raw_passage ({row_module.COLUMNS}) FROM STDIN", io.BytesIO(lines)
                    )
                driver.commit()
            spent += now_s() - began
            stored += len(fresh)
        connection.exec_driver_sql("DROP TABLE raw_passage")
        connection.commit()
    return stored / spent


def _make_raw_table(connection: Any, *, sqlite: bool) -> None:
    """The same columns, partitions and indexes as ``passage``."""
    if sqlite:
        made = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE name = 'passage'"
        ).scalar_one()
        connection.exec_driver_sql(made.replace("passage", "raw_passage", 1))
        index = "CREATE INDEX raw_ix ON raw_passage (checkpoint_id, captured_at)"
        connection.exec_driver_sql(index)
    else:
        connection.exec_driver_sql(
            "CREATE TABLE raw_passage (LIKE passage INCLUDING ALL) PARTITION BY RANGE (captured_at)"
        )
        connection.exec_driver_sql("CREATE TABLE raw_default PARTITION OF raw_passage DEFAULT")
        for part in partitions.existing(connection, partitions.PASSAGE):
            connection.exec_driver_sql(
                f"CREATE TABLE raw_{part.name} PARTITION OF raw_passage "
                f"FOR VALUES FROM ('{part.days.start}') TO ('{part.days.end}')"
            )
    connection.commit()


def _ready_rows(count: int) -> list[row_module.Row]:
    """Rows made of messages as agents send them."""
    now, producer = datetime.now(UTC), Producer(0)
    rows = []
    while len(rows) < count:
        envelope = read_envelope(producer.batch(200))
        for raw in envelope.passages if envelope else ():
            message = read_passage(raw)
            if message is None:
                raise SystemExit("the benchmark's own passages are not readable")
            rows.append(
                row_module.row_of(
                    message, row_module.key_of(message), checkpoint_id="kk-0", agent_id="box-0",
                    clock_flag=ClockFlag.OK, delivery="live", received_at=now,
                )
            )  # fmt: skip
    return rows


def _renewed(rows: list[row_module.Row], number: int) -> Iterator[row_module.Row]:
    """The same rows at other moments, so that no key repeats."""
    for row in rows:
        yield row._replace(
            captured_at=row.captured_at.replace(microsecond=number % 1_000_000),
            checkpoint_id=f"kk-{row.passage_id.int % AGENTS}",
        )


# ---- the process


class Memory:
    """Looks at the resident memory of some processes together every half second."""

    EVERY_S = 0.5

    def __init__(self, pids: Sequence[int]) -> None:
        """Begin."""
        self.mb: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(pids,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def an_hour(self) -> float | None:
        """MB by which it grows in an hour, from the second half; None of less than five minutes."""
        later = self.mb[len(self.mb) // 2 :]
        if len(self.mb) * self.EVERY_S < 300:
            return None
        return round(trend(later) * 3600 / self.EVERY_S, 1)

    def _look(self, pids: Sequence[int]) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while True:
            pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
            self.mb.append(pages * page / 1e6)
            if self._stop.wait(self.EVERY_S):
                return


def trend(values: Sequence[float]) -> float:
    """What is added from one value to the next, by least squares; 0 for fewer than two."""
    middle_x, middle_y = (len(values) - 1) / 2, sum(values) / max(1, len(values))
    spread = sum((x - middle_x) ** 2 for x in range(len(values)))
    together = sum((x - middle_x) * (y - middle_y) for x, y in enumerate(values))
    return together / spread if spread else 0.0


def _cpu_of_all(pids: Sequence[int], postgres: OwnPostgres | None) -> tuple[float, float, float]:
    """Processor seconds of servers (with their upkeep), client and database until now."""
    database = postgres.cpu_s() if postgres is not None else 0.0
    return sum(map(cpu_s_of, pids)), time.process_time(), database


def _address(url: str) -> str:
    """SQLAlchemy's form of a PostgreSQL address."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--db", default="", help="sqlite, or postgresql+psycopg2://…; none = own")
    parser.add_argument("--seconds", type=float, default=30.0, help="of full load")
    parser.add_argument("--json", action="store_true", help="one line")
    parser.add_argument("--servers", type=int, default=0, help="processes; 0 = 2, SQLite 1")
    parser.add_argument("--senders", type=int, default=8, help="connections under full load")
    parser.add_argument("--batch", type=int, default=200, help="passages in a body, at most 200")
    parser.add_argument("--rate", type=int, default=2_000, help="passages a second when paced")
    parser.add_argument("--paced-batch", type=int, default=20)
    parser.add_argument("--paced-seconds", type=float, default=15.0)
    parser.add_argument("--raw-seconds", type=float, default=4.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
