"""Taking the sightings of one plate apart into the vehicles that carry it. Pure.

One plate on two vehicles (套牌) is found where no vehicle can have been. Which sighting is whose is
then the division that is likeliest as a whole, found by beam search: a sighting joins a vehicle
that can have been there, rather in the usual time than too fast, rather of the same color; a
further vehicle is only taken where nothing else is possible, or everything else very unlikely.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

MOST: Final = 3
"""Vehicles that one plate is thought to be on."""
NEW_VEHICLE: Final = -7.0
"""Log-likelihood of one more."""
_FEW: Final = 1.5
"""One plate has one vehicle as a rule: what another one is thought to have made is a misread rather
than a year. Log-likelihood lost whenever it is e times as much."""
_BEAM: Final = 24

Fit = Callable[[int, int], float]
"""Log-likelihood that one vehicle made both sightings, one after the other; -inf if it cannot."""


class _Division(NamedTuple):
    """Made by the hundred thousand: a tuple is made several times as fast as an object."""

    score: float
    last: tuple[int, ...]
    """Last sighting of each vehicle."""
    vehicle: int
    """That of the newest sighting, from 0 …"""
    made: tuple[int, ...]
    """How many sightings each vehicle has; empty if nobody counts."""
    weight: float
    """The score, less what several vehicles of many sightings are unlikely."""
    before: "_Division | None"
    """… and what was thought of all before: a division is a chain, so that it grows by a link."""


def divide(
    count: int, fit: Fit, changes: Sequence[float] = (), sizes: Sequence[int] = ()
) -> tuple[int, ...]:
    """The vehicle (from 1) of each of so many sightings in order of time.

    ``changes``, if given, is the log-likelihood that another vehicle than the one before was seen
    next, by the number of the sighting. ``sizes``, if given, says how many sightings each stands
    for; then a few odd ones are likelier than a second vehicle of many.

    Vehicle 1 made most of them (the first one, if as many). What fits nothing is a vehicle of
    its own, up to :data:`MOST`; then it joins where it fits least badly.

    Of divisions whose vehicles were last seen at the same sightings only the likeliest can become
    the best, so only it is followed: time grows with the number of sightings, not with its square.
    """
    beam: list[_Division] = []
    for number in range(count):
        fits = {last: fit(last, number) for last in {n for d in beam for n in d.last}}
        change = changes[number] if changes else 0.0
        size = sizes[number] if sizes else 0
        best = _grown(beam, number, fits, change, size)
        # what was found first comes first among equals
        beam = sorted(best, key=_weight, reverse=True)[:_BEAM]
    of: list[int] = []
    newest = beam[0] if beam else None
    while newest is not None:
        of.append(newest.vehicle)
        newest = newest.before
    return _renumbered(of[::-1], sizes or [1] * len(of))


def _grown(  # noqa: C901 - the inner loop of a year of trips
    beam: Sequence[_Division], number: int, fits: Mapping[int, float], change: float, size: int
) -> Iterable[_Division]:
    """Every division with one more sighting, by each of its vehicles or by another one.

    Of those whose vehicles were last seen at the same sightings the likeliest, or the first of them.
    """
    if not beam:
        return [_Division(0.0, (number,), 0, (size,) if size else (), 0.0, None)]
    best: dict[tuple[int, ...], _Division] = {}
    for division in beam:
        so_far, lasts, newest, made, _, _ = division
        vehicles = len(lasts)
        for vehicle in range(min(vehicles + 1, MOST)):
            if vehicle == vehicles:
                score = NEW_VEHICLE
            else:
                score = fits[lasts[vehicle]]
                if vehicles == MOST:
                    score = max(score, 4 * NEW_VEHICLE)
                if vehicle != newest:
                    score += change
                if score == -math.inf:
                    continue
            score += so_far
            last = (*lasts[:vehicle], number, *lasts[vehicle + 1 :])
            weight, sizes = score, made
            if size:
                before = made[vehicle] if vehicle < len(made) else 0
                sizes = (*made[:vehicle], before + size, *made[vehicle + 1 :])
                if len(sizes) > 1:
                    weight -= _FEW * (sum(map(_log, sizes)) - _log(max(sizes)))
            seen_at = tuple(sorted(last))
            known = best.get(seen_at)
            if known is None or weight > known.weight:
                best[seen_at] = _Division(score, last, vehicle, sizes, weight, division)
    return best.values()


def _weight(division: _Division) -> float:
    return division.weight


_log = lru_cache(maxsize=1 << 16)(math.log)


def _renumbered(of: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    made = dict.fromkeys(of, 0)
    for vehicle, size in zip(of, sizes, strict=True):
        made[vehicle] += size
    by_size = sorted(made, key=lambda vehicle: (-made[vehicle], of.index(vehicle)))
    number = {vehicle: place for place, vehicle in enumerate(by_size, 1)}
    return tuple(number[vehicle] for vehicle in of)
