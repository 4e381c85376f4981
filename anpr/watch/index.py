"""Which entries may be meant by a read: found among a million in microseconds.

* whole plates: eight characters are one 64-bit number; numbers lie sorted in an array, so a
  million plates take 12 MB and are sorted with the interpreter's lock released;
* fuzzy: the plates that a read may mean are written out (few, see :mod:`anpr.watch.likeness`) and
  looked up together;
* patterns that fix something at an end: for each length of a plate a mask of the places they fix;
  patterns of one mask are one group, and a read is hashed once per *group*, all groups together.
  A table of bits tells of most groups that nothing is there;
* patterns that fix nothing at either end (``*234*``): by their longest run, looked up for each
  run of a read. With eight characters that are at most eleven look-ups, so no automaton is needed
  that would have to be built anew for each change;
* descriptions without a part of the plate: by the colors and kinds they name.

What is added later lies in dictionaries beside the arrays until :meth:`WatchIndex.rebuilt` sorts
it in. Nothing is removed: whoever asks checks what he is given (:func:`anpr.watch.judging.judge`)
against the entry as it stands, and a withdrawn one no longer stands.

One thread adds while others ask.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, RETIRED, SUFFIXES, UNREAD
from anpr.watch.judging import Seen
from anpr.watch.likeness import plates_meant
from anpr.watch.patterns import ANY_ONE, shape_of

_ALPHABET: Final = dict.fromkeys(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + PROVINCES + SUFFIXES + RETIRED + "民航临试超"
)
_CODE: Final = {char: code for code, char in enumerate(_ALPHABET, start=1)}
_TABLE: Final = np.zeros(0x1_0000, np.uint8)
for _char, _n in _CODE.items():
    _TABLE[ord(_char)] = _n
_UNREAD_CODE: Final = 126
_CODE[UNREAD] = _UNREAD_CODE
_TABLE[ord(UNREAD)] = _UNREAD_CODE
_WIDTH: Final = 8
MAX_LENGTH: Final = 16
"""Of a plate."""
_END: Final = np.uint64(2**64 - 1)
_OTHER_CODE: Final = 127
"""Of a character that has no code; plates with one are not looked up as numbers."""
_BLOOM_BITS: Final = 20
_SHIFT: Final = 64 - _BLOOM_BITS
_UINT_SHIFT: Final = np.uint64(_SHIFT)
_K1: Final = np.uint64(0x9E3779B97F4A7C15)
_K1_INT: Final = int(_K1)
_ALL: Final = 2**64 - 1
_SLICE: Final = 50_000

Ids = NDArray[np.int64]
Keys = NDArray[np.uint64]
Pause = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index needs of an entry; see :class:`anpr.watch.judging.Watched`."""

    entry_id: int
    match: str
    plate: str
    tolerance: float = 0.0
    plate_kinds: frozenset[str] = frozenset()
    plate_colors: frozenset[str] = frozenset()
    vehicle_colors: frozenset[str] = frozenset()


def key_of(text: str) -> int | None:
    """A text of at most eight characters as a number; None if it does not fit one."""
    if not 0 < len(text) <= _WIDTH:
        return None
    key = 0
    for char in text:
        code = _CODE.get(char)
        if code is None:
            return None
        key = key << 8 | code
    return key


class _Plates:
    """Whole plates and their entries: sorted numbers, and what came since in a dictionary.

    Most reads are of nobody that is looked for: a table of bits, sixteen a plate, tells so before
    the numbers are searched.
    """

    def __init__(self) -> None:
        self._sorted = _Sorted(np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._late: dict[str, tuple[int, ...]] = {}
        """By text: what was added one by one, and what does not fit a number."""

    def __len__(self) -> int:
        return len(self._sorted.keys) - 1 + len(self._late)

    @property
    def late(self) -> int:
        return len(self._late)

    def fill(self, keys: Keys, ids: Ids, pause: Pause) -> None:
        """Take numbers over, in any order; sorting releases the interpreter's lock."""
        self._sorted = _Sorted(keys, ids, pause)

    def add(self, text: str, entry_id: int) -> None:
        known = self._late.get(text, ())
        if entry_id not in known:
            self._late[text] = (*known, entry_id)

    def find(self, text: str, found: list[int]) -> None:
        """Append the entries of a plate."""
        if self._late:
            found += self._late.get(text, ())
        self._sorted.find(text, found)


class _Sorted:
    """Numbers in order and the entries they stand for; never changed."""

    def __init__(self, keys: Keys, ids: Ids, pause: Pause = lambda: None) -> None:
        order = np.argsort(keys)
        pause()
        self.keys = np.append(keys[order], _END)
        self._ids = np.append(ids[order], 0)
        pause()
        bits = max(10, (16 * len(keys)).bit_length())
        self._shift = 64 - bits
        there = np.zeros(1 << bits, np.bool_)
        for start in range(0, len(keys), _SLICE):
            part = keys[start : start + _SLICE] * _K1
            there[part >> np.uint64(self._shift)] = True
            pause()
        self._there = there.data

    def find(self, text: str, found: list[int]) -> None:
        key = key_of(text)
        if key is None or not self._there[(key * _K1_INT & _ALL) >> self._shift]:
            return
        keys, wanted = self.keys, np.uint64(key)
        at = int(keys.searchsorted(wanted))
        while keys[at] == wanted:  # several entries may look for one plate
            found.append(int(self._ids[at]))
            at += 1


class _Groups:
    """Numbers by what is left of them under one of some masks."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        """Of the groups, by their masks."""
        self._masks: Keys = np.zeros(0, np.uint64)
        self._odds: Keys = np.zeros(0, np.uint64)
        self._there = np.zeros(1 << _BLOOM_BITS, np.bool_)
        self._by_hash: dict[int, tuple[int, ...]] = {}

    def add(self, mask: int, value: int, entry_id: int) -> None:
        group = self._numbers.get(mask)
        number = len(self._numbers) if group is None else group
        odd = hash((number, _K1_INT)) * _K1_INT & _ALL | 1  # any, but one of its own
        if group is None:
            self._numbers[mask] = len(self._numbers)
            # readers take _odds first: what they take after it is at least as long
            self._masks = np.append(self._masks, np.uint64(mask))
            self._odds = np.append(self._odds, np.uint64(odd))
        hashed = value * odd & _ALL
        known = self._by_hash.get(hashed, ())
        if entry_id not in known:
            self._by_hash[hashed] = (*known, entry_id)
        self._there[hashed >> _SHIFT] = True

    def find(self, key: int, found: list[int]) -> None:
        odds = self._odds
        hashed = (self._masks[: len(odds)] & np.uint64(key)) * odds
        there = self._there.take(hashed >> _UINT_SHIFT)
        if np.count_nonzero(there):
            for one in hashed[there].tolist():
                found += self._by_hash.get(one, ())


class _Patterns:
    """Patterns by what they fix, for each length that a plate may have."""

    def __init__(self) -> None:
        self._by_length: dict[int, _Groups] = {}
        self._by_run: dict[str, tuple[int, ...]] = {}
        self._runs: tuple[int, ...] = ()
        """Lengths of the runs in ``_by_run``."""

    def add(self, pattern: str, entry_id: int) -> None:
        shape = shape_of(pattern)
        ends = shape.beginning + shape.end
        if not ends.strip(ANY_ONE):
            self._add_run(shape.middles, entry_id)
            return
        least = len(ends) + sum(map(len, shape.middles))
        for length in (least,) if shape.fixed_length else range(least, MAX_LENGTH + 1):
            placed = shape.beginning + ANY_ONE * (length - len(ends)) + shape.end
            first, last = placed[:_WIDTH], placed[-_WIDTH:]
            # of a longer plate its first eight places are looked at, or if nothing is fixed
            # there its last eight, in a table of their own
            part, table = (first, length) if first.strip(ANY_ONE) else (last, -length)
            mask, value = _masked(part)
            if table not in self._by_length:
                self._by_length[table] = _Groups()
            self._by_length[table].add(mask, value, entry_id)

    def _add_run(self, middles: Iterable[str], entry_id: int) -> None:
        runs = [run for middle in middles for run in middle.split(ANY_ONE)]
        longest = max(runs, key=len, default="")
        known = self._by_run.get(longest, ())
        if entry_id not in known:
            self._by_run[longest] = (*known, entry_id)
        if len(longest) not in self._runs:
            self._runs = tuple(sorted({*self._runs, len(longest)}))

    def find(self, text: str, found: list[int]) -> None:
        """Append the entries of patterns that may fit."""
        size = len(text)
        groups = self._by_length.get(size)
        if groups is not None:
            groups.find(_number(text[:_WIDTH]), found)
        if size > _WIDTH and (groups := self._by_length.get(-size)) is not None:
            groups.find(_number(text[-_WIDTH:]), found)
        for length in self._runs:
            for start in range(size - length + 1):
                ids = self._by_run.get(text[start : start + length])
                if ids:
                    found += ids


class _Descriptions:
    """Descriptions without a part of the plate, by what they name."""

    def __init__(self) -> None:
        self._by_looks: dict[tuple[str, str, str], tuple[int, ...]] = {}

    def add(self, entry: Indexed) -> None:
        for looks in product(
            entry.plate_kinds or ("",), entry.plate_colors or ("",), entry.vehicle_colors or ("",)
        ):
            known = self._by_looks.get(looks, ())
            if entry.entry_id not in known:
                self._by_looks[looks] = (*known, entry.entry_id)

    def find(self, seen: Seen, found: list[int]) -> None:
        if self._by_looks:
            for looks in product(
                (seen.plate_kind, ""), (seen.plate_color, ""), (seen.vehicle_color, "")
            ):
                found += self._by_looks.get(looks, ())


class WatchIndex:
    """Entries, ready to be asked."""

    def __init__(self) -> None:
        """Start empty."""
        self._exact, self._fuzzy = _Plates(), _Plates()
        self._patterns, self._descriptions = _Patterns(), _Descriptions()
        self._tolerance = 0.0
        """The widest of the fuzzy entries."""

    @property
    def late(self) -> int:
        """Whole plates that were added since the index was built; many slow nothing but memory."""
        return self._exact.late + self._fuzzy.late

    def __len__(self) -> int:
        """Count whole plates."""
        return len(self._exact) + len(self._fuzzy)

    def add(self, entry: Indexed) -> None:
        """Take an entry in; doing so again is harmless."""
        if entry.match == "exact":
            self._exact.add(entry.plate, entry.entry_id)
        elif entry.match == "fuzzy":
            self._tolerance = max(self._tolerance, entry.tolerance)
            self._fuzzy.add(entry.plate, entry.entry_id)
        elif entry.plate:
            self._patterns.add(entry.plate, entry.entry_id)
        else:
            self._descriptions.add(entry)

    def candidates(self, seen: Seen) -> list[int]:
        """Entries that may be meant: all that :func:`~anpr.watch.judging.fits`, and a few more."""
        found: list[int] = []
        if seen.plate:
            if UNREAD not in seen.plate:
                self._exact.find(seen.plate, found)
            if self._tolerance:
                for plate in self._meant(seen):
                    self._fuzzy.find(plate, found)
            self._patterns.find(seen.plate, found)
        self._descriptions.find(seen, found)
        return found

    def _meant(self, seen: Seen) -> Iterable[str]:
        return plates_meant(seen.glyphs, self._tolerance) if seen.glyphs else (seen.plate,)


class Builder:
    """Makes an index of very many entries, a few thousand at a time."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.index = WatchIndex()
        self._keys: dict[str, list[Keys]] = {"exact": [], "fuzzy": []}
        self._ids: dict[str, list[Ids]] = {"exact": [], "fuzzy": []}

    def add_plates(
        self, match: str, plates: Sequence[str], ids: Sequence[int], tolerance: float = 0.0
    ) -> None:
        """Take whole plates of one way of matching; ``tolerance`` is the widest of them."""
        points = np.array(plates, "<U16").view(np.uint32).reshape(len(plates), -1)
        codes = _TABLE[np.minimum(points, 0xFFFF)]
        plain = ((codes != 0) == (points != 0)).all(axis=1) & ~points[:, _WIDTH:].any(axis=1)
        keys = np.zeros(len(plates), np.uint64)
        for column in codes[:, :_WIDTH].T:
            filled = column != 0
            keys[filled] = (keys[filled] << np.uint64(8)) | column[filled]
        self._keys[match].append(keys[plain])
        numbers = np.array(ids, np.int64)
        self._ids[match].append(numbers[plain])
        if match == "fuzzy":
            self.index._tolerance = max(self.index._tolerance, tolerance)  # noqa: SLF001
        for n in np.flatnonzero(~plain).tolist():  # hardly ever any
            self.index.add(Indexed(int(ids[n]), match, plates[n], tolerance))

    def add(self, entry: Indexed) -> None:
        """Take an entry of any kind."""
        self.index.add(entry)

    def done(self, pause: Pause = lambda: None) -> WatchIndex:
        """Sort and give the index; ``pause`` is called between the longer pieces of work."""
        for match, plates in (("exact", self.index._exact), ("fuzzy", self.index._fuzzy)):  # noqa: SLF001
            if self._keys[match]:
                keys, ids = np.concatenate(self._keys[match]), np.concatenate(self._ids[match])
                pause()
                plates.fill(keys, ids, pause)
                pause()
        return self.index


def built(entries: Iterable[Indexed]) -> WatchIndex:
    """An index of entries that are at hand."""
    builder = Builder()
    whole: dict[str, list[Indexed]] = {"exact": [], "fuzzy": []}
    for entry in entries:
        whole.get(entry.match, []).append(entry)
        if entry.match not in whole:
            builder.add(entry)
    for match, group in whole.items():
        for chunk in _chunks(group, 4096):
            builder.add_plates(
                match,
                [one.plate for one in chunk],
                [one.entry_id for one in chunk],
                max(one.tolerance for one in chunk),
            )
    return builder.done()


def _chunks(items: Sequence[Indexed], size: int) -> Iterator[Sequence[Indexed]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _masked(part: str) -> tuple[int, int]:
    """The mask of what a part fixes, and its number under that mask."""
    mask = value = 0
    for char in part:
        is_fixed = char != ANY_ONE
        mask = mask << 8 | (255 if is_fixed else 0)
        value = value << 8 | (_CODE.get(char, _OTHER_CODE) if is_fixed else 0)
    return mask, value


def _number(text: str) -> int:
    """A text of at most eight characters as a number, whatever the characters."""
    key = 0
    for char in text:
        key = key << 8 | _CODE.get(char, _OTHER_CODE)
    return key
