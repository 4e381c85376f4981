"""Approvals of old queries (审批) and protected plates (红名单)."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from server import audit
from server.audit_search import sought_protected
from server.auth.accounts import Account, Role
from server.auth.approvals import decide, list_approvals, request_approval
from server.auth.custody import lift, list_protected, protect
from server.auth.guards import ClientAddress, Custodian, Operator, Supervisor
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest, NotAllowed, PurposeMissing
from server.http import RowId
from server.web.forms import local_instant, said
from server.web.rendering import render, zone_of

router = APIRouter(include_in_schema=False)

_EMPTY_REQUEST = {"plate": "", "from": "", "purpose": "", "case_number": "", "why": ""}
_EMPTY_PLATE = {"plate": "", "authority": ""}


# ---- approvals


@router.get("/approvals")
def show_approvals(request: Request, context: Context, account: Operator) -> Response:
    """One's own requests, or for a supervisor everybody's; what waits comes first."""
    return _approvals(request, context, account)


@router.post("/approvals")
def ask(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    plate: Annotated[str, Form()] = "",
    since: Annotated[str, Form(alias="from")] = "",
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
    why: Annotated[str, Form()] = "",
) -> Response:
    """Ask for leave to look further back."""
    form = {
        "plate": plate,
        "from": since,
        "purpose": purpose,
        "case_number": case_number,
        "why": why,
    }
    try:
        back_to = _required_instant(request, since)
        with context.database.write() as session:
            request_approval(
                session,
                purpose=audit.stated_purpose(
                    purpose, case_number, context.settings.search.purposes
                ),
                plate=plate,
                since=back_to,
                why=why,
                account=account,
                address=address,
                now=context.clock(),
            )
    except (InvalidRequest, PurposeMissing) as error:
        errors = {error.field or "why": said(request, error)}
        return _approvals(request, context, account, form, errors, error.status)
    return RedirectResponse("/approvals", status_code=303)


@router.post("/approvals/{approval_id}")
def decide_one(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Supervisor,
    address: ClientAddress,
    approval_id: RowId,
    decision: Annotated[str, Form()] = "",
    hours: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
) -> Response:
    """Approve or refuse what another person asks for."""
    try:
        approve = _decision(decision)
        with context.database.write() as session:
            decide(
                session,
                approval_id,
                approve=approve,
                hours=int(hours) if hours.isascii() and hours.isdigit() and len(hours) < 6 else 0,
                note=note,
                account=account,
                address=address,
                now=context.clock(),
                settings=context.settings.approval,
            )
    except (InvalidRequest, Conflict, NotAllowed) as error:
        errors = {f"decision-{approval_id}": said(request, error)}
        return _approvals(request, context, account, None, errors, error.status)
    return RedirectResponse("/approvals", status_code=303)


def _required_instant(request: Request, text: str) -> datetime:
    instant = local_instant(text, zone_of(request), "from")
    if instant is None:
        raise InvalidRequest("from: say how far back", field="from")
    return instant


def _decision(text: str) -> bool:
    if text not in {"approve", "refuse"}:
        raise InvalidRequest("decision: approve or refuse", field="decision")
    return text == "approve"


def _approvals(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    form: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    with context.database.read() as session:
        approvals = list_approvals(session, account)
    return render(
        request,
        "approvals.html",
        page="approvals",
        account=account,
        status=status,
        approvals=approvals,
        may_decide=account.role.covers(Role.SUPERVISOR),
        after_days=context.settings.approval.after_days,
        longest_hours=context.settings.approval.longest_hours,
        purposes=context.settings.search.purposes,
        form=form or _EMPTY_REQUEST,
        errors=errors or {},
    )


# ---- protected plates


@router.get("/protected")
def show_protected(
    request: Request,
    context: Context,
    account: Custodian,
    before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> Response:
    """The list, and who was looking for what is on it."""
    return _protected(request, context, account, before=before)


@router.post("/protected")
def add_protected(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Custodian,
    address: ClientAddress,
    plate: Annotated[str, Form()] = "",
    authority: Annotated[str, Form()] = "",
) -> Response:
    """Protect a plate."""
    try:
        with context.database.write() as session:
            protect(
                session,
                plate,
                authority=authority,
                account=account,
                address=address,
                now=context.clock(),
            )
    except (InvalidRequest, Conflict) as error:
        form = {"plate": plate, "authority": authority}
        errors = {error.field or "plate": said(request, error)}
        return _protected(request, context, account, form, errors, error.status)
    return RedirectResponse("/protected", status_code=303)


@router.post("/protected/{entry_id}/lift")
def lift_protected(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Custodian,
    address: ClientAddress,
    entry_id: RowId,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Protect a plate no longer."""
    try:
        with context.database.write() as session:
            lift(
                session,
                entry_id,
                reason=reason,
                account=account,
                address=address,
                now=context.clock(),
            )
    except (InvalidRequest, Conflict) as error:
        errors = {"lift": said(request, error)}
        return _protected(request, context, account, None, errors, error.status)
    return RedirectResponse("/protected", status_code=303)


def _protected(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    form: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
    before: int | None = None,
) -> Response:
    with context.database.read() as session:
        plates = list_protected(session)
        records = sought_protected(session, limit=50, before_seq=before)
    return render(
        request,
        "protected.html",
        page="protected",
        account=account,
        status=status,
        plates=plates,
        records=records,
        form=form or _EMPTY_PLATE,
        errors=errors or {},
    )
