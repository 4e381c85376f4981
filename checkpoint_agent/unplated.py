"""Vehicles that show no plate: what moves across the trip line as a vehicle does. Pure.

Along the line, what is not road makes runs; a run that goes on from frame to frame is a *patch*
in space and time, and a vehicle is a patch that is wide enough and lasts. A plate seen on the
line within a patch explains it; what no plate explains is a vehicle without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from anpr.types import Box
from checkpoint_agent.crossing import Scene
from checkpoint_agent.foreground import Mask, View
from checkpoint_agent.frames import Frame
from checkpoint_agent.tracker import Track
from server.wire import Direction

_BAND_PX = 2
"""Half the height of the band, in the mask's pixels."""
_COVERED = 0.5
_GAP_PART = 0.35
"""A gap in a run narrower than this part of the least vehicle is none: glass looks like road."""
_SAME_OVERLAP = 0.3
_CLEAR_ROAD = 0.05
"""Half the height of the stretch of road that must be seen behind a vehicle, share of the
picture's height: some metre of it."""
_CLEAR_PART = 0.1
"""It is seen if no more than this part of it is covered."""
_ENDED = timedelta(seconds=1.0)
"""What was not seen on the line for so long is gone, even if the road does not look clear."""
_SETTLES = timedelta(seconds=0.7)
"""So long after its end a patch waits for plates that belong to it."""
_LEAST_FRAMES = 3
_NOSE_FRAMES = 15
"""So long, what approaches is still seen from its front."""
_LONGEST = timedelta(seconds=170)
"""What covers the line for longer is no vehicle passing, but a change of the road."""
_ABOVE_LINE = 0.18
_BELOW_PICTURE = 1.15
"""A plate from so far above the line to so far below the picture, shares of its height, belongs to
what is on the line: a vehicle reaches from its plate upwards, whichever way it drives."""
_BESIDE = 0.25
_AROUND = timedelta(seconds=0.3)
_FOLLOWS = timedelta(seconds=0.8)
"""No vehicle's nose follows another's over the line within so short a time."""
_WHOLE_LINE = 0.92
"""What covers more of the line than this is a change of light."""
_TRACKS_LIMIT = 200
_OUTSIDE = -1


@dataclass(slots=True, eq=False)
class Patch:
    """Something that crossed the line."""

    first_at: datetime
    last_at: datetime
    x1: float
    """Left end on the line where it was widest, share of the picture's width."""
    x2: float
    frames: int = 1
    shot: Frame | None = None
    """The frame that shows it best."""
    box: Box | None = None
    """Of the vehicle in that frame, px."""
    direction: Direction = "unknown"
    tracks: dict[int, Track] = field(default_factory=dict)
    """Whose plates were seen on it."""
    whole_line: bool = False

    @property
    def x(self) -> float:
        """Its middle."""
        return (self.x1 + self.x2) / 2


class TripLine:
    """Watches one camera's line; owns its patches."""

    def __init__(
        self,
        ends: tuple[tuple[float, float], tuple[float, float]],
        scene: Scene,
        least_width: float,
    ) -> None:
        """Watch a line.

        Args:
            ends: Its ends, shares of the picture.
            scene: What lies outside its region is not watched.
            least_width: What is narrower is no vehicle; share of the picture's width.
        """
        (xa, ya), (xb, yb) = sorted(ends)
        self._left, self._right = (xa, ya), (xb, yb)
        self._scene = scene
        self._least = least_width
        self._open: list[Patch] = []
        self._ended: list[Patch] = []
        self._known_places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._all_covered = False
        self._above: dict[int, bool] = {}
        """Tracks whose plate was seen lately: whether above the line."""
        self._crossed: list[tuple[datetime, float, Track]] = []
        """Plates that came down over the line lately."""

    @property
    def occupied(self) -> bool:
        """Whether a vehicle is on the line; a change of light is none, and is to be learned."""
        return any(not patch.whole_line for patch in self._open)

    @property
    def busy(self) -> bool:
        """Whether something was on the line that is not decided yet."""
        return bool(self._open or self._ended)

    def y_at(self, x_share: float) -> float:
        """The height of the line there, share of the picture's height."""
        (xa, ya), (xb, yb) = self._left, self._right
        return ya + (yb - ya) * (x_share - xa) / (xb - xa)

    def see(self, frame: Frame, view: View) -> None:
        """Follow what is on the line into this frame."""
        at = frame.captured_at
        if view.mask is None or view.changed is None:
            return
        for x1, x2 in self._runs(view.mask):
            self._extend(frame, view, x1, x2)
        gone = [
            p
            for p in self._open
            if not timedelta(0) <= at - p.last_at <= _ENDED
            or (p.last_at != at and self._is_clear(view.changed, p))
        ]
        self._open = [p for p in self._open if p not in gone]
        self._ended += gone

    def note_plate(self, at: datetime, x_share: float, y_share: float, track: Track) -> None:
        """A plate of a track was seen at a place."""
        beyond = y_share > self.y_at(x_share)
        if beyond and self._above.get(track.number):
            self._crossed.append((at, x_share, track))
        self._above[track.number] = not beyond
        while len(self._above) > _TRACKS_LIMIT:
            del self._above[next(iter(self._above))]
        if not self.y_at(x_share) - _ABOVE_LINE <= y_share <= _BELOW_PICTURE:
            return
        for patch in (*self._open, *self._ended):
            room = _BESIDE * (patch.x2 - patch.x1)
            within = patch.x1 - room <= x_share <= patch.x2 + room
            if within and patch.first_at - _AROUND <= at <= patch.last_at + _AROUND:
                patch.tracks[track.number] = track

    def decided(self, at: datetime) -> list[Patch]:
        """Patches that ended long enough ago; each is given once."""
        done = [p for p in self._ended if not timedelta(0) <= at - p.last_at < _SETTLES]
        self._ended = [p for p in self._ended if p not in done]
        return done

    def end(self) -> list[Patch]:
        """All patches, because nothing more will be seen of them."""
        done = self._ended + self._open
        self._ended, self._open = [], []
        return done

    def is_vehicle(self, patch: Patch) -> bool:
        """Whether a patch is as wide and lasting as a vehicle's."""
        return (
            patch.shot is not None
            and patch.box is not None
            and patch.x2 - patch.x1 >= self._least
            and patch.frames >= _LEAST_FRAMES
            and patch.last_at - patch.first_at <= _LONGEST
            and not patch.whole_line
            and patch.direction != "unknown"
        )

    # ------------------------------------------------------------------ runs

    def _runs(self, mask: Mask) -> list[tuple[float, float]]:
        """Where the line is covered, as shares of the picture's width; never over two lanes."""
        rows, lanes = self._places(mask.shape[0], mask.shape[1])
        watched = lanes != _OUTSIDE
        columns = np.arange(mask.shape[1])
        reach = range(-_BAND_PX, _BAND_PX + 1)
        band = np.stack([mask[(rows + n).clip(0, mask.shape[0] - 1), columns] for n in reach])
        covered = (band.mean(axis=0) >= _COVERED * 255) & watched
        self._all_covered = bool(covered.sum() > _WHOLE_LINE * max(1, watched.sum()))
        joined: list[tuple[float, float]] = []
        for lane in sorted(set(lanes[watched].tolist())):
            padded = np.concatenate(([False], covered & (lanes == lane), [False]))
            edges = (np.flatnonzero(padded[1:] != padded[:-1]) / mask.shape[1]).tolist()
            joined += self._joined(list(zip(edges[::2], edges[1::2], strict=True)))
        return joined

    def _is_clear(self, mask: Mask, patch: Patch) -> bool:
        """Whether the road is seen where a patch was.

        A lorry's wet roof looks like road, too, but never all of it at once: the patch goes on.
        """
        high, wide = mask.shape[:2]
        rows, _ = self._places(high, wide)
        left = min(int(patch.x1 * wide), wide - 1)
        columns = np.arange(left, max(left + 1, int(patch.x2 * wide)))
        reach = max(1, round(_CLEAR_ROAD * high))
        stretch = [
            mask[(rows[columns] + n).clip(0, high - 1), columns] for n in range(-reach, reach + 1)
        ]
        return bool(np.mean(stretch) <= _CLEAR_PART * 255)

    def _places(self, high: int, wide: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each column of the mask the row of the line, and the lane or :data:`_OUTSIDE`."""
        if self._known_places is None:
            rows, lanes = np.zeros(wide, np.int64), np.full(wide, _OUTSIDE, np.int64)
            for column in range(wide):
                x = (column + 0.5) / wide
                y = self.y_at(x)
                rows[column] = min(high - 1, max(0, int(y * high)))
                if self._left[0] <= x <= self._right[0] and self._scene.contains(x, y):
                    lanes[column] = self._scene.lane(x, y) or 0
            self._known_places = rows, lanes
        return self._known_places

    def _joined(self, runs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Runs with small gaps closed, and without those much too narrow."""
        joined: list[tuple[float, float]] = []
        for x1, x2 in runs:
            if joined and x1 - joined[-1][1] <= _GAP_PART * self._least:
                joined[-1] = (joined[-1][0], x2)
            else:
                joined.append((x1, x2))
        return [(x1, x2) for x1, x2 in joined if x2 - x1 >= self._least / 2]

    def _extend(self, frame: Frame, view: View, x1: float, x2: float) -> None:
        same = [p for p in self._open if overlap(p, x1, x2) >= _SAME_OVERLAP]
        if same:
            patch, *others = sorted(same, key=lambda p: (p.first_at, p.x1))
            for other in others:  # two runs have become one: it is one vehicle
                patch.tracks |= other.tracks
                self._open.remove(other)
            patch.last_at = frame.captured_at
            patch.frames += 1
        else:
            patch = Patch(frame.captured_at, frame.captured_at, x1, x2)
            patch.tracks |= self._just_crossed(patch)
            self._open.append(patch)
        patch.whole_line = patch.whole_line or self._all_covered
        wider = x2 - x1 > 1.05 * (patch.x2 - patch.x1)
        if wider:
            patch.x1, patch.x2 = x1, x2
        self._picture(patch, frame, view, wider=wider)

    def _just_crossed(self, patch: Patch) -> dict[int, Track]:
        """Whose plate came over the line so shortly before that this is still its vehicle."""
        at = patch.first_at
        self._crossed = [c for c in self._crossed if abs(at - c[0]) <= _FOLLOWS]
        room = _BESIDE * (patch.x2 - patch.x1)
        return {
            track.number: track
            for _, x, track in self._crossed
            if patch.x1 - room <= x <= patch.x2 + room
        }

    def _picture(self, patch: Patch, frame: Frame, view: View, *, wider: bool) -> None:
        """Keep the frame that shows a patch's vehicle best.

        What approaches is seen best when it has just reached the line, what goes away when it has
        just crossed it.
        """
        comes = patch.direction == "approaching"
        if patch.shot is not None and comes and not (wider and patch.frames <= _NOSE_FRAMES):
            return
        high_px, wide_px = frame.image.shape[:2]
        y_px = self.y_at(patch.x) * high_px
        box = view.box_around(patch.x * wide_px, y_px, _column(patch, wide_px, high_px))
        if box is None:
            return
        if patch.direction == "unknown" and patch.frames >= 2:
            above, below = y_px - box.y1, box.y2 - y_px
            patch.direction = "approaching" if above >= below else "receding"
        patch.shot, patch.box = frame, box


def _column(patch: Patch, wide_px: int, high_px: int) -> Box:
    """The part of the picture that a patch's vehicle may take."""
    room = 0.3 * (patch.x2 - patch.x1)
    x1, x2 = max(0.0, patch.x1 - room), min(1.0, patch.x2 + room)
    return Box(x1 * wide_px, 0.0, x2 * wide_px, float(high_px))


def overlap(patch: Patch, x1: float, x2: float) -> float:
    """Of the narrower of the two."""
    common = min(patch.x2, x2) - max(patch.x1, x1)
    return common / max(1e-6, min(patch.x2 - patch.x1, x2 - x1))
