"""Laws of cutting a plate upright."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anpr.errors import ImageError
from anpr.rectify import (
    LOWER_ROW_START_V,
    MARGIN_U,
    MARGIN_V,
    UPPER_ROW_END_V,
    UPPER_ROW_SIDE_U,
    is_convex,
    order_corners,
    raised,
    rectify,
    rectify_whole,
)
from anpr.types import Quad

SIZE = (144, 48)


def turned(width, height, angle, center=(300.0, 200.0)):
    """Corners tl, tr, br, bl of a rectangle turned by ``angle`` degrees."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    half = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return tuple(
        (
            center[0] + c * x * width / 2 - s * y * height / 2,
            center[1] + s * x * width / 2 + c * y * height / 2,
        )
        for x, y in half
    )


@given(
    st.permutations(range(4)),
    st.floats(60, 300),
    st.floats(20, 59),
    st.floats(-40, 40),
    st.lists(st.floats(-3, 3), min_size=8, max_size=8),
)
def test_corners_in_any_order_are_named_the_same(order, width, height, angle, noise):
    corners = tuple(
        (x + noise[2 * i], y + noise[2 * i + 1])
        for i, (x, y) in enumerate(turned(width, height, angle))
    )
    assume(is_convex(Quad(*corners)))
    assert order_corners(tuple(corners[i] for i in order)) == Quad(*corners)


@pytest.mark.parametrize(
    "points", [((0, 0), (1, 0), (2, 0), (3, 0)), ((0, 0), (10, 0), (5, 1), (5, 8)), ((1, 1),) * 4]
)
def test_points_that_enclose_no_convex_shape_are_refused(points):
    with pytest.raises(ValueError, match="convex"):
        order_corners(points)


def ramp(width, height):
    """A picture whose blue channel grows along x and whose green channel grows along y."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width).astype(np.uint8)[None, :]
    image[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return image


@given(st.floats(-30, 30), st.floats(80, 320), st.floats(25, 100))
def test_a_turned_plate_comes_out_as_it_was_before_turning(angle, width, height):
    """Paint a ramp onto the turned plate: upright again, each pixel says where it was."""
    corners = np.array(turned(width, height, angle), np.float32)
    source = np.array([[0, 0], [256, 0], [256, 256], [0, 256]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, corners - 0.5)
    image = cv2.warpPerspective(ramp(256, 256), matrix, (600, 400), borderMode=cv2.BORDER_REPLICATE)
    upright = rectify_whole(image, Quad(*map(tuple, corners.tolist())), SIZE).astype(float)
    u = ((np.arange(SIZE[0]) + 0.5) / SIZE[0] * (1 + 2 * MARGIN_U) - MARGIN_U).clip(0, 1)
    v = ((np.arange(SIZE[1]) + 0.5) / SIZE[1] * (1 + 2 * MARGIN_V) - MARGIN_V).clip(0, 1)
    inside_u, inside_v = (u > 0.06) & (u < 0.94), (v > 0.1) & (v < 0.9)
    window = upright[inside_v][:, inside_u]
    assert np.abs(window[..., 0] - 255 * u[inside_u][None, :]).mean() < 4
    assert np.abs(window[..., 1] - 255 * v[inside_v][:, None]).mean() < 8


def test_each_row_of_a_two_row_plate_is_a_picture_of_its_own():
    image = ramp(400, 200)
    cuts = rectify(image, Quad((0, 0), (400, 0), (400, 200), (0, 200)), 2, SIZE)
    upper, lower = (cut.astype(float) for cut in cuts)
    # Rows from top to bottom: each band spans its own part of the height.
    assert upper[-1, :, 1].mean() == pytest.approx(255 * UPPER_ROW_END_V, abs=4)
    assert lower[0, :, 1].mean() == pytest.approx(255 * LOWER_ROW_START_V, abs=4)
    assert lower[-1, :, 1].mean() == pytest.approx(255, abs=4)
    # The lower row spans the whole width, the upper one the middle in which its characters stand.
    assert lower[:, 0, 0].mean() < 8
    assert lower[:, -1, 0].mean() > 247
    assert upper[:, 0, 0].mean() == pytest.approx(255 * UPPER_ROW_SIDE_U, abs=4)
    assert upper[:, -1, 0].mean() == pytest.approx(255 * (1 - UPPER_ROW_SIDE_U), abs=4)


def test_one_row_is_the_whole_plate():
    image, quad = ramp(300, 100), Quad((20, 10), (280, 14), (282, 90), (22, 86))
    (row,) = rectify(image, quad, 1, SIZE)
    assert np.array_equal(row, rectify_whole(image, quad, SIZE))


def test_a_large_plate_is_averaged_not_sampled():
    """Fine stripes become grey, as they would through a lens; they do not turn into coarse ones."""
    image = np.zeros((480, 1440, 3), np.uint8)
    image[:, ::2] = 255
    quad = Quad((60, 40), (1380, 40), (1380, 440), (60, 440))
    assert rectify_whole(image, quad, SIZE).std() < 12


@given(st.floats(-200, 800), st.floats(-200, 600), st.floats(10, 900), st.floats(5, 500))
def test_a_plate_that_leaves_the_picture_still_gives_a_full_cut(x, y, width, height):
    quad = Quad((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    assert [row.shape for row in rectify(ramp(640, 480), quad, 2, SIZE)] == [(48, 144, 3)] * 2


def test_bad_input_is_refused():
    quad = Quad((0, 0), (10, 0), (10, 5), (0, 5))
    with pytest.raises(ValueError, match="1 or 2 rows"):
        rectify(ramp(20, 20), quad, 3, SIZE)
    with pytest.raises(ImageError, match="empty"):
        rectify(np.zeros((0, 0, 3), np.uint8), quad, 1, SIZE)


@settings(max_examples=20)
@given(st.floats(-25, 25), st.floats(90, 260), st.floats(45, 120))
def test_each_row_of_a_two_row_plate_is_cut_from_its_own_part(angle, width, height):
    """What is painted on the lower half never reaches the upper row's cut, and the other way."""
    quad = Quad(*turned(width, height, angle))
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (400, 600, 3)).astype(np.uint8)
    tl, tr, br, bl = (np.array(c) for c in quad.as_tuple())

    def painted(v1, v2):
        corners = [
            tl + v1 * (bl - tl),
            tr + v1 * (br - tr),
            tr + v2 * (br - tr),
            tl + v2 * (bl - tl),
        ]
        return cv2.fillConvexPoly(image.copy(), np.rint(corners).astype(np.int32), (0, 0, 0))

    upper, lower = rectify(image, quad, 2, SIZE)
    kept, painted_lower = rectify(painted(UPPER_ROW_END_V + 0.1, 1.0), quad, 2, SIZE)
    painted_upper, left = rectify(painted(0.0, LOWER_ROW_START_V - 0.1), quad, 2, SIZE)
    assert np.array_equal(upper, kept)
    assert np.array_equal(lower, left)
    assert not np.array_equal(lower, painted_lower)
    assert not np.array_equal(upper, painted_upper)


@given(st.floats(-40, 40), st.floats(60, 260), st.floats(20, 120), st.floats(0.0, 1.0))
def test_raising_a_plate_moves_its_top_edge_along_its_sides_alone(angle, width, height, v):
    quad = Quad(*turned(width, height, angle))
    higher = raised(quad, v)
    assert np.allclose(
        higher.as_tuple(), turned_top(quad, v) + quad.as_tuple()[2:], atol=1e-3 * width
    )


def turned_top(quad, v):
    """The upper corners moved by this part of the sides, away from the lower ones."""
    tl, tr, br, bl = (np.array(c) for c in quad.as_tuple())
    return (tuple(tl + v * (tl - bl)), tuple(tr + v * (tr - br)))


@settings(max_examples=20)
@given(st.integers(6, 400), st.integers(4, 120))
def test_each_row_always_fills_the_recognisers_size(width, height):
    quad = Quad((20, 10), (280, 14), (282, 90), (22, 86))
    rows = rectify(ramp(300, 100), quad, 2, (width, height))
    assert [row.shape for row in rows] == [(height, width, 3)] * 2
