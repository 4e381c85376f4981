"""Cases (案件): who answers for one, and so sees who looked at what under its number.

The first officer who names a case number in a query or on the watchlist answers for the case
(:func:`server.audit.record`); he, or a supervisor, adds others. Whoever uses the number
afterwards does not join by that: his queries show up in the log of those who do.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server import audit
from server.audit import AuditView
from server.audit_search import AuditQuery, search_audit
from server.auth.accounts import Account, Role
from server.errors import InvalidRequest, NotAllowed, NotFound
from server.tables import CaseMember, User


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as listed."""

    case_number: str
    members: tuple[str, ...]
    opened_at: datetime


def list_cases(session: Session, account: Account, *, limit: int = 200) -> tuple[CaseView, ...]:
    """The cases that one answers for, newest first."""
    mine = (
        select(CaseMember.case_number)
        .where(CaseMember.user_name == account.name)
        .order_by(CaseMember.added_at.desc())
        .limit(limit)
    )
    rows = session.scalars(
        select(CaseMember)
        .where(CaseMember.case_number.in_(session.scalars(mine).all()))
        .order_by(CaseMember.added_at, CaseMember.user_name)
    )
    by_case: dict[str, list[CaseMember]] = {}
    for row in rows:
        by_case.setdefault(row.case_number, []).append(row)
    cases = [
        CaseView(number, tuple(row.user_name for row in members), members[0].added_at)
        for number, members in by_case.items()
    ]
    return tuple(sorted(cases, key=lambda case: case.opened_at, reverse=True))


def case_log(
    session: Session,
    case_number: str,
    account: Account,
    *,
    limit: int = 200,
    before_seq: int | None = None,
) -> tuple[AuditView, ...]:
    """Who looked at what under a case's number, newest first.

    Raises:
        NotFound: there is no such case, or he does not answer for it; the two look the same.
    """
    require_case(session, case_number, account)
    query = AuditQuery(case_number=case_number, limit=limit, before_seq=before_seq)
    return search_audit(session, query, account)


def add_member(  # noqa: PLR0913 - which case, whom, by whom, from where, when
    session: Session,
    case_number: str,
    user_name: str,
    *,
    account: Account,
    address: str,
    now: datetime,
) -> None:
    """Let another officer answer for a case too; doing so again is harmless.

    Raises:
        NotFound: no such case of his.
        InvalidRequest: no such officer.
    """
    require_case(session, case_number, account)
    user = session.get(User, user_name)
    if user is None or user.disabled_at or not Role(user.role).covers(Role.OFFICER):
        raise InvalidRequest(f"user_name: no officer {user_name[:64]}", field="user_name")
    if session.get(CaseMember, (case_number, user_name)) is not None:
        return
    session.add(
        CaseMember(
            case_number=case_number, user_name=user_name, added_at=now, added_by=account.name
        )
    )
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="case.add_member",
        detail={"case_number": case_number, "subject": user_name},
    )


def require_case(session: Session, case_number: str, account: Account) -> None:
    """Refuse whoever does not answer for a case and is no supervisor.

    Raises:
        NotAllowed: he is no officer.
        NotFound: there is no such case, or it is not his; the two look the same.
    """
    if not account.role.covers(Role.OFFICER):
        raise NotAllowed("needs the role officer")
    known = session.scalar(
        select(CaseMember.user_name).where(CaseMember.case_number == case_number).limit(1)
    )
    member = session.get(CaseMember, (case_number, account.name)) is not None
    if known is None or not (member or account.role.covers(Role.SUPERVISOR)):
        raise NotFound(f"no case {case_number[:64]} of yours")
