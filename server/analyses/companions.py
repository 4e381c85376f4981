"""Who travels with a vehicle (同行, 伴随): by surprise, not by count. Pure.

A queue, a bus line or the morning's commuters put the same cars beside each other day after day,
so a count says little. What is asked is how often the two would have met *by chance*, given how
often each of them passes the same places at the same hour:

* a *meeting* is a run of coincidences (same checkpoint, at most ``gap_s`` apart) with less than
  ``meeting_gap_s`` between them: ten checkpoints driven behind each other are one meeting, not
  ten, because a road once shared is shared on;
* the coincidences that chance would give are, over every cell (checkpoint, hour of the day) that
  both use, ``n_a * (n_b + 1) * 2 gap / (3600 * days)``; ``n_b`` counts the other's passages there
  that are *not* coincidences, the 1 stands for what a short observation cannot know;
* divided by the coincidences of a meeting these are the meetings that chance would give, and the
  tail over them is the surprise (:func:`server.analyses.surprise.uneven_surprise`). Chance is
  uneven: two buses of a line meet three times as often as their numbers say, by their timetable,
  and by Poisson's tail they stood above everybody who did travel together;
* a coincidence in a crowd, with more than ``crowd`` vehicles inside the gap, weighs
  ``crowd_weight``; a meeting weighs as its best coincidence.

After Homayounfar et al. (convoys in ANPR data) and Lawlor et al. ("Detecting Convoys Using License
Plate Recognition Data"): both normalise by the background, which is what matters.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from server.analyses.sighting import Sighting
from server.analyses.surprise import uneven_surprise

Cell = tuple[str, int]
"""Checkpoint and hour of the day (UTC)."""


@dataclass(frozen=True, slots=True)
class CellCounts:
    """How often some plates were in some cells; who is not in it was at none of their checkpoints."""

    plates: Mapping[str, int]
    """With their rows …"""
    cells: Mapping[Cell, int]
    """… and columns."""
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, given: Mapping[str, Mapping[Cell, int]]) -> "CellCounts":
        """Of counts by plate and cell."""
        cells = {
            cell: n for n, cell in enumerate(sorted({c for those in given.values() for c in those}))
        }
        counts = np.zeros((len(given), len(cells)), np.int64)
        for row, those in enumerate(given.values()):
            for cell, count in those.items():
                counts[row, cells[cell]] = count
        return cls({plate: n for n, plate in enumerate(given)}, cells, counts)

    def by_plate(self) -> dict[str, dict[Cell, int]]:
        """By plate and cell, what is not 0."""
        cells = list(self.cells)
        return {
            plate: {cells[n]: int(self.counts[row, n]) for n in np.flatnonzero(self.counts[row])}
            for plate, row in self.plates.items()
        }


@dataclass(frozen=True, slots=True)
class CompanionRules:
    """What counts as together, and from when on somebody is listed."""

    gap_s: float = 60.0
    meeting_gap_s: float = 1800.0
    min_checkpoints: int = 3
    min_meetings: int = 1
    crowd: int = 20
    crowd_weight: float = 0.3
    min_surprise: float = 3.0


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Two plates at one checkpoint at about one time; ``crowd`` vehicles were inside the gap."""

    mine: Sighting
    other: Sighting
    crowd: int


@dataclass(frozen=True, slots=True)
class Companion:
    """One who was there too, and how surprising that is."""

    plate: str
    surprise: float
    meetings: int
    expected_meetings: float
    coincidences: tuple[Coincidence, ...]
    checkpoints: int
    days: int
    leads: float
    """Share of the coincidences in which the other came first."""

    @property
    def count(self) -> int:
        """The naive figure."""
        return len(self.coincidences)


def coincidences_of(
    mine: Sequence[Sighting], others: Sequence[Sighting], gap_s: float
) -> dict[str, list[Coincidence]]:
    """Pair each sighting with the others near it; of one other plate the nearest counts once."""
    by_place: dict[str, list[Sighting]] = defaultdict(list)
    for one in sorted(others, key=lambda s: s.at):
        by_place[one.checkpoint_id].append(one)
    times = {place: [s.at.timestamp() for s in there] for place, there in by_place.items()}
    found: dict[str, list[Coincidence]] = defaultdict(list)
    for one in mine:
        there = by_place.get(one.checkpoint_id)
        if not there:
            continue
        at = one.at.timestamp()
        low = bisect_left(times[one.checkpoint_id], at - gap_s)
        high = bisect_right(times[one.checkpoint_id], at + gap_s)
        nearest: dict[str, Sighting] = {}
        for other in there[low:high]:
            if other.plate == one.plate:
                continue
            before = nearest.get(other.plate)
            if before is None or abs(other.at - one.at) < abs(before.at - one.at):
                nearest[other.plate] = other
        for plate, other in nearest.items():
            found[plate].append(Coincidence(one, other, len(nearest)))
    return found


def meetings_of(
    coincidences: Sequence[Coincidence], gap_s: float
) -> tuple[tuple[Coincidence, ...], ...]:
    """Coincidences of one pair, cut wherever more than ``gap_s`` lie between two."""
    runs: list[list[Coincidence]] = []
    for one in sorted(coincidences, key=lambda c: c.mine.at):
        if runs and (one.mine.at - runs[-1][-1].mine.at).total_seconds() <= gap_s:
            runs[-1].append(one)
        else:
            runs.append([one])
    return tuple(tuple(run) for run in runs)


def cell_of(checkpoint_id: str, at: datetime) -> Cell:
    """The cell of a passage; ``at`` is UTC."""
    return checkpoint_id, at.hour


def rank_companions(
    mine: Sequence[Sighting],
    found: Mapping[str, Sequence[Coincidence]],
    cells: CellCounts,
    period: timedelta,
    rules: CompanionRules,
) -> tuple[Companion, ...]:
    """The companions, most surprising first.

    ``cells`` gives every candidate's passages over the period per cell, coincidences included; of
    cells that ``mine`` is in, others do not count.
    """
    days = max(1.0, period.total_seconds() / 86_400.0)
    of_mine = Counter(cell_of(s.checkpoint_id, s.at) for s in mine)
    weight = np.array([of_mine[cell] for cell in cells.cells], np.int64)
    alone = cells.counts @ weight + (cells.counts > 0) @ weight  # by chance, were none together
    kept: list[tuple[str, Sequence[Coincidence], tuple[tuple[Coincidence, ...], ...]]] = []
    weights: list[float] = []
    expected: list[float] = []
    for plate, pairs in found.items():
        places = {c.mine.checkpoint_id for c in pairs}
        meetings = meetings_of(pairs, rules.meeting_gap_s)
        if len(places) < rules.min_checkpoints or len(meetings) < rules.min_meetings:
            continue
        together = Counter(cell_of(c.other.checkpoint_id, c.other.at) for c in pairs)
        row = cells.plates.get(plate)
        if row is None:
            shared = sum(of_mine[cell] for cell in together)
        else:
            shared = int(alone[row])
            for cell, count in together.items():
                column = cells.cells.get(cell)
                if column is not None:
                    shared -= of_mine[cell] * min(count, int(cells.counts[row, column]))
        chance = shared * 2.0 * rules.gap_s / (3600.0 * days)
        kept.append((plate, pairs, meetings))
        expected.append(chance * len(meetings) / len(pairs))
        weights.append(
            sum(
                1.0 if min(c.crowd for c in run) <= rules.crowd else rules.crowd_weight
                for run in meetings
            )
        )
    if not kept:
        return ()
    surprise = uneven_surprise(np.array(weights), np.array(expected))
    companions = [
        Companion(
            plate=plate,
            surprise=float(score),
            meetings=len(meetings),
            expected_meetings=mean,
            coincidences=tuple(sorted(pairs, key=lambda c: c.mine.at)),
            checkpoints=len({c.mine.checkpoint_id for c in pairs}),
            days=len({c.mine.at.date() for c in pairs}),
            leads=sum(c.other.at < c.mine.at for c in pairs) / len(pairs),
        )
        for (plate, pairs, meetings), score, mean in zip(kept, surprise, expected, strict=True)
        if score >= rules.min_surprise
    ]
    return tuple(sorted(companions, key=lambda c: (-c.surprise, -c.count, c.plate)))
