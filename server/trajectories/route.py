"""What a route is made of. Frozen; instants aware UTC, positions WGS-84."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal

from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView
from server.shown import Shown
from server.trajectories.links import Links
from server.trajectories.sketch import Expected, time_class

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
class Traffic:
    """What a route is held against, if anything has been learned."""

    links: Links
    places: Mapping[str, CheckpointPlace]
    clock_offset_s: Mapping[str, float] = field(default_factory=dict)
    """By how much clocks are ahead, of the checkpoints whose clock is wrong."""
    zone: tzinfo = UTC

    def when(self, at: datetime) -> int:
        """The class of a time."""
        return time_class(at, self.zone)


class Stop(Shown, frozen=True):
    """One appearance at one checkpoint: the best-read passage, and how many it stands for."""

    number: int
    """1 is the first of the route."""
    place: CheckpointPlace
    first_seen_at: datetime
    last_seen_at: datetime
    passage: PassageView
    passages: int
    vehicle: int = 1
    """Another number than 1: another vehicle carries the plate (套牌), or it was misread."""
    read_as: str = ""
    """What was read, if that was not the plate of the route: believed to be a misread of it."""
    clock_offset_s: float = 0.0
    """By how much the checkpoint's clock is ahead; the times here are as it said."""

    def numbered(self, number: int, vehicle: int) -> "Stop":
        """The same with another number, and of that vehicle."""
        return Stop(
            number, self.place, self.first_seen_at, self.last_seen_at, self.passage, self.passages,
            vehicle, self.read_as, self.clock_offset_s,
        )  # fmt: skip


class Unseen(Shown, frozen=True):
    """A checkpoint that was probably passed, and did not see the vehicle. Never a sighting."""

    place: CheckpointPlace
    probability: float


class Leg(Shown, frozen=True):
    """From one stop to the next of the same vehicle; or, impossible, to the next of another one.

    Speed is over the straight line; None if no time passed.
    """

    from_number: int
    to_number: int
    distance_m: float
    duration_s: float
    speed_kmh: float | None
    flag: LegFlag
    vehicle: int = 1
    """0: nobody drove it; it shows that two vehicles carry the plate, and is in no trip."""
    expected: Expected | None = None
    """What the drive usually takes at that time of the week; None if nobody knows."""
    between: tuple[Unseen, ...] = ()
    """Inferred, in order, of the likeliest path."""
    path_probability: float | None = None
    """Of that path against all others; None if nothing is known of the way."""
    breaks: bool = False
    """The vehicle stood for long in between: one trip ends, another begins."""
    left_out: bool = False
    """Whether checkpoints passed unseen were not looked for, because the route has so many legs."""


class Trip(Shown, frozen=True):
    """A drive without a long break: from where (起点) to where (终点), how far."""

    number: int
    vehicle: int
    from_number: int
    to_number: int
    begun_at: datetime
    ended_at: datetime
    distance_m: float
    stops: int
    enters: bool
    """It begins at a checkpoint where vehicles come into the area (进)."""
    leaves: bool
    """It ends at one where they leave it (出)."""


class Stay(Shown, frozen=True):
    """Where the vehicle was out of sight between two trips (停留): behind its last checkpoint."""

    vehicle: int
    after_number: int
    place: CheckpointPlace
    next_place: CheckpointPlace
    since: datetime
    until: datetime
    away: bool
    """It had left the area."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The route of a plate, oldest first."""

    plate: str
    stops: tuple[Stop, ...]
    legs: tuple[Leg, ...]
    distance_m: float
    truncated: bool
    """Whether there were more passages than a route is built of; the oldest are left out."""
    vehicles: int = 1
    trips: tuple[Trip, ...] = ()
    stays: tuple[Stay, ...] = ()

    def stop(self, number: int) -> Stop:
        """The stop of that number, from 1."""
        return self.stops[number - 1]
