"""Who follows whom on the road, for a whole city at once; see :mod:`server.trajectories.links`. Pure.

Pairs and turns stand in columns, so that a hundred thousand pairs and a million turns take numpy
half a second: one by one they took a request seconds each time something new had been learned.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.trajectories.model import TravelModel
from server.trajectories.sketch import PairTimes, medians_s

PRIOR_MISSED: Final = 0.04
"""The share that a checkpoint is thought to miss of which nothing is known."""
_ALIKE: Final = 0.2
_ALIKE_S: Final = 20.0
_PRIOR_WEIGHT: Final = 25.0
_MOST_MISSED: Final = 0.5
_ENOUGH: Final = 8
_TWICE: Final = 2
_LEAST_SHARE: Final = 0.01

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class City:
    """Neighbours, how many drive between them, and what each checkpoint misses."""

    def __init__(self, model: TravelModel) -> None:
        """Work it out of a model's counts."""
        self._pairs_of(model)
        turns = self._turns_of(model)
        missed = self._missed(*turns)
        self.missed: dict[str, float] = dict(zip(self._names, missed.tolist(), strict=True))
        """By checkpoint, the share of vehicles that it seems not to see, 0 to 0.5."""
        self._flows(missed, *turns)
        ways = np.flatnonzero(self._ways_count)
        self.by_way = frozenset(
            (self._names[a], self._names[b])
            for a, b in zip(self._start[ways].tolist(), self._end[ways].tolist(), strict=True)
        )
        """Pairs of which some of the drives went by way of another checkpoint."""

    def onward(self, here: str) -> dict[str, float]:
        """The neighbours of a checkpoint, and how many drove to each, seen or not."""
        low, high = self._span.get(here, (0, 0))
        flow = self._flow[low:high]
        kept = np.flatnonzero(flow >= max(flow.max(initial=0.0) * _LEAST_SHARE, 1e-12))
        ends = self._end[low:high][kept].tolist()
        return dict(zip([self._names[end] for end in ends], flow[kept].tolist(), strict=True))

    def _pairs_of(self, model: TravelModel) -> None:
        self._index: dict[str, int] = {}
        self._span: dict[str, tuple[int, int]] = {}
        starts: list[int] = []
        ends: list[int] = []
        pairs: list[PairTimes] = []
        for start, onward in model.times.items():
            a = self._index.setdefault(start, len(self._index))
            self._span[start] = len(pairs), len(pairs) + len(onward)
            for end, pair in onward.items():
                starts.append(a)
                ends.append(self._index.setdefault(end, len(self._index)))
                pairs.append(pair)
        for before, here in model.turns:
            for name in (before, here):
                self._index.setdefault(name, len(self._index))
        for onward_counts in model.turns.values():
            for name in onward_counts:
                self._index.setdefault(name, len(self._index))
        self._names = list(self._index)
        self._start, self._end = np.array(starts, np.int64), np.array(ends, np.int64)
        self._drives = np.array([pair.n for pair in pairs], np.float64)
        self._median_s = medians_s(pairs)
        key = self._start * len(self._names) + self._end
        self._order = np.argsort(key)
        self._key = key[self._order]

    def _place(self, start: Ints, end: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Where pairs stand, and whether they do."""
        if not len(self._key):
            return np.zeros(len(start), np.int64), np.zeros(len(start), np.bool_)
        key = start * len(self._names) + end
        at = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        return self._order[at], self._key[at] == key

    def _turns_of(self, model: TravelModel) -> tuple[Ints, Ints, Ints, Ints]:
        """Turns that were driven twice: before, here, after, how often."""
        index = self._index
        cells = [
            (index[before], index[here], index[after], count)
            for (before, here), onward in model.turns.items()
            for after, count in onward.items()
            if count >= _TWICE
        ]
        before, here, after, count = np.array(cells, np.int64).reshape(-1, 4).T
        first, has_first = self._place(before, here)
        second, has_second = self._place(here, after)
        self._direct, self._has_direct = self._place(before, after)
        took_s = self._at(first) + self._at(second)
        direct_s = self._at(self._direct)
        alike = np.abs(took_s - direct_s) <= _ALIKE * direct_s + _ALIKE_S
        self._is_way: NDArray[np.bool_] = has_first & has_second & self._has_direct & alike
        self._ways_count = np.bincount(
            self._direct[self._is_way], count[self._is_way], len(self._drives)
        )
        return before, here, after, count

    def _at(self, pairs: Ints) -> Floats:
        return self._median_s[pairs] if len(self._median_s) else np.zeros(len(pairs))

    def _missed(self, before: Ints, here: Ints, after: Ints, count: Ints) -> Floats:
        """From those who were seen before and after, once with a checkpoint and once without.

        The weighted median over all such turns, drawn towards what is usual.
        """
        missed = np.full(len(self._names), PRIOR_MISSED)
        enough = (count >= _ENOUGH) & (before != after)
        used = np.flatnonzero(enough & (self._is_way | ~self._has_direct))
        if not len(used):
            return missed
        ratio = np.zeros(len(used))
        ways = self._is_way[used]
        direct = self._direct[used][ways]
        ratio[ways] = self._drives[direct] / self._ways_count[direct]
        order = np.lexsort((count[used], ratio, here[used]))
        place, ratio, weight = here[used][order], ratio[order], count[used][order]
        reached = np.cumsum(weight)
        firsts = np.flatnonzero(np.diff(place, prepend=-1))
        total = np.add.reduceat(weight, firsts)
        before_these = reached[firsts] - weight[firsts]
        odds = ratio[np.searchsorted(reached, before_these + total / 2)]
        share = (odds / (1 + odds) * total + PRIOR_MISSED * _PRIOR_WEIGHT) / (total + _PRIOR_WEIGHT)
        missed[place[firsts]] = np.minimum(_MOST_MISSED, share)
        return missed

    def _flows(self, missed: Floats, _before: Ints, here: Ints, _after: Ints, count: Ints) -> None:
        """How many drove from one to the next, seen or not; 0 between those that are no neighbours."""
        odds = missed / (1 - missed)
        ways = self._is_way
        skipped = np.bincount(self._direct[ways], count[ways] * odds[here[ways]], len(self._drives))
        drives = self._drives
        are_neighbours = (
            (drives > 1.5 * skipped + 2.5 * np.sqrt(skipped))
            & (drives - skipped >= 1)
            & (self._start != self._end)
        )
        self._flow: Floats = np.where(
            are_neighbours, (drives - skipped) / (1 - missed[self._end]), 0.0
        )
