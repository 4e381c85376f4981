"""Drawn plates of every kind, set into the surroundings and the light of real photographs."""

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import GlyphSource, OwnGlyphs
from benchmarks.rendering.plates import DrawnPlate, draw_plate
from benchmarks.rendering.texts import random_plate
from models.training.degrade import DEFAULT_HARSHNESS, Harshness, Mounted, photograph
from models.training.network_recogniser import INPUT_PX
from models.training.plate_canvas import CORE
from models.training.real_plates import RealPlates

Picture = NDArray[np.uint8]

KIND_SHARES: Final[dict[PlateKind, float]] = {
    PlateKind.SMALL: 0.12,
    PlateKind.LARGE: 0.15,
    PlateKind.TRAILER: 0.07,
    PlateKind.COACH: 0.05,
    PlateKind.POLICE: 0.06,
    PlateKind.NEW_ENERGY_SMALL: 0.09,
    PlateKind.NEW_ENERGY_LARGE: 0.07,
    PlateKind.EMBASSY: 0.03,
    PlateKind.CONSULATE: 0.02,
    PlateKind.HONG_KONG: 0.02,
    PlateKind.MACAO: 0.02,
    PlateKind.ARMED_POLICE: 0.09,
    PlateKind.MILITARY: 0.04,
    PlateKind.EMERGENCY: 0.04,
    PlateKind.AGRICULTURAL: 0.08,
    PlateKind.MOTORCYCLE: 0.05,
    PlateKind.FOREIGN: 0.27,
    PlateKind.UNKNOWN: 0.07,
}
"""How often each kind is drawn; rare kinds far more often than on the road."""

_RECENT: Final = 64
_TWO_ROW_AGAIN: Final = 8.0
"""How much oftener a two-row plate is photographed again than one of one row."""
_UPPER_PART: Final = 0.65
"""Part of the two-row plates of which the upper row is shown."""
_MARGIN_X: Final = 0.2
_MARGIN_Y: Final = 0.4


@dataclass(frozen=True, slots=True)
class DrawnSource:
    """Drawn plates; with real plates at hand, in their surroundings and light."""

    glyphs: GlyphSource
    plates: RealPlates | None = None
    own_letterforms: float = 0.3
    """Share drawn with the project's own letterforms, which demo and rendered tests show."""
    shares: tuple[tuple[PlateKind, float], ...] = tuple(KIND_SHARES.items())
    harshness: Harshness = DEFAULT_HARSHNESS
    recent: list[tuple[Mounted, tuple[str, ...]]] = field(default_factory=list)
    """Plates drawn lately: each is photographed about twice, since drawing costs more."""

    def crop(self, rng: np.random.Generator) -> tuple[Picture, str]:
        """One drawn plate as the recogniser is given it."""
        if len(self.recent) == _RECENT and rng.random() < 0.5:
            # Of two-row plates, each photograph shows one row: they need more of them.
            shares = np.array([_TWO_ROW_AGAIN if len(rows) > 1 else 1.0 for _, rows in self.recent])
            again = int(rng.choice(_RECENT, p=shares / shares.sum()))
            return self._row_of(*self.recent[again], rng)
        weights = np.array([share for _, share in self.shares])
        kind = self.shares[int(rng.choice(len(weights), p=weights / weights.sum()))][0]
        mounted, drawn = self.mounted(kind, rng)
        if len(self.recent) == _RECENT:
            self.recent.pop(0)
        self.recent.append((mounted, drawn.lines))
        return self._row_of(mounted, drawn.lines, rng)

    def _row_of(
        self, mounted: Mounted, lines: tuple[str, ...], rng: np.random.Generator
    ) -> tuple[Picture, str]:
        """One row of a plate; the upper one, with the rarer characters, somewhat more often."""
        row = 0 if len(lines) == 1 or rng.random() < _UPPER_PART else 1
        return photograph(mounted, INPUT_PX, rng, self.harshness, row), lines[row]

    def mounted(self, kind: PlateKind, rng: np.random.Generator) -> tuple[Mounted, DrawnPlate]:
        """A new plate of a kind with surroundings."""
        text = random_plate(kind, rng, evenly=True)
        wear = float(rng.random() ** 2)
        glyphs = OwnGlyphs() if rng.random() < self.own_letterforms else self.glyphs
        drawn = draw_plate(text, kind, glyphs=glyphs, rng=rng, wear=wear)
        return self.mount(drawn, rng), drawn

    def mount(self, drawn: DrawnPlate, rng: np.random.Generator) -> Mounted:
        """Set a drawn plate into real surroundings and, often, their light."""
        plate = drawn.image
        high, wide = plate.shape[:2]
        left, top = round(wide * _MARGIN_X), round(high * _MARGIN_Y)
        size = (wide + 2 * left, high + 2 * top)
        if self.plates is None:
            canvas = np.empty((size[1], size[0], 3), np.uint8)
            canvas[:] = rng.integers(10, 230, 3).astype(np.uint8)
        else:
            real = self.plates.canvases[int(rng.integers(len(self.plates.samples)))]
            canvas = cv2.resize(real, size, interpolation=cv2.INTER_LINEAR)
            if rng.random() < 0.6:
                plate = in_light_of(plate, real, rng)
        canvas[top : top + high, left : left + wide] = plate
        core = (float(left), float(top), float(left + wide), float(top + high))
        return Mounted(canvas, core, drawn.rows)


def in_light_of(plate: Picture, real: Picture, rng: np.random.Generator) -> Picture:
    """Give a drawn plate the range of brightness and the uneven light of a real one."""
    x1, y1, x2, y2 = CORE
    core = cv2.cvtColor(real[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    low, high = np.percentile(core, (4, 96))
    if high - low < 25:
        return plate
    own = cv2.cvtColor(plate, cv2.COLOR_BGR2GRAY)
    own_low, own_high = np.percentile(own[::2, ::2], (4, 96))
    gain = float(np.clip((high - low) / max(20.0, own_high - own_low), 0.2, 1.6))
    out = (plate.astype(np.float32) - own_low) * gain + low
    if rng.random() < 0.5:
        light = cv2.resize(core, (5, 2), interpolation=cv2.INTER_AREA).astype(np.float32)
        light = cv2.resize(light / max(1.0, float(light.mean())), plate.shape[1::-1])
        out *= light[..., None].clip(0.5, 1.6)
    return out.clip(0, 255).astype(np.uint8)
