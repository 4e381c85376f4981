"""Other texts on real foreign plates; shown on plates drawn here, so no imagery is needed."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.rendering.strokes import draw_strokes
from models.training.foreign_relettering import (
    Die,
    ForeignSource,
    character_boxes,
    exchanged_text,
    ink_share,
    lettered,
    painted,
)
from models.training.plate_canvas import CANVAS_PX, CORE, Sample
from models.training.real_plates import RealPlates

TEXT = "RK485AF"
_INK, _GROUND = 40, 215


def canvas_with(text: str) -> NDArray[np.uint8]:
    """A canvas of a white plate on a dark car, its dark characters at even distances."""
    x0, y0, x1, y1 = CORE
    canvas = np.full((CANVAS_PX[1], CANVAS_PX[0], 3), 70, np.uint8)
    canvas[y0:y1, x0:x1] = _GROUND
    pitch = (x1 - x0 - 8) / len(text)
    for i, char in enumerate(text):
        mask = cv2.resize(draw_strokes(char, 45.0, 90.0, 2.0, 10.0), (15, 30))
        left = round(x0 + 4 + i * pitch + (pitch - 15) / 2)
        patch = canvas[y0 + 9 : y0 + 39, left : left + 15]
        share = mask[..., None] / 255
        patch[:] = (patch * (1 - share) + _INK * share).astype(np.uint8)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7)


def test_every_character_of_a_plate_is_found_in_its_place() -> None:
    """As many boxes as characters, from left to right, each as high as the print."""
    found = ink_share(canvas_with(TEXT))
    assert found is not None
    boxes = character_boxes(found[0], len(TEXT))
    assert boxes is not None
    assert len(boxes) == len(TEXT)
    assert list(boxes) == sorted(boxes)
    assert all(28 <= y2 - y1 <= 33 for _, y1, _, y2 in boxes)


@pytest.mark.parametrize("wrong", ["RK485A", "RK485AFZ"])
def test_a_plate_with_another_number_of_characters_is_left_alone(wrong: str) -> None:
    """Where what is seen and the label differ in length, no die is cut."""
    assert lettered(canvas_with(TEXT), wrong) is None


def test_a_plate_without_contrast_is_left_alone() -> None:
    """Print that hardly differs from its ground gives no dies."""
    assert lettered(np.full((CANVAS_PX[1], CANVAS_PX[0], 3), 90, np.uint8), TEXT) is None


def test_own_characters_painted_again_give_the_same_picture() -> None:
    """What is cut out and painted back in its place is the plate as it was, nearly."""
    canvas = canvas_with(TEXT)
    plate = lettered(canvas, TEXT)
    assert plate is not None
    again = painted(plate, [Die(d, plate.blur_px) for d in plate.dies], np.random.default_rng(0))
    x0, y0, x1, y1 = CORE
    difference = np.abs(again.astype(int) - canvas)[y0:y1, x0:x1]
    assert difference.mean() < 12
    ground = plate.ground[y0 + 9 : y0 + 39, x0 + 4 : x1 - 4].astype(int)
    assert np.abs(ground - _GROUND).mean() < 12


def test_other_texts_keep_the_look_and_use_what_is_known() -> None:
    """Every character is one of which a die is at hand; all of them come up, digits mostly for digits."""
    rng, known = np.random.default_rng(1), "AKMNW0123456789"
    texts = [exchanged_text(TEXT, known, rng) for _ in range(400)]
    assert {len(text) for text in texts} == {len(TEXT)}
    assert {char for text in texts for char in text} == set(known)
    digits = np.mean([text[2:5].isdigit() for text in texts])
    assert digits > 0.6


def test_a_source_gives_texts_that_its_plates_do_not_have() -> None:
    """Most crops of one plate show another text, each of the asked size; the same seed, the same."""
    canvas = canvas_with(TEXT)
    sample = Sample("", TEXT, None, "foreign/x", "unknown", human_corners=False)
    none = np.zeros(1, np.float32)
    plates = RealPlates(
        [sample], canvas[None], canvas[None], none, none, none, np.zeros(1, np.bool_)
    )
    source = ForeignSource.of(plates, np.array([0]))
    crops = [source.crop(np.random.default_rng(seed)) for seed in range(40)]
    assert {picture.shape for picture, _ in crops} == {(40, 144, 3)}
    assert len({text for _, text in crops}) > 10
    again, text = source.crop(np.random.default_rng(3))
    assert text == crops[3][1]
    assert np.array_equal(again, crops[3][0])
