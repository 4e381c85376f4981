"""The recogniser's training crops: real plates, relettered real plates, drawn plates, none.

``CropSource.crop(rng)`` gives one crop and its text; all choices come from ``rng``.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, SERIAL, PlateKind
from benchmarks.rendering.texts import random_plate
from models.training.degrade import DEFAULT_HARSHNESS, Harshness, Mounted, photograph
from models.training.foreign_relettering import ForeignSource
from models.training.network_recogniser import INPUT_PX
from models.training.plate_canvas import CORE, HOLD_OUT_EVERY
from models.training.real_plates import RealPlates
from models.training.relettering import (
    BLACK_PAINT,
    WHITE_PAINT,
    YELLOW_PAINT,
    character_boxes,
    paint,
    repainted,
)

Picture = NDArray[np.uint8]

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_NEW_ENERGY: Final = "DABCEFGHJK"

_REPAINTED_KINDS: Final = (
    (PlateKind.LARGE, YELLOW_PAINT),
    (PlateKind.LARGE, YELLOW_PAINT),
    (PlateKind.COACH, YELLOW_PAINT),
    (PlateKind.TRAILER, YELLOW_PAINT),
    (PlateKind.POLICE, WHITE_PAINT),
    (PlateKind.POLICE, WHITE_PAINT),
    (PlateKind.HONG_KONG, BLACK_PAINT),
    (PlateKind.MACAO, BLACK_PAINT),
    (PlateKind.CONSULATE, BLACK_PAINT),
)


class Source(Protocol):
    """Something that crops are drawn from."""

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """One picture ``uint8 (40, 144, 3)`` and what stands on it."""


class GlyphMasks:
    """Masks (255 = ink) of the official characters, read from the folder of their pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mask = cache(self._mask)

    def _mask(self, char: str, series: str) -> Picture:
        path = self.folder / f"{series}_{'0' if char == 'O' else char}.jpg"
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        ink = 255 - picture
        rows = np.flatnonzero((ink > 128).any(axis=1))
        ink = ink[rows[0] : rows[-1] + 1]
        size = (90 if series == "140" else 86, 180)
        return cv2.resize(ink, size, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, slots=True)
class RealSource:
    """Real plates, as they are or with other characters."""

    plates: RealPlates
    indices: NDArray[np.int64]
    shares: NDArray[np.float64]
    """Cumulative shares of ``indices``: rare provinces are shown more often."""
    glyphs: GlyphMasks | None
    keep: float = 0.35
    """Share of plates that keep their own text."""
    repaint: float = 0.3
    """Share of the relettered blue plates that become yellow, white or black ones."""
    harshness: Harshness = DEFAULT_HARSHNESS

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """One real plate."""
        index = int(self.indices[np.searchsorted(self.shares, rng.random())])
        canvas, text = self.plates.canvases[index], self.plates.samples[index].text
        if self.glyphs is not None and self.plates.can_reletter[index] and rng.random() > self.keep:
            if len(text) == 7 and rng.random() < self.repaint:
                return self._repainted(index, rng)
            changes = _new_characters(text, rng)
            series = "green" if len(text) == 8 else "140"
            masks = {i: self.glyphs.mask(c, series) for i, c in changes.items()}
            boxes = character_boxes(len(text))
            canvas = paint(canvas, self.plates.erased(index), boxes, masks, rng)
            text = "".join(changes.get(i, c) for i, c in enumerate(text))
        return photograph(Mounted(canvas, CORE), INPUT_PX, rng, self.harshness), text

    def _repainted(self, index: int, rng: np.random.Generator) -> tuple[Picture, str]:
        kinds = _REPAINTED_KINDS
        kind, paintwork = kinds[int(rng.integers(len(kinds)))]
        text = random_plate(kind, rng, evenly=True)
        if len(text) != 7 or self.glyphs is None:
            return self.crop(rng)
        canvas, erased = repainted(
            self.plates.canvases[index], self.plates.erased(index), paintwork, rng
        )
        masks = {i: self.glyphs.mask(c, "140") for i, c in enumerate(text)}
        if text[6] in SERIAL:
            erased.ink[6] = erased.ink[5]
        canvas = paint(canvas, erased, character_boxes(7), masks, rng)
        return photograph(Mounted(canvas, CORE), INPUT_PX, rng, self.harshness), text


def _new_characters(text: str, rng: np.random.Generator) -> dict[int, str]:
    """Always another province, often another letter, sometimes other serial characters."""
    changes = {0: PROVINCES[rng.integers(len(PROVINCES))]}
    if rng.random() < 0.6:
        # O stands in second place on older official plates, drawn like the zero.
        changes[1] = "O" if rng.random() < 0.05 else _LETTERS[rng.integers(len(_LETTERS))]
    share = rng.choice([0.0, 0.25, 1.0], p=[0.45, 0.4, 0.15])
    for i in range(2, len(text)):
        if rng.random() >= share:
            continue
        if len(text) == 7:
            choice = SERIAL
        elif text[i] in _NEW_ENERGY and i in {2, 7}:
            choice = _NEW_ENERGY
        else:
            choice = SERIAL if i == 3 and text[2] in _NEW_ENERGY else "0123456789"
        changes[i] = choice[rng.integers(len(choice))]
    return changes


@dataclass(frozen=True, slots=True)
class BlankSource:
    """Parts of real surroundings without a plate: they say nothing."""

    plates: RealPlates
    indices: NDArray[np.int64]

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """A strip above or below a plate, or the plate without its characters."""
        index = int(rng.choice(self.indices))
        kind = rng.random()
        if kind < 0.35 and self.plates.can_reletter[index]:
            mounted = Mounted(self.plates.grounds[index], CORE)
            return photograph(mounted, INPUT_PX, rng), ""
        canvas = self.plates.canvases[index]
        top = 1.0 if kind < 0.7 else 70.0
        left = float(rng.uniform(0, 100))
        core = (left, top, left + float(rng.uniform(40, 110)), top + 16.0)
        return photograph(Mounted(canvas, core), INPUT_PX, rng), ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Several sources, each with its share."""

    sources: tuple[tuple[float, Source], ...]

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """A crop of one of the sources."""
        shares = np.array([share for share, _ in self.sources])
        index = int(rng.choice(len(shares), p=shares / shares.sum()))
        return self.sources[index][1].crop(rng)


def real_mixture(
    plates: RealPlates, glyphs: GlyphMasks | None, typefaces: tuple[Path, ...] = ()
) -> list[tuple[float, Source]]:
    """CCPD and foreign plates (both relettered), other crops and other scenes, in fixed shares."""
    groups = np.array([sample.group for sample in plates.samples])
    ccpd = np.char.startswith(groups, "ccpd")
    crops = np.char.startswith(groups, "crops/")
    foreign = np.char.startswith(groups, "foreign")
    scenes = ~ccpd & ~crops & ~foreign
    own_foreign = foreign & ~held_out_foreign(plates)

    def source(mask: NDArray[np.bool_]) -> RealSource:
        indices = np.flatnonzero(mask)
        return RealSource(plates, indices, _balanced(plates, indices), glyphs)

    return [
        (0.33, source(ccpd)),
        (0.28, source(crops)),
        (0.15, source(scenes)),
        (0.22, ForeignSource.of(plates, np.flatnonzero(own_foreign), typefaces)),
        (0.02, BlankSource(plates, np.flatnonzero(ccpd))),
    ]


def _balanced(plates: RealPlates, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cumulative shares that fall with the root of how common a plate's first character is."""
    first = np.array([plates.samples[i].text[0] for i in indices])
    _, place, counts = np.unique(first, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(np.maximum(counts, 8))[place]
    total = np.cumsum(weights)
    return total / total[-1]


def held_out_foreign(plates: RealPlates) -> NDArray[np.bool_]:
    """Every fifth foreign plate: never trained on, so that foreign reading can be measured."""
    mask = np.zeros(len(plates.samples), np.bool_)
    foreign = [i for i, s in enumerate(plates.samples) if s.group.startswith("foreign")]
    mask[foreign[::HOLD_OUT_EVERY]] = True
    return mask
