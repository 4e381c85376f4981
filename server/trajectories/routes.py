"""Routes of plates, as JSON and GeoJSON."""

# ruff: noqa: FAST003 - the plate in the path is read by the dependency

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime

from server.auth.guards import ClientAddress, Operator
from server.context import Context
from server.http import answer
from server.passages.lookup import Inquiry
from server.trajectories.drawing import geojson
from server.trajectories.route import Trajectory
from server.trajectories.service import look_up_trajectory

router = APIRouter(prefix="/api/v1/trajectories", tags=["trajectories"])


def _trajectory(  # noqa: PLR0913 - a query's parameters
    plate: str,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    purpose: str | None = None,
    case_number: str | None = None,
) -> Trajectory:
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
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
        )


Found = Annotated[Trajectory, Depends(_trajectory)]


@router.get("/{plate}.geojson", response_class=JSONResponse)
def get_geojson(trajectory: Found) -> JSONResponse:
    """Give the route as GeoJSON: a point per stop, a line per leg. Needs purpose and case."""
    return JSONResponse(geojson(trajectory), media_type="application/geo+json")


@router.get("/{plate}", response_model=Trajectory)
def get_trajectory(trajectory: Found) -> Response:
    """Give the route as stops and legs. Needs purpose and case number."""
    return answer(trajectory)
