"""Has this vehicle been reported already? A standing car is one passage. Pure.

A vehicle that was lost amid the picture is still there: when its plate shows again in its place or
farther along its way, minutes later too, it is the same. One that has left, or that comes into the
picture, passes another time.

What is remembered is kept beside the position of a recording, so that a restart repeats nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import hypot
from typing import Self

from anpr.plate import distance
from anpr.types import Box
from checkpoint_agent.config import PassageConfig
from checkpoint_agent.crossing import Border, has_entered, has_left, has_stood, way
from checkpoint_agent.frames import from_microseconds, to_microseconds
from checkpoint_agent.tracker import Track

_SAME_TEXT = 0.5
_SAME_PLACE_WIDTHS = 1.0
_ASIDE = 0.35
"""A hidden vehicle keeps to its way: for each pixel along, so many aside, besides one width."""
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
    left: bool = False
    """Whether it went out of the picture when it was seen last."""
    way: tuple[float, float] | None = None
    """Its direction through the picture, length 1; ``None``: it stood."""

    @classmethod
    def of(cls, track: Track, border: Border, text: str, *, sure: bool, at: datetime) -> Self:
        """The report of a track."""
        report = cls(text, sure, track.box, track.last_at, at)
        report.follow(track, border)
        return report

    def follow(self, track: Track, border: Border) -> None:
        """The vehicle was seen again."""
        self.box, self.seen_at = track.box, track.last_at
        self.left = has_left(track, border) and not has_stood(track)
        self.way = way(track) or self.way

    def goes_on_as(self, track: Track, border: Border) -> bool:
        """Whether a track begins where this vehicle must be if it never left the picture."""
        if self.left:
            return False
        if self.is_at(track):
            return True
        to, after = self.way or way(track), way(track)
        if to is None or has_entered(track, border):
            return False
        turned = after is not None and to[0] * after[0] + to[1] * after[1] < 0
        dx, dy = self._to_start(track)
        along_px, aside_px = dx * to[0] + dy * to[1], abs(dx * to[1] - dy * to[0])
        room_px = _SAME_PLACE_WIDTHS * self.box.width_px + _ASIDE * along_px
        return not turned and along_px > 0 and aside_px <= room_px

    def is_at(self, track: Track) -> bool:
        """Whether a track begins in the place where this vehicle was seen last."""
        return hypot(*self._to_start(track)) <= _SAME_PLACE_WIDTHS * self.box.width_px

    def _to_start(self, track: Track) -> tuple[float, float]:
        start = track.points[0]
        return (
            start.x - (self.box.x1 + self.box.x2) / 2,
            start.y - (self.box.y1 + self.box.y2) / 2,
        )


class Repeats:
    """The vehicles that one camera reported lately."""

    def __init__(self, rules: PassageConfig, kept: str | None = None) -> None:
        """Start with nothing, or with what :meth:`as_json` kept."""
        self._same_within = timedelta(seconds=rules.same_vehicle_within_s)
        self._standing_gap = timedelta(seconds=rules.standing_gap_s)
        self._repeat_after = timedelta(minutes=rules.standing_repeat_min)
        self._reported: list[Reported] = []
        for text, sure, box, seen_us, reported_us, *last in json.loads(kept) if kept else ():
            times = (from_microseconds(seen_us), from_microseconds(reported_us))
            report = Reported(text, sure, Box(*box), *times)
            if last:  # earlier versions kept the first five alone
                report.left, report.way = last[0], tuple(last[1]) if last[1] else None
            self._reported.append(report)

    def find(self, text: str, track: Track, border: Border, *, sure: bool) -> Reported | None:
        """The report that a vehicle's passage would only repeat.

        Args:
            text: Its plate; "" if unread.
            track: Where and when it was seen.
            border: Where vehicles come into view and leave it.
            sure: Whether every character of ``text`` is claimed; a better read is no repetition.
        """
        for report in reversed(self._reported):
            gap = _gap(report.seen_at, (track.first_at, track.last_at))
            if gap > max(self._same_within, self._standing_gap) or (sure and not report.sure):
                continue
            if text == "" or report.text == "":
                same = text == report.text and gap <= _UNREAD_WITHIN and report.is_at(track)
            else:
                same = distance(text, report.text) < _SAME_TEXT and (
                    gap <= self._same_within
                    or (gap <= self._standing_gap and report.goes_on_as(track, border))
                )
            if same and not self.due(report, track.first_at):
                return report
        return None

    def due(self, report: Reported, at: datetime) -> bool:
        """Whether a vehicle that still stands there is to be reported again."""
        return bool(self._repeat_after) and at - report.reported_at >= self._repeat_after

    def add(self, report: Reported) -> Reported:
        """Remember a report; the caller lets it follow its track."""
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
        report.left,
        report.way,
    )


def _gap(at: datetime, seen: tuple[datetime, datetime]) -> timedelta:
    """Time between an instant and a span, whichever is first: clocks are set back, too."""
    first_at, last_at = seen
    return max(first_at - at, at - last_at, timedelta(0))
