"""Driving the agenda through the city, and what the checkpoints make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation.agenda import Agenda, make_agenda
from benchmarks.simulation.city import City, Floats, Ints, make_city
from benchmarks.simulation.fleet import BLANK, Fleet, as_number, as_texts, make_fleet
from benchmarks.simulation.misreads import confusion_matrix, misread
from benchmarks.simulation.plan import Plan
from benchmarks.simulation.routes import VARIANTS, Routes, expand, make_routes

Flags = NDArray[np.bool_]
_SLOT_S = 900.0


@dataclass(frozen=True, slots=True)
class Passages:
    """One row a vehicle in front of a checkpoint, ordered by ``at_s``. Columns of one length.

    What a server may know: ``at_s`` (seconds since the plan's start as the checkpoint's clock
    says), ``checkpoint``, ``plate`` (index into ``World.texts``; 0 is '', unread), ``score``,
    ``kind``, ``color`` (of the vehicle, as read), ``lane`` (from 1), ``speed_kmh``.
    The truth: ``true_s``, ``vehicle``, ``trip``, ``seen`` (False: the checkpoint told nothing),
    ``misread``.
    """

    at_s: Floats
    checkpoint: Ints
    plate: Ints
    score: Floats
    kind: Ints
    color: Ints
    lane: Ints
    speed_kmh: Floats
    true_s: Floats
    vehicle: Ints
    trip: Ints
    seen: Flags
    misread: Flags

    def __len__(self) -> int:
        """Rows."""
        return len(self.at_s)

    def where(self, rows: Any) -> "Passages":
        """Some of the rows: a mask or indices."""
        return Passages(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Trips:
    """Trips as they were driven; ``Passages.trip`` counts these rows."""

    vehicle: Ints
    origin: Ints
    destination: Ints
    start_s: Floats
    end_s: Floats
    convoy: Ints


@dataclass(frozen=True, slots=True)
class World:
    """A city's days.

    ``passages`` holds every true appearance, also those that nobody noticed; ``texts`` are the
    plates by index. ``clock_offset_s`` (checkpoints,) and ``clock_since_s``: by how much a clock
    is wrong from when on; 0 = right. ``missed`` (checkpoints,): share that each does not see.
    """

    plan: Plan
    city: City
    fleet: Fleet
    trips: Trips
    passages: Passages
    texts: NDArray[np.str_]
    clock_offset_s: Floats
    clock_since_s: Floats
    missed: Floats

    def seen(self) -> Passages:
        """What the checkpoints told."""
        return self.passages.where(self.passages.seen)

    def plate_of(self, vehicle: int) -> str:
        """The plate that a vehicle carries, rightly or not."""
        return str(as_texts(self.fleet.codes[[vehicle]])[0])

    def truth(self) -> Mapping[str, Any]:
        """Who is what: plates of clones, convoys, hiders, fakes; wrong clocks."""
        fleet = self.fleet
        text = as_texts(fleet.codes).tolist()
        clones = np.flatnonzero(fleet.plate_of != np.arange(len(text)))
        convoys: dict[int, list[str]] = {}
        for follower in np.flatnonzero(fleet.leader >= 0).tolist():
            leader = int(fleet.leader[follower])
            convoys.setdefault(leader, [text[leader]]).append(text[follower])
        return {
            "clones": sorted(text[c] for c in clones),
            "convoys": list(convoys.values()),
            "hiders": [text[v] for v in np.flatnonzero(fleet.hides)],
            "fakes": [text[v] for v in np.flatnonzero(fleet.fake)],
            "clocks": {
                City.checkpoint_id(c): float(self.clock_offset_s[c])
                for c in np.flatnonzero(self.clock_offset_s).tolist()
            },
        }


def simulate(plan: Plan, city: City | None = None) -> World:
    """Make the city, drive everybody through it, and let the checkpoints look.

    With ``city`` through that one: the plan's checkpoints, zones and grid are not asked.
    """
    rng = np.random.default_rng(plan.seed)
    if city is None:
        city = make_city(rng, plan.checkpoints, plan.zones, plan.grid_m)
    routes = make_routes(rng, city)
    fleet = make_fleet(rng, plan, city)
    agenda = make_agenda(rng, plan, city, fleet)
    slowness = _slowness(rng, plan, city)
    trips, rows = _drive(rng, city, routes, fleet, agenda, slowness)
    rows = _follow(rng, fleet, trips, rows)
    return _watched(rng, plan, city, fleet, trips, rows)


def _slowness(rng: np.random.Generator, plan: Plan, city: City) -> NDArray[np.float32]:
    """(checkpoints, quarters of an hour): how many times slower the road before each is."""
    slots = int((plan.days + 2) * 86_400 / _SLOT_S)
    hour = np.arange(slots) * _SLOT_S / 3_600
    weekend = (plan.start_at.weekday() + 1 + hour // 24) % 7 >= 5
    clock = hour % 24
    peak = np.exp(-(((clock - 8) / 1.1) ** 2)) + np.exp(-(((clock - 18) / 1.4) ** 2))
    city_wide = 1.12 + 0.18 * ((clock > 7) & (clock < 20)) + 0.6 * peak * ~weekend
    quiet = rng.uniform(0.6, 1.3, len(city.checkpoint_link))[:, None]
    slow = (1 + (city_wide - 1) * quiet).astype(np.float32)
    east = city.east_m[city.link_to[city.checkpoint_link]]
    north = city.north_m[city.link_to[city.checkpoint_link]]
    for _ in range(plan.jams * plan.days):
        centre = rng.integers(len(east))
        near = np.hypot(east - east[centre], north - north[centre]) < 1_800
        begin = int(rng.integers(slots))
        slow[np.flatnonzero(near)[:, None], begin : begin + int(rng.integers(2, 6))] *= rng.uniform(
            1.6, 3.0
        )
    return slow


@dataclass(frozen=True, slots=True)
class _Rows:
    at_s: Floats
    checkpoint: Ints
    vehicle: Ints
    trip: Ints
    kmh: Floats


def _drive(  # noqa: PLR0913, PLR0917 - everything meets here
    rng: np.random.Generator,
    city: City,
    routes: Routes,
    fleet: Fleet,
    agenda: Agenda,
    slowness: NDArray[np.float32],
) -> tuple[Trips, list[_Rows]]:
    """Everybody's first trip, then everybody's second …: a vehicle starts where it stands."""
    count = len(agenda.vehicle)
    first = np.searchsorted(agenda.vehicle, agenda.vehicle)
    turn = np.arange(count) - first
    by_turn = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))
    place, free_at = fleet.home.copy(), np.zeros(len(fleet.home))
    origin, start, end = np.zeros(count, int), np.zeros(count), np.zeros(count)
    found: list[_Rows] = []
    begin = 0
    for stop in ends.tolist():
        trip = by_turn[begin:stop]
        begin = stop
        who = agenda.vehicle[trip]
        origin[trip] = place[who]
        start[trip] = np.maximum(agenda.not_before_s[trip], free_at[who] + agenda.rest_s[trip])
        rows, seconds = _trip_rows(
            rng, routes, fleet, slowness, trip, who, place[who], agenda.destination[trip],
            start[trip],
        )  # fmt: skip
        found.append(rows)
        end[trip] = start[trip] + seconds
        place[who], free_at[who] = agenda.destination[trip], end[trip]
    del city
    return (
        Trips(agenda.vehicle, origin, agenda.destination, start, end, agenda.convoy),
        found,
    )


def _trip_rows(  # noqa: PLR0913, PLR0917 - columns of the trips
    rng: np.random.Generator,
    routes: Routes,
    fleet: Fleet,
    slowness: NDArray[np.float32],
    trip: Ints,
    who: Ints,
    origin: Ints,
    destination: Ints,
    start: Floats,
) -> tuple[_Rows, Floats]:
    """The checkpoints on these trips with their times, and how long each trip took."""
    usual = rng.random(len(who)) < 0.8
    variant = np.where(usual, fleet.variant[who], rng.integers(0, VARIANTS, len(who)))
    number = routes.number(origin, destination, variant)
    pace = fleet.pace[who] * rng.lognormal(0, 0.05, len(who))
    of, row = expand(routes.begin, number)
    point = routes.checkpoint[row]
    free = routes.free_s[row]
    is_first = np.ones(len(of), bool)
    is_first[1:] = of[1:] != of[:-1]
    step = np.diff(free, prepend=0.0)
    step[is_first] = free[is_first]
    slot = ((start[of] + 1.25 * free) / _SLOT_S).astype(int)
    slow = slowness[point, np.minimum(slot, slowness.shape[1] - 1)]
    taken = step * pace[of] * slow * rng.lognormal(0, 0.09, len(of))
    # lights: a third of the time one waits
    taken += np.where(rng.random(len(of)) < 0.33, rng.uniform(2, 45, len(of)), 0.0)
    # filling up, a shop on the way
    taken += np.where(rng.random(len(of)) < 0.004, rng.gamma(2, 400, len(of)), 0.0)
    total = np.cumsum(taken)
    before = (total - taken)[is_first][np.cumsum(is_first) - 1] if len(of) else total
    since_start = total - before
    end = routes.total_s[number] * pace * 1.3
    np.maximum.at(end, of, since_start + 30.0)
    kmh = np.clip(rng.normal(48, 7, len(of)) / np.maximum(slow, 0.8), 4, 120)
    return _Rows(start[of] + since_start, point, who[of], trip[of], kmh), end


def _follow(rng: np.random.Generator, fleet: Fleet, trips: Trips, rows: list[_Rows]) -> list[_Rows]:
    """Add the followers of convoys, seconds behind whom they follow."""
    added = []
    leads = np.unique(fleet.leader[fleet.leader >= 0])
    for part in rows:
        mask = np.isin(part.vehicle, leads) & (trips.convoy[part.trip] == 1)
        if not mask.any():
            continue
        together = _Rows(*(getattr(part, field.name)[mask] for field in fields(part)))
        for leader in np.unique(together.vehicle).tolist():
            mine = together.vehicle == leader
            for place, follower in enumerate(np.flatnonzero(fleet.leader == leader).tolist(), 1):
                gap = place * rng.uniform(4, 14) + np.abs(rng.normal(0, 2.0, int(mine.sum())))
                added.append(
                    _Rows(
                        together.at_s[mine] + gap,
                        together.checkpoint[mine],
                        np.full(int(mine.sum()), follower),
                        together.trip[mine],
                        together.kmh[mine],
                    )
                )
    return rows + added


def _watched(  # noqa: PLR0913, PLR0917 - everything meets here
    rng: np.random.Generator, plan: Plan, city: City, fleet: Fleet, trips: Trips, rows: list[_Rows]
) -> World:
    true_s, checkpoint, vehicle, trip, kmh = (
        np.concatenate([getattr(part, field.name) for part in rows]) for field in fields(_Rows)
    )
    count, places = len(true_s), len(city.checkpoint_link)
    since, offset = _clocks(rng, plan, places)
    at = true_s + np.where(true_s >= since[checkpoint], offset[checkpoint], 0.0)
    at += rng.normal(0, 0.4, count)
    missed = np.clip(rng.gamma(1.5, plan.missed / 1.5, places), 0, 0.6)
    seen = rng.random(count) >= missed[checkpoint]
    clock_h = true_s / 3_600 % 24
    dark = (clock_h < 6) | (clock_h > 19)
    unread = (rng.random(count) < plan.unread) | (
        fleet.hides[vehicle] & ((clock_h < 5.5) | (clock_h > 21))
    )
    wrong = ~unread & (rng.random(count) < plan.misread)
    texts, plate = _read(rng, fleet, vehicle, wrong, unread)
    score = np.where(wrong, rng.beta(9, 3, count), 1 - rng.beta(1.2, 30, count))
    color = fleet.color[vehicle].copy()
    mistaken = rng.random(count) < np.where(dark, 0.22, 0.06)
    color[mistaken] = rng.integers(0, 9, int(mistaken.sum()))
    order = np.argsort(at, kind="stable")
    passages = Passages(
        at, checkpoint, plate, np.round(score, 3), fleet.kind[vehicle], color,
        1 + rng.integers(0, 3, count), np.round(kmh, 1), true_s, vehicle, trip, seen, wrong,
    ).where(order)  # fmt: skip
    return World(plan, city, fleet, trips, passages, texts, offset, since, missed)


def _clocks(rng: np.random.Generator, plan: Plan, places: int) -> tuple[Floats, Floats]:
    offset, since = np.zeros(places), np.zeros(places)
    wrong = rng.choice(places, round(plan.clock_faults * places), replace=False)
    size = np.exp(rng.uniform(np.log(40), np.log(900), len(wrong)))
    offset[wrong] = np.round(size * rng.choice((-1, 1), len(wrong)), 1)
    since[wrong] = rng.uniform(0, plan.days * 0.5, len(wrong)) * 86_400
    return since, offset


def _read(
    rng: np.random.Generator, fleet: Fleet, vehicle: Ints, wrong: Flags, unread: Flags
) -> tuple[NDArray[np.str_], Ints]:
    """The distinct texts ('' first), and the text of each row."""
    mistaken = misread(rng, fleet.codes[vehicle[wrong]], confusion_matrix())
    numbers = np.concatenate([as_number(fleet.codes), as_number(mistaken)])
    _, first, index = np.unique(numbers, return_index=True, return_inverse=True)
    codes = np.concatenate([fleet.codes, mistaken])[first]
    plate = index[: len(fleet.codes)][vehicle] + 1
    plate[wrong] = index[len(fleet.codes) :] + 1
    plate[unread] = 0
    blank = np.full((1, 8), BLANK, np.uint8)
    return as_texts(np.concatenate([blank, codes])), plate


def thinned(world: World, removed: float, seed: int) -> World:
    """The same days with so large a share of the sightings taken away besides."""
    rng = np.random.default_rng(seed)
    seen = world.passages.seen & (rng.random(len(world.passages)) >= removed)
    return replace(world, passages=replace(world.passages, seen=seen))
