"""The committed weights on rendered frames whose reads are written down, and what batches may do."""

import json

import numpy as np
import pytest

from anpr import load_reader
from anpr.ctc import best_path
from anpr.recogniser import load_recogniser
from anpr.rectify import rectify
from benchmarks.frozen_frames import FILE, frames, reads_of


@pytest.fixture(scope="module")
def reader(project):
    return load_reader(project / "models", recogniser="onnxruntime")


@pytest.fixture(scope="module")
def written():
    return json.loads(FILE.read_text("utf-8"))


def test_what_is_read_on_the_frozen_frames_is_what_is_written_down(reader, written):
    """A change that is meant is written with ``python -m benchmarks.frozen_frames --write``."""
    assert reads_of(reader) == written


def test_what_is_written_down_is_what_the_frames_show(written):
    """The file cannot be refreshed to anything: nine of ten plates must be read as drawn."""
    shown = [(n, text) for n, frame in enumerate(written) for text in frame["shown"]]
    read = {(n, one[0]) for n, frame in enumerate(written) for one in frame["read"]}
    assert len(shown) >= 10
    assert sum(plate in read for plate in shown) >= 0.9 * len(shown)
    assert len(read - set(shown)) <= 0.1 * len(shown)


@pytest.fixture(scope="module")
def crops(reader, project):
    recogniser = load_recogniser(project / "models" / "plate_rec", "onnxruntime")
    cut = [
        row
        for image, _ in frames()
        for found in reader.detect(image)
        for row in rectify(image, found.quad, found.rows, recogniser.size_px)
    ]
    return recogniser, cut


def test_a_crop_has_the_same_text_whatever_else_is_in_the_batch(crops):
    recogniser, cut = crops
    alone = [recogniser.lattices([crop])[0] for crop in cut]
    assert len({best_path(lattice)[0] for lattice in alone}) >= 8
    rng = np.random.default_rng(2)
    noise = [rng.integers(0, 256, cut[0].shape).astype(np.uint8) for _ in range(3)]
    for size in (2, 5, len(cut)):
        order = rng.permutation(len(cut))[:size]
        together = recogniser.lattices([*(cut[i] for i in order), *noise])
        for i, lattice in zip(order, together, strict=False):
            assert best_path(lattice)[0] == best_path(alone[i])[0]
            assert np.allclose(lattice.probabilities, alone[i].probabilities, atol=1e-4)
