"""What the reader's tests share: hand-made lattices and tiny networks that need no training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from anpr.color import CLASSES as COLORS
from anpr.ctc import Lattice
from anpr.plate import RECOGNISER_ALPHABET
from anpr.weights import file_sha256

ALPHABET = ("", *RECOGNISER_ALPHABET)
CLASSES = len(ALPHABET)
INDEX = {char: i for i, char in enumerate(ALPHABET) if char}


def _lattice(
    places: Sequence[Mapping[str, float] | str],
    at: Sequence[float] | None = None,
    steps: int = 40,
) -> Lattice:
    """A peaky lattice with one peak for each place.

    A place is a character or a mapping of characters to probabilities; what is missing from 1 is
    blank. ``at`` are the centres of the places along the lattice, evenly spread by default.
    """
    p = np.zeros((steps, len(ALPHABET)))
    p[:, 0] = 1.0
    centres = at or [(k + 0.5) / len(places) for k in range(len(places))]
    for place, centre in zip(places, centres, strict=True):
        options = {place: 0.9999} if isinstance(place, str) else place
        step = int(centre * steps)
        for char, probability in options.items():
            p[step, INDEX[char]] = probability
        p[step, 0] = 1.0 - sum(options.values())
    return Lattice(p.astype(np.float32), ALPHABET)


@pytest.fixture(scope="session")
def make_lattice():
    """A lattice from what is considered in each place: see ``_lattice``."""
    return _lattice


def _write_recogniser(
    folder: Path,
    *,
    size_px=(96, 32),
    classes=CLASSES,
    bgr=True,
    seed=0,
    name="PP-OCRv5_mobile_rec",
):
    """A PaddleOCR recognition folder around one random convolution: (N,3,H,W) to (N,T,C)."""
    width, height = size_px
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.4, (classes, 3, height, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["features"], strides=[1, 4]),
        helper.make_node("Squeeze", ["features", "axis"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["steps"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["steps"], ["probabilities"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, height, width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", None, classes])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([2], np.int64), "axis"),
        ],
    )
    _save(graph, folder / "inference.onnx")
    operations = [{"DecodeImage": {"channel_first": False, "img_mode": "BGR"}}] if bgr else []
    operations.append({"RecResizeImg": {"image_shape": [3, height, width]}})
    config = {
        "Global": {"model_name": name},
        "PreProcess": {"transform_ops": operations},
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": list(RECOGNISER_ALPHABET)},
    }
    text = yaml.safe_dump(config, allow_unicode=True)
    (folder / "inference.yml").write_text(text, encoding="utf-8")


def _save(graph, path: Path, metadata=()):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in metadata:
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def _write_detector(path: Path, *, stride=8, numbers=11, output="plates"):
    """A detector that sees a plate of one fixed shape in each of the eight brightest cells."""
    mean = np.full((1, 3, stride, stride), 1 / (255 * 3 * stride * stride), np.float32)
    corners = np.array([-5, -2, 5, -2, 5, 2, -5, 2], np.float32)[: numbers - 3]
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["numbers", "mean"], ["heat"], strides=[stride, stride]),
        helper.make_node("Reshape", ["heat", "column"], ["cells"]),
        helper.make_node("TopK", ["cells", "eight"], ["scores", "at"], axis=0),
        helper.make_node("Mul", ["scores", "none"], ["rows"]),
        helper.make_node("Cast", ["at"], ["cell"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["rows", "shape"], ["corners"]),
        helper.make_node("Concat", ["scores", "rows", "cell", "corners"], [output], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["k", numbers])],
        [
            numpy_helper.from_array(mean, "mean"),
            numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
            numpy_helper.from_array(np.array([8], np.int64), "eight"),
            numpy_helper.from_array(np.zeros(1, np.float32), "none"),
            numpy_helper.from_array(corners[None], "shape"),
        ],
    )
    _save(graph, path, [("stride", str(stride))])


def _write_color(path: Path, classes=8):
    """Colours from the mean of the picture's channels by a fixed random mixture."""
    mix = np.random.default_rng(1).normal(0, 3, (classes, 3, 24, 72)).astype(np.float32) / 127_500
    nodes = [
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["numbers", "mix"], ["mixed"]),
        helper.make_node("Flatten", ["mixed"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "color",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 24, 72, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(mix, "mix")],
    )
    _save(graph, path)


@pytest.fixture
def make_recogniser_folder(tmp_path):
    """Write a tiny recogniser folder and return its path; options as ``_write_recogniser``."""

    def make(**options):
        folder = tmp_path / "plate_rec"
        folder.mkdir(exist_ok=True)
        _write_recogniser(folder, **options)
        return folder

    return make


@pytest.fixture
def make_detector():
    """Write a tiny detector to a path; options as ``_write_detector``."""
    return _write_detector


@pytest.fixture
def spoil():
    """Multiply all that a network's file answers by a number: NaN stands for a broken network."""

    def multiply(path, factor):
        model = onnx.load(path)
        (answer,) = model.graph.output
        model.graph.node[-1].output[0] = "unspoilt"
        factors = numpy_helper.from_array(np.array([factor], np.float32), "factor")
        model.graph.initializer.append(factors)
        model.graph.node.append(helper.make_node("Mul", ["unspoilt", "factor"], [answer.name]))
        onnx.save(model, path)

    return multiply


@pytest.fixture
def tiny_models(tmp_path):
    """A complete models folder of tiny networks with its manifest."""
    folder = tmp_path / "models"
    _write_detector(folder / "plate_det" / "detector.onnx")
    (folder / "plate_rec").mkdir()
    _write_recogniser(folder / "plate_rec")
    _write_color(folder / "plate_color" / "color.onnx")
    tables = {
        "plate_det": (["detector.onnx"], "stride = 8\ninput_side_px = 320\nscore_threshold = 0.8"),
        "plate_rec": (["inference.onnx", "inference.yml"], "calibration = [1.0, 0.0]"),
        "plate_color": (
            ["color.onnx"],
            f"classes = {json.dumps([*COLORS, 'not_a_plate'])}",
        ),
    }
    text = ""
    for table, (files, settings) in tables.items():
        listed = "".join(
            f'"{table}/{name}" = "{file_sha256(folder / table / name)}"\n' for name in files
        )
        text += f'[{table}]\nname = "{table}-tiny"\n{settings}\n[{table}.files]\n{listed}\n'
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return folder
