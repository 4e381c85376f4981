"""Image in, plates out: the whole reader in one screen."""

import math
import os
from collections.abc import Sequence
from typing import Final

import numpy as np

from anpr import color
from anpr.color import ColorNetwork, ColorRead
from anpr.ctc import Lattice, Spelled, hypotheses, spell
from anpr.detector import PlateDetector
from anpr.errors import ImageError
from anpr.plate import UNREAD, Decoded, decode, with_doubt, with_lost_characters
from anpr.recogniser import PlateRecogniser, load_recogniser
from anpr.rectify import MARGIN_U, rectify, rectify_whole
from anpr.types import Character, Detection, Image, PlateRead
from anpr.weights import load_model, models_folder

_RETRY_BELOW: Final = 0.5
"""A read less probable than this is tried again with the other number of rows."""
_NOT_A_PLATE_FROM: Final = 0.5
"""An unread detection that the colour network doubts so much is dropped."""


class PlateReader:
    """Finds and reads the plates of an image; may be shared between threads.

    Made by :func:`load_reader`.
    """

    def __init__(
        self,
        detector: PlateDetector,
        recogniser: PlateRecogniser,
        colors: ColorNetwork,
        *,
        recogniser_name: str,
        calibration: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        """Put a reader together.

        Args:
            detector: finds plates.
            recogniser: reads their characters.
            colors: tells their ground colours.
            recogniser_name: name and short hash, as the detector's ``name``.
            calibration: slope and offset that turn the log-odds of a decoded text into those of
                its being right (Platt scaling).
        """
        self._detector = detector
        self._recogniser = recogniser
        self._colors = colors
        self._calibration = calibration
        self.detector_name: str = detector.name
        self.recogniser_name: str = recogniser_name

    def read(self, image: Image) -> list[PlateRead]:
        """The plates of an image, best detection first.

        A plate that is found but cannot be read comes back with text "" or with ``?`` in its
        unread places.

        Raises:
            ImageError: the image is not ``uint8 (height, width, 3)`` or is empty.
            InferenceError: a network failed.
        """
        return self.read_detections(image, self.detect(image))

    def detect(self, image: Image) -> list[Detection]:
        """The plates of an image without reading them, best first. Raises as :meth:`read`."""
        _check(image)
        return self._detector.detect(image)

    def read_detections(self, image: Image, detections: Sequence[Detection]) -> list[PlateRead]:
        """Read plates that were found before. Raises as :meth:`read`.

        A detection that turns out not to be a plate gives no read, so there may be fewer reads
        than detections.
        """
        _check(image)
        if not detections:
            return []
        wholes = [rectify_whole(image, d.quad, color.SIZE_PX) for d in detections]
        seen = self._colors.classify(wholes)
        decoded = self._decode(image, detections, seen)
        reads = []
        for detection, ground, (best, spelled, rows) in zip(detections, seen, decoded, strict=True):
            if not best.number.text and ground.not_a_plate >= _NOT_A_PLATE_FROM:
                continue
            reads.append(self._as_read(detection, best, spelled, rows))
        return reads

    def _decode(
        self, image: Image, detections: Sequence[Detection], seen: Sequence[ColorRead]
    ) -> list[tuple[Decoded, tuple[Spelled, ...], int]]:
        """Each detection's plate, how it is laid along the lattice, and in how many rows."""
        size = self._recogniser.size_px
        crops = [rectify(image, d.quad, d.rows, size) for d in detections]
        results = [
            (*_decoded(lattice, ground, d.rows), d.rows)
            for lattice, ground, d in zip(
                self._recogniser.lattices(crops), seen, detections, strict=True
            )
        ]
        doubtful = [i for i, (best, _, _) in enumerate(results) if best.probability < _RETRY_BELOW]
        other_crops = [
            rectify(image, detections[i].quad, 3 - detections[i].rows, size) for i in doubtful
        ]
        for i, lattice in zip(doubtful, self._recogniser.lattices(other_crops), strict=True):
            rows = 3 - detections[i].rows
            other, spelled = _decoded(lattice, seen[i], rows)
            if other.probability > results[i][0].probability:
                results[i] = (other, spelled, rows)
        return results

    def _as_read(
        self, detection: Detection, best: Decoded, spelled: tuple[Spelled, ...], rows: int
    ) -> PlateRead:
        number = best.number
        options = [() if p is None else spelled[p].options for p in best.places]
        characters = tuple(
            Character(char, score, tuple((c, p) for c, p in considered if c != char))
            for char, score, considered in zip(number.text, best.scores, options, strict=True)
        )
        probability = best.probability
        if UNREAD in number.text:
            probability = math.prod(c.score for c in characters if c.char != UNREAD)
        return PlateRead(
            text=number.text,
            score=calibrated(probability, self._calibration) if number.text else 0.0,
            kind=number.kind,
            color=number.color,
            quad=detection.quad,
            rows=rows,
            detection_score=detection.score,
            characters=characters,
        )


def _decoded(lattice: Lattice, ground: ColorRead, rows: int) -> tuple[Decoded, tuple[Spelled, ...]]:
    best = decode(hypotheses(lattice), ground.colors)
    spelled = spell(lattice, best.source)
    if rows == 1:
        across = 1 + 2 * MARGIN_U
        positions = [s.position * across - MARGIN_U for s in spelled]
        best = with_lost_characters(best, positions, ground.colors)
    return with_doubt(best), spelled


def calibrated(probability: float, calibration: tuple[float, float]) -> float:
    """Platt scaling: ``sigmoid(slope * logit(probability) + offset)``, in (0, 1)."""
    slope, offset = calibration
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(slope * math.log(p / (1 - p)) + offset)))


def _check(image: Image) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ImageError(f"an image is uint8 (height, width, 3) BGR, got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"an image is uint8 (height, width, 3) BGR, got shape {image.shape}")


def load_reader(
    models: str | os.PathLike[str] | None = None,
    *,
    recogniser: str = "paddleocr",
    threads: int = 1,
) -> PlateReader:
    """Load detector, recogniser and colour network, all verified.

    Args:
        models: the models folder; by default ``$KAKOU_MODELS``, else ``models`` beside the package.
        recogniser: ``paddleocr``, or ``onnxruntime`` to run the same folder without PaddleOCR.
        threads: CPU threads for one run of a network, at least 1.

    Raises:
        WeightsError: a file is missing, altered or malformed; the message names it.
        ValueError: an argument is out of range.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    folder = models_folder(models)
    recognition = load_model(folder, "plate_rec")
    slope, offset = recognition.settings.get("calibration", (1.0, 0.0))
    return PlateReader(
        PlateDetector(load_model(folder, "plate_det"), threads=threads),
        load_recogniser(recognition.folder, recogniser, threads=threads),
        ColorNetwork(load_model(folder, "plate_color"), threads=threads),
        recogniser_name=recognition.name,
        calibration=(float(slope), float(offset)),
    )
