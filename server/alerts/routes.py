"""Alerts, for people and their walls."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from server.alerts.service import (
    AlertPage,
    AlertView,
    changed_after,
    close_alert,
    get_alert,
    latest_seq,
    list_alerts,
    sign_alert,
)
from server.alerts.states import AlertState
from server.alerts.stream import StreamEvent
from server.auth.guards import SESSION_COOKIE, ClientAddress, Operator, Watcher
from server.auth.sessions import account_of
from server.auth.sight import sight_of
from server.context import AppContext, Context
from server.http import RowId

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])

_as_json = TypeAdapter(AlertView)
_MAX_SEQ = 2**63 - 1


class SignBody(BaseModel):
    """Who takes an alert over; left out, the signer's own badge number and unit stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    badge_number: str = Field(default="", max_length=32)
    unit: str = Field(default="", max_length=100)


class CloseBody(BaseModel):
    """How it ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: str = Field(max_length=2000)


@router.get("")
def get_alerts(
    account: Operator,
    context: Context,
    *,
    state: Annotated[list[AlertState], Query()] = [],  # noqa: B006 - copied by FastAPI
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before_id: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
) -> AlertPage:
    """List alerts, newest first; ``cursor`` is where the stream goes on from."""
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        return list_alerts(session, sight, states=state, limit=limit, before_id=before_id)


@router.get("/stream", response_class=StreamingResponse)
async def get_stream(
    account: Watcher,
    request: Request,
    context: Context,
    *,
    after: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Stream alerts as server-sent events, from ``Last-Event-ID``, else ``after``, else now."""
    del account
    token = request.cookies.get(SESSION_COOKIE, "")
    start = await run_in_threadpool(latest, context)
    # a number from before the database was restored may be ahead of it: then from now on,
    # else the listener would wait for numbers that are long in coming
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        start = min(int(last_event_id), start)
    elif after is not None:
        start = min(after, start)
    return StreamingResponse(
        _events(context, start, token),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/{alert_id}")
def get_one(alert_id: RowId, account: Operator, context: Context) -> AlertView:
    """Give one alert."""
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        return get_alert(session, alert_id, sight)


@router.post("/{alert_id}/sign")
def post_sign(
    alert_id: RowId, body: SignBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Take an alert over; the first signature counts, a later one is answered 409."""
    with context.database.write() as session:
        alert = sign_alert(
            session,
            alert_id,
            sight=sight_of(session, account, context.clock(), context.settings),
            account=account,
            badge_number=body.badge_number or account.badge_number,
            unit=body.unit or account.unit,
            address=address,
            now=context.clock(),
        )
    context.stream.wake()
    return alert


@router.post("/{alert_id}/close")
def post_close(
    alert_id: RowId, body: CloseBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Close a signed alert with its outcome."""
    with context.database.write() as session:
        alert = close_alert(
            session,
            alert_id,
            sight=sight_of(session, account, context.clock(), context.settings),
            account=account,
            outcome=body.outcome,
            address=address,
            now=context.clock(),
        )
    context.stream.wake()
    return alert


def latest(context: AppContext) -> int:
    """The number of the latest change of any alert."""
    with context.database.read() as session:
        return latest_seq(session)


def events_after(context: AppContext, seq: int, token: str) -> list[StreamEvent]:
    """What a listener who has seen ``seq`` has not seen yet, of what he may see now."""
    now = context.clock()
    with context.database.read() as session:
        account = account_of(session, token, now)
        if account is None:
            return []
        changed = changed_after(session, seq, sight_of(session, account, now, context.settings))
    return [
        StreamEvent(
            seq=alert.changed_seq,
            name="alert" if alert.id > seq else "alert-changed",
            data=_as_json.dump_json(alert).decode(),
        )
        for alert in changed
    ]


def _is_open(context: AppContext, token: str) -> bool:
    with context.database.read() as session:
        return account_of(session, token, context.clock()) is not None


async def _events(context: AppContext, start: int, token: str) -> AsyncIterator[bytes]:
    async def fetch(seq: int) -> list[StreamEvent]:
        return await run_in_threadpool(events_after, context, seq, token)

    async def permitted() -> bool:
        return await run_in_threadpool(_is_open, context, token)

    async for chunk in context.stream.listen(start, fetch, permitted):
        yield chunk
