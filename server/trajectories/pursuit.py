"""Where a vehicle comes past next, and where it can still be stopped. Pure.

The drive is continued many times at random as all traffic, and this plate before, was seen to
drive (semi-Markov: next checkpoint by the two before, time by the pair's sketch), and as this plate
went on from here itself each time before (:mod:`.habits`), under the condition that nobody has seen
it since: a continuation that passed checkpoints already counts only as much as these miss vehicles.
What comes out is a share of the continuations: the chance of a checkpoint, the window of its time,
the chance that a roadblock is reached after a unit stands there. Seeded by the last sighting, so
the same question has the same answer.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.trajectories.habits import OWN, Drive, Habits, joined
from server.trajectories.links import Links
from server.trajectories.model import END, TravelModel
from server.trajectories.paths import leg_times

DRAWS: Final = 1_000
HORIZON_S: Final = 2_400.0
"""How far ahead one looks."""
MANNED_S: Final = 60.0
"""A unit must stand so long before the vehicle comes."""
FEW_DRIVES: Final = 15.0
_UNSURE: Final = 0.15
"""Of one drive alone: how far its time may be off, as a share of it."""
LEAST: Final = 0.01
_LEAST_MISSED: Final = 0.02
_MOST_HOPS: Final = 25
_REMEMBERING: Final = 2
"""Hops after which a draw forgets which way it came."""

Floats = NDArray[np.float64]
_NONE: Final = Habits()


@dataclass(frozen=True, slots=True)
class NextPlace:
    """A checkpoint that may see it next."""

    checkpoint_id: str
    probability: float
    """That it is the next to see it, given the silence since."""
    earliest_at: datetime
    """Nine in ten of those who come arrive between ``earliest_at`` and ``latest_at``."""
    likely_at: datetime
    latest_at: datetime


@dataclass(frozen=True, slots=True)
class Roadblock:
    """A place where it can be stopped (堵截点)."""

    checkpoint_id: str
    manned_at: datetime
    """When a unit can stand there."""
    chance: float
    """That the vehicle comes past after that, within the time looked ahead."""
    passes: float
    """That it comes past at all, in time or not."""
    earliest_at: datetime
    likely_at: datetime
    latest_at: datetime


@dataclass(frozen=True, slots=True)
class Pursuit:
    """What is to be expected as of ``now``."""

    now: datetime
    seen_at: datetime
    checkpoint_id: str
    next: tuple[NextPlace, ...]
    """Likeliest first."""
    roadblocks: tuple[Roadblock, ...]
    """Best chance first."""
    gone: float
    """Chance that the trip has ended, or the vehicle has left the area."""


def next_places(  # noqa: PLR0913, PLR0917 - where, since when, and what is known
    model: TravelModel,
    here: str,
    before: str | None,
    seen_at: datetime,
    now: datetime,
    when: int,
    habits: Habits = _NONE,
) -> tuple[tuple[NextPlace, ...], float]:
    """The checkpoints that may see it next, likeliest first, and the chance that none will.

    Silence counts: who should have come past long ago has probably gone elsewhere.
    ``habits`` say where this plate drove on to before.
    """
    silent_s = max(0.0, (now - seen_at).total_seconds())
    shares = joined(model.next_seen(here, before), habits.onward(here, seen_at, when))
    weights: dict[str, float] = {}
    sketches = {}
    for name, share in shares.items():
        if name == END:
            continue
        sketch = model.sketch(here, name, when)
        if sketch is None or not sketch.n:
            continue
        left = 1.0 - sketch.share_below(silent_s)
        if share * left > 0:
            weights[name], sketches[name] = share * left, sketch
    ended = shares.get(END, 0.0) if shares else 1.0
    total = sum(weights.values()) + ended
    if not total:
        return (), 1.0
    found = []
    for name, weight in weights.items():
        sketch = sketches[name]
        passed = sketch.share_below(silent_s)
        # few drives do not show the tails: the window of n drives is the wider the fewer they are
        tail = 0.05 * sketch.n / (sketch.n + FEW_DRIVES)
        early, middle, late = (
            max(silent_s, sketch.quantile_s(passed + (1 - passed) * q))
            for q in (tail, 0.5, 1 - tail)
        )
        found.append(
            NextPlace(
                name,
                weight / total,
                *(seen_at + timedelta(seconds=s) for s in (early, middle, late)),
            )
        )
    found.sort(key=lambda place: (-place.probability, place.checkpoint_id))
    return tuple(found), ended / total


def pursue(  # noqa: PLR0913, PLR0917 - where, since when, what is known, who can be where
    links: Links,
    here: str,
    before: str | None,
    seen_at: datetime,
    now: datetime,
    when: int,
    ready_s: Mapping[str, float] | float,
    habits: Habits = _NONE,
) -> Pursuit:
    """What is to be expected of a vehicle last seen ``here``, and where to stop it.

    ``ready_s``: how long it takes until a unit stands at each checkpoint (or at any of them);
    checkpoints that a mapping leaves out are no roadblocks.
    """
    following, gone = next_places(links.model, here, before, seen_at, now, when, habits)
    if not links.model.departures(here):
        following, gone = _by_roads(links, here, seen_at, now, when), 0.0
    silent_s = max(0.0, (now - seen_at).total_seconds())
    arrivals = _arrivals(links, here, before, seen_at, silent_s, when, habits)
    blocks = []
    for name, (at_s, weight) in arrivals.items():
        need_s = ready_s if isinstance(ready_s, float | int) else ready_s.get(name)
        if need_s is None:
            continue
        passes = float(weight.sum())
        if passes < LEAST:
            continue
        stands_s = silent_s + float(need_s)
        in_time = float(weight[at_s > stands_s + MANNED_S].sum())
        early, middle, late = _weighted(at_s, weight)
        early = max(silent_s, early)
        blocks.append(
            Roadblock(
                name,
                now + timedelta(seconds=float(need_s)),
                in_time,
                passes,
                *(seen_at + timedelta(seconds=s) for s in (early, middle, late)),
            )
        )
    blocks.sort(key=lambda block: (-round(block.chance, 6), block.likely_at, block.checkpoint_id))
    return Pursuit(now, seen_at, here, following, tuple(blocks), gone)


def _by_roads(
    links: Links, here: str, seen_at: datetime, now: datetime, when: int
) -> tuple[NextPlace, ...]:
    """Where nobody was seen to drive on from here: the neighbours by the road network, all alike."""
    found = []
    for name, share in links.shares(here, None).items():
        took = leg_times(links, here, name, when)
        times = (
            max(now, seen_at + timedelta(seconds=s)) for s in (took.q05_s, took.q50_s, took.q95_s)
        )
        found.append(NextPlace(name, share, *times))
    return tuple(sorted(found, key=lambda place: (-place.probability, place.checkpoint_id)))


def _weighted(values: Floats, weight: Floats) -> tuple[float, float, float]:
    order = np.argsort(values)
    reach = np.cumsum(weight[order]) / weight.sum()
    low, middle, high = (
        float(values[order][min(len(values) - 1, int(np.searchsorted(reach, q)))])
        for q in (0.05, 0.5, 0.95)
    )
    # few draws do not show the tails: a plate's own drives may be one or two
    draws = float(weight.sum() ** 2 / (weight**2).sum())
    wider = _UNSURE * middle * FEW_DRIVES / (draws + FEW_DRIVES)
    return low - wider, middle, high + wider


def _arrivals(  # noqa: PLR0913, PLR0917 - where, since when, and what is known
    links: Links,
    here: str,
    before: str | None,
    seen_at: datetime,
    silent_s: float,
    when: int,
    habits: Habits,
) -> dict[str, tuple[Floats, Floats]]:
    """Seconds after the sighting at which draws reach each checkpoint, and the draws' weights.

    The weights of all draws together are 1, so the sum at a checkpoint is the chance of passing it.
    """
    seed = zlib.crc32(f"{here} {seen_at.timestamp():.3f} {silent_s:.0f}".encode())
    rng = np.random.default_rng(seed)
    own = habits.drives(here, seen_at, when, silent_s + HORIZON_S)
    weight = np.append(np.full(DRAWS, OWN / DRAWS), [drive.weight for drive in own])
    groups: dict[tuple[str | None, str], tuple[NDArray[np.int64], Floats]] = {
        (before, here): (np.arange(DRAWS), np.zeros(DRAWS))
    }
    found: dict[str, list[tuple[NDArray[np.int64], Floats]]] = {}
    used: dict[str, Mapping[str, float]] = {}
    for hop in range(_MOST_HOPS):
        onward: dict[tuple[str | None, str], list[tuple[NDArray[np.int64], Floats]]] = {}
        for (came_from, place), (draw, at_s) in sorted(groups.items(), key=lambda g: str(g[0])):
            if place not in used:
                used[place] = habits.onward(place, seen_at, when)
            _step(
                links, rng, came_from, place, draw, at_s, silent_s, when, weight, onward,
                used[place],
            )  # fmt: skip
        groups = {}
        for key, parts in onward.items():
            draw = np.concatenate([part[0] for part in parts])
            at_s = np.concatenate([part[1] for part in parts])
            found.setdefault(key[1], []).append((draw, at_s))
            alive = at_s < silent_s + HORIZON_S
            if alive.any():
                group = key if hop < _REMEMBERING else (None, key[1])
                known = groups.get(group)
                groups[group] = (
                    (draw[alive], at_s[alive])
                    if known is None
                    else (
                        np.concatenate([known[0], draw[alive]]),
                        np.concatenate([known[1], at_s[alive]]),
                    )
                )
        if not groups:
            break
    _follow(links, own, silent_s, weight, found)
    total = weight.sum()
    answer: dict[str, tuple[Floats, Floats]] = {}
    for name, parts in found.items():
        first = np.full(len(weight), math.inf)
        for draw, at_s in parts:
            np.minimum.at(first, draw, np.where(at_s > silent_s, at_s, math.inf))
        came = np.isfinite(first) & (first < silent_s + HORIZON_S)
        if came.any() and total > 0:
            answer[name] = (first[came], weight[came] / total)
    return answer


def _follow(
    links: Links,
    own: Sequence[Drive],
    silent_s: float,
    weight: Floats,
    found: dict[str, list[tuple[NDArray[np.int64], Floats]]],
) -> None:
    """Add this plate's own drives to the draws, as numbers from :data:`DRAWS` on."""
    for number, drive in enumerate(own, DRAWS):
        for name, after_s in drive.passed.items():
            found.setdefault(name, []).append((np.array([number]), np.array([after_s])))
            if after_s <= silent_s:
                weight[number] *= max(_LEAST_MISSED, links.missed(name))


def _step(  # noqa: PLR0913, PLR0917 - one hop of many draws
    links: Links,
    rng: np.random.Generator,
    came_from: str | None,
    place: str,
    draw: NDArray[np.int64],
    at_s: Floats,
    silent_s: float,
    when: int,
    weight: Floats,
    onward: dict[tuple[str | None, str], list[tuple[NDArray[np.int64], Floats]]],
    own: Mapping[str, float],
) -> None:
    """Send the draws at one checkpoint on to its neighbours, or let their trip end."""
    shares = links.shares(place, came_from)
    if own:
        shares = joined(shares, {name: own[name] for name in own if name in shares})
    names: Sequence[str] = [name for name, share in shares.items() if share > 0]
    moving = 1.0 - links.model.exit_share(place)
    if not names or moving <= 0:
        return
    chance = np.array([shares[name] for name in names]) * moving
    reach = np.append(np.cumsum(chance), 1.0)
    chosen = np.searchsorted(reach, rng.random(len(draw)))
    for number, name in enumerate(names):
        mine = np.flatnonzero(chosen == number)
        if not mine.size:
            continue
        sketch = links.model.sketch(place, name, when)
        took = (
            sketch.quantiles_s(rng.random(mine.size))
            if sketch is not None and sketch.n
            else np.full(mine.size, (links.roads or {}).get(place, {}).get(name, 120.0))
        )
        reached = at_s[mine] + took
        # it came past while nobody saw it: as likely as the checkpoint misses somebody
        unseen = max(_LEAST_MISSED, links.missed(name))
        weight[draw[mine[reached <= silent_s]]] *= unseen
        onward.setdefault((place, name), []).append((draw[mine], reached))
