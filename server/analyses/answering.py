"""What every analysis is handed, and how places and positions are looked up for it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.analyses.ask import Question, Where
from server.analyses.finding import Finding
from server.analyses.lessons import pair_limits, wrong_clocks
from server.analyses.rows import Period
from server.analyses.sighting import Sighting, StraightLines, TravelTimes, without_repeats
from server.analyses.whereabouts import sightings_of_plate
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace, places
from server.errors import InvalidRequest
from server.passages.areas import circle_of, polygon_of, within
from server.passages.patterns import is_pattern, normal_pattern
from server.settings import Settings
from server.tables import AreaCheckpoint, Checkpoint
from server.trajectories.route import Traffic
from server.trajectories.traffic import LearnedTimes
from server.vehicles.register import VehicleRegister

MAX_CHECKPOINTS = 2_000


@dataclass(frozen=True, slots=True)
class Findings:
    """What an analysis found: findings, or rows of figures that name nobody."""

    findings: tuple[Finding, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    examined: int = 0
    """Passages looked at."""
    truncated: bool = False
    """Whether there was more than is listed or looked at."""


@dataclass(frozen=True, slots=True)
class SaidTimes:
    """Travel times as learned, with what officers said can be driven going first."""

    times: TravelTimes
    limits: Mapping[tuple[str, str], float]

    def distance_m(self, start: str, end: str) -> float | None:
        """Great circle, metres."""
        return self.times.distance_m(start, end)

    def shortest_s(self, start: str, end: str) -> float | None:
        """As learned, or faster if somebody has said that it can be done."""
        learned_s = self.times.shortest_s(start, end)
        said_s = self.limits.get((start, end), math.inf)
        return None if learned_s is None else min(learned_s, said_s)

    def usual_s(self, start: str, end: str) -> float | None:
        """As learned."""
        return self.times.usual_s(start, end)


@dataclass(frozen=True, slots=True)
class Desk:
    """One question on its way to an answer: whose eyes, which rules, which database."""

    session: Session
    sight: Sight
    settings: Settings
    now: datetime
    register: VehicleRegister | None = None
    traffic: Traffic | None = None
    """What was learned of the ways; None where nothing is to be held against it."""
    _places: dict[str, CheckpointPlace] = field(default_factory=dict)

    def places(self) -> Mapping[str, CheckpointPlace]:
        """All checkpoints, read once."""
        if not self._places:
            self._places.update(places(self.session))
        return self._places

    def times(self) -> TravelTimes:
        """What is known of the ways between checkpoints: as learned, else from the straight line."""
        limits, most_kmh = pair_limits(self.session), self.settings.trajectory.impossible_kmh
        if self.traffic is None:
            return StraightLines(self.places(), most_kmh, limits)
        return SaidTimes(LearnedTimes(self.traffic, most_kmh), limits)

    def wrong_clocks(self, period: Period) -> frozenset[str]:
        """Checkpoints whose clocks are wrong, as officers said or as drives show now."""
        found = wrong_clocks(self.session, period.since, period.until)
        return found if self.traffic is None else found | frozenset(self.traffic.clock_offset_s)

    def period(self, since: datetime, until: datetime) -> Period:
        """The period asked for, in UTC.

        Raises:
            ApprovalNeeded: it reaches further back than is open to him.
            InvalidRequest: it is off the calendar.
        """
        try:
            low, high = since.astimezone(UTC), until.astimezone(UTC)
        except OverflowError:
            raise InvalidRequest("since: off the calendar", field="since") from None
        return Period(self.sight.reach(low) or low, high)

    def route(self, plate: str, question: Question) -> tuple[tuple[Sighting, ...], Period]:
        """A plate's sightings over the period, without repeats, and the period.

        Raises:
            InvalidRequest: not a whole plate.
            ApprovalNeeded: further back than is open to him.
        """
        period = self.period(question.since, question.until)
        rows = sightings_of_plate(
            self.session, whole(plate), period, self.sight, self.settings.analyses.max_sightings
        )
        return without_repeats(rows, self.settings.trajectory.repeat_s), period

    def checkpoints(self, where: Where) -> tuple[str, ...]:
        """The checkpoints that a place means, of those that one may see.

        Raises:
            InvalidRequest: there are none, or too many.
        """
        found = self._meant(where)
        seen = tuple(one for one in found if self.sight.covers(one))
        if not seen:
            raise InvalidRequest("where: no checkpoint there", field="where")
        if len(seen) > MAX_CHECKPOINTS:
            raise InvalidRequest(f"where: more than {MAX_CHECKPOINTS} checkpoints", field="where")
        return seen

    def _meant(self, where: Where) -> Sequence[str]:
        conditions = where.circle or where.polygon or where.road.strip()
        if where.area:
            members = set(
                self.session.scalars(
                    select(AreaCheckpoint.checkpoint_id).where(AreaCheckpoint.area_id == where.area)
                )
            )
        else:
            members = None
        if conditions:
            found: Sequence[str] = within(
                self.session,
                circle=circle_of(where.circle) if where.circle else None,
                polygon=polygon_of(where.polygon) if where.polygon else None,
                road=where.road,
            )
        elif where.checkpoint_ids:
            found = where.checkpoint_ids
        elif members is not None:
            found = sorted(members)
        else:
            found = self.session.scalars(select(Checkpoint.id).order_by(Checkpoint.id)).all()
        if conditions and where.checkpoint_ids:
            found = [one for one in found if one in set(where.checkpoint_ids)]
        return [one for one in found if members is None or one in members]


def whole(plate: str) -> str:
    """A whole plate, normalised.

    Raises:
        InvalidRequest: it holds ``?`` or ``*``, or nothing.
    """
    text = normal_pattern(plate)
    if is_pattern(text):
        raise InvalidRequest("plate: a whole plate, without ? or *", field="plate")
    return text


def require_days(question: Question, most: int) -> None:
    """Refuse a period that is too long.

    Raises:
        InvalidRequest: so it is.
    """
    if question.until - question.since > timedelta(days=most):
        raise InvalidRequest(f"until: at most {most} days", field="until")
