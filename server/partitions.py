"""Partitions by time on PostgreSQL: made ahead, filled from the catch-all, dropped whole.

``passage`` and ``evidence`` are cut into ranges of whole UTC days. A partition is called after
its first day, ``passage_p20261122``. What fits no range (a clock gone wrong, a backlog of last
year) lies in ``passage_default``: kept, found by every query, and moved into its range as soon as
that range is wanted. On SQLite nothing here does anything.

Every step is a short transaction with a lock timeout: on a live system it gives up, so that no
passage waits behind it, and the next run does it.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from server import citus
from server.settings_storage import PartitionSettings

_log = logging.getLogger(__name__)

LOCK_TIMEOUT_MS = 1_000
_ALONE_TIMEOUT_MS = 30_000
"""No passage waits behind whoever waits for the other process, so he may wait long."""
_ADVISORY_KEY = 7_135_406_521
"""Any number that no other program uses on the same database."""
_EPOCH = date(1970, 1, 5)
"""A Monday, so that partitions of seven days begin on Mondays."""
_BOUND = re.compile(r"\('(\d{4}-\d\d-\d\d)")


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table cut by a column into ranges of whole UTC days."""

    table: str
    column: str

    @property
    def default(self) -> str:
        """The catch-all partition."""
        return f"{self.table}_default"


PASSAGE: Final = Partitioned("passage", "captured_at")
EVIDENCE: Final = Partitioned("evidence", "received_on")
PARTITIONED: Final = (PASSAGE, EVIDENCE)


@dataclass(frozen=True, slots=True, order=True)
class Days:
    """From a day, inclusive, to a day, exclusive."""

    start: date
    end: date

    def holds(self, day: date) -> bool:
        """Whether a day lies in it."""
        return self.start <= day < self.end


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that exists."""

    name: str
    days: Days


def aligned(day: date, width_days: int) -> Days:
    """The range of that width in which a day lies, counted from a Monday."""
    start = day - timedelta(days=(day - _EPOCH).days % width_days)
    return Days(start, start + timedelta(days=width_days))


def missing(existing: Iterable[Days], wanted: Iterable[date], width_days: int) -> list[Days]:
    """Ranges to make so that every wanted day lies in one; none overlaps another. Pure.

    A width that was changed meanwhile gives narrower ranges where they meet older ones.
    """
    taken = sorted(existing)
    made: list[Days] = []
    for day in sorted(set(wanted)):
        if any(days.holds(day) for days in taken):
            continue
        whole = aligned(day, width_days)
        start = max([whole.start, *(days.end for days in taken if days.end <= day)])
        end = min([whole.end, *(days.start for days in taken if days.start > day)])
        made.append(Days(start, end))
        taken.append(made[-1])
    return made


def existing(connection: Connection, of: Partitioned) -> list[Partition]:
    """The partitions there are, the catch-all left out, oldest first."""
    rows = connection.execute(
        text(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
            "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:parent)"
        ),
        {"parent": of.table},
    ).all()
    found = []
    for name, bound in rows:
        # a partition that is being dropped at this moment has no bound any more
        dates = [date.fromisoformat(day) for day in _BOUND.findall(bound or "")]
        if len(dates) == 2:
            found.append(Partition(name, Days(*dates)))
    return sorted(found, key=lambda partition: partition.days)


def keep_up(
    engine: Engine, settings: PartitionSettings, now: datetime, oldest: datetime | None = None
) -> list[str]:
    """Make what is missing: the days ahead, and days of the catch-all from ``oldest`` on.

    Returns:
        The names of the partitions made. One that cannot have its lock is left to the next run.
    """
    if engine.dialect.name != "postgresql":
        return []
    made = []
    for of in PARTITIONED:
        for days in _missing_now(engine, of, settings, now, oldest):
            try:
                with engine.begin() as connection:
                    made += _make_alone(connection, of, days, settings.width_days)
            except OperationalError as error:
                _log.warning(
                    "partition of %s from %s: not now: %s", of.table, days.start, error.orig
                )
    return made


def _make_alone(connection: Connection, of: Partitioned, days: Days, width_days: int) -> list[str]:
    """Make one unless another process has made it since it was found to be missing."""
    alone(connection)
    names = []
    have = [partition.days for partition in existing(connection, of)]
    for still in missing(have, [days.start], width_days):
        names.append(f"{of.table}_p{still.start:%Y%m%d}")
        make(connection, of, names[-1], still)
    return names


def make(connection: Connection, of: Partitioned, name: str, days: Days) -> None:
    """Make one partition and move into it what the catch-all holds of its days."""
    brief(connection)
    inside = f"{of.column} >= '{days.start}' AND {of.column} < '{days.end}'"
    bounds = f"FOR VALUES FROM ('{days.start}') TO ('{days.end}')"
    exclusively = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE".format
    holds = text(f"SELECT 1 FROM {of.default} WHERE {inside} LIMIT 1")  # noqa: S608 - names of ours
    apart = citus.is_distributed(connection, of.table)
    # Who waits for the catch-all alone has planned without the new partition, and would see what is
    # moved in neither. The whole table comes first, as for whoever reads it, or they wait in a circle.
    whole = apart or bool(connection.execute(holds).scalar())
    for table in (of.table, of.default) if whole else (of.default,):
        connection.execute(text(exclusively(table)))
    moves = bool(connection.execute(holds).scalar())
    if moves and not whole:  # it came meanwhile
        connection.execute(text(exclusively(of.table)))
    steps = []
    if moves:
        steps += [
            f"CREATE TEMP TABLE moving ON COMMIT DROP AS SELECT * FROM {of.default} WHERE {inside}",  # noqa: S608 - names of ours
            f"DELETE FROM {of.default} WHERE {inside}",  # noqa: S608 - names of ours
        ]
    if apart:
        steps.append(f"CREATE TABLE {name} PARTITION OF {of.table} {bounds}")
    else:  # attaching locks the parent less than PARTITION OF does
        steps += [
            f"CREATE TABLE {name} (LIKE {of.table} INCLUDING DEFAULTS)",
            f"ALTER TABLE {of.table} ATTACH PARTITION {name} {bounds}",
        ]
    if moves:
        steps += [f"INSERT INTO {of.table} SELECT * FROM moving", "DROP TABLE moving"]  # noqa: S608 - names of ours
    for step in steps:
        connection.execute(text(step))


def alone(connection: Connection) -> None:
    """Until this transaction ends, let no other process make or drop partitions.

    What was seen of them before may no longer be true: look again.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = {_ALONE_TIMEOUT_MS}"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})


def is_there(connection: Connection, name: str) -> bool:
    """Whether a table of that name exists."""
    return connection.execute(text("SELECT to_regclass(:n)"), {"n": name}).scalar() is not None


def brief(connection: Connection) -> None:
    """Let this transaction give up rather than hold up the passages behind it."""
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
    connection.execute(text("SET LOCAL timezone = 'UTC'"))


def is_partition(connection: Connection) -> frozenset[str]:
    """Names of all tables that are partitions of another."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    return frozenset(
        connection.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars()
    )


def days_ahead(now: datetime, settings: PartitionSettings) -> Sequence[date]:
    """Yesterday, today and the days for which partitions are made ahead."""
    today = now.astimezone(UTC).date()
    return [today + timedelta(days=step) for step in range(-1, settings.ahead_days + 1)]


def _missing_now(
    engine: Engine,
    of: Partitioned,
    settings: PartitionSettings,
    now: datetime,
    oldest: datetime | None,
) -> list[Days]:
    wanted = set(days_ahead(now, settings))
    with engine.connect() as connection:
        have = [partition.days for partition in existing(connection, of)]
        stray = connection.execute(
            text(
                f"SELECT DISTINCT CAST(CAST({of.column} AS timestamp) AS date) FROM {of.default} "  # noqa: S608 - names of ours
                f"WHERE {of.column} >= :oldest AND {of.column} <= :newest LIMIT 1000"
            ),
            {
                "oldest": oldest or now - timedelta(days=settings.backlog_days),
                "newest": max(wanted),
            },
        ).scalars()
        return missing(have, wanted | set(stray), settings.width_days)
