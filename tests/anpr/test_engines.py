"""Two engines, one answer; and no crop's text depends on its neighbours."""

import importlib.util
import sys

import numpy as np
import pytest
import yaml

from anpr.color import ColorNetwork
from anpr.ctc import best_path
from anpr.errors import InferenceError, WeightsError
from anpr.recogniser import OnnxRecogniser, _unseen, load_recogniser, read_folder
from anpr.weights import load_model

# Importing PaddleOCR's dependencies raises warnings that are not ours.
paddle = pytest.mark.filterwarnings("ignore")


def random_plates(count, size_px, seed=0):
    width, height = size_px
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, height, width, 3), np.uint8))


@paddle
@pytest.mark.parametrize("bgr", [True, False])
def test_both_engines_give_the_same_lattice_text_and_score(make_recogniser_folder, bgr):
    folder = make_recogniser_folder(bgr=bgr)
    ours = load_recogniser(folder, "onnxruntime")
    theirs = load_recogniser(folder, "paddleocr")
    assert ours.size_px == theirs.size_px == (96, 32)
    plates = random_plates(5, ours.size_px)
    our_lattices, their_lattices = ours.lattices(plates), theirs.lattices(plates)
    assert len(theirs.last_results) == 5
    for ours_one, theirs_one, (text, score) in zip(
        our_lattices, their_lattices, theirs.last_results, strict=True
    ):
        assert np.allclose(ours_one.probabilities, theirs_one.probabilities, atol=1e-6)
        # The text and score are those that PaddleOCR itself gives.
        assert best_path(ours_one)[0] == best_path(theirs_one)[0] == text
        assert best_path(ours_one)[1] == pytest.approx(score, abs=1e-6)
    assert len({text for text, _ in theirs.last_results}) > 1


@paddle
@pytest.mark.parametrize("engine", ["onnxruntime", "paddleocr"])
def test_a_plate_reads_the_same_whatever_else_is_in_the_batch(make_recogniser_folder, engine):
    recogniser = load_recogniser(make_recogniser_folder(), engine)
    plate, *others = random_plates(6, recogniser.size_px)
    (alone,) = recogniser.lattices([plate])
    for batch, at in (([plate, *others], 0), ([*others, plate], 5), ([plate] * 3, 1)):
        together = recogniser.lattices(batch)[at]
        assert best_path(together)[0] == best_path(alone)[0]
        assert np.allclose(together.probabilities, alone.probabilities, atol=1e-5)


def test_no_plates_no_lattices(make_recogniser_folder):
    assert load_recogniser(make_recogniser_folder(), "onnxruntime").lattices([]) == []


def test_a_general_text_model_is_fed_plates_at_the_aspect_of_plates(make_recogniser_folder):
    """A 320 x 48 folder of somebody's own PP-OCR model with free width: 168 x 48 is used."""
    folder = make_recogniser_folder()
    config = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    config["PreProcess"]["transform_ops"][-1]["RecResizeImg"]["image_shape"] = [3, 48, 320]
    (folder / "inference.yml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    assert read_folder(folder).size_px == (168, 48)
    # The network itself takes one size only, and that counts.
    assert OnnxRecogniser(read_folder(folder)).size_px == (96, 32)


def test_an_alphabet_of_another_length_is_refused(make_recogniser_folder):
    recogniser = load_recogniser(make_recogniser_folder(classes=40), "onnxruntime")
    with pytest.raises(WeightsError, match=r"inference\.onnx: has 40 classes"):
        recogniser.lattices(random_plates(1, recogniser.size_px))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("PostProcess"), r"inference\.yml: PostProcess\.character_dict is missing"),
        (lambda c: c["PostProcess"].update(character_dict=[0, 1]), "must be a list of strings"),
        (lambda c: c["PreProcess"].update(transform_ops=[]), r"RecResizeImg\.image_shape"),
    ],
)
def test_a_malformed_description_is_named(make_recogniser_folder, change, message):
    folder = make_recogniser_folder()
    config = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    change(config)
    (folder / "inference.yml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    with pytest.raises(WeightsError, match=message):
        read_folder(folder)


@paddle
def test_a_folder_that_paddleocr_refuses_is_named(make_recogniser_folder):
    folder = make_recogniser_folder(name="no_such_model_of_theirs")
    with pytest.raises(WeightsError, match="PaddleOCR refuses"):
        load_recogniser(folder, "paddleocr")


def test_an_engine_that_does_not_exist_is_refused(make_recogniser_folder):
    with pytest.raises(ValueError, match="recogniser must be one of"):
        load_recogniser(make_recogniser_folder(), "tesseract")


def test_a_failing_network_is_no_empty_road(make_recogniser_folder):
    recogniser = load_recogniser(make_recogniser_folder(), "onnxruntime")
    with pytest.raises(InferenceError, match=r"inference\.onnx: failed"):
        recogniser.lattices(random_plates(1, (50, 20)))


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("paddleocr", marks=paddle)])
@pytest.mark.parametrize("factor", [np.nan, 3.0])
def test_what_are_no_probabilities_is_not_taken_for_an_unread_plate(
    make_recogniser_folder, spoil, engine, factor
):
    folder = make_recogniser_folder()
    spoil(folder / "inference.onnx", factor)
    recogniser = load_recogniser(folder, engine)
    with pytest.raises(InferenceError, match=r"inference\.onnx: .* no probabilities"):
        recogniser.lattices(random_plates(2, recogniser.size_px))


@pytest.mark.parametrize("factor", [np.nan, 3.0])
def test_what_are_no_probabilities_is_not_taken_for_no_plate(tiny_models, spoil, factor):
    """``min(1, NaN)`` is 1: every plate would have been sorted out as none."""
    model = load_model(tiny_models, "plate_color")
    spoil(model.path("color.onnx"), factor)
    with pytest.raises(InferenceError, match=r"color\.onnx: answered no probabilities"):
        ColorNetwork(model).classify([np.zeros((24, 72, 3), np.uint8)])


def test_what_is_hidden_during_an_import_looks_not_installed_and_comes_back():
    """PaddleOCR's dependencies load PyTorch wherever it is: 180 MB that nothing here uses."""
    assert "colorsys" not in sys.modules or sys.modules.pop("colorsys")
    with _unseen("colorsys"):
        assert importlib.util.find_spec("colorsys") is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("colorsys")
    assert importlib.import_module("colorsys") is not None
    with _unseen("colorsys"):  # in use already: taking it away would break who uses it
        assert importlib.import_module("colorsys") is sys.modules["colorsys"]
