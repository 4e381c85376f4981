"""What matching against a watchlist costs a read, and what a rebuild costs the server.

    python -m benchmarks.watchlist --entries 1000000 --json
    python -m benchmarks.watchlist --curve --json      recall and false alerts over tolerance
    python -m benchmarks.watchlist --alerts --json     from POST to the alert at a listening client

The first writes the entries into a database of its own (PostgreSQL; ``--sqlite`` for SQLite), lets
the server's own cache read them, and asks for made-up reads in process: exact and fuzzy plates
(``--fuzzy`` of the entries), 20,000 patterns in some 100 groups and 15,000 infixes together, and
every candidate judged; ``us_per_read`` as ingest does, those of a commit at a time, and
``alone_us_per_read`` one by one, as the box does. In the same run rapidfuzz compares reads with all
plates, and the database joins the same reads, a thousand at a time.

``rebuild_s`` is a second full rebuild while another thread does what ingest does with the process's
watchlist: take the index and match a batch of 20. ``pause_ms`` is by how much the longest such
round was longer during the rebuild than the longest without it.
"""

import argparse
import json
import os
import platform
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from rapidfuzz import process as rapidfuzz_process
from rapidfuzz.distance import Hamming
from sqlalchemy import select, text

from anpr.watch import Indexed, Seen, WatchIndex, judge
from anpr.watch.index import built
from benchmarks.own_postgres import own_postgres
from benchmarks.watchlist_data import TOLERANCE, fill, infixes, patterns, reads
from server import schema
from server.auth.accounts import Role, add_user
from server.db import Database
from server.settings import DatabaseSettings, Settings
from server.tables import WatchlistEntry
from server.watchlists.matching import WatchlistCache, watched_by_id

READS = 20_000
COMMIT = 200
"""Reads that are asked for together, as ingest does with those of a commit."""
BRUTE_READS = 20
SQL_BATCH = 1_000
ZONE = ZoneInfo("Asia/Shanghai")
RESULT = Path(__file__).parent / "results" / "watchlist.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one of the three and say it."""
    options = _parser().parse_args(arguments)
    if options.curve:
        from benchmarks.watchlist_curve import measure_curve  # noqa: PLC0415 - loads the reader

        name, found = "curve", measure_curve(options.plates, options.seed, options.reads_from)
    elif options.alerts:
        from benchmarks.watchlist_alerts import measure_alerts  # noqa: PLC0415 - starts servers

        name = "alerts_sqlite" if options.sqlite else "alerts_postgresql"
        found = measure_alerts(options)
    else:
        name = "matching_sqlite" if options.sqlite else "matching"
        found = measure(options)
    found["machine"] = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    if options.keep:
        kept = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
        kept[name] = found
        RESULT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for key, value in found.items():
            print(f"{key:28} {value}")
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Matching in process, and its rivals."""
    with database_of(sqlite=options.sqlite) as database:
        fill(database, options.entries, options.fuzzy)
        empty_mb = _rss_mb()
        cache = WatchlistCache()
        began = time.perf_counter()
        with database.read() as session:
            cache.refresh(session)
        first_s = time.perf_counter() - began
        filled_mb = _rss_mb()
        index = _index(database, cache)
        sample = list(reads(READS))
        found: dict[str, Any] = {
            "entries": options.entries,
            "fuzzy_entries": round(options.entries * options.fuzzy),
            **_us_per_read(database, index, sample),
            "rss_mb": round(filled_mb),
            "watchlist_mb": round(filled_mb - empty_mb),
            "first_build_s": round(first_s, 2),
        }
        found |= _parts(sample)
        found |= _rebuild(database, cache, sample)
        found["sql_us_per_read"] = _sql(database, sample)
        found["bruteforce_us_per_read"] = _brute(database, sample)
        return found


def _us_per_read(database: Database, index: WatchIndex, sample: list[Seen]) -> dict[str, float]:
    """Candidates of the reads, and the judging of each candidate: as ingest does, and one by one."""
    with database.read() as session:
        ids = {entry_id for seen in sample for entry_id in index.candidates(seen)}
        entries = watched_by_id(session, ids)
    now = datetime.now(UTC)

    def judged(some: Sequence[Seen], candidates: Sequence[Sequence[int]]) -> int:
        hits = 0
        for seen, found in zip(some, candidates, strict=True):
            for entry_id in found:
                hits += judge(entries[entry_id], seen, "kk", (now,), ZONE) is not None
        return hits

    def together() -> int:
        parts = (sample[n : n + COMMIT] for n in range(0, len(sample), COMMIT))
        return sum(judged(part, index.candidates_of(part)) for part in parts)

    def alone() -> int:
        return sum(judged((seen,), (index.candidates(seen),)) for seen in sample)

    found: dict[str, float] = {}
    for name, ask in (("us_per_read", together), ("alone_us_per_read", alone)):
        took, hits = [], 0
        for _ in range(3):
            began = time.perf_counter()
            hits = ask()
            took.append(time.perf_counter() - began)
        found[name] = round(sorted(took)[1] / len(sample) * 1e6, 2)
        found["hits_per_read"] = round(hits / len(sample), 4)
    return found


def _parts(sample: list[Seen]) -> dict[str, float]:
    """What each way of looking costs by itself."""
    kinds = {
        "exact_us": [Indexed(n, "exact", one.plate) for n, one in enumerate(sample)],
        "fuzzy_us": [Indexed(n, "fuzzy", s.plate, TOLERANCE) for n, s in enumerate(sample)],
        "patterns_us": [Indexed(n, "pattern", one) for n, one in enumerate(patterns())],
        "infixes_us": [Indexed(n, "pattern", one) for n, one in enumerate(infixes())],
    }
    found = {}
    for name, entries in kinds.items():
        index = built(entries)
        began = time.perf_counter()
        for seen in sample:
            index.candidates(seen)
        found[name] = round((time.perf_counter() - began) / len(sample) * 1e6, 2)
    return found


def _rebuild(database: Database, cache: WatchlistCache, sample: list[Seen]) -> dict[str, float]:
    """A full rebuild beside a thread that asks as ingest does."""
    rounds: list[tuple[float, float]] = []
    stop = threading.Event()

    def ask() -> None:
        at = 0
        while not stop.is_set():
            began = time.perf_counter()
            index = cache.index
            for seen in sample[at : at + 20]:
                index.candidates(seen)
            at = (at + 20) % (len(sample) - 20)
            with database.read() as session:
                session.execute(text("SELECT 1"))
            rounds.append((began, time.perf_counter() - began))
            time.sleep(0.002)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(3)
    began = time.perf_counter()
    with database.read() as session:
        cache.rebuild(session)
    ended = time.perf_counter()
    time.sleep(0.5)
    stop.set()
    asking.join()
    idle = [took for at, took in rounds if at < began - 0.1]
    beside = [took for at, took in rounds if began - 0.1 <= at <= ended]
    return {
        "rebuild_s": round(ended - began, 2),
        "pause_ms": round((max(beside) - max(idle)) * 1e3, 1),
        "longest_round_ms": round(max(beside) * 1e3, 1),
        "longest_idle_round_ms": round(max(idle) * 1e3, 1),
        "rss_after_rebuild_mb": round(_rss_mb()),
    }


def _sql(database: Database, sample: list[Seen]) -> float:
    """The exact plates alone, by a join with the table, a thousand reads at a time."""
    plates = [seen.plate for seen in sample[: 5 * SQL_BATCH]]
    with database.read() as session:
        began = time.perf_counter()
        for start in range(0, len(plates), SQL_BATCH):
            session.execute(
                select(WatchlistEntry.id, WatchlistEntry.plate).where(
                    WatchlistEntry.plate.in_(plates[start : start + SQL_BATCH]),
                    WatchlistEntry.state == "active",
                )
            ).all()
        return round((time.perf_counter() - began) / len(plates) * 1e6, 1)


def _brute(database: Database, sample: list[Seen]) -> float:
    """Any one wrong character, by comparing with every plate."""
    with database.read() as session:
        plates = list(
            session.scalars(select(WatchlistEntry.plate).where(WatchlistEntry.match != "pattern"))
        )
    began = time.perf_counter()
    for seen in sample[:BRUTE_READS]:
        rapidfuzz_process.extract(seen.plate, plates, scorer=Hamming.distance, score_cutoff=1)
    return round((time.perf_counter() - began) / BRUTE_READS * 1e6)


@contextmanager
def database_of(*, sqlite: bool) -> Iterator[Database]:
    """A migrated database with an officer in it."""
    with tempfile.TemporaryDirectory(prefix="kakou-watchlist-") as folder:
        if sqlite:
            with _opened(Settings(data_dir=Path(folder))) as database:
                yield database
            return
        with own_postgres() as postgres:
            settings = Settings(data_dir=Path(folder), database=DatabaseSettings(url=postgres.url))
            with _opened(settings) as database:
                yield database


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    schema.upgrade(database.engine)
    now = datetime.now(UTC)
    with database.write() as session:
        add_user(session, name="officer", password=secrets.token_hex(8), role=Role.OFFICER, now=now)
    yield database
    database.close()


def _index(database: Database, cache: WatchlistCache) -> WatchIndex:
    with database.write() as session:
        return cache.current(session)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watchlist",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--entries", type=int, default=1_000_000, help="whole plates")
    parser.add_argument("--fuzzy", type=float, default=0.1, help="share of them that is fuzzy")
    parser.add_argument("--sqlite", action="store_true", help="instead of PostgreSQL")
    parser.add_argument("--curve", action="store_true", help="recall and false alerts")
    parser.add_argument("--plates", type=int, default=4_000, help="of the curve: plates rendered")
    parser.add_argument(
        "--seed", type=int, default=17, help="of the curve: which plates, how spoiled"
    )
    parser.add_argument("--reads-from", type=Path, help="of the curve: reads kept in a file")
    parser.add_argument("--alerts", action="store_true", help="from POST to the alert")
    parser.add_argument("--rate", type=int, default=1_000, help="of the alerts: passages a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the alerts")
    parser.add_argument("--json", action="store_true", help="one object on one line")
    parser.add_argument("--keep", action="store_true", help="put it into benchmarks/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
