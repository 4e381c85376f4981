"""Real plates as canvases: each plate upright, the same size, with some of its surroundings.

A canvas is ``uint8 (88, 224, 3)`` BGR; the plate's corners lie at the corners of ``CORE``. All real
pictures are turned into canvases once, so that training does not decode photographs again.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, RECOGNISER_ALPHABET
from anpr.rectify import MARGIN_U, MARGIN_V

CANVAS_PX: Final = (224, 88)
"""Width and height of a canvas."""
CORE: Final = (32, 20, 192, 68)
"""``(x1, y1, x2, y2)`` of the plate in its canvas."""

_SEPARATORS = str.maketrans("", "", " ·•.-_")
_SMALLEST_PLATE_PX: Final = 24
_NARROWEST_ONE_ROW: Final = 1.7


HOLD_OUT_EVERY = 5
"""One in so many foreign plates is never trained on, so that foreign reading can be measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A real plate: where its picture is and what it says."""

    path: str
    text: str
    quad: tuple[tuple[float, float], ...] | None
    """``None``: the picture is cut to the plate already."""
    group: str
    color: str
    """As labelled; ``unknown`` where the label cannot be trusted."""
    human_corners: bool


def clean_text(text: str) -> str | None:
    """The label without separators, or ``None`` where it holds what the network cannot say."""
    plain = text.translate(_SEPARATORS).upper()
    if not plain or any(c not in RECOGNISER_ALPHABET for c in plain):
        return None
    return plain


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def ccpd_samples(labels: Path, images: Path) -> Iterator[Sample]:
    """The full-size CCPD scenes named by ``labels`` (``ccpd_full.jsonl``) and found in ``images``."""
    for row in _lines(labels):
        path = images / row["name"]
        text = clean_text(row["text"])
        if text is None or not path.exists():
            continue
        quad = tuple((float(x), float(y)) for x, y in row["quad"])
        color = "green" if len(text) == 8 else "blue"
        yield Sample(str(path), text, quad, f"ccpd_full/{color}", color, human_corners=True)


def labelled_samples(data: Path, index: str) -> Iterator[Sample]:
    """The plates of one ``.jsonl`` of the data folder that are labelled well enough."""
    for row in _lines(data / index):
        for plate in row["plates"]:
            sample = _labelled(data, row, plate)
            if sample is not None:
                yield sample


def held_out_foreign_frames(data: Path) -> frozenset[str]:
    """File names of the foreign frames that no network is trained on: every fifth plate's.

    The same as ``plate_crops.held_out_foreign`` chooses among the cut plates.
    """
    foreign = [
        s for s in labelled_samples(data, "train/scenes.jsonl") if s.group.startswith("foreign")
    ]
    return frozenset(Path(s.path).name for s in foreign[::HOLD_OUT_EVERY])


def _labelled(data: Path, row: dict[str, Any], plate: dict[str, Any]) -> Sample | None:
    text = clean_text(plate["text"] or "")
    quad = plate["quad"]
    if text is None or "one detector" in (plate["label"] or ""):
        return None
    if quad is None and not row["group"].startswith("crops/"):
        return None
    if quad is not None:
        corners = np.array(quad, np.float32)
        wide = float(np.linalg.norm(corners[1] - corners[0]))
        high = float(np.linalg.norm(corners[3] - corners[0]))
        foreign = row["group"].startswith("foreign")
        if wide < _SMALLEST_PLATE_PX or (wide < _NARROWEST_ONE_ROW * high and not foreign):
            return None
    color = plate["color"] or "unknown"
    if row["group"] == "crops/hyperlpr_finemapping" and color != "blue":
        color = "unknown"  # these were inverted by their makers
    return Sample(
        str(data / row["file"]),
        text,
        None if quad is None else tuple((float(x), float(y)) for x, y in quad),
        row["group"],
        color,
        human_corners=plate.get("quad_label") == "human",
    )


def canvas_of(image: NDArray[np.uint8], sample: Sample) -> NDArray[np.uint8]:
    """Warp the plate of ``sample`` upright into a canvas."""
    high, wide = image.shape[:2]
    if sample.quad is None:
        # The picture is what the rectifier would cut: the plate with its margins.
        du, dv = MARGIN_U / (1 + 2 * MARGIN_U), MARGIN_V / (1 + 2 * MARGIN_V)
        x1, x2, y1, y2 = wide * du, wide * (1 - du), high * dv, high * (1 - dv)
        quad = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    else:
        quad = np.array(sample.quad, np.float32)
    x1, y1, x2, y2 = CORE
    core = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    factor = int(np.linalg.norm(quad[1] - quad[0]) / (x2 - x1))
    if factor > 1:
        image = cv2.resize(image, (wide // factor, high // factor), interpolation=cv2.INTER_AREA)
        quad = quad / factor
    matrix = cv2.getPerspectiveTransform(quad - 0.5, core - 0.5)
    return cv2.warpPerspective(
        image, matrix, CANVAS_PX, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def province_of(text: str) -> str:
    """The province character that the text begins with, or an empty string."""
    return text[0] if text[:1] and text[0] in PROVINCES else ""


def save_meta(path: Path, samples: list[Sample]) -> None:
    """One JSON line per canvas, in order."""
    with path.open("w", encoding="utf-8") as out:
        for sample in samples:
            out.write(json.dumps(asdict(sample), ensure_ascii=False) + "\n")


def load_meta(path: Path) -> list[Sample]:
    """What ``save_meta`` wrote."""
    return [Sample(**row) for row in _lines(path)]
