"""Which checkpoints a vehicle came past between two sightings, though none of them saw it.

Semi-Markov: a path's likelihood is the product of what those do who drive there, of each passed
checkpoint's chance of missing somebody, and of how well the time fits. The likeliest paths are
found best first; what is given is never a sighting, and always a probability.
"""

import heapq
import math
from collections.abc import Collection, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec
from msgspec.structs import replace

from server.trajectories.links import RAREST, UNKNOWN_MISSED, Links
from server.trajectories.model import merged
from server.trajectories.sketch import Expected

KEPT: Final = 3
"""Paths that are given, likeliest first."""
LONGEST: Final = 8
"""Checkpoints that may be missed one after the other."""
LONGEST_S: Final = 3_600.0
"""Who was out of sight for longer may have been anywhere."""
_LOOKED_AT: Final = 500
_CANDIDATES: Final = 12
_WORSE: Final = 9.0
"""Paths a ten-thousandth (in logs) as likely as the best are left out."""
_STEP: Final = math.log(1.1)
_STOPS: Final = 0.03
"""Drivers who stop on the way (petrol, a shop), and for how long on average."""
_STOP_S: Final = 900.0


class Path(msgspec.Struct, frozen=True):
    """A way between two sightings. ``between``: the checkpoints passed unseen, in order."""

    between: tuple[str, ...]
    probability: float
    """Of this path among all that were considered."""
    likelihood: float
    """Log, by the model: of being driven, unseen between, in that time."""
    expected: Expected


Candidate = tuple[tuple[str, ...], float, Expected]
"""Checkpoints between, log of the prior, and what the drive takes."""
Asked = tuple[str, str, int, int]
"""From where, to where, the class of time, and the step of duration: what a search depends on,
besides what was before."""
Found = MutableMapping[tuple[Asked, str | None], Sequence[Candidate]]
"""Searches that were made, of one :class:`Links`, as :attr:`Links.searched` keeps them."""
MOST_KEPT: Final = 20_000
"""Searches that are kept of one :class:`Links`; then it begins anew."""


def to_search(links: Links, start: str, end: str, duration_s: float, when: int) -> Asked | None:
    """What has to be searched for to know the way; None where it is known without, or cannot be."""
    if (
        start == end
        or not 0 < duration_s <= LONGEST_S
        or duration_s < direct_below_s(links, start, end, when)
    ):
        return None
    # steps of a tenth: who drives there daily is searched for once
    return start, end, when, math.ceil(math.log(1.6 * duration_s + 60) / _STEP)


def direct_below_s(links: Links, start: str, end: str, when: int) -> float:
    """Within what time a drive took the road besides which there is no other; 0 if there is."""
    longest_s = links.direct_s.get((start, end, when))
    if longest_s is None:
        is_only = links.is_only_way(start, end)
        longest_s = 1.5 * leg_times(links, start, end, when).q95_s if is_only else 0.0
        links.direct_s[start, end, when] = longest_s
    return longest_s


def likely_paths(  # noqa: PLR0913 - the two sightings, and what is known before them
    links: Links,
    start: str,
    end: str,
    duration_s: float,
    when: int,
    *,
    before: str | None = None,
    searched: Found | None = None,
) -> tuple[Path, ...]:
    """The likeliest paths from one sighting to the next one, likeliest first; at most three.

    ``before`` is the checkpoint at which it was seen before ``start``. Nothing if the model knows
    no way, none in that time, or if the time is longer than an hour. What is in ``searched`` is
    not searched for again, what was is put there.
    """
    if start == end or not 0 < duration_s <= LONGEST_S:
        return ()
    asked = to_search(links, start, end, duration_s, when)
    if asked is None:
        likelihood = path_likelihood(links, (start, end), duration_s, when, before=before)
        return (replace(only_path(links, start, end, when), likelihood=likelihood),)
    return searched_paths(links, asked, duration_s, before, searched)


def only_path(links: Links, start: str, end: str, when: int) -> Path:
    """The road from a checkpoint to its neighbour, where nothing else has to be thought of."""
    found: Path | None = links.only.get((start, end, when))
    if found is None:
        found = links.only[start, end, when] = Path(
            (), 1.0, 0.0, leg_times(links, start, end, when)
        )
    return found


def searched_paths(
    links: Links, asked: Asked, duration_s: float, before: str | None, searched: Found | None
) -> tuple[Path, ...]:
    """As :func:`likely_paths`, of what has to be searched for (:func:`to_search`)."""
    candidates = searched.get((asked, before)) if searched is not None else None
    if candidates is None:
        candidates = _candidates(links, asked, before)
        if searched is not None:
            if len(searched) >= MOST_KEPT:
                searched.clear()
            searched[asked, before] = candidates
    if not candidates:
        return ()
    if len(candidates) == 1:
        path, prior, expected = candidates[0]
        return (Path(path, 1.0, prior + log_time(expected, duration_s), expected),)
    found = [
        Path(path, 0.0, prior + log_time(expected, duration_s), expected)
        for path, prior, expected in candidates
    ]
    found.sort(key=lambda path: (-path.likelihood, path.between))
    best = found[0].likelihood
    weights = [math.exp(path.likelihood - best) for path in found]
    total = sum(weights)
    return tuple(
        Path(path.between, weight / total, path.likelihood, path.expected)
        for path, weight in zip(found[:KEPT], weights, strict=False)
    )


def path_likelihood(  # noqa: PLR0913 - the way, and what is known of it
    links: Links,
    places: Sequence[str],
    duration_s: float,
    when: int,
    *,
    before: str | None = None,
    seen: Collection[str] = (),
) -> float:
    """Log-likelihood of having driven exactly these checkpoints, unseen at the inner ones.

    At those of ``seen`` it was seen. No checkpoint is thought to miss more than it sees, so one
    more sighting on the way never makes the way less likely.
    """
    prior, legs = 0.0, []
    for number, (here, to) in enumerate(pairwise(places)):
        came_from = places[number - 1] if number else before
        share = links.share(here, came_from, to)
        if not share:
            return -math.inf
        prior += math.log(share)
        if number:
            missed = max(links.missed(here), UNKNOWN_MISSED)
            prior += math.log(1 - missed if here in seen else missed)
        legs.append(leg_times(links, here, to, when))
    return prior + log_time(merged(legs), duration_s)


def leg_times(links: Links, here: str, to: str, when: int) -> Expected:
    """What it takes from a checkpoint to its neighbour: as learned, else as the roads say."""
    found = links.took.get((here, to, when))
    if found is None:
        found = links.took[here, to, when] = _leg_times(links, here, to, when)
    return found


def _leg_times(links: Links, here: str, to: str, when: int) -> Expected:
    known = links.model.expected(here, to, when)
    if known is not None:
        return known
    seconds = (links.roads or {}).get(here, {}).get(to, 120.0)
    return Expected(0, seconds * 0.7, seconds * 0.8, seconds * 1.3, seconds * 2, seconds * 3)


def log_time(expected: Expected, duration_s: float) -> float:
    """Log density of a duration: log-normal about the median, or later, because of a stop."""
    sigma = max(0.05, math.log(expected.q95_s / expected.q05_s) / 3.29)
    z = (math.log(max(1.0, duration_s)) - math.log(expected.q50_s)) / sigma
    drive = math.exp(-0.5 * z * z) / (sigma * max(1.0, duration_s) * math.sqrt(2 * math.pi))
    late = max(0.0, duration_s - expected.q50_s)
    stop = math.exp(-late / _STOP_S) / _STOP_S if duration_s > expected.q50_s else 0.0
    return math.log((1 - _STOPS) * drive + _STOPS * stop + 1e-12)


def _candidates(  # noqa: C901, PLR0912 - the inner loop of hundreds of searches a route
    links: Links, asked: Asked, before: str | None
) -> list[Candidate]:
    """Paths that end at ``end``, with the log of their prior and what they take, best first.

    A path is only followed where it can still end well: as soon as one way is known, whatever must
    become much less likely than it is not begun.
    """
    start, end, when, step = asked
    longest_s = math.exp(step * _STEP)
    queue: list[tuple[float, int, tuple[str, ...], tuple[Expected, ...], float]] = [
        (0.0, 0, (start,), (), 0.0)
    ]
    found: list[Candidate] = []
    # a route asks for hundreds of searches of some dozens of steps each
    unseen, least = links.unseen_cost, links.least_unseen
    most = math.inf
    looked_at = number = 0
    while queue and looked_at < _LOOKED_AT and len(found) < _CANDIDATES:
        cost, _, path, legs, took_s = heapq.heappop(queue)
        looked_at += 1
        here = path[-1]
        if here == end:
            found.append((path[1:-1], -cost, merged(legs)))
            continue
        if cost > most:
            break
        if len(path) > LONGEST + 1:
            continue
        came_from, so_far = before, cost
        if legs:
            came_from, so_far = path[-2], cost + unseen[here]
        ways, last = _steps(links, here, came_from, when), _step_to(links, here, came_from, end)
        for way in ways if last is None else [*ways, last]:
            to, leg = way.to, way.leg
            total = so_far + way.cost
            if total > most:
                if last is None:  # all after it are less likely still
                    break
                continue
            if (leg is not None and took_s + leg.q50_s > longest_s) or to in path:
                continue
            if to != end and most < math.inf:
                cost_there = total + unseen[to]
                # one more between is one too many: the next one has to be the last
                if cost_there + least > most and (
                    cost_there > most
                    or not (share := links.share(to, here, end))
                    or cost_there - math.log(share) > most
                ):
                    continue
            if leg is None:
                leg = way.leg = leg_times(links, here, to, when)
            after_s = took_s + leg.q50_s
            if after_s > longest_s:
                continue
            if to == end:
                most = min(most, total + _WORSE)
            number += 1
            heapq.heappush(queue, (total, number, (*path, to), (*legs, leg), after_s))
    return found


@dataclass(slots=True)
class _Step:
    """From a checkpoint to a neighbour."""

    to: str
    cost: float
    """Minus the logarithm of the share that drives there."""
    leg: Expected | None = None
    """What it takes, once somebody has asked."""


def _steps(links: Links, here: str, came_from: str | None, when: int) -> list[_Step]:
    """The neighbours worth trying, the most driven first."""
    key = (here, came_from, when)
    found: list[_Step] | None = links.steps.get(key)
    if found is None:
        if len(links.steps) >= MOST_KEPT:
            links.steps.clear()
        ways = links.ways_on(here, came_from)
        found = links.steps[key] = [_Step(to, cost) for to, cost in ways.items()]
    return found


def _step_to(links: Links, here: str, came_from: str | None, end: str) -> _Step | None:
    """The step to the end, if it is a neighbour that is not among those worth trying."""
    if end not in links.onward(here) or end in links.ways_on(here, came_from):
        return None
    share = links.share(here, came_from, end)
    return None if share < RAREST else _Step(end, -math.log(share))
