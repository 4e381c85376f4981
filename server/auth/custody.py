"""Keeping the protected plates (红名单): put on the list on somebody's order, lifted with a reason.

Only the custodian does this and only he sees the list. Every act is on the audit log, where all
others see that he did something, not to which plate.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.plate import UNREAD, is_rubbish, normalise
from server import audit
from server.auth.accounts import Account
from server.errors import Conflict, InvalidRequest, NotFound
from server.tables import ProtectedPlate

MAX_PLATE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class ProtectedView:
    """An entry of the list."""

    id: int
    plate: str
    authority: str
    added_at: datetime
    added_by: str
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_reason: str | None


def protect(  # noqa: PLR0913 - what, on whose order, by whom, from where, when
    session: Session, plate: str, *, authority: str, account: Account, address: str, now: datetime
) -> ProtectedView:
    """Protect a plate, at once in force, for what has been stored before too.

    Raises:
        InvalidRequest: not a whole plate, or no authority given.
        Conflict: it is protected already.
    """
    text = normalise(plate)
    if UNREAD in text or "*" in text or len(text) > MAX_PLATE_LENGTH or is_rubbish(text):
        raise InvalidRequest(f"plate: {plate[:40]!r} is not a whole plate", field="plate")
    authority = _required(authority, "authority", 200)
    twin = select(ProtectedPlate.id).where(
        ProtectedPlate.plate == text, ProtectedPlate.lifted_at.is_(None)
    )
    if session.scalar(twin) is not None:
        raise Conflict("plate: protected already", field="plate")
    row = ProtectedPlate(plate=text, authority=authority, added_at=now, added_by=account.name)
    session.add(row)
    session.flush()
    _record(session, "protected.add", row, account, address, now)
    return _view(row)


def lift(  # noqa: PLR0913 - which, why, by whom, from where, when
    session: Session, entry_id: int, *, reason: str, account: Account, address: str, now: datetime
) -> ProtectedView:
    """Take a plate off the list; the entry stays on record.

    Raises:
        InvalidRequest: no reason given.
        NotFound: no such entry.
        Conflict: lifted already.
    """
    reason = _required(reason, "reason", 500)
    row = session.get(ProtectedPlate, entry_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no protected plate {entry_id}")
    if row.lifted_at is not None:
        raise Conflict(f"entry {entry_id} is lifted already")
    row.lifted_at, row.lifted_by, row.lifted_reason = now, account.name, reason
    session.flush()
    _record(session, "protected.lift", row, account, address, now)
    return _view(row)


def list_protected(session: Session, *, limit: int = 1000) -> tuple[ProtectedView, ...]:
    """The list: entries in force first, newest first."""
    rows = session.scalars(
        select(ProtectedPlate)
        .order_by(ProtectedPlate.lifted_at.is_not(None), ProtectedPlate.id.desc())
        .limit(limit)
    )
    return tuple(_view(row) for row in rows)


def _required(text: str, field: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise InvalidRequest(f"{field}: 1 to {longest} printable characters", field=field)
    return text


def _record(  # noqa: PLR0913, PLR0917 - the parts of an account
    session: Session,
    action: str,
    row: ProtectedPlate,
    account: Account,
    address: str,
    now: datetime,
) -> None:
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action=action,
        detail={"entry": row.id, "subject": row.plate, "authority": row.authority},
    )


def _view(row: ProtectedPlate) -> ProtectedView:
    return ProtectedView(
        id=row.id,
        plate=row.plate,
        authority=row.authority,
        added_at=row.added_at,
        added_by=row.added_by,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lifted_reason=row.lifted_reason,
    )
