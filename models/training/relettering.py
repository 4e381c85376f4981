"""Other characters on real plates: erase the glyphs of a real canvas and paint new ones.

CCPD's plates are nearly all of one province. Its light, blur, dirt and noise are real, and with
other characters painted in the plate's own colours and sharpness they serve for all provinces.
Character positions follow GA 36: 440 mm plates with 45x90 mm characters, 480 mm (new energy)
with 43 (the first 45) by 90 mm.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.plate_canvas import CORE

_STARTS_440: Final = (15.5, 72.5, 151.5, 208.5, 265.5, 322.5, 379.5)
_STARTS_480: Final = (15.5, 69.5, 161.5, 213.5, 265.5, 317.5, 369.5, 421.5)
_PLATE_HEIGHT_MM: Final = 140.0
_TOP_MM: Final = 25.0
_BOTTOM_MM: Final = 115.0
_GROUND_BELOW: Final = 0.22
"""Pixels whose share of the glyph colour is lower than this are ground."""
_LEAST_CONTRAST: Final = 28.0
"""Grey levels between glyph and ground under which a plate is not relettered."""

Box = tuple[float, float, float, float]


def character_boxes(count: int) -> list[Box]:
    """Boxes ``(x1, y1, x2, y2)`` of the characters on the canvas, for 7 or 8 characters."""
    x0, y0, x1, y1 = CORE
    width_mm, starts = (480.0, _STARTS_480) if count == 8 else (440.0, _STARTS_440)
    per_mm_x, per_mm_y = (x1 - x0) / width_mm, (y1 - y0) / _PLATE_HEIGHT_MM
    boxes = []
    for i, start in enumerate(starts):
        glyph_mm = 43.0 if count == 8 and i else 45.0
        boxes.append(
            (
                x0 + start * per_mm_x,
                y0 + _TOP_MM * per_mm_y,
                x0 + (start + glyph_mm) * per_mm_x,
                y0 + _BOTTOM_MM * per_mm_y,
            )
        )
    return boxes


@dataclass(frozen=True, slots=True)
class Erased:
    """A canvas without its characters, and how they looked."""

    ground: NDArray[np.uint8]
    """The canvas with the glyphs filled in, ``(88, 224, 3)``."""
    ink: NDArray[np.float32]
    """Glyph colour per position, ``(8, 3)`` BGR."""
    blur_px: float
    """Standard deviation of the blur of the glyphs' edges, in canvas pixels."""
    shift_px: float
    """How far right of the nominal boxes the characters stand, in canvas pixels."""


def erase(canvas: NDArray[np.uint8], count: int, *, dark_ink: bool) -> Erased | None:
    """Fill the glyphs of a plate of ``count`` characters, or ``None`` if they hardly show."""
    x0, y0, x1, y1 = CORE
    core = canvas[y0:y1, x0:x1].reshape(-1, 3).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0.0)
    _, labels, centres = cv2.kmeans(core[::2], 2, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    lumas = centres @ np.array([0.114, 0.587, 0.299], np.float32)
    lighter = int(lumas[1] > lumas[0])
    ink_index = 1 - lighter if dark_ink else lighter
    ink, ground = centres[ink_index], centres[1 - ink_index]
    axis = ink - ground
    if np.linalg.norm(axis) < _LEAST_CONTRAST or np.mean(labels == ink_index) > 0.55:
        return None
    share = ((canvas.astype(np.float32) - ground) @ axis / float(axis @ axis)).clip(-0.5, 1.5)
    boxes = character_boxes(count)
    shift_px = _shift(share, boxes)
    boxes = [(bx1 + shift_px, by1, bx2 + shift_px, by2) for bx1, by1, bx2, by2 in boxes]
    inside = np.zeros(canvas.shape[:2], np.uint8)
    inside[int(boxes[0][1]) - 2 : int(boxes[0][3]) + 3, x0 + 2 : x1 - 2] = 1
    glyph = cv2.dilate(((share > _GROUND_BELOW) & (inside > 0)).astype(np.uint8), np.ones((3, 3)))
    keep = (1 - glyph).astype(np.float32)
    plate = np.zeros_like(keep)
    plate[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 1
    keep_in = keep * plate
    weight = cv2.GaussianBlur(keep_in, (0, 0), 5) + 1e-4
    colour = canvas.astype(np.float32)
    filled = cv2.GaussianBlur(colour * keep_in[..., None], (0, 0), 5) / weight[..., None]
    soft = cv2.GaussianBlur(glyph.astype(np.float32), (0, 0), 0.7)[..., None]
    soft = np.maximum(soft, glyph[..., None].astype(np.float32))
    result = colour * (1 - soft) + filled * soft
    inks = _inks(colour, share, boxes, ink)
    return Erased(result.clip(0, 255).astype(np.uint8), inks, _edge_blur(share, boxes), shift_px)


def _shift(share: NDArray[np.float32], boxes: list[Box]) -> float:
    """The horizontal shift of all boxes that leaves least ink in the gaps between them."""
    rows = share[int(boxes[0][1]) : int(boxes[0][3])].clip(0, 1)
    total = np.concatenate([[0.0], np.cumsum(rows.mean(axis=0))])
    grid = np.arange(total.size)
    shifts = np.arange(-4.0, 4.01, 0.5)
    gaps = [(left[2], right[0]) for left, right in pairwise(boxes)]
    gaps += [(boxes[0][0] - 4, boxes[0][0]), (boxes[-1][2], boxes[-1][2] + 4)]
    ink = [
        sum(
            np.interp(b + s, grid, total) - np.interp(a + s, grid, total)
            for k, (a, b) in enumerate(gaps)
            if k != 1  # the dot stands in the second gap
        )
        + 0.02 * abs(s)
        for s in shifts
    ]
    return float(shifts[int(np.argmin(ink))])


def _inks(
    colour: NDArray[np.float32],
    share: NDArray[np.float32],
    boxes: list[Box],
    ink: NDArray[np.float32],
) -> NDArray[np.float32]:
    out = np.zeros((8, 3), np.float32)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        rows, columns = slice(int(y1), int(y2) + 1), slice(int(x1), int(x2) + 1)
        part = share[rows, columns]
        top = part >= np.quantile(part, 0.9)
        value = colour[rows, columns][top].mean(axis=0)
        out[i] = 0.7 * value + 0.3 * ink
    return out


def _edge_blur(share: NDArray[np.float32], boxes: list[Box]) -> float:
    """Blur of the edges: for a Gaussian edge the mean of g² over that of g is 1/(2σ√π)."""
    linear, square = 0.0, 0.0
    for x1, y1, x2, y2 in boxes[1:]:
        part = share[int(y1) : int(y2) + 1, int(x1) - 1 : int(x2) + 2]
        slope = np.abs(np.diff(part, axis=1))
        slope = slope[slope > 0.06]
        linear += float(slope.sum())
        square += float((slope**2).sum())
    if square <= 0:
        return 1.5
    return float(np.clip(linear / (square * 2 * np.sqrt(np.pi)) - 0.15, 0.5, 3.0))


def paint(
    base: NDArray[np.uint8],
    erased: Erased,
    boxes: list[Box],
    changes: dict[int, NDArray[np.uint8]],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Replace the characters at the positions of ``changes`` by these glyph masks (255 = ink)."""
    out = base.astype(np.float32)
    shift = rng.uniform(-0.6, 0.6, 2)
    grow = rng.uniform(0.97, 1.06, 2)
    blur_px = erased.blur_px * float(rng.uniform(0.9, 1.35))
    for i, mask in changes.items():
        x1, y1, x2, y2 = boxes[i]
        x1, x2 = x1 + erased.shift_px, x2 + erased.shift_px
        px1, px2 = int(x1) - (7 if i == 0 else 4), int(x2) + (7 if i == len(boxes) - 1 else 5)
        py1, py2 = int(y1) - 4, int(y2) + 5
        cx, cy = (x1 + x2) / 2 + shift[0], (y1 + y2) / 2 + shift[1]
        sx = (x2 - x1) * grow[0] / mask.shape[1]
        sy = (y2 - y1) * grow[1] / mask.shape[0]
        matrix = np.array(
            [
                [sx, 0, cx - px1 - sx * mask.shape[1] / 2],
                [0, sy, cy - py1 - sy * mask.shape[0] / 2],
            ],
            np.float32,
        )
        ink = cv2.warpAffine(mask, matrix, (px2 - px1, py2 - py1), flags=cv2.INTER_LINEAR)
        alpha = cv2.GaussianBlur(ink.astype(np.float32) / 255.0, (0, 0), blur_px)[..., None]
        ground = erased.ground[py1:py2, px1:px2].astype(np.float32)
        painted = ground * (1 - alpha) + erased.ink[i] * alpha
        # Only the middle of the patch is replaced: the neighbours' edges stay as they are.
        window = np.zeros(ink.shape, np.float32)
        window[1:-1, 1:-1] = 1
        window = cv2.GaussianBlur(window, (3, 3), 0)[..., None]
        patch = out[py1:py2, px1:px2]
        out[py1:py2, px1:px2] = patch * (1 - window) + painted * window
    return out.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Paintwork:
    """Colours of another kind of plate, BGR as shares of the brightness of a white glyph."""

    ground: tuple[float, float, float]
    ink: tuple[float, float, float]
    special: tuple[float, float, float]
    """Ink of the last character where it marks the kind (police: red)."""


YELLOW_PAINT: Final = Paintwork((0.18, 0.66, 0.86), (0.12, 0.12, 0.12), (0.12, 0.12, 0.12))
WHITE_PAINT: Final = Paintwork((0.93, 0.95, 0.95), (0.13, 0.13, 0.13), (0.22, 0.18, 0.72))
BLACK_PAINT: Final = Paintwork((0.15, 0.14, 0.14), (0.98, 0.98, 0.98), (0.98, 0.98, 0.98))


def repainted(
    canvas: NDArray[np.uint8], erased: Erased, paintwork: Paintwork, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Erased]:
    """A blue plate without glyphs in the colours of another kind, in its own light.

    Returns the canvas to paint on and what ``paint`` needs; every position must be painted.
    """
    x0, y0, x1, y1 = CORE
    white = erased.ink.max(axis=0)
    ground = erased.ground.astype(np.float32)
    luma = ground @ np.array([0.114, 0.587, 0.299], np.float32)
    core = luma[y0:y1, x0:x1]
    light = (luma / max(4.0, float(np.median(core)))).clip(0.45, 1.35)[..., None]
    tint = np.array(paintwork.ground) * rng.normal(1, (0.06, 0.05, 0.05)) * rng.uniform(0.8, 1.25)
    veil = 0.5 * float(np.percentile(core, 5))
    painted = light * (tint * white).astype(np.float32) + veil * 0.3
    inside = np.zeros(luma.shape, np.float32)
    inside[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = 1
    inside = cv2.GaussianBlur(inside, (0, 0), erased.blur_px)[..., None]
    result = (canvas * (1 - inside) + painted * inside).clip(0, 255).astype(np.uint8)
    inks = np.tile(np.array(paintwork.ink, np.float32) * white, (8, 1)) + veil
    inks[6] = np.array(paintwork.special, np.float32) * white + veil
    inks = inks.clip(0, 255).astype(np.float32)
    return result, Erased(result, inks, erased.blur_px, erased.shift_px)
