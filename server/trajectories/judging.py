"""What a leg of a route is held against: distance, speed, and what the drive usually takes. Pure."""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from server.checkpoints.service import CheckpointPlace
from server.trajectories.model import guess
from server.trajectories.paths import Path, direct_below_s, only_path
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
TRIP_GAP_S: Final = 1_800.0
"""Longer out of sight, and three times longer than usual, is the end of a trip."""
_QUARTER_S = 900


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance between two WGS-84 positions in degrees, metres (haversine)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_dphi = (phi2 - phi1) / 2
    half_dlambda = math.radians(lon2 - lon1) / 2
    h = math.sin(half_dphi) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))


class Bounds(NamedTuple):
    """How long a leg may take, seconds: what it is judged to be if it took less, or more."""

    impossible_below_s: float
    fast_below_s: float
    slow_above_s: float

    def judge(self, duration_s: float) -> LegFlag:
        """Judge a leg that took so long."""
        if duration_s < self.impossible_below_s:
            return "impossible"
        if duration_s < self.fast_below_s:
            return "fast"
        return "slow" if duration_s > self.slow_above_s else "believable"


def bounds(distance: float, rules: RouteRules, expected: Expected | None = None) -> Bounds:
    """What a leg of so many metres is judged by, against what it usually takes if that is known.

    Impossible: faster than any vehicle on the straight line, or than 0.85 of the fastest hundredth
    of 200 drives and more. Fast and slow: outside of 98 % and 95 % of 30 drives and more; with
    fewer, by the speed over the straight line. Where that accuses somebody, twice the clocks' doubt
    is allowed for; nothing took less than :data:`MIN_DURATION_S`.
    """
    doubt_s = 2 * rules.clock_sigma_s
    is_far = distance >= MIN_IMPOSSIBLE_M
    impossible_s = _taken_s(distance, rules.impossible_kmh) if is_far else 0.0
    if expected is not None and expected.n >= KNOWN:
        if expected.n >= WELL_KNOWN and distance >= MIN_LEARNED_M:
            impossible_s = max(impossible_s, IMPOSSIBLE_SHARE * expected.q01_s)
        fast_below_s = _below(expected.q01_s, doubt_s)
        slow_above_s = 1.1 * expected.q95_s + 15.0
    else:
        fast_below_s = _below(_taken_s(distance, rules.fast_kmh) if is_far else 0.0, 0.0)
        slowest_s = _taken_s(distance, rules.slow_kmh)
        slow_above_s = slowest_s if slowest_s >= MIN_DURATION_S else -math.inf
    return Bounds(_below(impossible_s, doubt_s), fast_below_s, slow_above_s)


def _below(seconds: float, doubt_s: float) -> float:
    """Below what a duration is under so many seconds beyond doubt."""
    return seconds - doubt_s if seconds > MIN_DURATION_S else -math.inf


def _taken_s(metres: float, speed_kmh: float) -> float:
    return metres * 3.6 / speed_kmh


def judge(
    distance: float, duration_s: float, rules: RouteRules, expected: Expected | None = None
) -> LegFlag:
    """Judge a leg of so many metres in so many seconds (:func:`bounds`)."""
    return bounds(distance, rules, expected).judge(duration_s)


def longest_drive_s(expected: Expected, *, stays_there: bool) -> float:
    """Who is out of sight for longer stood for long in between, rather than drove.

    ``stays_there``: both stops are at the same checkpoint.
    """
    longest_s = max(TRIP_GAP_S, 3 * expected.q95_s)
    return min(longest_s, TRIP_GAP_S / 2) if stays_there else longest_s


def kmh(metres: float, seconds: float) -> float:
    """The speed, km/h."""
    return metres / seconds * 3.6


class Way(msgspec.Struct, frozen=True):
    """What there is to know of driving from one checkpoint to another at some time of the week."""

    metres: float
    known: Expected | None
    """What the drive usually takes, if it was seen often enough to be judged by."""
    bounds: Bounds
    longest_drive_s: float
    """By what is known; without that, by the distance."""
    only: Path | None
    """Where it is known without a search, which way one goes …"""
    only_below_s: float
    """… who takes less than this."""


class Look(msgspec.Struct, frozen=True):
    """What there is to know of a vehicle that made two stops, one after the other."""

    way: Way
    seconds: float
    """Out of sight, by right clocks."""
    when: int
    """The class of the time at which it left; 0 without traffic."""
    flag: LegFlag


class Yardstick:
    """What the legs of one route are held against; what is asked twice is looked up once."""

    def __init__(self, rules: RouteRules, traffic: Traffic | None) -> None:
        """Without ``traffic`` by distance and speed alone."""
        self.rules = rules
        self.traffic = traffic
        self._ways: dict[tuple[str, str, int], Way] = {}
        self._metres: dict[tuple[str, str], float] = {}
        self._looks: dict[tuple[int, int], Look] = {}

    def look(self, start: Stop, end: Stop) -> Look:
        """Hold a vehicle that made both stops against what is known; any two stops."""
        seconds = seconds_between(start, end)
        when = 0
        if self.traffic is not None:
            # clocks on the wall differ by quarters of an hour, and classes change on the half
            when = _class_of(start.last_seen_at.timestamp() // _QUARTER_S, self.traffic.zone)
        way = self._ways.get((start.place.id, end.place.id, when))
        if way is None:
            way = self._way(start.place, end.place, when)
        return Look(way, seconds, when, way.bounds.judge(seconds))

    def seen(self, start: Stop, end: Stop) -> Look:
        """The same of two stops of the route itself, whose numbers tell them apart."""
        key = (start.number, end.number)
        found = self._looks.get(key)
        if found is None:
            found = self._looks[key] = self.look(start, end)
        return found

    def _way(self, a: CheckpointPlace, b: CheckpointPlace, when: int) -> Way:
        metres = self._metres.get((a.id, b.id))
        if metres is None:
            metres = self._metres[a.id, b.id] = distance_m(a.lat, a.lon, b.lat, b.lon)
        known: Expected | None = None
        only, only_below_s = None, 0.0
        if self.traffic is not None and a.id != b.id:
            links = self.traffic.links
            pair = links.model.times.get(a.id, {}).get(b.id)
            if pair is not None and pair.n >= KNOWN:
                expected = pair.expected(when)
                known = expected if expected.n >= KNOWN else None
            only_below_s = direct_below_s(links, a.id, b.id, when)
            only = only_path(links, a.id, b.id, when) if only_below_s else None
        drive_s = longest_drive_s(known or guess(metres), stays_there=a.id == b.id)
        found = self._ways[a.id, b.id, when] = Way(
            metres, known, bounds(metres, self.rules, known), drive_s, only, only_below_s
        )
        return found


@lru_cache(maxsize=1 << 16)
def _class_of(quarter: float, zone: tzinfo) -> int:
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
