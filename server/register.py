"""The register of plates seen: fed behind the passages, from a journal that ingest keeps.

With every commit ingest leaves one line in ``plate_journal``: which plates, how often, how surely.
:func:`count` takes lines out and puts the sums into ``plate``, one statement for thousands of
plates: no passage waits for it, and a plate that passed fifty times meanwhile takes one update.
What was committed is counted exactly once, whatever is killed when.

A plate comes into ``plate`` when it was read whole and surely, or a second time. A plate read once
and not surely may be a misread; it waits in ``plate_candidate`` and ages out there. So does a plate
of which characters are missing; it never leaves for ``plate``.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.orm import Session

from anpr.plate import UNREAD
from server.tables import Plate, PlateCandidate, PlateJournal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINES_AT_ONCE = 100
_PLATES_AT_ONCE = {"sqlite": 4_000, "postgresql": 20_000}
"""The more at once, the fewer updates; but on SQLite ingest waits meanwhile."""
_ADVISORY_KEY = 7_135_406_519


class Seen(msgspec.Struct, array_like=True):
    """What a commit, or several, saw of one plate; instants in microseconds since 1970."""

    plate: str
    first_us: int
    last_us: int
    passages: int
    sure: int
    """How many of them were read whole and surely."""

    def add(self, at_us: int, *, sure: bool) -> None:
        """Count one more passage."""
        self.first_us = min(self.first_us, at_us)
        self.last_us = max(self.last_us, at_us)
        self.passages += 1
        self.sure += sure


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Seen])


def note(session: Session, passages: Iterable[tuple[str, datetime, bool]]) -> None:
    """Leave a line in the journal: plate, time and whether the read is sure, per passage."""
    seen: dict[str, Seen] = {}
    for plate, at, sure in passages:
        at_us = (at - _EPOCH) // _MICROSECOND
        known = seen.get(plate)
        if known is None:
            seen[plate] = Seen(plate, at_us, at_us, 1, int(sure))
        else:
            known.add(at_us, sure=sure)
    if seen:
        line = _encoder.encode(list(seen.values())).decode()
        session.execute(insert(PlateJournal.__table__), {"seen": line})  # type: ignore[arg-type]


def count(session: Session, now: datetime) -> int:
    """Take some lines out of the journal into the register; the caller commits.

    Returns:
        How many plates were seen in them; 0 means that the journal is empty, or that another
        process is counting.
    """
    if not _alone(session):
        return 0
    now = _after_all(session, now)
    lines = session.execute(
        select(PlateJournal.id, PlateJournal.seen).order_by(PlateJournal.id).limit(_LINES_AT_ONCE)
    ).all()
    most = _PLATES_AT_ONCE[session.get_bind().dialect.name]
    sums: dict[str, Seen] = {}
    taken = []
    for line in lines:
        for seen in _decoder.decode(line.seen):
            _sum(sums, seen)
        taken.append(line.id)
        if len(sums) >= most:
            break
    if taken:
        session.execute(delete(PlateJournal).where(PlateJournal.id.in_(taken)))
        _enter(session, [sums[plate] for plate in sorted(sums)], now)
    return len(sums)


def forget_candidates(session: Session, before: datetime) -> int:
    """Remove candidates that have not been seen since; the caller commits."""
    gone = session.execute(
        delete(PlateCandidate)
        .where(PlateCandidate.added_at < before, PlateCandidate.last_seen_at < before)
        .returning(PlateCandidate.plate)
    )
    return len(gone.all())


def forget_plates(session: Session, before: datetime) -> int:
    """Remove plates none of whose passages can be left; the caller commits."""
    gone = session.execute(
        delete(Plate)
        .where(Plate.last_seen_at < before, Plate.added_at < before)
        .returning(Plate.plate)
    )
    return len(gone.all())


def waiting(session: Session) -> int:
    """Lines in the journal that are not counted yet."""
    return session.execute(select(func.count()).select_from(PlateJournal)).scalar_one()


def _alone(session: Session) -> bool:
    if session.get_bind().dialect.name != "postgresql":
        return True
    taken = session.execute(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY}
    ).scalar_one()
    return bool(taken)


def _after_all(session: Session, now: datetime) -> datetime:
    """The instant of this count: later than any before it, whatever the clocks of servers say.

    One counts at a time, so what stands in the tables up to an instant stays as it is from the
    commit on that shows it: who keeps a copy need only ask for what is later.
    """
    for table in (Plate, PlateCandidate):
        newest: datetime | None = session.scalar(select(func.max(table.added_at)))
        if newest is not None:
            now = max(now, newest + _MICROSECOND)
    return now


def _sum(sums: dict[str, Seen], seen: Seen) -> None:
    known = sums.get(seen.plate)
    if known is None:
        sums[seen.plate] = seen
        return
    known.first_us = min(known.first_us, seen.first_us)
    known.last_us = max(known.last_us, seen.last_us)
    known.passages += seen.passages
    known.sure += seen.sure


def _enter(session: Session, seen: Sequence[Seen], now: datetime) -> None:
    """Put the sums where they belong, whatever the number of plates in a few statements."""
    connection = session.connection()
    whole = [each for each in seen if UNREAD not in each.plate]
    promoted = _promote(connection, [each.plate for each in whole], now)
    unsure = [
        each.plate
        for each in whole
        if not each.sure and each.passages == 1 and each.plate not in promoted
    ]
    known = set(_among(connection, unsure))
    waits = {each.plate for each in seen if UNREAD in each.plate}.union(unsure) - known
    _upsert(connection, "plate", [each for each in seen if each.plate not in waits], now)
    _upsert(connection, "plate_candidate", [each for each in seen if each.plate in waits], now)


def _among(connection: Connection, names: list[str]) -> list[str]:
    """Which of these are plates already."""
    if not names:
        return []
    query = f"SELECT plate FROM plate WHERE plate {_in(connection)}"  # noqa: S608 - ours
    return [row[0] for row in connection.exec_driver_sql(query, (_list(connection, names),))]


def _promote(connection: Connection, names: list[str], now: datetime) -> set[str]:
    """Move candidates that are seen again to the plates, with what was counted of them."""
    if not names:
        return set()
    moved = connection.exec_driver_sql(
        f"DELETE FROM plate_candidate WHERE plate {_in(connection)} "  # noqa: S608 - ours
        "RETURNING plate, first_seen_at, last_seen_at, passages",
        (_list(connection, names),),
    ).all()
    if moved:
        place = "?" if connection.dialect.name == "sqlite" else "%s"
        connection.exec_driver_sql(
            "INSERT INTO plate (plate, first_seen_at, last_seen_at, passages, added_at) "  # noqa: S608 - ours
            f"VALUES ({', '.join([place] * 5)}) ON CONFLICT DO NOTHING",
            [(*row, _instant(connection, now)) for row in moved],
        )
    return {row.plate for row in moved}


def _upsert(connection: Connection, table: str, seen: Sequence[Seen], now: datetime) -> None:
    """Add to what was counted; in order of the plates, so that nobody waits in a circle."""
    if not seen:
        return
    seen = sorted(seen, key=lambda each: each.plate)
    is_sqlite = connection.dialect.name == "sqlite"
    least, most = ("min", "max") if is_sqlite else ("least", "greatest")
    clash = (
        "ON CONFLICT (plate) DO UPDATE SET "
        f"first_seen_at = {least}({table}.first_seen_at, excluded.first_seen_at), "
        f"last_seen_at = {most}({table}.last_seen_at, excluded.last_seen_at), "
        f"passages = {table}.passages + excluded.passages"
    )
    into = f"INSERT INTO {table} (plate, first_seen_at, last_seen_at, passages, added_at)"
    added_at = _instant(connection, now)
    if is_sqlite:
        rows = [
            (
                each.plate,
                _instant(connection, _EPOCH + timedelta(microseconds=each.first_us)),
                _instant(connection, _EPOCH + timedelta(microseconds=each.last_us)),
                each.passages,
            )
            for each in seen
        ]
        connection.exec_driver_sql(
            f"{into} SELECT value->>0, value->>1, value->>2, value->>3, ? FROM json_each(?) "  # noqa: S608 - ours
            f"WHERE true {clash}",
            (added_at, _encoder.encode(rows).decode()),
        )
    else:
        connection.exec_driver_sql(
            f"{into} SELECT plate, 'epoch'::timestamptz + first_us * interval '1 microsecond', "  # noqa: S608 - ours
            "'epoch'::timestamptz + last_us * interval '1 microsecond', passages, %s FROM unnest("
            "CAST(%s AS varchar[]), CAST(%s AS bigint[]), CAST(%s AS bigint[]), "
            "CAST(%s AS bigint[])) AS new(plate, first_us, last_us, passages) "
            f"{clash}",
            (
                added_at,
                [each.plate for each in seen],
                _numbers(each.first_us for each in seen),
                _numbers(each.last_us for each in seen),
                _numbers(each.passages for each in seen),
            ),
        )


def _in(connection: Connection) -> str:
    """The condition that something is one of a list (see :func:`_list`), however long."""
    if connection.dialect.name == "sqlite":
        return "IN (SELECT value FROM json_each(?))"
    return "= ANY(CAST(%s AS varchar[]))"


def _list(connection: Connection, names: list[str]) -> object:
    if connection.dialect.name == "sqlite":
        return _encoder.encode(names).decode()
    return names


def _numbers(numbers: Iterable[int]) -> str:
    """As PostgreSQL writes an array of them."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _instant(connection: Connection, at: datetime) -> str:
    """As the database takes it in a statement of ours."""
    if connection.dialect.name == "sqlite":
        return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return at.isoformat()
