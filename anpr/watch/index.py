"""Which entries may be meant by a read: found among a million in microseconds.

* whole plates: the interpreter's 64-bit hashes of their texts lie sorted in an array, and a table
  says where those with the same leading bits begin. Most reads are of nobody that is looked for
  and cost two look-ups in that table; a million plates take 32 MB. Sorting releases the
  interpreter's lock;
* fuzzy: only a read that is unsure somewhere may mean other plates; these are written out (few,
  see :mod:`anpr.watch.likeness`) and looked up one by one;
* patterns: by what they fix, see :mod:`anpr.watch.masks`;
* descriptions without a part of the plate: by the colors and kinds they name.

What is added later lies in dictionaries beside the arrays until the index is made anew. Nothing
is removed: whoever asks checks what he is given (:func:`anpr.watch.judging.judge`) against the
entry as it stands, and a withdrawn one no longer stands. That goes for two texts of one hash, too.

One thread adds while others ask.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anpr.plate import UNREAD
from anpr.watch.judging import Seen
from anpr.watch.likeness import others_meant, sure_above
from anpr.watch.masks import Patterns

_SLICE: Final = 1 << 18
_HASH_BITS: Final = 64
_BUCKETS_A_PLATE: Final = 4

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

    def __bool__(self) -> bool:
        return bool(self._by_looks)

    def find(self, seen: Seen, found: list[int]) -> None:
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
        self._patterns, self._descriptions = Patterns(), _Descriptions()
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
        if seen.plate:
            self._find_plates(seen, found)
            self._patterns.find(seen.plate, found)
        if self._descriptions:
            self._descriptions.find(seen, found)
        return found

    def candidates_of(self, seen_ones: Sequence[Seen]) -> list[list[int]]:
        """What :meth:`candidates` finds for each, at less cost."""
        found: list[list[int]] = [[] for _ in seen_ones]
        for seen, its in zip(seen_ones, found, strict=True):
            if seen.plate:
                self._find_plates(seen, its)
            if self._descriptions:
                self._descriptions.find(seen, its)
        self._patterns.find_all([seen.plate for seen in seen_ones], found)
        return found

    def _find_plates(self, seen: Seen, found: list[int]) -> None:
        self._whole.find(seen.plate, found)
        if self._tolerance:
            sure = self._sure
            for glyph in seen.glyphs:
                if glyph.score <= sure or glyph.char == UNREAD:
                    for other in others_meant(seen.plate, seen.glyphs, self._tolerance):
                        self._fuzzy.find(other, found)
                    return

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
