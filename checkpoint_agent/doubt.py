"""Vehicles that vanished in the middle of the picture before their plate was sure. Pure.

In a queue a plate shows for a moment between two vehicles, is hidden for a minute, and shows again
when its vehicle moves up. What was read of it at first is no passage of its own: such a track
waits. A sure plate that appears in its place is the same vehicle; what nobody explains in time
becomes a passage after all.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import hypot

from anpr.types import Box
from checkpoint_agent.tracker import Point, Track

_LOOKS_AHEAD = timedelta(seconds=0.3)
_EDGE_HEIGHTS = 1.0
"""A plate so near to the picture's edge, in its own heights, has left."""
_TOGETHER = timedelta(seconds=0.3)
"""Two tracks seen at the same time for longer are two vehicles."""
_HANDED_OVER = timedelta(seconds=1.5)
_NEAR_WIDTHS = 1.0
_STOOD_WIDTHS = 0.5
_HIDDEN_NEAR_WIDTHS = 2.5
"""A vehicle hidden while it stood comes into view so near to its place, or behind it is another."""


class Doubts:
    """The tracks of one camera that wait for an explanation."""

    def __init__(self, moving_s: float, standing_s: float) -> None:
        """A track waits for ``moving_s`` seconds, one that stood when it was lost ``standing_s``."""
        self._moving = timedelta(seconds=moving_s)
        self._standing = timedelta(seconds=standing_s)
        self._waiting: list[Track] = []

    @property
    def waiting(self) -> tuple[Track, ...]:
        """Those that wait, in the order in which they were lost."""
        return tuple(self._waiting)

    def hold(self, track: Track, frame_size_px: tuple[int, int]) -> bool:
        """Let a lost track wait; whether it does: not where vehicles leave the picture."""
        if has_left(track, frame_size_px):
            return False
        self._waiting.append(track)
        return True

    def explained_by(self, sure: Track) -> list[Track]:
        """Those that were the vehicle of a sure track; they no longer wait."""
        return self._taken([t for t in self._waiting if self._is_same(t, sure)])

    def of(self, numbers: Iterable[int]) -> list[Track]:
        """Those with these numbers; they no longer wait."""
        wanted = set(numbers)
        return self._taken([t for t in self._waiting if t.number in wanted])

    def due(self, at: datetime) -> list[Track]:
        """Those that have waited for long enough, or whose time lies in the future."""
        return self._taken(
            [t for t in self._waiting if not -self._moving <= at - t.last_at <= self._patience(t)]
        )

    def end(self) -> list[Track]:
        """All, because nothing more will be seen of them."""
        return self._taken(self._waiting)

    def _patience(self, track: Track) -> timedelta:
        return self._standing if has_stood(track) else self._moving

    def _is_same(self, lost: Track, sure: Track) -> bool:
        """Whether a sure track began where a lost one should have been."""
        gap = sure.first_at - lost.last_at
        if sure is lost or gap < -_TOGETHER or gap > self._patience(lost):
            return False
        start = sure.points[0]
        if gap <= _HANDED_OVER and _is_near(
            start, lost.expected(sure.first_at), lost.box, _NEAR_WIDTHS
        ):
            return True
        middle = ((lost.box.x1 + lost.box.x2) / 2, (lost.box.y1 + lost.box.y2) / 2)
        return has_stood(lost) and _is_near(start, middle, lost.box, _HIDDEN_NEAR_WIDTHS)

    def _taken(self, tracks: list[Track]) -> list[Track]:
        gone = {track.number for track in tracks}
        self._waiting = [track for track in self._waiting if track.number not in gone]
        return tracks


def has_left(track: Track, frame_size_px: tuple[int, int]) -> bool:
    """Whether a plate was lost because it left the picture."""
    width_px, height_px = frame_size_px
    box, room = track.box, _EDGE_HEIGHTS * track.box.height_px
    x, y = track.expected(track.last_at + _LOOKS_AHEAD)
    inside = room <= x <= width_px - room and room <= y <= height_px - room
    at_edge = min(box.x1, box.y1) <= room or box.x2 >= width_px - room or box.y2 >= height_px - room
    return at_edge or not inside


def has_stood(track: Track) -> bool:
    """Whether a vehicle stood when it was lost, as far as can be told."""
    first, last = track.points[max(0, len(track.points) - 4)], track.points[-1]
    return hypot(last.x - first.x, last.y - first.y) <= _STOOD_WIDTHS * track.box.width_px


def _is_near(point: Point, place: tuple[float, float], box: Box, widths: float) -> bool:
    return hypot(point.x - place[0], point.y - place[1]) <= widths * box.width_px
