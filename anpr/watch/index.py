"""Which entries may be meant by a read: found among a million in microseconds.

* whole plates: the interpreter's 64-bit hashes of their texts lie sorted in an array, and a table
  says where those with the same leading bits begin. Most reads are of nobody that is looked for
  and cost two look-ups in that table; a million plates take 32 MB. Sorting releases the
  interpreter's lock;
* fuzzy: only a read that is unsure somewhere may mean other plates; these are written out (few,
  see :mod:`anpr.watch.likeness`) and looked up one by one;
* patterns that fix something at an end: for each length of a plate a mask of the places they fix;
  patterns of one mask are one group, and a read is hashed once per *group*, all groups together.
  A table of bits tells of most groups that nothing is there;
* patterns that fix nothing at either end (``*234*``): by their longest run, looked up for each
  run of a read. With eight characters that are at most eleven look-ups, so no automaton is needed
  that would have to be built anew for each change;
* descriptions without a part of the plate: by the colors and kinds they name.

What is added later lies in dictionaries beside the arrays until the index is made anew. Nothing
is removed: whoever asks checks what he is given (:func:`anpr.watch.judging.judge`) against the
entry as it stands, and a withdrawn one no longer stands. That goes for two texts of one hash, too.

One thread adds while others ask.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, RETIRED, SUFFIXES, UNREAD
from anpr.watch.judging import Seen
from anpr.watch.likeness import others_meant, sure_above
from anpr.watch.patterns import ANY_ONE, shape_of

_ALPHABET: Final = "".join(
    dict.fromkeys(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + PROVINCES + SUFFIXES + RETIRED + "民航临试超"
    )
)
_UNDEFINED: Final = "\ufffe"
_CODES: Final = codecs.charmap_build(
    ("\0" + _ALPHABET + UNREAD).ljust(128, _UNDEFINED) + _UNDEFINED * 128
)
"""A byte below 128 for each character of plates; others go as unread, and are told apart later."""
_WIDTH: Final = 8
MAX_LENGTH: Final = 16
"""Of a plate."""
_SLICE: Final = 1 << 18
_HASH_BITS: Final = 64
_FIXED: Final = bytes(0 if code == len(_ALPHABET) + 1 else 127 for code in range(256))
"""Of a byte its mask: none for :data:`~anpr.watch.patterns.ANY_ONE`, which is spelled as unread."""
_ODD: Final = 0x9E3779B97F4A7C15
_BUCKETS_A_PLATE: Final = 4
_BITS_A_PATTERN: Final = 256
_MOST_BITS: Final = 22

Ids = NDArray[np.int64]
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


def _number(text: str) -> int:
    """A text of at most eight characters as a number below 2^63."""
    return int.from_bytes(codecs.charmap_encode(text, "replace", _CODES)[0], "big")


class _Plates:
    """Whole plates and their entries: sorted hashes, and what came since in a dictionary."""

    def __init__(self) -> None:
        self._sorted = _Sorted(np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._late: dict[str, tuple[int, ...]] = {}
        """By text: what was added one by one."""

    def __len__(self) -> int:
        return self._sorted.size + len(self._late)

    @property
    def late(self) -> int:
        return len(self._late)

    def fill(self, hashes: Ids, ids: Ids, pause: Pause) -> None:
        """Take hashes over, in any order; sorting releases the interpreter's lock."""
        self._sorted = _Sorted(hashes, ids, pause)

    def add(self, text: str, entry_id: int) -> None:
        known = self._late.get(text, ())
        if entry_id not in known:
            self._late[text] = (*known, entry_id)

    def find(self, text: str, found: list[int]) -> None:
        """Append the entries of a plate."""
        if self._late and (late := self._late.get(text)):
            found += late
        table = self._sorted
        wanted = hash(text)
        bucket = (wanted >> table.shift) + table.half
        begin, end = table.starts[bucket], table.starts[bucket + 1]
        if begin != end:
            table.pick(wanted, begin, end, found)


class _Sorted:
    """Hashes in order and the entries they stand for; never changed.

    Hashes are signed, as the interpreter gives them. Their leading bits are the bucket; hashes of
    bucket ``b`` are those from ``starts[b + half]`` to ``starts[b + half + 1]``.
    """

    def __init__(self, hashes: Ids, ids: Ids, pause: Pause = lambda: None) -> None:
        order = np.argsort(hashes)
        pause()
        hashes, ids = hashes[order], ids[order]
        pause()
        bits = max(10, (_BUCKETS_A_PLATE * len(hashes)).bit_length())
        self.size = len(hashes)
        self.shift = _HASH_BITS - bits
        self.half = 1 << (bits - 1)
        starts = np.full((1 << bits) + 1, len(hashes), np.uint32)
        for begin in range(0, 1 << bits, _SLICE):
            buckets = np.arange(begin, min(begin + _SLICE, 1 << bits), dtype=np.int64) - self.half
            starts[begin : begin + len(buckets)] = np.searchsorted(hashes, buckets << self.shift)
            pause()
        # views of the arrays give plain integers, faster than the arrays do
        self.starts, self._hashes, self._ids = starts.data, hashes.data, ids.data

    def pick(self, wanted: int, begin: int, end: int, found: list[int]) -> None:
        """Append the entries of a hash among some."""
        found += [self._ids[at] for at in range(begin, end) if self._hashes[at] == wanted]


class _Masked(NamedTuple):
    """The groups of one length as they are asked: always all four together."""

    masks: Ids
    odds: Ids
    there: NDArray[np.bool_]
    """By the leading bits of a hash (signed: from the end for half of them)."""
    shift: int


class _Groups:
    """Numbers by what is left of them under one of some masks."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        """Odd factors of the groups, by their masks."""
        self._by_hash: dict[int, tuple[int, ...]] = {}
        none = np.zeros(0, np.int64)
        self._asked = _Masked(none, none, np.zeros(1 << 10, np.bool_), _HASH_BITS - 10)

    def add(self, part: str, entry_id: int) -> None:
        """Take a pattern, ``?`` where it fixes nothing."""
        codes = codecs.charmap_encode(part, "replace", _CODES)[0]
        mask = int.from_bytes(codes.translate(_FIXED), "big")
        value = int.from_bytes(codes, "big") & mask
        odd = self._numbers.get(mask)
        is_new = odd is None
        if odd is None:
            odd = _signed(hash((len(self._numbers), _ODD)) * _ODD | 1)  # any, but one of its own
            self._numbers[mask] = odd
        hashed = _signed(value * odd)
        known = self._by_hash.get(hashed, ())
        if entry_id not in known:
            self._by_hash[hashed] = (*known, entry_id)
        masks, odds, there, shift = self._asked
        if len(self._by_hash) * _BITS_A_PATTERN > len(there) and len(there) < 1 << _MOST_BITS:
            shift -= 2
            there = np.zeros(4 * len(there), np.bool_)
            there[np.fromiter(self._by_hash, np.int64, len(self._by_hash)) >> shift] = True
        there[hashed >> shift] = True
        if is_new:
            masks, odds = np.append(masks, np.int64(mask)), np.append(odds, np.int64(odd))
        if is_new or there is not self._asked.there:
            self._asked = _Masked(masks, odds, there, shift)

    def find(self, key: int, found: list[int]) -> None:
        masks, odds, there, shift = self._asked
        hashed = (masks & key) * odds
        some = there.take(hashed >> shift)
        if np.count_nonzero(some):
            for one in hashed[some].tolist():
                found += self._by_hash.get(one, ())


def _signed(number: int) -> int:
    """The last 64 bits as a signed number."""
    return (number + 2**63) % 2**64 - 2**63


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
            groups = self._by_length.get(table)
            if groups is None:
                groups = self._by_length[table] = _Groups()
            groups.add(part, entry_id)

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
        by_run = self._by_run
        for length in self._runs:
            for start in range(size - length + 1):
                ids = by_run.get(text[start : start + length])
                if ids is not None:
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
        self._whole, self._fuzzy = _Plates(), _Plates()
        """All whole plates, by their own text; the fuzzy ones once more, by what is meant."""
        self._patterns, self._descriptions = _Patterns(), _Descriptions()
        self._tolerance = 0.0
        """The widest of the fuzzy entries."""
        self._sure = 0.0
        """The score above which no character can stand for another at that tolerance."""

    @property
    def late(self) -> int:
        """Whole plates that were added since the index was built; many slow nothing but memory."""
        return self._whole.late

    def __len__(self) -> int:
        """Count whole plates."""
        return len(self._whole)

    def add(self, entry: Indexed) -> None:
        """Take an entry in; doing so again is harmless."""
        if entry.match == "exact":
            self._whole.add(entry.plate, entry.entry_id)
        elif entry.match == "fuzzy":
            self._widen(entry.tolerance)
            self._fuzzy.add(entry.plate, entry.entry_id)
            self._whole.add(entry.plate, entry.entry_id)
        elif entry.plate:
            self._patterns.add(entry.plate, entry.entry_id)
        else:
            self._descriptions.add(entry)

    def candidates(self, seen: Seen) -> list[int]:
        """Entries that may be meant: all that :func:`~anpr.watch.judging.fits`, and a few more."""
        found: list[int] = []
        plate = seen.plate
        if plate:
            self._whole.find(plate, found)
            if self._tolerance and seen.glyphs:
                sure = self._sure
                for glyph in seen.glyphs:
                    if glyph.score <= sure or glyph.char == UNREAD:
                        for other in others_meant(plate, seen.glyphs, self._tolerance):
                            self._fuzzy.find(other, found)
                        break
            self._patterns.find(plate, found)
        self._descriptions.find(seen, found)
        return found

    def _widen(self, tolerance: float) -> None:
        if tolerance > self._tolerance:
            # the score first: who asks meanwhile looks at one place too many, not too few
            self._sure = max(sure_above(tolerance, 0), sure_above(tolerance, 1))
            self._tolerance = tolerance


class Builder:
    """Makes an index of very many entries, a few thousand at a time."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.index = WatchIndex()
        self._hashes: dict[str, list[Ids]] = {"exact": [], "fuzzy": []}
        self._ids: dict[str, list[Ids]] = {"exact": [], "fuzzy": []}

    def add_plates(
        self, match: str, plates: Sequence[str], ids: Iterable[int], tolerance: float = 0.0
    ) -> None:
        """Take whole plates of one way of matching; ``tolerance`` is the widest of them."""
        self._hashes[match].append(np.fromiter(map(hash, plates), np.int64, len(plates)))
        self._ids[match].append(np.fromiter(ids, np.int64, len(plates)))
        if match == "fuzzy":
            self.index._widen(tolerance)  # noqa: SLF001

    def add(self, entry: Indexed) -> None:
        """Take an entry of any kind."""
        self.index.add(entry)

    def done(self, pause: Pause = lambda: None) -> WatchIndex:
        """Sort and give the index; ``pause`` is called between the longer pieces of work."""
        for kinds, plates in (
            (("exact", "fuzzy"), self.index._whole),  # noqa: SLF001
            (("fuzzy",), self.index._fuzzy),  # noqa: SLF001
        ):
            hashes = [part for kind in kinds for part in self._hashes[kind]]
            ids = [part for kind in kinds for part in self._ids[kind]]
            if hashes:
                plates.fill(np.concatenate(hashes), np.concatenate(ids), pause)
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
