"""Turn the quadrilateral of a plate into the upright picture that the networks read.

Everything is described in the plate's own unit square: ``u`` runs from 0 at the left edge to 1 at
the right edge, ``v`` from 0 at the top to 1 at the bottom, along the plate, whatever its
perspective in the picture. A cut is a rectangle of that square; cutting and warping are one step,
so that every pixel is interpolated once.

A two-row plate is cut into its rows, which overlap a little (nobody's corners are exact), and each
row becomes a picture of its own. What the recogniser sees is then one row of characters, whichever
recogniser it is. Training uses these functions too: there is no second description of the
geometry.
"""

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.errors import ImageError
from anpr.types import Image, Point, Quad

MARGIN_U: Final = 0.03
"""Part of the plate's width added at the left and at the right: corners are a little off."""
MARGIN_V: Final = 0.05
"""Part of the plate's height added at the top and at the bottom."""
UPPER_ROW_END_V: Final = 0.43
"""Where the cut of the upper row of a two-row plate ends."""
LOWER_ROW_START_V: Final = 0.38
"""Where the cut of the lower row begins (the bottom 62 %)."""
UPPER_ROW_TOP_V: Final = -0.12
"""Where the cut of the upper row begins: its characters are low and stand close to the edge, so an
error of the corners costs them more than others."""
UPPER_ROW_SIDE_U: Final = 0.05
"""Part of the plate's width left away at each side of the upper row: its two or three characters
stand in the middle (of the kinds of GA 36-2018 and WJ, the widest row spans 0.16 to 0.84; foreign
ones fill nearly all), and what is cut away would make them narrower."""

_SHRINK_FROM = 2
"""A plate at least this much larger than its cut is averaged down first, against aliasing."""

Cut = tuple[float, float, float, float]
"""``(u1, v1, u2, v2)`` in the plate's unit square."""

WHOLE_PLATE: Final[Cut] = (-MARGIN_U, -MARGIN_V, 1 + MARGIN_U, 1 + MARGIN_V)
UPPER_ROW: Final[Cut] = (UPPER_ROW_SIDE_U, UPPER_ROW_TOP_V, 1 - UPPER_ROW_SIDE_U, UPPER_ROW_END_V)
LOWER_ROW: Final[Cut] = (-MARGIN_U, LOWER_ROW_START_V, 1 + MARGIN_U, 1 + MARGIN_V)
CUTS: Final[dict[int, tuple[Cut, ...]]] = {1: (WHOLE_PLATE,), 2: (UPPER_ROW, LOWER_ROW)}
"""Where the rows of a plate of one or two rows are cut, the upper one first."""


def order_corners(points: tuple[Point, Point, Point, Point]) -> Quad:
    """Name the four corners of a plate that is turned by less than 45°, in whatever order.

    The corners are taken clockwise around their centre; top left is the one from which the top
    edge runs most nearly to the right.

    Raises:
        ValueError: the points are not the corners of a convex quadrilateral.
    """
    cx = sum(x for x, _ in points) / 4
    cy = sum(y for _, y in points) / 4
    ring = sorted(points, key=lambda p: math.atan2(p[1] - cy, p[0] - cx))
    if not _is_convex_clockwise(ring):
        raise ValueError(f"not the corners of a convex quadrilateral: {points}")
    first = max(range(4), key=lambda i: _rightwardness(ring, i))
    tl, tr, br, bl = (ring[(first + k) % 4] for k in range(4))
    return Quad(tl, tr, br, bl)


def _rightwardness(ring: list[Point], i: int) -> float:
    """How far the edges next to the one that starts at corner ``i`` agree with reading from it.

    The top edge must run right and the bottom edge left; both count, so that a strongly tapered
    plate is still named by its two long edges.
    """
    a, b, c, d = (ring[(i + k) % 4] for k in range(4))
    return (b[0] - a[0]) + (c[0] - d[0])


def _is_convex_clockwise(ring: Sequence[Point]) -> bool:
    """Whether each of the four edges turns to the right into the next one."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = ring
    ax, ay, bx, by = x1 - x0, y1 - y0, x2 - x1, y2 - y1
    cx, cy, dx, dy = x3 - x2, y3 - y2, x0 - x3, y0 - y3
    return ax * by > ay * bx and bx * cy > by * cx and cx * dy > cy * dx and dx * ay > dy * ax


def is_convex(quad: Quad) -> bool:
    """Whether the corners make a convex quadrilateral, clockwise on the screen."""
    return _is_convex_clockwise(quad.as_tuple())


def widened(quad: Quad, u: float) -> Quad:
    """The quad with this part of its width added at the left and at the right, in perspective."""
    return _part_of(quad, (-u, 0.0, 1.0 + u, 1.0))


def raised(quad: Quad, v: float) -> Quad:
    """The quad with its top edge moved up by this part of its height, in perspective."""
    return _part_of(quad, (0.0, -v, 1.0, 1.0))


def slanted(quad: Quad, u: float) -> Quad:
    """The quad with its top edge moved right by this part of its width, its bottom edge left.

    Half of ``u`` each; negative values lean it the other way. A detector sees the box of an
    oblique plate more easily than its slant.
    """
    leaning = ((u / 2, 0.0), (1 + u / 2, 0.0), (1 - u / 2, 1.0), (-u / 2, 1.0))
    plane = _plane_of(quad)
    tl, tr, br, bl = (_at(plane, x, y) for x, y in leaning)
    return Quad(tl, tr, br, bl)


def _part_of(quad: Quad, cut: Cut) -> Quad:
    """The corners in the picture of a rectangle of the plate's unit square."""
    u1, v1, u2, v2 = cut
    plane = _plane_of(quad)
    tl, tr, br, bl = (_at(plane, u, v) for u, v in ((u1, v1), (u2, v1), (u2, v2), (u1, v2)))
    return Quad(tl, tr, br, bl)


def upright_region(
    image: Image, quad: Quad, plate_width_px: int, size_px: tuple[int, int]
) -> tuple[Image, NDArray[np.float64]]:
    """The plate with its surroundings, turned and unsheared so that it stands upright.

    The plate is ``plate_width_px`` wide in the middle of the region and keeps its proportions.
    Only the parallelogram nearest to the quad is made upright: undoing a doubtful perspective
    would tear the surroundings.

    Returns:
        The region of ``size_px`` and the matrix (2, 3) from its pixels to the picture's.

    Raises:
        ImageError: the picture is empty.
    """
    tl, tr, br, bl = np.array(quad.as_tuple(), np.float64)
    across, down = (tr - tl + br - bl) / 2, (bl - tl + br - tr) / 2
    corner = (tl + tr + br + bl) / 4 - (across + down) / 2
    scale = plate_width_px / max(float(np.hypot(*across)), 1.0)
    plate_height_px = max(float(np.hypot(*down)) * scale, 1.0)
    half_u = size_px[0] / plate_width_px / 2
    half_v = size_px[1] / plate_height_px / 2
    shape = Quad(
        *(
            (float(x), float(y))
            for x, y in (corner, corner + across, corner + across + down, corner + down)
        )
    )
    region = _cut(image, shape, (0.5 - half_u, 0.5 - half_v, 0.5 + half_u, 0.5 + half_v), size_px)
    per_px = np.stack((across / plate_width_px, down / plate_height_px), axis=1)
    origin = corner + across * (0.5 - half_u) + down * (0.5 - half_v)
    return region, np.column_stack((per_px, origin))


def rectify_whole(image: Image, quad: Quad, size_px: tuple[int, int]) -> Image:
    """The whole plate with its margins, stretched to ``size_px = (width, height)``.

    Raises:
        ImageError: the picture is empty.
    """
    return _cut(image, quad, WHOLE_PLATE, size_px)


def rectify(image: Image, quad: Quad, rows: int, size_px: tuple[int, int]) -> tuple[Image, ...]:
    """Each row of the plate, the upper one first, stretched to ``size_px = (width, height)``.

    Raises:
        ImageError: the picture is empty.
        ValueError: ``rows`` is neither 1 nor 2.
    """
    if rows not in CUTS:
        raise ValueError(f"a plate has 1 or 2 rows, got {rows}")
    return tuple(_cut(image, quad, cut, size_px) for cut in CUTS[rows])


def _cut(image: Image, quad: Quad, cut: Cut, size_px: tuple[int, int]) -> Image:
    if image.size == 0:
        raise ImageError(f"cannot cut a plate out of an empty picture of shape {image.shape}")
    u1, v1, u2, v2 = cut
    plane = _plane_of(quad)
    points = [_at(plane, u, v) for u, v in ((u1, v1), (u2, v1), (u2, v2), (u1, v2))]
    region, factor, (left, top) = _shrunk_region(image, points, size_px)
    width, height = size_px
    (a, b, c), (d, e, f), (g, h, _) = plane
    across, down = (u2 - u1) / width, (v2 - v1) / height
    # The middle of the first pixel, as warpPerspective counts; edges are half a pixel away.
    u0, v0 = u1 + across / 2, v1 + down / 2
    i, j, k = g * across, h * down, g * u0 + h * v0 + 1.0
    x0, y0 = left + 0.5 * factor, top + 0.5 * factor
    matrix = np.array(
        [
            (a * across - x0 * i, b * down - x0 * j, a * u0 + b * v0 + c - x0 * k),
            (d * across - y0 * i, e * down - y0 * j, d * u0 + e * v0 + f - y0 * k),
            (i * factor, j * factor, k * factor),
        ]
    )
    warped = cv2.warpPerspective(
        region,
        matrix,
        size_px,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


Plane = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


def _plane_of(quad: Quad) -> Plane:
    """The matrix from the plate's unit square to the picture (Heckbert 1989, section 2.2.3).

    Written out: right after a network has run, the calls into OpenCV and numpy that give the same
    take longer than the whole of this.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad.as_tuple()
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    dx1, dy1, dx2, dy2 = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    area = dx1 * dy2 - dx2 * dy1
    g = (sx * dy2 - dx2 * sy) / area if area else 0.0
    h = (dx1 * sy - sx * dy1) / area if area else 0.0
    return (
        (x1 - x0 + g * x1, x3 - x0 + h * x3, x0),
        (y1 - y0 + g * y1, y3 - y0 + h * y3, y0),
        (g, h, 1.0),
    )


def _at(plane: Plane, u: float, v: float) -> Point:
    """Where a point of the plate's unit square lies in the picture."""
    (a, b, c), (d, e, f), (g, h, _) = plane
    depth = g * u + h * v + 1.0 or 1e-9
    return ((a * u + b * v + c) / depth, (d * u + e * v + f) / depth)


def _shrunk_region(
    image: Image, points: Sequence[Point], size_px: tuple[int, int]
) -> tuple[Image, int, tuple[int, int]]:
    """The part of the picture around the points, averaged down if it is much too large.

    The factor is a whole number and the part a multiple of it: OpenCV averages that ten times
    faster than a broken one.

    Returns:
        The region, how many of the picture's pixels lie along one of its, and where it begins.
    """
    factor = int(_scale(points, size_px))
    if factor < _SHRINK_FROM:
        return image, 1, (0, 0)
    high, wide = image.shape[:2]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x1, x2 = max(0, math.floor(min(xs)) - factor), min(wide, math.ceil(max(xs)) + factor)
    y1, y2 = max(0, math.floor(min(ys)) - factor), min(high, math.ceil(max(ys)) + factor)
    columns, rows = (x2 - x1) // factor, (y2 - y1) // factor
    if columns < 1 or rows < 1:
        return image, 1, (0, 0)
    region = image[y1 : y1 + rows * factor, x1 : x1 + columns * factor]
    small = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), factor, (x1, y1)


def _scale(points: Sequence[Point], size_px: tuple[int, int]) -> float:
    """How many pixels of the picture lie under one of the result, along the tighter axis."""
    tl, tr, br, bl = points
    wide = min(math.dist(tl, tr), math.dist(bl, br)) / size_px[0]
    high = min(math.dist(tl, bl), math.dist(tr, br)) / size_px[1]
    return min(wide, high)
