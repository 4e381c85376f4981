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
from itertools import pairwise
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


def _is_convex_clockwise(ring: list[Point]) -> bool:
    closed = [*ring, ring[0], ring[1]]
    edges = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(closed)]
    return all(e[0] * f[1] - e[1] * f[0] > 0 for e, f in pairwise(edges))


def is_convex(quad: Quad) -> bool:
    """Whether the corners make a convex quadrilateral, clockwise on the screen."""
    return _is_convex_clockwise(list(quad.as_tuple()))


def widened(quad: Quad, u: float) -> Quad:
    """The quad with this part of its width added at the left and at the right, in perspective."""
    corners = _corners_of(quad, (-u, 0.0, 1.0 + u, 1.0))
    tl, tr, br, bl = ((float(x), float(y)) for x, y in corners)
    return Quad(tl, tr, br, bl)


def raised(quad: Quad, v: float) -> Quad:
    """The quad with its top edge moved up by this part of its height, in perspective."""
    tl, tr, br, bl = ((float(x), float(y)) for x, y in _corners_of(quad, (0.0, -v, 1.0, 1.0)))
    return Quad(tl, tr, br, bl)


def slanted(quad: Quad, u: float) -> Quad:
    """The quad with its top edge moved right by this part of its width, its bottom edge left.

    Half of ``u`` each; negative values lean it the other way. A detector sees the box of an
    oblique plate more easily than its slant.
    """
    leaning = np.array(
        [[u / 2, 0.0], [1 + u / 2, 0.0], [1 - u / 2, 1.0], [-u / 2, 1.0]], np.float32
    )
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    matrix = cv2.getPerspectiveTransform(square, np.array(quad.as_tuple(), np.float32))
    moved = cv2.perspectiveTransform(leaning[None], matrix)[0]
    tl, tr, br, bl = ((float(x), float(y)) for x, y in moved)
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
    corners = _corners_of(quad, cut)
    region, corners = _shrunk_region(image, corners, size_px)
    width, height = size_px
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    # Corners are edges of pixels, warpPerspective speaks of their centres: half a pixel apart.
    matrix = cv2.getPerspectiveTransform(target - 0.5, corners - 0.5)
    warped = cv2.warpPerspective(
        region,
        matrix,
        size_px,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def _corners_of(quad: Quad, cut: Cut) -> NDArray[np.float32]:
    """The corners in the picture of a rectangle of the plate's unit square, (4, 2)."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    to_image = cv2.getPerspectiveTransform(square, np.array(quad.as_tuple(), np.float32))
    u1, v1, u2, v2 = cut
    wanted = np.array([[[u1, v1], [u2, v1], [u2, v2], [u1, v2]]], np.float32)
    return np.asarray(cv2.perspectiveTransform(wanted, to_image)[0], np.float32)


def _shrunk_region(
    image: Image, corners: NDArray[np.float32], size_px: tuple[int, int]
) -> tuple[Image, NDArray[np.float32]]:
    """The part of the picture around the corners, averaged down if it is much too large.

    The factor is a whole number and the part a multiple of it: OpenCV averages that ten times
    faster than a broken one.
    """
    factor = int(_scale(corners, size_px))
    if factor < _SHRINK_FROM:
        return image, corners
    high, wide = image.shape[:2]
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int) - factor, 0, (wide - 1, high - 1))
    x2, y2 = np.ceil(corners.max(axis=0)).astype(int) + factor
    columns, rows = (min(x2, wide) - x1) // factor, (min(y2, high) - y1) // factor
    if columns < 1 or rows < 1:
        return image, corners
    region = image[y1 : y1 + rows * factor, x1 : x1 + columns * factor]
    small = cv2.resize(region, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
    origin = np.array([x1, y1], np.float32)
    return np.asarray(small, np.uint8), (corners - origin) / np.float32(factor)


def _scale(corners: NDArray[np.float32], size_px: tuple[int, int]) -> float:
    """How many pixels of the picture lie under one of the result, along the tighter axis."""
    tl, tr, br, bl = corners.tolist()
    wide = min(math.dist(tl, tr), math.dist(bl, br)) / size_px[0]
    high = min(math.dist(tl, bl), math.dist(tr, br)) / size_px[1]
    return min(wide, high)
