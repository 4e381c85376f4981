"""How long it takes from one checkpoint to another: counts in bins of equal ratio.

A sketch is a histogram over the logarithm of seconds (bins of 8 %, as DDSketch, Masson, Rim and
Lee, VLDB 2019): any quantile is right to 4 %, two sketches of one pair join by adding, in any
order, and what is stored is small. There is one per *class of time*, because a road at eight in
the morning of a working day is another road than at night.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATIO: Final = 1.08
BINS: Final = 160
"""The last bin begins at 1.08**159 s, more than two days."""
CLASSES: Final = 4
"""Working day off-peak, working day peak, weekend off-peak, weekend peak."""
MOVING: Final = 6.0
"""More than so many medians is no drive: somebody stopped (split rule of trips)."""
FEW: Final = 30
"""Below so many drives a class does not speak for itself."""

_LOG = math.log(RATIO)
_MOVING_BINS = math.ceil(math.log(MOVING) / _LOG)
_MIDDLES = (np.arange(BINS) + 0.5) * _LOG
_ENTRY = struct.Struct("<BBI")
_CELL = np.dtype([("when", "u1"), ("place", "u1"), ("count", "<u4")])
"""The same, for numpy."""
_AT_ONCE = 4_096
Counts = NDArray[np.int64]


def time_class(at: datetime, zone: tzinfo) -> int:
    """The class of an instant, where people read clocks in this zone."""
    local = at.astimezone(zone)
    return class_of(local.weekday(), local.hour + local.minute / 60)


def class_of(weekday: int, hour: float) -> int:
    """The class of a local weekday (Monday 0) and hour; peaks are 7 to 9:30 and 17 to 19:30."""
    peak = 7 <= hour < 9.5 or 17 <= hour < 19.5
    return 2 * (weekday >= 5) + peak


def classes_of(at_s: NDArray[np.float64], utc_offset_s: float) -> NDArray[np.int64]:
    """The classes of many instants, seconds since 1970, with one offset of the zone."""
    local = at_s + utc_offset_s
    weekday = (local // 86_400 + 3) % 7  # 1 January 1970 was a Thursday
    hour = local % 86_400 / 3_600
    peak = ((hour >= 7) & (hour < 9.5)) | ((hour >= 17) & (hour < 19.5))
    found: NDArray[np.int64] = (2 * (weekday >= 5) + peak).astype(np.int64)
    return found


def bins_of(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each duration; under a second counts as a second."""
    found: NDArray[np.int64] = np.clip(np.log(np.maximum(seconds, 1.0)) / _LOG, 0, BINS - 1).astype(
        np.int64
    )
    return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What a drive usually takes, seconds: quantiles of ``n`` drives (0: no drive, a guess)."""

    n: float
    q01_s: float
    q05_s: float
    q50_s: float
    q85_s: float
    q95_s: float


class TimeSketch:
    """One histogram; what stands above six medians is left out of every answer."""

    def __init__(self, counts: Counts) -> None:
        """``counts`` has :data:`BINS` entries."""
        total = int(counts.sum())
        if total:
            median = int(np.searchsorted(np.cumsum(counts), total / 2))
            counts = counts.copy()
            counts[median + _MOVING_BINS :] = 0
        self.counts = counts
        self.n = int(counts.sum())

    @cached_property
    def _reach(self) -> NDArray[np.float64]:
        """By the edges of the bins, the share that took less."""
        found: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(self.counts)])
        return found / max(1, self.n)

    def quantile_s(self, q: float) -> float:
        """The q-quantile in seconds; inside a bin by the logarithm."""
        where = int(np.searchsorted(self._reach, q, side="left"))
        where = max(1, min(BINS, where))
        low, high = self._reach[where - 1], self._reach[where]
        inside = (q - low) / (high - low) if high > low else 0.5
        return math.exp((where - 1 + inside) * _LOG)

    def quantiles_s(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Many quantiles at once: draws, if ``q`` is uniform."""
        found: NDArray[np.float64] = np.exp(np.interp(q, self._reach, np.arange(BINS + 1)) * _LOG)
        return found

    def share_below(self, seconds: float) -> float:
        """P(T <= seconds)."""
        if seconds <= 1.0:
            return 0.0
        return float(np.interp(math.log(seconds) / _LOG, np.arange(BINS + 1), self._reach))

    @cached_property
    def log_moments(self) -> tuple[float, float]:
        """Mean and variance of ln T; the variance holds a bin's width and one drive of doubt."""
        mean = float((self.counts * _MIDDLES).sum() / max(1, self.n))
        spread = float((self.counts * (_MIDDLES - mean) ** 2).sum())
        return mean, (spread + 0.15**2) / (self.n + 1) + _LOG**2 / 12

    @cached_property
    def expected(self) -> Expected:
        """The quantiles that legs are judged by; a log-normal fit where drives are few."""
        if self.n >= 100:
            return Expected(self.n, *(self.quantile_s(q) for q in (0.01, 0.05, 0.5, 0.85, 0.95)))
        mean, variance = self.log_moments
        sigma = math.sqrt(variance + 0.2**2 / (self.n + 1))
        return Expected(
            self.n,
            *(math.exp(mean + z * sigma) for z in (-2.326, -1.645, 0.0, 1.036, 1.645)),
        )


class PairTimes:
    """The sketches of one ordered pair of checkpoints, one a class of time.

    Most bins of most pairs are empty, so only the others are kept, and of what is asked often only
    the answer: a city has hundreds of thousands of pairs that somebody drove.
    """

    __slots__ = ("_expected", "_of", "cells", "many", "middle_s", "n")

    def __init__(self, counts: Counts | bytes) -> None:
        """``counts`` (CLASSES, BINS), or packed as they are stored; not kept."""
        if isinstance(counts, bytes):
            packed = np.frombuffer(counts, _CELL)
            self.cells = packed["when"] * np.uint16(BINS) + packed["place"]
            self.many = packed["count"].astype(np.int64)
        else:
            flat = counts.ravel()
            where = np.flatnonzero(flat)
            self.cells, self.many = where.astype(np.uint16), flat[where]
        self.n = int(self.many.sum())
        self.middle_s: float | None = None
        """As :func:`medians_s` found it."""
        self._of: dict[int, TimeSketch] = {}
        self._expected: dict[int, Expected] = {}

    @property
    def counts(self) -> Counts:
        """Made anew, (CLASSES, BINS)."""
        flat = np.zeros(CLASSES * BINS, np.int64)
        flat[self.cells] = self.many
        return flat.reshape(CLASSES, BINS)

    def of(self, when: int) -> TimeSketch:
        """The sketch of a class; of all together where the class has seen too few drives."""
        found = self._of.get(when)
        if found is None:
            found = self._of[when] = self._sketch(when)
        return found

    def _sketch(self, when: int) -> TimeSketch:
        counts = self.counts
        alone = counts[when]
        return TimeSketch(alone if alone.sum() >= FEW else np.add.reduce(counts))

    def expected(self, when: int) -> Expected:
        """What :meth:`of` usually says; the sketch, which is a hundred times larger, is not kept."""
        found = self._expected.get(when)
        if found is None:
            found = self._expected[when] = self._sketch(when).expected
        return found

    @property
    def whole(self) -> TimeSketch:
        """All classes together."""
        found = self._of.get(-1)
        if found is None:
            found = self._of[-1] = TimeSketch(self.counts.sum(axis=0))
        return found

    def pack(self) -> bytes:
        """As stored: class, bin and count of what is not empty."""
        cells = zip(self.cells.tolist(), self.many.tolist(), strict=True)
        return b"".join(_ENTRY.pack(*divmod(cell, BINS), count) for cell, count in cells)


def medians_s(pairs: Sequence[PairTimes]) -> NDArray[np.float64]:
    """``whole.expected.q50_s`` of many pairs at once, without their sketches."""
    new = [pair for pair in pairs if pair.middle_s is None]
    for start in range(0, len(new), _AT_ONCE):
        part = new[start : start + _AT_ONCE]
        row = np.repeat(np.arange(len(part)), [len(pair.cells) for pair in part])
        cell = np.concatenate([pair.cells for pair in part]) % BINS
        many = np.concatenate([pair.many for pair in part])
        counts = np.bincount(row * BINS + cell, many, len(part) * BINS).reshape(-1, BINS)
        half = counts.sum(axis=1, keepdims=True) / 2
        middle = (np.cumsum(counts, axis=1) < half).sum(axis=1, keepdims=True)
        counts[np.arange(BINS) >= middle + _MOVING_BINS] = 0
        total = np.maximum(1, counts.sum(axis=1))
        reach = np.concatenate([np.zeros((len(part), 1)), np.cumsum(counts, axis=1)], axis=1)
        reach /= total[:, None]
        where = np.clip((reach < 0.5).sum(axis=1), 1, BINS)
        low, high = (reach[np.arange(len(part)), where - n] for n in (1, 0))
        inside = np.where(high > low, (0.5 - low) / np.where(high > low, high - low, 1.0), 0.5)
        mean = (counts * (np.arange(BINS) + 0.5)).sum(axis=1) / total
        found = np.exp(np.where(counts.sum(axis=1) >= 100, where - 1 + inside, mean) * _LOG)
        for pair, median in zip(part, found.tolist(), strict=True):
            pair.middle_s = median
    return np.array([pair.middle_s for pair in pairs], np.float64)


def unpack(packed: bytes) -> Counts:
    """The counts of a stored pair, (CLASSES, BINS)."""
    counts = np.zeros((CLASSES, BINS), np.int64)
    for when, place, count in _ENTRY.iter_unpack(packed):
        counts[when, place] = count
    return counts
