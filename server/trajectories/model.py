"""What has been learned of a city's traffic: who drives on to where, and how long it takes.

In memory, one process's copy of what :mod:`server.trajectories.learning` keeps in the database.
Pure: the same counts give the same answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.trajectories.moves import Moves
from server.trajectories.sketch import FEW, Expected, PairTimes, TimeSketch

END: Final = ""
"""Stands where a next checkpoint would stand: the trip ends, or leaves the area."""
BACK_OFF: Final = 5.0
"""So many drives are needed before the way somebody came from counts for half."""
GUESS_KMH: Final = 40.0
DETOUR: Final = 1.3
"""Roads are so much longer than the straight line, where nothing was learned."""


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's position, WGS-84 degrees."""

    lat: float
    lon: float


class TravelModel:
    """Counts of moves, turns, ends and starts, by the names of checkpoints.

    ``times[a][b]`` are the sketches of a pair; ``turns[(before, here)][next]`` counts.
    """

    def __init__(
        self,
        times: Mapping[str, Mapping[str, PairTimes]],
        turns: Mapping[tuple[str, str], Mapping[str, int]],
        ends: Mapping[str, int],
        starts: Mapping[str, int],
    ) -> None:
        """Take the counts; nothing is copied."""
        self.times = times
        self.turns = turns
        self.ends = ends
        self.starts = starts
        self._first: dict[str, dict[str, float]] = {}
        self._arrivals: dict[str, int] | None = None
        self._departures: dict[str, int] = {}
        through: dict[str, list[tuple[str, Mapping[str, int]]]] = {}
        for (before, here), onward in turns.items():
            through.setdefault(here, []).append((before, onward))
        self.through: Mapping[str, Sequence[tuple[str, Mapping[str, int]]]] = through
        """For each checkpoint: where they came from, and where they went on to."""

    @classmethod
    def of(cls, moves: Moves, names: Sequence[str]) -> "TravelModel":
        """A model of counts that were just made; ``names`` by the numbers in them."""
        times: dict[str, dict[str, PairTimes]] = {}
        for a, b, counts in zip(
            moves.pair_from.tolist(), moves.pair_to.tolist(), moves.pair_counts, strict=True
        ):
            times.setdefault(names[a], {})[names[b]] = PairTimes(counts)
        turns: dict[tuple[str, str], dict[str, int]] = {}
        for before, here, to, count in zip(
            moves.turn_before.tolist(), moves.turn_from.tolist(), moves.turn_to.tolist(),
            moves.turn_count.tolist(), strict=True,
        ):  # fmt: skip
            turns.setdefault((names[before], names[here]), {})[names[to]] = count
        ends, starts = (
            {names[n]: count for n, count in enumerate(column.tolist()) if count}
            for column in (moves.ends, moves.starts)
        )
        return cls(times, turns, ends, starts)

    def sketch(self, start: str, end: str, when: int) -> TimeSketch | None:
        """How long the pair takes at this class of time; None if nobody was seen on it."""
        pair = self.times.get(start, {}).get(end)
        return pair.of(when) if pair is not None and pair.n else None

    def expected(self, start: str, end: str, when: int) -> Expected | None:
        """What the pair usually takes; None where nobody was seen to drive it."""
        pair = self.times.get(start, {}).get(end)
        found = pair.expected(when) if pair is not None and pair.n else None
        return found if found is not None and found.n else None

    def departures(self, here: str) -> int:
        """How many were seen to leave from here, to anywhere or for good."""
        found = self._departures.get(here)
        if found is None:
            onward = self.times.get(here, {})
            found = sum(pair.n for pair in onward.values()) + self.ends.get(here, 0)
            self._departures[here] = found
        return found

    def entry_share(self, here: str) -> float:
        """Of those seen here, the share that came from nowhere; 0 where few were seen."""
        if self._arrivals is None:
            self._arrivals = {}
            for onward in self.times.values():
                for name, pair in onward.items():
                    self._arrivals[name] = self._arrivals.get(name, 0) + pair.n
        begun = self.starts.get(here, 0)
        total = begun + self._arrivals.get(here, 0)
        return begun / total if total >= FEW else 0.0

    def exit_share(self, here: str) -> float:
        """Of those seen here, the share that was not seen again; 0 where few were seen."""
        total = self.departures(here)
        return self.ends.get(here, 0) / total if total >= FEW else 0.0

    def next_seen(self, here: str, before: str | None = None) -> Mapping[str, float]:
        """P(the next checkpoint that sees it), :data:`END` included; empty if nothing is known.

        Of second order with back-off: what those did who came from ``before`` too, filled up
        with what all did.
        """
        first = self._first.get(here)
        if first is None:
            total = self.departures(here)
            counts = {name: float(pair.n) for name, pair in self.times.get(here, {}).items()}
            counts[END] = float(self.ends.get(here, 0))
            first = {name: n / total for name, n in counts.items() if n} if total else {}
            self._first[here] = first
        turned = self.turns.get((before, here)) if before is not None else None
        if not turned or not first:
            return first
        total = sum(turned.values())
        # turns count only who drove on: the share of those who stop is everybody's
        moving = 1.0 - first.get(END, 0.0)
        found = dict.fromkeys(first, 0.0)
        for name, share in first.items():
            if name != END and moving > 0:
                seen = turned.get(name, 0) + BACK_OFF * share / moving
                found[name] = moving * seen / (total + BACK_OFF)
        found[END] = first.get(END, 0.0)
        return {name: share for name, share in found.items() if share}


def guess(metres: float) -> Expected:
    """What a straight line of so many metres may take where nobody was seen to drive it."""
    middle = max(20.0, metres * DETOUR / GUESS_KMH * 3.6)
    return Expected(0, middle * 0.35, middle * 0.45, middle, middle * 2.0, middle * 3.0)


def merged(expected: Iterable[Expected]) -> Expected:
    """What several drives after one another take: medians add up, spreads in the square."""
    legs = list(expected)
    middle = q01 = q05 = q85 = q95 = 0.0
    for leg in legs:
        usual = leg.q50_s
        middle += usual
        q01 += (usual - leg.q01_s) * (usual - leg.q01_s)
        q05 += (usual - leg.q05_s) * (usual - leg.q05_s)
        q85 += (leg.q85_s - usual) * (leg.q85_s - usual)
        q95 += (leg.q95_s - usual) * (leg.q95_s - usual)
    return Expected(
        min(leg.n for leg in legs),
        max(1.0, middle - q01**0.5),
        max(1.0, middle - q05**0.5),
        middle,
        middle + q85**0.5,
        middle + q95**0.5,
    )
