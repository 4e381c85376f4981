"""The plate artist: draws plates of every kind, flat, as a camera right before them would see them.

A drawn plate shows ground, frame, characters, dot, bolts, the light on its pressed edges, dirt and
wear. Perspective, blur and light are the business of whoever places it in a picture.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateColor, PlateKind
from benchmarks.rendering import foreign, grounds
from benchmarks.rendering.glyphs import MASK_PX_PER_MM, GlyphSource, Series
from benchmarks.rendering.layouts import Layout, layout_for, rows_of
from benchmarks.rendering.texts import COLOR_OF, random_plate

__all__ = ["DrawnPlate", "draw_plate", "random_plate"]

Picture = NDArray[np.uint8]

DEFAULT_PX_PER_MM = 0.5
TWO_ROWS_PART = 0.5
"""Part of the plates that come in both forms which is drawn with two rows."""
_PHASES = 4
"""Characters are placed to a fourth of a pixel."""


@dataclass(frozen=True, slots=True)
class DrawnPlate:
    """A plate seen straight on; it fills the picture to the edges."""

    image: Picture
    """``uint8 (h, w, 3)`` BGR."""
    rows: int
    text: str
    """As the reader writes it: without separators."""
    kind: PlateKind
    color: PlateColor
    width_mm: float
    height_mm: float
    lines: tuple[str, ...]
    """What stands on each row, the upper one first."""


def draw_plate(  # noqa: PLR0913 - the artist's palette
    text: str,
    kind: PlateKind,
    *,
    glyphs: GlyphSource,
    rng: np.random.Generator,
    rows: int | None = None,
    color: PlateColor | None = None,
    wear: float = 0.0,
    px_per_mm: float = DEFAULT_PX_PER_MM,
) -> DrawnPlate:
    """Draw one plate.

    Args:
        text: What it says, without separators, e.g. ``鲁H12345``.
        kind: What it is issued for; decides layout and paint.
        glyphs: Where the characters' shapes come from.
        rng: Decides paint shade, wear and, where ``rows`` is not given, the number of rows.
        rows: 1 or 2, or ``None`` for what the kind has.
        color: Ground colour, or ``None`` for the kind's.
        wear: 0 (new) to 1 (dirty, faded, scratched).
        px_per_mm: Scale; 0.5 gives 220x70 px for an ordinary plate.

    Raises:
        ValueError: The text does not fit a plate of this kind and number of rows.
    """
    if kind is PlateKind.FOREIGN:
        return _foreign(text, glyphs=glyphs, rng=rng, wear=wear, px_per_mm=px_per_mm)
    if rows is None:
        rows = _rows(text, kind, rng)
    layout = layout_for(text, kind, rows, variant=int(rng.random() < 0.35))
    if layout is None:
        raise ValueError(f"{text!r} does not fit a plate of kind {kind} with {rows} row(s)")
    color = _color(text, kind, rng) if color is None else color
    paint = grounds.paint_for(kind, color, rng)
    image = _compose(text, layout, paint, glyphs, rng, px_per_mm)
    grounds.weather(image, wear, rng)
    size = (layout.width_mm, layout.height_mm)
    return DrawnPlate(image, rows, text, kind, color, *size, _lines(text, layout, rows))


def _lines(text: str, layout: Layout, rows: int) -> tuple[str, ...]:
    """The text of each row: a character belongs to the half in which its middle lies."""
    if rows == 1:
        return (text,)
    below = [slot.y_mm + slot.h_mm / 2 > layout.height_mm * 0.45 for slot in layout.slots]
    return tuple(
        "".join(char for char, low in zip(text, below, strict=True) if low is wanted)
        for wanted in (False, True)
    )


def _rows(text: str, kind: PlateKind, rng: np.random.Generator) -> int:
    if text.startswith("民航"):
        return 2
    choices = rows_of(kind)
    return choices[int(len(choices) > 1 and rng.random() < TWO_ROWS_PART)]


def _color(text: str, kind: PlateKind, rng: np.random.Generator) -> PlateColor:
    if kind is PlateKind.UNKNOWN and text.startswith("民航"):
        return PlateColor.GREEN
    if kind is PlateKind.UNKNOWN and text[-1] in "临试超":
        return PlateColor.BLUE if rng.random() < 0.5 else PlateColor.WHITE
    return COLOR_OF[kind]


def _compose(  # noqa: PLR0913, PLR0917 - the artist's palette
    text: str,
    layout: Layout,
    paint: grounds.Paint,
    glyphs: GlyphSource,
    rng: np.random.Generator,
    px_per_mm: float,
) -> Picture:
    """Ground, frame and characters, still clean."""
    wide, high = round(layout.width_mm * px_per_mm), round(layout.height_mm * px_per_mm)
    ink = np.zeros((high, wide), np.uint8)
    accent = np.zeros((high, wide), np.uint8) if any(s.accent for s in layout.slots) else None
    shift_x, shift_y = rng.uniform(-1.2, 1.2, 2)
    for char, slot in zip(text, layout.slots, strict=True):
        x, y = (slot.x_mm + shift_x) * px_per_mm, (slot.y_mm + shift_y) * px_per_mm
        x4, y4 = round(x * _PHASES), round(y * _PHASES)
        stamp = _stamp(
            glyphs, char, slot.series, slot.w_mm, slot.h_mm, px_per_mm, x4 % _PHASES, y4 % _PHASES
        )
        layer = accent if slot.accent and accent is not None else ink
        _press(layer, stamp, x4 // _PHASES, y4 // _PHASES)
    if layout.dot_mm is not None:
        x, y, radius = ((v * px_per_mm * 16) for v in layout.dot_mm)
        cv2.circle(ink, (round(x), round(y)), round(radius), 255, -1, cv2.LINE_AA, 4)
    image = grounds.ground(paint, (wide, high), px_per_mm)
    if layout.frame:
        grounds.draw_frame(image, paint, px_per_mm)
    if paint.emblem:
        grounds.draw_emblem(image, (137 * px_per_mm, 70 * px_per_mm), 14 * px_per_mm)
    image = grounds.lay_ink(image, ink, paint.ink)
    if accent is not None:
        image = grounds.lay_ink(image, accent, paint.accent)
        ink = cv2.max(ink, accent)
    grounds.emboss(image, ink, float(rng.uniform(0.0, 0.16)))
    if rng.random() < 0.85:
        spots = tuple((x * px_per_mm, y * px_per_mm) for x, y in layout.bolts_mm)
        grounds.draw_bolts(image, spots, 4.8 * px_per_mm, rng)
    return image


def _press(layer: Picture, stamp: Picture, x: int, y: int) -> None:
    """Lay a stamp into a layer at a pixel, cut off at the edges."""
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + stamp.shape[1], layer.shape[1]), min(y + stamp.shape[0], layer.shape[0])
    part = layer[y1:y2, x1:x2]
    np.maximum(part, stamp[y1 - y : y2 - y, x1 - x : x2 - x], out=part)


@lru_cache(maxsize=20_000)
def _stamp(  # noqa: PLR0913, PLR0917 - a cache key
    glyphs: GlyphSource,
    char: str,
    series: Series,
    w_mm: float,
    h_mm: float,
    px_per_mm: float,
    phase_x: int,
    phase_y: int,
) -> Picture:
    """A character at the plate's scale, shifted by a part of a pixel."""
    mask = glyphs.mask(char, series, w_mm, h_mm)
    scale = px_per_mm / MASK_PX_PER_MM
    wide, high = int(np.ceil(w_mm * px_per_mm)) + 1, int(np.ceil(h_mm * px_per_mm)) + 1
    fine = 4
    matrix = np.array(
        [
            [scale * fine, 0, phase_x / _PHASES * fine + (scale * fine - 1) / 2],
            [0, scale * fine, phase_y / _PHASES * fine + (scale * fine - 1) / 2],
        ]
    )
    large = cv2.warpAffine(mask, matrix, (wide * fine, high * fine), flags=cv2.INTER_LINEAR)
    return cv2.resize(large, (wide, high), interpolation=cv2.INTER_AREA)


def _foreign(
    text: str, *, glyphs: GlyphSource, rng: np.random.Generator, wear: float, px_per_mm: float
) -> DrawnPlate:
    design = foreign.design(text, rng, glyphs.typefaces)
    image = foreign.draw(text, design, glyphs, rng, px_per_mm)
    grounds.weather(image, wear, rng)
    return DrawnPlate(
        image,
        design.rows,
        text,
        PlateKind.FOREIGN,
        PlateColor.OTHER,
        design.width_mm,
        design.height_mm,
        design.lines,
    )
