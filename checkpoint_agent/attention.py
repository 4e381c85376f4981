"""Where work is worth its time: which plates to read, and to read again. Pure rules."""

from datetime import datetime, timedelta

from anpr.types import Box
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
