"""Which plate in this frame is which vehicle: detections, reads and time in, tracks out.

No clock, no pictures, no threads: every decision follows from the arguments, so that the same
footage gives the same tracks. Plates are followed by where they should be next; a plate text that
clearly differs is another vehicle, however well the place fits, and the same text is the same
vehicle, even where a jump at few frames a second defeats the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import hypot, sqrt

from anpr.plate import distance
from anpr.types import Box, Detection, PlateRead

CREDIBLE_SCORE = 0.4
"""Reads below neither found nor split a vehicle."""
DIFFERENT = 2.0
"""How far texts are :func:`apart` from which two reads are two vehicles."""
SIMILAR = 0.9
"""How far texts are :func:`apart` below which two reads are one vehicle, wherever it is."""

_LOST_END_COST = 0.3
_LOST_END_LIMIT = 3
_FEWEST_COMMON = 5
SURELY_A_PLATE = 0.6
"""Score from which a detection by itself is a plate."""

_NEAR_WIDTHS = 2.5
"""Farthest a plate may be from where it is expected, in plate widths."""
_FAR_WIDTHS = 8.0
"""The same while nothing is known of the vehicle's speed; the text must then confirm it."""
_FAR_WITHIN = timedelta(seconds=1.2)
_SIZE_RATIO = 1.8
_POINTS_LIMIT = 64
_READS_LIMIT = 24


@dataclass(frozen=True, slots=True)
class Point:
    """Where a plate was seen."""

    at: datetime
    x: float
    y: float
    """Centre of the plate, px."""
    size_px: float
    """Square root of the area of its upright box."""


@dataclass(slots=True, eq=False)
class Track:
    """One vehicle while it is in view; owned and changed by its :class:`Tracker` alone."""

    number: int
    """Counts the tracks of a tracker."""
    origin: str
    """Tells this track from all others of a recording: first frame and place among its tracks."""
    first_at: datetime
    last_at: datetime
    box: Box
    """Where the plate was seen last."""
    frames: int = 0
    widest_px: float = 0.0
    sure_frames: int = 0
    """Frames in which the detector was sure of the plate."""
    points: list[Point] = field(default_factory=list)
    """First to last; thinned out where there are many."""
    reads: list[PlateRead] = field(default_factory=list)
    """The best ones, if there are many."""
    read_count: int = 0
    attempts: int = 0
    """Times that the plate was tried to be read."""
    denials: int = 0
    """Times that the reader, looking closely, found no plate in its place."""
    read_at: datetime | None = None
    read_box: Box | None = None
    """Where the plate was when it was tried last."""
    reported: bool = False
    """Whether it has become a passage, or belongs to one."""

    @property
    def best(self) -> PlateRead | None:
        """The best credible read."""
        credible = [read for read in self.reads if is_credible(read)]
        return max(credible, key=lambda read: (read.score, read.text)) if credible else None

    def velocity_px_s(self) -> tuple[float, float] | None:
        """How the plate moves; ``None`` as long as it was seen once."""
        recent = self.points[-4:]
        span_s = (recent[-1].at - recent[0].at).total_seconds()
        if span_s <= 0:
            return None
        first, last = recent[0], recent[-1]
        return ((last.x - first.x) / span_s, (last.y - first.y) / span_s)

    def expected(self, at: datetime) -> tuple[float, float]:
        """Where the centre of the plate should be at a time."""
        x, y = _centre(self.box)
        velocity = self.velocity_px_s()
        if velocity is None:
            return (x, y)
        dt_s = max(0.0, (at - self.last_at).total_seconds())
        return (x + velocity[0] * dt_s, y + velocity[1] * dt_s)


@dataclass(frozen=True, slots=True)
class Match:
    """A detection and the track that it may belong to."""

    detection: Detection
    track: Track | None
    far: bool = False
    """The place alone does not prove it."""


class Tracker:
    """The vehicles in view of one camera."""

    def __init__(self, close_after_s: float) -> None:
        """A vehicle not seen for ``close_after_s`` seconds has passed."""
        self._close_after = timedelta(seconds=close_after_s)
        self._tracks: list[Track] = []
        self._count = 0

    @property
    def open_tracks(self) -> tuple[Track, ...]:
        """The vehicles in view, longest first."""
        return tuple(self._tracks)

    def match(self, at: datetime, detections: Sequence[Detection]) -> list[Match]:
        """For each detection the track that it continues by its place, if any."""
        pairs = sorted(
            (cost, i, j, far)
            for i, detection in enumerate(detections)
            for j, track in enumerate(self._tracks)
            for cost, far in _cost(track, detection, at)
        )
        matched: dict[int, tuple[int, bool]] = {}
        taken: set[int] = set()
        for _, i, j, far in pairs:
            if i not in matched and j not in taken:
                matched[i] = (j, far)
                taken.add(j)
        return [
            Match(detection, self._tracks[matched[i][0]], matched[i][1])
            if i in matched
            else Match(detection, None)
            for i, detection in enumerate(detections)
        ]

    def update(
        self, at: datetime, frame_name: str, seen: Sequence[tuple[Match, PlateRead | None]]
    ) -> list[Track]:
        """Take in one frame.

        Args:
            at: Capture time of the frame.
            frame_name: Its name, for the origin of new tracks.
            seen: What :meth:`match` gave for this frame, with the read where one was tried.

        Returns:
            The track of each item of ``seen``, in order.
        """
        tracks: list[Track | None] = []
        for match, read in seen:
            fits = match.track is not None and _may_join(match.track, read, far=match.far)
            tracks.append(match.track if fits else None)
        taken = {track.number for track in tracks if track is not None}
        loose = [i for i, track in enumerate(tracks) if track is None]
        for i in sorted(
            loose, key=lambda i: (-_score(seen[i][1]), seen[i][0].detection.quad.box().x1)
        ):
            track = self._same_text(seen[i][1], taken)
            if track is not None:
                tracks[i] = track
                taken.add(track.number)
        fresh = sorted(
            (i for i in loose if tracks[i] is None),
            key=lambda i: seen[i][0].detection.quad.box().as_tuple(),
        )
        for place, i in enumerate(fresh):
            tracks[i] = self._open(at, f"{frame_name}#{place}", seen[i][0].detection)
        updated = [track for track in tracks if track is not None]
        for track, (match, read) in zip(updated, seen, strict=True):
            _extend(track, at, match.detection, read)
        return updated

    @staticmethod
    def deny(match: Match) -> None:
        """The reader found no plate where one was detected."""
        if match.track is not None and not match.far:
            match.track.denials += 1

    def close_lost(self, at: datetime) -> list[Track]:
        """Tracks that have not been seen for long enough, or whose time lies in the future."""
        lost = [
            track
            for track in self._tracks
            if not -self._close_after <= at - track.last_at <= self._close_after
        ]
        self._forget(lost)
        return lost

    def close_all(self) -> list[Track]:
        """All tracks, because nothing more will be seen of them."""
        tracks, self._tracks = self._tracks, []
        return tracks

    def _open(self, at: datetime, origin: str, detection: Detection) -> Track:
        track = Track(self._count, origin, at, at, detection.quad.box())
        self._count += 1
        self._tracks.append(track)
        return track

    def _same_text(self, read: PlateRead | None, taken: set[int]) -> Track | None:
        """The track that was read like this, if it was not seen in this frame yet."""
        if read is None or not is_credible(read):
            return None
        near = []
        for track in self._tracks:
            best = track.best
            if best is not None and track.number not in taken:
                near.append((apart(best.text, read.text), track.number, track))
        if not near:
            return None
        nearest, _, track = min(near, key=lambda item: item[:2])
        return track if nearest < SIMILAR else None

    def _forget(self, tracks: Sequence[Track]) -> None:
        gone = {track.number for track in tracks}
        self._tracks = [track for track in self._tracks if track.number not in gone]


def apart(a: str, b: str) -> float:
    """How far two reads are apart: ``anpr.plate.distance``, forgiving lost ends.

    A read that breaks off early, or that missed the province, is near the whole plate: each
    character lost at an end costs 0.3 instead of 1, if at least five are left to compare.
    """
    whole = distance(a, b)
    short, long = sorted((a, b), key=len)
    lost = len(long) - len(short)
    if not 0 < lost <= _LOST_END_LIMIT or len(short) < _FEWEST_COMMON:
        return whole
    within = min(distance(short, long[i : i + len(short)]) for i in range(lost + 1))
    return min(whole, within + _LOST_END_COST * lost)


def is_credible(read: PlateRead) -> bool:
    """Whether a read is good enough to tell vehicles apart."""
    return bool(read.text) and read.score >= CREDIBLE_SCORE


def _may_join(track: Track, read: PlateRead | None, *, far: bool) -> bool:
    """Whether a read may be one of this track; the place has been checked."""
    if read is None or not is_credible(read):
        return True
    best = track.best
    if best is None:
        return True
    return apart(best.text, read.text) < (SIMILAR if far else DIFFERENT)


def _cost(track: Track, detection: Detection, at: datetime) -> list[tuple[float, bool]]:
    """How far a detection is from where the track should be; empty if too far.

    One item ``(plate widths, far)``, the far ones behind all near ones.
    """
    box = detection.quad.box()
    ratio = sqrt(box.area_px2 / track.box.area_px2)
    x, y = track.expected(at)
    cx, cy = _centre(box)
    apart_px = hypot(cx - x, cy - y)
    widths = apart_px / max(box.width_px, track.box.width_px)
    if 1 / _SIZE_RATIO <= ratio <= _SIZE_RATIO and widths <= _NEAR_WIDTHS:
        return [(widths, False)]
    young = track.frames < 3 and at - track.last_at <= _FAR_WITHIN
    if young and 1 / _SIZE_RATIO**2 <= ratio <= _SIZE_RATIO**2 and widths <= _FAR_WIDTHS:
        return [(_FAR_WIDTHS + widths, True)]
    return []


def _extend(track: Track, at: datetime, detection: Detection, read: PlateRead | None) -> None:
    box = detection.quad.box()
    track.last_at = max(track.last_at, at)
    track.box = box
    track.frames += 1
    track.widest_px = max(track.widest_px, box.width_px)
    track.sure_frames += detection.score >= SURELY_A_PLATE
    track.points.append(Point(at, *_centre(box), sqrt(box.area_px2)))
    if len(track.points) > _POINTS_LIMIT:
        del track.points[1:-8:2]
    if read is None:
        return
    track.attempts += 1
    track.read_at, track.read_box = at, box
    if read.text:
        track.read_count += 1
        track.reads.append(read)
        if len(track.reads) > _READS_LIMIT:
            track.reads.remove(min(track.reads, key=lambda r: (r.score, r.text)))


def _score(read: PlateRead | None) -> float:
    return 0.0 if read is None else read.score


def _centre(box: Box) -> tuple[float, float]:
    return ((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2)
