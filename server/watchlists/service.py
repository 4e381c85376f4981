"""Entries of the watchlist: added with a reason, withdrawn with a reason, never deleted.

Every change takes a new revision in the same transaction; matching follows the revision.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from anpr.plate import UNREAD, is_rubbish, normalise
from server import audit
from server.auth.accounts import Account
from server.db import next_number
from server.errors import Conflict, InvalidRequest, NotFound
from server.settings import WatchlistSettings
from server.tables import Alert, Counter, WatchlistEntry

MAX_PLATE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What somebody wants to have watched."""

    plate: str
    reason: str
    level: int
    """1 the gravest … 4."""
    case_number: str
    valid_from: datetime | None = None
    """None = now."""
    valid_to: datetime | None = None
    """Exclusive; None = until withdrawn."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as shown."""

    id: int
    plate: str
    reason: str
    level: int
    case_number: str
    note: str
    valid_from: datetime
    valid_to: datetime | None
    state: str
    created_at: datetime
    created_by: str
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdrawn_reason: str | None
    alerts: int


def add_entry(  # noqa: PLR0913 - what, by whom, from where, when, under which rules
    session: Session,
    entry: NewEntry,
    *,
    account: Account,
    address: str,
    now: datetime,
    settings: WatchlistSettings,
) -> EntryView:
    """Put a plate on the watchlist, at once in force.

    Raises:
        InvalidRequest: a field is wrong; the message names it.
        Conflict: the same plate is watched already under the same case number.
    """
    plate = _checked_plate(entry.plate)
    _check(entry, now, settings)
    case_number = entry.case_number.strip()
    revision = next_number(session, "watchlist")  # changes of the list follow one another
    twin = session.scalar(
        select(WatchlistEntry.id).where(
            WatchlistEntry.plate == plate,
            WatchlistEntry.case_number == case_number,
            WatchlistEntry.state == "active",
        )
    )
    if twin is not None:
        raise Conflict(f"plate: watched already under this case (entry {twin})", field="plate")
    row = WatchlistEntry(
        plate=plate,
        reason=entry.reason,
        level=entry.level,
        case_number=case_number,
        note=entry.note.strip(),
        valid_from=entry.valid_from or now,
        valid_to=entry.valid_to,
        state="active",
        created_at=now,
        created_by=account.name,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="watchlist.add",
        detail={
            "entry": row.id,
            "plate": plate,
            "reason": row.reason,
            "level": row.level,
            "case_number": case_number,
            "revision": revision,
        },
    )
    return _view(row, 0)


def withdraw_entry(  # noqa: PLR0913 - which, why, by whom, from where, when
    session: Session, entry_id: int, *, reason: str, account: Account, address: str, now: datetime
) -> EntryView:
    """Take an entry off the watchlist; it stays on record.

    Raises:
        NotFound: no such entry.
        InvalidRequest: no reason given.
        Conflict: withdrawn already.
    """
    reason = reason.strip()
    if not reason:
        raise InvalidRequest("reason: say why the entry is withdrawn", field="reason")
    revision = next_number(session, "watchlist")
    row = session.scalar(
        select(WatchlistEntry).where(WatchlistEntry.id == entry_id).with_for_update()
    )
    if row is None:
        raise NotFound(f"no watchlist entry {entry_id}")
    if row.state != "active":
        raise Conflict(f"entry {entry_id} is withdrawn already")
    row.state = "withdrawn"
    row.withdrawn_at, row.withdrawn_by, row.withdrawn_reason = now, account.name, reason
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="watchlist.withdraw",
        detail={"entry": row.id, "plate": row.plate, "reason": reason, "revision": revision},
    )
    return _view(row, _alert_count(session, row.id))


def list_entries(
    session: Session, *, state: str | None = None, limit: int = 500
) -> tuple[EntryView, ...]:
    """Entries newest first, each with the number of its alerts."""
    counts = (
        select(Alert.entry_id, func.count().label("alerts")).group_by(Alert.entry_id).subquery()
    )
    query = (
        select(WatchlistEntry, func.coalesce(counts.c.alerts, 0))
        .outerjoin(counts, counts.c.entry_id == WatchlistEntry.id)
        .order_by(WatchlistEntry.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(WatchlistEntry.state == state)
    return tuple(_view(row, alerts) for row, alerts in session.execute(query))


def current_revision(session: Session) -> int:
    """The number of the latest change of the watchlist."""
    return session.execute(select(Counter.value).where(Counter.name == "watchlist")).scalar_one()


def get_entry(session: Session, entry_id: int) -> EntryView:
    """One entry.

    Raises:
        NotFound: no such entry.
    """
    row = session.get(WatchlistEntry, entry_id)
    if row is None:
        raise NotFound(f"no watchlist entry {entry_id}")
    return _view(row, _alert_count(session, entry_id))


def _checked_plate(text: str) -> str:
    plate = normalise(text)
    if UNREAD in plate or "*" in plate:
        raise InvalidRequest("plate: a whole plate, without ? or *", field="plate")
    if len(plate) > MAX_PLATE_LENGTH or is_rubbish(plate):
        raise InvalidRequest(f"plate: {text!r} is not a plate", field="plate")
    return plate


def _check(entry: NewEntry, now: datetime, settings: WatchlistSettings) -> None:
    if entry.reason not in settings.reasons:
        raise InvalidRequest(f"reason: one of {', '.join(settings.reasons)}", field="reason")
    if not 1 <= entry.level <= 4:
        raise InvalidRequest("level: 1 to 4", field="level")
    case_number = entry.case_number.strip()
    if not case_number or len(case_number) > audit.MAX_CASE_NUMBER_LENGTH:
        raise InvalidRequest(
            f"case_number: 1 to {audit.MAX_CASE_NUMBER_LENGTH} characters", field="case_number"
        )
    if not case_number.isprintable() or "\0" in entry.note:
        raise InvalidRequest("case_number: printable characters only", field="case_number")
    if entry.valid_to is not None and entry.valid_to <= max(entry.valid_from or now, now):
        raise InvalidRequest("valid_to: after valid_from, and not in the past", field="valid_to")


def _alert_count(session: Session, entry_id: int) -> int:
    count = select(func.count()).select_from(Alert).where(Alert.entry_id == entry_id)
    return session.scalar(count) or 0


def _view(row: WatchlistEntry, alerts: int) -> EntryView:
    return EntryView(
        id=row.id,
        plate=row.plate,
        reason=row.reason,
        level=row.level,
        case_number=row.case_number,
        note=row.note,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        state=row.state,
        created_at=row.created_at,
        created_by=row.created_by,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
        withdrawn_reason=row.withdrawn_reason,
        alerts=alerts,
    )
