"""Laws of the reader as a whole, on tiny networks."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr import Detection, ImageError, PlateReader, Quad, WeightsError, load_reader
from anpr.color import ColorRead
from anpr.plate import PlateColor, PlateKind
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


class Says:
    """A recogniser that reads one text on every plate, and counts them."""

    size_px = (96, 32)

    def __init__(self, lattice):
        self.lattice, self.shown = lattice, 0

    def lattices(self, plates):
        self.shown += len(plates)
        return [self.lattice for _ in plates]


class Sees:
    """Detector and colour network that know where the plate is and what ground it has."""

    name = "sees"

    def __init__(self, quad, color):
        self.quad, self.color = quad, color

    def look_closer(self, image, detection):
        return detection

    def classify(self, plates):
        return [ColorRead({self.color: 0.99}, 0.01) for _ in plates]


@pytest.mark.parametrize(
    ("says", "color", "read", "is_shown"),
    [
        (("KMB8R41", "KMBBR41"), PlateColor.WHITE, ("KMBBR41", PlateKind.FOREIGN), True),
        (("KMB8R41", "鲁H12345"), PlateColor.WHITE, ("KMB8R41", PlateKind.FOREIGN), True),
        (("鲁H12345", "KMB8R41"), PlateColor.BLUE, ("鲁H12345", PlateKind.SMALL), False),
    ],
)
def test_what_is_called_foreign_is_read_by_the_reader_of_foreign_plates(
    make_lattice, says, color, read, is_shown
):
    """Only that, and only to read another foreign text: nothing becomes Chinese, or ceases to be."""
    quad = Quad((40.0, 40.0), (140.0, 40.0), (140.0, 72.0), (40.0, 72.0))
    sees, first, of_foreign = Sees(quad, color), *(Says(make_lattice(text)) for text in says)
    reader = PlateReader(sees, first, sees, recogniser_name="says", foreign=of_foreign)
    (found,) = reader.read_detections(picture(), [Detection(quad, 0.9, 1)])
    assert (found.text, found.kind) == read
    assert bool(of_foreign.shown) is is_shown


def test_a_models_folder_may_do_without_a_reader_of_foreign_plates(tiny_models):
    alone = load_reader(tiny_models, recogniser="onnxruntime")
    shutil.copytree(tiny_models / "plate_rec", tiny_models / "plate_rec_foreign")
    manifest = (tiny_models / "manifest.toml").read_text("utf-8")
    table = manifest[manifest.index("[plate_rec]") : manifest.index("[plate_color]")]
    second = table.replace("plate_rec", "plate_rec_foreign")
    (tiny_models / "manifest.toml").write_text(manifest + second, "utf-8")
    both = load_reader(tiny_models, recogniser="onnxruntime")
    assert both.recogniser_name.startswith(f"{alone.recogniser_name}+plate_rec_foreign-tiny@")
    (tiny_models / "plate_rec_foreign" / "inference.onnx").unlink()
    with pytest.raises(WeightsError, match="plate_rec_foreign"):
        load_reader(tiny_models, recogniser="onnxruntime")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(-3, 3))
def test_calibration_keeps_order_and_range(a, b, slope, offset):
    low, high = sorted((a, b))
    assert 0 < calibrated(low, (slope, offset)) <= calibrated(high, (slope, offset)) < 1


def test_no_threads_is_refused(tiny_models):
    with pytest.raises(ValueError, match="threads"):
        load_reader(tiny_models, threads=0)
