"""The audit log (审计), searched by administrators."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from anpr.plate import normalise
from server.audit_search import AuditQuery, look_up_audit
from server.auth.accounts import Account
from server.auth.guards import Administrator, ClientAddress
from server.context import AppContext, Context
from server.errors import InvalidRequest
from server.web.forms import local_instant, said
from server.web.rendering import render, zone_of

if TYPE_CHECKING:
    from server.audit import AuditView

router = APIRouter(include_in_schema=False)

AUDIT_PAGE = 100
_EMPTY = dict.fromkeys(("user_name", "case_number", "action", "purpose", "plate", "from", "to"), "")
_MAX_SEQ = 2**63 - 1

BeforeSeq = Annotated[int | None, Query(ge=0, le=_MAX_SEQ)]


@router.get("/audit")
def show_audit(
    request: Request,
    context: Context,
    account: Administrator,
    address: ClientAddress,
    before: BeforeSeq = None,
) -> Response:
    """The newest records, and the form to search."""
    return _audit(request, context, account, address, dict(_EMPTY), before)


@router.post("/audit")
def search_audit(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Administrator,
    address: ClientAddress,
    user_name: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
    action: Annotated[str, Form()] = "",
    purpose: Annotated[str, Form()] = "",
    plate: Annotated[str, Form()] = "",
    since: Annotated[str, Form(alias="from")] = "",
    until: Annotated[str, Form(alias="to")] = "",
    before: Annotated[int | None, Form(ge=0, le=_MAX_SEQ)] = None,
) -> Response:
    """Search the log. Posted, so that no plate stands in an address or a proxy's log."""
    query = {
        "user_name": user_name.strip(),
        "case_number": case_number.strip(),
        "action": action,
        "purpose": purpose,
        "plate": normalise(plate),
        "from": since,
        "to": until,
    }
    return _audit(request, context, account, address, query, before)


def _audit(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    query: dict[str, str],
    before: int | None,
) -> Response:
    errors: dict[str, str] = {}
    records: tuple[AuditView, ...] = ()
    try:
        wanted = AuditQuery(
            user_name=query["user_name"] or None,
            case_number=query["case_number"] or None,
            action=query["action"] or None,
            purpose=query["purpose"] or None,
            plate=query["plate"] or None,
            since=local_instant(query["from"], zone_of(request), "from"),
            until=local_instant(query["to"], zone_of(request), "to"),
            before_seq=before,
            limit=AUDIT_PAGE,
        )
        with context.database.write() as session:
            records = look_up_audit(session, wanted, account, address, context.clock())
    except InvalidRequest as error:
        errors[error.field or "from"] = said(request, error)
    return render(
        request,
        "audit.html",
        page="audit",
        account=account,
        records=records,
        older=records[-1].seq if len(records) == AUDIT_PAGE else None,
        query=query,
        searched=any(query.values()),
        purposes=context.settings.search.purposes,
        errors=errors,
    )
