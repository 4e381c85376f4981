"""Reading the characters: upright plates of one size to lattices, by either of two engines.

Both engines run the same PaddleOCR model folder (``inference.onnx`` and ``inference.yml``).
``paddleocr`` runs it through PaddleOCR's ``TextRecognition``; ``onnxruntime`` does the same
arithmetic without importing PaddleOCR, which saves a small box some 250 MB and 3 s at start. They
give the same probabilities.

Every crop is stretched to the one size that the network takes. Nothing is padded to the widest
crop of a batch, so a plate's text never depends on its neighbours.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from anpr.ctc import Lattice
from anpr.errors import InferenceError, WeightsError
from anpr.session import Network
from anpr.types import Image

MODEL_FILE: Final = "inference.onnx"
CONFIG_FILE: Final = "inference.yml"
ENGINES: Final = ("paddleocr", "onnxruntime")
_KNOWN_NAME: Final = "PP-OCRv5_mobile_rec"
"""PaddleX picks its predictor by a name that it knows; any recogniser's name serves."""
_WIDEST_ASPECT: Final = 3.5
"""General text models are made for long lines (320 x 48). A plate stretched to their full width
is read worse than one stretched to 168 x 48 (84 against 69 of 120 real crops)."""
# v/255 in float64, then rounded once, as PaddleOCR does it: the engines must agree to the bit.
_SCALE: Final = ((np.arange(256) / 255 - 0.5) / 0.5).astype(np.float32)
_ROUNDED: Final = 0.01
"""How far from 1 a step's probabilities may add up to, on the average."""


class PlateRecogniser(Protocol):
    """What reads upright plates."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the plates it takes."""
        ...

    def lattices(self, plates: Sequence[Image]) -> list[Lattice]:
        """One lattice for each plate, in order; each plate is ``uint8 (H, W, 3)`` BGR.

        Raises:
            InferenceError: the network failed or answered with what are no probabilities.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecogniserFolder:
    """What a PaddleOCR recognition folder says of its network."""

    path: Path
    model_name: str
    characters: tuple[str, ...]
    size_px: tuple[int, int]
    is_bgr: bool
    """Else the network is fed RGB, as PaddleOCR does without a ``DecodeImage`` step."""
    _longest: tuple[str, ...] = field(init=False, repr=False)
    """Blank, the characters, and a space."""

    def __post_init__(self) -> None:
        """Put the alphabet together, which every answer of the network is read by."""
        object.__setattr__(self, "_longest", ("", *self.characters, " "))

    def alphabet(self, classes: int) -> tuple[str, ...]:
        """The network's classes: blank, the characters and, in PaddleOCR's own models, a space.

        Raises:
            WeightsError: the network has another number of classes.
        """
        alphabet = self._longest
        if classes not in {len(alphabet), len(alphabet) - 1}:
            raise WeightsError(
                f"{self.path / MODEL_FILE}: has {classes} classes, but {CONFIG_FILE} lists "
                f"{len(self.characters)} characters"
            )
        return alphabet[:classes]


def read_folder(path: Path) -> RecogniserFolder:
    """Read ``inference.yml`` of a PaddleOCR recognition folder.

    Raises:
        WeightsError: it is missing or malformed; the message names the file and the key.
    """
    file = path / CONFIG_FILE
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise WeightsError(f"{file}: {error}") from error
    characters = _lookup(config, file, "PostProcess", "character_dict")
    if not isinstance(characters, list) or not all(isinstance(c, str) for c in characters):
        raise WeightsError(f"{file}: PostProcess.character_dict must be a list of strings")
    operations: dict[str, Any] = {}
    for operation in _lookup(config, file, "PreProcess", "transform_ops"):
        operations.update(operation)
    shape = (operations.get("RecResizeImg") or {}).get("image_shape")
    if not (isinstance(shape, list) and len(shape) == 3 and all(isinstance(n, int) for n in shape)):
        raise WeightsError(f"{file}: RecResizeImg.image_shape must be [3, height, width]")
    height, width = shape[1], min(shape[2], round(shape[1] * _WIDEST_ASPECT))
    mode = (operations.get("DecodeImage") or {}).get("img_mode", "RGB")
    name = (config.get("Global") or {}).get("model_name", _KNOWN_NAME)
    return RecogniserFolder(path, str(name), tuple(characters), (width, height), mode == "BGR")


def _lookup(config: Any, file: Path, section: str, key: str) -> Any:
    try:
        return config[section][key]
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{file}: {section}.{key} is missing") from error


def load_recogniser(folder: Path, engine: str, *, threads: int = 1) -> PlateRecogniser:
    """Load a PaddleOCR recognition folder with one of :data:`ENGINES`.

    Raises:
        WeightsError: a file is missing or malformed, or PaddleOCR is asked for and not installed.
        ValueError: there is no such engine.
    """
    described = read_folder(folder)
    if engine == "onnxruntime":
        return OnnxRecogniser(described, threads=threads)
    if engine == "paddleocr":
        return PaddleRecogniser(described)
    raise ValueError(f"recogniser must be one of {', '.join(ENGINES)}, got {engine!r}")


class OnnxRecogniser:
    """The recogniser on onnxruntime alone; may be shared between threads."""

    def __init__(self, folder: RecogniserFolder, *, threads: int = 1) -> None:
        """Load the network.

        Raises:
            WeightsError: the file is no usable network; the message names it.
        """
        self._folder = folder
        self._network = Network(folder.path / MODEL_FILE, threads=threads)
        self._size_px = _size_of(folder, self._network.input_shape)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the plates it takes."""
        return self._size_px

    def lattices(self, plates: Sequence[Image]) -> list[Lattice]:
        """One lattice for each plate, in order.

        Raises:
            InferenceError: the network failed or answered with what are no probabilities.
        """
        if not plates:
            return []
        stacked = plates[0][None] if len(plates) == 1 else np.stack(plates)
        ordered = stacked if self._folder.is_bgr else stacked[..., ::-1]
        # bytes are a quarter of what is to be put into another order
        planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2))
        scaled = cv2.LUT(planes.reshape(-1, planes.shape[3]), _SCALE)
        batch = np.asarray(scaled, np.float32).reshape(planes.shape)
        outputs = self._network.run(batch)
        return _as_lattices(self._folder, next(iter(outputs.values())), len(plates))


@contextmanager
def _unseen(package: str) -> Iterator[None]:
    """Let what is imported meanwhile take a package for not installed, unless it is in use already.

    PaddleOCR never needs PyTorch to run a network on onnxruntime, but a client of a model hoster
    among its dependencies loads it wherever it is installed: 180 MB and seconds for nothing.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # makes an import fail (importlib)
    try:
        yield
    finally:
        del sys.modules[package]


class PaddleRecogniser:
    """The recogniser run by PaddleOCR.

    PaddleOCR's result holds a text and a mean score; the probabilities that it was made of are
    what voting and fuzzy search live on. So the last step of its predictor, the decoder, is
    wrapped: it still does its work, and hands us the network's answer on the way. One call runs
    at a time, on one thread: a second one of PaddleOCR's sessions, whose options cannot be set as
    finely as ours, stays awake between runs and takes its processor from the detector (10 ms of
    CPU a frame on two cores), and a network so small gains a fraction of a millisecond by it.
    """

    def __init__(self, folder: RecogniserFolder) -> None:
        """Load the network through PaddleOCR.

        Raises:
            WeightsError: PaddleOCR is not installed or refuses the folder; the message names it.
        """
        # Nothing is ever looked up at a model hoster: the folder is given.
        os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
        try:
            with _unseen("torch"):
                from paddleocr import TextRecognition  # noqa: PLC0415 – 3 s and 150 MB
        except ImportError as error:
            raise WeightsError(
                "the recogniser 'paddleocr' needs the package paddleocr: install kakou[paddle], "
                "or choose the recogniser 'onnxruntime'"
            ) from error
        # PaddleX says little about a damaged file; our own session names it.
        shape = Network(folder.path / MODEL_FILE).input_shape
        self._folder = folder
        self._size_px = _size_of(folder, shape)
        width, height = self._size_px
        try:
            self._engine = TextRecognition(
                model_name=folder.model_name,
                model_dir=str(folder.path),
                engine="onnxruntime",
                device="cpu",
                engine_config={"intra_op_num_threads": 1},
                input_shape=(3, height, width),
            )
        except Exception as error:  # PaddleX raises whatever lies deepest
            raise WeightsError(f"{folder.path}: PaddleOCR refuses this folder: {error}") from error
        predictor = self._engine.paddlex_predictor
        self._decoder = predictor.post_op
        predictor.post_op = self._decode
        self._answers: list[NDArray[np.float32]] = []
        self._one_at_a_time = threading.Lock()
        self.last_results: tuple[tuple[str, float], ...] = ()
        """PaddleOCR's own texts and scores of the latest call, in order."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the plates it takes."""
        return self._size_px

    def _decode(self, answer: Sequence[NDArray[np.float32]], **options: Any) -> Any:
        self._answers.append(np.asarray(answer[0]))
        return self._decoder(answer, **options)

    def lattices(self, plates: Sequence[Image]) -> list[Lattice]:
        """One lattice for each plate, in order.

        Raises:
            InferenceError: PaddleOCR or the network failed, or answered with what are no
                probabilities.
        """
        if not plates:
            return []
        with self._one_at_a_time:
            self._answers.clear()
            try:
                results = self._engine.predict(list(plates), batch_size=len(plates))
            except Exception as error:  # as above
                raise InferenceError(f"{self._folder.path}: PaddleOCR failed: {error}") from error
            self.last_results = tuple((r["rec_text"], float(r["rec_score"])) for r in results)
            answer = np.concatenate(self._answers)
        return _as_lattices(self._folder, answer, len(plates))


def _size_of(folder: RecogniserFolder, shape: tuple[int | None, ...]) -> tuple[int, int]:
    """Width and height that the network takes, else those of ``inference.yml``."""
    width, height = folder.size_px
    return (shape[3] or width, shape[2] or height)


def _as_lattices(
    folder: RecogniserFolder, answer: NDArray[np.float32], count: int
) -> list[Lattice]:
    if answer.ndim != 3 or len(answer) != count:
        raise InferenceError(
            f"{folder.path / MODEL_FILE}: answered {answer.shape} to {count} plates"
        )
    alphabet = folder.alphabet(answer.shape[2])
    steps = answer.shape[0] * answer.shape[1]
    if not abs(float(answer.sum()) - steps) < _ROUNDED * steps:
        raise InferenceError(f"{folder.path / MODEL_FILE}: answered with what are no probabilities")
    return [Lattice(probabilities, alphabet) for probabilities in answer]
