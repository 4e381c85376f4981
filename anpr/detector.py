"""Finding plates: image to detections with four corners.

The network is anchor-free. For each cell of a grid it judges whether a plate's centre lies there,
where the plate's corners are from the cell's centre, and whether the plate has two rows; it gives the
cells that no neighbour outdoes. What is before and after the network are pure functions.
"""

import math
import threading
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.errors import InferenceError, WeightsError
from anpr.rectify import is_convex, upright_region
from anpr.session import Network
from anpr.types import Detection, Image, Quad
from anpr.weights import ModelFiles

OUTPUT: Final = "plates"
"""``(k, 11)``: the grid's peaks, best first, at most 64. Each is a score in [0, 1], the probability of
two rows, the number of its cell row by row, and x and y of tl, tr, br, bl in cells from the cell's
centre."""
_OUTPUT_WIDTH: Final = 11
SIZE_MULTIPLE_PX: Final = 32
_GREY: Final = 128
LARGEST_SCALE: Final = 1.25
"""Small pictures are enlarged at most so much: more adds nothing to see."""
_SAME_PLATE_IOU: Final = 0.3
_SAME_PLATE_COVERED: Final = 0.6
"""A weaker box that lies so far inside a stronger one is a part of it."""
_SMALLEST_WIDTH_PX: Final = 6.0

_FAR_SIDE_PX: Final = 256
"""Longer side of the second try on a picture in which nothing was surely found: a plate that fills
half of the picture is too large for the network at full size. It costs a sixth of the first."""
_PATIENT: Final = 1.5
"""How much larger than at first a picture is seen by a patient look, which finds plates too small
for that. It costs twice as much, so it is for single pictures, not for a camera's frames, of which
the next one shows the vehicle nearer."""
_SURE_SCORE: Final = 0.6
_INTERPOLATED: Final = 3.01
"""How many pixels of the picture may fall on one of the network's without being averaged."""

# The second, closer look at one plate.
_CLOSE_PLATE_PX: Final = 112
"""How wide the plate is made for the network: about where it places corners best."""
_CLOSE_SIZE_PX: Final = (224, 128)
_CLOSE_LOOKS: Final = 2
_CLOSE_THRESHOLD: Final = 0.2
_CLOSE_SAME_IOU: Final = 0.35


class Letterbox(NamedTuple):
    """A picture scaled and set into the top left corner of the network's input."""

    batch: NDArray[np.uint8]
    """``(1, H, W, 3)`` BGR, H and W multiples of 32, grey where there is no picture.

    Bytes as they come: the network's first convolution holds their scale and takes their order.
    """
    scale: tuple[float, float]
    """Network pixels per picture pixel, along x and along y."""


class _Canvas(threading.local):
    """The network's input of the latest frame, kept: the next one is nearly always as large.

    Each thread has its own.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.batch = np.empty((1, 0, 0, 3), np.uint8)
        self.size = (0, 0)

    def grey(self, size: tuple[int, int], padded: tuple[int, int]) -> NDArray[np.uint8]:
        """A batch that is grey wherever a picture of ``size = (height, width)`` leaves it free."""
        if size != self.size:
            self.batch = np.full((1, *padded, 3), _GREY, np.uint8)
            self.size = size
        return self.batch


def letterbox(
    image: Image,
    side_px: int,
    largest_scale: float = LARGEST_SCALE,
    canvas: _Canvas | None = None,
) -> Letterbox:
    """Scale a picture so that its longer side is ``side_px``, but enlarge it no further than told.

    With a ``canvas`` the batch is only good until the next call with the same one.
    """
    high, wide = image.shape[:2]
    scale = min(side_px / max(high, wide), largest_scale)
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    padded_height, padded_width = (
        -(-n // SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX for n in (height, width)
    )
    batch = (canvas or _Canvas()).grey((height, width), (padded_height, padded_width))
    _resize_into(batch[0, :height, :width], image)
    return Letterbox(batch, (width / wide, height / high))


def _resize_into(place: NDArray[np.uint8], image: Image) -> None:
    """Halve by averaging until interpolation alone will do, and interpolate into the place.

    Up to a third of the size, interpolation misses little: of 120 drawn plates 55 to 110 px wide
    in 1920 px all are found with and without averaging, scores 0.02 lower; it costs a fifth.
    Averaging straight to a broken factor looks hardly better and costs ten times as much.
    """
    height, width = place.shape[:2]
    while image.shape[1] > _INTERPOLATED * width and image.shape[0] > _INTERPOLATED * height:
        high, wide = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * high, : 2 * wide]
        image = np.asarray(cv2.resize(even, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] == (height, width):
        place[...] = image
        return
    third = image.shape[:2] == (3 * height, 3 * width)
    # The centres of a third's pixels lie on pixels: there is nothing to interpolate.
    how = cv2.INTER_NEAREST_EXACT if third else cv2.INTER_LINEAR
    cv2.resize(image, (width, height), dst=place, interpolation=how)


def decode_peaks(
    plates: NDArray[np.float32], columns: int, stride_px: int, threshold: float
) -> list[Detection]:
    """Peaks of one picture's grid as detections in network pixels, best first, not yet thinned.

    Args:
        plates: ``(k, 11)`` as ``OUTPUT`` says.
        columns: cells in a row of the grid.
        stride_px: size of a cell.
        threshold: least score of a detection.
    """
    found = []
    for plate in plates:
        score, two_rows, cell, *offsets = plate.tolist()
        if not score >= threshold:
            break
        y, x = divmod(int(cell), columns)
        corners = [
            [(offsets[i] + x + 0.5) * stride_px, (offsets[i + 1] + y + 0.5) * stride_px]
            for i in range(0, 8, 2)
        ]
        shape = _as_quad(corners)
        if shape is not None:
            found.append(Detection(shape, min(1.0, score), 2 if two_rows >= 0.5 else 1))
    return found


def _as_quad(corners: list[list[float]]) -> Quad | None:
    """The corners as a quad, or None where the network's corners enclose nothing."""
    if not math.isfinite(sum([x + y for x, y in corners])):
        return None
    tl, tr, br, bl = [(x, y) for x, y in corners]
    quad = Quad(tl, tr, br, bl)
    across = [tl[0], tr[0], br[0], bl[0]]
    wide_enough = max(across) - min(across) >= _SMALLEST_WIDTH_PX
    return quad if wide_enough and is_convex(quad) else None


def without_doubles(detections: list[Detection]) -> list[Detection]:
    """Drop what overlaps a stronger detection (non-maximum suppression on upright boxes).

    ``detections`` are in order of falling score.
    """
    kept: list[Detection] = []
    for candidate in detections:
        if not any(_same_plate(candidate.quad, other.quad) for other in kept):
            kept.append(candidate)
    return kept


def _same_plate(weaker: Quad, stronger: Quad) -> bool:
    a, b = weaker.box(), stronger.box()
    iou = a.iou(b)
    inter = iou * (a.area_px2 + b.area_px2) / (1 + iou)
    return iou > _SAME_PLATE_IOU or inter > _SAME_PLATE_COVERED * min(a.area_px2, b.area_px2)


def scaled(detection: Detection, scale: tuple[float, float]) -> Detection:
    """The detection in the picture's pixels, given network pixels per picture pixel."""
    sx, sy = scale
    tl, tr, br, bl = ((x / sx, y / sy) for x, y in detection.quad.as_tuple())
    return Detection(Quad(tl, tr, br, bl), detection.score, detection.rows)


def mapped(detection: Detection, matrix: NDArray[np.float64]) -> Detection:
    """The detection with its corners moved by an affine matrix (2, 3)."""
    corners = np.array(detection.quad.as_tuple()) @ matrix[:, :2].T + matrix[:, 2]
    tl, tr, br, bl = ((x, y) for x, y in corners.tolist())
    return Detection(Quad(tl, tr, br, bl), detection.score, detection.rows)


class PlateDetector:
    """The detection network with its settings from the manifest; may be shared between threads."""

    def __init__(self, model: ModelFiles, *, threads: int = 1) -> None:
        """Load the network.

        Raises:
            WeightsError: the network has another input or output than agreed, or lacks a setting;
                the message names the file.
        """
        self.name = model.name
        self._network = Network(model.path("detector.onnx"), threads=threads)
        self._side_px = int(model.number("input_side_px"))
        self._threshold = model.number("score_threshold")
        if self._network.input_type != "tensor(uint8)" or self._network.input_shape[3] != 3:
            raise WeightsError(
                f"{self._network.path}: takes {self._network.input_type} "
                f"{self._network.input_shape}, expected bytes (1, H, W, 3); export it again"
            )
        if OUTPUT not in self._network.output_names:
            raise WeightsError(
                f"{self._network.path}: gives {list(self._network.output_names)}, "
                f"expected {OUTPUT!r}; export it again"
            )
        stride = self._network.metadata.get("stride", "")
        if not stride.isdigit() or int(stride) != model.number("stride"):
            raise WeightsError(
                f"{self._network.path}: stride in the file is {stride!r}, "
                f"in the manifest {model.number('stride')}"
            )
        self._stride_px = int(stride)
        self._canvas = _Canvas()

    def detect(self, image: Image, *, patient: bool = False) -> list[Detection]:
        """The plates in an image, best first.

        Args:
            image: ``uint8 (height, width, 3)`` BGR.
            patient: whether a picture in which nothing at all was found is looked at once more,
                larger, if it has that many pixels.

        Raises:
            InferenceError: the network failed, or answered with another shape than agreed or with
                what is no number.
        """
        whole = letterbox(image, self._side_px, canvas=self._canvas)
        found = self._found(whole, self._threshold)
        if not any(d.score >= _SURE_SCORE for d in found):
            found += self._found(letterbox(image, _FAR_SIDE_PX), self._threshold)
            found.sort(key=lambda d: -d.score)
        closer = round(self._side_px * _PATIENT)
        if patient and not found and max(image.shape[:2]) >= closer:
            found = self._found(letterbox(image, closer), self._threshold)
        return without_doubles(found)

    def look_closer(self, image: Image, detection: Detection) -> Detection:
        """The same plate with its corners placed better, by finding it again upright and close up.

        A turned or sheared plate is straightened by the corners known so far, so what is left to
        find is small, and smaller again the second time. The score is the highest one; where the
        plate is not found again, the detection comes back as far as it got.

        Raises:
            InferenceError: as :meth:`detect`.
        """
        for _ in range(_CLOSE_LOOKS):
            closer = self._found_again(image, detection)
            if closer is None:
                break
            detection = closer
        return detection

    def _found_again(self, image: Image, detection: Detection) -> Detection | None:
        region, to_picture = upright_region(image, detection.quad, _CLOSE_PLATE_PX, _CLOSE_SIZE_PX)
        to_region = np.asarray(cv2.invertAffineTransform(to_picture), np.float64)
        expected = mapped(detection, to_region).quad.box()
        found = self._found(letterbox(region, max(_CLOSE_SIZE_PX)), _CLOSE_THRESHOLD)
        same = [d for d in found if d.quad.box().iou(expected) > _CLOSE_SAME_IOU]
        if not same:
            return None
        best = mapped(max(same, key=lambda d: d.score * d.quad.box().iou(expected)), to_picture)
        return Detection(best.quad, max(best.score, detection.score), best.rows)

    def _found(self, box: Letterbox, threshold: float) -> list[Detection]:
        """What the network finds in a letterboxed picture, in the picture's pixels."""
        plates = self._network.run(box.batch)[OUTPUT]
        if plates.ndim != 2 or plates.shape[1] != _OUTPUT_WIDTH:
            raise InferenceError(f"{self._network.path}: unexpected output shape {plates.shape}")
        if not math.isfinite(plates.sum()):
            # Not a number is above no threshold: what fails would look like an empty road.
            raise InferenceError(f"{self._network.path}: answered with what is no number")
        columns = box.batch.shape[2] // self._stride_px
        found = decode_peaks(plates, columns, self._stride_px, threshold)
        return [scaled(d, box.scale) for d in found]
