"""How a vehicle moves along its lane: steadily, or with one stop on the way. Pure.

Braking and pulling away are uniform, so distance and time follow from each other in closed form.
"""

from dataclasses import dataclass
from math import sqrt

BRAKING_M_S2 = 2.5
PULLING_AWAY_M_S2 = 1.8


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop, as in a queue."""

    after_m: float
    """How far the vehicle has driven when it stands."""
    for_s: float
    """How long it stands."""

    def __post_init__(self) -> None:
        """Refuse a stop before the start or of no length."""
        if self.after_m <= 0 or self.for_s <= 0:
            raise ValueError(f"a stop lies ahead and takes time, got {self}")


@dataclass(frozen=True, slots=True)
class _Phase:
    """A stretch of uniform acceleration."""

    for_s: float
    speed_m_s: float
    """At its begin."""
    gain_m_s2: float

    def way_m(self, t_s: float) -> float:
        if self.gain_m_s2 == 0:
            return self.speed_m_s * t_s if self.speed_m_s else 0.0
        return self.speed_m_s * t_s + self.gain_m_s2 * t_s * t_s / 2

    def time_s(self, way_m: float) -> float:
        """When so much of the way is done; the phase is long enough."""
        if self.gain_m_s2 == 0:
            return way_m / self.speed_m_s
        v, a = self.speed_m_s, self.gain_m_s2
        return (sqrt(max(0.0, v * v + 2 * a * way_m)) - v) / a


def _phases(speed_m_s: float, stop: Stop | None) -> tuple[_Phase, ...]:
    """From the start on; the last one never ends. A stop too near brakes harder."""
    steady = _Phase(float("inf"), speed_m_s, 0.0)
    if stop is None:
        return (steady,)
    braking = min(stop.after_m, speed_m_s**2 / (2 * BRAKING_M_S2))
    slowing_s = 2 * braking / speed_m_s
    return (
        _Phase((stop.after_m - braking) / speed_m_s, speed_m_s, 0.0),
        _Phase(slowing_s, speed_m_s, -speed_m_s / slowing_s),
        _Phase(stop.for_s, 0.0, 0.0),
        _Phase(speed_m_s / PULLING_AWAY_M_S2, 0.0, PULLING_AWAY_M_S2),
        steady,
    )


def driven_m(speed_m_s: float, stop: Stop | None, t_s: float) -> float:
    """How far a vehicle has driven ``t_s`` after its start; before it, backwards at full speed."""
    if t_s < 0:
        return speed_m_s * t_s
    way = 0.0
    for phase in _phases(speed_m_s, stop):
        if t_s <= phase.for_s:
            return way + phase.way_m(t_s)
        way += phase.way_m(phase.for_s)
        t_s -= phase.for_s
    raise AssertionError("the last phase never ends")


def speed_m_s(cruising_m_s: float, stop: Stop | None, t_s: float) -> float:
    """How fast it is then."""
    for phase in _phases(cruising_m_s, stop):
        if t_s <= phase.for_s:
            return max(0.0, phase.speed_m_s + phase.gain_m_s2 * max(t_s, 0.0))
        t_s -= phase.for_s
    raise AssertionError("the last phase never ends")


def drive_s(speed_m_s: float, stop: Stop | None, way_m: float) -> float:
    """How long it takes to drive so far; a stop at the very end is not waited for."""
    taken = 0.0
    for phase in _phases(speed_m_s, stop):
        whole = phase.way_m(phase.for_s)
        if way_m <= whole:
            return taken + phase.time_s(way_m) if way_m > 0 else taken
        way_m -= whole
        taken += phase.for_s
    raise AssertionError("the last phase never ends")
