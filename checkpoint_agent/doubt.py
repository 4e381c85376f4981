"""Vehicles that vanished in the middle of the picture before their plate was sure. Pure.

In a queue a plate shows for a moment between two vehicles, is hidden for a minute, and shows again
when its vehicle moves up. What was read of it at first is no passage of its own: such a track
waits. A sure plate that appears in its place is the same vehicle; what nobody explains in time
becomes a passage after all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from math import hypot

from checkpoint_agent.crossing import Border, has_left, has_stood
from checkpoint_agent.tracker import Track

_OFTEN = timedelta(seconds=0.3)
"""Frames that come so often show a vehicle more than once before it leaves."""
_TOGETHER = timedelta(seconds=0.3)
"""Two tracks seen at the same time for longer are two vehicles."""
_AT_ONCE = timedelta(seconds=0.3)
_FORESEEN = timedelta(seconds=1.5)
_NEAR_WIDTHS = 1.0
_HIDDEN_WIDTHS = 2.5
"""A vehicle hidden while it stood comes into view so near to its place; behind it is another."""
_GLIMPSED_WIDTHS = (3.0, 6.0)
"""One that was seen in a single frame: across and along the road."""
_GLIMPSED_ALIKE = 0.55
"""So much of its text must be that of the sure plate (Ratcliff and Obershelp)."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A lost track, and how long it waits."""

    track: Track
    patience: timedelta


class Doubts:
    """The tracks of one camera that wait for an explanation."""

    def __init__(self, moving_s: float, standing_s: float) -> None:
        """A track waits for ``moving_s`` seconds, one that stood when it was lost ``standing_s``."""
        self._moving = timedelta(seconds=moving_s)
        self._standing = timedelta(seconds=standing_s)
        self._waiting: list[_Waiting] = []
        self._frame_at: datetime | None = None
        self._often = False

    @property
    def waiting(self) -> bool:
        """Whether any track waits."""
        return bool(self._waiting)

    def note_frame(self, at: datetime) -> None:
        """A frame was taken."""
        self._often = self._frame_at is not None and abs(at - self._frame_at) <= _OFTEN
        self._frame_at = at

    def hold(self, track: Track, border: Border) -> bool:
        """Let a lost track wait; whether it does: not where vehicles leave the picture."""
        if not self._often or has_left(track, border):
            return False
        patience = self._standing if has_stood(track) else self._moving
        self._waiting.append(_Waiting(track, patience))
        return True

    def explained_by(self, sure: Track, text: str) -> list[Track]:
        """Those that were the vehicle of a track whose plate is sure; they no longer wait."""
        return self._taken([w for w in self._waiting if _is_same(w, sure, text)])

    def of(self, numbers: Iterable[int]) -> list[Track]:
        """Those with these numbers; they no longer wait."""
        wanted = set(numbers)
        return self._taken([w for w in self._waiting if w.track.number in wanted])

    def due(self, at: datetime) -> list[Track]:
        """Those that have waited for long enough, or whose time lies in the future."""
        return self._taken(
            [w for w in self._waiting if not -self._moving <= at - w.track.last_at <= w.patience]
        )

    def end(self) -> list[Track]:
        """All, because nothing more will be seen of them."""
        return self._taken(self._waiting)

    def _taken(self, some: Sequence[_Waiting]) -> list[Track]:
        gone = {w.track.number for w in some}
        self._waiting = [w for w in self._waiting if w.track.number not in gone]
        return [w.track for w in some]


def _is_same(waiting: _Waiting, sure: Track, text: str) -> bool:
    """Whether a sure track began where a lost one should have been."""
    lost = waiting.track
    gap = sure.first_at - lost.last_at
    if sure is lost or not -_TOGETHER <= gap <= waiting.patience:
        return False
    start, box = sure.points[0], lost.box
    glimpsed = len(lost.points) == 1
    if gap <= (_AT_ONCE if glimpsed else _FORESEEN):
        x, y = lost.expected(sure.first_at)
        if hypot(start.x - x, start.y - y) <= _NEAR_WIDTHS * box.width_px:
            return True
    across = abs(start.x - (box.x1 + box.x2) / 2) / box.width_px
    along = abs(start.y - (box.y1 + box.y2) / 2) / box.width_px
    if glimpsed:
        near = across <= _GLIMPSED_WIDTHS[0] and along <= _GLIMPSED_WIDTHS[1]
        seen = lost.best.text if lost.best else ""
        return near and SequenceMatcher(None, seen, text).ratio() >= _GLIMPSED_ALIKE
    return has_stood(lost) and hypot(across, along) <= _HIDDEN_WIDTHS
