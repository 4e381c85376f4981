"""Labelled frames for training the detector: what is read from the data folders and what is left out.

Left out on purpose: frames with a box drawn on them (``overlay``), and every frame that shows a
plate text of the development set. Boxes that only one detector saw are neither plates nor
background: they are *ignored*.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float32]
"""``float32 (4, 2)``: tl, tr, br, bl as ``x, y`` pixels."""

ROWS_UNKNOWN = 0
"""Row count of a plate whose label does not tell it."""

DOUBTFUL_LABEL = "machine, one detector"
CCPD_WIDTH_PX = 480
FRAME_LONGEST_PX = 960
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class LabelledPlate:
    """One plate of a frame, in pixels of the cached frame."""

    corners: Corners
    rows: int = 1
    """1, 2 or ``ROWS_UNKNOWN``."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame on disk with its plates.

    ``ignored`` are regions that teach nothing, ``lures`` such as look like a plate and are none.
    """

    path: Path
    group: str
    plates: tuple[LabelledPlate, ...] = ()
    ignored: tuple[Corners, ...] = ()
    lures: tuple[Corners, ...] = ()

    def image(self) -> NDArray[np.uint8]:
        """The cached frame, ``uint8 (H, W, 3)`` BGR; ``FileNotFoundError`` names a missing file."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise FileNotFoundError(f"not a readable picture: {self.path}")
        return image


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def corners_of(plate: dict[str, Any]) -> Corners | None:
    """The labelled corners, else those of the labelled box, else None."""
    if plate.get("quad"):
        return np.asarray(plate["quad"], np.float32)
    if plate.get("box"):
        x1, y1, x2, y2 = plate["box"]
        return np.asarray([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return None


def _rows_of(plate: dict[str, Any], corners: Corners) -> int:
    """Row count where text and form leave no doubt: yellow and unread plates may have two rows."""
    upper, lower = corners[1] - corners[0], corners[2] - corners[3]
    left, right = corners[3] - corners[0], corners[2] - corners[1]
    width = np.linalg.norm(upper) + np.linalg.norm(lower)
    height = np.linalg.norm(left) + np.linalg.norm(right)
    if width > 2.7 * height:
        return 1
    return 1 if plate.get("color") in {"blue", "green"} and plate.get("text") else ROWS_UNKNOWN


def _cached(source: Path, cached: Path, scale: float) -> bool:
    """Write the shrunken frame once; False where the source is absent or unreadable."""
    if cached.exists():
        return True
    image = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if image is None:
        return False
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cached.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cached.with_suffix(".part.jpg")
    cv2.imwrite(str(unfinished), image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    unfinished.replace(cached)
    return True


def held_out_texts(data: Path) -> frozenset[str]:
    """Texts of the development set: no frame showing one of them may train."""
    rows = read_rows(data / "dev" / "scenes.jsonl")
    return frozenset(p["text"] for row in rows for p in row["plates"] if p.get("text"))


def general_scenes(data: Path, cache: Path) -> Iterator[Scene]:
    """The frames of ``train/scenes`` that may train the detector."""
    held_out = held_out_texts(data)
    for row in read_rows(data / "train" / "scenes.jsonl"):
        if row["overlay"] or any(p.get("text") in held_out for p in row["plates"] if p.get("text")):
            continue
        scale = min(1.0, FRAME_LONGEST_PX / max(row["width"], row["height"]))
        path = cache / "scenes" / (Path(row["file"]).stem + ".jpg")
        if not _cached(data / row["file"], path, scale):
            continue
        plates, ignored = [], []
        for plate in row["plates"]:
            corners = corners_of(plate)
            if corners is None:
                continue
            exact = plate.get("quad") is not None and plate["label"] != DOUBTFUL_LABEL
            if exact:
                plates.append(LabelledPlate(corners * scale, _rows_of(plate, corners)))
            else:
                ignored.append(corners * scale)
        if plates:
            yield Scene(path, row["group"], tuple(plates), tuple(ignored))


def negative_scenes(data: Path, cache: Path) -> Iterator[Scene]:
    """Frames without a readable plate."""
    for row in read_rows(data / "train" / "negative.jsonl"):
        scale = min(1.0, FRAME_LONGEST_PX / max(row["width"], row["height"]))
        path = cache / "negative" / (Path(row["file"]).stem + ".jpg")
        if _cached(data / row["file"], path, scale):
            yield Scene(path, row["group"])


def ccpd_scenes(data: Path, ccpd: Path, cache: Path) -> Iterator[Scene]:
    """The CCPD frames named by ``train/ccpd_full.jsonl`` that lie in ``ccpd``, 480 px wide."""
    held_out = held_out_texts(data)
    for number, row in enumerate(read_rows(data / "train" / "ccpd_full.jsonl")):
        path = cache / "ccpd480" / f"{number:05d}.jpg"
        if row["text"] in held_out:
            continue
        scale = CCPD_WIDTH_PX / 720
        if _cached(ccpd / row["name"], path, scale):
            corners = np.asarray(row["quad"], np.float32) * scale
            group = "ccpd/green" if len(row["text"]) == 8 else "ccpd/blue"
            yield Scene(path, group, (LabelledPlate(corners),))


def frame_key(scene: Scene) -> str:
    """Name of a frame in the file of a mining pass."""
    return f"{scene.path.parent.name}/{scene.path.name}"


def with_mined(scenes: list[Scene], found: Path) -> list[Scene]:
    """The frames with the finds of a mining pass: plates to ignore, lures to look at.

    See ``detector_mine``. ``found`` is a JSON object: ``frame_key`` → ``{"plates", "lures"}``,
    each a list of corners.
    """
    finds: dict[str, dict[str, list]] = json.loads(found.read_text(encoding="utf-8"))
    added = []
    for scene in scenes:
        here = finds.get(frame_key(scene), {"plates": [], "lures": []})
        plates, lures = (
            tuple(np.asarray(corners, np.float32) for corners in here[name])
            for name in ("plates", "lures")
        )
        added.append(replace(scene, ignored=scene.ignored + plates, lures=lures))
    return added
