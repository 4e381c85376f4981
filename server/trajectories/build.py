"""From the passages of one plate to its route. Pure: no clock, no database.

Distances are great circles (haversine, mean earth radius 6 371 008.8 m, IUGG 1980): the shortest
any road can be, so a speed over it is the lowest that the vehicle can have driven. That makes
"impossible" a safe word, and "slow" a mere hint.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView

EARTH_RADIUS_M = 6_371_008.8
MIN_IMPOSSIBLE_M = 500.0
"""Nearer checkpoints are not judged: their clocks' uncertainty outweighs the distance."""
MIN_DURATION_S = 1.0

LegFlag = Literal["believable", "fast", "slow", "impossible"]
"""fast: worth a second look; slow: a stop or a missed checkpoint between; impossible: no vehicle
does that, so two vehicles carry the plate, or a clock is wrong."""


@dataclass(frozen=True, slots=True)
class RouteRules:
    """What a route is judged by; see TrajectorySettings for the meanings."""

    repeat_s: float = 30.0
    clock_sigma_s: float = 2.0
    impossible_kmh: float = 150.0
    fast_kmh: float = 110.0
    slow_kmh: float = 8.0


@dataclass(frozen=True, slots=True)
class Stop:
    """One appearance at one checkpoint: the best-read passage, and how many it stands for."""

    number: int
    """1 is the first of the route."""
    place: CheckpointPlace
    first_seen_at: datetime
    last_seen_at: datetime
    passage: PassageView
    passages: int


@dataclass(frozen=True, slots=True)
class Leg:
    """From one stop to the next. Speed is over the straight line; None if no time passed."""

    from_number: int
    to_number: int
    distance_m: float
    duration_s: float
    speed_kmh: float | None
    flag: LegFlag


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The route of a plate, oldest first. ``legs[i]`` leads from ``stops[i]`` to ``stops[i+1]``."""

    plate: str
    stops: tuple[Stop, ...]
    legs: tuple[Leg, ...]
    distance_m: float
    truncated: bool
    """Whether there were more passages than a route is built of; the oldest are left out."""


def build_trajectory(
    plate: str, passages: Iterable[PassageView], rules: RouteRules, *, truncated: bool = False
) -> Trajectory:
    """Order passages in time, join repeats at one checkpoint, and judge each leg between."""
    ordered = sorted(passages, key=lambda p: (p.captured_at, p.passage_id))
    stops = tuple(
        _stop(number, group) for number, group in enumerate(_grouped(ordered, rules.repeat_s), 1)
    )
    legs = tuple(_leg(a, b, rules) for a, b in pairwise(stops))
    return Trajectory(plate, stops, legs, sum(leg.distance_m for leg in legs), truncated)


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance between two WGS-84 positions in degrees, metres (haversine)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_dphi = (phi2 - phi1) / 2
    half_dlambda = math.radians(lon2 - lon1) / 2
    h = math.sin(half_dphi) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))


def judge(distance: float, duration_s: float, rules: RouteRules) -> LegFlag:
    """Judge a leg of so many metres in so many seconds."""
    shortest_s = max(duration_s + 2 * rules.clock_sigma_s, MIN_DURATION_S)
    if distance >= MIN_IMPOSSIBLE_M:
        if _kmh(distance, shortest_s) > rules.impossible_kmh:
            return "impossible"
        if _kmh(distance, max(duration_s, MIN_DURATION_S)) > rules.fast_kmh:
            return "fast"
    if _kmh(distance, max(duration_s, MIN_DURATION_S)) < rules.slow_kmh:
        return "slow"
    return "believable"


def _kmh(metres: float, seconds: float) -> float:
    return metres / seconds * 3.6


def _grouped(ordered: Sequence[PassageView], repeat_s: float) -> list[list[PassageView]]:
    groups: list[list[PassageView]] = []
    for passage in ordered:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and last.checkpoint.id == passage.checkpoint.id
            and (passage.captured_at - last.captured_at).total_seconds() <= repeat_s
        ):
            groups[-1].append(passage)
        else:
            groups.append([passage])
    return groups


def _stop(number: int, group: Sequence[PassageView]) -> Stop:
    best = max(group, key=lambda p: p.plate_score)
    return Stop(
        number, best.checkpoint, group[0].captured_at, group[-1].captured_at, best, len(group)
    )


def _leg(start: Stop, end: Stop, rules: RouteRules) -> Leg:
    metres = distance_m(start.place.lat, start.place.lon, end.place.lat, end.place.lon)
    seconds = (end.first_seen_at - start.last_seen_at).total_seconds()
    return Leg(
        from_number=start.number,
        to_number=end.number,
        distance_m=round(metres, 1),
        duration_s=seconds,
        speed_kmh=round(_kmh(metres, seconds), 1) if seconds > 0 else None,
        flag=judge(metres, seconds, rules),
    )
