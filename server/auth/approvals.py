"""Leave to look further back than everybody may: asked for, then approved or refused by another.

Time-limited, for one case, and if it says so for one plate. What it opens says
:mod:`server.auth.sight`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server import audit
from server.audit import Purpose
from server.auth.accounts import Account, Role
from server.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from server.settings_security import ApprovalSettings
from server.tables import Approval

MAX_PLATE_LENGTH = 16
FIRST_YEAR = 1970


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request and what became of it."""

    id: int
    user_name: str
    purpose: str
    case_number: str
    plate: str
    """'' = any."""
    since: datetime
    why: str
    state: str
    """``requested``, ``approved`` or ``refused``; an approved one ends at ``expires_at``."""
    requested_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    expires_at: datetime | None


def request_approval(  # noqa: PLR0913 - what for, how far, why, by whom, from where, when
    session: Session,
    *,
    purpose: Purpose,
    plate: str,
    since: datetime,
    why: str,
    account: Account,
    address: str,
    now: datetime,
) -> ApprovalView:
    """Ask for leave to look back as far as ``since``.

    Raises:
        InvalidRequest: plate, period or reason are not usable.
    """
    text = normalise(plate)
    if len(text) > MAX_PLATE_LENGTH:
        raise InvalidRequest(f"plate: at most {MAX_PLATE_LENGTH} characters", field="plate")
    if since >= now or since.year < FIRST_YEAR:
        raise InvalidRequest("since: must be in the past, and in our time", field="since")
    why = _required(why, "why")
    row = Approval(
        user_name=account.name,
        purpose=purpose.purpose,
        case_number=purpose.case_number,
        plate=text,
        since=since.astimezone(UTC),
        why=why,
        state="requested",
        requested_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="approval.request",
        purpose=purpose,
        detail={"approval": row.id, "plate": text or None, "since": row.since.isoformat()},
    )
    return _view(row)


def decide(  # noqa: PLR0913 - which, how, for how long, why, by whom, from where, when
    session: Session,
    approval_id: int,
    *,
    approve: bool,
    hours: int,
    note: str,
    account: Account,
    address: str,
    now: datetime,
    settings: ApprovalSettings,
) -> ApprovalView:
    """Approve a request for some hours, or refuse it with a reason; another person's, never one's own.

    Raises:
        NotFound: no such request.
        NotAllowed: it is his own.
        Conflict: it is decided already.
        InvalidRequest: too many hours, or a refusal without a reason.
    """
    row = session.get(Approval, approval_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no request {approval_id}")
    if row.user_name == account.name:
        raise NotAllowed("nobody approves what he asked for himself")
    if row.state != "requested":
        raise Conflict(f"request {approval_id} is decided already, by {row.decided_by}")
    if approve and not 1 <= hours <= settings.longest_hours:
        raise InvalidRequest(f"hours: 1 to {settings.longest_hours}", field="hours")
    note = note.strip()
    if not approve or note:
        note = _required(note, "note")
    row.state = "approved" if approve else "refused"
    row.decided_at, row.decided_by, row.note = now, account.name, note
    row.expires_at = now + timedelta(hours=hours) if approve else None
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="approval.approve" if approve else "approval.refuse",
        purpose=Purpose(row.purpose, row.case_number),
        detail={
            "approval": row.id,
            "for": row.user_name,
            "plate": row.plate or None,
            "since": row.since.isoformat(),
            "expires_at": row.expires_at.isoformat() if row.expires_at else None,
            "note": note,
        },
    )
    return _view(row)


def list_approvals(
    session: Session, account: Account, *, limit: int = 200
) -> tuple[ApprovalView, ...]:
    """Those one may decide or has asked for: all for a supervisor, else one's own; newest first.

    What waits comes first.
    """
    query = select(Approval).order_by(Approval.state != "requested", Approval.id.desc())
    if not account.role.covers(Role.SUPERVISOR):
        query = query.where(Approval.user_name == account.name)
    return tuple(_view(row) for row in session.scalars(query.limit(limit)))


def _required(text: str, field: str) -> str:
    text = text.strip()
    if not text or len(text) > 1000 or "\0" in text:
        raise InvalidRequest(f"{field}: 1 to 1000 characters", field=field)
    return text


def _view(row: Approval) -> ApprovalView:
    return ApprovalView(
        id=row.id,
        user_name=row.user_name,
        purpose=row.purpose,
        case_number=row.case_number,
        plate=row.plate,
        since=row.since,
        why=row.why,
        state=row.state,
        requested_at=row.requested_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        note=row.note,
        expires_at=row.expires_at,
    )
