"""Which of many plates of one length are worth comparing with a wanted one: a few in a hundred.

Plates stand in the order of their last three characters, and are listed in the order of their first
four. A plate that is near is the wanted one's beginning and its end, each changed by so few that
together they are not more than are allowed. So either its end is the wanted end, or the wanted end
with one change, which a few stretches of the order hold; or the beginning has no change at all. Pure.

The end decides, for beginnings say little: of a prefecture's plates half begin alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.passages.scanning import Codes

END: Final = 3
BEGINNING: Final = 4
_CODES: Final = 256

Key = tuple[int | None, ...]
Numbers = NDArray[np.uint32]
_NONE: Final = np.zeros(0, np.uint32)


class Shortlist:
    """Plates of one length by how they end and how they begin."""

    def __init__(self, columns: Codes) -> None:
        """Take these plates in, of at least four characters; a copy of them is kept."""
        self.count = columns.shape[1]
        self._ends = _Stretches(columns[: -END - 1 : -1])
        self._columns = np.ascontiguousarray(columns[:, self._ends.order])
        self._ends.order = _NONE  # they stand in it now
        self._beginnings = _Stretches(self._columns[:BEGINNING])

    def maybe_near(self, wanted: Sequence[int], changes: int, most: int) -> Codes | None:
        """Columns of plates, each once, among which are all at a distance of at most ``changes``.

        ``changes`` is 1 or 2; nothing is unread, neither wanted nor here. None if there would be
        more than ``most``, or what is wanted is too short.
        """
        if len(wanted) <= END:
            return None
        beginning = tuple(wanted[:-END][:BEGINNING])
        alike: Key = (*beginning, *[None] * (BEGINNING - len(beginning)))
        starts, stops = self._ends.of(_ends_within(wanted[-END:], changes - 1))
        firsts, lasts = self._beginnings.of([alike])
        if int((stops - starts).sum() + (lasts - firsts).sum()) > most:
            return None
        parts = [self._columns[:, a:b] for a, b in zip(starts, stops, strict=True)]
        for first, last in zip(firsts, lasts, strict=True):
            plates = self._beginnings.order[first:last]
            if len(starts):  # whatever ends so is there already
                before = np.searchsorted(starts, plates, "right") - 1
                plates = plates[(before < 0) | (plates >= stops[before])]
            parts.append(self._columns[:, plates])
        few: Codes = np.concatenate([self._columns[:, :0], *parts], axis=1)
        return few


def _ends_within(end: Sequence[int], changes: int) -> list[Key]:
    """How plates end whose end is the wanted one with at most so many changes, 0 or 1.

    The last character comes first; None is any.
    """
    first, second, last = end
    if not changes:
        return [(last, second, first)]
    return [
        (last, second, None),  # the first another or lost, or one more behind it
        (last, None, first),
        (None, second, first),
        (last, first, None),  # the second lost
        (second, first, None),  # the last lost
        (last, None, second),  # one more before the last
        (None, last, second),  # one more behind the last
    ]


class _Stretches:
    """Where plates stand when they are ordered by some of their characters."""

    def __init__(self, columns: Codes) -> None:
        """Order plates by these columns, the first of them above all."""
        self._places: list[_Place] = []
        keys = np.zeros(columns.shape[1], np.uint32)  # four characters fit in any case
        weight = 1
        for column in columns[::-1]:
            codes = np.flatnonzero(np.bincount(column, minlength=_CODES))
            weights = np.zeros(_CODES, np.uint32)
            weights[codes] = np.arange(len(codes), dtype=np.uint32) * np.uint32(weight)
            self._places.insert(0, _Place({int(c): int(weights[c]) for c in codes}, weights[codes]))
            keys += weights[column]
            weight *= len(codes)
        self.order: Numbers = np.argsort(keys).astype(np.uint32)
        keys = keys[self.order]
        first = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        self._keys = keys[np.append(0, first)]
        self._starts = np.concatenate([[0], first, [len(keys)]]).astype(np.uint32)

    def of(self, wanted: Sequence[Key]) -> tuple[Numbers, Numbers]:
        """The stretches of plates with any of these keys: where they begin and end, in order."""
        keys = np.unique(np.concatenate([self._numbers(key) for key in wanted]))
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        at = at[self._keys[at] == keys]
        if not len(at):
            return _NONE, _NONE
        starts, stops = self._starts[at], self._starts[at + 1]
        apart = starts[1:] != stops[:-1]  # what lies side by side is one stretch
        return starts[np.append(True, apart)], stops[np.append(apart, True)]

    def _numbers(self, key: Key) -> Numbers:
        """The numbers of the keys that are meant; none, if no plate has such a character there."""
        fixed, numbers = 0, np.zeros(1, np.uint32)
        for place, code in zip(self._places, key, strict=True):
            if code is None:
                numbers = (numbers[:, None] + place.weights).ravel()
            elif (weight := place.weight_of.get(code)) is None:
                return _NONE
            else:
                fixed += weight
        return numbers + np.uint32(fixed)


@dataclass(frozen=True, slots=True)
class _Place:
    """The characters at one place, and what each adds to the number of a key."""

    weight_of: Mapping[int, int]
    weights: Numbers
