"""The alert wall (预警墙): what is unsigned, what is in hand, and signing."""

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.alerts.ahead import places_ahead
from server.alerts.handling import sign_alert
from server.alerts.routes import Wanted, hand_of
from server.alerts.service import AlertFilter, count_alerts, list_alerts
from server.alerts.states import AlertState
from server.alerts.story import last_sightings
from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Operator, Watcher
from server.auth.sight import sight_of
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest
from server.http import RowId
from server.tables import Area
from server.web.forms import said
from server.web.rendering import language_of, render, wants_fragment
from server.web.texts import load_texts

router = APIRouter(include_in_schema=False)

MAX_UNSIGNED = 60
"""More cards than that nobody can look at; the page says how many older ones there are."""
MAX_IN_HAND = 40
MAX_CLOSED = 10
SILENT_KEEPALIVES = 2.5
"""So many missed signs of life and the page says that it has lost the server."""
IN_HAND = frozenset(AlertState) - {AlertState.NEW, AlertState.CLOSED}


@router.get("/wall")
def wall(request: Request, context: Context, account: Watcher, wanted: Wanted) -> Response:
    """The wall; its script keeps it live from the number it was drawn at."""
    return _wall(request, context, account, wanted)


@router.get("/wall/board")
def board(request: Request, context: Context, account: Watcher, wanted: Wanted) -> Response:
    """The board alone."""
    return _wall(request, context, account, wanted)


@router.post("/alerts/{alert_id}/sign")
def sign(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    wanted: Wanted,
    alert_id: RowId,
    badge_number: Annotated[str, Form()] = "",
    unit: Annotated[str, Form(alias="signing_unit")] = "",
    page: Annotated[str, Form(max_length=8)] = "wall",
) -> Response:
    """Take an alert over (签收)."""
    notice = ""
    try:
        with context.database.write() as session:
            hand = hand_of(session, context, account, address)
            sign_alert(session, alert_id, hand, badge_number=badge_number, unit=unit)
        context.stream.wake()
    except Conflict:  # somebody was faster: the board shows who
        notice = load_texts(language_of(request))("alert.taken")
    except InvalidRequest as error:
        notice = said(request, error)
    if page == "alert" and not notice:
        return RedirectResponse(f"/alerts/{alert_id}", status_code=303)
    if notice or wants_fragment(request):
        return _wall(request, context, account, wanted, notice)
    return RedirectResponse(_address("/wall", wanted), status_code=303)


def _wall(
    request: Request, context: AppContext, account: Account, wanted: AlertFilter, notice: str = ""
) -> Response:
    """The board, for a browser with the page around it."""
    silence_ms = round(context.settings.alerts.keepalive_s * SILENT_KEEPALIVES * 1000)
    with context.database.read() as session:
        values = _board(session, context, account, wanted)
    return render(
        request,
        "_board.html" if wants_fragment(request) else "wall.html",
        page="wall",
        account=account,
        silence_ms=silence_ms,
        notice=notice,
        wanted=wanted,
        board_url=_address("/wall/board", wanted),
        stream_url=_address("/api/v1/alerts/stream", wanted),
        query=_query(wanted),
        **values,
    )


def _board(
    session: Session, context: AppContext, account: Account, wanted: AlertFilter
) -> dict[str, Any]:
    now, settings = context.clock(), context.settings
    sight = sight_of(session, account, now, settings)
    # the cursor of the first list is read before anything else, so the stream that goes on from
    # it may repeat what is drawn here, and never leaves a gap
    # gravest first: however many lesser alerts come, none pushes a grave one off the wall
    unsigned = list_alerts(
        session,
        sight,
        replace(wanted, states=frozenset({AlertState.NEW})),
        limit=MAX_UNSIGNED,
        gravest_first=True,
    )
    in_hand = list_alerts(session, sight, replace(wanted, states=IN_HAND), limit=MAX_IN_HAND)
    ended = replace(wanted, states=frozenset({AlertState.CLOSED}))
    closed = list_alerts(session, sight, ended, limit=MAX_CLOSED)
    ahead = places_ahead(
        session,
        unsigned.alerts,
        now=now,
        sight=sight,
        settings=settings,
        traffic=context.traffic.get(session),
    )
    return {
        "cursor": unsigned.cursor,
        "ahead": ahead,
        "unsigned": unsigned.alerts,
        "lately": last_sightings(session, unsigned.alerts, sight, now),
        "handled": (*in_hand.alerts, *closed.alerts),
        "counts": count_alerts(session, sight, now, settings.alerts.overdue_s, wanted),
        "overdue_s": settings.alerts.overdue_s,
        "areas": session.execute(select(Area.id, Area.name).order_by(Area.name)).all(),
    }


def _query(wanted: AlertFilter) -> str:
    pairs: list[tuple[str, object]] = [("level", level) for level in sorted(wanted.levels)]
    pairs += [(k, v) for k, v in (("area", wanted.area_id), ("unit", wanted.unit)) if v]
    return urlencode(pairs)


def _address(path: str, wanted: AlertFilter) -> str:
    query = _query(wanted)
    return f"{path}?{query}" if query else path
