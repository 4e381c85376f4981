"""Where a vehicle goes: direction from its track, lane and region from outlines. Pure.

Outlines are given as shares of the picture, so that they hold at any resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from shapely.geometry import Point as ShapelyPoint
from shapely.geometry import Polygon
from shapely.prepared import PreparedGeometry, prep

from checkpoint_agent.config import CameraConfig
from checkpoint_agent.tracker import Point
from server.wire import Direction

GROWTH = 1.08
"""A plate that grows by this factor comes nearer; one that shrinks by it goes away."""
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
