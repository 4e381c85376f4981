"""Packing the sightings of partitions that are over, on PostgreSQL, so that months are read at once.

A year of a plate is thousands of rows on as many pages; packed it is a row for each partition.
Partitions that still grow go without: there every passage would pay for it as it comes in, here it
is done once, of rows that lie still. Packs are only ever a copy of ``passage``, and never trusted
where they might not be one:

1. A partition that is over gets a trigger. Making it waits for whoever is writing to the partition
   and keeps others out for that moment, so that every change after it is noted in
   ``packed_change``, in the transaction that makes it. Notes are only added, never waited for: what
   comes late pays for one small row.
2. What the partition holds is packed as of one instant after that. A change that this instant does
   not see has a note that it does not see either, and that therefore stays.
3. ``packed_period`` says that the period is packed, in the same transaction. Only then packs are
   believed, and of a plate that has a note none is (:mod:`server.packed.reading`).
4. Plates with notes are packed anew, as of an instant that sees the notes that are taken away.

A deletion takes the pack along in its own transaction. Unread and partly read plates are not
packed: nobody has their route. Not on Citus, whose shards are too many to be gone through from here.
"""

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from server import citus
from server.packed.form import MOST_PLACES, Columns, pack
from server.packed.reading import BETWEEN, microseconds, midnight
from server.partitions import PASSAGE, Days, Partition, existing
from server.settings_storage import PartitionSettings

_log = logging.getLogger(__name__)

_ADVISORY_KEY: Final = 7_135_406_522
"""Any number that no other program uses on the same database."""
_LOCK_TIMEOUT_MS: Final = 2_000
"""For the trigger; who vacuums gives way after one second."""
_AT_ONCE: Final = 50_000
"""Rows in memory."""
_PLATES: Final = 500
"""Packed anew at a time."""
_ROWS: Final = f"""
SELECT plate, CAST(extract(epoch FROM captured_at) * 1000000 AS bigint),
  replace(CAST(passage_id AS text), '-', ''), checkpoint_id, plate_score,
  concat_ws('{BETWEEN}', plate_color, plate_kind, vehicle_color, direction, coalesce(CAST(lane AS text), ''))
FROM {{table}} WHERE {{which}} ORDER BY plate, captured_at, passage_id
"""  # noqa: S608 - names of ours
_WHOLE: Final = "plate <> '' AND strpos(plate, '?') = 0"

_Row = tuple[str, int, str, str, float, str]


def keep_packed(
    engine: Engine,
    settings: PartitionSettings,
    now: datetime,
    going: Callable[[], bool] = lambda: True,
) -> str | None:
    """Pack anew what has changed, then the newest partition that is over and is not packed.

    Returns:
        Its name; None if there is none left, or another process is at it. What was interrupted,
        by ``going`` or a crash, is as if it had not been begun.
    """
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked = text("SELECT pg_try_advisory_lock(:key)")
        if (
            citus.is_distributed(connection, PASSAGE.table)
            or not connection.execute(asked, {"key": _ADVISORY_KEY}).scalar()
        ):
            return None
        try:
            forget(engine)
            while going() and _pack_changed(engine):
                pass
            partition = _next(connection, settings, now)
            return partition.name if partition and _pack(engine, partition, going) else None
        except OperationalError as error:
            _log.warning("packing: not now: %s", error.orig)
            return None
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})


def _next(connection: Connection, settings: PartitionSettings, now: datetime) -> Partition | None:
    over = now.astimezone(UTC).date() - timedelta(days=settings.cover_after_days)
    packed = set(connection.execute(text("SELECT started_on FROM packed_period")).scalars())
    for partition in reversed(existing(connection, PASSAGE)):
        if partition.days.end <= over and partition.days.start not in packed:
            return partition
    return None


def _pack(engine: Engine, partition: Partition, going: Callable[[], bool]) -> bool:
    """Pack a partition; whether it was done."""
    with engine.begin() as connection:
        _watch(connection, partition)
    alike = engine.execution_options(isolation_level="REPEATABLE READ")
    with alike.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        given = {"day": partition.days.start}
        for table in ("packed_plate", "packed_change"):  # of an attempt, and before this instant
            connection.execute(text(f"DELETE FROM {table} WHERE started_on = :day"), given)  # noqa: S608 - ours
        numbers = _Numbers(connection)
        count = plates = 0
        for rows in _whole_plates(_rows(connection, partition)):
            if not going():
                connection.rollback()
                return False
            plates += _store(connection, numbers, partition.days, rows)
            count += len(rows)
        connection.execute(
            text(
                "INSERT INTO packed_period (started_on, ended_on, packed_at)"
                " VALUES (:start, :end, now())"
            ),
            {"start": partition.days.start, "end": partition.days.end},
        )
    _tidy(engine, partition)
    _log.info(
        "partition %s: is over; %d sightings of %d plates packed", partition.name, count, plates
    )
    return True


def _tidy(engine: Engine, partition: Partition) -> None:
    """Remove the index that an earlier version made instead, and let PostgreSQL look at the packs."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            # an index that goes waits for everybody who was reading when that began
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = 0"))
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS ix_{partition.name}_where"))
            connection.execute(text("VACUUM (ANALYZE) packed_plate"))
        finally:
            connection.execute(text("RESET statement_timeout"))
            connection.execute(text("RESET lock_timeout"))


def _watch(connection: Connection, partition: Partition) -> None:
    """Have every change of a partition noted from now on."""
    connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
    there = connection.execute(
        text("SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(:name) AND tgname = 'packed'"),
        {"name": partition.name},
    ).scalar()
    if not there:
        connection.execute(
            text(
                f"CREATE TRIGGER packed AFTER INSERT OR UPDATE OR DELETE ON {partition.name}"
                f" FOR EACH ROW EXECUTE FUNCTION note_packed_change('{partition.days.start}')"
            )
        )


# ---- what changed


def _pack_changed(engine: Engine) -> bool:
    """Pack anew some plates of one period; whether there were any."""
    alike = engine.execution_options(isolation_level="REPEATABLE READ")
    with alike.begin() as connection:
        # gives way to whoever waits for it in a circle
        connection.execute(text("SET LOCAL lock_timeout = 500"))
        period = connection.execute(
            text(
                "SELECT started_on, ended_on FROM packed_period WHERE started_on ="
                " (SELECT min(c.started_on) FROM packed_change c JOIN packed_period USING (started_on))"
            )
        ).one_or_none()
        if period is None:
            return False
        days = Days(*period)
        noted = connection.execute(
            text("SELECT id, plate FROM packed_change WHERE started_on = :day LIMIT :most"),
            {"day": days.start, "most": _PLATES},
        ).all()
        plates = sorted({plate for _, plate in noted})
        which = (
            "plate = ANY(%(plates)s) AND captured_at >= %(since)s AND captured_at < %(until)s"
            f" AND {_WHOLE}"
        )
        cursor = _cursor(connection)
        given = {"plates": plates, "since": midnight(days.start), "until": midnight(days.end)}
        cursor.execute(_ROWS.format(table="passage", which=which), given)
        rows: list[_Row] = cursor.fetchall()
        connection.execute(
            text("DELETE FROM packed_plate WHERE started_on = :day AND plate = ANY(:plates)"),
            {"day": days.start, "plates": plates},
        )
        _store(connection, _Numbers(connection), days, rows)
        connection.execute(
            text("DELETE FROM packed_change WHERE id = ANY(:ids)"),
            {"ids": [number for number, _ in noted]},
        )
    return True


# ---- what is gone


def forget_period(connection: Connection, started_on: date) -> None:
    """A partition goes: from this transaction on nobody believes its packs; :func:`forget` them."""
    for table in ("packed_period", "packed_change"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE started_on = :day"),  # noqa: S608 - ours
            {"day": started_on},
        )


def forget(engine: Engine) -> int:
    """Delete the packs of partitions that are gone, some at a time; how many."""
    if engine.dialect.name != "postgresql":
        return 0
    gone = 0
    day: date | None = None
    while True:
        with engine.begin() as connection:
            day = connection.execute(
                text("SELECT min(started_on) FROM packed_plate WHERE started_on > :day"),
                {"day": day or date.min},
            ).scalar()
            if day is None:
                return gone
            known = text("SELECT 1 FROM packed_period WHERE started_on = :day")
            if connection.execute(known, {"day": day}).scalar():
                continue
        gone += _forget(engine, day)


def _forget(engine: Engine, day: date) -> int:
    gone = 0
    while True:
        with engine.begin() as connection:
            done = connection.execute(
                text(
                    "DELETE FROM packed_plate WHERE started_on = :day AND plate IN (SELECT plate"
                    " FROM packed_plate WHERE started_on = :day ORDER BY plate LIMIT :most)"
                ),
                {"day": day, "most": _AT_ONCE},
            ).rowcount
        gone += done
        if not done:
            return gone


# ---- rows


class _Numbers:
    """Names of checkpoints and looks, each with its number; new ones get the next."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        found: Any = connection.execute(text("SELECT name, number FROM packed_name")).all()
        self._of: dict[str, int] = dict(found)

    def of(self, names: Sequence[str]) -> list[int]:
        new = list(dict.fromkeys(name for name in names if name not in self._of))
        if new:
            numbers = range(len(self._of) + 1, len(self._of) + 1 + len(new))
            self._of |= dict(zip(new, numbers, strict=True))
            self._connection.execute(
                text("INSERT INTO packed_name (name, number) VALUES (:name, :number)"),
                [{"name": name, "number": self._of[name]} for name in new],
            )
        return [self._of[name] for name in names]


def _rows(connection: Connection, partition: Partition) -> Iterator[list[_Row]]:
    """All rows of a partition, plate by plate, in order of time; some at a time."""
    cursor = _cursor(connection, "packing")  # ends with the transaction
    cursor.execute(_ROWS.format(table=partition.name, which=_WHOLE))
    while rows := cursor.fetchmany(_AT_ONCE):
        yield rows


def _whole_plates(portions: Iterable[list[_Row]]) -> Iterator[list[_Row]]:
    """The same, cut where one plate ends and another begins."""
    kept: list[_Row] = []
    for rows in portions:
        kept += rows
        last = kept[-1][0]
        if kept[0][0] == last:
            continue
        cut = next(n for n in range(len(kept) - 1, -1, -1) if kept[n][0] != last) + 1
        yield kept[:cut]
        kept = kept[cut:]
    if kept:
        yield kept


def _store(connection: Connection, numbers: _Numbers, days: Days, rows: Sequence[_Row]) -> int:
    """Store the packs of some rows; of how many plates."""
    if not rows:
        return 0
    plates, at_us, ids, places, scores, looks = zip(*rows, strict=True)
    place = np.array(numbers.of(places), np.int64)
    if place.max() >= MOST_PLACES:
        raise OverflowError("more names of checkpoints and looks than can be packed")
    columns = Columns(
        np.array(at_us, np.int64),
        place,
        np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(-1, 16),
        np.array(scores, np.float64),
        np.array(numbers.of(looks), np.int64),
    )
    ends = [n for n in range(1, len(plates)) if plates[n] != plates[n - 1]] + [len(plates)]
    packs = pack(columns, ends, microseconds(midnight(days.start)))
    lines = []
    for end, one in zip(ends, packs, strict=True):
        plate = plates[end - 1].replace("\\", "\\\\")
        lines.append(f"{days.start}\t{plate}\t\\\\x{one.moments.hex()}\t\\\\x{one.looks.hex()}\n")
    _cursor(connection).copy_expert(
        "COPY packed_plate (started_on, plate, moments, looks) FROM STDIN",
        io.StringIO("".join(lines)),
    )
    return len(ends)


def _cursor(connection: Connection, name: str | None = None) -> Any:
    """The driver's own: rows past SQLAlchemy, in the transaction that is under way."""
    driver: Any = connection.connection.driver_connection
    return driver.cursor(name) if name else driver.cursor()
