"""The distinct plates in memory, found by pattern and by likeness.

A database has no index that answers every shape of pattern, and similarity of trigrams misses
most plates with two wrong characters. Here every plate is looked at, in columns: the third
characters of all plates of one length stand side by side, one byte each, so that a comparison is
one pass of the processor's vector unit over a column. A pattern is a few such comparisons, the
distance to a wanted plate a few dozen.

Memory: one byte a character, 25 MB for 3 million plates, half as much again while it grows. Time
grows with the number of plates, not of passages.

One thread adds while others search: a column is only ever written behind the count that readers
have taken.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anpr.plate import (
    PROVINCES,
    RETIRED,
    SUFFIXES,
    UNREAD,
    differences,
    distance,
    substitution_cost,
)
from server.passages.patterns import Shape, fits, shape_of

MAX_LENGTH = 16
"""The longest plate that is stored."""
MAX_CHANGES = 2

_CHUNK = 131_072
"""Plates looked at in one go: what is worked out of their columns stays in the cache."""
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + PROVINCES + SUFFIXES + RETIRED + "民航临试超"
_UNREAD_CODE = 254
_OTHER_CODE = 255
"""Of a character that came when all other codes were given away."""
_FAR = 99
"""A distance out of reach; sums of it still fit a byte."""

Codes = NDArray[np.uint8]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Near:
    """A plate that may be the wanted one."""

    plate: str
    cost: float
    """Confusion-weighted distance from the wanted plate; see anpr.plate.distance."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """Plates that fit a pattern, the newest known first."""

    plates: tuple[str, ...]
    truncated: bool
    """Whether there are more."""


class PlateDictionary:
    """Distinct plates. Thread safe."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._alphabet = _Alphabet()
        self._shelves: dict[tuple[int, bool], _Shelf] = {}
        """By length, and whether the plates hold an unread place."""
        self._strange: list[str] = []
        """Plates with characters that have no code; there are hardly ever any."""

    def __len__(self) -> int:
        """Count the plates."""
        return sum(shelf.count for shelf in tuple(self._shelves.values())) + len(self._strange)

    def add(self, plates: Sequence[str]) -> None:
        """Take plates in that are not in it yet; '' and what is too long is left out."""
        by_length: dict[int, list[str]] = {}
        for plate in plates:
            by_length.setdefault(len(plate), []).append(plate)
        with self._lock:
            for length, group in by_length.items():
                if 1 <= length <= MAX_LENGTH:
                    self._add(group, length)

    def _add(self, plates: Sequence[str], length: int) -> None:
        codes = self._alphabet.encode(plates, length)
        strange = (codes == _OTHER_CODE).any(axis=1)
        self._strange += [plates[n] for n in np.flatnonzero(strange)]
        unread = (codes == _UNREAD_CODE).any(axis=1)
        for has_unread, chosen in ((False, ~unread & ~strange), (True, unread & ~strange)):
            if chosen.any():
                key = (length, has_unread)
                shelf = self._shelves.get(key) or _Shelf(length, has_unread=has_unread)
                shelf.add(codes[chosen])
                self._shelves[key] = shelf

    def fitting(self, pattern: str, limit: int) -> Fitting:
        """At most ``limit`` plates that fit a normal pattern (``?`` one character, ``*`` a run)."""
        shape = shape_of(pattern)
        found: list[str] = []
        for shelf in tuple(self._shelves.values()):
            if shape.may_have_length(shelf.length):
                rows = shelf.fitting(_coded(shape, self._alphabet), limit + 1 - len(found))
                found += self._alphabet.decode(rows)
                if len(found) > limit:
                    return Fitting(tuple(found[:limit]), truncated=True)
        found += [plate for plate in tuple(self._strange) if fits(plate, shape)]
        return Fitting(tuple(found[:limit]), truncated=len(found) > limit)

    def near(self, plate: str, changes: int, limit: int) -> tuple[Near, ...]:
        """The ``limit`` plates most likely to be a misread of a plate, likeliest first.

        A plate is near if at most ``changes`` characters are wrong, missing or too many
        (Levenshtein); a ``?`` on either side agrees with any one character. Of these the order is
        that of the confusion-weighted distance.
        """
        found: list[Near] = []
        for shelf in tuple(self._shelves.values()):
            if abs(shelf.length - len(plate)) <= changes:
                rows = shelf.near(self._alphabet.query(plate), changes)
                found += _weighed(plate, self._alphabet.decode(rows))
        found += [
            Near(other, distance(plate, other))
            for other in tuple(self._strange)
            if sum(one.kind != "unread" for one in differences(plate, other)) <= changes
        ]
        found.sort(key=lambda one: (round(one.cost, 6), one.plate))
        return tuple(found[:limit])


def _weighed(wanted: str, plates: Iterable[str]) -> Iterator[Near]:
    """Weigh plates; one that differs in at most two places needs no search for the cheapest way.

    Two substitutions cost at most 2, and any way with a lost and an added character at least 2.
    """
    costs: dict[tuple[str, str], float] = {}
    for plate in plates:
        if len(plate) == len(wanted):
            pairs = [pair for pair in zip(wanted, plate, strict=True) if pair[0] != pair[1]]
            if len(pairs) <= MAX_CHANGES:
                for pair in pairs:
                    if pair not in costs:
                        costs[pair] = substitution_cost(*pair)
                yield Near(plate, sum(costs[pair] for pair in pairs))
                continue
        yield Near(plate, distance(wanted, plate))


class _Alphabet:
    """Characters as one byte each; 0 is "no character"."""

    def __init__(self) -> None:
        self._code_of = {char: n for n, char in enumerate(_ALPHABET, start=1)}
        self._code_of[UNREAD] = _UNREAD_CODE
        self._char_of = np.zeros(256, np.uint32)
        self._table = np.zeros(0x11_0000, np.uint8)
        for char, code in self._code_of.items():
            self._char_of[code] = ord(char)
            self._table[ord(char)] = code

    def encode(self, plates: Sequence[str], length: int) -> Codes:
        """Encode plates of one length as rows; a new character gets the next free code."""
        points = np.array(plates, f"<U{length}").view(np.uint32).reshape(len(plates), length)
        codes = self._table[points]
        if not codes.all():
            for point in np.unique(points[codes == 0]):
                self._learn(chr(point))
            codes = self._table[points]
        return codes

    def _learn(self, char: str) -> None:
        code = len(self._code_of)  # 0 is no character's, and '?' stands at the end
        if code >= _UNREAD_CODE:
            self._table[ord(char)] = _OTHER_CODE
            return
        self._code_of[char] = self._table[ord(char)] = code
        self._char_of[code] = ord(char)

    def decode(self, codes: Codes) -> list[str]:
        """Rows back to plates."""
        if not len(codes):
            return []
        points = np.ascontiguousarray(self._char_of[codes])
        decoded: list[str] = points.view(f"<U{codes.shape[1]}").ravel().tolist()
        return decoded

    def query(self, text: str) -> tuple[int, ...]:
        """Codes of a query; a character that no plate has becomes 0, which equals nothing."""
        return tuple(int(self._table[ord(char)]) for char in text)


@dataclass(frozen=True, slots=True)
class _Coded:
    """A shape in codes."""

    beginning: tuple[int, ...]
    middles: tuple[tuple[int, ...], ...]
    end: tuple[int, ...]


def _coded(shape: Shape, alphabet: _Alphabet) -> _Coded:
    return _Coded(
        alphabet.query(shape.beginning),
        tuple(alphabet.query(middle) for middle in shape.middles),
        alphabet.query(shape.end),
    )


class _Shelf:
    """Plates of one length, in the order they came: a column of codes per place."""

    def __init__(self, length: int, *, has_unread: bool) -> None:
        self.length = length
        self.count = 0
        self._has_unread = has_unread
        self._columns = np.zeros((length, 1024), np.uint8)

    def add(self, codes: Codes) -> None:
        start, stop = self.count, self.count + len(codes)
        room = self._columns.shape[1]
        if stop > room:  # readers go on with the columns they have
            larger = np.zeros((self.length, max(stop, room * 3 // 2)), np.uint8)
            larger[:, :start] = self._columns[:, :start]
            self._columns = larger
        self._columns[:, start:stop] = codes.T
        self.count = stop

    def _chunks(self) -> Iterator[Codes]:
        """Columns of some plates at a time, the newest first."""
        count, columns = self.count, self._columns
        for start in range((count - 1) // _CHUNK * _CHUNK, -1, -_CHUNK):
            yield columns[:, start : min(start + _CHUNK, count)]

    def fitting(self, wanted: _Coded, limit: int) -> Codes:
        """At most ``limit`` rows that fit, the newest first."""
        found: list[Codes] = [np.zeros((0, self.length), np.uint8)]
        for columns in self._chunks():
            rows = columns[:, _fitting(columns, wanted)[::-1][:limit]].T
            found.append(rows)
            limit -= len(rows)
            if limit <= 0:
                break
        return np.concatenate(found)

    def near(self, wanted: Sequence[int], changes: int) -> Codes:
        """The rows at a Levenshtein distance of at most ``changes``."""
        found: list[Codes] = [np.zeros((0, self.length), np.uint8)]
        for columns in self._chunks():
            hits = _near(columns, wanted, changes, has_unread=self._has_unread)
            found.append(columns[:, hits].T)
        return np.concatenate(found)


def _fitting(columns: Codes, wanted: _Coded) -> Places:
    """Which plates of these columns have the shape."""
    first, stop = len(wanted.beginning), len(columns) - len(wanted.end)
    good = np.ones(columns.shape[1], np.bool_)
    for at, part in ((0, wanted.beginning), (stop, wanted.end)):
        for n, code in enumerate(part, at):
            if code != _UNREAD_CODE:
                good &= columns[n] == code
    hits = np.flatnonzero(good)
    if not wanted.middles or not len(hits):
        return hits
    if len(hits) < columns.shape[1]:
        columns = columns[:, hits]
    held = _holds(columns, wanted.middles, first, stop)
    return hits[held]


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
    here = np.ones(columns.shape[1], np.bool_) if start is None else start <= place
    for n, code in enumerate(part, place):
        if code != _UNREAD_CODE:
            here &= columns[n] == code
    return here


class _Differs:
    """Where the plates of some columns differ from a wanted plate: 1 or 0 for each."""

    def __init__(self, columns: Codes, wanted: Sequence[int], *, has_unread: bool) -> None:
        self._columns = columns
        self._wanted = wanted
        self._has_unread = has_unread

    def __call__(self, place: int, wanted: int) -> Codes | int:
        """Compare the character at a place with the one wanted at another; ``?`` agrees."""
        code = self._wanted[wanted]
        if code == _UNREAD_CODE:
            return 0
        differs = self._columns[place] != code
        if self._has_unread:
            differs &= self._columns[place] != _UNREAD_CODE
        as_bytes: Codes = differs.view(np.uint8)
        return as_bytes

    def keep(self, alive: Places) -> None:
        """Go on with some of the plates."""
        self._columns = self._columns[:, alive]


def _near(columns: Codes, wanted: Sequence[int], changes: int, *, has_unread: bool) -> Places:
    """Which plates of one length are at a Levenshtein distance of at most ``changes``.

    Only the diagonals of the table are worked out that a way of so few changes can touch
    (Ukkonen, Information and Control 64, 1985); numpy does each cell for all plates at once. It
    goes from the last character to the first, since most plates of a place begin alike, and half
    way leaves off what is too far already.
    """
    length, end = len(columns), len(columns) - len(wanted)
    slack = (changes - abs(end)) // 2
    low, high = min(0, end) - slack, max(0, end) + slack
    differs = _Differs(columns[::-1], wanted[::-1], has_unread=has_unread)
    alive: Places = np.arange(columns.shape[1])
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
        if place == changes + 2:
            best: Codes | int = _FAR
            for cell in cells.values():
                best = _least(best, cell)
            good = np.flatnonzero(np.broadcast_to(best <= changes, alive.shape))
            alive = alive[good]
            differs.keep(good)
            cells = {d: c if isinstance(c, int) else c[good] for d, c in cells.items()}
    near: Places = alive[np.broadcast_to(cells[end] <= changes, alive.shape)]
    return near


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
