"""Deleting what somebody orders: a list of plates with periods, a reason, an account.

A list is text, a line each: ``plate,since,until`` with instants in ISO 8601 and an offset, both of
which may be left out. Lines that begin with ``#`` are comments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server.db import Database
from server.errors import InvalidRequest
from server.ingest.evidence_store import PictureStore
from server.ingest.pictures import lock_pictures
from server.retention import account
from server.tables import Evidence, Passage, PassageHold, Plate, PlateCandidate

_AT_ONCE = 500
_SAME_FRAME = timedelta(minutes=2)
"""Two vehicles in one picture passed within."""
_EVER = datetime(1, 1, 2, tzinfo=UTC)
_NEVER = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Order:
    """One line: a plate, from when, inclusive, until when, exclusive."""

    plate: str
    since: datetime
    until: datetime


@dataclass(slots=True)
class Fulfilled:
    """What became of one line."""

    plate: str
    passages: int = 0
    pictures: int = 0
    held: int = 0


def read_list(lines: Iterable[str]) -> list[Order]:
    """Read a list.

    Raises:
        InvalidRequest: a line is no order; the message names it.
    """
    orders = []
    for number, line in enumerate(lines, 1):
        parts = [part.strip() for part in line.split(",")]
        if not parts[0] or parts[0].startswith("#"):
            continue
        plate = normalise(parts[0])
        if not plate or "*" in plate or "?" in plate or len(parts) > 3:
            raise InvalidRequest(f"line {number}: plate,since,until with a whole plate")
        times = [*parts[1:], "", ""]
        orders.append(
            Order(plate[:16], _time(times[0], _EVER, number), _time(times[1], _NEVER, number))
        )
    return orders


def delete_listed(  # noqa: PLR0913 - what, where, why, for whom, when
    database: Database,
    store: PictureStore,
    orders: Sequence[Order],
    *,
    reason: str,
    ordered_by: str,
    now: datetime,
) -> list[Fulfilled]:
    """Delete the listed passages with their pictures; what is held stays and is counted.

    Raises:
        InvalidRequest: no reason is given.
        Unavailable: the database is locked or away.
    """
    if not reason.strip():
        raise InvalidRequest("reason: say why this is deleted", field="reason")
    done = []
    for order in orders:
        fulfilled = Fulfilled(order.plate)
        while _some(database, store, order, fulfilled):
            pass
        done.append(fulfilled)
    report = {
        "passages": sum(one.passages for one in done),
        "pictures": sum(one.pictures for one in done),
        "held": sum(one.held for one in done),
        "lines": [asdict(one) for one in done],
    }
    with database.write() as session:
        account(session, "list", ordered_by, reason, report, now)
    return done


def _some(database: Database, store: PictureStore, order: Order, done: Fulfilled) -> bool:
    """Delete some passages of an order; whether there may be more."""
    held = select(PassageHold.passage_id).where(
        PassageHold.plate == Passage.plate,
        PassageHold.captured_at == Passage.captured_at,
        PassageHold.passage_id == Passage.passage_id,
    )
    listed = select(Passage).where(
        Passage.plate == order.plate,
        Passage.captured_at >= order.since,
        Passage.captured_at < order.until,
    )
    with database.write() as session:
        rows = list(session.scalars(listed.where(~held.exists()).limit(_AT_ONCE)))
        if rows:
            session.expunge_all()
            key = tuple_(Passage.plate, Passage.captured_at, Passage.passage_id)
            keys = [(row.plate, row.captured_at, row.passage_id) for row in rows]
            session.execute(delete(Passage).where(key.in_(keys)))
            done.pictures += _remove_pictures(session, store, rows)
            done.passages += len(rows)
            return True
        kept = session.scalars(listed).all()
        done.held = len(kept)
        if not session.scalar(select(Passage.plate).where(Passage.plate == order.plate).limit(1)):
            for table in (Plate, PlateCandidate):
                session.execute(delete(table).where(table.plate == order.plate))
        return False


def _remove_pictures(session: Session, store: PictureStore, rows: Sequence[Passage]) -> int:
    """Remove pictures of passages that are deleted already, except those that others show too."""
    names = {name for row in rows for name in row.detail.pictures()}
    for row in rows:
        others = session.scalars(
            select(Passage.detail).where(
                Passage.checkpoint_id == row.checkpoint_id,
                Passage.captured_at.between(
                    row.captured_at - _SAME_FRAME, row.captured_at + _SAME_FRAME
                ),
            )
        )
        for other in others:
            names.difference_update(other.pictures())
    if names:
        lock_pictures(session, names)
        session.execute(delete(Evidence).where(Evidence.sha256.in_(names)))
    return sum(store.remove(name) for name in sorted(names))


def _time(text: str, default: datetime, number: int) -> datetime:
    if not text:
        return default
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"line {number}: {text!r} is no ISO 8601 instant") from None
    if instant.tzinfo is None:
        raise InvalidRequest(f"line {number}: {text!r} needs an offset, such as +08:00")
    return instant
