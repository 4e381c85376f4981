"""The alert wall (预警墙): what is unsigned, what is in hand, signing and closing."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from server.alerts.service import close_alert, count_alerts, list_alerts, sign_alert
from server.alerts.states import AlertState
from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Operator, Watcher
from server.auth.sight import sight_of
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest
from server.http import RowId
from server.web.forms import said
from server.web.rendering import language_of, render, wants_fragment
from server.web.texts import load_texts

router = APIRouter(include_in_schema=False)

MAX_UNSIGNED = 60
"""More cards than that nobody can look at; the page says how many older ones there are."""
MAX_SIGNED = 40
MAX_CLOSED = 10
OVERDUE_S = 120.0
"""An alert that is unsigned for longer is marked, and counted (the two minutes of 预警签收)."""
SILENT_KEEPALIVES = 2.5
"""So many missed signs of life and the page says that it has lost the server."""


@router.get("/wall")
def wall(request: Request, context: Context, account: Watcher) -> Response:
    """The wall; its script keeps it live from the number it was drawn at."""
    return _wall(request, context, account, "")


@router.get("/wall/board")
def board(request: Request, context: Context, account: Watcher) -> Response:
    """The board alone."""
    return _wall(request, context, account, "")


@router.post("/alerts/{alert_id}/sign")
def sign(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    alert_id: RowId,
    badge_number: Annotated[str, Form()] = "",
    unit: Annotated[str, Form()] = "",
) -> Response:
    """Take an alert over (签收)."""
    notice = ""
    try:
        with context.database.write() as session:
            sign_alert(
                session,
                alert_id,
                sight=sight_of(session, account, context.clock(), context.settings),
                account=account,
                badge_number=badge_number,
                unit=unit,
                address=address,
                now=context.clock(),
            )
        context.stream.wake()
    except Conflict:  # somebody was faster: the board shows who
        notice = load_texts(language_of(request))("alert.taken")
    except InvalidRequest as error:
        notice = said(request, error)
    return _answer(request, context, account, notice)


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
    notice = ""
    try:
        with context.database.write() as session:
            close_alert(
                session,
                alert_id,
                sight=sight_of(session, account, context.clock(), context.settings),
                account=account,
                outcome=outcome,
                address=address,
                now=context.clock(),
            )
        context.stream.wake()
    except (Conflict, InvalidRequest) as error:
        notice = said(request, error)
    return _answer(request, context, account, notice)


def _answer(request: Request, context: AppContext, account: Account, notice: str) -> Response:
    if notice or wants_fragment(request):
        return _wall(request, context, account, notice)
    return RedirectResponse("/wall", status_code=303)


def _wall(request: Request, context: AppContext, account: Account, notice: str) -> Response:
    """The board, for a browser with the page around it."""
    silence_ms = round(context.settings.alerts.keepalive_s * SILENT_KEEPALIVES * 1000)
    with context.database.read() as session:
        values = _board(session, context, account)
    return render(
        request,
        "_board.html" if wants_fragment(request) else "wall.html",
        page="wall",
        account=account,
        silence_ms=silence_ms,
        notice=notice,
        **values,
    )


def _board(session: Session, context: AppContext, account: Account) -> dict[str, Any]:
    sight = sight_of(session, account, context.clock(), context.settings)
    # the cursor of the first list is read before anything else, so the stream that goes on from
    # it may repeat what is drawn here, and never leaves a gap
    # gravest first: however many lesser alerts come, none pushes a grave one off the wall
    unsigned = list_alerts(
        session, sight, states=[AlertState.NEW], limit=MAX_UNSIGNED, gravest_first=True
    )
    signed = list_alerts(session, sight, states=[AlertState.SIGNED], limit=MAX_SIGNED)
    closed = list_alerts(session, sight, states=[AlertState.CLOSED], limit=MAX_CLOSED)
    return {
        "cursor": unsigned.cursor,
        "unsigned": unsigned.alerts,
        "handled": (*signed.alerts, *closed.alerts),
        "counts": count_alerts(session, sight, context.clock(), OVERDUE_S),
        "overdue_s": OVERDUE_S,
    }
