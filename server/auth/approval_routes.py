"""Approvals of old queries, protected plates and cases, for programs; pages use the same functions."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from server import audit
from server.audit import AuditView
from server.audit_search import sought_protected
from server.auth.approvals import ApprovalView, decide, list_approvals, request_approval
from server.auth.cases import CaseView, add_member, case_log, list_cases
from server.auth.custody import ProtectedView, lift, list_protected, protect
from server.auth.guards import ClientAddress, Custodian, Officer, Operator, Supervisor
from server.context import Context
from server.http import RowId, no_content

router = APIRouter(prefix="/api/v1", tags=["rights"])

BeforeSeq = Annotated[int | None, Query(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]
CaseNumber = Annotated[str, Query(min_length=1, max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestBody(_Body):
    """How far back, for which case, for which plate (none = any), and why."""

    purpose: str = Field(max_length=200)
    case_number: str = Field(max_length=64)
    plate: str = Field(default="", max_length=64)
    since: AwareDatetime
    why: str = Field(max_length=1000)


class DecisionBody(_Body):
    """For how many hours, or (refused) why not."""

    approve: bool
    hours: int = Field(default=24, ge=1, le=24 * 90)
    note: str = Field(default="", max_length=1000)


class ProtectBody(_Body):
    """A plate and on whose order."""

    plate: str = Field(max_length=64)
    authority: str = Field(max_length=200)


class LiftBody(_Body):
    """Why it is protected no longer."""

    reason: str = Field(max_length=500)


class MemberBody(_Body):
    """Who answers for a case too."""

    case_number: str = Field(min_length=1, max_length=64)
    user_name: str = Field(max_length=64)


# ---- approvals


@router.get("/approvals")
def get_approvals(account: Operator, context: Context) -> tuple[ApprovalView, ...]:
    """List one's own requests; a supervisor sees everybody's. What waits comes first."""
    with context.database.read() as session:
        return list_approvals(session, account)


@router.post("/approvals", status_code=201)
def post_approval(
    body: RequestBody, account: Operator, address: ClientAddress, context: Context
) -> ApprovalView:
    """Ask for leave to look further back."""
    allowed = context.settings.search.purposes
    with context.database.write() as session:
        return request_approval(
            session,
            purpose=audit.stated_purpose(body.purpose, body.case_number, allowed),
            plate=body.plate,
            since=body.since,
            why=body.why,
            account=account,
            address=address,
            now=context.clock(),
        )


@router.post("/approvals/{approval_id}/decision")
def post_decision(
    approval_id: RowId,
    body: DecisionBody,
    account: Supervisor,
    address: ClientAddress,
    context: Context,
) -> ApprovalView:
    """Approve or refuse what another person asks for."""
    with context.database.write() as session:
        return decide(
            session,
            approval_id,
            approve=body.approve,
            hours=body.hours,
            note=body.note,
            account=account,
            address=address,
            now=context.clock(),
            settings=context.settings.approval,
        )


# ---- protected plates


@router.get("/protected-plates")
def get_protected(_account: Custodian, context: Context) -> tuple[ProtectedView, ...]:
    """List protected plates."""
    with context.database.read() as session:
        return list_protected(session)


@router.post("/protected-plates", status_code=201)
def post_protected(
    body: ProtectBody, account: Custodian, address: ClientAddress, context: Context
) -> ProtectedView:
    """Protect a plate."""
    with context.database.write() as session:
        return protect(
            session,
            body.plate,
            authority=body.authority,
            account=account,
            address=address,
            now=context.clock(),
        )


@router.post("/protected-plates/{entry_id}/lift")
def post_lift(
    entry_id: RowId, body: LiftBody, account: Custodian, address: ClientAddress, context: Context
) -> ProtectedView:
    """Protect a plate no longer."""
    with context.database.write() as session:
        return lift(
            session,
            entry_id,
            reason=body.reason,
            account=account,
            address=address,
            now=context.clock(),
        )


@router.get("/protected-plates/sought")
def get_sought(
    _account: Custodian, context: Context, *, limit: Limit = 100, before_seq: BeforeSeq = None
) -> tuple[AuditView, ...]:
    """List who was looking for protected plates, newest first."""
    with context.database.read() as session:
        return sought_protected(session, limit=limit, before_seq=before_seq)


# ---- cases


@router.get("/cases")
def get_cases(account: Officer, context: Context) -> tuple[CaseView, ...]:
    """List the cases that one answers for."""
    with context.database.read() as session:
        return list_cases(session, account)


@router.get("/cases/log")
def get_case_log(
    account: Officer,
    context: Context,
    case_number: CaseNumber,
    *,
    limit: Limit = 100,
    before_seq: BeforeSeq = None,
) -> tuple[AuditView, ...]:
    """List who looked at what under the number of a case that one answers for."""
    with context.database.read() as session:
        return case_log(session, case_number, account, limit=limit, before_seq=before_seq)


@router.post("/cases/members", status_code=204)
def post_member(
    body: MemberBody, account: Officer, address: ClientAddress, context: Context
) -> Response:
    """Let another officer answer for a case too."""
    with context.database.write() as session:
        add_member(
            session,
            body.case_number,
            body.user_name,
            account=account,
            address=address,
            now=context.clock(),
        )
    return no_content()
