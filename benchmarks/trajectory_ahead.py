"""What comes next, and where to stop it, against what truly came.

``interception``: half a minute after a sighting in the middle of a trip one asks where to stop the vehicle;
units need ten minutes to any checkpoint, and one place may be chosen. Shares of pursuits in which the
vehicle did come past the chosen place after a unit stood there:

* ``advised``: at the first roadblock of the server's advice; ``said`` is the chance that the advice named;
* ``most_common_way``: where the most common next checkpoints lead;
* ``informed``: what remains to be known of a driver if one knows everything but his decision of today:
  where he lives and works, where those like him at such a place and hour go to, every way there
  that anybody takes and which he prefers, and how fast he drives. Sightings can
  hardly tell more;
* ``oracle``: the future is known: the share in which the vehicle came past anything at all in time.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np

from benchmarks.simulation import World
from benchmarks.simulation.city import make_city
from benchmarks.simulation.routes import VARIANTS, Routes, make_routes
from server.trajectories.habits import Habits
from server.trajectories.model import END
from server.trajectories.pursuit import HORIZON_S, MANNED_S, next_places, pursue
from server.trajectories.route import Traffic

GAP_S = 3_600.0
READY_S = 600.0
_ASKED_AFTER_S = 30.0
_SLOWER = 1.3
"""What the city's traffic makes of an empty road, on average."""


class Town(Protocol):
    """What is asked of a town (:class:`benchmarks.trajectory.Town`)."""

    world: World
    traffic: Traffic
    cut_s: float
    names: list[str]

    def at(self, row: int) -> datetime:
        """When the checkpoint says that it was."""

    def name(self, row: int) -> str:
        """The checkpoint of a row."""

    def habits(self, row: int) -> Habits:
        """Where the plate of a row drove before the last day."""


class Informed:
    """Who knows drivers and roads as the simulation made them, and everything of the days before."""

    def __init__(self, world: World, cut_s: float) -> None:
        """Count where drivers of each kind went to, by hour, from home, from work and from elsewhere."""
        rng = np.random.default_rng(world.plan.seed)
        city = make_city(rng, world.plan.checkpoints, world.plan.zones, world.plan.grid_m)
        self._routes: Routes = make_routes(rng, city)
        self._world = world
        self._zones = len(city.zones)
        trips, fleet = world.trips, world.fleet
        before = np.flatnonzero(trips.start_s <= cut_s)
        counts: dict[tuple[int, ...], np.ndarray] = defaultdict(lambda: np.zeros(3))
        home, work = (column[trips.vehicle[before]] for column in (fleet.home, fleet.work))
        to = trips.destination[before]
        which = np.where(to == home, 0, np.where(to == work, 1, 2))
        for trip, place in zip(before.tolist(), which.tolist(), strict=True):
            for key in self._keys(trip):
                counts[key][place] += 1
        self._counts = dict(counts)
        self._elsewhere = np.bincount(to, minlength=self._zones) + 1.0

    def _keys(self, trip: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Kind of driver, where from; and that by part of the week and hours."""
        trips, fleet = self._world.trips, self._world.fleet
        vehicle, origin = int(trips.vehicle[trip]), int(trips.origin[trip])
        start = 0 if origin == fleet.home[vehicle] else 1 if origin == fleet.work[vehicle] else 2
        day, second = divmod(float(trips.start_s[trip]), 86_400.0)
        weekend = (self._world.plan.start_at.weekday() + 1 + int(day)) % 7 >= 5
        role = int(fleet.role[vehicle])
        return (role, start), (role, start, int(weekend), int(second / 7_200))

    def _prior(self, trip: int) -> np.ndarray:
        """(zones,): chance of each destination, before anything of the trip was seen."""
        fleet, vehicle = self._world.fleet, int(self._world.trips.vehicle[trip])
        whole, part = self._keys(trip)
        coarse = self._counts.get(whole, np.zeros(3)) + 0.1
        home, work, other = self._counts.get(part, np.zeros(3)) + 5.0 * coarse / coarse.sum()
        found: np.ndarray = other * self._elsewhere / self._elsewhere.sum()
        found[fleet.home[vehicle]] += home
        found[fleet.work[vehicle]] += work
        return found / found.sum()

    def best(self, row: int, passed: np.ndarray, ready_s: float) -> int:
        """The checkpoint that most likely sees the vehicle after a unit stands there.

        ``row`` is the sighting, ``passed`` the checkpoints of the trip up to it, in order.
        """
        world, routes = self._world, self._routes
        trip, vehicle = int(world.passages.trip[row]), int(world.passages.vehicle[row])
        origin, length = int(world.trips.origin[trip]), len(passed)
        prior = self._prior(trip)
        chance: dict[int, float] = defaultdict(float)
        for zone in np.flatnonzero(prior).tolist():
            for variant in range(VARIANTS):
                number = (origin * self._zones + zone) * VARIANTS + variant
                begin, end = int(routes.begin[number]), int(routes.begin[number + 1])
                way = routes.checkpoint[begin:end]
                if len(way) <= length or (way[:length] != passed).any():
                    continue
                share = 0.8 * (variant == world.fleet.variant[vehicle]) + 0.2 / VARIANTS
                after = routes.free_s[begin + length : end] - routes.free_s[begin + length - 1]
                for place, seconds in zip(
                    way[length:].tolist(), (after * world.fleet.pace[vehicle] * _SLOWER).tolist(),
                    strict=True,
                ):  # fmt: skip
                    late = (seconds - ready_s) / (0.15 * seconds + 30.0)
                    chance[place] += prior[zone] * share * 0.5 * math.erfc(-late / math.sqrt(2))
        return max(chance, key=lambda place: (chance[place], place), default=-1)


@dataclass(slots=True)
class Ahead:
    """What comes next, and where to stop it."""

    asked: int = 0
    top1: int = 0
    top3: int = 0
    common1: int = 0
    common3: int = 0
    loss: float = 0.0
    common_loss: float = 0.0
    brier: float = 0.0
    arrived: int = 0
    covered: int = 0
    widths_s: list[float] = field(default_factory=list)
    pursuits: int = 0
    stopped: int = 0
    common_stopped: int = 0
    possible: int = 0
    informed_stopped: int = 0
    said: float = 0.0
    informed: Informed | None = None

    def ask(self, town: Town, rows: np.ndarray, rng: np.random.Generator) -> None:
        """At every sighting: what next? At one a vehicle: where to stop it?"""
        p = town.world.passages
        own = [r for r in rows.tolist() if p.seen[r] and p.plate[r] > 0 and not p.misread[r]]
        if not own:
            return
        habits = town.habits(own[0])
        for number, row in enumerate(own[:-1]):
            before = (
                own[number - 1]
                if number and p.at_s[row] - p.at_s[own[number - 1]] < GAP_S
                else None
            )
            self._next(
                town, row, own[number + 1], None if before is None else town.name(before), habits
            )
        if len(own) > 2:
            number = int(rng.integers(1, len(own) - 1))
            self._stop(town, rows, own[number], town.name(own[number - 1]), habits)

    def _next(self, town: Town, row: int, then: int, before: str | None, habits: Habits) -> None:
        p, model = town.world.passages, town.traffic.links.model
        here, at = town.name(row), town.at(row)
        truth = (
            town.name(then)
            if p.at_s[then] - p.at_s[row] <= GAP_S and town.name(then) != here
            else END
        )
        found, gone = next_places(model, here, before, at, at, town.traffic.when(at), habits)
        if not found:
            return
        shares = {one.checkpoint_id: one.probability for one in found} | {END: gone}
        ranked = sorted(shares, key=lambda name: -shares[name])
        common = model.next_seen(here)
        usual = sorted(common, key=lambda name: -common[name])
        self.asked += 1
        self.top1 += ranked[0] == truth
        self.top3 += truth in ranked[:3]
        self.common1 += usual[0] == truth
        self.common3 += truth in usual[:3]
        self.loss -= math.log(max(1e-4, shares.get(truth, 0.0)))
        self.common_loss -= math.log(max(1e-4, common.get(truth, 0.0)))
        self.brier += sum((shares[name] - (name == truth)) ** 2 for name in ranked[:3]) / 3
        known = next((one for one in found if one.checkpoint_id == truth), None)
        if known is not None and p.trip[then] == p.trip[row]:
            self.arrived += 1
            self.covered += known.earliest_at <= town.at(then) <= known.latest_at
            self.widths_s.append((known.latest_at - known.earliest_at).total_seconds())

    def _stop(self, town: Town, rows: np.ndarray, row: int, before: str, habits: Habits) -> None:
        """Half a minute after a sighting: where does it come past once a unit stands there?"""
        p = town.world.passages
        now = town.at(row) + timedelta(seconds=_ASKED_AFTER_S)
        here = town.name(row)
        later = [r for r in rows.tolist() if p.true_s[r] > p.true_s[row]]
        ready_s = _ASKED_AFTER_S + READY_S + MANNED_S
        truly = {
            int(p.checkpoint[r]) for r in later
            if ready_s < p.true_s[r] - p.true_s[row] <= HORIZON_S
        }  # fmt: skip
        advice = pursue(
            town.traffic.links, here, before, town.at(row), now, town.traffic.when(now), READY_S,
            habits,
        )  # fmt: skip
        if not advice.roadblocks:
            return
        first = advice.roadblocks[0]
        names = {town.names[place] for place in truly}
        self.pursuits += 1
        self.possible += bool(truly)
        self.stopped += first.checkpoint_id in names
        self.said += first.chance
        self.common_stopped += most_common(town, here, READY_S) in names
        if self.informed is None:
            self.informed = Informed(town.world, town.cut_s)
        of_trip = [
            r for r in rows.tolist()
            if p.trip[r] == p.trip[row] and p.true_s[r] <= p.true_s[row]
        ]  # fmt: skip
        best = self.informed.best(row, p.checkpoint[of_trip], ready_s)
        self.informed_stopped += best in truly

    def figures(self) -> dict[str, Any]:
        """Shares and means."""
        n = max(1, self.asked)
        return {
            "top1": round(self.top1 / n, 4),
            "top3": round(self.top3 / n, 4),
            "baseline_top1": round(self.common1 / n, 4),
            "baseline_top3": round(self.common3 / n, 4),
            "log_loss": round(self.loss / n, 4),
            "baseline_log_loss": round(self.common_loss / n, 4),
            "brier_top3": round(self.brier / n, 4),
            "window_coverage": round(self.covered / max(1, self.arrived), 4),
            "window_median_s": round(float(np.median(self.widths_s or [0.0])), 1),
            "asked": self.asked,
            "interception": {
                "pursuits": self.pursuits,
                "advised": round(self.stopped / max(1, self.pursuits), 4),
                "said": round(self.said / max(1, self.pursuits), 4),
                "most_common_way": round(self.common_stopped / max(1, self.pursuits), 4),
                "informed": round(self.informed_stopped / max(1, self.pursuits), 4),
                "oracle": round(self.possible / max(1, self.pursuits), 4),
            },
        }


def most_common(town: Town, here: str, ready_s: float) -> str:
    """Follow the most common next checkpoint until a unit can be there."""
    model, took_s, seen = town.traffic.links.model, 0.0, {here}
    while took_s < ready_s + 90:
        shares = {n: s for n, s in model.next_seen(here).items() if n != END and n not in seen}
        if not shares:
            break
        then = max(shares, key=lambda name: (shares[name], name))
        sketch = model.sketch(here, then, 0)
        took_s += sketch.quantile_s(0.5) if sketch is not None else 60.0
        here = then
        seen.add(here)
    return here
