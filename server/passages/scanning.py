"""Plates of one length, in columns of codes: which of them fit a shape, which are near a plate.

``columns[n]`` holds the code of the character at place ``n`` of every plate, one byte each. Every
step here is one pass of the processor's vector unit over such a column. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anpr.plate import GAP_COST

UNREAD_CODE: Final = 254
"""Of ``?``, which agrees with any character."""
_FAR = 99
"""A distance out of reach; sums of it still fit a byte."""

Codes = NDArray[np.uint8]
Places = NDArray[np.intp]
Costs = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CodedShape:
    """What a plate begins with, holds in this order, and ends with; in codes."""

    beginning: tuple[int, ...]
    middles: tuple[tuple[int, ...], ...]
    end: tuple[int, ...]


def fitting(columns: Codes, wanted: CodedShape) -> Places:
    """Which plates of these columns have the shape."""
    first, stop = len(wanted.beginning), len(columns) - len(wanted.end)
    fixed = [*enumerate(wanted.beginning), *enumerate(wanted.end, stop)]
    good = _all_stand(columns, fixed, None)
    hits = np.arange(columns.shape[1]) if good is None else np.flatnonzero(good)
    if not wanted.middles or not len(hits):
        return hits
    if len(hits) < columns.shape[1] // 2:
        return hits[_holds(columns[:, hits], wanted.middles, first, stop)]
    held = _holds(columns, wanted.middles, first, stop)
    return np.flatnonzero(held if good is None else held & good)


def _all_stand(
    columns: Codes, fixed: Sequence[tuple[int, int]], good: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Which plates have each of these codes at its place, of the good ones; None: all of them."""
    same: NDArray[np.bool_] | None = None
    for place, code in reversed(fixed):  # plates of one region begin alike
        if code == UNREAD_CODE:
            continue
        if good is None:
            good = columns[place] == code
        else:
            same = np.equal(columns[place], code, out=same)
            good &= same
    return good


def _holds(
    columns: Codes, parts: Sequence[Sequence[int]], first: int, stop: int
) -> NDArray[np.bool_]:
    """Which plates hold these parts, one after the other, between two places.

    Each is taken where it stands first: that leaves most room for what follows.
    """
    start: Codes | None = None
    for part in parts[:-1]:
        past = np.full(columns.shape[1], _FAR, np.uint8)
        for place in range(stop - len(part), first - 1, -1):
            past[_stands_at(columns, part, place, start)] = place + len(part)
        start = past
    held = np.zeros(columns.shape[1], np.bool_)
    for place in range(first, stop - len(parts[-1]) + 1):
        held |= _stands_at(columns, parts[-1], place, start)
    return held


def _stands_at(
    columns: Codes, part: Sequence[int], place: int, start: Codes | None
) -> NDArray[np.bool_]:
    """Which plates have a part at a place, that being no earlier than their start."""
    early_enough = None if start is None else start <= place
    here = _all_stand(columns, [*enumerate(part, place)], early_enough)
    return np.ones(columns.shape[1], np.bool_) if here is None else here


def maybe_near(columns: Codes, wanted: Sequence[int], changes: int, *, has_unread: bool) -> Places:
    """Which plates may be at a Levenshtein distance of at most ``changes``; none is left out.

    A way of ``x`` characters lost and found again, besides those by which the lengths differ, keeps
    to the diagonals that so many can reach, and on these all characters of the shorter plate agree
    but ``x`` and those that are substituted. So the characters that agree on these diagonals are
    counted, wherever they stand.
    """
    end = len(columns) - len(wanted)
    shorter = min(len(columns), len(wanted))
    found = _Agreeing(columns, wanted, has_unread=has_unread)
    straight = found.on(min(0, end), max(0, end))
    near: NDArray[np.bool_] = straight >= shorter - (changes - abs(end))
    for x in range(1, (changes - abs(end)) // 2 + 1):
        least = shorter - x - (changes - abs(end) - 2 * x)
        for low, high in ((-x, 0), (0, x)) if x == 1 and not end else ((-x, x),):
            near |= found.on(min(0, end) + low, max(0, end) + high) >= least
    return np.flatnonzero(near)


class _Agreeing:
    """How many characters of each plate agree with a wanted plate, by diagonal."""

    def __init__(self, columns: Codes, wanted: Sequence[int], *, has_unread: bool) -> None:
        self._columns, self._wanted, self._has_unread = columns, wanted, has_unread
        self._of: dict[int, Codes] = {}
        self._same = np.empty(columns.shape[1], np.bool_)

    def on(self, low: int, high: int) -> Codes:
        """On the diagonals from ``low`` to ``high``, each a place here less the place wanted."""
        total = self._diagonal(low)
        for diagonal in range(low + 1, high + 1):
            total = total + self._diagonal(diagonal)
        return total

    def _diagonal(self, diagonal: int) -> Codes:
        found = self._of.get(diagonal)
        if found is None:
            found = self._of[diagonal] = np.zeros(self._columns.shape[1], np.uint8)
            for at, code in enumerate(self._wanted):
                if not 0 <= at + diagonal < len(self._columns):
                    continue
                if code == UNREAD_CODE:
                    found += np.uint8(1)
                    continue
                column = self._columns[at + diagonal]
                np.equal(column, code, out=self._same)
                if self._has_unread:
                    self._same |= column == UNREAD_CODE
                found += self._same.view(np.uint8)
        return found


class _Differs:
    """Where the plates of some columns differ from a wanted plate: 1 or 0 for each."""

    def __init__(self, columns: Codes, wanted: Sequence[int], *, has_unread: bool) -> None:
        self._columns = columns
        self._wanted = wanted
        self._has_unread = has_unread

    def __call__(self, place: int, wanted: int) -> Codes | int:
        """Compare the character at a place with the one wanted at another; ``?`` agrees."""
        code = self._wanted[wanted]
        if code == UNREAD_CODE:
            return 0
        differs = self._columns[place] != code
        if self._has_unread:
            differs &= self._columns[place] != UNREAD_CODE
        as_bytes: Codes = differs.view(np.uint8)
        return as_bytes


def near(columns: Codes, wanted: Sequence[int], changes: int, *, has_unread: bool) -> Places:
    """Which plates of one length are at a Levenshtein distance of at most ``changes``.

    Only the diagonals of the table are worked out that a way of so few changes can touch
    (Ukkonen, Information and Control 64, 1985); numpy does each cell for all plates at once.
    """
    length, end = len(columns), len(columns) - len(wanted)
    slack = (changes - abs(end)) // 2
    low, high = min(0, end) - slack, max(0, end) + slack
    differs = _Differs(columns, wanted, has_unread=has_unread)
    cells: dict[int, Codes | int] = {d: -d if d <= 0 else _FAR for d in range(low, high + 1)}
    for place in range(1, length + 1):
        before, cells = cells, {}
        for d in range(high, low - 1, -1):
            at = place - d  # how much of the wanted plate
            if not 0 < at <= len(wanted):
                cells[d] = place if at == 0 else _FAR
                continue
            cell = _plus(before[d], differs(place - 1, at - 1))
            beside = _least(before.get(d - 1, _FAR), cells.get(d + 1, _FAR))
            cells[d] = _least(cell, _plus(beside, 1))
    return np.flatnonzero(np.broadcast_to(cells[end] <= changes, columns.shape[1]))


def _plus(a: Codes | int, b: Codes | int) -> Codes | int:
    if isinstance(a, int) and (a >= _FAR or isinstance(b, int)):
        return _FAR if a >= _FAR or not isinstance(b, int) else a + b
    total: Codes = np.add(a, b, dtype=np.uint8)
    return total


def _least(a: Codes | int, b: Codes | int) -> Codes | int:
    if isinstance(b, int) and b >= _FAR:
        return a
    if isinstance(a, int) and a >= _FAR:
        return b
    return np.minimum(a, b, dtype=np.uint8)


def distances(columns: Codes, substitution: Sequence[Costs], most_gaps: int | None = None) -> Costs:
    """The confusion-weighted distance of each plate: ``anpr.plate.distance``, for all at once.

    ``substitution[n][code]`` is what it costs to read a code for character ``n`` of the wanted
    plate. Sums are made in the same order as there, so the costs are the very same. Where no
    distance is greater than so many gaps cost, ``most_gaps`` says so: then only the diagonals are
    worked out that a way with so few can touch.
    """
    length, count = columns.shape
    end = length - len(substitution)
    gaps = length + len(substitution) if most_gaps is None else most_gaps
    slack = (gaps - abs(end)) // 2
    low, high = min(0, end) - slack, max(0, end) + slack
    far = np.full(count, np.inf)
    previous = [np.full(count, n * GAP_COST) if n <= high else far for n in range(length + 1)]
    for number, costs in enumerate(substitution, 1):
        current = [np.full(count, number * GAP_COST) if -number >= low else far]
        for place, column in enumerate(columns):
            if not low <= place + 1 - number <= high:
                current.append(far)
                continue
            cheapest = previous[place] + costs[column]
            np.minimum(cheapest, previous[place + 1] + GAP_COST, out=cheapest)
            np.minimum(cheapest, current[place] + GAP_COST, out=cheapest)
            current.append(cheapest)
        previous = current
    return previous[-1]
