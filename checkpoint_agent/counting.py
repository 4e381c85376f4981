"""Vehicles that no plate explains, from the first look at a frame to the patch that is one.

Holds what one camera knows of its road and of its trip line. Two things make it hold for
recordings that are read again after a crash, too: the road is learned from frames before the
place, and what was reported is kept, so that it is known again even if its outline differs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from checkpoint_agent.config import CameraConfig
from checkpoint_agent.crossing import Scene
from checkpoint_agent.foreground import Foreground, View
from checkpoint_agent.frames import Frame, from_microseconds, to_microseconds
from checkpoint_agent.tracker import Track
from checkpoint_agent.unplated import Patch, TripLine, overlap

_COUNTING_LINE = ((0.0, 0.7), (1.0, 0.7))
"""Where vehicles without a plate are counted if no trip line is configured."""
_LOST_WITHIN = timedelta(seconds=1)
"""A plate lost for no longer is thought to drive on."""
_REMEMBERED = timedelta(minutes=10)
_SAME_OVERLAP = 0.3
_LEARNS_FROM = 300
"""So many frames before its place a recording is read again, to know the road."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where and when a vehicle without a plate was reported."""

    first_us: int
    last_us: int
    x1: float
    x2: float

    def shows(self, patch: Patch) -> bool:
        """Whether a patch is the same vehicle."""
        together = min(self.last_us, to_microseconds(patch.last_at)) > max(
            self.first_us, to_microseconds(patch.first_at)
        )
        return together and overlap(patch, self.x1, self.x2) >= _SAME_OVERLAP


class Counting:
    """What moves in one camera's picture, and what of it crosses the line."""

    def __init__(
        self, camera: CameraConfig, scene: Scene, marks: str | None, *, stills: bool
    ) -> None:
        """Begin with an unknown road.

        Args:
            camera: The camera; ``camera.unplated`` says whether vehicles are counted at all.
            scene: Its region and lanes.
            marks: What :meth:`marks` kept.
            stills: Whether each picture stands for itself: then nothing is known of the road.
        """
        self._foreground = None if stills else Foreground()
        counts = camera.unplated and not stills
        ends = camera.trip_line or _COUNTING_LINE
        self._line = TripLine(ends, scene, camera.min_vehicle_width) if counts else None
        self._scene = scene
        self._undecided: list[Patch] = []
        self._marks = [Mark(*row) for row in json.loads(marks)] if marks else []
        self._places: list[str] = []

    @property
    def counts(self) -> bool:
        """Whether vehicles without a plate are passages."""
        return self._line is not None

    @property
    def busy(self) -> bool:
        """Whether something was on the line that is not decided yet."""
        return bool(self._undecided) or (self._line is not None and self._line.busy)

    def see(self, frame: Frame) -> View | None:
        """What moves in a frame; follows it over the trip line."""
        if self._foreground is None:
            return None
        if frame.before:
            self._places.append(frame.before)
            del self._places[:-_LEARNS_FROM]
        occupied = self._line is not None and self._line.occupied
        view = self._foreground.see(frame.image, occupied=occupied)
        if self._line is not None:
            self._line.see(frame, view)
        return view

    def learn(self, frame: Frame) -> None:
        """Look at a frame that was read before: only the road is to be known again."""
        self.see(frame)
        if self._line is not None:
            self._line.decided(frame.captured_at)

    def begin(self) -> None:
        """The road is known; what was on the line belongs to what was finished before."""
        if self._line is not None:
            self._line.end()

    @property
    def learns_from(self) -> str | None:
        """The place from which the road can be learned again; ``None``: nothing is learned."""
        return self._places[0] if self._places and self._line is not None else None

    def note_plates(
        self, at: datetime, tracks: Sequence[Track], frame_size_px: tuple[int, int]
    ) -> None:
        """Tell the trip line where plates are, or would be."""
        if self._line is None:
            return
        width_px, height_px = frame_size_px
        for track in tracks:
            if at - track.last_at <= _LOST_WITHIN:
                x, y = track.expected(at)
                self._line.note_plate(at, x / width_px, y / height_px, track)

    def decided(self, at: datetime, in_view: set[int]) -> list[Patch]:
        """Vehicles that no reported plate explains; each is given once."""
        return self._judged(self._line.decided(at) if self._line else [], in_view)

    def end(self) -> list[Patch]:
        """The same, because nothing more will be seen of them."""
        return self._judged(self._line.end() if self._line else [], set())

    def lane(self, patch: Patch) -> int | None:
        """The lane in which a patch crossed the line."""
        return self._scene.lane(patch.x, self._line.y_at(patch.x)) if self._line else None

    def mark(self, patch: Patch) -> None:
        """Remember that a patch was reported."""
        first, last = to_microseconds(patch.first_at), to_microseconds(patch.last_at)
        self._marks.append(Mark(first, last, round(patch.x1, 3), round(patch.x2, 3)))

    def marks(self) -> str:
        """What was reported lately, for the outbox."""
        rows = [(m.first_us, m.last_us, m.x1, m.x2) for m in self._marks]
        return json.dumps(rows)

    def _judged(self, patches: Sequence[Patch], in_view: set[int]) -> list[Patch]:
        waiting, self._undecided = [*self._undecided, *patches], []
        found = []
        for patch in waiting:
            if any(track.reported for track in patch.tracks.values()):
                continue
            if in_view & patch.tracks.keys():
                self._undecided.append(patch)
            elif self._line is not None and self._line.is_vehicle(patch):
                self._forget(patch.last_at)
                if not any(mark.shows(patch) for mark in self._marks):
                    found.append(patch)
        return found

    def _forget(self, at: datetime) -> None:
        self._marks = [
            mark for mark in self._marks if abs(at - from_microseconds(mark.last_us)) <= _REMEMBERED
        ]
