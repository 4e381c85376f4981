"""Traffic between two checkpoints: who took how long, how fast on average, how it flows. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from server.analyses.sighting import Sighting


@dataclass(frozen=True, slots=True)
class Ride:
    """One vehicle from one checkpoint to another."""

    start: Sighting
    end: Sighting

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.end.at - self.start.at).total_seconds()


def rides(starts: Iterable[Sighting], ends: Iterable[Sighting], max_s: float) -> tuple[Ride, ...]:
    """Of each plate, each last start before an end, with that end; none longer than ``max_s``.

    A vehicle that passes the start twice before the end has turned round between: the later pass
    counts.
    """
    by_plate: dict[str, list[tuple[float, bool, Sighting]]] = defaultdict(list)
    for is_end, those in ((False, starts), (True, ends)):
        for one in those:
            by_plate[one.plate].append((one.at.timestamp(), is_end, one))
    found: list[Ride] = []
    for events in by_plate.values():
        start: Sighting | None = None
        for _, is_end, one in sorted(events, key=lambda e: (e[0], e[1], e[2].id_bytes)):
            if not is_end:
                start = one
            elif start is not None:
                ride = Ride(start, one)
                if 0.0 < ride.duration_s <= max_s:
                    found.append(ride)
                start = None
    return tuple(sorted(found, key=lambda r: (r.start.at, r.start.id_bytes)))


@dataclass(frozen=True, slots=True)
class SectionSpeed:
    """Average speed over a surveyed section (区间测速)."""

    ride: Ride
    speed_kmh: float
    least_kmh: float
    """What it was at least, with both clocks as wrong as they may be: what can be held to."""


def section_speeds(
    found: Sequence[Ride], length_m: float, clock_sigma_s: float
) -> tuple[SectionSpeed, ...]:
    """V = L / t of each ride; the fastest first."""
    speeds = [
        SectionSpeed(
            ride,
            length_m / ride.duration_s * 3.6,
            length_m / (ride.duration_s + 2.0 * clock_sigma_s) * 3.6,
        )
        for ride in found
    ]
    return tuple(sorted(speeds, key=lambda s: (-s.least_kmh, s.ride.start.at)))


@dataclass(frozen=True, slots=True)
class TravelTime:
    """How long vehicles took between two checkpoints, seconds."""

    vehicles: int
    median_s: float
    q15_s: float
    q85_s: float


def travel_time(found: Sequence[Ride], least: int = 3) -> TravelTime | None:
    """Quantiles of the rides that did not stop on the way; None of fewer than ``least``.

    Whoever took more than three times the median of all stopped somewhere.
    """
    if len(found) < least:
        return None
    durations = np.array([ride.duration_s for ride in found], np.float64)
    durations = durations[durations <= 3.0 * np.median(durations)]
    q15, median, q85 = np.quantile(durations, (0.15, 0.5, 0.85))
    return TravelTime(len(durations), float(median), float(q15), float(q85))


def congestion(now: TravelTime, usual: TravelTime) -> float:
    """How many times the free way's time it takes now: 1 is free, 2 is twice as long."""
    return now.median_s / max(1.0, min(usual.q15_s, now.q15_s))


def shares_between(found: Sequence[Ride], between: Iterable[Sighting]) -> dict[str, float]:
    """Of the rides from one checkpoint to another, the share that was read at each checkpoint between.

    ``between``: sightings of the same plates anywhere.
    """
    by_plate: dict[str, list[Sighting]] = defaultdict(list)
    for one in between:
        by_plate[one.plate].append(one)
    counts: dict[str, int] = defaultdict(int)
    for ride in found:
        ends = {ride.start.checkpoint_id, ride.end.checkpoint_id}
        seen = {
            one.checkpoint_id
            for one in by_plate.get(ride.start.plate, ())
            if ride.start.at < one.at < ride.end.at and one.checkpoint_id not in ends
        }
        for place in seen:
            counts[place] += 1
    return {place: count / len(found) for place, count in counts.items()} if found else {}
