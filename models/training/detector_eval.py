"""How good a detector is on labelled frames, at the scale at which the reader uses it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from anpr.detector import decode_peaks, letterbox, scaled, without_doubles
from models.training.detector_net import STRIDE_PX, PlateNet, peaks
from models.training.detector_samples import plate_sides_px
from models.training.plate_scenes import DOUBTFUL_LABEL, Corners, corners_of, read_rows

INPUT_SIDE_PX = 640
"""The longer side of a frame as the network sees it."""
SAME_PLATE_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """A plate found in a frame, in the frame's pixels."""

    corners: Corners
    score: float
    rows: int


def box_of(corners: Corners) -> tuple[float, float, float, float]:
    """Upright box around the corners: x1, y1, x2, y2."""
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def box_iou(a: Corners, b: Corners) -> float:
    """Intersection over union of the upright boxes around two quadrilaterals."""
    ax1, ay1, ax2, ay2 = box_of(a)
    bx1, by1, bx2, by2 = box_of(b)
    shared = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
    return shared / union if union > 0 else 0.0


@torch.inference_mode()
def find(
    net: PlateNet, image: NDArray[np.uint8], threshold: float, side_px: int = INPUT_SIDE_PX
) -> list[Found]:
    """Plates of one frame, best first, by the very steps that the reader takes."""
    box = letterbox(image, side_px)
    grid = net.grid(torch.from_numpy(box.batch).permute(0, 3, 1, 2).float() / 255)
    detections = decode_peaks(peaks(grid).numpy(), grid.shape[3], STRIDE_PX, threshold)
    kept = (scaled(d, box.scale) for d in without_doubles(detections))
    return [Found(np.array(d.quad.as_tuple(), np.float32), d.score, d.rows) for d in kept]


@dataclass(slots=True)
class Tally:
    """Counts of one group of frames."""

    frames: int = 0
    plates: int = 0
    found: int = 0
    extra: int = 0
    """Finds that no label explains (some are real plates without a label)."""
    corner_errors: list[float] = field(default_factory=list)
    """Mean corner distance in parts of the plate's width, for corners set by people."""
    scores: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another group in."""
        self.frames += other.frames
        self.plates += other.plates
        self.found += other.found
        self.extra += other.extra
        self.corner_errors += other.corner_errors
        self.scores += other.scores

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a metrics file; -1 where nothing was there to measure."""
        errors = self.corner_errors
        return {
            "frames": self.frames,
            "plates": self.plates,
            "found": self.found,
            "recall": round(self.found / self.plates, 4) if self.plates else -1.0,
            "extra": self.extra,
            "corner_error": round(float(np.mean(errors)), 4) if errors else -1.0,
            "corner_error_p95": round(float(np.quantile(errors, 0.95)), 4) if errors else -1.0,
            "lowest_score": round(min(self.scores), 3) if self.scores else -1.0,
        }


@dataclass(frozen=True, slots=True)
class Miss:
    """A labelled plate that was not found, or a find without a label."""

    file: str
    corners: Corners
    kind: str
    """"missed" or "extra"."""
    score: float


def _compare(row: dict[str, Any], found: list[Found], tally: Tally) -> Iterator[Miss]:
    """Count one frame into the tally; yields what went wrong in it."""
    explained: set[int] = set()
    for plate in row["plates"]:
        label = corners_of(plate)
        if label is None:
            continue
        doubtful = plate["label"] == DOUBTFUL_LABEL
        overlaps = [box_iou(label, f.corners) for f in found]
        explained |= {i for i, o in enumerate(overlaps) if o > (0.1 if doubtful else 0.3)}
        if doubtful:
            continue
        tally.plates += 1
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] < SAME_PLATE_IOU:
            yield Miss(row["file"], label, "missed", max(overlaps, default=0.0))
            continue
        tally.found += 1
        tally.scores.append(found[best].score)
        if plate.get("quad_label") == "human" and plate.get("quad"):
            error = np.linalg.norm(found[best].corners - label, axis=1).mean()
            tally.corner_errors.append(float(error) / plate_sides_px(label)[0])
    for i, f in enumerate(found):
        if i not in explained:
            tally.extra += 1
            yield Miss(row["file"], f.corners, "extra", f.score)


def evaluate(
    net: PlateNet, data: Path, labels: Path, threshold: float
) -> tuple[dict[str, dict[str, float]], list[Miss]]:
    """Per-group figures over a labels file, and what went wrong.

    A plate counts as found when the boxes overlap by ``SAME_PLATE_IOU``. Doubtful labels (one
    detector only) count neither as plates nor, when found, as extra. Frames with something drawn
    on them are groups of their own and not in the total.
    """
    net.eval()
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    misses: list[Miss] = []
    for row in read_rows(labels):
        image = cv2.imread(str(data / row["file"]))
        if image is None:
            raise FileNotFoundError(f"{labels}: {row['file']} is missing or unreadable")
        tally = tallies[row["group"] + (" (overlay)" if row["overlay"] else "")]
        tally.frames += 1
        misses += _compare(row, find(net, image, threshold), tally)
    total = Tally()
    for name, tally in tallies.items():
        if "overlay" not in name:
            total.add(tally)
    figures = {name: tally.as_dict() for name, tally in sorted(tallies.items())}
    return figures | {"all but overlay": total.as_dict()}, misses
