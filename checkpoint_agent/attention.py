"""Where work is worth its time: which frames to search, which plates to read. Pure rules."""

from datetime import datetime, timedelta

from anpr.types import Box
from checkpoint_agent.config import PassageConfig
from checkpoint_agent.foreground import View
from checkpoint_agent.frames import to_microseconds
from checkpoint_agent.tracker import Match, Track

_TRIES_WITHOUT_TEXT = 4
_TRIES_FREELY = 12
_RETRY_AFTER = timedelta(seconds=0.5)
_CHECK_AFTER = timedelta(seconds=2)
_GREW = 1.1
_MOVED_WIDTHS = 1.0
_CHANGED_SIZE = 1.25
_EDGE_PX = 2.0
_EDGE_PART = 0.03
"""A plate nearer to the picture's edge than this part of its width may be cut off by it."""
_LOOK_EVERY_S = 1.0
"""A picture in which nothing moves is searched so often."""


class Looks:
    """When one camera's picture is searched for plates."""

    def __init__(self, rules: PassageConfig, slot: int | None) -> None:
        """Begin.

        Args:
            rules: How often, and when a vehicle has passed.
            slot: What :attr:`slot` was when a recording was read last.
        """
        self._rules = rules
        self._looked_at: datetime | None = None
        self._moved = False
        self.slot = slot
        """The stretch of time in which the last frame lay that was asked about."""

    def is_worth_one(self, at: datetime, view: View | None, *, waiting: bool) -> bool:
        """Whether a frame is to be searched; if so, it counts as searched.

        Args:
            at: When it was taken.
            view: What moves in it; ``None``: each picture stands for itself.
            waiting: Whether vehicles are in view that were not reported yet.
        """
        self._moved |= view is not None and view.moved
        if view is not None and not self._is_wanted(at, waiting=waiting):
            return False
        self._looked_at, self._moved = at, False
        return True

    def _is_wanted(self, at: datetime, *, waiting: bool) -> bool:
        if not self._is_due(at):
            return False
        if self._moved or self._looked_at is None:
            return True
        pause_s = min(_LOOK_EVERY_S, self._rules.close_after_s / (4 if waiting else 2))
        return abs(at - self._looked_at) >= timedelta(seconds=pause_s)

    def _is_due(self, at: datetime) -> bool:
        """Whether a frame is the first of its stretch of time.

        Stretches are counted by the clock, so that a recording that is read again from the middle
        is searched in the same frames.
        """
        period_us = round(self._rules.search_every_s * 1_000_000)
        slot = to_microseconds(at) // max(period_us, 1)
        due, self.slot = slot != self.slot, slot
        return due


def gains_from_reading(match: Match, at: datetime, *, enough_reads: int) -> bool:
    """Whether reading this plate now says something new about its vehicle.

    A plate is read until enough reads agree; afterwards only to make sure, when it has moved or
    time has passed, that the vehicle is still the same. Where reading fails, it is tried again
    when the plate has grown or after a while.
    """
    track = match.track
    if track is None or match.far or track.read_at is None or track.read_box is None:
        return True
    since = at - track.read_at
    growth = match.detection.quad.box().width_px / track.read_box.width_px
    best = track.best
    if best is None:
        return track.attempts < _TRIES_WITHOUT_TEXT or growth >= _GREW or since >= _RETRY_AFTER
    agreeing = sum(read.text == best.text for read in track.reads)
    if agreeing < enough_reads:
        return track.attempts < _TRIES_FREELY or growth >= _GREW or since >= _RETRY_AFTER
    changed_size = not 1 / _CHANGED_SIZE < growth < _CHANGED_SIZE
    return changed_size or since >= _CHECK_AFTER or _moved(track, match.detection.quad.box())


def _moved(track: Track, box: Box) -> bool:
    """Whether a plate is elsewhere than where it was read last."""
    read = track.read_box
    if read is None:
        return True
    dx, dy = (box.x1 + box.x2 - read.x1 - read.x2) / 2, (box.y1 + box.y2 - read.y1 - read.y2) / 2
    return bool((dx * dx + dy * dy) ** 0.5 >= _MOVED_WIDTHS * read.width_px)


def is_whole(box: Box, width_px: int, height_px: int) -> bool:
    """Whether a plate is not cut off by the edge of the picture."""
    room = max(_EDGE_PX, _EDGE_PART * box.width_px)
    return min(box.x1, box.y1) >= room and box.x2 <= width_px - room and box.y2 <= height_px - room
