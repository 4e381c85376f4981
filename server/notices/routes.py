"""Notices, for programs: what waits, what is dead, and sending it again."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from server.auth.guards import ClientAddress, Supervisor
from server.context import Context
from server.http import RowId
from server.notices.queue import NoticeView, list_notices, requeue

router = APIRouter(prefix="/api/v1/notices", tags=["notices"])


@router.get("")
def get_notices(
    _account: Supervisor,
    context: Context,
    *,
    state: Literal["waiting", "sent", "dead"] = "dead",
    before_id: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> tuple[NoticeView, ...]:
    """List notices of a state, newest first; dead letters (``dead``) are those given up."""
    with context.database.read() as session:
        return list_notices(session, state, before_id=before_id)


@router.post("/{notice_id}/requeue")
def post_requeue(
    notice_id: RowId, account: Supervisor, address: ClientAddress, context: Context
) -> NoticeView:
    """Send a dead letter again."""
    with context.database.write() as session:
        return requeue(session, notice_id, account=account, address=address, now=context.clock())
