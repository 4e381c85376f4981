"""Which sightings are whose: misreads that join a route, and the vehicles that carry one plate. Pure."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from server.trajectories.judging import TRIP_GAP_S, Yardstick, kmh, look_alike, on_time
from server.trajectories.route import LegFlag, Stop
from server.trajectories.vehicles import divide

_FIT: Final[dict[LegFlag, float]] = {"believable": 0.0, "slow": -0.4, "fast": -2.5}
_UNLIKE: Final = -1.0
"""A single look at a vehicle's color is often wrong, …"""
_SURELY_UNLIKE: Final = -2.0
"""… that of most looks during a trip is not."""
_ON_THE_ROAD: Final = -2.2
"""Who passed just before is likelier than another vehicle that carries the plate, …"""
_AFTER_A_STAY: Final = -1.3
"""… and after a long while still, so that one misread does not take a year apart: another one costs
more, there and back, than a slow leg and a wrong color weigh, and less than a trip's color."""


@dataclass(frozen=True, slots=True)
class _Trip:
    """Stops from ``first`` to ``last`` with no long while between; ``color`` if most looks agree."""

    first: int
    last: int
    color: str


def fitting(stops: Sequence[Stop], others: Sequence[Stop], yard: Yardstick) -> list[Stop]:
    """Of look-alikes' sightings those that the vehicle can have made on its way.

    Within a trip: in a believable time of a sighting before and one after, or of one of them if
    the other is far off; and not of a vehicle that looks different.
    """
    taken: list[Stop] = []
    times = [on_time(stop) for stop in stops]
    for other in others:
        place = bisect_right(times, on_time(other))
        before = stops[place - 1] if place else None
        after = stops[place] if place < len(stops) else None
        near = 0
        for start, end in ((before, other), (other, after)):
            if start is None or end is None:
                continue
            look = yard.look(start, end)
            if look.seconds > TRIP_GAP_S or start.place.id == end.place.id:
                continue
            driven_kmh = kmh(look.way.metres, max(1.0, look.seconds))
            if look.flag not in {"believable", "slow"}:
                near = -9
            elif driven_kmh >= yard.rules.slow_kmh and look_alike(start, end):
                near += 1
        if near >= 1:
            taken.append(replace(other, read_as=other.passage.plate))
    return taken


def divided(stops: list[Stop], yard: Yardstick) -> list[Stop]:
    """Say which vehicle made each stop, if one vehicle cannot have made them all."""
    flags = [yard.seen(a, b).flag for a, b in pairwise(stops)]
    if "impossible" not in flags:
        return stops
    trips = _trips(stops, flags, yard)
    colors = [trip.color for trip in trips for _ in range(trip.first, trip.last + 1)]
    parts = _parts(trips, flags)

    def fit(one: int, other: int) -> float:
        first, second = parts[one][1], parts[other][0]
        start, end = stops[first], stops[second]
        word = yard.seen(start, end).flag
        if word == "impossible":
            return -math.inf
        if colors[first] and colors[second]:
            return _FIT[word] + (0.0 if colors[first] == colors[second] else _SURELY_UNLIKE)
        return _FIT[word] + (0.0 if look_alike(start, end) else _UNLIKE)

    changes = [0.0]
    for (_, before), (after, _) in pairwise(parts):
        seconds = yard.seen(stops[before], stops[after]).seconds
        changes.append(_AFTER_A_STAY if seconds > TRIP_GAP_S else _ON_THE_ROAD)
    sizes = [last - first + 1 for first, last in parts]
    numbers = divide(len(parts), fit, changes, sizes)
    vehicles = [n for n, size in zip(numbers, sizes, strict=True) for _ in range(size)]
    return [
        stop if n == stop.vehicle else stop.numbered(stop.number, n)
        for stop, n in zip(stops, vehicles, strict=True)
    ]


def _trips(stops: Sequence[Stop], flags: Sequence[LegFlag], yard: Yardstick) -> list[_Trip]:
    ends = [n for n, (a, b) in enumerate(pairwise(stops)) if yard.seen(a, b).seconds > TRIP_GAP_S]
    trips: list[_Trip] = []
    first = 0
    for last in [*ends, len(stops) - 1]:
        seen = [stop.passage.vehicle_color for stop in stops[first : last + 1]]
        known = Counter(color for color in seen if color != "unknown")
        color, most = known.most_common(1)[0] if known else ("", 0)
        settled = 2 <= most > known.total() / 2 and "impossible" not in flags[first:last]
        trips.append(_Trip(first, last, color if settled else ""))
        first = last + 1
    return trips


def _parts(trips: Sequence[_Trip], flags: Sequence[LegFlag]) -> list[tuple[int, int]]:
    """First and last stop of what one vehicle made for sure: whole trips among which nothing is odd.

    A trip that one vehicle cannot have made well, or that does not fit to what was before or after
    it, is given stop by stop.
    """
    parts: list[tuple[int, int]] = []
    color: str | None = None
    """Of the last trip, if the next one may join it."""
    for trip in trips:
        legs = flags[max(0, trip.first - 1) : trip.last + 1]
        if "impossible" in legs or "fast" in legs:
            parts += [(n, n) for n in range(trip.first, trip.last + 1)]
            color = None
        elif color is not None and (color == trip.color or "" in {color, trip.color}):
            parts[-1] = parts[-1][0], trip.last
            color = color or trip.color
        else:
            parts.append((trip.first, trip.last))
            color = trip.color
    return parts
