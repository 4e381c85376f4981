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
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from anpr.plate import UNREAD
from server.tables import Plate, PlateCandidate, PlateJournal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINES_AT_ONCE = 20
_PLATES_AT_ONCE = 4_000
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
    lines = session.execute(
        select(PlateJournal.id, PlateJournal.seen).order_by(PlateJournal.id).limit(_LINES_AT_ONCE)
    ).all()
    sums: dict[str, Seen] = {}
    taken = []
    for line in lines:
        for seen in _decoder.decode(line.seen):
            _sum(sums, seen)
        taken.append(line.id)
        if len(sums) >= _PLATES_AT_ONCE:
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
    names = [each.plate for each in seen]
    known = set(_among(session, Plate, names))
    before = set(_among(session, PlateCandidate, names))
    partial = {each.plate for each in seen if UNREAD in each.plate}
    grown = [
        each.plate
        for each in seen
        if each.plate not in known | partial
        and (each.sure or each.passages > 1 or each.plate in before)
    ]
    _promote(session, [plate for plate in grown if plate in before], now)
    certain = known | set(grown)
    _upsert(session, Plate, [each for each in seen if each.plate in certain], now)
    _upsert(session, PlateCandidate, [each for each in seen if each.plate not in certain], now)


def _among(session: Session, table: type[Plate | PlateCandidate], names: list[str]) -> list[str]:
    return list(session.scalars(select(table.plate).where(table.plate.in_(names))))


def _promote(session: Session, plates: list[str], now: datetime) -> None:
    """Move candidates to the plates, with what was counted of them."""
    if not plates:
        return
    columns = ["plate", "first_seen_at", "last_seen_at", "passages"]
    moved = session.execute(
        delete(PlateCandidate)
        .where(PlateCandidate.plate.in_(plates))
        .returning(*(getattr(PlateCandidate, name) for name in columns))
    ).all()
    session.execute(
        insert(Plate), [dict(zip(columns, row, strict=True)) | {"added_at": now} for row in moved]
    )


def _upsert(
    session: Session, table: type[Plate | PlateCandidate], seen: Sequence[Seen], now: datetime
) -> None:
    if not seen:
        return
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    rows: list[dict[str, Any]] = [
        {
            "plate": each.plate,
            "first_seen_at": _EPOCH + each.first_us * _MICROSECOND,
            "last_seen_at": _EPOCH + each.last_us * _MICROSECOND,
            "passages": each.passages,
            "added_at": now,
        }
        for each in seen
    ]
    statement = (sqlite_insert if is_sqlite else postgresql_insert)(table)
    new = statement.excluded
    least, most = (func.min, func.max) if is_sqlite else (func.least, func.greatest)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["plate"],
            set_={
                "first_seen_at": least(table.first_seen_at, new.first_seen_at),
                "last_seen_at": most(table.last_seen_at, new.last_seen_at),
                "passages": table.passages + new.passages,
            },
        ),
        rows,
    )
