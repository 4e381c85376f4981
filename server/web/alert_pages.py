"""One alert from its raising to its end (预警处置), the list of all, and how right they were."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server.alerts.ahead import places_ahead
from server.alerts.handling import (
    Hand,
    NewFeedback,
    close_alert,
    dispatch,
    give_feedback,
    sign_feedback,
)
from server.alerts.routes import Wanted, hand_of
from server.alerts.service import AlertFilter, list_alerts
from server.alerts.states import AlertState, AlertStep, Finding
from server.alerts.statistics import statistics_of
from server.alerts.story import alert_story
from server.auth.accounts import Account, Role
from server.auth.guards import ClientAddress, Operator
from server.auth.sight import sight_of
from server.cases.service import cases_of_alert
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest
from server.http import RowId
from server.tables import Area
from server.web.forms import said
from server.web.rendering import render

router = APIRouter(include_in_schema=False)

Step = Callable[[Session, Hand], object]

LIST_PAGE = 100
_MAX_SEQ = 2**63 - 1


@router.get("/alerts")
def alerts(  # noqa: PLR0913, PLR0917 - the filter's parts
    request: Request,
    context: Context,
    account: Operator,
    wanted: Wanted,
    state: Annotated[str, Query(max_length=16)] = "",
    plate: Annotated[str, Query(max_length=32)] = "",
    before: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
) -> Response:
    """All alerts, newest first."""
    states = frozenset({AlertState(state)}) if state in set(AlertState) else frozenset()
    chosen = AlertFilter(wanted.levels, wanted.area_id, wanted.unit, states, normalise(plate))
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        found = list_alerts(session, sight, chosen, limit=LIST_PAGE, before_id=before).alerts
        areas = session.execute(select(Area.id, Area.name).order_by(Area.name)).all()
    return render(
        request,
        "alerts.html",
        page="alerts",
        account=account,
        alerts=found,
        wanted=chosen,
        state=state,
        states=tuple(AlertState),
        areas=areas,
        older=found[-1].id if len(found) == LIST_PAGE else None,
    )


@router.get("/alerts/{alert_id}")
def alert(request: Request, context: Context, account: Operator, alert_id: RowId) -> Response:
    """One alert with everything that was done and may be done next."""
    return _alert(request, context, account, alert_id)


@router.post("/alerts/{alert_id}/dispatch")
def send_out(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    alert_id: RowId,
    order_unit: Annotated[str, Form()] = "",
    order: Annotated[str, Form()] = "",
) -> Response:
    """Send a unit out (下达指令)."""

    def step(session: Session, hand: Hand) -> object:
        return dispatch(session, alert_id, hand, unit=order_unit, text=order)

    return _take_step(request, context, account, address, alert_id, step)


@router.post("/feedback/{alert_id}")
def feed_back(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    alert_id: RowId,
    finding: Annotated[str, Form()] = "",
    feedback: Annotated[str, Form()] = "",
    true_plate: Annotated[str, Form()] = "",
    pictures: Annotated[list[UploadFile], File()] = [],  # noqa: B006 - copied by FastAPI
) -> Response:
    """Say what was found (反馈), with pictures."""
    # a browser sends an empty file where none was chosen
    files = [data for file in pictures if (data := file.file.read())]

    def step(session: Session, hand: Hand) -> object:
        if finding not in set(Finding):
            raise InvalidRequest("finding: say what was found", field="finding")
        new = NewFeedback(Finding(finding), feedback, true_plate, files)
        return give_feedback(session, alert_id, hand, new)

    form = {"finding": finding, "feedback": feedback, "true_plate": true_plate}
    return _take_step(request, context, account, address, alert_id, step, form)


@router.post("/alerts/{alert_id}/feedback/sign")
def sign_off(
    request: Request, context: Context, account: Operator, address: ClientAddress, alert_id: RowId
) -> Response:
    """Take note of the feedback (反馈签收)."""

    def step(session: Session, hand: Hand) -> object:
        return sign_feedback(session, alert_id, hand)

    return _take_step(request, context, account, address, alert_id, step)


@router.post("/alerts/{alert_id}/close")
def close(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    alert_id: RowId,
    outcome: Annotated[str, Form()] = "",
) -> Response:
    """End an alert with its outcome (办结)."""

    def step(session: Session, hand: Hand) -> object:
        return close_alert(session, alert_id, hand, outcome=outcome)

    return _take_step(request, context, account, address, alert_id, step, {"outcome": outcome})


@router.get("/statistics")
def statistics(
    request: Request,
    context: Context,
    account: Operator,
    days: Annotated[int, Query(ge=1, le=366)] = 30,
) -> Response:
    """How right the alerts of a period were: by entry, by checkpoint, by pair of characters."""
    now = context.clock()
    with context.database.read() as session:
        sight = sight_of(session, account, now, context.settings)
        found = statistics_of(session, sight, now - timedelta(days=days), now)
    return render(
        request, "statistics.html", page="alerts", account=account, found=found, days=days
    )


def _take_step(  # noqa: PLR0913, PLR0917 - whose step, on what, what is to be shown again
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    alert_id: int,
    step: Step,
    form: dict[str, str] | None = None,
) -> Response:
    try:
        with context.database.write() as session:
            step(session, hand_of(session, context, account, address))
        context.stream.wake()
    except (Conflict, InvalidRequest) as error:
        errors = {error.field or "step": said(request, error)}
        return _alert(request, context, account, alert_id, errors, form, error.status)
    return RedirectResponse(f"/alerts/{alert_id}", status_code=303)


def _alert(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    alert_id: int,
    errors: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    now = context.clock()
    with context.database.read() as session:
        sight = sight_of(session, account, now, context.settings)
        story = alert_story(session, alert_id, sight, now)
        cases = cases_of_alert(session, alert_id)
        ahead = places_ahead(
            session,
            [story.alert],
            now=now,
            sight=sight,
            settings=context.settings,
            traffic=context.traffic.get(session),
        )
    empty = {"finding": "", "feedback": "", "true_plate": "", "outcome": ""}
    return render(
        request,
        "alert.html",
        page="alerts",
        account=account,
        status=status,
        story=story,
        a=story.alert,
        steps=set(story.steps),
        step=AlertStep,
        findings=tuple(Finding),
        cases=cases,
        ahead=ahead.get(alert_id, ()),
        may_attach=account.role.covers(Role.OFFICER),
        overdue_s=context.settings.alerts.overdue_s,
        errors=errors or {},
        form=empty | (form or {}),
    )
