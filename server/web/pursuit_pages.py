"""Following a plate (追踪): where it comes next and can be stopped; its route as a file."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from server.auth.accounts import Account
from server.auth.guards import SESSION_COOKIE, ClientAddress, Officer, Operator
from server.auth.sight import sight_of
from server.checkpoints.service import places
from server.context import AppContext, Context
from server.errors import ApprovalNeeded, InvalidRequest, PurposeMissing
from server.exports.routes import answer
from server.exports.trajectory import export_trajectory
from server.passages.lookup import Inquiry
from server.trajectories.chase import Followed, Unit, look_up_pursuit
from server.trajectories.live import words
from server.web.forms import local_instant, said
from server.web.rendering import render, zone_of

router = APIRouter(include_in_schema=False)


@router.get("/pursuit")
def show_pursuit(
    request: Request, context: Context, account: Operator, case_number: str = ""
) -> Response:
    """The form; nothing is looked up without a purpose, and no plate stands in an address."""
    query = {"plate": "", "case_number": case_number}
    return _page(request, context, account, "pursuit.html", query, {}, None)


@router.post("/pursuit")
@router.post("/pursuit/board")
def pursue(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    plate: Annotated[str, Form()] = "",
    ready_minutes: Annotated[str, Form(max_length=6)] = "",
    unit: Annotated[str, Form(max_length=64)] = "",
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
) -> Response:
    """Follow a plate; the page asks again by itself, for the part that changes."""
    query = {
        "plate": plate,
        "ready_minutes": ready_minutes,
        "unit": unit,
        "purpose": purpose,
        "case_number": case_number,
    }
    template = "_pursuit.html" if request.url.path.endswith("/board") else "pursuit.html"
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    try:
        followed = _follow(context, plate, inquiry, unit, ready_minutes)
    except (InvalidRequest, PurposeMissing, ApprovalNeeded) as error:
        errors = {error.field or "query": said(request, error)}
        return _page(request, context, account, "pursuit.html", query, errors, None)
    return _page(request, context, account, template, query, {}, followed)


@router.post("/pursuit/stream", response_class=StreamingResponse)
async def stream(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    plate: Annotated[str, Form()] = "",
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
    seen: Annotated[str, Form(max_length=36)] = "",
) -> StreamingResponse:
    """Say when there is something new; asked for with a reason, like what it is about."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    followed = await run_in_threadpool(_follow, context, plate, inquiry, "", "")
    try:
        shown = UUID(seen) if seen else None
    except ValueError:
        raise InvalidRequest("seen: a passage", field="seen") from None
    token = request.cookies.get(SESSION_COOKIE, "")
    return StreamingResponse(
        words(context, followed.plate, token, shown),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.post("/export/trajectory.{ending}")
def export(  # noqa: PLR0913, PLR0917 - the form's fields, and as what
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    ending: str,
    plate: Annotated[str, Form()] = "",
    since: Annotated[str, Form(alias="from")] = "",
    until: Annotated[str, Form(alias="to")] = "",
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
) -> Response:
    """A route as a file."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    zone = zone_of(request)
    made = export_trajectory(
        context,
        plate,
        inquiry,
        ending,
        since=local_instant(since, zone, "from"),
        until=local_instant(until, zone, "to"),
    )
    return answer(made)


def _follow(
    context: AppContext, plate: str, inquiry: Inquiry, unit: str, ready_minutes: str
) -> Followed:
    minutes = (
        float(ready_minutes) if ready_minutes.isascii() and ready_minutes.isdecimal() else None
    )
    if ready_minutes and (minutes is None or minutes > 600):
        raise InvalidRequest("ready_minutes: 0 to 600 whole minutes", field="ready_minutes")
    with context.database.write() as session:
        traffic = context.traffic.get(session)
        stands = traffic.places.get(unit)
        return look_up_pursuit(
            session,
            plate,
            inquiry,
            context.settings,
            traffic,
            unit=Unit(stands.lat, stands.lon) if stands is not None else None,
            ready_s=None if minutes is None else minutes * 60,
        )


def _page(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    template: str,
    query: dict[str, str],
    errors: dict[str, str],
    followed: Followed | None,
) -> Response:
    settings = context.settings
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), settings)
        mine = sorted(
            (place for place in places(session).values() if sight.covers(place.id)),
            key=lambda place: place.id,
        )
    pursuit = followed.pursuit if followed is not None else None
    usual = f"{settings.trajectory.roadblock_ready_s / 60:.0f}"
    shown = {"plate": "", "unit": "", "purpose": "", "case_number": ""} | query
    shown["ready_minutes"] = query.get("ready_minutes") or usual
    return render(
        request,
        template,
        page="search",
        account=account,
        query=shown,
        errors=errors,
        purposes=settings.search.purposes,
        checkpoints=mine,
        followed=followed,
        pursuit_geojson=_drawn(followed),
        silent_s=(pursuit.now - pursuit.seen_at).total_seconds() if pursuit is not None else 0.0,
    )


def _drawn(followed: Followed | None) -> dict[str, Any]:
    """What the map shows: the last sighting, what may come next, where to stop it."""
    if followed is None or followed.pursuit is None or followed.last is None:
        return {"type": "FeatureCollection", "features": []}
    found: list[tuple[str, str, float]] = [
        ("block", one.checkpoint_id, one.chance)
        for one in followed.pursuit.roadblocks[:10]
        if one.chance > 0
    ]
    found += [("next", one.checkpoint_id, one.probability) for one in followed.pursuit.next[:8]]
    features = [
        _point(kind, followed.places[name].lon, followed.places[name].lat, chance,
               f"{followed.places[name].name}\n{chance:.0%}")
        for kind, name, chance in found
        if name in followed.places
    ]  # fmt: skip
    last = followed.last.checkpoint
    features.append(_point("last", last.lon, last.lat, 1.0, last.name))
    return {"type": "FeatureCollection", "features": features}


def _point(kind: str, lon: float, lat: float, chance: float, label: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": {"kind": kind, "key": label, "label": label, "chance": round(chance, 4)},
    }
