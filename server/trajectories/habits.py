"""Where one plate drives: its own drives before, as far as they bear on the present one. Pure.

Whoever was here before has gone on from here before, and most people drive where they drove. So the
drives of a plate that came past the place where it was seen are kept whole: not only which
checkpoint came next, which a chain of single steps would soon forget, but all that saw it within
the time looked ahead, and when. A drive at the same hour of the same part of the week counts most.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from server.trajectories.model import END

OWN: Final = 2.0
"""So many own drives, at this hour, are needed before they count for half."""
_HOUR_S: Final = 7_200.0
"""Standard deviation of what passes for the same time of day."""
_ANY_HOUR: Final = 0.1
_OTHER_DAYS: Final = 0.3
"""What a drive counts at another time of day, and on a working day for a weekend or the reverse."""
_REPEAT_S: Final = 60.0
"""Who is seen twice at one place within has not left it."""
_MOST: Final = 200
"""Drives on from one place: the newest."""


@dataclass(frozen=True, slots=True)
class Drive:
    """How a plate once went on from a place. ``weight``: how much that says now, up to 1."""

    weight: float
    then: str
    """The next checkpoint that saw it; :data:`END` if none did for long."""
    passed: Mapping[str, float]
    """Checkpoints that saw it after that, within the time asked for, and after how many seconds."""


@dataclass(frozen=True, slots=True)
class Habits:
    """The sightings of one plate before now, in order of time."""

    places: Sequence[str] = ()
    at_s: Sequence[float] = ()
    weekend: Sequence[bool] = ()
    gap_s: float = 3_600.0
    _rows: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        sightings: Iterable[tuple[str, datetime]],
        gap_s: float,
        when: Callable[[datetime], int],
    ) -> "Habits":
        """From checkpoints and times, in order of time.

        Sightings further apart than ``gap_s`` are two trips. ``when`` gives the class of a time
        (:func:`server.trajectories.sketch.time_class`).
        """
        places: list[str] = []
        at_s: list[float] = []
        weekend: list[bool] = []
        for place, at in sightings:
            if places and place == places[-1] and at.timestamp() - at_s[-1] <= _REPEAT_S:
                continue
            places.append(place)
            at_s.append(at.timestamp())
            weekend.append(when(at) >= 2)
        rows: dict[str, list[int]] = {}
        for number, place in enumerate(places):
            rows.setdefault(place, []).append(number)
        return cls(places, at_s, weekend, gap_s, rows)

    def onward(self, here: str, at: datetime, when: int) -> Mapping[str, float]:
        """Where it drove on to from here, :data:`END` included, each drive by its weight."""
        found: dict[str, float] = {}
        for row in self._before(here, at):
            then = self._then(row)
            found[then] = found.get(then, 0.0) + self._weight(row, at, when)
        return found

    def drives(self, here: str, at: datetime, when: int, ahead_s: float) -> list[Drive]:
        """How it went on from here each time, ``ahead_s`` long."""
        return [
            Drive(self._weight(row, at, when), self._then(row), self._passed(row, ahead_s))
            for row in self._before(here, at)
        ]

    def _before(self, here: str, at: datetime) -> list[int]:
        """Rows of sightings here that had been followed by something, or by nothing for long."""
        over = at.timestamp() - self.gap_s
        return [row for row in self._rows.get(here, ()) if self.at_s[row] <= over][-_MOST:]

    def _then(self, row: int) -> str:
        after = row + 1
        if after == len(self.places) or self.at_s[after] - self.at_s[row] > self.gap_s:
            return END
        return self.places[after] if self.places[after] != self.places[row] else END

    def _passed(self, row: int, ahead_s: float) -> dict[str, float]:
        found: dict[str, float] = {}
        for after in range(row + 1, len(self.places)):
            later_s = self.at_s[after] - self.at_s[row]
            if later_s > ahead_s:
                break
            found.setdefault(self.places[after], later_s)
        return found

    def _weight(self, row: int, at: datetime, when: int) -> float:
        apart_s = abs((at.timestamp() - self.at_s[row] + 43_200.0) % 86_400.0 - 43_200.0)
        hour = _ANY_HOUR + (1.0 - _ANY_HOUR) * math.exp(-0.5 * (apart_s / _HOUR_S) ** 2)
        return hour * (1.0 if self.weekend[row] == (when >= 2) else _OTHER_DAYS)


def joined(everybody: Mapping[str, float], own: Mapping[str, float] | None) -> dict[str, float]:
    """P = beta P_plate + (1 - beta) P_all, beta = n / (n + :data:`OWN`)."""
    count = sum(own.values()) if own else 0.0
    if not own or not count:
        return dict(everybody)
    beta = count / (count + OWN)
    names = sorted({*everybody, *own})
    return {
        name: beta * own.get(name, 0.0) / count + (1 - beta) * everybody.get(name, 0.0)
        for name in names
    }
