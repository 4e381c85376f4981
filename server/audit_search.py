"""The audit log as people are shown it: searched by administrators, by case by who answers for it.

Only the custodian sees that a record is about a protected plate (红名单): from everybody else the
mark is taken, and what the custodian has done to the list is shown without its plates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from server import audit
from server.audit import SOUGHT, AuditView
from server.auth.accounts import Account, Role
from server.tables import AuditRecord, ProtectedSought

CUSTODY = "protected."
"""Beginning of the actions of the custodian."""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which records; every condition given must hold. Times aware; ``until`` exclusive.

    ``action`` is a whole one, or the thing alone (``passage`` for ``passage.*``).
    """

    user_name: str | None = None
    case_number: str | None = None
    action: str | None = None
    purpose: str | None = None
    plate: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_seq: int | None = None
    limit: int = 100


def search_audit(session: Session, query: AuditQuery, account: Account) -> tuple[AuditView, ...]:
    """Find records, newest first, as this person may see them."""
    found = audit.recent(
        session,
        *_conditions(query, account),
        limit=query.limit,
        before_seq=query.before_seq,
    )
    return tuple(_shown(view, account) for view in found)


def look_up_audit(
    session: Session, query: AuditQuery, account: Account, address: str, now: datetime
) -> tuple[AuditView, ...]:
    """Find records for an administrator, and record that he looked; needs a writing session.

    Paging through the newest records without any condition is not recorded: it is what the page
    opens with, and the log would soon be about itself.
    """
    found = search_audit(session, query, account)
    said = {key: value for key, value in _told(query).items() if value is not None}
    if said:
        audit.record(
            session,
            now=now,
            user_name=account.name,
            address=address,
            action="audit.search",
            detail=said | {"found": len(found)},
        )
    return found


def sought_protected(
    session: Session, *, limit: int = 100, before_seq: int | None = None
) -> tuple[AuditView, ...]:
    """Who was looking for protected plates, newest first; for the custodian."""
    wanted = AuditRecord.seq.in_(select(ProtectedSought.audit_seq))
    return audit.recent(session, wanted, limit=limit, before_seq=before_seq)


def _told(query: AuditQuery) -> Mapping[str, Any]:
    return {
        "user": query.user_name,
        "case": query.case_number,
        "action": query.action,
        "purpose": query.purpose,
        "plate": query.plate,
        "since": query.since.isoformat() if query.since else None,
        "until": query.until.isoformat() if query.until else None,
    }


def _conditions(query: AuditQuery, account: Account) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, value in (
        (AuditRecord.user_name, query.user_name),
        (AuditRecord.case_number, query.case_number),
        (AuditRecord.purpose, query.purpose),
    ):
        if value:
            found.append(column == value)
    if query.action:
        exactly = AuditRecord.action == query.action
        thing = AuditRecord.action.startswith(f"{query.action}.", autoescape=True)
        found.append(exactly | thing)
    if query.plate:
        found.append(AuditRecord.detail["plate"].as_string() == query.plate)
        if not account.role.covers(Role.CUSTODIAN):
            # that a search by plate finds the custodian's act would tell which plate it was
            found.append(~AuditRecord.action.startswith(CUSTODY))
    if query.since is not None:
        found.append(AuditRecord.at >= query.since)
    if query.until is not None:
        found.append(AuditRecord.at < query.until)
    return found


def _shown(view: AuditView, account: Account) -> AuditView:
    if account.role.covers(Role.CUSTODIAN):
        return view
    if view.action.startswith(CUSTODY):
        return replace(view, detail={})
    return replace(view, detail={k: v for k, v in view.detail.items() if k != SOUGHT})
