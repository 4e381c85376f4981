"""Counting how vehicles move between checkpoints. Pure; columns of numpy.

A *move* is two sightings of one plate at different checkpoints, next to each other in time and no
further apart than ``gap_s``. A *turn* is two moves that follow each other. Where no move leads on
a trip ended, where none leads to it began.

Counting is cut by time: with every sighting from ``since_s - 2 * gap_s`` on at hand, the counts of
``(since_s, until_s]`` are the same however the time is cut.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.trajectories.sketch import BINS, CLASSES, bins_of, classes_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moves:
    """Counts; checkpoints are the numbers that came in.

    ``pair_from``, ``pair_to`` (pairs,), ``pair_counts`` (pairs, CLASSES, BINS); ``turn_*``
    (turns,): before, from, to, count; ``ends`` and ``starts`` (checkpoints,).
    """

    pair_from: Ints
    pair_to: Ints
    pair_counts: NDArray[np.int64]
    turn_before: Ints
    turn_from: Ints
    turn_to: Ints
    turn_count: Ints
    ends: Ints
    starts: Ints


def count_moves(  # noqa: PLR0913 - columns, and how they are cut
    plate: Ints,
    place: Ints,
    at_s: Floats,
    *,
    places: int,
    since_s: float,
    until_s: float,
    gap_s: float,
    repeat_s: float,
    utc_offset_s: float,
) -> Moves:
    """Count the moves that were completed in ``(since_s, until_s]``; sightings in any order."""
    order = np.lexsort((at_s, plate))
    plate, place, at_s = plate[order], place[order], at_s[order]
    fresh = np.ones(len(plate), bool)
    again = (np.diff(plate) == 0) & (np.diff(place) == 0) & (np.diff(at_s) <= repeat_s)
    fresh[1:] = ~again
    plate, place, at_s = plate[fresh], place[fresh], at_s[fresh]
    took = np.diff(at_s)
    close = (np.diff(plate) == 0) & (took <= gap_s)
    move = close & (np.diff(place) != 0)
    linked = np.concatenate([[False], move, [False]])  # linked[n]: a move leads to row n
    timely = (at_s > since_s) & (at_s <= until_s)
    here = np.flatnonzero(move & timely[1:])
    key = (place[here] * places + place[here + 1]) * CLASSES + classes_of(at_s[here], utc_offset_s)
    cells, count = np.unique(key * BINS + bins_of(took[here]), return_counts=True)
    pairs, row = np.unique(cells // (BINS * CLASSES), return_inverse=True)
    counts = np.zeros((len(pairs), CLASSES, BINS), np.int64)
    counts[row, cells // BINS % CLASSES, cells % BINS] = count
    turning = here[linked[here]]
    turn = (place[turning - 1] * places + place[turning]) * places + place[turning + 1]
    turns, turn_count = np.unique(turn, return_counts=True)
    rows = np.arange(len(plate))
    over = (at_s + gap_s > since_s) & (at_s + gap_s <= until_s) & ~linked[rows + 1]
    begun = timely & ~linked[rows]
    return Moves(
        pairs // places, pairs % places, counts,
        turns // places // places, turns // places % places, turns % places, turn_count,
        np.bincount(place[over], minlength=places), np.bincount(place[begun], minlength=places),
    )  # fmt: skip
