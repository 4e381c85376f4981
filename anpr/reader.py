"""Image in, plates out: the whole reader in one screen."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from anpr import color
from anpr.color import ColorNetwork, ColorRead
from anpr.ctc import in_a_row
from anpr.detector import PlateDetector
from anpr.errors import ImageError
from anpr.looks import Look, Reading, decide
from anpr.plate import UNREAD, PlateColor, PlateKind, with_lost_upper_row
from anpr.recogniser import PlateRecogniser, load_recogniser
from anpr.rectify import MARGIN_U, raised, rectify, rectify_whole, slanted, widened
from anpr.types import Character, Detection, Image, PlateRead, Quad
from anpr.weights import has_model, load_model, models_folder

_SURE_FROM: Final = 0.9
"""A plate read less probably than this is looked at again."""
_WIDER_U: Final = 0.06
"""Part of the plate's width that the wider cut adds at each side: a detector's corner error."""
_POOR_BELOW: Final = 0.5
"""A plate still read less probably than this is tried with the other number of rows, and slanted."""
_SLANTS_U: Final = (-0.2, -0.1, 0.1, 0.2)
"""Slants tried on it, in parts of the plate's width between its upper and its lower edge."""
_LIKELY_FROM: Final = 0.8
"""A slant whose reading is less probable than this has not shown that it is one."""
_RAISED_V: Final = (0.3, 0.45, 0.6)
"""How much higher the top edge is tried, in heights of what may be a lower row alone: it is between
0.62 and 0.77 of the whole plate, depending on how much of the upper row was found with it."""
_OF_A_GUESS: Final = 0.97
"""Of the probability of a reading that only a guessed slant gave: right often, not surely."""
_OF_NO_FORM: Final = 0.5
"""Half of a two-row plate reads like a short foreign one: a text without a form counts half."""
_GROUNDS_OF_TWO_ROWS: Final = (PlateColor.YELLOW, PlateColor.GREEN)
_CHINESE_GROUND_FROM: Final = 0.5
_ONE_ROW_WIDER_THAN: Final = 2.8
"""In heights: plates of one row are 3.1 wide and more, those of two rows at most 2."""
_CERTAIN: Final = 1e-9
"""No score is nearer to 0 or 1 than this: nothing is certain, and 1 would be rounded, not known."""
_UNREAD_NOT_A_PLATE_FROM: Final = 0.3
"""An unread detection that the colour network doubts so much is dropped."""
_UNREAD_SCORE_FROM: Final = 0.65
"""An unread detection weaker than this is dropped: lamps and signs look a little like plates."""
_UNREAD_SURE_FROM: Final = 0.8
_GROUND_CLEAR_FROM: Final = 0.7
"""One weaker than the former must show a ground of which the colour network is so sure: a piece of a
lettered sign has none of the colours of plates."""


class PlateReader:
    """Finds and reads the plates of an image; may be shared between threads.

    Made by :func:`load_reader`.
    """

    def __init__(  # noqa: PLR0913 - what a reader consists of
        self,
        detector: PlateDetector,
        recogniser: PlateRecogniser,
        colors: ColorNetwork,
        *,
        recogniser_name: str,
        foreign: PlateRecogniser | None = None,
        calibration: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        """Put a reader together.

        Args:
            detector: finds plates.
            recogniser: reads their characters.
            colors: tells their ground colours.
            recogniser_name: name and short hash, as the detector's ``name``.
            foreign: reads once more what the recogniser calls a foreign plate.
            calibration: slope and offset that turn the log-odds of a decoded text into those of
                its being right (Platt scaling).
        """
        self._detector = detector
        self._recogniser = recogniser
        self._foreign = foreign
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
        return self.read_detections(image, self.detect(image, patient=True))

    def detect(self, image: Image, *, patient: bool = False) -> list[Detection]:
        """The plates of an image without reading them, best first. Raises as :meth:`read`.

        ``patient``: look once more, at a larger size, at a picture in which nothing was found. A
        camera's frames do without: the next one shows the vehicle nearer.
        """
        _check(image)
        return self._detector.detect(image, patient=patient)

    def read_detections(self, image: Image, detections: Sequence[Detection]) -> list[PlateRead]:
        """Read plates that were found before. Raises as :meth:`read`.

        A detection that turns out not to be a plate gives no read, so there may be fewer reads
        than detections.
        """
        _check(image)
        if not detections:
            return []
        size = self._recogniser.size_px
        plates = [rectify(image, d.quad, d.rows, size) for d in detections]
        wholes = [_whole(image, d.quad, plate) for d, plate in zip(detections, plates, strict=True)]
        seen = self._colors.classify(wholes)
        read = self._readings(image, detections, plates, seen)
        return [
            self._as_read(
                detection if quad is detection.quad else replace(detection, quad=quad), reading
            )
            for detection, ground, (quad, reading) in zip(detections, seen, read, strict=True)
            if reading.decoded.number.text or _is_plate(detection, ground)
        ]

    def _readings(
        self,
        image: Image,
        detections: Sequence[Detection],
        plates: Sequence[tuple[Image, ...]],
        seen: Sequence[ColorRead],
    ) -> list[tuple[Quad, Reading]]:
        """Each detection's plate and where it is; doubt after the first look asks for more."""
        quads = [d.quad for d in detections]
        rows = [d.rows for d in detections]
        first = _looks_of(self._recogniser, plates, [MARGIN_U] * len(plates))
        readings = [
            decide([look], ground, n) for look, ground, n in zip(first, seen, rows, strict=True)
        ]
        doubtful = [i for i, r in enumerate(readings) if _likelihood(r) < _SURE_FROM]
        closer = [self._detector.look_closer(image, detections[i]) for i in doubtful]
        again = self._look_again(image, [detections[i] for i in doubtful], closer)
        for i, looks in zip(doubtful, again, strict=True):
            readings[i] = decide([first[i], *looks], seen[i], rows[i])
        for i, near in zip(doubtful, closer, strict=True):
            quad, looked = quads[i], readings[i]
            if _likelihood(looked) < _POOR_BELOW:
                both = (quad, near.quad)
                quads[i], readings[i] = self._guessed(image, both, rows[i], seen[i], looked)
            if _may_be_a_lower_row(looked, quad, seen[i]):
                whole = self._with_upper_row(image, quad, seen[i], looked)
                if whole and _likelihood(whole[1]) > _likelihood(readings[i]):
                    quads[i], readings[i] = whole
                elif near.rows == 2 and readings[i].rows == 1:
                    decoded = with_lost_upper_row(readings[i].decoded, seen[i].colors)
                    readings[i] = replace(readings[i], decoded=decoded)
        for i, reading in enumerate(readings):
            if reading.decoded.number.kind is PlateKind.FOREIGN:
                place = replace(detections[i], quad=quads[i])
                readings[i] = self._as_foreign(image, place, reading, seen[i])
        return list(zip(quads, readings, strict=True))

    def _as_foreign(
        self, image: Image, place: Detection, first: Reading, ground: ColorRead
    ) -> Reading:
        """What the recogniser of foreign plates reads where the first one read a foreign plate.

        It takes three looks at once: foreign plates are as many shapes as countries, and corners
        fit them worse. What it takes for a plate of another kind stays as it was read first.
        """
        if self._foreign is None:
            return first
        near = self._detector.look_closer(image, place).quad
        cuts = {place.quad: MARGIN_U, widened(place.quad, _WIDER_U): MARGIN_U + _WIDER_U}
        cuts[near] = MARGIN_U
        plates = [rectify(image, quad, first.rows, self._foreign.size_px) for quad in cuts]
        looks = _looks_of(self._foreign, plates, list(cuts.values()))
        again = decide(looks, ground, first.rows)
        return again if again.decoded.number.kind is PlateKind.FOREIGN else first

    def _with_upper_row(
        self, image: Image, quad: Quad, ground: ColorRead, lower: Reading
    ) -> tuple[Quad, Reading] | None:
        """The whole plate of what may be its lower row, and where, if one stands above it.

        It counts if it is legal, likely, and ends with the lower row as read.
        """
        quads = [raised(quad, v) for v in _RAISED_V]
        looks = self._look(image, quads, [2] * len(quads))
        found = [(q, decide([look], ground, 2)) for q, look in zip(quads, looks, strict=True)]
        whole = [
            (q, _less_sure(r))
            for q, r in found
            if r.decoded.number.form
            and r.decoded.number.text.endswith(lower.decoded.number.text)
            and _likelihood(r) >= _LIKELY_FROM
        ]
        return max(whole, key=lambda at: _likelihood(at[1]), default=None)

    def _guessed(
        self,
        image: Image,
        quads: tuple[Quad, Quad],
        rows: int,
        ground: ColorRead,
        so_far: Reading,
    ) -> tuple[Quad, Reading]:
        """The best of what a poorly read plate gives with other rows or another slant, and where.

        ``quads`` are the plate's corners as found at first and close up. A slant must give
        something likely by itself: of many poor readings the best would be an invention.
        """
        guesses = [(quad, 3 - rows) for quad in quads]
        if rows == 1:
            guesses += [(slanted(quads[1], u), 1) for u in _SLANTS_U]
        looks = self._look(image, [q for q, _ in guesses], [n for _, n in guesses])
        readings = [
            (q, decide([look], ground, n)) for (q, n), look in zip(guesses, looks, strict=True)
        ]
        others, leaning = readings[:2], readings[2:]
        likely = [(q, _less_sure(r)) for q, r in leaning if _likelihood(r) >= _LIKELY_FROM]
        found = [(quads[0], so_far), *others, *likely]
        # Two rows count where the detector saw them, or where they make a legal plate.
        two = [r for _, r in found if r.rows == 2 and (r is so_far or r.decoded.number.form)]
        whole = [at for at in found if not any(_is_part_of(at[1], other) for other in two)]
        return max(whole, key=lambda at: _likelihood(at[1]))

    def _look_again(
        self, image: Image, detections: Sequence[Detection], closer: Sequence[Detection]
    ) -> list[list[Look]]:
        """Two more looks at each plate: cut wider, and cut by the corners found close up."""
        rows = [d.rows for d in detections]
        wider = [widened(d.quad, _WIDER_U) for d in detections]
        quads = [*wider, *(d.quad for d in closer)]
        margins = [MARGIN_U + _WIDER_U] * len(wider) + [MARGIN_U] * len(closer)
        looks = self._look(image, quads, [*rows, *rows], margins)
        return [[looks[i], looks[len(wider) + i]] for i in range(len(wider))]

    def _look(
        self,
        image: Image,
        quads: Sequence[Quad],
        rows: Sequence[int],
        margins_u: Sequence[float] | None = None,
    ) -> list[Look]:
        """Cut and recognise plates; ``margins_u`` are what was added to their widths in all."""
        size = self._recogniser.size_px
        plates = [rectify(image, quad, n, size) for quad, n in zip(quads, rows, strict=True)]
        margins = margins_u or [MARGIN_U] * len(plates)
        return _looks_of(self._recogniser, plates, margins)

    def _as_read(self, detection: Detection, reading: Reading) -> PlateRead:
        best, number = reading.decoded, reading.decoded.number
        options = [() if p is None else reading.spelled[p].options for p in best.places]
        characters = tuple(
            [
                Character(char, score, tuple([(c, p) for c, p in considered if c != char]))
                for char, score, considered in zip(number.text, best.scores, options, strict=True)
            ]
        )
        return PlateRead(
            text=number.text,
            score=calibrated(best.belief, self._calibration) if number.text else 0.0,
            kind=number.kind,
            color=number.color,
            quad=detection.quad,
            rows=reading.rows,
            detection_score=detection.score,
            characters=characters,
        )


def _looks_of(
    recogniser: PlateRecogniser, plates: Sequence[tuple[Image, ...]], margins_u: Sequence[float]
) -> list[Look]:
    """Recognise plates cut into their rows."""
    rows = iter(recogniser.lattices([row for plate in plates for row in plate]))
    lattices = [in_a_row([next(rows) for _ in plate]) for plate in plates]
    return [Look(lattice, margin) for lattice, margin in zip(lattices, margins_u, strict=True)]


def _whole(image: Image, quad: Quad, plate: tuple[Image, ...]) -> Image:
    """The whole plate as the colour network takes it; of one row it is cut already."""
    if len(plate) == 1:
        return np.asarray(
            cv2.resize(plate[0], color.SIZE_PX, interpolation=cv2.INTER_AREA), np.uint8
        )
    return rectify_whole(image, quad, color.SIZE_PX)


def _less_sure(guess: Reading) -> Reading:
    """A guess with its probabilities scaled down: it is the best of several tried."""
    decoded = guess.decoded
    scores = tuple(score * _OF_A_GUESS for score in decoded.scores)
    held_back = replace(decoded, probability=decoded.probability * _OF_A_GUESS, scores=scores)
    return replace(guess, decoded=held_back)


def _is_plate(detection: Detection, ground: ColorRead) -> bool:
    """Whether an unread detection is believed to be a plate nevertheless."""
    if detection.score < _UNREAD_SCORE_FROM or ground.not_a_plate >= _UNREAD_NOT_A_PLATE_FROM:
        return False
    clear = max(ground.colors.values(), default=0.0) >= _GROUND_CLEAR_FROM
    return clear or detection.score >= _UNREAD_SURE_FROM


def _may_be_a_lower_row(reading: Reading, quad: Quad, ground: ColorRead) -> bool:
    """Whether a text called foreign may be the lower row of a Chinese plate taken for one row.

    Its ground is a Chinese one and it is too high for a plate of one row, which is more than
    three times as wide as high; seen from the side or turned, its width shrinks sooner than its
    height.
    """
    if reading.rows == 2 or reading.decoded.number.kind is not PlateKind.FOREIGN:
        return False
    chinese = sum(ground.colors.get(color, 0.0) for color in _GROUNDS_OF_TWO_ROWS)
    tl, tr, br, bl = quad.as_tuple()
    width = math.dist(tl, tr) + math.dist(bl, br)
    height = math.dist(tl, bl) + math.dist(tr, br)
    return chinese > _CHINESE_GROUND_FROM and width < _ONE_ROW_WIDER_THAN * height


def _is_part_of(one_row: Reading, two_rows: Reading) -> bool:
    """Whether a plate read as one row gave a text without a form that stands on one of two rows."""
    if one_row.rows == 2 or one_row.decoded.number.form is not None:
        return False
    whole = "".join(s.options[0][0] for s in two_rows.spelled if s.options)
    text = one_row.decoded.number.text.replace(UNREAD, "")
    return len(whole) > len(text) and text in whole


def _likelihood(reading: Reading) -> float:
    """How much a reading counts against one with another number of rows."""
    form = reading.decoded.number.form
    return reading.decoded.probability * (1.0 if form is not None else _OF_NO_FORM)


def calibrated(probability: float, calibration: tuple[float, float]) -> float:
    """Platt scaling: ``sigmoid(slope * logit(probability) + offset)``, in (0, 1)."""
    slope, offset = calibration
    p = min(max(probability, 1e-6), 1 - 1e-6)
    mapped = 1 / (1 + math.exp(-(slope * math.log(p / (1 - p)) + offset)))
    return min(max(mapped, _CERTAIN), 1 - _CERTAIN)


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
    name, foreign = recognition.name, None
    if has_model(folder, "plate_rec_foreign"):
        second = load_model(folder, "plate_rec_foreign")
        foreign = load_recogniser(second.folder, recogniser, threads=threads)
        name = f"{name}+{second.name}"
    slope, offset = recognition.settings.get("calibration", (1.0, 0.0))
    return PlateReader(
        PlateDetector(load_model(folder, "plate_det"), threads=threads),
        load_recogniser(recognition.folder, recogniser, threads=threads),
        ColorNetwork(load_model(folder, "plate_color"), threads=threads),
        recogniser_name=name,
        foreign=foreign,
        calibration=(float(slope), float(offset)),
    )
