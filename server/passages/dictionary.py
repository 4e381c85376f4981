"""The distinct plates in memory, found by pattern and by likeness.

A database has no index that answers every shape of pattern, and similarity of trigrams misses
most plates with two wrong characters. Here every plate is looked at, in columns: the third
characters of all plates of one length stand side by side, one byte each, so that a comparison is
one pass of the processor's vector unit over a column. A pattern is a few such comparisons. The
distance to a wanted plate would be a few dozen, so where plates are many a list
(:mod:`server.passages.shortlist`) names the few in a hundred that are worth it.

Memory: one byte a character, 25 MB for 3 million plates, half as much again while it grows, and
37 MB for their lists. Time grows with the number of plates, not of passages.

One thread adds while others search: a column is only ever written behind the count that readers
have taken.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from anpr.plate import (
    PROVINCES,
    RETIRED,
    SUFFIXES,
    UNREAD,
    UNRELATED,
    differences,
    distance,
    substitution_cost,
)
from server.passages import scanning
from server.passages.patterns import Shape, fits, shape_of
from server.passages.scanning import UNREAD_CODE, CodedShape, Codes, Costs
from server.passages.shortlist import BEGINNING, Shortlist

MAX_LENGTH = 16
"""The longest plate that is stored."""
MAX_CHANGES = 2

_CHUNK = 131_072
"""Plates looked at in one go: what is worked out of their columns stays in the cache."""
_UNLISTED = 8
"""One plate in so many may not be on the list of its length yet."""
_WORTH = 4
"""Where more than one listed plate in so many would have to be compared, all of them are."""
_NO_COSTS: Costs = np.zeros(0)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + PROVINCES + SUFFIXES + RETIRED + "民航临试超"
_OTHER_CODE = 255
"""Of a character that came when all other codes were given away."""


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
        unread = (codes == UNREAD_CODE).any(axis=1)
        for has_unread, chosen in ((False, ~unread & ~strange), (True, unread & ~strange)):
            if chosen.any():
                key = (length, has_unread)
                shelf = self._shelves.get(key) or _Shelf(length, has_unread=has_unread)
                shelf.add(codes[chosen])
                self._shelves[key] = shelf

    @property
    def wants_lists(self) -> bool:
        """Whether there is enough that :meth:`make_lists` has not listed yet."""
        return any(shelf.wants_list for shelf in tuple(self._shelves.values()))

    def make_lists(self) -> None:
        """List the plates so that a likeness need not be looked for among all of them.

        A quarter of a second a million. What is found is the same, and others search and add
        meanwhile.
        """
        for shelf in tuple(self._shelves.values()):
            if shelf.wants_list:
                shelf.list_all()

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
        wanted, costs = self._alphabet.query(plate), self._alphabet.costs(plate)
        texts = [one for one in tuple(self._strange) if _changes(plate, one) <= changes]
        far = [np.array([distance(plate, one) for one in texts])]
        for shelf in tuple(self._shelves.values()):
            if abs(shelf.length - len(plate)) <= changes:
                columns = shelf.near(wanted, changes)
                # what is read costs no more than the changes; what is unread costs, and is none
                read = not shelf.has_unread and UNREAD not in plate
                costly = scanning.distances(columns, costs, changes if read else None)
                if len(costly) > limit:  # no more of one length than are wanted of all
                    likeliest = np.sort(np.round(costly, 6))[limit - 1]
                    some = np.round(costly, 6) <= likeliest
                    columns, costly = columns[:, some], costly[some]
                texts += self._alphabet.decode(columns.T)
                far.append(costly)
        cost = np.concatenate(far)
        order = np.lexsort((np.array(texts, str), np.round(cost, 6)))[:limit].tolist()
        return tuple([Near(texts[n], float(cost[n])) for n in order])


def _changes(wanted: str, read: str) -> int:
    """How many characters are wrong, missing or too many; ``?`` agrees with any."""
    return sum(one.kind != "unread" for one in differences(wanted, read))


class _Alphabet:
    """Characters as one byte each; 0 is "no character"."""

    def __init__(self) -> None:
        self._code_of = {char: n for n, char in enumerate(_ALPHABET, start=1)}
        self._code_of[UNREAD] = UNREAD_CODE
        self._char_of = np.zeros(256, np.uint32)
        self._table = np.zeros(0x11_0000, np.uint8)
        self._costs: dict[str, tuple[int, Costs]] = {}
        """For each character asked for, with how many codes there were."""
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
        if code >= UNREAD_CODE:
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

    def costs(self, text: str) -> list[Costs]:
        """For each character what it costs to read any code for it."""
        return [self._costs_of(char) for char in text]

    def _costs_of(self, char: str) -> Costs:
        count, costs = self._costs.get(char, (0, _NO_COSTS))
        if count != len(self._code_of):
            known = tuple(self._code_of.items())
            costs = np.full(256, UNRELATED)
            for other, code in known:
                costs[code] = substitution_cost(char, other)
            self._costs[char] = len(known), costs
        return costs


def _coded(shape: Shape, alphabet: _Alphabet) -> CodedShape:
    return CodedShape(
        alphabet.query(shape.beginning),
        tuple(alphabet.query(middle) for middle in shape.middles),
        alphabet.query(shape.end),
    )


class _Shelf:
    """Plates of one length, in the order they came: a column of codes per place."""

    def __init__(self, length: int, *, has_unread: bool) -> None:
        self.length = length
        self.count = 0
        self.has_unread = has_unread
        self._listed: Shortlist | None = None
        """Of the plates that came first."""
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

    @property
    def wants_list(self) -> bool:
        """Whether more plates have come since than should be compared one after the other."""
        if self.has_unread or self.length < BEGINNING:
            return False
        listed = 0 if self._listed is None else self._listed.count
        return self.count - listed > max(_CHUNK, listed // _UNLISTED)

    def list_all(self) -> None:
        """List the plates that there are by now; meanwhile others search and add."""
        count, columns = self.count, self._columns
        self._listed = Shortlist(columns[:, :count])

    def _chunks(self) -> Iterator[Codes]:
        """Columns of some plates at a time, the newest first."""
        count, columns = self.count, self._columns
        yield from _cut(columns[:, :count])

    def fitting(self, wanted: CodedShape, limit: int) -> Codes:
        """At most ``limit`` rows that fit, the newest first."""
        found: list[Codes] = [np.zeros((0, self.length), np.uint8)]
        for columns in self._chunks():
            rows = columns[:, scanning.fitting(columns, wanted)[::-1][:limit]].T
            found.append(rows)
            limit -= len(rows)
            if limit <= 0:
                break
        return np.concatenate(found)

    def near(self, wanted: Sequence[int], changes: int) -> Codes:
        """Columns of the plates at a Levenshtein distance of at most ``changes``."""
        unread, listed = self.has_unread, self._listed
        count, columns = self.count, self._columns
        some = None
        if listed is not None and UNREAD_CODE not in wanted:
            some = listed.maybe_near(wanted, changes, listed.count // _WORTH)
        if listed is None or some is None:
            parts = _cut(columns[:, :count])
        else:  # and what has come since
            parts = chain(_cut(columns[:, listed.count : count]), _cut(some))
        maybe: list[Codes] = [np.zeros((self.length, 0), np.uint8)]
        for part in parts:
            hits = scanning.maybe_near(part, wanted, changes, has_unread=unread)
            maybe.append(part[:, hits])
        found = np.concatenate(maybe, axis=1)
        return found[:, scanning.near(found, wanted, changes, has_unread=unread)]


def _cut(columns: Codes) -> Iterator[Codes]:
    """Columns of some plates at a time, the last first."""
    count = columns.shape[1]
    for start in range((count - 1) // _CHUNK * _CHUNK, -1, -_CHUNK):
        yield columns[:, start : min(start + _CHUNK, count)]
