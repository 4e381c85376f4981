"""Which entries may be meant by a read: found among a million in microseconds.

* whole plates: eight characters are one 64-bit number; numbers lie sorted in an array, so a
  million plates take 12 MB and are sorted with the interpreter's lock released;
* fuzzy: the plates that a read may mean are written out (few, see :mod:`anpr.watch.likeness`) and
  looked up together;
* patterns that fix something at an end: a mask each for the left- and the right-aligned number;
  patterns of one mask are one group, and a read is hashed once per *group*. A bit array tells most
  groups at once that nothing is there;
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
from anpr.watch.patterns import ANY_ONE, ANY_RUN, shape_of

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
_END: Final = np.uint64(2**64 - 1)
_BLOOM_BITS: Final = 20
_SHIFT: Final = np.uint64(64 - _BLOOM_BITS)
_K1, _K2, _K3 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
)

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
    """Whole plates and their entries: sorted numbers, and what came since in a dictionary."""

    def __init__(self) -> None:
        self._keys: Keys = np.array([_END], np.uint64)
        self._ids: Ids = np.array([0], np.int64)
        self._late: dict[str, tuple[int, ...]] = {}
        """By text: what was added one by one, and what does not fit a number."""

    def __len__(self) -> int:
        return len(self._keys) - 1 + len(self._late)

    @property
    def late(self) -> int:
        return len(self._late)

    def fill(self, keys: Keys, ids: Ids) -> None:
        """Take numbers over, in any order; sorting releases the interpreter's lock."""
        order = np.argsort(keys)
        self._keys = np.append(keys[order], _END)
        self._ids = np.append(ids[order], 0)

    def add(self, text: str, entry_id: int) -> None:
        known = self._late.get(text, ())
        if entry_id not in known:
            self._late[text] = (*known, entry_id)

    def find(self, texts: Sequence[str], found: list[int]) -> None:
        """Append the entries of any of these plates."""
        if self._late:
            for text in texts:
                found += self._late.get(text, ())
        keys = self._keys
        if len(keys) == 1:
            return
        numbers = [key for text in texts if (key := key_of(text)) is not None]
        if not numbers:
            return
        wanted = np.array(numbers, np.uint64)
        places = keys.searchsorted(wanted)
        hits = keys[places] == wanted
        if hits.any():
            for place, key in zip(places[hits].tolist(), wanted[hits], strict=True):
                at = place
                while keys[at] == key:  # several entries may look for one plate
                    found.append(int(self._ids[at]))
                    at += 1


class _Patterns:
    """Patterns by what they fix."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], int] = {}
        self._left: Keys = np.zeros(0, np.uint64)
        self._right: Keys = np.zeros(0, np.uint64)
        self._salt: Keys = np.zeros(0, np.uint64)
        self._there = np.zeros(1 << _BLOOM_BITS, np.bool_)
        self._by_hash: dict[int, tuple[int, ...]] = {}
        self._by_run: dict[str, tuple[int, ...]] = {}
        self._runs: tuple[int, ...] = ()
        """Lengths of the runs in ``_by_run``."""

    def add(self, pattern: str, entry_id: int) -> None:
        shape = shape_of(pattern)
        left, left_mask = _masked(shape.beginning[:_WIDTH], from_left=True)
        right, right_mask = _masked(shape.end[-_WIDTH:], from_left=False)
        if not left_mask and not right_mask:
            self._add_run(shape.middles, entry_id)
            return
        group = self._groups.get((left_mask, right_mask))
        if group is None:
            group = len(self._groups)
            self._groups[left_mask, right_mask] = group
            salt = (group + 1) * int(_K3) & (2**64 - 1)
            # readers take _salt first: what they take after it is at least as long
            self._left = np.append(self._left, np.uint64(left_mask))
            self._right = np.append(self._right, np.uint64(right_mask))
            self._salt = np.append(self._salt, np.uint64(salt))
        value = ((left * int(_K1)) ^ (right * int(_K2))) & (2**64 - 1)
        value ^= int(self._salt[group])
        known = self._by_hash.get(value, ())
        if entry_id not in known:
            self._by_hash[value] = (*known, entry_id)
        self._there[value >> int(_SHIFT)] = True

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
        salt = self._salt
        if len(salt):
            count = len(salt)
            left, right = _aligned(text)
            with np.errstate(over="ignore"):
                values = (np.uint64(left) & self._left[:count]) * _K1
                values ^= (np.uint64(right) & self._right[:count]) * _K2
            values ^= salt
            for value in values[self._there[values >> _SHIFT]].tolist():
                found += self._by_hash.get(value, ())
        for length in self._runs:
            for start in range(len(text) - length + 1):
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
                self._exact.find((seen.plate,), found)
            if self._tolerance:
                meant = (
                    list(plates_meant(seen.glyphs, self._tolerance))
                    if seen.glyphs
                    else [seen.plate]
                )
                self._fuzzy.find(meant, found)
            self._patterns.find(seen.plate, found)
        self._descriptions.find(seen, found)
        return found


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
                plates.fill(keys, ids)
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


def _masked(part: str, *, from_left: bool) -> tuple[int, int]:
    """A part's characters as a number aligned as a plate's, and the mask of those it fixes."""
    value = mask = 0
    for n, char in enumerate(part if from_left else reversed(part)):
        if char in {ANY_ONE, ANY_RUN}:
            continue
        shift = 8 * (_WIDTH - 1 - n) if from_left else 8 * n
        value |= (_CODE.get(char) or 127) << shift
        mask |= 255 << shift
    return value, mask


def _aligned(text: str) -> tuple[int, int]:
    """A plate as two numbers: its first eight characters from the left, its last from the right."""
    left = right = 0
    for char in text[:_WIDTH]:
        left = left << 8 | (_CODE.get(char) or 127)
    left <<= 8 * (_WIDTH - min(_WIDTH, len(text)))
    if len(text) <= _WIDTH:
        return left, left >> 8 * (_WIDTH - len(text))
    for char in text[-_WIDTH:]:
        right = right << 8 | (_CODE.get(char) or 127)
    return left, right
