"""Which checkpoints follow each other directly on the road, learned from passages.

A checkpoint that does not see everybody makes pairs that are no neighbours: of those who drive
``i, k, j`` some are only seen at ``i`` and ``j``. Such a pair is told from a road of its own by its
number and its time: as many as ``k`` misses, and as long as ``i`` to ``k`` and ``k`` to ``j``. Where
a road network was taken in, it says by itself which checkpoints are neighbours.
"""

from collections.abc import Mapping
from typing import Final

from server.trajectories.model import TravelModel
from server.trajectories.sketch import FEW, Expected

_ALIKE: Final = 0.2
_ALIKE_S: Final = 20.0
_PRIOR_MISSED: Final = 0.04
_PRIOR_WEIGHT: Final = 25.0
_MOST_MISSED: Final = 0.5
_ENOUGH: Final = 8


class Links:
    """Neighbours of a model, with how much drives between them; worked out as they are asked for."""

    def __init__(
        self, model: TravelModel, roads: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        """``roads[a][b]``: seconds from a checkpoint to its neighbours by the road network."""
        self.model = model
        self.roads = roads
        self._missed: dict[str, float] = {}
        self._between: dict[tuple[str, str], dict[str, int]] = {}
        self._onward: dict[str, dict[str, float]] = {}
        self._shares: dict[tuple[str, str | None], dict[str, float]] = {}
        self.took: dict[tuple[str, str, int], Expected] = {}
        """What drives to neighbours take, as far as somebody has asked (paths.leg_times)."""

    def missed(self, here: str) -> float:
        """The share of vehicles that a checkpoint seems not to see, 0 to 0.5."""
        found = self._missed.get(here)
        if found is None:
            found = self._missed[here] = self._count_missed(here)
        return found

    def onward(self, here: str) -> Mapping[str, float]:
        """The neighbours that can be reached from here, and how many drove to each of them."""
        found = self._onward.get(here)
        if found is None:
            found = self._onward[here] = self._neighbours(here)
        return found

    def shares(self, here: str, before: str | None) -> Mapping[str, float]:
        """P(the neighbour passed next, seen or not) of those who drive on."""
        found = self._shares.get((here, before))
        if found is None:
            found = self._shares[here, before] = self._count_shares(here, before)
        return found

    def _count_shares(self, here: str, before: str | None) -> dict[str, float]:
        onward = self.onward(here)
        total = sum(onward.values())
        if not total:
            return {}
        turned = self.model.turns.get((before, here), {}) if before is not None else {}
        counts = {name: turned.get(name, 0) / (1 - self.missed(name)) for name in onward}
        known = sum(counts.values())
        return {
            name: (counts[name] + 5.0 * flow / total) / (known + 5.0)
            for name, flow in onward.items()
        }

    def is_only_way(self, start: str, end: str) -> bool:
        """Whether two neighbours are joined by a road that is well known, and by no other."""
        if end not in self.onward(start):
            return False
        pair = self.model.times.get(start, {}).get(end)
        return pair is not None and pair.n >= FEW and not self._ways(start, end)

    def _neighbours(self, here: str) -> dict[str, float]:
        seen = self.model.times.get(here, {})
        if self.roads is not None and here in self.roads:
            return {
                name: (pair.n if (pair := seen.get(name)) else 0.0) + 0.5
                for name in self.roads[here]
            }
        found = {}
        for name, pair in seen.items():
            if name == here:
                continue
            skipped = sum(
                count * self.missed(by) / (1 - self.missed(by))
                for by, count in self._ways(here, name).items()
            )
            if pair.n > 1.5 * skipped + 2.5 * skipped**0.5 and pair.n - skipped >= 1:
                found[name] = (pair.n - skipped) / (1 - self.missed(name))
        most = max(found.values(), default=0.0)
        return {name: flow for name, flow in found.items() if flow >= most * 0.01}

    def _ways(self, start: str, end: str) -> dict[str, int]:
        """By which checkpoints between the same drive was seen, and how often."""
        key = (start, end)
        ways = self._between.get(key)
        if ways is None:
            ways = self._between[key] = {}
            direct = self.model.times[start][end].whole.expected.q50_s
            for by in self.model.times.get(start, {}):
                count = self.model.turns.get((start, by), {}).get(end, 0)
                if count < 2:
                    continue
                longer = (
                    self.model.times[start][by].whole.expected.q50_s
                    + self.model.times[by][end].whole.expected.q50_s
                )
                if abs(longer - direct) <= _ALIKE * direct + _ALIKE_S:
                    ways[by] = count
        return ways

    def _count_missed(self, here: str) -> float:
        """From those who were seen before and after, once with this checkpoint and once without."""
        ratios: list[tuple[float, float]] = []
        for before, onward in self.model.through.get(here, ()):
            for after, count in onward.items():
                if count < _ENOUGH or before == after:
                    continue
                pair = self.model.times.get(before, {}).get(after)
                if pair is None:
                    ratios.append((0.0, count))
                    continue
                ways = self._ways(before, after)
                if here in ways:
                    ratios.append((pair.n / sum(ways.values()), count))
        if not ratios:
            return _PRIOR_MISSED
        ratios.sort()
        half, reached = sum(weight for _, weight in ratios) / 2, 0.0
        odds = 0.0
        for ratio, weight in ratios:
            odds = ratio
            reached += weight
            if reached >= half:
                break
        weight = sum(weight for _, weight in ratios)
        share = (odds / (1 + odds) * weight + _PRIOR_MISSED * _PRIOR_WEIGHT) / (
            weight + _PRIOR_WEIGHT
        )
        return min(_MOST_MISSED, share)
