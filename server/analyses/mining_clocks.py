"""Wrong clocks and least driving times of the whole city, from the sightings themselves.

Day files are all that a search over the city has; what it needs to know of the ways it learns from
there. Where :mod:`server.trajectories.clocks` judges six hours as they come, here the whole period
lies open: every checkpoint's drives are taken in portions of equal number, so that a quiet one is
judged too, by longer spans.
"""

from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_DRIVE_S: Final = 1_800.0
_SHORT_S: Final = 900.0
"""Longer drives say little of a clock."""
_LAGS: Final = 3
_KNOWN: Final = 10
_PORTION: Final = 60
_PORTIONS: Final = 60
_WRONG_S: Final = 30.0
_NEAR_S: Final = 30.0
_AGREE_S: Final = 25.0
FAST: Final = 0.01
MARGIN: Final = 0.85
ENOUGH: Final = 200
"""Least time of a pair: 0.85 of the fastest hundredth of 200 drives and more."""


def unsteady_clocks(plate: Ints, place: Ints, at_s: Floats, *, places: int) -> dict[int, float]:
    """Checkpoints whose clock was off for a time, and by how much at most, seconds ahead.

    Ordered by plate and time. What drives took is held against the medians of the first third of
    the period: a clock ahead makes drives to it longer and drives from it shorter by as much. Two
    portions that follow each other must agree. A clock that was off from the first day on seems
    right here; it makes many plates conflict instead.
    """
    if len(at_s) < 2:
        return {}
    first, last = float(at_s.min()), float(at_s.max())
    early = at_s <= first + (last - first) / 3.0
    legs = _legs(plate[early], place[early], at_s[early], places)
    known = (
        legs.group_by("key")
        .agg(pl.len().alias("n"), pl.col("took").median())
        .filter((pl.col("n") >= _KNOWN) & (pl.col("took") <= _SHORT_S))
        .sort("key")
    )
    if not len(known):
        return {}
    who, when, late = _lateness(
        plate, place, at_s, places, known["key"].to_numpy(), known["took"].to_numpy()
    )
    order = np.lexsort((when, who))
    who, late = who[order], late[order]
    bounds = np.searchsorted(who, np.arange(places + 1))
    found: dict[int, float] = {}
    for number in range(places):
        worst = _worst(late[bounds[number] : bounds[number + 1]])
        if worst:
            found[number] = round(worst, 1)
    return found


def _lateness(  # noqa: PLR0913, PLR0917 - columns
    plate: Ints, place: Ints, at_s: Floats, places: int, key: Ints, median_s: Floats
) -> tuple[Ints, Floats, Floats]:
    """Estimates of the offset: of which checkpoint, when, seconds ahead."""
    who: list[Ints] = []
    when: list[Floats] = []
    late: list[Floats] = []
    for lag in range(1, _LAGS + 1):
        same = np.flatnonzero(
            (plate[lag:] == plate[:-lag]) & (at_s[lag:] - at_s[:-lag] <= _DRIVE_S)
        )
        forward, known = _pairs(place[same], place[same + lag], places, key)
        back, turned = _pairs(place[same + lag], place[same], places, key)
        # so far off that the order of the stamps is turned; only where nobody drives as they stand
        turned &= ~known
        for start, end, pair, good in (
            (same, same + lag, forward, known),
            (same + lag, same, back, turned),
        ):
            over = (at_s[end] - at_s[start] - median_s[pair])[good]
            who += [place[end][good], place[start][good]]
            when += [at_s[end][good], at_s[start][good]]
            late += [over, -over]
    return np.concatenate(who), np.concatenate(when), np.concatenate(late)


def _pairs(start: Ints, end: Ints, places: int, key: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each pair stands in ``key``, and whether it does."""
    pair = start * places + end
    at = np.minimum(np.searchsorted(key, pair), len(key) - 1)
    return at, (key[at] == pair) & (start != end)


def _worst(late: Floats) -> float:
    """The largest offset on which two portions agree, seconds ahead; 0 if none is off."""
    portions = min(_PORTIONS, len(late) // _PORTION)
    if portions < 2:
        return 0.0
    offsets = [_offset(part) for part in np.array_split(late, portions)]
    agreed = [(a + b) / 2.0 for a, b in pairwise(offsets) if a and b and abs(a - b) <= _AGREE_S]
    return max(agreed, key=abs, default=0.0)


def _offset(late: Floats) -> float:
    """Where a third of the estimates lie closest together; 0 unless that is plainly not at zero."""
    ordered = np.sort(late)
    width = max(2, len(ordered) // 3)
    spread = ordered[width - 1 :] - ordered[: len(ordered) - width + 1]
    begin = int(spread.argmin())
    middle = float(np.median(ordered[begin : begin + width]))
    near = int((np.abs(late - middle) <= _NEAR_S).sum())
    zero = int((np.abs(late) <= _NEAR_S).sum())
    return middle if abs(middle) >= _WRONG_S and near > 2 * zero else 0.0


def _legs(plate: Ints, place: Ints, at_s: Floats, places: int) -> pl.DataFrame:
    took = np.diff(at_s)
    here = np.flatnonzero((np.diff(plate) == 0) & (np.diff(place) != 0) & (took <= _DRIVE_S))
    return pl.DataFrame({"key": place[here] * places + place[here + 1], "took": took[here]})


def least_times(plate: Ints, place: Ints, at_s: Floats, *, places: int) -> NDArray[np.float32]:
    """Seconds under which nobody drives from each to each, (places, places); 0 where too few did."""
    known = (
        _legs(plate, place, at_s, places)
        .group_by("key")
        .agg(pl.len().alias("n"), pl.col("took").quantile(FAST))
        .filter(pl.col("n") >= ENOUGH)
    )
    least = np.zeros(places * places, np.float32)
    least[known["key"].to_numpy()] = MARGIN * known["took"].to_numpy()
    return least.reshape(places, places)
