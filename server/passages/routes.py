"""Passages and their pictures, for people."""

# ruff: noqa: FAST003 - the hash in the path is read by the dependency

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import AwareDatetime

from server.auth.guards import ClientAddress, Operator
from server.auth.sight import sight_of
from server.context import Context
from server.errors import NotFound, Unavailable
from server.http import answer
from server.ingest.thumbnails import thumbnail
from server.passages.areas import circle_of, polygon_of
from server.passages.lookup import (
    Inquiry,
    in_utc,
    is_running_picture,
    look_up_passages,
    look_up_plates,
    open_passage,
)
from server.passages.pictures import PictureOf, may_see_picture
from server.passages.plates import PlateQuery, PlatesFound
from server.passages.search import PassagePage, PassageQuery
from server.passages.view import PassageView
from server.wire.v1 import Direction, PlateColor, PlateKind, PlateState, VehicleColor

router = APIRouter(tags=["passages"])

_Any = Query(max_length=100)
_Speed = Annotated[float | None, Query(ge=0, le=1000, allow_inf_nan=False)]


async def asked_passages(  # noqa: PLR0913 - a query's parameters
    *,
    plate: Annotated[str | None, Query(max_length=64, description="May hold ? and *.")] = None,
    changes: Annotated[
        int, Query(ge=0, le=2, description="Characters that may be misread, of a whole plate.")
    ] = 0,
    since: Annotated[AwareDatetime | None, Query(description="Inclusive.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Exclusive.")] = None,
    checkpoint_id: Annotated[list[str], _Any] = [],  # noqa: B006 - copied by FastAPI
    circle: Annotated[
        str | None, Query(max_length=100, description="lon,lat,radius_m; WGS-84.")
    ] = None,
    polygon: Annotated[
        str | None, Query(max_length=20_000, description="lon,lat lon,lat …; WGS-84.")
    ] = None,
    road: Annotated[str, Query(max_length=100, description="Part of the road's name.")] = "",
    plate_state: Annotated[list[PlateState], _Any] = [],  # noqa: B006
    plate_kind: Annotated[list[PlateKind], _Any] = [],  # noqa: B006
    plate_color: Annotated[list[PlateColor], _Any] = [],  # noqa: B006
    vehicle_color: Annotated[list[VehicleColor], _Any] = [],  # noqa: B006
    direction: Annotated[list[Direction], _Any] = [],  # noqa: B006
    lane: Annotated[list[Annotated[int, Query(ge=0, le=99)]], _Any] = [],  # noqa: B006
    min_speed_kmh: _Speed = None,
    max_speed_kmh: _Speed = None,
    limit: int = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PassageQuery:
    """What a request asks for; ``async``, because to read it is less than to hand it to a thread."""
    return PassageQuery(
        plate=plate,
        changes=changes,
        since=since,
        until=until,
        checkpoint_ids=tuple(checkpoint_id),
        circle=circle_of(circle) if circle else None,
        polygon=polygon_of(polygon) if polygon else None,
        road=road,
        plate_states=tuple(plate_state),
        plate_kinds=tuple(plate_kind),
        plate_colors=tuple(plate_color),
        vehicle_colors=tuple(vehicle_color),
        directions=tuple(direction),
        lanes=tuple(lane),
        min_speed_kmh=min_speed_kmh,
        max_speed_kmh=max_speed_kmh,
        limit=limit,
        cursor=cursor,
    )


AskedPassages = Annotated[PassageQuery, Depends(asked_passages)]


@router.get("/api/v1/passages", response_model=PassagePage)
def get_passages(  # noqa: PLR0913 - what, who, from where, why
    query: AskedPassages,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    purpose: str | None = None,
    case_number: str | None = None,
) -> Response:
    """Search, newest first. Naming a plate, or going far back, needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    running = is_running_picture(query, inquiry.now, context.settings.search)
    with context.database.read() if running else context.database.write() as session:
        page = look_up_passages(session, query, inquiry, context.settings, context.plates)
    return answer(page)


@router.get("/api/v1/plates", response_model=PlatesFound)
def get_plates(  # noqa: PLR0913 - a query's parameters
    plate: Annotated[str, Query(max_length=64, description="May hold ? and *, if no changes.")],
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    changes: Annotated[
        int, Query(ge=0, le=2, description="Characters that may be misread, of a whole plate.")
    ] = 0,
    since: Annotated[AwareDatetime | None, Query(description="Inclusive.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Exclusive.")] = None,
    limit: int = 50,
    purpose: str | None = None,
    case_number: str | None = None,
) -> Response:
    """Plates that fit a pattern, or the likely misreads of a plate with the reason of each.

    Needs purpose and case number.
    """
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    query = PlateQuery(plate, changes, since, until, limit)
    with context.database.write() as session:
        found = look_up_plates(session, query, inquiry, context.settings, context.plates)
    return answer(found)


@router.get("/api/v1/passages/{passage_id}")
def get_passage(  # noqa: PLR0913 - who, from where, which, why
    passage_id: UUID,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    purpose: str | None = None,
    case_number: str | None = None,
) -> PassageView:
    """Give one passage with everything known of it; recorded."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    with context.database.write() as session:
        return open_passage(session, passage_id, inquiry, context.settings)


def _visible_picture(  # noqa: PLR0913 - which picture, of which passage, for whom
    sha256: str,
    account: Operator,
    context: Context,
    *,
    checkpoint_id: Annotated[str, Query(max_length=64)],
    captured_at: AwareDatetime,
    passage_id: UUID,
) -> str:
    """The picture's name, if whoever asks may see the passage that his address names.

    Raises:
        NotFound: no such passage, not its picture, or none that he may see: all the same to him.
    """
    at = in_utc("captured_at", captured_at)
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        of = PictureOf(checkpoint_id, at or captured_at, passage_id)
        if not may_see_picture(session, sha256, of, sight):
            raise NotFound("no such picture")
    return sha256


VisiblePicture = Annotated[str, Depends(_visible_picture)]


@router.get("/evidence/{sha256}", response_class=Response)
def get_evidence(picture: VisiblePicture, context: Context) -> Response:
    """Give a picture of a passage. Its name is its content, so a browser may keep it."""
    return _picture(picture, context.evidence.read)


@router.get("/evidence/{sha256}/thumbnail", response_class=Response)
def get_thumbnail(picture: VisiblePicture, context: Context) -> Response:
    """Give a small version of a picture of a passage."""
    longer_px = context.settings.evidence.thumbnail_px
    return _picture(picture, lambda name: thumbnail(context.evidence, name, longer_px))


def _picture(sha256: str, read: Callable[[str], bytes | None]) -> Response:
    try:
        data = read(sha256)
    except ValueError:
        data = None
    except OSError as error:
        raise Unavailable("the pictures cannot be read now", retry_after_s=5) from error
    if data is None:
        raise NotFound("no such picture")
    return Response(
        data,
        media_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=86400, immutable"},
    )
