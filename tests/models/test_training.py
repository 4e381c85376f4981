"""Training runs in small, and the laws of what it feeds the networks."""

import json
import subprocess
import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import RECOGNISER_ALPHABET

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from models.training.averaging import main as average_recognisers
from models.training.averaging import mean_of
from models.training.crop_scores import Crop, greedy
from models.training.degrade import Mounted, photograph
from models.training.measure import calibration, expected_error
from models.training.plate_canvas import CANVAS_PX, CORE, Sample, canvas_of, clean_text
from models.training.recogniser import mixture_for
from models.training.relettering import character_boxes, erase, paint
from models.training.schedule import learning_rate


def run_training(module: str, project: Path, runs: Path, export: Path) -> list[dict]:
    """One quick run as a user would start it; its metrics."""
    command = [sys.executable, "-m", f"models.training.{module}", "--quick"]
    command += ["--runs", str(runs), "--export", str(export)]
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = (runs / module / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_quick_run_of_the_recogniser_ends_in_a_folder_that_reads(project, tmp_path):
    """Data, network, loss, averaged weights and export fit together; the run can be resumed."""
    metrics = run_training("recogniser", project, tmp_path / "runs", tmp_path / "rec")
    losses = [row["loss"] for row in metrics if "loss" in row]
    assert losses
    assert all(np.isfinite(losses))
    session = onnxruntime.InferenceSession(tmp_path / "rec" / "inference.onnx")
    pictures = np.zeros((2, 3, 40, 144), np.float32)
    probabilities = session.run(None, {"x": pictures})[0]
    described = yaml.safe_load((tmp_path / "rec" / "inference.yml").read_text(encoding="utf-8"))
    assert described["PostProcess"]["character_dict"] == list(RECOGNISER_ALPHABET)
    assert probabilities.shape == (2, 36, 1 + len(RECOGNISER_ALPHABET))
    assert np.allclose(probabilities.sum(-1), 1, atol=1e-4)
    again = run_training("recogniser", project, tmp_path / "runs", tmp_path / "rec")
    assert len(again) == len(metrics), "a finished run has nothing left to do"
    checkpoint = str(tmp_path / "runs" / "recogniser" / "checkpoint.pt")
    average_recognisers([checkpoint, checkpoint, "--export", str(tmp_path / "mean")])
    mean = onnxruntime.InferenceSession(tmp_path / "mean" / "inference.onnx")
    assert np.allclose(mean.run(None, {"x": pictures})[0], probabilities, atol=1e-5)


def test_a_reader_of_foreign_plates_is_shown_nothing_else():
    """Latin letters and digits alone, with any share of foreign plates asked for."""
    args = Namespace(data=None, fonts=None, foreign=0.1, only_foreign=True)
    mixture, rng = mixture_for(args), np.random.default_rng(3)
    texts = [mixture.crop(rng)[1] for _ in range(40)]
    assert all(text.isascii() and text.isalnum() for text in texts)
    assert len(set(texts)) > 10


def test_a_mean_of_networks_keeps_types_and_refuses_other_networks():
    whole, half = torch.tensor([1.0, 3.0]), torch.tensor([3.0, 5.0])
    states = [{"w": whole, "n": torch.tensor(4)}, {"w": half, "n": torch.tensor(7)}]
    mean = mean_of(states)
    assert mean["w"].tolist() == [2.0, 4.0]
    assert mean["n"].dtype == torch.int64
    for other in ({"w": whole}, {"w": whole[:1], "n": torch.tensor(1)}):
        with pytest.raises(ValueError, match="different networks"):
            mean_of([states[0], other])


def test_a_quick_run_of_the_colour_network_ends_in_a_file_that_answers(project, tmp_path):
    """Eight classes that add up to one."""
    run_training("color", project, tmp_path / "runs", tmp_path / "color")
    session = onnxruntime.InferenceSession(tmp_path / "color" / "color.onnx")
    answer = session.run(None, {"x": np.zeros((5, 24, 72, 3), np.uint8)})[0]
    assert answer.shape == (5, 8)
    assert np.allclose(answer.sum(-1), 1, atol=1e-4)


@pytest.mark.parametrize("count", [7, 8])
def test_character_boxes_lie_apart_inside_the_plate(count):
    boxes = character_boxes(count)
    x1, y1, x2, y2 = CORE
    assert len(boxes) == count
    assert boxes[0][0] > x1
    assert boxes[-1][2] < x2
    assert all(y1 < box[1] < box[3] < y2 for box in boxes)
    assert all(left[2] < right[0] for left, right in pairwise(boxes))


def plain_plate() -> np.ndarray:
    """A blue canvas with white bars where the characters stand."""
    canvas = np.full((CANVAS_PX[1], CANVAS_PX[0], 3), (150, 70, 20), np.uint8)
    for x1, y1, x2, y2 in character_boxes(7):
        middle = int((x1 + x2) / 2)
        canvas[int(y1) : int(y2), middle - 3 : middle + 3] = 240
    return cv2.GaussianBlur(canvas, (3, 3), 0)


def test_erasing_leaves_the_ground_and_painting_back_brings_the_ink_back():
    """What relettering takes away it can put back: same ground, same ink."""
    canvas = plain_plate()
    erased = erase(canvas, 7, dark_ink=False)
    assert erased is not None
    x1, y1, x2, y2 = CORE
    assert erased.ground[y1:y2, x1:x2].max() < 190
    bar = np.zeros((180, 90), np.uint8)
    bar[:, 30:60] = 255
    painted = paint(
        canvas, erased, character_boxes(7), dict.fromkeys(range(7), bar), np.random.default_rng(0)
    )
    assert np.abs(painted.astype(int) - canvas).mean() < 12


def test_a_plate_without_contrast_is_not_relettered():
    grey = np.full((CANVAS_PX[1], CANVAS_PX[0], 3), 90, np.uint8)
    grey += np.random.default_rng(0).integers(0, 6, grey.shape, np.uint8)
    assert erase(grey, 7, dark_ink=False) is None


@given(st.integers(0, 10_000), st.sampled_from([(1, 0), (2, 0), (2, 1)]))
def test_a_photograph_has_the_size_asked_for_and_is_the_same_for_the_same_seed(seed, shown):
    rows, row = shown
    mounted = Mounted(plain_plate(), CORE, rows)
    first, again = (
        photograph(mounted, (144, 40), np.random.default_rng(seed), row=row) for _ in range(2)
    )
    assert first.shape == (40, 144, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_a_canvas_holds_the_plate_at_its_core():
    """A marked quadrilateral of a picture comes to lie on ``CORE``, everything else outside."""
    picture = np.zeros((400, 600, 3), np.uint8)
    quad = ((200.0, 150.0), (420.0, 180.0), (415.0, 250.0), (205.0, 215.0))
    cv2.fillConvexPoly(picture, np.array(quad, np.int32), (255, 255, 255))
    sample = Sample("", "", quad, "", "", human_corners=True)
    canvas = canvas_of(picture, sample)
    x1, y1, x2, y2 = CORE
    inside = canvas[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].copy()
    canvas[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3] = 0
    assert inside.min() > 200
    assert canvas.max() < 60


@pytest.mark.parametrize(
    ("label", "text"),
    [("皖A·12345", "皖A12345"), ("abc 123", "ABC123"), ("", None), ("皖A1★", None)],
)
def test_labels_are_cleaned_or_refused(label, text):
    assert clean_text(label) == text


def test_the_best_path_joins_repeats_and_keeps_doubles_parted_by_a_blank():
    index = {char: i + 1 for i, char in enumerate(RECOGNISER_ALPHABET)}
    path = [0, index["皖"], index["皖"], 0, index["8"], 0, index["8"], index["8"], 0]
    lattice = np.full((len(path), 1 + len(index)), 0.001, np.float32)
    lattice[np.arange(len(path)), path] = 0.9
    text, score = greedy(lattice)
    assert text == "皖88"
    assert score == pytest.approx(0.9)


def test_calibration_counts_a_plate_once_and_by_its_least_sure_character():
    index = {char: i + 1 for i, char in enumerate(RECOGNISER_ALPHABET)}

    def lattice(text: str, score: float) -> np.ndarray:
        rows = np.zeros((len(text), 1 + len(index)), np.float32)
        rows[np.arange(len(text)), [index[char] for char in text]] = score
        return rows

    answers = [lattice("皖", 0.91), lattice("8", 0.62), lattice("7", 0.97)]
    picture = np.zeros((40, 144, 3), np.uint8)
    two_rows = Crop((picture, picture), "皖8", "street", "")
    misread = Crop((picture,), "1", "street", "")
    table = calibration([two_rows, misread], lambda rows: answers[: len(rows)])
    assert table == [(pytest.approx(0.62), 1.0, 1), (pytest.approx(0.97), 0.0, 1)]
    assert expected_error(table) == pytest.approx((0.38 + 0.97) / 2)


def test_the_learning_rate_rises_then_falls_to_nearly_nothing():
    rates = [learning_rate(step, 1000, 1.0) for step in range(1000)]
    top = int(np.argmax(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.02
