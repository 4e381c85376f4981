"""From the passages of one plate to its route. Pure: no clock, no database.

Distances are great circles (haversine, mean earth radius 6 371 008.8 m, IUGG 1980): the shortest
any road can be, so a speed over it is the lowest that the vehicle can have driven. That makes
"impossible" a safe word, and "slow" a mere hint. Where travel times have been learned
(:class:`Traffic`) a leg is held against them, checkpoints that were passed unseen are inferred, and
wrong clocks are set right. A route contains nothing that was not seen, or inferred and said to be.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, eq
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView
from server.trajectories.judging import (
    EARTH_RADIUS_M,
    Look,
    Yardstick,
    distance_m,
    judge,
    kmh,
    longest_drive_s,
    on_time,
)
from server.trajectories.links import Links
from server.trajectories.paths import LONGEST_S, Asked, Path, searched_paths, to_search
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
from server.trajectories.whose import divided, fitting

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
_CAPTURED_AT: Final = attrgetter("captured_at")
_PASSAGE_ID: Final = attrgetter("passage_id")
_One = TypeVar("_One", PassageView, Stop)


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
        both = _in_order([*stops, *taken], on_time, lambda stop: stop.passage.passage_id)
        stops = [
            stop if stop.number == number else stop.numbered(number, 1)
            for number, stop in enumerate(both, 1)
        ]
    stops = divided(stops, yard)
    legs = _legs(stops, yard)
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


def _in_order(
    some: Iterable[_One], at: Callable[[_One], datetime], passage_id: Callable[[_One], UUID]
) -> list[_One]:
    """In order of time; those of one instant by their identifiers, which nobody else needs."""
    ordered = sorted(some, key=at)
    times = [at(one) for one in ordered]
    if any(map(eq, times, times[1:])):
        ordered.sort(key=lambda one: (at(one), passage_id(one)))
    return ordered


def _stops(
    passages: Iterable[PassageView], rules: RouteRules, offsets: Mapping[str, float]
) -> list[Stop]:
    def on_time(passage: PassageView) -> datetime:
        ahead_s = offsets.get(passage.checkpoint.id)
        return passage.captured_at - timedelta(seconds=ahead_s) if ahead_s else passage.captured_at

    ordered = _in_order(passages, on_time if offsets else _CAPTURED_AT, _PASSAGE_ID)
    return [
        _stop(number, group, offsets)
        for number, group in enumerate(_grouped(ordered, rules.repeat_s), 1)
    ]


def _stop(number: int, group: Sequence[PassageView], offsets: Mapping[str, float]) -> Stop:
    best = group[0] if len(group) == 1 else max(group, key=lambda p: p.plate_score)
    place = best.checkpoint
    return Stop(
        number, place, group[0].captured_at, group[-1].captured_at, best, len(group),
        clock_offset_s=offsets.get(place.id, 0.0),
    )  # fmt: skip


class _Drive(NamedTuple):
    """Two stops that one vehicle made one after the other, and what there is to know of it."""

    start: Stop
    end: Stop
    look: Look


def _legs(stops: Sequence[Stop], yard: Yardstick) -> list[Leg]:
    """Each vehicle's legs, and those that nobody drove, in order of their ends."""
    drives: dict[int, _Drive] = {}
    newest: dict[int, Stop] = {}
    for stop in stops:
        start = newest.get(stop.vehicle)
        if start is not None:
            drives[stop.number] = _Drive(start, stop, yard.seen(start, stop))
        newest[stop.vehicle] = stop
    searches = _searches(drives, yard.traffic)
    legs: list[Leg] = []
    earlier: dict[int, str] = {}
    last: Stop | None = None
    for stop in stops:
        if last is not None and last.vehicle != stop.vehicle:
            look = yard.seen(last, stop)
            if look.flag == "impossible":
                legs.append(_conflict(_Drive(last, stop, look)))
        drive = drives.get(stop.number)
        if drive is not None:
            leg = _leg(drive, yard, earlier.pop(stop.vehicle, None), searches)
            legs.append(leg)
            if not leg.breaks:
                earlier[stop.vehicle] = drive.start.place.id
        last = stop
    return legs


def _searches(drives: dict[int, _Drive], traffic: Traffic | None) -> dict[int, Asked | None]:
    """By the number of a leg's end what has to be searched for to know its way.

    None where that is left out, because newer legs have used up all searches.
    """
    found: dict[int, Asked | None] = {}
    if traffic is None:
        return found
    searched: set[Asked] = set()
    for number in reversed(drives):
        start, end, look = drives[number]
        if look.seconds < look.way.only_below_s:
            continue
        asked = to_search(traffic.links, start.place.id, end.place.id, look.seconds, look.when)
        if asked is not None:
            if len(searched) < MOST_SEARCHED:
                searched.add(asked)
            found[number] = asked if asked in searched else None
    return found


def _ways(
    drive: _Drive, links: Links, before: str | None, searches: Mapping[int, Asked | None]
) -> Sequence[Path]:
    """The ways that a leg may have gone, likeliest first."""
    _, end, look = drive
    way, seconds = look.way, look.seconds
    if way.only is not None and 0 < seconds <= LONGEST_S and seconds < way.only_below_s:
        return (way.only,)
    asked = searches.get(end.number)
    if asked is None:
        return ()
    return searched_paths(links, asked, look.seconds, before, links.searched)


def _leg(
    drive: _Drive, yard: Yardstick, before: str | None, searches: Mapping[int, Asked | None]
) -> Leg:
    """Judge a leg, and say what was passed unseen if that is to be searched for."""
    start, end, look = drive
    way, seconds, flag, expected = look.way, look.seconds, look.flag, look.way.known
    breaks = seconds > way.longest_drive_s
    paths: Sequence[Path] = ()
    # of a way that is known, and a leg that is a stay or nobody's, nothing would come of a search
    if yard.traffic is not None and (expected is None or not (breaks or flag == "impossible")):
        paths = _ways(drive, yard.traffic.links, before, searches)
    if expected is None and paths:
        expected = paths[0].expected
        flag = judge(way.metres, seconds, yard.rules, expected)
        breaks = seconds > longest_drive_s(expected, stays_there=start.place.id == end.place.id)
    between: tuple[Unseen, ...] = ()
    probability = None
    if paths and yard.traffic is not None and not breaks and flag != "impossible":
        probability = round(paths[0].probability, 4)
        if paths[0].between:
            between = _unseen(paths, yard.traffic.places)
    left_out = searches.get(end.number, ()) is None and flag != "impossible"
    return Leg(
        start.number, end.number, round(way.metres, 1), seconds, _speed_kmh(look), flag,
        end.vehicle, expected, between, probability, breaks, left_out,
    )  # fmt: skip


def _conflict(drive: _Drive) -> Leg:
    """From a stop to the next one of another vehicle, which nobody drove."""
    start, end, look = drive
    breaks = look.seconds > look.way.longest_drive_s
    return Leg(
        start.number, end.number, round(look.way.metres, 1), look.seconds, _speed_kmh(look),
        look.flag, 0, look.way.known, breaks=breaks,
    )  # fmt: skip


def _speed_kmh(look: Look) -> float | None:
    return round(kmh(look.way.metres, look.seconds), 1) if look.seconds > 0 else None


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
