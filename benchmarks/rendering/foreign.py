"""Plates that are not Chinese: European, American and other looks in several typefaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering import grounds
from benchmarks.rendering.glyphs import GlyphSource, font_ink
from benchmarks.rendering.strokes import draw_strokes

Picture = NDArray[np.uint8]
Bgr = tuple[int, int, int]

_SIZES_MM = ((520, 110), (520, 110), (305, 152), (305, 152), (400, 130), (340, 110), (330, 165))
_GROUNDS: tuple[Bgr, ...] = (
    (228, 230, 230), (228, 230, 230), (228, 230, 230), (40, 190, 240), (226, 214, 196),
    (196, 200, 200), (36, 30, 30), (150, 60, 20), (60, 120, 40), (70, 40, 170),
)  # fmt: skip
_DARK_INKS: tuple[Bgr, ...] = (
    (30, 28, 28),
    (30, 28, 28),
    (110, 40, 20),
    (40, 90, 20),
    (40, 30, 150),
)
_HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)
_FACES = 9
"""0-2 the project's strokes light, regular, heavy; 3-7 Hershey's; 8 the font of the project."""
_PICTURED_PART = 0.2
_STICKER_PART = 0.4
_TYPEFACE_PX = 120
_TYPEFACE_PART = 0.6
"""Part of the plates drawn in a typeface where some are given."""
_SLOGANS = (
    "CALIFORNIA", "ARIZONA", "TEXAS", "BRASIL", "SP - SAO PAULO", "BA-SALVADOR", "NEW YORK",
    "FLORIDA", "THE SUNSHINE STATE", "AUTO", "www.dealer.example", "SINCE 1987", "MERCOSUL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Design:
    """How one foreign plate looks."""

    width_mm: float
    height_mm: float
    rows: int
    groups: tuple[str, ...]
    dash: bool
    face: int
    ground: Bgr
    ink: Bgr
    band: bool
    """A blue band with a country's letter on the left."""
    slogan: str
    typeface: Path | None = None
    """A font file used instead of ``face``; its characters keep their proportions."""
    narrowed: float = 1.0
    """Width of the typeface's characters as a part of what its maker gave them."""

    @property
    def in_rows(self) -> tuple[tuple[str, ...], ...]:
        """The groups of each row, the upper one first."""
        if self.rows == 1:
            return (self.groups,)
        if len(self.groups) > 1:
            return (self.groups[:-1], self.groups[-1:])
        whole = self.groups[0]
        return ((whole[: len(whole) // 2],), (whole[len(whole) // 2 :],))

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands on each row."""
        return tuple("".join(groups) for groups in self.in_rows)


def _groups(text: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Break the text where letters and digits meet, sometimes."""
    if rng.random() < 0.25 or len(text) < 4:
        return (text,)
    cuts = [i for i in range(1, len(text)) if text[i].isdigit() != text[i - 1].isdigit()]
    cuts = [i for i in cuts if 2 <= i <= len(text) - 2] or [len(text) // 2]
    kept = cuts if rng.random() < 0.2 else [cuts[int(rng.integers(len(cuts)))]]
    edges = [0, *kept, len(text)]
    return tuple(text[a:b] for a, b in pairwise(edges))


def design(text: str, rng: np.random.Generator, typefaces: Sequence[Path] = ()) -> Design:
    """Choose a look for this text."""
    width, height = _SIZES_MM[int(rng.integers(len(_SIZES_MM)))]
    rows = 2 if width < 350 and height > 140 and len(text) >= 5 and rng.random() < 0.22 else 1
    ground = _GROUNDS[int(rng.integers(len(_GROUNDS)))]
    dark = sum(ground) < 330
    ink = (232, 232, 232) if dark else _DARK_INKS[int(rng.integers(len(_DARK_INKS)))]
    return Design(
        width,
        height,
        rows,
        _groups(text, rng),
        dash=bool(rng.random() < 0.3),
        face=int(rng.integers(_FACES)),
        ground=ground,
        ink=ink,
        band=bool(width == 520 and rng.random() < 0.7),
        slogan=_SLOGANS[int(rng.integers(len(_SLOGANS)))] if rng.random() < 0.6 else "",
        typeface=_typeface(typefaces, rng),
        narrowed=float(rng.uniform(0.65, 1.1)),
    )


def _typeface(typefaces: Sequence[Path], rng: np.random.Generator) -> Path | None:
    if not typefaces or rng.random() > _TYPEFACE_PART:
        return None
    return typefaces[int(rng.integers(len(typefaces)))]


@lru_cache(maxsize=4096)
def _shape(char: str, face: int, aspect: float) -> Picture:
    """One character some 200 px high; strokes are drawn for a cell of this width to height."""
    if face <= 2 and char.isalnum():
        return draw_strokes(char, 90 * aspect, 90.0, 2.0, (7.0, 9.5, 12.5)[face])
    if face == 8 or not char.isalnum():
        mask = font_ink(char)
    else:
        canvas = np.zeros((260, 300), np.uint8)
        thick = (9, 13, 9, 9, 13)[face - 3]
        scale = 12.0 if face == 7 else 6.0
        cv2.putText(canvas, char, (30, 200), _HERSHEY[face - 3], scale, 255, thick, cv2.LINE_AA)
        x, y, w, h = cv2.boundingRect(canvas)
        mask = canvas[y : y + h, x : x + w]
    if char in "I1" and mask.shape[1] < 0.45 * mask.shape[0]:
        pad = round((0.5 * mask.shape[0] - mask.shape[1]) / 2)
        mask = np.pad(mask, ((0, 0), (max(0, pad), max(0, pad))))
    return mask


def _letter(char: str, plan: Design, wide: int, high: int) -> Picture:
    """One character in a cell of pixels: filling it, or as its typeface has it."""
    if plan.typeface is None:
        shape = _shape(char, plan.face, round(wide / high, 1))
        return cv2.resize(shape, (wide, high), interpolation=cv2.INTER_AREA)
    shape = font_ink(char, plan.typeface, _TYPEFACE_PX)
    own = min(wide, max(2, round(shape.shape[1] / shape.shape[0] * high * plan.narrowed)))
    cell = np.zeros((high, wide), np.uint8)
    left = (wide - own) // 2
    cell[:, left : left + own] = cv2.resize(shape, (own, high), interpolation=cv2.INTER_AREA)
    return cell


def _write(
    ink: Picture, groups: tuple[str, ...], area: tuple[int, int, int, int], plan: Design
) -> None:
    """Write groups of characters into an area ``(x1, y1, x2, y2)`` of the ink layer."""
    x1, y1, x2, y2 = area
    count = sum(map(len, groups))
    gaps = len(groups) - 1
    pitch = (x2 - x1) / (count + gaps * 0.7)
    pitch = min(pitch, (y2 - y1) * 0.72)
    start = (x1 + x2 - pitch * (count + gaps * 0.7)) / 2
    wide, high = max(3, round(pitch * 0.82)), max(5, y2 - y1)
    at = start
    for n, group in enumerate(groups):
        if n:
            if plan.dash:
                middle = round(at + pitch * 0.3), (y1 + y2) // 2
                half = max(1, round(pitch * 0.17))
                ink[middle[1] - half // 2 : middle[1] + half // 2 + 1,
                    middle[0] - half : middle[0] + half] = 255  # fmt: skip
            at += pitch * 0.7
        for char in group:
            x = round(at + pitch * 0.09)
            stamp = _letter(char, plan, wide, high)
            part = ink[y1 : y1 + high, x : x + wide]
            np.maximum(part, stamp[:, : part.shape[1]], out=part)
            at += pitch


def draw(
    text: str, plan: Design, glyphs: GlyphSource, rng: np.random.Generator, px_per_mm: float
) -> Picture:
    """Draw a foreign plate; ``text`` is what its groups say together."""
    del text, glyphs
    wide, high = round(plan.width_mm * px_per_mm), round(plan.height_mm * px_per_mm)
    paint = grounds.Paint(plan.ground, plan.ink, plan.ink, plan.ink)
    image = grounds.ground(paint, (wide, high), px_per_mm)
    if rng.random() < _PICTURED_PART:
        _picture(image, rng)
    ink = np.zeros((high, wide), np.uint8)
    left = round(wide * 0.1) if plan.band else round(wide * 0.04)
    tall = plan.height_mm / plan.width_mm > 0.4
    top, bottom = (0.26, 0.80) if tall and plan.slogan else (0.16, 0.84)
    area = (left, round(high * top), wide - round(wide * 0.04), round(high * bottom))
    if plan.rows == 2:
        upper, lower = plan.in_rows
        middle = high // 2
        _write(ink, upper, (left, round(high * 0.10), area[2], middle - round(high * 0.03)), plan)
        _write(ink, lower, (left, middle + round(high * 0.03), area[2], round(high * 0.92)), plan)
    else:
        _write(ink, plan.groups, area, plan)
        if tall and plan.slogan:
            _small_print(image, plan.slogan, (wide // 2, round(high * 0.17)), high, plan.ink)
    if rng.random() < 0.6:
        grounds.draw_frame(image, paint, px_per_mm)
    if plan.band:
        image[:, : round(wide * 0.075)] = (150, 60, 20)
        _small_print(image, "E", (round(wide * 0.037), round(high * 0.85)), high, (230, 230, 230))
    if len(plan.groups) > 1 and not plan.dash and rng.random() < _STICKER_PART:
        _sticker(image, ink, area, rng)
    image = grounds.lay_ink(image, ink, plan.ink)
    grounds.emboss(image, ink, float(rng.uniform(0.0, 0.16)))
    return image


def _picture(image: Picture, rng: np.random.Generator) -> None:
    """Sky over hills or a blend of two pale colours behind the characters, as in the USA."""
    high, wide = image.shape[:2]
    colors = rng.integers(90, 256, (int(rng.integers(2, 4)), 1, 3)).astype(np.float32)
    blend = cv2.resize(colors, (wide, high), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        x = np.arange(wide)
        hills = high * (0.75 + 0.12 * np.sin(x / wide * rng.uniform(3, 14) + rng.uniform(0, 6)))
        blend[np.arange(high)[:, None] > hills[None, :]] *= float(rng.uniform(0.55, 0.95))
    part = float(rng.uniform(0.3, 1.0))
    image[:] = (image * (1 - part) + blend * part).clip(0, 255).astype(np.uint8)


def _sticker(
    image: Picture, ink: Picture, area: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    """An inspection sticker or coat of arms in the widest gap between characters."""
    x1, y1, x2, y2 = area
    empty = ~ink[y1:y2, x1:x2].any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(np.int8), [0]])))
    inner = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a > 0 and b < x2 - x1]
    if not inner:
        return
    a, b = max(inner, key=lambda gap: gap[1] - gap[0])
    middle = (x1 + int(a + b) // 2, int(y1 + (y2 - y1) * rng.uniform(0.25, 0.75)))
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    cv2.circle(image, middle, max(2, int(b - a) // 2 - 1), color, -1, cv2.LINE_AA)


def _small_print(
    image: Picture, words: str, middle: tuple[int, int], high: int, color: Bgr
) -> None:
    scale = high / 220
    (w, h), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    origin = (middle[0] - w // 2, middle[1] + h // 2)
    cv2.putText(image, words, origin, cv2.FONT_HERSHEY_DUPLEX, scale, color, 1, cv2.LINE_AA)
