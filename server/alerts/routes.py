"""Alerts, for people and their walls."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Header, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy.orm import Session

from server.alerts.handling import (
    Hand,
    NewFeedback,
    close_alert,
    dispatch,
    give_feedback,
    sign_alert,
    sign_feedback,
)
from server.alerts.service import (
    AlertFilter,
    AlertPage,
    AlertView,
    changed_after,
    latest_seq,
    list_alerts,
)
from server.alerts.states import AlertState, Finding
from server.alerts.statistics import Statistics, statistics_of
from server.alerts.story import AlertStory, alert_story, feedback_picture
from server.alerts.stream import StreamEvent
from server.auth.accounts import Account
from server.auth.guards import SESSION_COOKIE, ClientAddress, Operator, Watcher
from server.auth.sessions import account_of
from server.auth.sight import sight_of
from server.context import AppContext, Context
from server.http import RowId

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])
feedback_router = APIRouter(prefix="/api/v1/feedback", tags=["alerts"])
"""A path of its own: bodies with pictures may be larger than others."""

_as_json = TypeAdapter(AlertView)
_MAX_SEQ = 2**63 - 1


class SignBody(BaseModel):
    """Who takes an alert over; left out, the signer's own badge number and unit stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    badge_number: str = Field(default="", max_length=32)
    unit: str = Field(default="", max_length=100)


class OrderBody(BaseModel):
    """An order to a unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str = Field(max_length=100)
    text: str = Field(max_length=1000)


class FeedbackBody(BaseModel):
    """What was found; with pictures it goes to ``/api/v1/feedback/{alert_id}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: Finding
    text: str = Field(max_length=2000)
    true_plate: str = Field(default="", max_length=64)


class CloseBody(BaseModel):
    """How it ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: str = Field(max_length=2000)


def wanted_alerts(
    *,
    level: Annotated[list[int], Query(max_length=4)] = [],  # noqa: B006 - copied by FastAPI
    area: Annotated[str, Query(max_length=64)] = "",
    unit: Annotated[str, Query(max_length=100)] = "",
) -> AlertFilter:
    """Which alerts: of these levels, in this area (辖区), of this unit; nothing said means all."""
    return AlertFilter(
        levels=frozenset(level) & {1, 2, 3, 4}, area_id=area.strip(), unit=unit.strip()
    )


Wanted = Annotated[AlertFilter, Depends(wanted_alerts)]


@router.get("")
def get_alerts(  # noqa: PLR0913 - the filter's parts
    account: Operator,
    context: Context,
    wanted: Wanted,
    *,
    state: Annotated[list[AlertState], Query()] = [],  # noqa: B006 - copied by FastAPI
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before_id: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
) -> AlertPage:
    """List alerts, newest first; ``cursor`` is where the stream goes on from."""
    wanted = replace(wanted, states=frozenset(state))
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        return list_alerts(session, sight, wanted, limit=limit, before_id=before_id)


@router.get("/stream", response_class=StreamingResponse)
async def get_stream(  # noqa: PLR0913 - the two ways to say from where
    account: Watcher,
    request: Request,
    context: Context,
    wanted: Wanted,
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
        _events(context, start, token, wanted),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/statistics")
def get_statistics(
    account: Operator, context: Context, *, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> Statistics:
    """Give how right the alerts of the last days were, from the feedback on them."""
    now = context.clock()
    with context.database.read() as session:
        sight = sight_of(session, account, now, context.settings)
        return statistics_of(session, sight, now - timedelta(days=days), now)


@router.get("/{alert_id}")
def get_one(alert_id: RowId, account: Operator, context: Context) -> AlertStory:
    """Give one alert with everything that was done."""
    now = context.clock()
    with context.database.read() as session:
        sight = sight_of(session, account, now, context.settings)
        return alert_story(session, alert_id, sight, now)


@router.get("/{alert_id}/pictures/{picture_id}", response_class=Response)
def get_picture(
    alert_id: RowId, picture_id: RowId, account: Operator, context: Context
) -> Response:
    """Give a picture that came with feedback."""
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        data = feedback_picture(session, alert_id, picture_id, sight)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.post("/{alert_id}/sign")
def post_sign(
    alert_id: RowId, body: SignBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Take an alert over; the first signature counts, a later one is answered 409."""
    with context.database.write() as session:
        alert = sign_alert(
            session,
            alert_id,
            hand_of(session, context, account, address),
            badge_number=body.badge_number or account.badge_number,
            unit=body.unit or account.unit,
        )
    context.stream.wake()
    return alert


@router.post("/{alert_id}/dispatch")
def post_dispatch(
    alert_id: RowId, body: OrderBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Send a unit out."""
    with context.database.write() as session:
        hand = hand_of(session, context, account, address)
        alert = dispatch(session, alert_id, hand, unit=body.unit, text=body.text)
    context.stream.wake()
    return alert


@router.post("/{alert_id}/feedback")
def post_feedback(
    alert_id: RowId, body: FeedbackBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Say what was found."""
    feedback = NewFeedback(body.finding, body.text, body.true_plate)
    with context.database.write() as session:
        hand = hand_of(session, context, account, address)
        alert = give_feedback(session, alert_id, hand, feedback)
    context.stream.wake()
    return alert


@feedback_router.post("/{alert_id}")
def post_feedback_with_pictures(  # noqa: PLR0913, PLR0917 - the form's fields
    alert_id: RowId,
    account: Operator,
    address: ClientAddress,
    context: Context,
    finding: Annotated[Finding, Form()],
    text: Annotated[str, Form(max_length=2000)],
    true_plate: Annotated[str, Form(max_length=64)] = "",
    pictures: Annotated[list[UploadFile], File()] = [],  # noqa: B006 - copied by FastAPI
) -> AlertView:
    """Say what was found, with pictures (JPEG), as ``multipart/form-data``."""
    files = [picture.file.read() for picture in pictures]
    feedback = NewFeedback(finding, text, true_plate, files)
    with context.database.write() as session:
        hand = hand_of(session, context, account, address)
        alert = give_feedback(session, alert_id, hand, feedback)
    context.stream.wake()
    return alert


@router.post("/{alert_id}/feedback/sign")
def post_sign_feedback(
    alert_id: RowId, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Take note of all feedback that is there."""
    with context.database.write() as session:
        alert = sign_feedback(session, alert_id, hand_of(session, context, account, address))
    context.stream.wake()
    return alert


@router.post("/{alert_id}/close")
def post_close(
    alert_id: RowId, body: CloseBody, account: Operator, address: ClientAddress, context: Context
) -> AlertView:
    """Close an alert whose feedback is signed, with its outcome."""
    with context.database.write() as session:
        hand = hand_of(session, context, account, address)
        alert = close_alert(session, alert_id, hand, outcome=body.outcome)
    context.stream.wake()
    return alert


def hand_of(session: Session, context: AppContext, account: Account, address: str) -> Hand:
    """The hand of somebody who is logged in, as of this transaction."""
    now = context.clock()
    return Hand(account, address, now, sight_of(session, account, now, context.settings))


def latest(context: AppContext) -> int:
    """The number of the latest change of any alert."""
    with context.database.read() as session:
        return latest_seq(session)


def events_after(
    context: AppContext, seq: int, token: str, wanted: AlertFilter
) -> list[StreamEvent]:
    """What a listener who has seen ``seq`` has not seen yet, of what he may and wants to see now."""
    now = context.clock()
    with context.database.read() as session:
        account = account_of(session, token, now)
        if account is None:
            return []
        sight = sight_of(session, account, now, context.settings)
        changed = changed_after(session, seq, sight, wanted)
    return [
        StreamEvent(
            seq=alert.changed_seq, name=_name(alert, seq), data=_as_json.dump_json(alert).decode()
        )
        for alert in changed
    ]


def _name(alert: AlertView, seq: int) -> str:
    if alert.id > seq:
        return "alert"
    return "alert-risen" if (alert.risen_seq or 0) > seq else "alert-changed"


def _is_open(context: AppContext, token: str) -> bool:
    with context.database.read() as session:
        return account_of(session, token, context.clock()) is not None


async def _events(
    context: AppContext, start: int, token: str, wanted: AlertFilter
) -> AsyncIterator[bytes]:
    async def fetch(seq: int) -> list[StreamEvent]:
        return await run_in_threadpool(events_after, context, seq, token, wanted)

    async def permitted() -> bool:
        return await run_in_threadpool(_is_open, context, token)

    async for chunk in context.stream.listen(start, fetch, permitted):
        yield chunk
