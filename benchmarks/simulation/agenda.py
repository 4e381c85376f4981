"""What everybody means to do: where to, and not before when."""

from dataclasses import dataclass

import numpy as np

from benchmarks.simulation import fleet as f
from benchmarks.simulation.city import City, Floats, Ints
from benchmarks.simulation.fleet import Fleet
from benchmarks.simulation.plan import Plan

_DAY = 86_400.0
_H = 3_600.0


@dataclass(frozen=True, slots=True)
class Agenda:
    """Intended trips, ordered by vehicle and time.

    ``not_before_s`` from the plan's start; ``rest_s`` is how long the vehicle stays where it is
    before this trip, at least; ``convoy`` marks trips on which followers come along.
    """

    vehicle: Ints
    destination: Ints
    not_before_s: Floats
    rest_s: Floats
    convoy: Ints


class _Book:
    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints, Floats, Floats, Ints]] = []

    def add(
        self, vehicle: Ints, to: Ints, at: Floats, rest: Floats | float = 120.0, convoy: int = 0
    ) -> None:
        count = len(vehicle)
        self._parts.append(
            (vehicle, to, at, np.broadcast_to(rest, count).astype(float), np.full(count, convoy))
        )

    def close(self) -> Agenda:
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        order = np.lexsort((columns[2], columns[0]))
        vehicle, to, at, rest, convoy = (column[order] for column in columns)
        return Agenda(vehicle, to, at, rest, convoy)


def make_agenda(rng: np.random.Generator, plan: Plan, city: City, fleet: Fleet) -> Agenda:
    """Everybody's trips of all days."""
    book = _Book()
    inner = len(city.zones) - city.exits
    convoy_days = _convoy_days(rng, plan, fleet)
    lines = rng.integers(0, inner, (max(1, int((fleet.role == f.BUS).sum()) // 6 + 1), 6))
    passes_on = rng.integers(0, plan.days, len(fleet.role))
    for day in range(plan.days):
        midnight = day * _DAY
        weekend = (plan.start_at.weekday() + 1 + day) % 7 >= 5
        _commuters(rng, book, fleet, midnight, inner, weekend=weekend)
        alone = np.isin(fleet.role, (f.PRIVATE, f.CLONE)) | (
            (fleet.role == f.CONVOY) & ~convoy_days[:, day]
        )
        _errands(rng, book, fleet, midnight, inner, np.flatnonzero(alone))
        _rounds(rng, book, fleet, midnight, inner)
        _buses(book, rng, fleet, midnight, lines)
        _nights(rng, book, fleet, midnight, inner)
        leads = np.flatnonzero(convoy_days[:, day] & (fleet.leader < 0))
        _convoys(rng, book, midnight, inner, leads)
        through = np.flatnonzero((fleet.role == f.TRANSIT) & (passes_on == day))
        _through(rng, book, midnight, inner, city.exits, through)
    return book.close()


def _convoy_days(rng: np.random.Generator, plan: Plan, fleet: Fleet) -> np.ndarray:
    """(vehicles, days): whether a leader and its followers drive together."""
    days = np.zeros((len(fleet.role), plan.days), bool)
    for leader in np.flatnonzero((fleet.role == f.CONVOY) & (fleet.leader < 0)):
        chosen = rng.choice(plan.days, min(plan.convoy_days, plan.days), replace=False)
        days[leader, chosen] = True
        days[np.ix_(fleet.leader == leader, chosen)] = True
    return days


def _commuters(  # noqa: PLR0913 - a day, a place, a crowd
    rng: np.random.Generator, book: _Book, fleet: Fleet, midnight: float, inner: int, *,
    weekend: bool,
) -> None:  # fmt: skip
    who = np.flatnonzero(fleet.role == f.COMMUTER)
    if not weekend:
        who = who[rng.random(len(who)) < 0.9]
        habit = 7.7 + 0.5 * np.sin(who * 1.7)
        book.add(who, fleet.work[who], midnight + (habit + rng.normal(0, 0.25, len(who))) * _H)
        back = midnight + (habit + 10 + rng.normal(0, 0.6, len(who))) * _H
        book.add(who, fleet.home[who], back)
        who = who[rng.random(len(who)) < 0.25]
        at = midnight + rng.normal(19.4, 0.6, len(who)) * _H
    else:
        who = who[rng.random(len(who)) < 0.55]
        at = midnight + rng.normal(12.5, 2.6, len(who)) * _H
    book.add(who, rng.integers(0, inner, len(who)), at)
    book.add(who, fleet.home[who], at + rng.gamma(3, 0.4 * _H, len(who)), 900.0)


def _errands(  # noqa: PLR0913, PLR0917 - a day, a place, a crowd
    rng: np.random.Generator, book: _Book, fleet: Fleet, midnight: float, inner: int, who: Ints
) -> None:
    for _ in range(3):
        out = who[rng.random(len(who)) < 0.5]
        at = midnight + np.clip(rng.normal(14, 4, len(out)), 5, 23) * _H
        book.add(out, rng.integers(0, inner, len(out)), at)
        book.add(out, fleet.home[out], at + rng.gamma(2, 0.5 * _H, len(out)), 600.0)


def _rounds(
    rng: np.random.Generator, book: _Book, fleet: Fleet, midnight: float, inner: int
) -> None:
    """Lorries and taxis go from customer to customer."""
    for role, active, most, rest in ((f.LORRY, 0.8, 5, 1500.0), (f.TAXI, 0.8, 16, 240.0)):
        who = np.flatnonzero(fleet.role == role)
        who = who[rng.random(len(who)) < active]
        at = midnight + np.where(
            rng.random(len(who)) < 0.2, rng.uniform(21, 24, len(who)), rng.normal(7, 1, len(who))
        ) * _H  # fmt: skip
        for _ in range(most):
            book.add(who, rng.integers(0, inner, len(who)), at, rng.gamma(2, rest / 2, len(who)))
            at = at + 60.0
            go_on = rng.random(len(who)) < 0.93
            who, at = who[go_on], at[go_on]
        book.add(who, fleet.home[who], at, 300.0)


def _buses(
    book: _Book, rng: np.random.Generator, fleet: Fleet, midnight: float, lines: Ints
) -> None:
    who = np.flatnonzero(fleet.role == f.BUS)
    line = lines[np.arange(len(who)) // 6]
    at = midnight + 5.5 * _H + (np.arange(len(who)) % 6) * 600.0 + rng.normal(0, 60, len(who))
    for turn in range(36):
        book.add(who, line[:, turn % line.shape[1]], at + turn * 1500.0, 180.0)


def _nights(
    rng: np.random.Generator, book: _Book, fleet: Fleet, midnight: float, inner: int
) -> None:
    who = np.flatnonzero(fleet.role == f.NIGHT)
    who = who[rng.random(len(who)) < 0.75]
    at = midnight + rng.uniform(22.2, 24.5, len(who)) * _H
    for _ in range(3):
        book.add(who, rng.integers(0, inner, len(who)), at, rng.gamma(2, 600, len(who)))
        at = at + 60.0
    book.add(who, fleet.home[who], at, 900.0)


def _convoys(
    rng: np.random.Generator, book: _Book, midnight: float, inner: int, leads: Ints
) -> None:
    at = midnight + rng.uniform(8, 20, len(leads)) * _H
    for _ in range(2):
        book.add(leads, rng.integers(0, inner, len(leads)), at, 1200.0, convoy=1)
        at = at + 300.0


def _through(  # noqa: PLR0913, PLR0917 - a day, a place, a crowd
    rng: np.random.Generator, book: _Book, midnight: float, inner: int, exits: int, who: Ints
) -> None:
    if not exits:
        return
    at = midnight + rng.uniform(0, 24, len(who)) * _H
    stops = rng.random(len(who)) < 0.3
    book.add(who[stops], rng.integers(0, inner, int(stops.sum())), at[stops])
    book.add(who, inner + rng.integers(0, exits, len(who)), at + 60.0,
             rng.gamma(2, 900, len(who)) * stops)  # fmt: skip
