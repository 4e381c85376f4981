"""Cloned plates (套牌): one plate where one vehicle cannot have been. Pure.

Two sightings that follow each other *conflict* if no vehicle gets from one to the other in the time
between them, less what the clocks may be off. A conflict has four possible causes, and the
evidence tells which is likely:

* **clock**: a checkpoint's clock is wrong. Then many plates conflict there
  (:func:`suspect_clocks`), and without that checkpoint this plate's conflicts are gone;
* **misread**: another vehicle's plate was read as this one. Then what does not fit is a sighting
  here and another there, each alone;
* **clone**: a second vehicle. What does not fit is a route of its own: at least two sightings
  that follow each other within one trip, or the vehicles look different. Or nothing conflicts, and
  two vehicles are still by far the likelier story (:mod:`server.analyses.tracks`);
* **doubtful**: it conflicts, and nothing more is known.

The second vehicle is found by giving each sighting to the vehicle that can have been there and
was nearest to it (after "A framework for cloned vehicle detection", Frontiers of Computer
Science 14(5), 2020: limits per pair, then the mixed trace is taken apart).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from server.analyses.sighting import Sighting, TravelTimes, trips
from server.analyses.surprise import poisson_surprise

CloneCause = Literal["clone", "clock", "misread", "doubtful"]


@dataclass(frozen=True, slots=True)
class CloneRules:
    """What is impossible, and what makes a second vehicle."""

    min_distance_m: float = 2_000.0
    clock_sigma_s: float = 2.0
    trip_gap_s: float = 1_800.0
    clock_plates: int = 3
    """So many plates must conflict at a checkpoint before its clock is suspected,"""
    clock_share: float = 0.05
    """and so large a share of the plates that passed it;"""
    clock_crowd: int = 6
    clock_surprise: float = 6.0
    """or so many plates, where chance gives as many once in a million checkpoints."""
    sure_color_score: float = 0.9
    plain_kmh: float = 150.0
    """Faster on the straight line nobody drives."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sightings that one vehicle cannot have made."""

    start: Sighting
    end: Sighting
    distance_m: float
    duration_s: float
    shortest_s: float

    @property
    def speed_kmh(self) -> float:
        """Over the straight line, from the time between them; a second at least."""
        return self.distance_m / max(self.duration_s, 1.0) * 3.6


@dataclass(frozen=True, slots=True)
class CloneVerdict:
    """What is likely behind a plate's conflicts, and on what grounds."""

    plate: str
    cause: CloneCause
    score: float
    conflicts: tuple[Conflict, ...]
    vehicles: tuple[tuple[Sighting, ...], ...]
    """The sightings taken apart, the longest first."""
    clock_checkpoint_id: str = ""
    """Of cause ``clock``: whose clock it is."""
    colors: tuple[str, str] | None = None
    """The two vehicles' colours, where both are known and differ."""
    jumps: tuple[Conflict, ...] = ()
    """Legs that could be driven, and that nobody was seen to drive: from one vehicle to the other."""
    gain: float = 0.0
    """Natural logarithm of how much likelier two vehicles are than one (:mod:`.tracks`)."""
    changes: int = 0
    """How often the sightings change between the two vehicles."""

    @property
    def evidence(self) -> tuple[Conflict, ...]:
        """Conflicts and jumps, in order of time; the same two passages once."""
        found = {(c.start.id_bytes, c.end.id_bytes): c for c in (*self.jumps, *self.conflicts)}
        return tuple(sorted(found.values(), key=lambda c: (c.end.at, c.end.id_bytes)))


def conflict_between(
    start: Sighting, end: Sighting, times: TravelTimes, rules: CloneRules
) -> Conflict | None:
    """The conflict of two sightings, ``start`` the earlier; None if one vehicle can have made them."""
    metres = times.distance_m(start.checkpoint_id, end.checkpoint_id)
    shortest_s = times.shortest_s(start.checkpoint_id, end.checkpoint_id)
    if metres is None or shortest_s is None or metres < rules.min_distance_m:
        return None
    duration_s = (end.at - start.at).total_seconds()
    if duration_s + 2.0 * rules.clock_sigma_s >= shortest_s:
        return None
    return Conflict(start, end, metres, duration_s, shortest_s)


def conflicts_of(
    sightings: Sequence[Sighting], times: TravelTimes, rules: CloneRules
) -> tuple[Conflict, ...]:
    """The conflicts between sightings that follow each other; ``sightings`` in order of time."""
    found = (conflict_between(a, b, times, rules) for a, b in pairwise(sightings))
    return tuple(one for one in found if one is not None)


def take_apart(
    sightings: Sequence[Sighting], times: TravelTimes, rules: CloneRules
) -> tuple[tuple[Sighting, ...], ...]:
    """Give each sighting to a vehicle that can have been there; the longest first.

    Of several that can, the one with the same colours and then the one that needs to have driven
    least closely to the limit. As few vehicles as that allows.
    """
    vehicles: list[list[Sighting]] = []
    for one in sightings:
        able = [v for v in vehicles if conflict_between(v[-1], one, times, rules) is None]
        if not able:
            vehicles.append([one])
            continue
        best = min(able, key=lambda v: (_unlike(v, one), _haste(v[-1], one, times)))
        best.append(one)
    return tuple(tuple(v) for v in sorted(vehicles, key=len, reverse=True))


def _unlike(vehicle: Sequence[Sighting], one: Sighting) -> bool:
    last = vehicle[-1]
    known = "unknown" not in {last.vehicle_color, one.vehicle_color}
    return known and last.vehicle_color != one.vehicle_color


def _haste(last: Sighting, one: Sighting, times: TravelTimes) -> float:
    """How much of its time the vehicle needed for the way; less is likelier, long waits are not."""
    needed = times.usual_s(last.checkpoint_id, one.checkpoint_id)
    had = (one.at - last.at).total_seconds()
    if needed is None:
        return had
    return abs(had - needed)


def judge_plate(
    plate: str,
    sightings: Sequence[Sighting],
    times: TravelTimes,
    rules: CloneRules,
    wrong_clocks: Collection[str] = (),
) -> CloneVerdict | None:
    """Say what is likely behind a plate's conflicts; None if it has none.

    ``sightings`` in order of time, without repeats; ``wrong_clocks`` are the checkpoints whose
    clocks are suspected.
    """
    every = conflicts_of(sightings, times, rules)
    if not every:
        return None
    sure = [s for s in sightings if s.checkpoint_id not in wrong_clocks]
    conflicts = conflicts_of(sure, times, rules) if len(sure) < len(sightings) else every
    if not conflicts:
        at_fault = Counter(
            place
            for c in every
            for place in (c.start.checkpoint_id, c.end.checkpoint_id)
            if place in wrong_clocks
        )
        return CloneVerdict(
            plate, "clock", 0.0, every, take_apart(sightings, times, rules),
            clock_checkpoint_id=at_fault.most_common(1)[0][0],
        )  # fmt: skip
    vehicles = take_apart(sure, times, rules)
    colors = differing_colors(vehicles)
    routes = _routes(vehicles[1:], rules)
    alone = sum(len(v) for v in vehicles[1:])
    pairs = len({(c.start.checkpoint_id, c.end.checkpoint_id) for c in conflicts})
    if routes:
        cause: CloneCause = "clone"
    elif colors is not None and alone >= 2 and pairs >= 2:
        cause = "clone"
    else:
        cause = "misread" if alone <= 2 else "doubtful"
    # the fastest hundredth of a pair goes the usual way; there may be a quicker one, so that what
    # is slower than anybody drives adds to what the whole route says and proves nothing alone
    plain = any(c.distance_m * 3.6 >= rules.plain_kmh * (c.duration_s + 2.0 * rules.clock_sigma_s)
                for c in conflicts)  # fmt: skip
    # what rests on one checkpoint alone may be its clock, though too few plates say so
    shared = set.intersection(*({c.start.checkpoint_id, c.end.checkpoint_id} for c in conflicts))
    if cause == "clone" and (not plain or (shared and colors is None)):
        cause = "doubtful"
    score = min(routes, 5) * 2.0 + min(pairs, 3) + (1.5 if colors else 0.0)
    return CloneVerdict(plate, cause, score, conflicts, vehicles, colors=colors)


def _routes(others: Iterable[Sequence[Sighting]], rules: CloneRules) -> int:
    """Trips of further vehicles that passed at least two checkpoints."""
    return sum(
        len({s.checkpoint_id for s in trip}) >= 2
        for vehicle in others
        for trip in trips(vehicle, rules.trip_gap_s)
    )


def differing_colors(vehicles: Sequence[Sequence[Sighting]]) -> tuple[str, str] | None:
    """The usual colours of first and second vehicle, if both are known, settled and differ."""
    settled = []
    for vehicle in vehicles[:2]:
        colors = Counter(s.vehicle_color for s in vehicle if s.vehicle_color != "unknown")
        if not colors:
            return None
        color, count = colors.most_common(1)[0]
        if count / colors.total() < 0.6:
            return None
        settled.append(color)
    if len(settled) < 2 or settled[0] == settled[1]:
        return None
    return settled[0], settled[1]


def suspect_clocks(
    conflicts: Iterable[tuple[str, str, str]], passing: Counter[str], rules: CloneRules
) -> dict[str, int]:
    """The checkpoints whose clocks are wrong, and the plates that say so.

    ``conflicts`` are (plate, from, to); ``passing`` the number of different plates at each
    checkpoint. A wrong clock makes conflicts with all its neighbours, so the worst checkpoint is
    taken out first, with its conflicts, until none stands out.
    """
    left = set(conflicts)
    found: dict[str, int] = {}
    while left:
        plates: dict[str, set[str]] = defaultdict(set)
        for plate, start, end in left:
            plates[start].add(plate)
            plates[end].add(plate)
        shares = {
            place: len(those) / max(1, passing[place])
            for place, those in plates.items()
            if len(those) >= rules.clock_plates
        }
        if not shares:
            break
        worst = max(sorted(shares), key=lambda place: (shares[place], len(plates[place])))
        if shares[worst] < rules.clock_share:
            # a busy checkpoint whose clock is a little wrong: few of its many plates conflict
            usual = sum(map(len, plates.values())) / max(1, passing.total())
            worst = max(
                sorted(shares), key=lambda place: len(plates[place]) - usual * passing[place]
            )
            count, chance = float(len(plates[worst])), usual * passing[worst]
            surprise = poisson_surprise(np.array([count]), np.array([chance]))[0]
            if count < rules.clock_crowd or surprise < rules.clock_surprise:
                break
        worst = _rather(worst, left, rules)
        found[worst] = len(plates[worst])
        left = {c for c in left if worst not in c[1:]}
    return found


def _rather(worst: str, conflicts: Collection[tuple[str, str, str]], rules: CloneRules) -> str:
    """Of two checkpoints that conflict the one whose clock it is: the one that conflicts with others.

    Where few pass, nearly everybody conflicts with a busy neighbour whose clock is wrong.
    """
    beside: dict[str, set[str]] = defaultdict(set)
    for plate, start, end in conflicts:
        if worst in {start, end}:
            beside[end if start == worst else start].add(plate)
    partner = max(sorted(beside), key=lambda place: len(beside[place]))
    if len(set().union(*beside.values()) - beside[partner]) >= rules.clock_plates:
        return worst
    others = {
        plate
        for plate, start, end in conflicts
        if partner in {start, end} and worst not in {start, end}
    }
    return partner if len(others) >= rules.clock_plates else worst
