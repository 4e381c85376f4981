"""Laws of what stands before and after the detection network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.detector import (
    PlateDetector,
    _Canvas,
    decode_peaks,
    letterbox,
    scaled,
    without_doubles,
)
from anpr.errors import InferenceError, WeightsError
from anpr.types import Detection, Quad
from anpr.weights import load_model


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_a_letterbox_keeps_the_picture_at_the_top_left_and_is_a_multiple_of_32(width, height):
    image = np.full((height, width, 3), 255, np.uint8)
    box = letterbox(image, 320)
    high, wide = box.batch.shape[1:3]
    assert high % 32 == wide % 32 == 0
    assert max(high, wide) <= 320 or max(width, height) > 320
    shown = (round(height * box.scale[1]), round(width * box.scale[0]))
    assert (box.batch[0, : shown[0], : shown[1]] == 255).all()
    assert (box.batch[0, shown[0] :] == 128).all()
    assert (box.batch[0, :, shown[1] :] == 128).all()


COLUMNS = 20
"""Cells in a row of the grids below."""
UPRIGHT = (-4, -1, 4, -1, 4.5, 1, -4, 1)


def peak(score, *, x=7, y=5, two_rows=0.0, corners=UPRIGHT):
    """One row of what the network gives."""
    return [score, two_rows, y * COLUMNS + x, *corners]


def decoded(*peaks, threshold=0.4):
    return decode_peaks(np.array(peaks, np.float32).reshape(-1, 11), COLUMNS, 8, threshold)


def test_a_peak_becomes_a_plate_where_its_corners_say():
    (found,) = decoded(peak(0.9, two_rows=0.8))
    assert found.rows == 2
    assert found.score == pytest.approx(0.9)
    cx, cy = 7.5, 5.5
    assert found.quad.top_left == (8 * (cx - 4), 8 * (cy - 1))
    assert found.quad.bottom_right == (8 * (cx + 4.5), 8 * (cy + 1))


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((), 0),
        ((0.39,), 0),
        ((0.5,), 1),
        ((0.9, 0.6, 0.39, 0.1), 2),
        ((0.9, 0.0, 0.0), 1),
        ((float("nan"), 0.1), 0),
    ],
)
def test_what_the_threshold_is_above_of_is_no_plate(scores, kept):
    """A score may be the threshold itself; what is below comes last, so nothing behind counts."""
    found = decoded(*(peak(score, x=index) for index, score in enumerate(scores)), threshold=0.5)
    assert [d.score for d in found] == pytest.approx(scores[:kept])


@pytest.mark.parametrize(
    "corners",
    [
        [4, -1, -4, -1, -4, 1, 4, 1],  # mirrored
        [0, 0, 0, 0, 0, 0, 0, 0],
        [-4, -1, 4, 1, 4, -1, -4, 1],  # crossed
        [float("nan")] * 8,
    ],
)
def test_corners_that_enclose_nothing_are_no_plate_and_cost_no_other(corners):
    (found,) = decoded(peak(0.9, corners=corners), peak(0.7, x=2))
    assert found.score == pytest.approx(0.7)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=64), st.randoms())
def test_detections_come_best_first_and_never_twice(scores, random):
    places = random.sample(range(12 * COLUMNS), len(scores))
    peaks = [
        peak(score, x=place % COLUMNS, y=place // COLUMNS, corners=[-2, -1, 2, -1, 2, 1, -2, 1])
        for score, place in zip(sorted(scores, reverse=True), places, strict=True)
    ]
    kept = without_doubles(decoded(*peaks, threshold=0.3))
    assert bool(kept) == (max(scores) >= np.float32(0.3))
    assert [d.score for d in kept] == sorted((d.score for d in kept), reverse=True)
    for i, a in enumerate(kept):
        assert all(a.quad.box().iou(b.quad.box()) <= 0.3 for b in kept[i + 1 :])


def test_a_box_inside_a_stronger_one_is_a_part_of_it():
    def plate(x1, y1, x2, y2, score):
        return Detection(Quad((x1, y1), (x2, y1), (x2, y2), (x1, y2)), score, 1)

    whole, part, other = (
        plate(0, 0, 100, 30, 0.9),
        plate(10, 5, 40, 25, 0.8),
        plate(200, 0, 300, 30, 0.5),
    )
    assert without_doubles([whole, part, other]) == [whole, other]


def test_scaling_back_undoes_the_letterbox():
    quad = Quad((10, 20), (50, 20), (50, 30), (10, 30))
    back = scaled(Detection(quad, 0.5, 1), (0.5, 0.25))
    assert back.quad == Quad((20, 80), (100, 80), (100, 120), (20, 120))


@pytest.mark.parametrize("size", [(480, 640), (200, 1000), (140, 160)])
def test_a_plate_is_found_where_it_is_in_the_picture(tiny_models, size):
    """The tiny network sees bright cells: one bright square gives one plate around it."""
    image = np.zeros((*size, 3), np.uint8)
    y, x = size[0] // 3, size[1] // 3
    image[y : y + 64, x : x + 64] = 255
    found = PlateDetector(load_model(tiny_models, "plate_det")).detect(image)
    assert found
    (x1, y1), (x2, y2) = found[0].quad.top_left, found[0].quad.bottom_right
    assert x1 - 32 <= x + 32 <= x2 + 32
    assert y1 - 32 <= y + 32 <= y2 + 32


def test_a_network_of_another_form_is_refused_by_name(tiny_models, make_detector):
    """As the files were before the grid's peaks were found inside the network."""
    model = load_model(tiny_models, "plate_det")
    make_detector(model.path("detector.onnx"), output="quad")
    with pytest.raises(WeightsError, match=r"detector\.onnx: gives \['quad'\], expected 'plates'"):
        PlateDetector(model)


def test_a_network_whose_plates_have_other_numbers_fails_aloud(tiny_models, make_detector):
    """A model that fails is not an empty road."""
    model = load_model(tiny_models, "plate_det")
    make_detector(model.path("detector.onnx"), numbers=10)
    with pytest.raises(InferenceError, match=r"detector\.onnx: unexpected output shape \(8, 10\)"):
        PlateDetector(model).detect(np.zeros((240, 320, 3), np.uint8))


def test_a_network_that_answers_with_no_numbers_fails_aloud(tiny_models, spoil):
    """Not a number is above no threshold: it would look like an empty road."""
    model = load_model(tiny_models, "plate_det")
    spoil(model.path("detector.onnx"), np.nan)
    with pytest.raises(InferenceError, match=r"detector\.onnx: answered with what is no number"):
        PlateDetector(model).detect(np.zeros((240, 320, 3), np.uint8))


def test_a_stride_that_contradicts_the_manifest_is_refused(tiny_models):
    manifest = tiny_models / "manifest.toml"
    text = manifest.read_text(encoding="utf-8").replace("stride = 8", "stride = 4")
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"detector\.onnx: stride"):
        PlateDetector(load_model(tiny_models, "plate_det"))


def test_a_kept_canvas_changes_nothing_whatever_sizes_come_in_turn():
    """Frames of another size leave nothing of themselves in the next one's grey."""
    rng = np.random.default_rng(4)
    canvas = _Canvas()
    for width, height in ((640, 360), (640, 350), (300, 200), (640, 360), (90, 500), (640, 360)):
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        kept, fresh = letterbox(image, 320, canvas=canvas), letterbox(image, 320)
        assert np.array_equal(kept.batch, fresh.batch)
        assert kept.scale == fresh.scale
