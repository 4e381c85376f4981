"""Patterns, found by what they fix.

* Those that fix something at an end: for each length of a plate a mask of the places they fix;
  of plates longer than eight characters, hardly ever seen, the first eight or the last.
  Patterns of one mask are one group, and a read is hashed once per *group*, all groups together.
  A table of bits tells of most groups that nothing is there.
* Those that fix nothing at either end (``*234*``): by their longest run, looked up for each run of
  a read. With eight characters that are at most eleven look-ups, so no automaton is needed that
  would have to be built anew for each change.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, RETIRED, SUFFIXES, UNREAD
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
_FIRST: Final = _WIDTH + 1
_LAST: Final = -_FIRST
"""The tables of longer plates, by the side that is looked at; of others by their length."""
_HASH_BITS: Final = 64
_FIXED: Final = bytes(0 if code == len(_ALPHABET) + 1 else 127 for code in range(256))
"""Of a byte its mask: none for :data:`~anpr.watch.patterns.ANY_ONE`, which is spelled as unread."""
_ODD: Final = 0x9E3779B97F4A7C15
_BITS_A_PATTERN: Final = 256
_MOST_BITS: Final = 22
_AT_ONCE: Final = 256

_Words = NDArray[np.int64]


def _number(text: str) -> int:
    """A text of at most eight characters as a number below 2^63."""
    return int.from_bytes(codecs.charmap_encode(text, "replace", _CODES)[0], "big")


class _Masked(NamedTuple):
    """The groups of one length as they are asked: always all four together."""

    masks: _Words
    odds: _Words
    there: NDArray[np.bool_]
    """By the leading bits of a hash (signed: from the end for half of them)."""
    shift: np.int64
    """As arrays have it, like the number that is asked: making it one each time takes as long as
    using it."""


class _Groups:
    """Numbers by what is left of them under one of some masks."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        """Odd factors of the groups, by their masks."""
        self._by_hash: dict[int, tuple[int, ...]] = {}
        none = np.zeros(0, np.int64)
        self._asked = _Masked(none, none, np.zeros(1 << 10, np.bool_), np.int64(_HASH_BITS - 10))

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
            shift = np.int64(shift - 2)
            there = np.zeros(4 * len(there), np.bool_)
            there[np.fromiter(self._by_hash, np.int64, len(self._by_hash)) >> shift] = True
        there[hashed >> int(shift)] = True
        if is_new:
            masks, odds = np.append(masks, np.int64(mask)), np.append(odds, np.int64(odd))
        if is_new or there is not self._asked.there:
            self._asked = _Masked(masks, odds, there, shift)

    def find(self, key: int, found: list[int]) -> None:
        """Append the entries of patterns that fit a number."""
        masks, odds, there, shift = self._asked
        hashed = masks & np.int64(key)
        hashed *= odds
        some = there.take(hashed >> shift)
        if np.count_nonzero(some):
            for one in hashed[some].tolist():
                found += self._by_hash.get(one, ())

    def find_all(self, keys: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Which number, and the entries of patterns that fit it; some hundred numbers at a time."""
        masks, odds, there, shift = self._asked
        hashed = (np.array(keys, np.int64)[:, np.newaxis] & masks) * odds
        some = there[hashed >> shift]
        for number, one in zip(np.nonzero(some)[0].tolist(), hashed[some].tolist(), strict=True):
            if ids := self._by_hash.get(one):
                yield number, ids


def _signed(number: int) -> int:
    """The last 64 bits as a signed number."""
    return (number + 2**63) % 2**64 - 2**63


class Patterns:
    """Patterns by what they fix, for each length that a plate may have."""

    def __init__(self) -> None:
        self._tables: dict[int, _Groups] = {}
        self._by_run: dict[str, tuple[int, ...]] = {}
        self._runs: tuple[int, ...] = ()
        """Lengths of the runs in ``_by_run``."""

    def add(self, pattern: str, entry_id: int) -> None:
        """Take a pattern; doing so again is harmless."""
        shape = shape_of(pattern)
        ends = shape.beginning + shape.end
        if not ends.strip(ANY_ONE):
            self._add_run(shape.middles, entry_id)
            return
        least = len(ends) + sum(map(len, shape.middles))
        longest = min(least, _WIDTH) if shape.fixed_length else _WIDTH
        for length in range(least, longest + 1):
            placed = shape.beginning + ANY_ONE * (length - len(ends)) + shape.end
            self._add(length, placed, entry_id)
        if least > _WIDTH or not shape.fixed_length:
            first = shape.beginning[:_WIDTH].ljust(_WIDTH, ANY_ONE)
            if first.strip(ANY_ONE):
                self._add(_FIRST, first, entry_id)
            else:
                last = (shape.end or shape.beginning)[-_WIDTH:].rjust(_WIDTH, ANY_ONE)
                self._add(_LAST, last, entry_id)

    def _add(self, table: int, part: str, entry_id: int) -> None:
        groups = self._tables.get(table)
        if groups is None:
            groups = self._tables[table] = _Groups()
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
        if len(text) <= _WIDTH:
            groups = self._tables.get(len(text))
            if groups is not None:
                groups.find(_number(text), found)
        else:
            for table, part in ((_FIRST, text[:_WIDTH]), (_LAST, text[-_WIDTH:])):
                if table in self._tables:
                    self._tables[table].find(_number(part), found)
        self._find_runs(text, found)

    def find_all(self, texts: Sequence[str], found: Sequence[list[int]]) -> None:
        """Append to each text's list; cheaper than one by one, as all groups are asked at once."""
        by_table: dict[int, list[int]] = {}
        for number, text in enumerate(texts):
            if not text:
                continue
            if len(text) <= _WIDTH:
                by_table.setdefault(len(text), []).append(number)
            else:
                by_table.setdefault(_FIRST, []).append(number)
                by_table.setdefault(_LAST, []).append(number)
            self._find_runs(text, found[number])
        for table, numbers in by_table.items():
            groups = self._tables.get(table)
            if groups is None:
                continue
            for start in range(0, len(numbers), _AT_ONCE):
                some = numbers[start : start + _AT_ONCE]
                parts = (texts[n][-_WIDTH:] if table == _LAST else texts[n][:_WIDTH] for n in some)
                for at, ids in groups.find_all([*map(_number, parts)]):
                    found[some[at]] += ids

    def _find_runs(self, text: str, found: list[int]) -> None:
        size, by_run = len(text), self._by_run
        for length in self._runs:
            for start in range(size - length + 1):
                ids = by_run.get(text[start : start + length])
                if ids is not None:
                    found += ids
