"""The route of a plate over a period, and its GeoJSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from anpr.plate import look_alikes
from server import audit
from server.auth.sight import Sight, sight_of
from server.checkpoints.service import CheckpointPlace, places
from server.errors import InvalidRequest
from server.packed.reading import Span, look
from server.packed.sightings import Row as Seen
from server.packed.sightings import newest
from server.passages.known import KnownPlates
from server.passages.lookup import Inquiry, in_utc
from server.passages.patterns import ANY_ONE, ANY_RUN, normal_pattern
from server.passages.view import PassageView
from server.settings import Settings, TrajectorySettings
from server.tables import Passage
from server.trajectories.build import build_trajectory
from server.trajectories.route import RouteRules, Traffic, Trajectory
from server.trajectories.stored import PACKED, SeenPassage, StoredPassage

_NEAR: Final = timedelta(minutes=30)
_MOMENT: Final = timedelta(microseconds=1)
_MOST_LOOK_ALIKES: Final = 500


def trajectory_of(  # noqa: PLR0913 - which plate, over what period, for whose eyes
    session: Session,
    plate: str,
    *,
    since: datetime | None,
    until: datetime | None,
    sight: Sight,
    settings: TrajectorySettings,
    traffic: Traffic | None = None,
    look_alikes: Sequence[str] = (),
    details: bool = True,
) -> Trajectory:
    """Reconstruct the route of a whole plate, of what one may see; ``since`` inclusive, ``until`` exclusive.

    ``look_alikes`` are plates whose passages may be misreads of this one; they join the route where
    place and time fit. Without ``details`` its passages have nothing but what a route is built of
    (:class:`~server.trajectories.stored.SeenPassage`): for maps, lines and figures, where months
    are read of what is packed.

    Raises:
        InvalidRequest: not a whole plate, or the period is empty.
    """
    plate = normal_pattern(plate)
    if ANY_ONE in plate or ANY_RUN in plate:
        raise InvalidRequest("plate: a route needs a whole plate, without ? or *", field="plate")
    if since is not None and until is not None and since >= until:
        raise InvalidRequest("until: must be after since", field="until")
    asked = _Asked(plate, look_alikes, since, until, sight, settings.max_sightings)
    truncated, own, alike = (_whole if details else _seen)(session, asked)
    return build_trajectory(
        plate, own, rules_of(settings), truncated=truncated, traffic=traffic, misreads=alike
    )


class _Asked(NamedTuple):
    """Whose passages a route is built of."""

    plate: str
    look_alikes: Sequence[str]
    since: datetime | None
    until: datetime | None
    sight: Sight
    most: int


_Found = tuple[bool, Sequence[PassageView], Sequence[PassageView]]
"""Whether there was more, the plate's own passages, and those of look-alikes at about that time."""


def _whole(session: Session, asked: _Asked) -> _Found:
    passages = (
        select(*PACKED)
        .where(*asked.sight.conditions(Passage))
        .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
    )
    if asked.since is not None:
        passages = passages.where(Passage.captured_at >= asked.since)
    if asked.until is not None:
        passages = passages.where(Passage.captured_at < asked.until)
    own = passages.where(Passage.plate == asked.plate).limit(asked.most + 1)
    rows = list(session.connection().execute(own).all())
    truncated = len(rows) > asked.most
    rows = rows[: asked.most]
    alike: list[Row[Any]] = []
    if asked.look_alikes and rows:
        near = passages.where(
            Passage.plate.in_(asked.look_alikes),
            Passage.captured_at >= rows[-1].captured_at - _NEAR,
            Passage.captured_at <= rows[0].captured_at + _NEAR,
        )
        alike = list(session.connection().execute(near.limit(_MOST_LOOK_ALIKES)).all())
    place_of = places(session, {row.checkpoint_id for row in (*rows, *alike)})
    return truncated, _views(rows, place_of), _views(alike, place_of)


def _seen(session: Session, asked: _Asked) -> _Found:
    """The same without details: packed where that is possible."""
    plates = [asked.plate, *asked.look_alikes]
    found = look(session, plates, asked.since, asked.until)
    rows = newest(session, found, plates[:1], found.span, asked.sight, asked.most + 1)
    truncated = len(rows) > asked.most
    rows = rows[-asked.most :]
    alike: list[Seen] = []
    if asked.look_alikes and rows:
        low, high = rows[0][1] - _NEAR, rows[-1][1] + _NEAR + _MOMENT
        near = Span(max(low, found.span.since), min(high, found.span.until))
        alike = newest(session, found, plates[1:], near, asked.sight, _MOST_LOOK_ALIKES)
    place_of = places(session, {row[3] for row in (*rows, *alike)})
    own, others = (
        [SeenPassage(row, place_of[row[3]]) for row in some if row[3] in place_of]
        for some in (rows, alike)
    )
    return truncated, own, others


def _views(found: Sequence[Row[Any]], place_of: Mapping[str, CheckpointPlace]) -> list[PassageView]:
    """What a route is built of; not at checkpoints without a position."""
    return [
        StoredPassage(row, place_of[row.checkpoint_id])
        for row in found
        if row.checkpoint_id in place_of
    ]


def rules_of(settings: TrajectorySettings) -> RouteRules:
    """What routes are judged by, from the settings."""
    return RouteRules(
        repeat_s=settings.repeat_s,
        clock_sigma_s=settings.clock_sigma_s,
        impossible_kmh=settings.impossible_kmh,
        fast_kmh=settings.fast_kmh,
        slow_kmh=settings.slow_kmh,
    )


def look_alikes_of(
    session: Session, plate: str, now: datetime, known: KnownPlates, settings: TrajectorySettings
) -> tuple[str, ...]:
    """Plates seen that differ from this one by a character that readers take for another."""
    alike = look_alikes(plate, settings.misread_cost)
    return known.seen(session, now, alike) if alike else ()


def look_up_trajectory(  # noqa: PLR0913 - which plate, who asks, over what period
    session: Session,
    plate: str,
    inquiry: Inquiry,
    *,
    since: datetime | None,
    until: datetime | None,
    settings: Settings,
    traffic: Traffic | None = None,
    known: KnownPlates | None = None,
    details: bool = True,
) -> Trajectory:
    """Reconstruct a route on somebody's behalf, with purpose and account; needs a writing session.

    ``details`` as of :func:`trajectory_of`.

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
    whole = normal_pattern(plate)
    alike = (
        look_alikes_of(session, whole, inquiry.now, known, settings.trajectory)
        if known is not None and ANY_ONE not in whole and ANY_RUN not in whole
        else ()
    )
    trajectory = trajectory_of(
        session,
        plate,
        since=since,
        until=until,
        sight=sight,
        settings=settings.trajectory,
        traffic=traffic,
        look_alikes=alike,
        details=details,
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
            "misreads": sorted({stop.read_as for stop in trajectory.stops if stop.read_as}),
        },
    )
    return trajectory
