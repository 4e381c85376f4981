"""Who drives where and when in the demo's county: an endless, seeded stream of trips.

Pure: the same seed and start give the same trips. This is the truth against which the smoke run
holds what the server says; agents and server never see it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.plates import random_plate
from demo.city import CHECKPOINTS, LEG_M

LOCAL_PROVINCE = "鲁"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A vehicle in front of one checkpoint's camera."""

    checkpoint: int
    """Index into :data:`demo.city.CHECKPOINTS`."""
    at: datetime
    """When its plate is best seen."""
    lane: int
    """0 = the camera's left lane."""
    speed_kmh: float


@dataclass(frozen=True, slots=True)
class Trip:
    """One vehicle's way through the county."""

    trip_id: str
    plate: str
    kind: PlateKind
    body: str
    """Body type, one of the renderer's."""
    body_color: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A vehicle of the demo's watchlist, and when it first shows up."""

    plate: str
    kind: PlateKind
    body: str
    body_color: str
    first_after_s: float
    speed_kmh: float
    reason: str
    level: int
    case_number: str


WANTED: tuple[Wanted, ...] = (
    Wanted("鲁H82K36", PlateKind.SMALL, "saloon", "white", 6.0, 52.0, "stolen", 1, "A3708001"),
    Wanted(
        "苏CD61905", PlateKind.NEW_ENERGY_SMALL, "suv", "red", 95.0, 47.0, "wanted", 2, "A3708002"
    ),
    Wanted("豫NT6728", PlateKind.LARGE, "lorry", "blue", 170.0, 41.0, "cloned", 3, "J3708003"),
)

_KINDS: tuple[tuple[PlateKind, float], ...] = (
    (PlateKind.SMALL, 0.56),
    (PlateKind.NEW_ENERGY_SMALL, 0.20),
    (PlateKind.LARGE, 0.10),
    (PlateKind.NEW_ENERGY_LARGE, 0.03),
    (PlateKind.POLICE, 0.03),
    (PlateKind.COACH, 0.03),
    (PlateKind.HONG_KONG, 0.015),
    (PlateKind.EMBASSY, 0.015),
)
_BODIES: dict[PlateKind, tuple[str, ...]] = {
    PlateKind.LARGE: ("lorry", "bus"),
    PlateKind.NEW_ENERGY_LARGE: ("bus", "lorry"),
}
_CAR_BODIES = ("saloon", "saloon", "suv", "van")
_COLORS = ("white", "white", "black", "grey", "grey", "red", "blue", "brown")

MEAN_GAP_S = 13.0
"""Mean time between two trips' beginnings: about one passage every seven seconds in the county."""

_SAME_LANE_GAP_S = 4.0
"""Vehicles of one lane keep this distance in time, so that no plate hides behind another."""


Lanes = dict[tuple[int, int], list[datetime]]
"""Checkpoint and lane to the times at which somebody passes there."""


def trips(seed: int, start_at: datetime, *, wanted: bool = True) -> Iterator[Trip]:
    """Every trip from ``start_at`` on, ordered by its first sighting, without end.

    The vehicles of :data:`WANTED` drive from west to north within the first minutes.
    """
    rng = np.random.default_rng(seed)
    queue: list[tuple[datetime, int, Trip]] = []
    lanes: Lanes = {}
    if wanted:
        for n, w in enumerate(WANTED):
            first_at = start_at + timedelta(seconds=w.first_after_s)
            route = range(len(CHECKPOINTS))
            sightings = _drive(route, first_at, w.speed_kmh, rng)
            _occupy(sightings, lanes)
            trip = Trip(f"w{n}", w.plate, w.kind, w.body, w.body_color, sightings)
            heappush(queue, (first_at, -1 - n, trip))
    at = start_at
    number = 0
    while True:
        at += timedelta(seconds=float(rng.exponential(MEAN_GAP_S)))
        while queue and queue[0][0] <= at:
            yield heappop(queue)[2]
        trip = _random_trip(number, at, rng)
        if _lanes_are_free(trip, lanes):
            _occupy(trip.sightings, lanes)
            yield trip
        number += 1


def _occupy(sightings: tuple[Sighting, ...], lanes: Lanes) -> None:
    for s in sightings:
        lanes.setdefault((s.checkpoint, s.lane), []).append(s.at)


def _lanes_are_free(trip: Trip, lanes: Lanes) -> bool:
    return all(
        abs((s.at - other).total_seconds()) >= _SAME_LANE_GAP_S
        for s in trip.sightings
        for other in lanes.get((s.checkpoint, s.lane), ())[-40:]
    )


def _random_trip(number: int, at: datetime, rng: np.random.Generator) -> Trip:
    kinds, weights = zip(*_KINDS, strict=True)
    weights_sum = np.asarray(weights) / sum(weights)
    kind = kinds[int(rng.choice(len(kinds), p=weights_sum))]
    province = LOCAL_PROVINCE if rng.random() < 0.6 else None
    bodies = _BODIES.get(kind, _CAR_BODIES)
    first, last = sorted(int(i) for i in rng.choice(len(CHECKPOINTS), size=2, replace=False))
    if rng.random() < 0.25:
        last = first
    route = range(first, last + 1)
    return Trip(
        trip_id=f"t{number}",
        plate=random_plate(kind, rng, province=province),
        kind=kind,
        body=bodies[int(rng.integers(len(bodies)))],
        body_color=_COLORS[int(rng.integers(len(_COLORS)))],
        sightings=_drive(route, at, float(rng.uniform(38, 62)), rng),
    )


def _drive(
    route: range, first_at: datetime, mean_kmh: float, rng: np.random.Generator
) -> tuple[Sighting, ...]:
    at = first_at
    sightings = []
    lane = int(rng.integers(2))
    for n, checkpoint in enumerate(route):
        if n:
            kmh = mean_kmh * float(rng.uniform(0.92, 1.08))
            at += timedelta(seconds=LEG_M[checkpoint - 1] / (kmh / 3.6))
        passing_kmh = float(rng.uniform(0.75, 1.05)) * mean_kmh
        sightings.append(Sighting(checkpoint, at, lane, passing_kmh))
    return tuple(sightings)
