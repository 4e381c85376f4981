"""One plate, one vehicle or two? Every leg a little evidence, added up. Pure; columns of numpy.

A vehicle is where it was: it drives on to a neighbouring checkpoint, and after a rest it starts
where it stopped. Two vehicles of one plate that never drive at the same time make no impossible
leg, yet the plate jumps across the city and back with none of the checkpoints between having seen
it. One jump happens to anybody (an unread plate, an unwatched road); that jumps cease when the
sightings are divided among two vehicles, each of which is where it was, happens to clones.

So two hypotheses are held against each other by their likelihoods:

* one vehicle: P(all sightings) = product over the legs of P(next checkpoint | last one), as learned
  of everybody, separately for drives and rests, filled up for legs that are rare with the share
  of all legs over so many hops; a leg in less time than it can be driven has a small chance;
* two vehicles: the division among two that is likeliest (dynamic programming over which sighting
  was the other vehicle's last), each with the same P, and a chance for each change between them.

Single sightings that fit neither before nor after are taken for misreads first. Colors that differ
between the two count as a ratio of likelihoods too (Dirichlet-multinomial).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_CHECKPOINTS: Final = 5_000
"""Matrices of all pairs are held in memory: 13 bytes a pair."""
_FAR: Final = 6
"""So many hops and more are one class: far."""
_FILL: Final = 20.0
"""Legs that everybody's habit is worth beside those seen to leave a checkpoint."""
_HURRY: Final = 6.0
"""A leg in less time than it can be driven is e**-6 as likely: a clock, a misread."""
_DRIVING: Final = (-math.log(0.99), -math.log(0.01))
_RESTED: Final = (-math.log(0.6), -math.log(0.4))
"""The same vehicle again, and the other one: shortly after, and after a rest."""
COLORS_MOST: Final = 10.0
"""Colors are believed so far and no further; light and readers deceive all sightings alike."""
_MISREAD: Final = 0.003
"""Share of sightings that are another vehicle's."""


@dataclass(frozen=True, slots=True)
class TrackRules:
    """When two vehicles are believed."""

    rest_s: float = 1_800.0
    """Longer between two sightings is a rest."""
    least_gain: float = 10.0
    """Natural logarithm of the ratio of likelihoods, the rarity of clones taken off."""
    rarity: float = 7.0
    """Of a thousand plates one is cloned: ln 1000."""
    least_trips: int = 3
    """Trips of two checkpoints and more that the second vehicle must have made,"""
    least_changes: int = 4
    """and so often the sightings must change between the two."""
    least_jumps: int = 6
    jump_share: float = 0.03
    """Only plates with so many legs that lead far, of all their legs, are looked at."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What everybody does at each checkpoint; all arrays (checkpoints, checkpoints), from and to."""

    drive_cost: NDArray[np.float32]
    """-ln P(next | last) of legs no longer than a rest."""
    rest_cost: NDArray[np.float32]
    """The same of where vehicles start that stopped."""
    hops: NDArray[np.int8]
    """Checkpoints that a vehicle passes on the way, the last included; 6 is far or no way known."""
    least_s: NDArray[np.float32]
    """Nobody is faster."""
    rest_s: float

    def cost(self, start: Ints, end: Ints, took_s: Floats) -> Floats:
        """-ln P of legs; arrays of one length."""
        driven = took_s <= self.rest_s
        found = np.where(driven, self.drive_cost[start, end], self.rest_cost[start, end])
        return found.astype(np.float64) + _HURRY * (took_s < self.least_s[start, end])


@dataclass(frozen=True, slots=True)
class Divided:
    """A plate's sightings as two vehicles'."""

    gain: float
    """How much likelier than one, natural logarithm; the rarity of clones is taken off."""
    color_gain: float
    """What of that is due to colors."""
    first: tuple[int, ...]
    second: tuple[int, ...]
    """Places in the sightings that were handed in; the second has fewer."""
    left_out: tuple[int, ...]
    """Taken for misreads."""
    changes: int
    trips: int
    """Of the second vehicle, with two checkpoints and more."""

    def convinces(self, rules: TrackRules) -> bool:
        """Whether two vehicles are believed."""
        return (
            self.gain >= rules.least_gain
            and self.trips >= rules.least_trips
            and self.changes >= rules.least_changes
        )


def learn_habits(  # noqa: PLR0913 - columns, and what is known of the ways
    plate: Ints, place: Ints, at_s: Floats, least_s: NDArray[np.float32], *, places: int,
    rest_s: float,
) -> Habits:  # fmt: skip
    """Learn from all sightings, ordered by plate and time; ``least_s`` (places, places)."""
    same = np.flatnonzero(plate[1:] == plate[:-1])
    start, end = place[same], place[same + 1]
    driven = at_s[same + 1] - at_s[same] <= rest_s
    key = start * places + end
    drives = np.bincount(key[driven], minlength=places * places).reshape(places, places)
    rests = np.bincount(key[~driven], minlength=places * places).reshape(places, places)
    hops = _hops(drives)
    return Habits(_costs(drives, hops), _costs(rests, hops), hops, least_s, rest_s)


def _hops(drives: Ints) -> NDArray[np.int8]:
    """Least moves from each to each over pairs that are driven often enough to be neighbours."""
    places = len(drives)
    leaving = drives.sum(axis=1, keepdims=True)
    near = (drives >= 3) & (drives >= 0.02 * leaving)
    np.fill_diagonal(near, val=False)
    hops = np.full((places, places), _FAR, np.int8)
    np.fill_diagonal(hops, 0)
    step = near.astype(np.float32)
    reached, frontier = np.eye(places, dtype=bool), np.eye(places, dtype=np.float32)
    for hop in range(1, _FAR):
        found = (frontier @ step > 0) & ~reached
        hops[found] = hop
        reached |= found
        frontier = found.astype(np.float32)
    return hops


def _costs(counts: Ints, hops: NDArray[np.int8]) -> NDArray[np.float32]:
    """-ln P(to | from), filled up for rare pairs by the share of all legs over so many hops."""
    places = len(counts)
    total = np.bincount(hops.ravel(), weights=counts.ravel(), minlength=_FAR + 1)
    share = (total + 1.0) / (total.sum() + _FAR + 1)
    room = np.stack([(hops == hop).sum(axis=1) for hop in range(_FAR + 1)], axis=1)
    usual = share[None, :] / np.maximum(room, 1)
    filled = np.take_along_axis(usual, hops.astype(np.int64), axis=1)
    leaving = counts.sum(axis=1, keepdims=True)
    # what was seen once may have been this very plate: a count says one less than it shows
    chance = (np.maximum(counts - 1, 0) + _FILL * filled) / (leaving + _FILL)
    found: NDArray[np.float32] = -np.log(np.maximum(chance, 1e-3 / places**2)).astype(np.float32)
    return found


def jumps(plate: Ints, place: Ints, at_s: Floats, habits: Habits, plates: int) -> Ints:
    """How many legs of each plate lead further than is usual: two hops more than a neighbour."""
    same = np.flatnonzero(plate[1:] == plate[:-1])
    far = habits.hops[place[same], place[same + 1]] >= 3
    took = at_s[same + 1] - at_s[same]
    hurried = took < habits.least_s[place[same], place[same + 1]]
    return np.bincount(plate[same][far | hurried], minlength=plates)


def divide(
    place: Ints, at_s: Floats, colors: Sequence[str] | None, habits: Habits, rules: TrackRules
) -> Divided | None:
    """Divide one plate's sightings, in order of time, among two vehicles; None of fewer than four."""
    kept = _without_misreads(place, at_s, habits)
    if len(kept) < 4:
        return None
    where, when = place[kept], at_s[kept]
    one = float(habits.cost(where[:-1], where[1:], np.diff(when)).sum())
    two, side = _two(where, when, habits)
    if side.sum() * 2 > len(side):
        side = 1 - side
    first, second = kept[side == 0], kept[side == 1]
    color_gain = 0.0
    if colors is not None:
        color_gain = _color_gain([colors[n] for n in first], [colors[n] for n in second])
    left_out = np.setdiff1d(np.arange(len(place)), kept)
    return Divided(
        one - two - rules.rarity + color_gain, color_gain, tuple(first.tolist()),
        tuple(second.tolist()), tuple(left_out.tolist()), int((np.diff(side) != 0).sum()),
        _trips(place[second], at_s[second], rules.rest_s),
    )  # fmt: skip


def _without_misreads(place: Ints, at_s: Floats, habits: Habits) -> Ints:
    """The sightings without single ones that fit neither what was before nor what came after."""
    count = len(place)
    skip = -math.log(_MISREAD / len(habits.hops))
    cost, before = np.zeros(count), np.full(count, -1)
    for n in range(1, count):
        from_ = np.arange(max(0, n - 2), n)
        steps = habits.cost(place[from_], np.full(len(from_), place[n]), at_s[n] - at_s[from_])
        total = cost[from_] + steps + skip * (n - 1 - from_)
        best = int(total.argmin())
        cost[n], before[n] = total[best], from_[best]
        if n == 1 and skip < cost[1]:
            cost[1], before[1] = skip, -1
    kept = [count - 1]
    while before[kept[-1]] >= 0:
        kept.append(int(before[kept[-1]]))
    return np.array(kept[::-1], np.int64)


def _two(place: Ints, at_s: Floats, habits: Habits) -> tuple[float, Ints]:
    """The least cost with two vehicles, and whose each sighting is (0 or 1).

    The vehicle of the last sighting is known by that sighting; all that is left to decide is
    which sighting was the other one's last: ``state`` s is sighting s - 1, 0 that there was none.
    """
    count = len(place)
    begin = math.log(len(habits.hops))
    cost = np.full(count + 1, np.inf)
    cost[0] = 0.0
    came: list[int] = [0]
    """For sighting n, from which state a change led to it."""
    stayed = np.zeros((count, count + 1), bool)
    for n in range(1, count):
        other = np.arange(1, n)  # states 1 … n-1: sightings 0 … n-2
        last = other - 1
        change = np.concatenate([
            [begin],
            habits.cost(place[last], np.full(len(last), place[n]), at_s[n] - at_s[last]),
        ])  # fmt: skip
        same, different = _DRIVING if at_s[n] - at_s[n - 1] <= habits.rest_s else _RESTED
        changed = cost[:n] + change + different
        best = int(changed.argmin())
        step = habits.cost(place[n - 1 : n], place[n : n + 1], at_s[n : n + 1] - at_s[n - 1 : n])
        cost[:n] += step[0] + same
        stayed[n, :n] = True
        cost[n] = changed[best]  # the other vehicle's last is now sighting n - 1
        came.append(best)
    state = int(cost[:count].argmin())
    least = float(cost[state])
    side, now = np.zeros(count, np.int64), 0
    for n in range(count - 1, 0, -1):
        side[n] = now
        if state == n:  # a change led here: before it the other one was ahead
            state, now = came[n], 1 - now
    side[0] = now
    return least, side


def _trips(place: Ints, at_s: Floats, rest_s: float) -> int:
    """Trips with two checkpoints and more."""
    if len(place) < 2:
        return 0
    moved = (np.diff(at_s) <= rest_s) & (np.diff(place) != 0)
    begins = moved & ~np.concatenate([[False], moved[:-1]])
    return int(begins.sum())


def _color_gain(first: Sequence[str], second: Sequence[str]) -> float:
    """Ln of how much likelier the colors are as two vehicles' than as one's.

    Dirichlet-multinomial with half a count for each of ten colors; unknown ones say nothing.
    """
    counts = [Counter(c for c in colors if c != "unknown") for colors in (first, second)]

    def log_likelihood(count: Counter[str]) -> float:
        total, alpha, kinds = count.total(), 0.5, 10
        return (
            math.lgamma(kinds * alpha)
            - math.lgamma(total + kinds * alpha)
            + sum(math.lgamma(n + alpha) - math.lgamma(alpha) for n in count.values())
        )

    gain = sum(map(log_likelihood, counts)) - log_likelihood(counts[0] + counts[1])
    return max(-COLORS_MOST, min(COLORS_MOST, gain))
