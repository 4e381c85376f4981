"""Notices that could not be delivered (死信): seen, and sent again."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.auth.guards import ClientAddress, Supervisor
from server.context import Context
from server.errors import Conflict
from server.http import RowId
from server.notices.queue import count_notices, list_notices, requeue
from server.web.rendering import render

router = APIRouter(include_in_schema=False)

NOTICE_PAGE = 100


@router.get("/notices")
def notices(
    request: Request,
    context: Context,
    account: Supervisor,
    state: Annotated[str, Query(max_length=8)] = "dead",
    before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> Response:
    """Dead letters, newest first; or what waits, or what was sent."""
    chosen = state if state in {"dead", "waiting", "sent"} else "dead"
    with context.database.read() as session:
        found = list_notices(session, chosen, limit=NOTICE_PAGE, before_id=before)
        counts = count_notices(session)
    return render(
        request,
        "notices.html",
        page="notices",
        account=account,
        notices=found,
        counts=counts,
        state=chosen,
        older=found[-1].id if len(found) == NOTICE_PAGE else None,
    )


@router.post("/notices/{notice_id}/requeue")
def send_again(
    context: Context, account: Supervisor, address: ClientAddress, notice_id: RowId
) -> Response:
    """Send a dead letter again."""
    try:
        with context.database.write() as session:
            requeue(session, notice_id, account=account, address=address, now=context.clock())
    except Conflict:
        pass  # somebody has done so already: the page shows it
    return RedirectResponse("/notices", status_code=303)
