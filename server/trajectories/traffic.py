"""This process's copy of what was learned of the traffic, brought up to date as it is asked for.

:class:`TrafficCache` is the door for whoever needs travel times or neighbours: ``get(session)``
gives a :class:`~server.trajectories.route.Traffic`. What changed since the last look is read, at
most every half minute; what is doubtful (a pair driven once) stays in the database.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.checkpoints.service import CheckpointPlace, places
from server.settings import Settings
from server.tables import RoadLink, TravelMark, TravelPair, TravelPlace, TravelTurn
from server.trajectories import aging
from server.trajectories.build import distance_m
from server.trajectories.learning import clock_offsets
from server.trajectories.links import Links
from server.trajectories.model import TravelModel, guess
from server.trajectories.route import Traffic
from server.trajectories.sketch import PairTimes

FRESH_S: Final = 30.0
LEAST: Final = 2
"""A pair driven less often is not worth its memory."""
_MARGIN = timedelta(minutes=5)
_AT_ONCE = 10_000


@dataclass(slots=True)
class _Held:
    times: dict[str, dict[str, PairTimes]] = field(default_factory=dict)
    turns: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)


class TrafficCache:
    """The learned traffic of one server process. Thread safe."""

    def __init__(self, settings: Settings) -> None:
        """Start with nothing; the first question reads."""
        self._zone = ZoneInfo(settings.display.time_zone)
        self._lock = threading.Lock()
        self._held = _Held()
        self._learned_until: datetime | None = None
        self._changed_at: datetime | None = None
        self._halved_at: datetime | None = None
        self._looked_at: float | None = None
        self._traffic: Traffic | None = None

    def get(self, session: Session) -> Traffic:
        """What is known now, or was half a minute ago; or while it is being read, just before."""
        traffic = self._traffic
        if not self._lock.acquire(blocking=traffic is None):
            return traffic or self.get(session)
        try:
            fresh = self._looked_at is not None and time.monotonic() - self._looked_at < FRESH_S
            if self._traffic is None or not fresh:
                self._traffic = self._read(session)
                self._looked_at = time.monotonic()
            return self._traffic
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Read anew at the next question: the road network or a checkpoint has changed."""
        with self._lock:
            self._looked_at = None
            self._traffic = None
            self._learned_until = None

    def _read(self, session: Session) -> Traffic:
        until = session.scalar(select(func.max(TravelMark.learned_until)))
        place_of = places(session)
        offsets = clock_offsets(session)
        if self._traffic is not None and until == self._learned_until:
            return Traffic(self._traffic.links, place_of, offsets, self._zone)
        halved_at = session.scalar(
            select(TravelMark.learned_until).where(TravelMark.name == aging.MARK)
        )
        if halved_at != self._halved_at:  # what is gone since is not among what has changed
            self._held, self._changed_at, self._halved_at = _Held(), None, halved_at
        since = self._changed_at - _MARGIN if self._changed_at is not None else None
        self._take(session, since)
        self._learned_until = until
        held = self._held
        # copies of the outer level: who still holds the old model may go on reading it
        model = TravelModel(dict(held.times), dict(held.turns), dict(held.ends), dict(held.starts))
        links = Links(model, _roads(session))
        links.prepare()
        return Traffic(links, place_of, offsets, self._zone)

    def _take(self, session: Session, since: datetime | None) -> None:
        held = self._held
        pairs = select(
            TravelPair.from_id, TravelPair.to_id, TravelPair.times, TravelPair.changed_at
        ).where(TravelPair.drives >= LEAST)
        turns = select(
            TravelTurn.before_id, TravelTurn.from_id, TravelTurn.to_id, TravelTurn.drives
        ).where(TravelTurn.drives >= LEAST)
        spots = select(TravelPlace)
        if since is not None:
            pairs = pairs.where(TravelPair.changed_at > since)
            turns = turns.where(TravelTurn.changed_at > since)
            spots = spots.where(TravelPlace.changed_at > since)
        newest = self._changed_at
        in_parts = {"yield_per": _AT_ONCE}
        # inner levels are copied before they change: who still holds the old model reads on
        times: dict[str, dict[str, PairTimes]] = {}
        for start, end, packed, changed_at in session.execute(pairs, execution_options=in_parts):
            if start not in times:
                times[start] = dict(held.times.get(start, {}))
            times[start][end] = PairTimes(packed)
            newest = max(newest or changed_at, changed_at)
        held.times |= times
        turned: dict[tuple[str, str], dict[str, int]] = {}
        for before, here, to, drives in session.execute(turns, execution_options=in_parts):
            if (before, here) not in turned:
                turned[before, here] = dict(held.turns.get((before, here), {}))
            turned[before, here][to] = drives
        held.turns |= turned
        for spot in session.scalars(spots):
            held.ends[spot.checkpoint_id] = spot.ends
            held.starts[spot.checkpoint_id] = spot.starts
        self._changed_at = newest


def _roads(session: Session) -> dict[str, dict[str, float]] | None:
    """Seconds from each checkpoint to its neighbours; None if no road network was taken in."""
    roads: dict[str, dict[str, float]] = {}
    for link in session.execute(select(RoadLink.from_id, RoadLink.to_id, RoadLink.seconds)):
        roads.setdefault(link.from_id, {})[link.to_id] = link.seconds
    return roads or None


@dataclass(frozen=True, slots=True)
class LearnedTimes:
    """Travel times between any two checkpoints: as learned, else from the straight line."""

    traffic: Traffic
    max_kmh: float = 150.0

    def distance_m(self, start: str, end: str) -> float | None:
        """Great circle, metres; None if one of the two is unknown."""
        a, b = self._place(start), self._place(end)
        return None if a is None or b is None else distance_m(a.lat, a.lon, b.lat, b.lon)

    def shortest_s(self, start: str, end: str) -> float | None:
        """No honest vehicle gets there faster.

        0.85 of the fastest hundredth of 200 drives and more; ``max_kmh`` on the straight line.
        """
        metres = self.distance_m(start, end)
        if metres is None:
            return None
        line_s = metres / (self.max_kmh / 3.6)
        pair = self.traffic.links.model.times.get(start, {}).get(end)
        if pair is None or pair.whole.n < 200 or metres < 2_000:
            return line_s
        return max(line_s, 0.85 * pair.whole.expected.q01_s)

    def usual_s(self, start: str, end: str) -> float | None:
        """The median; the straight line x 1.3 at 40 km/h where nobody was seen to drive it."""
        pair = self.traffic.links.model.times.get(start, {}).get(end)
        if pair is not None and pair.whole.n:
            return pair.whole.expected.q50_s
        metres = self.distance_m(start, end)
        return None if metres is None else guess(metres).q50_s

    def _place(self, name: str) -> CheckpointPlace | None:
        return self.traffic.places.get(name)
