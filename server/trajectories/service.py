"""The route of a plate over a period, and its GeoJSON."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server import audit
from server.auth.sight import Sight, sight_of
from server.checkpoints.service import places
from server.errors import InvalidRequest
from server.passages.lookup import Inquiry, in_utc
from server.passages.patterns import ANY_ONE, ANY_RUN, normal_pattern
from server.passages.view import view_of
from server.settings import Settings, TrajectorySettings
from server.tables import Passage
from server.trajectories.build import RouteRules, Trajectory, build_trajectory


def trajectory_of(  # noqa: PLR0913 - which plate, over what period, for whose eyes
    session: Session,
    plate: str,
    *,
    since: datetime | None,
    until: datetime | None,
    sight: Sight,
    settings: TrajectorySettings,
) -> Trajectory:
    """Reconstruct the route of a whole plate, of what one may see; ``since`` inclusive, ``until`` exclusive.

    Raises:
        InvalidRequest: not a whole plate, or the period is empty.
    """
    plate = normal_pattern(plate)
    if ANY_ONE in plate or ANY_RUN in plate:
        raise InvalidRequest("plate: a route needs a whole plate, without ? or *", field="plate")
    if since is not None and until is not None and since >= until:
        raise InvalidRequest("until: must be after since", field="until")
    statement = (
        select(Passage)
        .where(Passage.plate == plate, *sight.conditions(Passage))
        .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
        .limit(settings.max_sightings + 1)
    )
    if since is not None:
        statement = statement.where(Passage.captured_at >= since)
    if until is not None:
        statement = statement.where(Passage.captured_at < until)
    rows = list(session.scalars(statement))
    place_of = places(session, [row.checkpoint_id for row in rows])
    # a passage at a checkpoint without a position cannot be part of a route
    views = [
        view_of(row, place_of[row.checkpoint_id])
        for row in rows[: settings.max_sightings]
        if row.checkpoint_id in place_of
    ]
    rules = RouteRules(
        repeat_s=settings.repeat_s,
        clock_sigma_s=settings.clock_sigma_s,
        impossible_kmh=settings.impossible_kmh,
        fast_kmh=settings.fast_kmh,
        slow_kmh=settings.slow_kmh,
    )
    return build_trajectory(plate, views, rules, truncated=len(rows) > settings.max_sightings)


def look_up_trajectory(  # noqa: PLR0913 - which plate, who asks, over what period
    session: Session,
    plate: str,
    inquiry: Inquiry,
    *,
    since: datetime | None,
    until: datetime | None,
    settings: Settings,
) -> Trajectory:
    """Reconstruct a route on somebody's behalf, with purpose and account; needs a writing session.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: not a whole plate, or the period is empty.
        ApprovalNeeded: further back than is open to him.
    """
    purpose = audit.stated_purpose(inquiry.purpose, inquiry.case_number, settings.search.purposes)
    sight = sight_of(
        session,
        inquiry.account,
        inquiry.now,
        settings,
        case_number=purpose.case_number,
        plate=normal_pattern(plate),
    )
    since, until = sight.reach(in_utc("since", since)), in_utc("until", until)
    trajectory = trajectory_of(
        session, plate, since=since, until=until, sight=sight, settings=settings.trajectory
    )
    audit.record(
        session,
        now=inquiry.now,
        user_name=inquiry.account.name,
        address=inquiry.address,
        action="trajectory.build",
        purpose=purpose,
        detail={
            "plate": trajectory.plate,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "found": len(trajectory.stops),
        },
    )
    return trajectory


def geojson(trajectory: Trajectory) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): a point per stop, a line per leg; ``[lon, lat]``, WGS-84."""
    points: list[dict[str, Any]] = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [stop.place.lon, stop.place.lat]},
            "properties": {
                "kind": "stop",
                "number": stop.number,
                "checkpoint_id": stop.place.id,
                "name": stop.place.name,
                "name_en": stop.place.name_en,
                "first_seen_at": stop.first_seen_at.isoformat(),
                "last_seen_at": stop.last_seen_at.isoformat(),
                "passage_id": str(stop.passage.passage_id),
            },
        }
        for stop in trajectory.stops
    ]
    lines: list[dict[str, Any]] = []
    for leg, start, end in zip(
        trajectory.legs, trajectory.stops, trajectory.stops[1:], strict=False
    ):
        ends = [[start.place.lon, start.place.lat], [end.place.lon, end.place.lat]]
        lines.append(
            {
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": ends},
                "properties": {
                    "kind": "leg",
                    "from_number": leg.from_number,
                    "to_number": leg.to_number,
                    "distance_m": leg.distance_m,
                    "duration_s": leg.duration_s,
                    "speed_kmh": leg.speed_kmh,
                    "flag": leg.flag,
                },
            }
        )
    return {"type": "FeatureCollection", "features": [*lines, *points]}
