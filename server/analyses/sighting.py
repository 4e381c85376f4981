"""What analyses are made of: sightings, trips, and the straight line between checkpoints. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final, Protocol
from uuid import UUID

import msgspec

from server.checkpoints.service import CheckpointPlace
from server.trajectories.build import distance_m

_IN_ORDER: Final = attrgetter("at", "id_bytes")


class Sighting(msgspec.Struct, frozen=True):
    """One passage of a plate that was read whole; ``at`` aware UTC. Made by the thousand."""

    plate: str
    at: datetime
    id_bytes: bytes
    """The passage's identifier, 16 bytes."""
    checkpoint_id: str
    plate_color: str = "unknown"
    plate_kind: str = "unknown"
    vehicle_color: str = "unknown"
    direction: str = "unknown"
    lane: int | None = None
    score: float = 1.0

    @property
    def passage_id(self) -> UUID:
        """Made when somebody asks: of thousands of sightings a few are shown."""
        return UUID(bytes=self.id_bytes)


class TravelTimes(Protocol):
    """What is known of the ways between checkpoints."""

    def shortest_s(self, start: str, end: str) -> float | None:
        """No vehicle gets there faster, seconds; None if nothing is known of one of them."""

    def usual_s(self, start: str, end: str) -> float | None:
        """What it usually takes, seconds; None if nothing is known."""

    def distance_m(self, start: str, end: str) -> float | None:
        """Metres along the straight line; None if nothing is known of one of them."""


@dataclass(frozen=True, slots=True)
class StraightLines:
    """Travel times from positions alone: nobody is faster than ``max_kmh`` on the straight line.

    ``limits`` are pairs of which it is known that they can be driven in so many seconds.
    The usual time is the straight line x 1.3 at 40 km/h.
    """

    places: Mapping[str, CheckpointPlace]
    max_kmh: float = 150.0
    limits: Mapping[tuple[str, str], float] | None = None
    _metres: dict[tuple[str, str], float | None] = field(default_factory=dict, repr=False)

    def distance_m(self, start: str, end: str) -> float | None:
        """Great circle, metres."""
        if (start, end) not in self._metres:
            a, b = self.places.get(start), self.places.get(end)
            self._metres[start, end] = (
                None if a is None or b is None else distance_m(a.lat, a.lon, b.lat, b.lon)
            )
        return self._metres[start, end]

    def shortest_s(self, start: str, end: str) -> float | None:
        """At ``max_kmh``, or faster if somebody has said that it can be done."""
        metres = self.distance_m(start, end)
        if metres is None:
            return None
        line_s = metres / (self.max_kmh / 3.6)
        said_s = (self.limits or {}).get((start, end), math.inf)
        return min(line_s, said_s)

    def usual_s(self, start: str, end: str) -> float | None:
        """A guess for pairs of which nothing has been learned."""
        metres = self.distance_m(start, end)
        return None if metres is None else 1.3 * metres / (40.0 / 3.6)


def without_repeats(sightings: Iterable[Sighting], repeat_s: float) -> tuple[Sighting, ...]:
    """In order of time; of sightings at one checkpoint close together only the best read one stays."""
    kept: list[Sighting] = []
    last_at: datetime | None = None
    for one in sorted(sightings, key=_IN_ORDER):
        if (
            kept
            and last_at is not None
            and kept[-1].checkpoint_id == one.checkpoint_id
            and (one.at - last_at).total_seconds() <= repeat_s
        ):
            if one.score > kept[-1].score:
                kept[-1] = one
        else:
            kept.append(one)
        last_at = one.at
    return tuple(sorted(kept, key=_IN_ORDER))


def trips(sightings: Sequence[Sighting], gap_s: float) -> tuple[tuple[Sighting, ...], ...]:
    """Cut a plate's sightings, in order of time, wherever more than ``gap_s`` lie between two."""
    found: list[list[Sighting]] = []
    for one in sightings:
        if found and (one.at - found[-1][-1].at).total_seconds() <= gap_s:
            found[-1].append(one)
        else:
            found.append([one])
    return tuple(tuple(trip) for trip in found)
