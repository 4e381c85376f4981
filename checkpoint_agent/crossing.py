"""Where a vehicle comes from and goes: direction, way in and out, lane and region. Pure.

Outlines are given as shares of the picture, so that they hold at any resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import copysign, hypot
from statistics import median
from typing import Self

from shapely.geometry import Point as ShapelyPoint
from shapely.geometry import Polygon
from shapely.prepared import PreparedGeometry, prep

from checkpoint_agent.config import CameraConfig
from checkpoint_agent.tracker import Point, Track
from server.wire import Direction

GROWTH = 1.08
"""A plate that grows by this factor comes nearer; one that shrinks by it goes away."""
_LOOKS_AHEAD = timedelta(seconds=0.3)
_EDGE_HEIGHTS = 1.0
"""A plate so near to the picture's edge, in its own heights, has left."""
_STOOD_WIDTHS = 0.5
_FEW = 4
"""So many of a track's points say how it moved when it came, or when it was lost."""
_PLATE_SIZES = (1.77, 0.56)
"""Width and height of a car's plate, 440 x 140 mm, in square roots of its area."""
_TRAVEL_SIZES = 1.0
"""A plate of steady size that moves down by so many of its sizes comes nearer."""


def direction(points: Sequence[Point]) -> Direction:
    """Whether a vehicle came nearer or went away, seen from a camera above the road.

    Perspective decides: a plate that grows comes nearer. Where its size hardly changes, one that
    moves down in the picture does.
    """
    if len(points) < 2:
        return "unknown"
    third = max(1, len(points) // 3)
    first, last = points[:third], points[-third:]
    before_px, after_px = (median(p.size_px for p in part) for part in (first, last))
    if after_px >= before_px * GROWTH:
        return "approaching"
    if after_px <= before_px / GROWTH:
        return "receding"
    down_px = median(p.y for p in last) - median(p.y for p in first)
    if abs(down_px) < _TRAVEL_SIZES * max(before_px, after_px):
        return "unknown"
    return "approaching" if down_px > 0 else "receding"


def has_crossed(
    points: Sequence[Point],
    line: tuple[tuple[float, float], tuple[float, float]],
    frame_size_px: tuple[int, int],
) -> bool:
    """Whether a plate has gone from one side of a line to the other.

    Args:
        points: Where it was seen, first to last.
        line: Two ends, shares of the picture; it goes on beyond them.
        frame_size_px: Width and height of the camera's frames.
    """
    if len(points) < 2:
        return False
    sides = [_below(point, line, frame_size_px) for point in (points[0], points[-1])]
    return sides[0] != sides[1]


def _below(
    point: Point,
    line: tuple[tuple[float, float], tuple[float, float]],
    frame_size_px: tuple[int, int],
) -> bool:
    (xa, ya), (xb, yb) = sorted(line)
    x, y = point.x / frame_size_px[0], point.y / frame_size_px[1]
    return y > ya + (yb - ya) * (x - xa) / (xb - xa)


@dataclass(frozen=True, slots=True)
class Scene:
    """What of a camera's picture matters, and where its lanes are."""

    region: "PreparedGeometry[Polygon] | None"
    lanes: "tuple[tuple[int, PreparedGeometry[Polygon]], ...]"

    @classmethod
    def of(cls, camera: CameraConfig) -> Self:
        """The region and lanes of a configured camera."""
        return cls(
            region=prep(Polygon(camera.region)) if camera.region else None,
            lanes=tuple((lane.number, prep(Polygon(lane.outline))) for lane in camera.lane),
        )

    def contains(self, x_share: float, y_share: float) -> bool:
        """Whether a place, in shares of the picture, lies in the region."""
        return self.region is None or self.region.intersects(ShapelyPoint(x_share, y_share))

    def lane(self, x_share: float, y_share: float) -> int | None:
        """The number of the lane at a place; the first of several, ``None`` outside all."""
        place = ShapelyPoint(x_share, y_share)
        return next((number for number, outline in self.lanes if outline.intersects(place)), None)


_WHOLE = Scene(None, ())


@dataclass(frozen=True, slots=True)
class Border:
    """Where vehicles come into view and leave it: the edges of the picture, or of the region."""

    size_px: tuple[int, int]
    """Width and height of the camera's frames."""
    scene: Scene = _WHOLE

    def is_reached(
        self,
        place: tuple[float, float],
        velocity_px_s: tuple[float, float],
        reach_px: tuple[float, float],
    ) -> bool:
        """Whether a plate will be at the border in a moment if it moves on.

        Args:
            place: Its centre.
            velocity_px_s: How it moves.
            reach_px: So far from the border, across and down, it counts as there.
        """
        front = []
        for at, speed, reach, end in zip(place, velocity_px_s, reach_px, self.size_px, strict=True):
            soon = at + speed * _LOOKS_AHEAD.total_seconds()
            if (speed < 0 and soon <= reach) or (speed > 0 and soon >= end - reach):
                return True
            front.append((soon + copysign(reach, speed)) / end if speed else at / end)
        return not self.scene.contains(front[0], front[1])


def has_left(track: Track, border: Border) -> bool:
    """Whether a plate was lost because it left the view, as far as can be told."""
    velocity = track.velocity_px_s()
    if velocity is None:
        return False
    reach_px = (
        track.box.width_px / 2 + _EDGE_HEIGHTS * track.box.height_px,
        track.box.height_px / 2 + _EDGE_HEIGHTS * track.box.height_px,
    )
    place = ((track.box.x1 + track.box.x2) / 2, (track.box.y1 + track.box.y2) / 2)
    return border.is_reached(place, velocity, reach_px)


def has_entered(track: Track, border: Border) -> bool:
    """Whether a plate was first seen where it came into view, as far as can be told."""
    first, later = track.points[0], track.points[:_FEW][-1]
    span_s = (later.at - first.at).total_seconds()
    width_px, height_px = (part * first.size_px for part in _PLATE_SIZES)
    if span_s <= 0 or hypot(later.x - first.x, later.y - first.y) <= _STOOD_WIDTHS * width_px:
        return False
    back = ((first.x - later.x) / span_s, (first.y - later.y) / span_s)
    reach_px = (width_px / 2 + _EDGE_HEIGHTS * height_px, (0.5 + _EDGE_HEIGHTS) * height_px)
    return border.is_reached((first.x, first.y), back, reach_px)


def has_stood(track: Track) -> bool:
    """Whether a vehicle stood when it was lost, as far as can be told."""
    first, last = track.points[-_FEW:][0], track.points[-1]
    return hypot(last.x - first.x, last.y - first.y) <= _STOOD_WIDTHS * track.box.width_px


def way(track: Track) -> tuple[float, float] | None:
    """In which direction a vehicle went through the picture, length 1; ``None``: it stood."""
    first, last = track.points[0], track.points[-1]
    x, y = last.x - first.x, last.y - first.y
    length_px = hypot(x, y)
    if length_px <= _STOOD_WIDTHS * track.box.width_px:
        return None
    return (x / length_px, y / length_px)
