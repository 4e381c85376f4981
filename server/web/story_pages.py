"""Search by story (线索查车) and files to take away: a vehicle of which no plate is known.

Road or area, some minutes, and whatever somebody remembers of the vehicle, give a wall of
thumbnails. The same form gives the same passages as a file.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from server.auth.accounts import Account, Role
from server.auth.guards import ClientAddress, Officer, Operator
from server.checkpoints.service import CheckpointPlace, places
from server.context import AppContext, Context
from server.errors import ApprovalNeeded, InvalidRequest, PurposeMissing, RequestError
from server.exports.routes import answer
from server.exports.service import export_package, export_passages
from server.passages.areas import circle_of, polygon_of
from server.passages.lookup import Inquiry, look_up_passages
from server.passages.search import PassageQuery
from server.web.forms import local_instant, said
from server.web.rendering import render, wants_fragment, zone_of
from server.wire.v1 import Direction, PlateColor, PlateKind, PlateState, VehicleColor

router = APIRouter(include_in_schema=False)

TILES = 48
"""Passages on one page of the wall."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "vehicle_color": VehicleColor.__args__,  # type: ignore[attr-defined]
    "plate_color": PlateColor.__args__,  # type: ignore[attr-defined]
    "plate_kind": PlateKind.__args__,  # type: ignore[attr-defined]
    "plate_state": PlateState.__args__,  # type: ignore[attr-defined]
    "direction": Direction.__args__,  # type: ignore[attr-defined]
}
FIELDS = (
    "plate", "changes", "from", "to", "road", "circle", "polygon", *_CHOICES, "lane",
    "min_speed_kmh", "max_speed_kmh", "purpose", "case_number",
)  # fmt: skip
Fields = dict[str, str]


async def _fields(request: Request) -> Fields:
    """What the form holds, of the fields that there are; the last of repeated ones."""
    form = await request.form()
    return {name: str(form.get(name) or "").strip()[:20_000] for name in FIELDS}


FormFields = Annotated[Fields, Depends(_fields)]


@router.get("/story")
def show_story(request: Request, context: Context, account: Operator) -> Response:
    """The form; nothing is looked up without a purpose."""
    return _page(request, context, account, dict.fromkeys(FIELDS, ""), {"asked": False})


@router.post("/story")
def story(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    fields: FormFields,
    cursor: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """The wall of what passed there then and looked like that."""
    return _answer(request, context, account, address, fields, cursor)


@router.post("/export/passages.{ending}")
def export(  # noqa: PLR0913, PLR0917 - the form's fields, and as what
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    fields: FormFields,
    ending: str,
) -> Response:
    """The same passages as a file."""
    inquiry = _inquiry(context, account, address, fields)
    return answer(export_passages(context, query_of(request, fields, 1), inquiry, ending))


@router.post("/export/evidence.pdf")
def export_evidence(  # noqa: PLR0913, PLR0917 - the form's fields
    context: Context,
    account: Officer,
    address: ClientAddress,
    passage_id: Annotated[list[UUID], Form()] = [],  # noqa: B006 - copied by FastAPI
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
) -> Response:
    """An evidence package of these passages."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    return answer(export_package(context, tuple(passage_id), inquiry))


def query_of(request: Request, fields: Fields, limit: int, cursor: str = "") -> PassageQuery:
    """What a form asks for.

    Raises:
        InvalidRequest: a field cannot be read; the message names it.
    """
    zone = zone_of(request)
    chosen: dict[str, tuple[str, ...]] = {}
    for name, choices in _CHOICES.items():
        if fields[name] and fields[name] not in choices:
            raise InvalidRequest(f"{name}: one of {', '.join(choices)}", field=name)
        chosen[f"{name}s"] = (fields[name],) if fields[name] else ()
    lane = _number(fields, "lane", 0, 99)
    changes = _number(fields, "changes", 0, 2)
    return PassageQuery(
        plate=fields["plate"] or None,
        changes=int(changes or 0),
        since=local_instant(fields["from"], zone, "from"),
        until=local_instant(fields["to"], zone, "to"),
        circle=circle_of(fields["circle"]) if fields["circle"] else None,
        polygon=polygon_of(fields["polygon"]) if fields["polygon"] else None,
        road=fields["road"][:100],
        lanes=() if lane is None else (int(lane),),
        min_speed_kmh=_number(fields, "min_speed_kmh", 0, 1000),
        max_speed_kmh=_number(fields, "max_speed_kmh", 0, 1000),
        limit=limit,
        cursor=cursor or None,
        **chosen,
    )


def _number(fields: Fields, name: str, least: float, most: float) -> float | None:
    if not fields[name]:
        return None
    try:
        number = float(fields[name])
    except ValueError:
        number = most + 1
    if not least <= number <= most:
        raise InvalidRequest(f"{name}: {least:g} to {most:g}", field=name)
    return number


def _inquiry(context: AppContext, account: Account, address: str, fields: Fields) -> Inquiry:
    return Inquiry(account, address, context.clock(), fields["purpose"], fields["case_number"])


def _answer(  # noqa: PLR0913, PLR0917 - who asks, from where, what
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    fields: Fields,
    cursor: str,
) -> Response:
    try:
        _require_bounds(fields)
        limit = min(TILES, context.settings.search.max_page)
        query = query_of(request, fields, limit, cursor)
        inquiry = _inquiry(context, account, address, fields)
        with context.database.write() as session:
            page = look_up_passages(
                session, query, inquiry, context.settings, context.plates, always=True
            )
    except (InvalidRequest, PurposeMissing, ApprovalNeeded) as error:
        return _page(request, context, account, fields, {"asked": False}, error)
    values = {"asked": True, "passages": page.passages, "older": page.next_cursor or ""}
    return _page(request, context, account, fields, values)


def _require_bounds(fields: Fields) -> None:
    """A story has a beginning and an end; without them it would be a look at everything."""
    for name in ("from", "to"):
        if not fields[name]:
            raise InvalidRequest(f"{name}: a story has a time", field=name)


def _page(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    fields: Fields,
    values: dict[str, Any],
    error: RequestError | None = None,
) -> Response:
    with context.database.read() as session:
        all_places = sorted(places(session).values(), key=lambda place: place.id)
    return render(
        request,
        "_story.html" if wants_fragment(request) else "story.html",
        page="search",
        account=account,
        query=fields,
        fields=FIELDS,
        errors={error.field or "query": said(request, error)} if error else {},
        purposes=context.settings.search.purposes,
        choices=_CHOICES,
        roads=sorted({place.road for place in all_places if place.road}),
        checkpoints=points_of(all_places),
        may_export=account.role.covers(Role.OFFICER),
        **({"passages": (), "older": ""} | values),
    )


def points_of(all_places: Sequence[CheckpointPlace]) -> dict[str, Any]:
    """Checkpoints for a map: a FeatureCollection of points ``[lon, lat]``, WGS-84."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [place.lon, place.lat]},
                "properties": {"key": place.id, "name": place.name},
            }
            for place in all_places
        ],
    }
