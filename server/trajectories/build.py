"""From the passages of one plate to its route. Pure: no clock, no database.

Distances are great circles (haversine, mean earth radius 6 371 008.8 m, IUGG 1980): the shortest
any road can be, so a speed over it is the lowest that the vehicle can have driven. That makes
"impossible" a safe word, and "slow" a mere hint. Where travel times have been learned
(:class:`Traffic`) a leg is held against them, checkpoints that were passed unseen are inferred, and
wrong clocks are set right. A route contains nothing that was not seen, or inferred and said to be.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView
from server.trajectories.judging import (
    EARTH_RADIUS_M,
    Look,
    Yardstick,
    distance_m,
    judge,
    kmh,
    on_time,
)
from server.trajectories.model import guess
from server.trajectories.paths import LONGEST_S, Asked, Path, only_path, searched_paths, to_search
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
from server.trajectories.whose import TRIP_GAP_S, divided, fitting

__all__ = [
    "EARTH_RADIUS_M",
    "LegFlag",
    "RouteRules",
    "build_trajectory",
    "distance_m",
    "judge",
]

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
    yard = Yardstick(rules, traffic)
    taken = fitting(stops, _stops(misreads, rules, offsets), yard)
    if taken:
        both = sorted([*stops, *taken], key=lambda stop: (on_time(stop), stop.passage.passage_id))
        stops = [
            stop if stop.number == number else stop.numbered(number, 1)
            for number, stop in enumerate(both, 1)
        ]
    stops = divided(stops, yard)
    legs: list[Leg] = []
    before: dict[int, Stop] = {}
    earlier: dict[int, str] = {}
    searches = _searches(stops, yard)
    for number, stop in enumerate(stops):
        last = stops[number - 1] if number else None
        if last is not None and last.vehicle != stop.vehicle:
            conflict = _leg(last, stop, yard, None, _NOT)
            if conflict.flag == "impossible":
                legs.append(replace(conflict, vehicle=0))
        start = before.get(stop.vehicle)
        if start is not None:
            search = searches.get(stop.number, _NOT)
            leg = _leg(start, stop, yard, earlier.get(stop.vehicle), search)
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
        if not offsets:
            return passage.captured_at
        return passage.captured_at - timedelta(seconds=offsets.get(passage.checkpoint.id, 0.0))

    ordered = sorted(passages, key=lambda p: (at(p), p.passage_id))
    return [
        _stop(number, group, offsets)
        for number, group in enumerate(_grouped(ordered, rules.repeat_s), 1)
    ]


def _stop(number: int, group: Sequence[PassageView], offsets: Mapping[str, float]) -> Stop:
    best = group[0] if len(group) == 1 else max(group, key=lambda p: p.plate_score)
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


class _Search(NamedTuple):
    """How a leg's way is found out: by a search, without one, or not at all."""

    wanted: bool
    asked: Asked | None = None


_NOT: Final = _Search(False)


def _searches(stops: Sequence[Stop], yard: Yardstick) -> dict[int, _Search]:
    """By the number of a leg's end how its way is found out; :data:`_NOT` where it is left out.

    That is so where the newest legs have used up all searches.
    """
    traffic = yard.traffic
    found: dict[int, _Search] = {}
    if traffic is None:
        return found
    searched: set[Asked] = set()
    after: dict[int, Stop] = {}
    for start in reversed(stops):
        end = after.get(start.vehicle)
        after[start.vehicle] = start
        if end is None:
            continue
        look = yard.seen(start, end)
        asked = to_search(traffic.links, start.place.id, end.place.id, look.seconds, look.when)
        if asked is None or asked in searched or len(searched) < MOST_SEARCHED:
            found[end.number] = _Search(True, asked)
            if asked is not None:
                searched.add(asked)
    return found


def _ways(  # noqa: PLR0913, PLR0917 - the leg, what it is held against, how to search
    start: Stop,
    end: Stop,
    look: Look,
    traffic: Traffic | None,
    before: str | None,
    asked: Asked | None,
) -> tuple[Path, ...]:
    """The ways that the leg may have gone, likeliest first."""
    if traffic is None or start.place.id == end.place.id or not 0 < look.seconds <= LONGEST_S:
        return ()
    links = traffic.links
    if asked is None:
        return (only_path(links, start.place.id, end.place.id, look.when),)
    return searched_paths(links, asked, look.seconds, before, links.searched)


def _leg(start: Stop, end: Stop, yard: Yardstick, before: str | None, search: _Search) -> Leg:
    """Judge a leg, and say what was passed unseen if that is to be searched for."""
    traffic = yard.traffic
    look = yard.seen(start, end)
    metres, seconds, _, expected, flag = look
    paths: Sequence[Path] = ()
    # of a way that is known, and a leg that is a stay or nobody's, nothing would come of a search
    stays = expected is not None and _is_stay(start, end, seconds, expected)
    if search.wanted and not stays and (expected is None or flag != "impossible"):
        paths = _ways(start, end, look, traffic, before, search.asked)
    if expected is None and paths:
        expected = paths[0].expected
        flag = judge(metres, seconds, yard.rules, expected)
    breaks = stays or (
        look.known is None and _is_stay(start, end, seconds, expected or guess(metres))
    )
    between: tuple[Unseen, ...] = ()
    probability = None
    if paths and traffic is not None and not breaks and flag != "impossible":
        probability = round(paths[0].probability, 4)
        if paths[0].between:
            between = _unseen(paths, traffic.places)
    speed_kmh = round(kmh(metres, seconds), 1) if seconds > 0 else None
    left_out = traffic is not None and not search.wanted and flag != "impossible"
    return Leg(
        start.number, end.number, round(metres, 1), seconds, speed_kmh, flag, end.vehicle,
        expected, between, probability, breaks, left_out,
    )  # fmt: skip


def _is_stay(start: Stop, end: Stop, seconds: float, expected: Expected) -> bool:
    """Whether a vehicle stood for long between two stops, rather than drove."""
    return seconds > max(TRIP_GAP_S, 3 * expected.q95_s) or (
        start.place.id == end.place.id and seconds > TRIP_GAP_S / 2
    )


def _unseen(paths: Sequence[Path], places: Mapping[str, CheckpointPlace]) -> tuple[Unseen, ...]:
    """What was passed unseen on the likeliest path, each with its chance by all of them."""
    shares = {
        name: sum(path.probability for path in paths if name in path.between)
        for name in paths[0].between
    }
    return tuple(
        Unseen(places[name], round(min(1.0, share), 4))
        for name, share in shares.items()
        if name in places
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
