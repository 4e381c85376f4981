"""What a leg of a route is held against: distance, speed, and what the drive usually takes. Pure."""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from server.checkpoints.service import CheckpointPlace
from server.trajectories.route import LegFlag, RouteRules, Stop, Traffic
from server.trajectories.sketch import Expected, time_class

EARTH_RADIUS_M = 6_371_008.8
MIN_IMPOSSIBLE_M = 500.0
"""Nearer checkpoints are not judged: their clocks' uncertainty outweighs the distance."""
MIN_DURATION_S = 1.0
KNOWN = 30
WELL_KNOWN = 200
MIN_LEARNED_M = 2_000.0
IMPOSSIBLE_SHARE = 0.85
_QUARTER_S = 900


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance between two WGS-84 positions in degrees, metres (haversine)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_dphi = (phi2 - phi1) / 2
    half_dlambda = math.radians(lon2 - lon1) / 2
    h = math.sin(half_dphi) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))


def judge(
    distance: float, duration_s: float, rules: RouteRules, expected: Expected | None = None
) -> LegFlag:
    """Judge a leg of so many metres in so many seconds, against what it usually takes if known.

    Impossible: faster than any vehicle on the straight line, or than 0.85 of the fastest hundredth
    of 200 drives and more. Fast and slow: outside of 98 % and 95 % of 30 drives and more; with
    fewer, by the speed over the straight line.
    """
    longest_s = max(duration_s + 2 * rules.clock_sigma_s, MIN_DURATION_S)
    if distance >= MIN_IMPOSSIBLE_M and kmh(distance, longest_s) > rules.impossible_kmh:
        return "impossible"
    if expected is not None and expected.n >= KNOWN:
        sure = expected.n >= WELL_KNOWN and distance >= MIN_LEARNED_M
        if sure and longest_s < IMPOSSIBLE_SHARE * expected.q01_s:
            return "impossible"
        if longest_s < expected.q01_s:
            return "fast"
        return "slow" if duration_s > 1.1 * expected.q95_s + 15.0 else "believable"
    driven_kmh = kmh(distance, max(duration_s, MIN_DURATION_S))
    if distance >= MIN_IMPOSSIBLE_M and driven_kmh > rules.fast_kmh:
        return "fast"
    return "slow" if driven_kmh < rules.slow_kmh else "believable"


def kmh(metres: float, seconds: float) -> float:
    """The speed, km/h."""
    return metres / seconds * 3.6


class Look(NamedTuple):
    """What there is to know of a vehicle that made two stops, one after the other."""

    metres: float
    seconds: float
    """Out of sight, by right clocks."""
    when: int
    """The class of the time at which it left; 0 without traffic."""
    known: Expected | None
    """What the drive usually takes, if it was seen often enough to be judged by."""
    flag: LegFlag


class Yardstick:
    """What the legs of one route are held against; what is asked twice is looked up once."""

    def __init__(self, rules: RouteRules, traffic: Traffic | None) -> None:
        """Without ``traffic`` by distance and speed alone."""
        self.rules = rules
        self.traffic = traffic
        self._ways: dict[tuple[str, str, int], tuple[float, Expected | None]] = {}
        self._metres: dict[tuple[str, str], float] = {}
        self._classes: dict[int, int] = {}
        self._looks: dict[tuple[int, int], Look] = {}

    def look(self, start: Stop, end: Stop) -> Look:
        """Hold a vehicle that made both stops against what is known; any two stops."""
        seconds = seconds_between(start, end)
        when = self._when(start.last_seen_at)
        metres, known = self._way(start.place, end.place, when)
        return Look(metres, seconds, when, known, judge(metres, seconds, self.rules, known))

    def seen(self, start: Stop, end: Stop) -> Look:
        """The same of two stops of the route itself, whose numbers tell them apart."""
        key = (start.number, end.number)
        found = self._looks.get(key)
        if found is None:
            found = self._looks[key] = self.look(start, end)
        return found

    def _when(self, at: datetime) -> int:
        """The class of a time; 0 without traffic."""
        if self.traffic is None:
            return 0
        # clocks on the wall differ by quarters of an hour, and classes change on the half
        quarter = int(at.timestamp()) // _QUARTER_S
        found = self._classes.get(quarter)
        if found is None:
            found = self._classes[quarter] = _class_of(quarter, self.traffic.zone)
        return found

    def _way(
        self, a: CheckpointPlace, b: CheckpointPlace, when: int
    ) -> tuple[float, Expected | None]:
        """How far it is, and what it takes at such a time if that is known well enough."""
        found = self._ways.get((a.id, b.id, when))
        if found is None:
            metres = self._metres.get((a.id, b.id))
            if metres is None:
                metres = self._metres[a.id, b.id] = distance_m(a.lat, a.lon, b.lat, b.lon)
            known: Expected | None = None
            if self.traffic is not None and a.id != b.id:
                pair = self.traffic.links.model.times.get(a.id, {}).get(b.id)
                if pair is not None and pair.n >= KNOWN:
                    expected = pair.expected(when)
                    known = expected if expected.n >= KNOWN else None
            found = self._ways[a.id, b.id, when] = metres, known
        return found


@lru_cache(maxsize=1 << 16)
def _class_of(quarter: int, zone: tzinfo) -> int:
    """The class of a quarter of an hour since 1970."""
    return time_class(datetime.fromtimestamp(quarter * _QUARTER_S, UTC), zone)


def on_time(stop: Stop) -> datetime:
    """When it was there, by a right clock."""
    if not stop.clock_offset_s:
        return stop.first_seen_at
    return stop.first_seen_at - timedelta(seconds=stop.clock_offset_s)


def seconds_between(start: Stop, end: Stop) -> float:
    """Out of sight from one stop to another, by right clocks."""
    if not (start.clock_offset_s or end.clock_offset_s):
        return (end.first_seen_at - start.last_seen_at).total_seconds()
    left = start.last_seen_at - timedelta(seconds=start.clock_offset_s)
    return (on_time(end) - left).total_seconds()


def look_alike(one: Stop, other: Stop) -> bool:
    """Whether nothing that was seen of the two vehicles differs."""
    a, b = one.passage, other.passage
    return (
        _may_be_same(a.vehicle_color, b.vehicle_color)
        and _may_be_same(a.plate_color, b.plate_color)
        and _may_be_same(a.plate_kind, b.plate_kind)
    )


def _may_be_same(one: str, other: str) -> bool:
    return one == other or "unknown" in {one, other}
