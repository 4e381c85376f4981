"""Has this vehicle been reported already? A standing car is one passage. Pure.

What is remembered is kept beside the position of a recording, so that a restart repeats nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from anpr.plate import distance
from anpr.types import Box
from checkpoint_agent.config import PassageConfig
from checkpoint_agent.frames import from_microseconds, to_microseconds

_SAME_TEXT = 0.5
_SAME_PLACE_WIDTHS = 1.0
_UNREAD_WITHIN = timedelta(seconds=5)
"""Unread plates at one place, farther apart in time, are a queue of vehicles."""


@dataclass(slots=True, eq=False)
class Reported:
    """A vehicle that was reported, and where it was seen last."""

    text: str
    """Its plate; "" if unread."""
    sure: bool
    """Whether every character was claimed."""
    box: Box
    seen_at: datetime
    reported_at: datetime


class Repeats:
    """The vehicles that one camera reported lately."""

    def __init__(self, rules: PassageConfig, kept: str | None = None) -> None:
        """Start with nothing, or with what :meth:`as_json` kept."""
        self._same_within = timedelta(seconds=rules.same_vehicle_within_s)
        self._standing_gap = timedelta(seconds=rules.standing_gap_s)
        self._repeat_after = timedelta(minutes=rules.standing_repeat_min)
        self._reported: list[Reported] = []
        for text, sure, box, seen_us, reported_us in json.loads(kept) if kept else ():
            times = (from_microseconds(seen_us), from_microseconds(reported_us))
            self._reported.append(Reported(text, sure, Box(*box), *times))

    def find(
        self, text: str, box: Box, seen: tuple[datetime, datetime], *, sure: bool
    ) -> Reported | None:
        """The report that a vehicle's passage would only repeat.

        Args:
            text: Its plate; "" if unread.
            box: Where its plate is.
            seen: When it came into view, and when it was seen last.
            sure: Whether every character of ``text`` is claimed; a better read is no repetition.
        """
        for report in reversed(self._reported):
            gap = _gap(report.seen_at, seen)
            if gap > max(self._same_within, self._standing_gap) or (sure and not report.sure):
                continue
            stands = gap <= self._standing_gap and _same_place(report.box, box)
            if text == "" or report.text == "":
                same = text == report.text and stands and gap <= _UNREAD_WITHIN
            else:
                same = distance(text, report.text) < _SAME_TEXT and (
                    stands or gap <= self._same_within
                )
            if same and not self.due(report, seen[0]):
                return report
        return None

    def due(self, report: Reported, at: datetime) -> bool:
        """Whether a vehicle that still stands there is to be reported again."""
        return bool(self._repeat_after) and at - report.reported_at >= self._repeat_after

    def add(self, report: Reported) -> Reported:
        """Remember a report; the caller keeps ``box`` and ``seen_at`` up to date."""
        self._reported.append(report)
        return report

    def forget(self, at: datetime) -> None:
        """Drop what can no longer be repeated."""
        horizon = max(self._same_within, self._standing_gap)
        self._reported = [r for r in self._reported if abs(at - r.seen_at) <= horizon]

    def as_json(self, later: timedelta = timedelta(0)) -> str:
        """All of it, for the outbox; with ``later`` added to all times."""
        return json.dumps([_row(report, later) for report in self._reported], ensure_ascii=False)


def _row(report: Reported, later: timedelta) -> Sequence[object]:
    return (
        report.text,
        report.sure,
        report.box.as_tuple(),
        to_microseconds(report.seen_at + later),
        to_microseconds(report.reported_at + later),
    )


def _gap(at: datetime, seen: tuple[datetime, datetime]) -> timedelta:
    """Time between an instant and a span, whichever is first: clocks are set back, too."""
    first_at, last_at = seen
    return max(first_at - at, at - last_at, timedelta(0))


def _same_place(a: Box, b: Box) -> bool:
    width_px = max(a.width_px, b.width_px)
    dx, dy = (a.x1 + a.x2 - b.x1 - b.x2) / 2, (a.y1 + a.y2 - b.y1 - b.y2) / 2
    return bool((dx * dx + dy * dy) ** 0.5 <= _SAME_PLACE_WIDTHS * width_px)
