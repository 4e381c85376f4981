"""Checkpoints whose clock is wrong, found from the drives of many vehicles. Pure.

A clock that is ahead by ``o`` makes every drive to its checkpoint longer by ``o`` and every drive
from it shorter. Each vehicle that was seen at the checkpoint and, within half an hour, at another
one with which drives are known, gives one estimate of ``o``; so far ahead or behind that the order
of the sightings is turned round, too. Right clocks gather their estimates about zero, wrong ones
about something else.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from server.trajectories.moves import Floats, Ints

MOST_S: Final = 1_800.0
_LAGS: Final = 6
"""Sightings of one plate that are compared: each with so many after it."""
_BIN_S: Final = 5.0
_NEAR_S: Final = 15.0
_WRONG_S: Final = 30.0
"""Less is within what lights and traffic do."""
_ENOUGH: Final = 60
_SHARE: Final = 0.2
"""So many of the estimates must agree on the offset."""


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """What drives say of one checkpoint's clock; ``offset_s`` 0 if it seems right."""

    place: int
    offset_s: float
    estimates: int
    agreeing: float
    """Share of the estimates near ``offset_s``."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Median seconds of known pairs: ``key`` (sorted) is ``from * places + to``."""

    key: Ints
    median_s: Floats


def estimate_clocks(
    plate: Ints, place: Ints, at_s: Floats, *, places: int, usual: Usual
) -> tuple[ClockEstimate, ...]:
    """Judge every checkpoint of which there are enough estimates, by its number."""
    if not len(usual.key) or not len(plate):
        return ()
    order = np.lexsort((at_s, plate))
    plate, place, at_s = plate[order], place[order], at_s[order]
    who: list[Ints] = []
    offset: list[Floats] = []
    for lag in range(1, _LAGS + 1):
        same = np.flatnonzero((plate[lag:] == plate[:-lag]) & (at_s[lag:] - at_s[:-lag] <= MOST_S))
        for first, second in ((same, same + lag), (same + lag, same)):
            key = place[first] * places + place[second]
            found = np.minimum(np.searchsorted(usual.key, key), len(usual.key) - 1)
            known = (usual.key[found] == key) & (place[first] != place[second])
            late = (at_s[second] - at_s[first] - usual.median_s[found])[known]
            who += [place[second][known], place[first][known]]
            offset += [late, -late]
    return _judged(np.concatenate(who), np.concatenate(offset), places)


def _judged(who: Ints, offset: Floats, places: int) -> tuple[ClockEstimate, ...]:
    inside = np.abs(offset) <= MOST_S
    who, offset = who[inside], offset[inside]
    bins = int(2 * MOST_S / _BIN_S) + 1
    cell = ((offset + MOST_S) / _BIN_S).astype(np.int64)
    table = np.bincount(who * bins + cell, minlength=places * bins).reshape(places, bins)
    width = int(_NEAR_S / _BIN_S)
    reach = np.concatenate([np.zeros((places, 1), np.int64), table.cumsum(axis=1)], axis=1)
    low = np.maximum(np.arange(bins) - width, 0)
    high = np.minimum(np.arange(bins) + width + 1, bins)
    near = reach[:, high] - reach[:, low]
    zero = near[:, int(MOST_S / _BIN_S)]
    found = []
    for number in np.flatnonzero(table.sum(axis=1) >= _ENOUGH).tolist():
        total, best = int(table[number].sum()), int(near[number].argmax())
        around = offset[(who == number) & (np.abs(cell - best) <= width)]
        middle = float(np.median(around))
        agreeing = near[number, best] / total
        wrong = (
            abs(middle) >= _WRONG_S
            and agreeing >= _SHARE
            and near[number, best] > 3.0 * zero[number]
        )
        found.append(ClockEstimate(number, round(middle, 1) if wrong else 0.0, total, agreeing))
    return tuple(found)
