"""How right routes are: legs, unseen checkpoints, what comes next, where to stop a vehicle.

    python -m benchmarks.trajectory --json            # the published size
    python -m benchmarks.trajectory --quick --json    # under 40 s

A simulated city (:mod:`benchmarks.simulation`) is learned from for some days and asked about on the
last one. Of what the checkpoints saw, one sighting in five is taken away, on all days, and one in
fifty is misread; what is learned and asked is the server's own code (``server.trajectories``).

* ``legs_right``: of pairs of sightings of one plate that follow each other within a trip, those for
  which the route gives exactly the checkpoints that were truly passed between, none or some; a
  pair that the route does not join is wrong. ``baseline_legs_right``: the same by the shortest
  path over the same checkpoints alone.
* ``recovered``: of the checkpoints truly passed unseen between two sightings, those given.
* ``top1``, ``top3``, ``log_loss``: the next checkpoint that sees the vehicle, within an hour;
  against the one that follows most often, and its share.
* ``window_coverage``: arrivals within the 90 % window of the checkpoint that did see it next.
* ``brier_top3``, and ``interception``: see :mod:`benchmarks.trajectory_ahead`.

The last of the published six days is a Saturday, of which five working days have taught little; with
``--days 12`` it is a Friday after eleven days.
"""

import argparse
import heapq
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.simulation import City, Plan, World, simulate
from benchmarks.simulation.fleet import COLOR_OF_KIND, KINDS, VEHICLE_COLORS
from benchmarks.simulation.world import thinned
from benchmarks.trajectory_ahead import GAP_S, Ahead
from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView
from server.trajectories.build import build_trajectory
from server.trajectories.habits import Habits
from server.trajectories.links import Links
from server.trajectories.model import TravelModel
from server.trajectories.moves import count_moves
from server.trajectories.paths import leg_times
from server.trajectories.route import RouteRules, Traffic

QUICK = Plan(seed=11, days=3, vehicles=5_000, checkpoints=200, zones=50)
FULL = Plan(seed=11, days=6, vehicles=30_000, checkpoints=1_200, zones=120)
REMOVED = 0.2
_RULES = RouteRules()


@dataclass(slots=True)
class Town:
    """A thinned world, and what was learned of it before its last day."""

    world: World
    traffic: Traffic
    cut_s: float
    names: list[str]
    rows_of: Mapping[int, np.ndarray]
    """Rows of the last day by vehicle, in true order, seen or not."""
    read_as: np.ndarray
    """Rows of the days before by the plate read, in order of time …"""
    read_from: np.ndarray
    """… and where each plate's begin."""

    def habits(self, row: int) -> Habits:
        """Where the plate of a row drove before the last day, as it was read."""
        plate = int(self.world.passages.plate[row])
        rows = self.read_as[self.read_from[plate] : self.read_from[plate + 1]]
        seen = [(self.name(r), self.at(r)) for r in rows.tolist()]
        return Habits.of(seen, GAP_S, self.traffic.when)

    def at(self, row: int) -> datetime:
        """When the checkpoint says that it was."""
        return self.world.plan.start_at + timedelta(seconds=float(self.world.passages.at_s[row]))

    def name(self, row: int) -> str:
        """The checkpoint of a row."""
        return self.names[int(self.world.passages.checkpoint[row])]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trajectory", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a small city, few vehicles")
    parser.add_argument("--vehicles", type=int, default=0, help="asked about; 0 = by size")
    parser.add_argument("--days", type=int, default=0, help="simulated; the last is asked about")
    parser.add_argument("--seed", type=int, default=FULL.seed)
    parser.add_argument("--json", action="store_true", help="one line")
    args = parser.parse_args()
    asked = args.vehicles or (80 if args.quick else 600)
    began = time.perf_counter()
    plan = QUICK if args.quick else FULL
    town = make_town(replace(plan, seed=args.seed, days=args.days or plan.days))
    result = measure(town, asked)
    result["seconds"] = round(time.perf_counter() - began, 1)
    result["machine"] = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    print(json.dumps(result, ensure_ascii=False, indent=None if args.json else 2))
    return 0


def make_town(plan: Plan) -> Town:
    """Simulate, thin out, learn all days but the last."""
    world = thinned(simulate(plan), REMOVED, seed=plan.seed + 1)
    p, base_s = world.passages, plan.start_at.timestamp()
    cut_s = (plan.days - 1) * 86_400.0
    known = p.seen & (p.plate > 0) & (p.at_s <= cut_s)
    lat, lon = world.city.checkpoint_lat_lon()
    names = [City.checkpoint_id(n) for n in range(len(lat))]
    moves = count_moves(
        p.plate[known], p.checkpoint[known], p.at_s[known] + base_s, places=len(names),
        since_s=base_s - 1, until_s=base_s + cut_s, gap_s=GAP_S, repeat_s=_RULES.repeat_s,
        utc_offset_s=plan.utc_offset_h * 3_600.0,
    )  # fmt: skip
    places = {
        name: CheckpointPlace(name, name, "", float(a), float(b), "", "")
        for name, a, b in zip(names, lat, lon, strict=True)
    }
    zone = timezone(timedelta(hours=plan.utc_offset_h))
    traffic = Traffic(Links(TravelModel.of(moves, names)), places, {}, zone)
    last = np.flatnonzero(p.true_s > cut_s)
    last = last[np.lexsort((p.true_s[last], p.vehicle[last]))]
    cuts = np.flatnonzero(np.diff(p.vehicle[last])) + 1
    rows_of = {int(p.vehicle[rows[0]]): rows for rows in np.split(last, cuts) if len(rows)}
    read_as = np.flatnonzero(known)
    read_as = read_as[np.lexsort((p.at_s[read_as], p.plate[read_as]))]
    read_from = np.searchsorted(p.plate[read_as], np.arange(len(world.texts) + 1))
    return Town(world, traffic, cut_s, names, rows_of, read_as, read_from)


def measure(town: Town, vehicles: int) -> dict[str, Any]:
    """All figures, of so many vehicles drawn at random."""
    rng = np.random.default_rng(5)
    wrong_clocks = set(np.flatnonzero(town.world.clock_offset_s).tolist())
    everybody = sorted(town.rows_of)
    chosen = rng.choice(everybody, min(vehicles, len(everybody)), replace=False).tolist()
    legs, ahead = Legs(), Ahead()
    for vehicle in chosen:
        rows = town.rows_of[vehicle]
        if wrong_clocks & set(town.world.passages.checkpoint[rows].tolist()):
            continue  # judged by another benchmark: here clocks are right
        legs.judge(town, rows)
        ahead.ask(town, rows, rng)
    sizes = {
        "vehicles": len(chosen),
        "passages_learned": int((town.world.seen().at_s <= town.cut_s).sum()),
        "checkpoints": len(town.names),
    }
    return {**legs.figures(), **ahead.figures(), **sizes}


def view(town: Town, row: int) -> PassageView:
    """A sighting as the server would have it."""
    world, p = town.world, town.world.passages
    kind = int(p.kind[row])
    at = town.at(row)
    return PassageView(
        passage_id=UUID(int=row), plate=str(world.texts[p.plate[row]]), plate_state="read",
        plate_color=COLOR_OF_KIND[kind], plate_kind=KINDS[kind], plate_score=float(p.score[row]),
        captured_at=at, received_at=at, checkpoint=town.traffic.places[town.name(row)],
        camera_id="c", agent_id="a", direction="approaching", lane=int(p.lane[row]),
        speed_kmh=None, vehicle_color=VEHICLE_COLORS[int(p.color[row])], clock_flag="ok",
        clock_offset_ms=None, delivery="live", characters=(), track={}, models={}, evidence=(),
        plate_quad_px=None, vehicle_box_px=None,
    )  # fmt: skip


@dataclass(slots=True)
class Legs:
    """Legs and unseen checkpoints, against the truth."""

    legs: int = 0
    right: int = 0
    shortest_right: int = 0
    unseen: int = 0
    recovered: int = 0
    misread: int = 0
    misread_found: int = 0

    def judge(self, town: Town, rows: np.ndarray) -> None:
        """Rebuild one vehicle's day from its sightings, its misreads among the look-alikes."""
        p = town.world.passages
        read = [r for r in rows.tolist() if p.seen[r] and p.plate[r] > 0]
        own = [r for r in read if not p.misread[r]]
        alike = [r for r in read if p.misread[r]]
        if len(own) < 2:
            return
        route = build_trajectory(
            "plate", [view(town, r) for r in own], _RULES, traffic=town.traffic,
            misreads=[view(town, r) for r in alike],
        )  # fmt: skip
        row_of = {stop.number: stop.passage.passage_id.int for stop in route.stops}
        joined = {
            (row_of[leg.from_number], row_of[leg.to_number]): leg
            for leg in route.legs
            if leg.vehicle and not leg.breaks
        }
        self.misread += len(alike)
        self.misread_found += sum(bool(stop.read_as) for stop in route.stops)
        # what was read as another plate and is not in the route was passed unseen as far as it knows
        shown = set(row_of.values())
        for start, end, between in true_legs(town, rows, shown):
            self.legs += 1
            truth = tuple(town.name(r) for r in between)
            leg = joined.get((start, end))
            given = tuple(one.place.id for one in leg.between) if leg is not None else None
            self.right += given == truth
            self.shortest_right += shortest(town, town.name(start), town.name(end)) == truth
            self.unseen += len(truth)
            self.recovered += len(set(truth) & set(given or ()))

    def figures(self) -> dict[str, Any]:
        """Shares, and of how many."""
        return {
            "legs_right": round(self.right / max(1, self.legs), 4),
            "recovered": round(self.recovered / max(1, self.unseen), 4),
            "baseline_legs_right": round(self.shortest_right / max(1, self.legs), 4),
            "misreads_taken_in": round(self.misread_found / max(1, self.misread), 4),
            "legs": self.legs,
            "unseen": self.unseen,
        }


def true_legs(
    town: Town, rows: np.ndarray, shown: set[int]
) -> Iterator[tuple[int, int, list[int]]]:
    """Pairs of rows that are shown and follow each other within a trip, with those between."""
    trip = town.world.passages.trip
    last: int | None = None
    between: list[int] = []
    for row in rows.tolist():
        if row not in shown:
            between.append(row)
            continue
        if last is not None and trip[last] == trip[row]:
            yield last, row, between
        last, between = row, []


@cache
def _graph(links: Links) -> dict[str, list[tuple[str, float]]]:
    return {
        here: [(to, leg_times(links, here, to, 0).q50_s) for to in links.onward(here)]
        for here in links.model.times
    }


@cache
def _shortest(links: Links, start: str, end: str) -> tuple[str, ...] | None:
    """Dijkstra by median time."""
    queue: list[tuple[float, str, tuple[str, ...]]] = [(0.0, start, ())]
    done: set[str] = set()
    while queue:
        cost, here, path = heapq.heappop(queue)
        if here == end:
            return path[:-1]
        if here in done:
            continue
        done.add(here)
        for to, seconds in _graph(links).get(here, ()):
            if to not in done:
                heapq.heappush(queue, (cost + seconds, to, (*path, to)))
    return None


def shortest(town: Town, start: str, end: str) -> tuple[str, ...] | None:
    """The checkpoints between on the shortest path, by time, over the learned neighbours."""
    return _shortest(town.traffic.links, start, end)


if __name__ == "__main__":
    sys.exit(main())
