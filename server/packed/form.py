"""How the sightings of a plate in a partition are packed: two strings of columns for numpy. Pure.

``moments`` is 8 bytes a sighting: microseconds since the partition began (42 bits, 50 days) and
the number of the checkpoint (22 bits); it is all that counting needs. ``looks`` is the rest: 14
bytes where the identifier is a version 7 of the very millisecond of the sighting and the score has
four decimals, as agents send them, else 28; which of the two its length says. Both are in order of
time and identifier. Nothing is lost: what is read is what was stored.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

PLACE_BITS: Final = 22
MOST_PLACES: Final = 1 << PLACE_BITS
"""Numbers of checkpoints that can be packed."""
_MOMENT: Final = np.dtype("<u8")
_SHORT: Final = np.dtype([("tail", "u1", 10), ("score", "<u2"), ("look", "<u2")])
_LONG: Final = np.dtype([("id", "u1", 16), ("score", "<f8"), ("look", "<u4")])
_SCORES: Final = 10_000.0


class Columns(NamedTuple):
    """Sightings, a row each; of one plate or of several, one after the other."""

    at_us: Numbers
    """Since 1970."""
    place: Numbers
    """The checkpoint's number."""
    ids: NDArray[np.uint8]
    """(n, 16)."""
    score: NDArray[np.float64]
    look: Numbers
    """The number of colours, kind, direction and lane together."""


class Pack(NamedTuple):
    """The sightings of one plate in one partition."""

    moments: bytes
    looks: bytes


def pack(rows: Columns, ends: Sequence[int], start_us: int) -> Iterator[Pack]:
    """Pack the rows of several plates; ``ends`` says where each plate's end, the last one last.

    Rows of a plate are in order of time and identifier, all within 50 days from ``start_us``.
    """
    moments = ((rows.at_us - start_us) << PLACE_BITS | rows.place).astype(_MOMENT).tobytes()
    fits = _is_short(rows)
    short, long = np.zeros(len(fits), _SHORT), np.zeros(len(fits), _LONG)
    short["tail"], long["id"] = rows.ids[:, 6:], rows.ids
    short["score"] = np.where(fits, np.rint(rows.score * _SCORES), 0).astype(np.uint16)
    long["score"], long["look"] = rows.score, rows.look
    short["look"] = (rows.look & 0xFFFF).astype(np.uint16)
    misfits = np.concatenate([[0], np.cumsum(~fits)])
    start = 0
    for end in ends:
        looks = long if misfits[end] > misfits[start] else short
        yield Pack(moments[8 * start : 8 * end], looks[start:end].tobytes())
        start = end


def moments_of(
    moments: Sequence[bytes | memoryview], starts_us: Sequence[int]
) -> tuple[Numbers, Numbers]:
    """Instants (microseconds since 1970) and checkpoints of several packs, one after the other."""
    each = np.frombuffer(b"".join(moments), _MOMENT)
    sizes = [len(one) // 8 for one in moments]
    start_us = np.repeat(np.array(starts_us, np.int64), sizes)
    # numpy divides eight at a time, and shifts one by one
    at_us = start_us + (each // np.uint64(MOST_PLACES)).astype(np.int64)
    return at_us, (each & np.uint64(MOST_PLACES - 1)).astype(np.int64)


def columns_of(packs: Sequence[Pack], starts_us: Sequence[int]) -> Columns:
    """The sightings of several packs, one after the other."""
    at_us, place = moments_of([one.moments for one in packs], starts_us)
    count = len(at_us)
    ids, score = np.zeros((count, 16), np.uint8), np.zeros(count, np.float64)
    look = np.zeros(count, np.int64)
    long_ones = [len(one.looks) * 8 == len(one.moments) * _LONG.itemsize for one in packs]
    is_long = np.repeat(long_ones, [len(one.moments) // 8 for one in packs])
    for which, kind in ((is_long, _LONG), (~is_long, _SHORT)):
        some = np.frombuffer(
            b"".join(
                one.looks
                for one, is_one in zip(packs, long_ones, strict=True)
                if is_one is (kind is _LONG)
            ),
            kind,
        )
        if kind is _LONG:
            ids[which], score[which] = some["id"], some["score"]
        else:
            ids[which, 6:], score[which] = some["tail"], some["score"] / _SCORES
            ids[which, :6] = _milliseconds(at_us[which])
        look[which] = some["look"]
    return Columns(at_us, place, ids, score, look)


def _is_short(rows: Columns) -> NDArray[np.bool_]:
    """Which rows lose nothing in the short form."""
    in_steps = np.rint(rows.score * _SCORES)
    fits: NDArray[np.bool_] = (
        (in_steps / _SCORES == rows.score)
        & (in_steps >= 0)
        & (in_steps <= 0xFFFF)
        & (rows.look <= 0xFFFF)
        & (rows.ids[:, :6] == _milliseconds(rows.at_us)).all(axis=1)
    )
    return fits


def _milliseconds(at_us: Numbers) -> NDArray[np.uint8]:
    """The first six bytes of a version 7 identifier of these instants (RFC 9562), (n, 6)."""
    big = (at_us // 1000).astype(">u8")
    found: NDArray[np.uint8] = big.view(np.uint8).reshape(-1, 8)[:, 2:]
    return found
