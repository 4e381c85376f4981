"""Other texts on real foreign plates: their own characters exchanged among each other.

There are few real foreign plates, and a network learns their texts by heart. Their characters are
cut out where each of them stands apart, as *dies*: the share of ink in every pixel. Painted on
another real plate whose characters were filled in, in that plate's own ink, they give new texts in
real letterforms, light and texture. A typeface serves in the same way for letterforms of which no
real plate is at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering.glyphs import font_ink
from models.training.degrade import DEFAULT_HARSHNESS, Harshness, Mounted, photograph
from models.training.network_recogniser import INPUT_PX
from models.training.plate_canvas import CORE
from models.training.real_plates import RealPlates

Picture = NDArray[np.uint8]
Share = NDArray[np.float32]
Box = tuple[int, int, int, int]

_LEAST_CONTRAST: Final = 24.0
_TALLEST_APART: Final = 0.22
"""By how much of their height the characters of one plate may differ."""
_GROUND_BELOW: Final = 0.2
_TYPEFACE_PX: Final = 120
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS: Final = "0123456789"
_ALIKE: Final = "MWNVUHO0DQ8B5S2Z"
"""Characters that are taken for one another where a plate is small."""


@dataclass(frozen=True, slots=True)
class Lettered:
    """A real plate, its characters found one by one."""

    ground: Picture
    """The canvas with its characters filled in."""
    ink: NDArray[np.float32]
    """BGR of the characters."""
    boxes: tuple[Box, ...]
    """``(x1, y1, x2, y2)`` of each character on the canvas, from left to right."""
    dies: tuple[Share, ...]
    """What stands in each box: the share of ink, 0 to 1."""
    text: str
    blur_px: float
    """Standard deviation of the blur of the characters' edges."""


def ink_share(canvas: Picture) -> tuple[Share, NDArray[np.float32]] | None:
    """Share of ink in every pixel and the ink's BGR; ``None`` where print and ground are alike."""
    x0, y0, x1, y1 = CORE
    inset = canvas[y0 + 8 : y1 - 6, x0 + 8 : x1 - 8]
    colors = inset.reshape(-1, 3).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0.0)
    cv2.setRNGSeed(1)
    _, labels, centres = cv2.kmeans(colors, 2, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
    # There is less print than ground between the edges of a plate.
    of_ink = int(np.mean(labels == 1) < 0.5)
    ink, ground = centres[of_ink], centres[1 - of_ink]
    axis = ink - ground
    if float(np.linalg.norm(axis)) < _LEAST_CONTRAST:
        return None
    share = (canvas.astype(np.float32) - ground) @ axis / float(axis @ axis)
    return share.astype(np.float32).clip(0.0, 1.0), ink


def character_boxes(share: Share, count: int) -> tuple[Box, ...] | None:
    """Boxes of ``count`` characters of one height that stand apart, or ``None``."""
    x0, y0, x1, y1 = CORE
    for level in (0.5, 0.42, 0.6, 0.7):
        mask = (share > level).astype(np.uint8)
        mask[: y0 - 2] = mask[y1 + 2 :] = 0
        mask[:, : x0 - 2] = mask[:, x1 + 2 :] = 0
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        rows = [tuple(int(v) for v in row) for row in stats[1:]]
        tall = [(x, y, x + w, y + h) for x, y, w, h, _ in rows if 17 <= h <= 42 and 2 <= w <= 32]
        if len(tall) < count:
            continue
        middle = float(np.median([y2 - y1 for _, y1, _, y2 in tall]))
        kept = [b for b in tall if abs(b[3] - b[1] - middle) <= _TALLEST_APART * middle]
        if len(kept) != count:
            continue
        kept.sort()
        centres = np.array([(b[1] + b[3]) / 2 for b in kept])
        slope = np.polyfit(np.arange(count), centres, 1) if count > 1 else np.array([0, centres[0]])
        off = np.abs(centres - np.polyval(slope, np.arange(count)))
        gaps = [right[0] - left[2] for left, right in pairwise(kept)]
        if off.max() <= 0.12 * middle and min(gaps, default=0) >= 0:
            return tuple(kept)
    return None


def lettered(canvas: Picture, text: str) -> Lettered | None:
    """The plate's characters found one by one, or ``None`` where their number is not the text's."""
    found = ink_share(canvas)
    boxes = None if found is None else character_boxes(found[0], len(text))
    if found is None or boxes is None:
        return None
    share, ink = found
    patches = []
    glyphs = np.zeros(share.shape, np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        left = max(x1 - 2, (boxes[i - 1][2] + x1 + 1) // 2 if i else x1 - 2)
        right = min(x2 + 2, (boxes[i + 1][0] + x2) // 2 if i + 1 < len(boxes) else x2 + 2)
        box = (left, max(0, y1 - 2), right, y2 + 2)
        patches.append(box)
        glyphs[box[1] : box[3], box[0] : box[2]] = 1
    dies = tuple(share[y1:y2, x1:x2].copy() for x1, y1, x2, y2 in patches)
    ground = _filled(canvas, glyphs & (share > _GROUND_BELOW).astype(np.uint8))
    return Lettered(ground, ink, tuple(patches), dies, text, _edge_blur(dies))


def _filled(canvas: Picture, glyphs: NDArray[np.uint8]) -> Picture:
    """The canvas with the marked pixels taken from the ground around them."""
    marked = cv2.dilate(glyphs, np.ones((3, 3), np.uint8))
    keep = (1 - marked).astype(np.float32)
    weight = cv2.GaussianBlur(keep, (0, 0), 4) + 1e-4
    colors = canvas.astype(np.float32)
    around = cv2.GaussianBlur(colors * keep[..., None], (0, 0), 4) / weight[..., None]
    return np.where(marked[..., None] > 0, around, colors).clip(0, 255).astype(np.uint8)


def _edge_blur(dies: Sequence[Share]) -> float:
    """Blur of the edges: for a Gaussian edge the mean of g² over that of g is 1/(2σ√π)."""
    slopes = np.concatenate([np.abs(np.diff(die, axis=1)).ravel() for die in dies])
    slopes = slopes[slopes > 0.06]
    if not slopes.size:
        return 1.5
    sigma = slopes.sum() / (np.square(slopes).sum() * 2 * np.sqrt(np.pi))
    return float(np.clip(sigma - 0.15, 0.4, 3.0))


@dataclass(frozen=True, slots=True)
class Die:
    """The shape of one character: the share of ink in each pixel."""

    share: Share
    blur_px: float


def painted(
    plate: Lettered, shapes: Sequence[Die], rng: np.random.Generator, width: float = 1.0
) -> Picture:
    """The plate with these shapes in the places of its characters, in its ink and sharpness.

    ``width`` scales the shapes' widths; none becomes wider than the space it has.
    """
    out = plate.ground.astype(np.float32)
    gloss = plate.ink * float(rng.uniform(0.94, 1.06))
    centres = [(b[0] + b[2]) / 2 for b in plate.boxes]
    steps = np.diff(centres) if len(centres) > 1 else np.array([30.0])
    nearest = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))
    rooms = np.minimum(np.median(steps), 1.15 * nearest)
    for die, box, centre, room in zip(shapes, plate.boxes, centres, rooms, strict=True):
        high = box[3] - box[1]
        scale = high / die.share.shape[0]
        wide = max(3, min(round(die.share.shape[1] * scale * width), round(room)))
        shape = cv2.resize(die.share, (wide, high), interpolation=cv2.INTER_AREA)
        more = plate.blur_px**2 - (die.blur_px * scale) ** 2
        if more > 0.05:
            shape = cv2.GaussianBlur(np.pad(shape, 2), (0, 0), float(np.sqrt(more)))
        left = round(centre - shape.shape[1] / 2 + rng.uniform(-0.5, 0.5))
        top = round((box[1] + box[3]) / 2 - shape.shape[0] / 2)
        part = out[max(0, top) : top + shape.shape[0], max(0, left) : left + shape.shape[1]]
        alpha = shape[max(0, -top) :, max(0, -left) :][: part.shape[0], : part.shape[1], None]
        part[:] = part * (1 - alpha) + gloss * alpha
    return out.clip(0, 255).astype(np.uint8)


def exchanged_text(text: str, known: str, rng: np.random.Generator) -> str:
    """Another text of the same look: digits for digits mostly, all of ``known`` evenly.

    A third of the characters are those that are hard to tell apart.
    """
    out = []
    for char in text:
        pool = _DIGITS if char.isdigit() else _LETTERS
        if rng.random() < 0.15:
            pool = _LETTERS + _DIGITS
        alike = [c for c in _ALIKE if c in pool and c in known]
        chosen = [c for c in pool if c in known]
        if alike and rng.random() < 0.35:
            chosen = alike
        out.append(chosen[int(rng.integers(len(chosen)))] if chosen else char)
    return "".join(out)


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """Real foreign plates, as they are or with their characters exchanged."""

    plates: RealPlates
    indices: NDArray[np.int64]
    found: dict[int, Lettered]
    """Those of ``indices`` whose characters stand apart."""
    dies: dict[str, dict[str, tuple[Die, ...]]]
    """Per group of plates and character, the shapes met on real plates."""
    typefaces: tuple[Path, ...] = ()
    keep: float = 0.3
    """Share of the plates that keep their text."""
    typeface_part: float = 0.4
    """Share of the others that are lettered in a typeface."""
    harshness: Harshness = DEFAULT_HARSHNESS

    @classmethod
    def of(
        cls, plates: RealPlates, indices: NDArray[np.int64], typefaces: tuple[Path, ...] = ()
    ) -> "ForeignSource":
        """Find the characters of all plates ``indices``."""
        found: dict[int, Lettered] = {}
        dies: dict[str, dict[str, tuple[Die, ...]]] = {}
        for index in (int(i) for i in indices):
            sample = plates.samples[index]
            plate = lettered(plates.canvases[index], sample.text)
            if plate is None:
                continue
            found[index] = plate
            bank = dies.setdefault(sample.group, {})
            for char, share in zip(plate.text, plate.dies, strict=True):
                bank[char] = (*bank.get(char, ()), Die(share, plate.blur_px))
        return cls(plates, indices, found, dies, typefaces)

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """One foreign plate as the recogniser is given it, and its text."""
        index = int(rng.choice(self.indices))
        sample, plate = self.plates.samples[index], self.found.get(index)
        canvas, text = self.plates.canvases[index], sample.text
        if plate is not None and rng.random() > self.keep:
            canvas, text = self.exchanged(plate, sample.group, rng)
        return photograph(Mounted(canvas, CORE), INPUT_PX, rng, self.harshness), text

    def exchanged(
        self, plate: Lettered, group: str, rng: np.random.Generator
    ) -> tuple[Picture, str]:
        """The plate with another text."""
        if self.typefaces and rng.random() < self.typeface_part:
            typeface = self.typefaces[int(rng.integers(len(self.typefaces)))]
            text = exchanged_text(plate.text, _LETTERS + _DIGITS, rng)
            inks = [font_ink(c, typeface, _TYPEFACE_PX).astype(np.float32) / 255 for c in text]
            width = float(rng.uniform(0.7, 1.05))
            return painted(plate, [Die(ink, 0.0) for ink in inks], rng, width), text
        bank = self.dies[group]
        text = exchanged_text(plate.text, "".join(bank), rng)
        shapes = [bank[c][int(rng.integers(len(bank[c])))] for c in text]
        return painted(plate, shapes, rng, float(rng.uniform(0.94, 1.04))), text
