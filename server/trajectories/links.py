"""Which checkpoints follow each other directly on the road, learned from passages.

A checkpoint that does not see everybody makes pairs that are no neighbours: of those who drive
``i, k, j`` some are only seen at ``i`` and ``j``. Such a pair is told from a road of its own by its
number and its time: as many as ``k`` misses, and as long as ``i`` to ``k`` and ``k`` to ``j``. Where
a road network was taken in, it says by itself which checkpoints are neighbours.
"""

import heapq
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from server.trajectories.model import TravelModel
from server.trajectories.neighbours import PRIOR_MISSED, City
from server.trajectories.sketch import FEW, Expected

WAYS_ON: Final = 24
"""No road junction has more neighbours; where counts say otherwise, the most driven are tried."""
RAREST: Final = 1e-4
"""Who drives on so rarely is not thought to have driven there."""
UNKNOWN_MISSED: Final = 0.02
"""A checkpoint that is thought to see everybody still misses so many."""
_BACK_OFF: Final = 5.0


class _Unseen(dict[str, float]):
    """Minus the logarithm of the chance to come past a checkpoint unseen; worked out when asked."""

    def __init__(self, links: "Links") -> None:
        super().__init__()
        self._links = links

    def __missing__(self, here: str) -> float:
        self[here] = found = -math.log(max(self._links.missed(here), UNKNOWN_MISSED))
        return found


class Links:
    """Neighbours of a model, with how much drives between them.

    Who follows whom is worked out for the whole city at the first question, shares as they are
    asked for.
    """

    def __init__(
        self, model: TravelModel, roads: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        """``roads[a][b]``: seconds from a checkpoint to its neighbours by the road network."""
        self.model = model
        self.roads = roads
        self._onward: dict[str, dict[str, float]] = {}
        self._total: dict[str, float] = {}
        self._most_driven: dict[str, tuple[str, ...]] = {}
        self._turned: dict[tuple[str, str], tuple[dict[str, float], float]] = {}
        self._ways: dict[tuple[str, str | None], dict[str, float]] = {}
        self.took: dict[tuple[str, str, int], Expected] = {}
        """What drives to neighbours take, as far as somebody has asked (paths.leg_times)."""
        self.only: dict[tuple[str, str, int], Any] = {}
        """Roads to neighbours besides which nothing has to be thought of (paths.only_path)."""
        self.direct_s: dict[tuple[str, str, int], float] = {}
        """Within what time the only way was driven; 0 if it is not the only one (paths.to_search)."""
        self.unseen_cost: Mapping[str, float] = _Unseen(self)
        """By checkpoint, minus the logarithm of the chance to come past unseen."""
        self.steps: dict[Any, Any] = {}
        """Neighbours worth trying, with what it takes to drive there (paths.likely_paths)."""
        self.searched: dict[Any, Any] = {}
        """Ways that were searched for (paths.likely_paths): a pair is driven by many, and daily."""

    def prepare(self) -> None:
        """Work out who follows whom, so that no question waits for it."""
        _ = self.city

    @cached_property
    def city(self) -> City:
        """Who follows whom, as counts tell."""
        return City(self.model)

    def missed(self, here: str) -> float:
        """The share of vehicles that a checkpoint seems not to see, 0 to 0.5."""
        return self.city.missed.get(here, PRIOR_MISSED)

    @cached_property
    def least_unseen(self) -> float:
        """The least :meth:`unseen_cost` of all checkpoints."""
        return -math.log(max(UNKNOWN_MISSED, PRIOR_MISSED, *self.city.missed.values(), 0.0))

    def onward(self, here: str) -> Mapping[str, float]:
        """The neighbours that can be reached from here, and how many drove to each of them."""
        found = self._onward.get(here)
        if found is None:
            found = self._onward[here] = self._neighbours(here)
        return found

    def shares(self, here: str, before: str | None) -> Mapping[str, float]:
        """P(the neighbour passed next, seen or not) of those who drive on."""
        return {name: self.share(here, before, name) for name in self.onward(here)}

    def share(self, here: str, before: str | None, to: str) -> float:
        """The share of one neighbour; 0 if it is none."""
        onward = self.onward(here)
        flow = onward.get(to)
        if not flow:
            return 0.0
        total = self._total.get(here)
        if total is None:
            total = self._total[here] = sum(onward.values())
        counts, known = self._turns(here, before)
        return (counts.get(to, 0.0) + _BACK_OFF * flow / total) / (known + _BACK_OFF)

    def ways_on(self, here: str, before: str | None) -> Mapping[str, float]:
        """The neighbours worth trying, at most :data:`WAYS_ON`, the most driven first.

        With minus the logarithm of the share that drives on to each.
        """
        key = (here, before)
        found = self._ways.get(key)
        if found is None:
            likely = self._most_driven.get(here)
            onward = self.onward(here)
            if likely is None:
                likely = tuple(heapq.nlargest(WAYS_ON, onward, key=onward.__getitem__))
                self._most_driven[here] = likely
            # what nobody turned to from there keeps its order
            turned = self._turns(here, before)[0]
            names = dict.fromkeys([*likely, *turned])
            shares = [(name, self.share(here, before, name)) for name in names]
            best = heapq.nlargest(WAYS_ON, shares, key=lambda way: way[1])
            found = {name: -math.log(share) for name, share in best if share >= RAREST}
            self._ways[key] = found
        return found

    def is_only_way(self, start: str, end: str) -> bool:
        """Whether two neighbours are joined by a road that is well known, and by no other."""
        if end not in self.onward(start):
            return False
        pair = self.model.times.get(start, {}).get(end)
        return pair is not None and pair.n >= FEW and (start, end) not in self.city.by_way

    def _turns(self, here: str, before: str | None) -> tuple[dict[str, float], float]:
        """How many drove on to each neighbour who came from ``before``, and all of them."""
        if before is None:
            return {}, 0.0
        found = self._turned.get((before, here))
        if found is None:
            onward = self.onward(here)
            turned = self.model.turns.get((before, here), {})
            counts = {
                name: n / (1 - self.missed(name)) for name, n in turned.items() if name in onward
            }
            found = self._turned[before, here] = counts, sum(counts.values())
        return found

    def _neighbours(self, here: str) -> dict[str, float]:
        if self.roads is None or here not in self.roads:
            return self.city.onward(here)
        seen = self.model.times.get(here, {})
        return {
            name: (pair.n if (pair := seen.get(name)) else 0.0) + 0.5 for name in self.roads[here]
        }
