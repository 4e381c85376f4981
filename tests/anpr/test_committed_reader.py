"""The reader with the weights of this project: what it must always be able to do.

These are floors, not measurements (those are ``benchmarks.accuracy``): a change that breaks the
reader breaks them, one that makes it a little worse does not.
"""

from dataclasses import replace
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from anpr import Box, Detection, Quad, load_reader
from anpr.picture import load_picture
from anpr.plate import PlateColor, PlateKind, parse
from benchmarks.accuracy import load_frames, score, summary
from benchmarks.rendering.glyphs import OwnGlyphs
from benchmarks.rendering.plates import draw_plate
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.vehicle import Body, Vehicle
from benchmarks.rendering.weather import Light

SEEN_AT = datetime(2026, 3, 9, 6, 30, 0, tzinfo=UTC)
DRIVEN = (
    ("鲁H7K2M5", PlateKind.SMALL, Body.SALOON, "black"),
    ("鲁HA5T68", PlateKind.SMALL, Body.SUV, "white"),
    ("苏E39P7C", PlateKind.SMALL, Body.VAN, "grey"),
    ("豫N6728A", PlateKind.LARGE, Body.BUS, "red"),
    ("鲁HD31782", PlateKind.NEW_ENERGY_SMALL, Body.SALOON, "blue"),
    ("皖AF50962", PlateKind.NEW_ENERGY_SMALL, Body.SUV, "white"),
)


@pytest.fixture(scope="module")
def reader(project):
    return load_reader(project / "models", recogniser="onnxruntime")


def frame_with(plate, kind, body, color, light=Light.DAY):
    """A rendered frame of a vehicle near the camera, and where its plate is."""
    vehicle = Vehicle("v0", plate, kind, body, color, seed=4)
    scene = Scene(light=light)
    passing = scene.pass_seen_at(vehicle, lane=0, speed_kmh=30.0, seen_at=SEEN_AT)
    frame = render_frame(replace(scene, passes=(passing,)), SEEN_AT)
    (visible,) = frame.truth
    xs, ys = zip(*visible.quad_px, strict=True)
    return frame.image, Box(min(xs), min(ys), max(xs), max(ys))


@pytest.mark.parametrize("light", [Light.DAY, Light.NIGHT])
def test_plates_of_rendered_vehicles_are_found_and_most_are_read(reader, light):
    right = 0
    for plate, kind, body, color in DRIVEN:
        image, box = frame_with(plate, kind, body, color, light)
        reads = [r for r in reader.read(image) if r.box.iou(box) > 0.3]
        assert reads, f"{plate} was not found at all"
        right += reads[0].text == plate and reads[0].kind is kind
    assert right >= len(DRIVEN) - 2


def test_an_empty_road_has_no_plates_to_read(reader):
    image = render_frame(Scene(), SEEN_AT).image
    assert [r.text for r in reader.read(image) if r.text] == []


@pytest.mark.filterwarnings("ignore")  # PaddleOCR's dependencies warn; that is not ours
def test_both_engines_read_the_same_plates(reader, project):
    """On the committed weights, PaddleOCR gives the texts and scores that onnxruntime gives."""
    pytest.importorskip("paddleocr", reason="kakou[paddle] is not installed")
    other = load_reader(project / "models", recogniser="paddleocr")
    for plate, kind, body, color in DRIVEN[:3]:
        image, _ = frame_with(plate, kind, body, color)
        ours, theirs = reader.read(image), other.read(image)
        assert [r.text for r in ours] == [r.text for r in theirs]
        assert [r.score for r in ours] == pytest.approx([r.score for r in theirs], abs=1e-4)


@pytest.mark.data
def test_most_real_plates_are_read(reader, imagery):
    """Every sixth frame of the public benchmark; at least four of five plates whole."""
    frames = load_frames(imagery / "dev" / "scenes.jsonl")
    chosen = [f for f in frames if f.plates and not f.overlay][::6]
    outcomes, _ = score(reader, chosen)
    found = summary(outcomes)
    assert found["plates"] >= 70
    assert found["exact"] >= 0.8
    assert found["recall"] >= 0.95


@pytest.mark.data
def test_frames_without_a_plate_give_hardly_any_text(reader, imagery):
    frames = load_frames(imagery / "train" / "negative.jsonl")
    texts = [r.text for f in frames for r in reader.read(load_picture(f.file)) if r.text]
    assert len(texts) <= 1


@pytest.mark.data
def test_foreign_plates_are_not_dressed_up_as_chinese(reader, imagery):
    """Of plates from Brazil, Europe and the USA hardly any comes back as a legal Chinese one."""
    frames = load_frames(imagery / "train" / "scenes.jsonl")
    foreign = [f for f in frames if f.group.startswith("foreign")][::5]
    reads = [r for f in foreign for r in reader.read(load_picture(f.file)) if r.text]
    dressed = [r for r in reads if parse(r.text, PlateColor.UNKNOWN).form and r.score >= 0.9]
    assert len(reads) >= len(foreign) / 2
    assert len(dressed) <= 0.03 * len(reads)


@pytest.mark.parametrize("found_from_v", [0.32, 0.4])
def test_a_lower_row_taken_for_a_plate_is_read_with_the_row_above_it(reader, found_from_v):
    """As detectors see a yellow plate of two rows: the large row, and the edge of the small one."""
    drawn = draw_plate(
        "粤BCR709",
        PlateKind.LARGE,
        glyphs=OwnGlyphs(),
        rng=np.random.default_rng(1),
        rows=2,
    ).image
    plate = cv2.resize(drawn, (160, 80), interpolation=cv2.INTER_AREA)
    image = np.full((400, 600, 3), 40, np.uint8)
    image[200:280, 220:380] = cv2.GaussianBlur(plate, (3, 3), 0.7)
    top = 200 + 80 * found_from_v
    lower = Quad((220.0, top), (380.0, top), (380.0, 280.0), (220.0, 280.0))
    (read,) = reader.read_detections(image, [Detection(lower, 0.7, 1)])
    assert (read.text, read.rows) == ("粤BCR709", 2)
    assert read.box.y1 < 208 < read.box.y2
    image[:230] = 40  # no row above it: none is claimed
    (read,) = reader.read_detections(image, [Detection(lower, 0.7, 1)])
    assert not read.text.startswith("粤")


def test_noise_is_not_read(reader):
    rng = np.random.default_rng(1)
    for _ in range(3):
        image = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
        assert [r.text for r in reader.read(image) if r.text and r.score > 0.5] == []
