"""Laws of the reader as a whole, on tiny networks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr import ImageError, load_reader
from anpr.reader import calibrated


def picture(*squares, size=(240, 320)):
    image = np.random.default_rng(0).integers(0, 60, (*size, 3)).astype(np.uint8)
    for x, y in squares:
        image[y : y + 8, x : x + 8] = 255
    return image


@pytest.fixture
def reader(tiny_models):
    return load_reader(tiny_models, recogniser="onnxruntime")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        None,
        "picture.jpg",
    ],
)
def test_what_is_no_image_is_refused(reader, image):
    for method in (reader.read, reader.detect, lambda i: reader.read_detections(i, [])):
        with pytest.raises(ImageError, match="an image is uint8"):
            method(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (7, 5)])
def test_the_smallest_pictures_are_read_without_fuss(reader, size):
    assert isinstance(reader.read(np.zeros((*size, 3), np.uint8)), list)


def test_reading_is_detecting_then_reading_the_detections(reader):
    image = picture((40, 40), (200, 120))
    detections = reader.detect(image)
    assert len(detections) == 2
    reads = reader.read(image)
    assert reads == reader.read_detections(image, detections)
    assert detections == reader.detect(image, patient=True)  # something was found at once
    # Each detection reads as if it were the only one.
    assert reads == [r for d in detections for r in reader.read_detections(image, [d])]


def test_a_single_picture_is_looked_at_closer_where_a_cameras_frame_is_not(reader):
    image = picture(size=(960, 960))
    image[480:496, 480:496] = 255  # too small for the first look, half the picture's size shows it
    assert reader.detect(image) == []
    (found,) = reader.detect(image, patient=True)
    assert found.quad.box().x1 < 488 < found.quad.box().x2
    assert reader.read(image) == reader.read_detections(image, [found])


def test_a_picture_without_more_pixels_is_not_looked_at_closer(reader):
    image = picture(size=(320, 320))
    image[160:164, 160:164] = 255
    assert reader.detect(image, patient=True) == []


def test_the_image_is_left_as_it_was(reader):
    image = picture((40, 40))
    before = image.copy()
    reader.read(image)
    assert np.array_equal(image, before)


def test_threads_share_a_reader(reader):
    images = [picture((40 + 8 * i, 40)) for i in range(8)]
    alone = [reader.read(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reader.read, images)) == alone


def test_every_read_keeps_its_contract(reader):
    for read in reader.read(picture((40, 40), (200, 120))):
        assert len(read.characters) == len(read.text)
        assert "".join(c.char for c in read.characters) == read.text
        assert 0 <= read.score <= 1
        for c in read.characters:
            assert 0 <= c.score <= 1
            assert all(char != c.char and 0 < p <= 1 for char, p in c.alternatives)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(-3, 3))
def test_calibration_keeps_order_and_range(a, b, slope, offset):
    low, high = sorted((a, b))
    assert 0 < calibrated(low, (slope, offset)) <= calibrated(high, (slope, offset)) < 1


def test_no_threads_is_refused(tiny_models):
    with pytest.raises(ValueError, match="threads"):
        load_reader(tiny_models, threads=0)
