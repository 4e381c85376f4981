"""Routes of plates, as JSON and GeoJSON."""

# ruff: noqa: FAST003 - the plate in the path is read by the dependency

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime

from server.auth.guards import ClientAddress, Operator
from server.context import Context
from server.http import answer
from server.passages.lookup import Inquiry
from server.trajectories.chase import Followed, Unit, look_up_pursuit
from server.trajectories.drawing import geojson
from server.trajectories.route import Trajectory
from server.trajectories.service import look_up_trajectory

router = APIRouter(prefix="/api/v1/trajectories", tags=["trajectories"])


Look = Callable[[bool], Trajectory]


def _look(  # noqa: PLR0913 - a query's parameters
    plate: str,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    purpose: str | None = None,
    case_number: str | None = None,
) -> Look:
    """How the route is looked up: with details, or without."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)

    def look(details: bool) -> Trajectory:  # noqa: FBT001 - of two routes below
        with context.database.write() as session:
            return look_up_trajectory(
                session,
                plate,
                inquiry,
                since=since,
                until=until,
                settings=context.settings,
                traffic=context.traffic.get(session),
                known=context.plates,
                details=details,
            )

    return look


Asked = Annotated[Look, Depends(_look)]


@router.get("/{plate}/pursuit")
def get_pursuit(  # noqa: PLR0913 - a query's parameters
    plate: str,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    unit_lat: Annotated[float | None, Query(ge=-90, le=90)] = None,
    unit_lon: Annotated[float | None, Query(ge=-180, le=180)] = None,
    ready_s: Annotated[float | None, Query(ge=0, le=86_400)] = None,
    purpose: str | None = None,
    case_number: str | None = None,
) -> Followed:
    """Say where the plate comes next and where it can be stopped. Needs purpose and case number.

    Ask again every few seconds: each sighting and each minute of silence changes the answer.
    """
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    unit = Unit(unit_lat, unit_lon) if unit_lat is not None and unit_lon is not None else None
    with context.database.write() as session:
        return look_up_pursuit(
            session,
            plate,
            inquiry,
            context.settings,
            context.traffic.get(session),
            unit=unit,
            ready_s=ready_s,
        )


@router.get("/{plate}.geojson", response_class=JSONResponse)
def get_geojson(look: Asked) -> JSONResponse:
    """Give the route as GeoJSON: a point per stop, a line per leg. Needs purpose and case."""
    return JSONResponse(geojson(look(False)), media_type="application/geo+json")


@router.get("/{plate}", response_model=Trajectory)
def get_trajectory(look: Asked) -> Response:
    """Give the route as stops and legs. Needs purpose and case number."""
    return answer(look(True))
