"""Taking the sightings of one plate apart into the vehicles that carry it. Pure.

One plate on two vehicles (套牌) is found where no vehicle can have been. Which sighting is whose is
then the division that is likeliest as a whole, found by beam search: a sighting joins a vehicle
that can have been there, rather in the usual time than too fast, rather of the same color; a
further vehicle is only taken where nothing else is possible, or everything else very unlikely.
"""

import math
from collections.abc import Callable, Sequence
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
    of: tuple[int, ...]
    """Vehicle of each sighting, from 0."""


def divide(count: int, fit: Fit) -> tuple[int, ...]:
    """The vehicle (from 1) of each of so many sightings in order of time.

    Vehicle 1 made most of them (the first one, if as many). What fits nothing is a vehicle of
    its own, up to :data:`MOST`; then it joins where it fits least badly.
    """
    beam = [_Division(0.0, (), ())]
    for number in range(count):
        grown = []
        for division in beam:
            for vehicle, last in enumerate(division.last):
                score = fit(last, number)
                if len(division.last) == MOST:
                    score = max(score, 4 * NEW_VEHICLE)
                if score > -math.inf:
                    ends = (*division.last[:vehicle], number, *division.last[vehicle + 1 :])
                    grown.append(_Division(division.score + score, ends, (*division.of, vehicle)))
            if len(division.last) < MOST:
                cost = NEW_VEHICLE if division.last else 0.0
                grown.append(
                    _Division(
                        division.score + cost,
                        (*division.last, number),
                        (*division.of, len(division.last)),
                    )
                )
        grown.sort(key=lambda division: (-division.score, division.of))
        beam = grown[:_BEAM]
    return _renumbered(beam[0].of)


def _renumbered(of: Sequence[int]) -> tuple[int, ...]:
    by_size = sorted(set(of), key=lambda vehicle: (-of.count(vehicle), of.index(vehicle)))
    number = {vehicle: place for place, vehicle in enumerate(by_size, 1)}
    return tuple(number[vehicle] for vehicle in of)
