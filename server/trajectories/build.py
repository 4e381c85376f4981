"""From the passages of one plate to its route. Pure: no clock, no database.

Distances are great circles (haversine, mean earth radius 6 371 008.8 m, IUGG 1980): the shortest
any road can be, so a speed over it is the lowest that the vehicle can have driven. That makes
"impossible" a safe word, and "slow" a mere hint. Where travel times have been learned
(:class:`Traffic`) a leg is held against them, checkpoints that were passed unseen are inferred, and
wrong clocks are set right. A route contains nothing that was not seen, or inferred and said to be.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from server.passages.view import PassageView
from server.trajectories.model import guess
from server.trajectories.paths import Asked, Found, Path, likely_paths, to_search
from server.trajectories.route import (
    Leg,
    LegFlag,
    RouteRules,
    Stay,
    Stop,
    Traffic,
    Trajectory,
    Trip,
    Unseen,
)
from server.trajectories.sketch import Expected
from server.trajectories.vehicles import divide

EARTH_RADIUS_M = 6_371_008.8
MIN_IMPOSSIBLE_M = 500.0
"""Nearer checkpoints are not judged: their clocks' uncertainty outweighs the distance."""
MIN_DURATION_S = 1.0
KNOWN = 30
WELL_KNOWN = 200
MIN_LEARNED_M = 2_000.0
IMPOSSIBLE_SHARE = 0.85
TRIP_GAP_S = 1_800.0
"""Longer out of sight, and three times longer than usual, is the end of a trip."""
BORDER_SHARE = 0.6
"""Of those seen at a checkpoint so many come from nowhere: there one enters the area."""
MOST_SEARCHED = 400
"""Different drives whose unseen checkpoints are searched for, the newest first: a fifth of a second.

One that is driven daily is one; legs whose way is known without searching are none.
"""


def build_trajectory(  # noqa: PLR0913 - what was seen, and what it is held against
    plate: str,
    passages: Iterable[PassageView],
    rules: RouteRules,
    *,
    truncated: bool = False,
    traffic: Traffic | None = None,
    misreads: Iterable[PassageView] = (),
) -> Trajectory:
    """Order passages in time, join repeats at one checkpoint, and judge each leg between.

    ``misreads`` are passages of plates that look like this one; those join the route that fit
    between its sightings in place and time, marked by ``read_as``.
    """
    offsets = traffic.clock_offset_s if traffic is not None else {}
    stops = _stops(passages, rules, offsets)
    taken = _fitting(stops, _stops(misreads, rules, offsets), rules, traffic)
    if taken:
        both = sorted([*stops, *taken], key=lambda stop: (_at(stop), stop.passage.passage_id))
        stops = [replace(stop, number=number) for number, stop in enumerate(both, 1)]
    stops = _divided(stops, rules, traffic)
    legs: list[Leg] = []
    before: dict[int, Stop] = {}
    earlier: dict[int, str] = {}
    searched: Found = {}
    left_out = _left_out(stops, traffic)
    for number, stop in enumerate(stops):
        last = stops[number - 1] if number else None
        if last is not None and last.vehicle != stop.vehicle:
            conflict = _leg(last, stop, rules, traffic, None, None)
            if conflict.flag == "impossible":
                legs.append(replace(conflict, vehicle=0))
        start = before.get(stop.vehicle)
        if start is not None:
            asked = None if stop.number in left_out else searched
            leg = _leg(start, stop, rules, traffic, earlier.get(stop.vehicle), asked)
            legs.append(leg)
            earlier.pop(stop.vehicle, None)
            if not leg.breaks:
                earlier[stop.vehicle] = start.place.id
        before[stop.vehicle] = stop
    trips, stays = _trips(stops, legs, traffic)
    metres = sum(leg.distance_m for leg in legs if leg.vehicle)
    vehicles = max((stop.vehicle for stop in stops), default=1)
    return Trajectory(
        plate, tuple(stops), tuple(legs), metres, truncated, vehicles, tuple(trips), tuple(stays)
    )


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
    if distance >= MIN_IMPOSSIBLE_M and _kmh(distance, longest_s) > rules.impossible_kmh:
        return "impossible"
    if expected is not None and expected.n >= KNOWN:
        sure = expected.n >= WELL_KNOWN and distance >= MIN_LEARNED_M
        if sure and longest_s < IMPOSSIBLE_SHARE * expected.q01_s:
            return "impossible"
        if longest_s < expected.q01_s:
            return "fast"
        return "slow" if duration_s > 1.1 * expected.q95_s + 15.0 else "believable"
    kmh = _kmh(distance, max(duration_s, MIN_DURATION_S))
    if distance >= MIN_IMPOSSIBLE_M and kmh > rules.fast_kmh:
        return "fast"
    return "slow" if kmh < rules.slow_kmh else "believable"


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


def _stops(
    passages: Iterable[PassageView], rules: RouteRules, offsets: Mapping[str, float]
) -> list[Stop]:
    def at(passage: PassageView) -> datetime:
        return passage.captured_at - timedelta(seconds=offsets.get(passage.checkpoint.id, 0.0))

    ordered = sorted(passages, key=lambda p: (at(p), p.passage_id))
    return [
        _stop(number, group, offsets)
        for number, group in enumerate(_grouped(ordered, rules.repeat_s), 1)
    ]


def _stop(number: int, group: Sequence[PassageView], offsets: Mapping[str, float]) -> Stop:
    best = max(group, key=lambda p: p.plate_score)
    offset = offsets.get(best.checkpoint.id, 0.0)
    return Stop(
        number,
        best.checkpoint,
        group[0].captured_at,
        group[-1].captured_at,
        best,
        len(group),
        clock_offset_s=offset,
    )


def _at(stop: Stop) -> datetime:
    """When it was there, by a right clock."""
    return stop.first_seen_at - timedelta(seconds=stop.clock_offset_s)


def _between(start: Stop, end: Stop) -> tuple[float, float]:
    """Metres and seconds from one stop to another, by right clocks."""
    metres = distance_m(start.place.lat, start.place.lon, end.place.lat, end.place.lon)
    return metres, _seconds(start, end)


def _seconds(start: Stop, end: Stop) -> float:
    """Out of sight from one stop to another, by right clocks."""
    left = start.last_seen_at - timedelta(seconds=start.clock_offset_s)
    return (_at(end) - left).total_seconds()


def _fitting(
    stops: Sequence[Stop], others: Sequence[Stop], rules: RouteRules, traffic: Traffic | None
) -> list[Stop]:
    """Of look-alikes' sightings those that the vehicle can have made on its way.

    Within a trip: in a believable time of a sighting before and one after, or of one of them if
    the other is far off; and not of a vehicle that looks different.
    """
    taken: list[Stop] = []
    for other in others:
        before = next((s for s in reversed(stops) if _at(s) <= _at(other)), None)
        after = next((s for s in stops if _at(s) > _at(other)), None)
        near = 0
        for start, end in ((before, other), (other, after)):
            if start is None or end is None:
                continue
            metres, seconds = _between(start, end)
            if seconds > TRIP_GAP_S or start.place.id == end.place.id:
                continue
            expected = _known(start, end, traffic)
            if judge(metres, seconds, rules, expected) not in {"believable", "slow"}:
                near = -9
            elif _kmh(metres, max(1.0, seconds)) >= rules.slow_kmh and _looks_alike(start, end):
                near += 1
        if near >= 1:
            taken.append(replace(other, read_as=other.passage.plate))
    return taken


def _looks_alike(one: Stop, other: Stop) -> bool:
    a, b = one.passage, other.passage
    pairs = (
        (a.vehicle_color, b.vehicle_color),
        (a.plate_color, b.plate_color),
        (a.plate_kind, b.plate_kind),
    )
    return all(x == y or "unknown" in {x, y} for x, y in pairs)


def _divided(stops: list[Stop], rules: RouteRules, traffic: Traffic | None) -> list[Stop]:
    """Say which vehicle made each stop, if one vehicle cannot have made them all."""

    def flag(start: Stop, end: Stop) -> LegFlag:
        metres, seconds = _between(start, end)
        return judge(metres, seconds, rules, _known(start, end, traffic))

    if all(flag(a, b) != "impossible" for a, b in pairwise(stops)):
        return stops

    def fit(first: int, second: int) -> float:
        start, end = stops[first], stops[second]
        word = flag(start, end)
        if word == "impossible":
            return -math.inf
        score = {"believable": 0.0, "slow": -0.4, "fast": -2.5}[word]
        return score if _looks_alike(start, end) else score - 1.2

    numbers = divide(len(stops), fit)
    return [replace(stop, vehicle=n) for stop, n in zip(stops, numbers, strict=True)]


def _known(start: Stop, end: Stop, traffic: Traffic | None) -> Expected | None:
    """What the drive usually takes, if it was seen often enough to be judged by."""
    if traffic is None or start.place.id == end.place.id:
        return None
    pair = traffic.links.model.times.get(start.place.id, {}).get(end.place.id)
    if pair is None or pair.n < KNOWN:
        return None
    known = pair.expected(traffic.when(start.last_seen_at))
    return known if known.n >= KNOWN else None


def _left_out(stops: Sequence[Stop], traffic: Traffic | None) -> set[int]:
    """Stops to which no way is searched for, because the newest legs have used up all searches."""
    if traffic is None or len(stops) <= MOST_SEARCHED:
        return set()
    searches: set[Asked] = set()
    left_out: set[int] = set()
    after: dict[int, Stop] = {}
    for start in reversed(stops):
        end = after.get(start.vehicle)
        after[start.vehicle] = start
        if end is None:
            continue
        asked = to_search(
            traffic.links, start.place.id, end.place.id, _seconds(start, end),
            traffic.when(start.last_seen_at),
        )  # fmt: skip
        if asked is None or asked in searches:
            continue
        if len(searches) < MOST_SEARCHED:
            searches.add(asked)
        else:
            left_out.add(end.number)
    return left_out


def _ways(  # noqa: PLR0913, PLR0917 - two stops, and what is known of them
    start: Stop,
    end: Stop,
    seconds: float,
    traffic: Traffic | None,
    before: str | None,
    searched: Found | None,
) -> tuple[Path, ...]:
    """The ways that the leg may have gone, likeliest first; none if nobody is to look."""
    if traffic is None or searched is None or start.place.id == end.place.id:
        return ()
    return likely_paths(
        traffic.links, start.place.id, end.place.id, seconds, traffic.when(start.last_seen_at),
        before=before, searched=searched,
    )  # fmt: skip


def _leg(  # noqa: PLR0913, PLR0917 - two stops, and what they are held against
    start: Stop,
    end: Stop,
    rules: RouteRules,
    traffic: Traffic | None,
    before: str | None,
    searched: Found | None,
) -> Leg:
    """Judge a leg; ``searched`` None: without looking for what was passed unseen."""
    metres, seconds = _between(start, end)
    expected = _known(start, end, traffic)
    paths = _ways(start, end, seconds, traffic, before, searched)
    if expected is None and paths:
        expected = paths[0].expected
    flag = judge(metres, seconds, rules, expected)
    usual = expected.q95_s if expected is not None else guess(metres).q95_s
    breaks = seconds > max(TRIP_GAP_S, 3 * usual) or (
        start.place.id == end.place.id and seconds > TRIP_GAP_S / 2
    )
    between: tuple[Unseen, ...] = ()
    probability = None
    if paths and traffic is not None and not breaks and flag != "impossible":
        probability = round(paths[0].probability, 4)
        shares = {
            name: sum(path.probability for path in paths if name in path.between)
            for name in paths[0].between
        }
        between = tuple(
            Unseen(traffic.places[name], round(min(1.0, share), 4))
            for name, share in shares.items()
            if name in traffic.places
        )
    return Leg(
        from_number=start.number,
        to_number=end.number,
        distance_m=round(metres, 1),
        duration_s=seconds,
        speed_kmh=round(_kmh(metres, seconds), 1) if seconds > 0 else None,
        flag=flag,
        vehicle=end.vehicle,
        expected=expected,
        between=between,
        path_probability=probability,
        breaks=breaks,
        left_out=traffic is not None and searched is None and flag != "impossible",
    )


def _trips(
    stops: Sequence[Stop], legs: Sequence[Leg], traffic: Traffic | None
) -> tuple[list[Trip], list[Stay]]:
    """Cut each vehicle's stops at its long breaks."""
    trips: list[Trip] = []
    stays: list[Stay] = []
    into = {leg.to_number: leg for leg in legs if leg.vehicle}
    for vehicle in sorted({stop.vehicle for stop in stops}):
        current: list[Stop] = []
        metres = 0.0
        for stop in (stop for stop in stops if stop.vehicle == vehicle):
            leg = into.get(stop.number)
            if current and leg is not None and leg.breaks:
                trips.append(_trip(len(trips) + 1, current, metres, traffic))
                stays.append(
                    Stay(
                        vehicle, current[-1].number, current[-1].place, stop.place,
                        current[-1].last_seen_at, stop.first_seen_at, trips[-1].leaves,
                    )
                )  # fmt: skip
                current, metres = [], 0.0
            metres += leg.distance_m if current and leg is not None else 0.0
            current.append(stop)
        trips.append(_trip(len(trips) + 1, current, metres, traffic))
    return trips, stays


def _trip(number: int, stops: Sequence[Stop], metres: float, traffic: Traffic | None) -> Trip:
    first, last = stops[0], stops[-1]
    return Trip(
        number, first.vehicle, first.number, last.number, first.first_seen_at, last.last_seen_at,
        round(metres, 1), len(stops),
        enters=traffic is not None and traffic.links.model.entry_share(first.place.id) >= BORDER_SHARE,
        leaves=traffic is not None and traffic.links.model.exit_share(last.place.id) >= BORDER_SHARE,
    )  # fmt: skip
