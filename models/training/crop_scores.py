"""How well a recogniser reads labelled crops: the figures by which weights are chosen."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import RECOGNISER_ALPHABET
from anpr.rectify import rectify
from anpr.types import Quad
from models.training.plate_canvas import clean_text

Classes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crop:
    """A plate cut for the recogniser, with what it says."""

    rows: tuple[NDArray[np.uint8], ...]
    """A picture of each row of characters."""
    text: str
    group: str
    name: str


def labelled_crops(
    data: Path, index: str, size_px: tuple[int, int], jitter: float = 0.0, seed: int = 5
) -> list[Crop]:
    """The plates of ``index`` with corners and a text that a person read, cut by their corners.

    ``jitter`` moves every corner by that share of the plate's height, at random but repeatably.
    """
    rng = np.random.default_rng(seed)
    crops = []
    for line in (data / index).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        image = None
        for plate in row["plates"]:
            text = clean_text(plate["text"] or "")
            if text is None or plate["quad"] is None or "one det" in plate["label"]:
                continue
            if image is None:
                image = cv2.imread(str(data / row["file"]))
            corners = np.array(plate["quad"], np.float64)
            high = np.linalg.norm(corners[3] - corners[0])
            corners += rng.uniform(-1, 1, (4, 2)) * jitter * high
            quad = Quad(*(tuple(float(v) for v in corner) for corner in corners))
            rows = 2 if "2-row" in (plate["color"] or "") else 1
            group = row["group"] + (" machine" if plate["label"].startswith("machine") else "")
            if row["overlay"]:
                group += " overlay"
            crops.append(Crop(rectify(image, quad, rows, size_px), text, group, row["file"]))
    return crops


def greedy(probabilities: NDArray[np.float32]) -> tuple[str, float]:
    """Best-path text of one plate and the smallest of its characters' probabilities."""
    best = probabilities.argmax(-1)
    text, score, last = "", 1.0, 0
    for step, index in enumerate(best):
        if index not in (0, last):
            text += RECOGNISER_ALPHABET[index - 1]
            score = min(score, float(probabilities[step, index]))
        last = index
    return text, score


@dataclass(frozen=True, slots=True)
class Scores:
    """Exact matches per group and what was misread."""

    right: dict[str, int]
    count: dict[str, int]
    misses: list[tuple[Crop, str, float]]

    def share(self, chosen: Callable[[str], bool] = lambda _: True) -> float:
        """Exact share over the chosen groups."""
        count = sum(n for group, n in self.count.items() if chosen(group))
        return sum(n for group, n in self.right.items() if chosen(group)) / max(1, count)


Reader = Callable[[NDArray[np.uint8]], Classes]
"""Crops ``(N, H, W, 3)`` → probabilities ``(N, T, C)``."""


def score(crops: list[Crop], read: Reader) -> Scores:
    """Run the reader over all crops."""
    right: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    misses = []
    for crop, text, sureness in reads(crops, read):
        count[crop.group] += 1
        right[crop.group] += int(text == crop.text)
        if text != crop.text:
            misses.append((crop, text, sureness))
    return Scores(dict(right), dict(count), misses)


def reads(crops: list[Crop], read: Reader) -> Iterator[tuple[Crop, str, float]]:
    """Each crop with the text of its rows and the least probability of a character."""
    for start in range(0, len(crops), 64):
        part = crops[start : start + 64]
        lattices = iter(read(np.stack([row for crop in part for row in crop.rows])))
        for crop in part:
            lines = [greedy(next(lattices)) for _ in crop.rows]
            yield crop, "".join(line for line, _ in lines), min(s for _, s in lines)
