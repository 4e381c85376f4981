"""Taking the sightings of one plate apart into the vehicles that carry it. Pure.

One plate on two vehicles (套牌) is found where no vehicle can have been. Which sighting is whose is
then the division that is likeliest as a whole, found by beam search: a sighting joins a vehicle
that can have been there, rather in the usual time than too fast, rather of the same color; a
further vehicle is only taken where nothing else is possible, or everything else very unlikely.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 3
"""Vehicles that one plate is thought to be on."""
NEW_VEHICLE: Final = -7.0
"""Log-likelihood of one more."""
_BEAM: Final = 24

Fit = Callable[[int, int], float]
"""Log-likelihood that one vehicle made both sightings, one after the other; -inf if it cannot."""


@dataclass(frozen=True, slots=True)
class _Division:
    score: float
    last: tuple[int, ...]
    """Last sighting of each vehicle."""
    vehicle: int
    """That of the newest sighting, from 0 …"""
    before: "_Division | None"
    """… and what was thought of all before: a division is a chain, so that it grows by a link."""


def divide(count: int, fit: Fit) -> tuple[int, ...]:
    """The vehicle (from 1) of each of so many sightings in order of time.

    Vehicle 1 made most of them (the first one, if as many). What fits nothing is a vehicle of
    its own, up to :data:`MOST`; then it joins where it fits least badly.

    Of divisions whose vehicles were last seen at the same sightings only the likeliest can become
    the best, so only it is followed: time grows with the number of sightings, not with its square.
    """
    beam: list[_Division] = []
    for number in range(count):
        fits = {last: fit(last, number) for last in {n for d in beam for n in d.last}}
        best: dict[tuple[int, ...], _Division] = {}
        for division in _grown(beam, number, fits):
            seen_at = tuple(sorted(division.last))
            if seen_at not in best or division.score > best[seen_at].score:
                best[seen_at] = division
        # what was found first comes first among equals
        beam = sorted(best.values(), key=lambda division: -division.score)[:_BEAM]
    of: list[int] = []
    newest = beam[0] if beam else None
    while newest is not None:
        of.append(newest.vehicle)
        newest = newest.before
    return _renumbered(of[::-1])


def _grown(
    beam: Sequence[_Division], number: int, fits: Mapping[int, float]
) -> Iterable[_Division]:
    """Every division with one more sighting, by each of its vehicles or by another one."""
    if not beam:
        yield _Division(0.0, (number,), 0, None)
    for division in beam:
        vehicles = len(division.last)
        for vehicle, last in enumerate(division.last):
            score = fits[last] if vehicles < MOST else max(fits[last], 4 * NEW_VEHICLE)
            if score > -math.inf:
                ends = (*division.last[:vehicle], number, *division.last[vehicle + 1 :])
                yield _Division(division.score + score, ends, vehicle, division)
        if vehicles < MOST:
            ends = (*division.last, number)
            yield _Division(division.score + NEW_VEHICLE, ends, vehicles, division)


def _renumbered(of: Sequence[int]) -> tuple[int, ...]:
    by_size = sorted(set(of), key=lambda vehicle: (-of.count(vehicle), of.index(vehicle)))
    number = {vehicle: place for place, vehicle in enumerate(by_size, 1)}
    return tuple(number[vehicle] for vehicle in of)
