"""The project's own plate letters and digits: centre lines of strokes, drawn with a broad pen.

Each glyph stands in a cell 45 wide and 90 high, like the characters of an ordinary plate in
millimetres. A stroke is written as a small path: ``M x y`` begins it, ``L x y`` is a straight
line, ``A cx cy rx ry from to`` an arc of an ellipse between two angles in degrees (0 = right,
90 = down). ``Z`` closes it. Strokes end bluntly; their corners are mitred where two strokes overlap.
Stretched cells (two-row and new-energy plates) move the lines but keep the pen.
"""

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

CELL_W, CELL_H = 45.0, 90.0
PEN = 8.8
"""Width of the pen in millimetres for which the centre lines below are written."""

# With the pen's half width of 4.4: centre lines lie at 4.4 and 40.6 across, 4.4 and 85.6 down.
GLYPHS: dict[str, tuple[str, ...]] = {
    "0": ("M 40.6 67 A 22.5 67 18.1 18.6 0 180 L 4.4 23 A 22.5 23 18.1 18.6 180 360 Z",),
    "1": ("M 22.5 0 L 22.5 90",),
    "2": (
        "M 4.4 27 L 4.4 23 A 22.5 23 18.1 18.6 180 375 L 7 82",
        "M 1.5 85.6 L 45 85.6",
    ),
    "3": (
        "M 2 4.4 L 43 4.4",
        "M 39.8 4 L 16.5 41.5",
        "M 15.5 39.8 L 22.5 39.2 A 22.5 62 18.1 22.8 270 450 A 22.5 67 18.1 18.6 90 165",
    ),
    "4": ("M 29 0 L 5.4 69", "M 0.8 69.5 L 45 69.5", "M 34 0 L 34 90"),
    "5": (
        "M 8.2 4.4 L 42 4.4",
        "M 8.6 0 L 7.2 44",
        "M 7.4 44 A 23 60 17.6 22.5 225 360 L 40.6 66 A 22.5 66 18.1 19.6 0 165",
    ),
    "6": (
        "M 33.5 0 L 15.5 30 A 44 62 39.6 40 223 180",
        "M 40.6 64 A 22.5 64 18.1 21.6 0 360 Z",
    ),
    "7": (
        "M 1.5 4.4 L 44.5 4.4",
        "M 40.4 2 L 25.5 42 A 74 90 56.5 80 216 180",
    ),
    "8": (
        "M 38.4 23 A 22.5 23 15.9 18.6 0 360 Z",
        "M 40.6 63.6 A 22.5 63.6 18.1 22 0 360 Z",
    ),
    "9": (
        "M 11.5 90 L 29.5 60 A 1 28 39.6 40 43 0",
        "M 40.6 26 A 22.5 26 18.1 21.6 0 360 Z",
    ),
    "A": ("M 4.6 90 L 20.4 0", "M 40.4 90 L 24.6 0", "M 8.6 67 L 36.4 67"),
    "B": (
        "M 4.4 0 L 4.4 90",
        "M 0.5 4.4 L 22 4.4 A 22 23.4 16.4 19 270 450 L 2 42.4",
        "M 2 42.4 L 23 42.4 A 23 64 17.6 21.6 270 450 L 0.5 85.6",
    ),
    "C": (
        "M 40.6 28 L 40.6 23 A 22.5 23 18.1 18.6 360 180 L 4.4 67 A 22.5 67 18.1 18.6 180 0 L 40.6 62",
    ),
    "D": (
        "M 4.4 0 L 4.4 90",
        "M 0.5 4.4 L 24 4.4 A 24 21 16.6 16.6 270 360 L 40.6 69 A 24 69 16.6 16.6 0 90 L 0.5 85.6",
    ),
    "E": ("M 4.4 0 L 4.4 90", "M 0.5 4.4 L 43.5 4.4", "M 2 43.5 L 39 43.5", "M 0.5 85.6 L 44 85.6"),
    "F": ("M 4.4 0 L 4.4 90", "M 0.5 4.4 L 44 4.4", "M 2 44.5 L 39.5 44.5"),
    "G": (
        "M 40.6 27 L 40.6 23 A 22.5 23 18.1 18.6 360 180 L 4.4 67 A 22.5 67 18.1 18.6 180 0 L 40.6 41",
        "M 19.5 41.5 L 45 41.5",
    ),
    "H": ("M 4.4 0 L 4.4 90", "M 40.6 0 L 40.6 90", "M 2 43.8 L 43 43.8"),
    "I": ("M 22.5 0 L 22.5 90", "M 10 4.4 L 35 4.4", "M 10 85.6 L 35 85.6"),
    "J": ("M 40.6 0 L 40.6 67 A 22.5 67 18.1 18.6 0 180 L 4.4 66",),
    "K": ("M 4.4 0 L 4.4 90", "M 40.2 0 L 6 57", "M 18.5 33 L 40.6 90"),
    "L": ("M 4.4 0 L 4.4 90", "M 0.5 85.6 L 44 85.6"),
    "M": ("M 4.4 0 L 4.4 90", "M 40.6 0 L 40.6 90", "M 5.4 0 L 22.5 44", "M 39.6 0 L 22.5 44"),
    "N": ("M 4.4 0 L 4.4 90", "M 40.6 0 L 40.6 90", "M 5.4 0 L 39.6 90"),
    "O": ("M 40.6 67 A 22.5 67 18.1 18.6 0 180 L 4.4 23 A 22.5 23 18.1 18.6 180 360 Z",),
    "P": ("M 4.4 0 L 4.4 90", "M 0.5 4.4 L 20 4.4 A 20 27 20.6 22.6 270 450 L 2 49.6"),
    "Q": (
        "M 40.6 67 A 22.5 67 18.1 18.6 0 180 L 4.4 23 A 22.5 23 18.1 18.6 180 360 Z",
        "M 18 57.5 L 42.5 89",
    ),
    "R": (
        "M 4.4 0 L 4.4 90",
        "M 0.5 4.4 L 20 4.4 A 20 25 20.6 20.6 270 450 L 2 45.6",
        "M 19.5 45 L 40.4 90",
    ),
    "S": (
        "M 40.2 27 L 40.2 23 A 22.5 23 17.7 18.6 360 150 L 34.6 52.5 A 22.5 67 18.1 18.6 325 540 L 4.4 62",
    ),
    "T": ("M 22.5 0 L 22.5 90", "M 0.5 4.4 L 44.5 4.4"),
    "U": ("M 4.4 0 L 4.4 67 A 22.5 67 18.1 18.6 180 0 L 40.6 0",),
    "V": ("M 4.6 0 L 20.6 90", "M 40.4 0 L 24.4 90"),
    "W": ("M 4 0 L 11.6 90", "M 41 0 L 33.4 90", "M 22.5 9 L 12.2 90", "M 22.5 9 L 32.8 90"),
    "X": ("M 5 0 L 40 90", "M 40 0 L 5 90"),
    "Y": ("M 4.8 0 L 22.5 48", "M 40.2 0 L 22.5 48", "M 22.5 44 L 22.5 90"),
    "Z": ("M 2 4.4 L 44 4.4", "M 40 4 L 5 86", "M 1 85.6 L 44 85.6"),
}

_SUPER = 4
_ARC_STEP_DEG = 6.0


@lru_cache(maxsize=256)
def _lines(path: str) -> tuple[tuple[tuple[float, float], ...], bool]:
    """The points of a path in cell units, and whether it is closed."""
    points: list[tuple[float, float]] = []
    closed = False
    words = path.split()
    at = 0
    while at < len(words):
        command = words[at]
        at += 1
        if command == "Z":
            closed = True
        elif command in {"M", "L"}:
            points.append((float(words[at]), float(words[at + 1])))
            at += 2
        else:
            cx, cy, rx, ry, start, end = map(float, words[at : at + 6])
            at += 6
            steps = max(2, round(abs(end - start) / _ARC_STEP_DEG))
            points += [
                (cx + rx * float(np.cos(angle)), cy + ry * float(np.sin(angle)))
                for angle in np.radians(np.linspace(start, end, steps + 1))
            ]
    return tuple(points), closed


def _moved(
    points: tuple[tuple[float, float], ...], width_mm: float, height_mm: float, pen_mm: float
) -> NDArray[np.float64]:
    """The centre line in a cell of another size; the pen's edge stays on the cell's edge."""
    line = np.asarray(points, float)
    half, new = PEN / 2, pen_mm / 2
    for axis, (old_size, size) in enumerate(((CELL_W, width_mm), (CELL_H, height_mm))):
        value = line[:, axis]
        inner = new + (value - half) * (size - pen_mm) / (old_size - PEN)
        outside = np.minimum(value - half, 0) + np.maximum(value - (old_size - half), 0)
        line[:, axis] = np.where(
            outside == 0,
            inner,
            np.where(outside < 0, value * new / half, size - (old_size - value)),
        )
    return line


def draw_strokes(
    char: str, width_mm: float, height_mm: float, px_per_mm: float, pen_mm: float = PEN
) -> NDArray[np.uint8]:
    """Draw one letter or digit into a mask ``uint8 (h, w)``, 255 = ink.

    Args:
        char: One of ``A``-``Z`` and ``0``-``9``.
        width_mm: Width of the cell, > 0.
        height_mm: Height of the cell, > 0.
        px_per_mm: Size of the mask, > 0.
        pen_mm: Width of the pen.
    """
    scale = px_per_mm * _SUPER
    wide, high = round(width_mm * px_per_mm), round(height_mm * px_per_mm)
    canvas = np.zeros((high * _SUPER, wide * _SUPER), np.uint8)
    radius = pen_mm / 2
    for path in GLYPHS[char]:
        points, closed = _lines(path)
        line = _moved(points, width_mm, height_mm, pen_mm)
        if closed:
            line = np.vstack([line, line[:1]])
        for start, end in pairwise(line):
            step = end - start
            length = float(np.hypot(*step))
            if length < 1e-6:
                continue
            across = np.array([-step[1], step[0]]) / length * radius
            quad = np.array([start + across, end + across, end - across, start - across])
            cv2.fillConvexPoly(canvas, np.rint(quad * scale * 16).astype(np.int32), 255, 8, 4)
        joints = line if closed else line[1:-1]
        for x, y in joints:
            centre = (round(x * scale * 16), round(y * scale * 16))
            cv2.circle(canvas, centre, round(radius * scale * 16), 255, -1, 8, 4)
    return cv2.resize(canvas, (wide, high), interpolation=cv2.INTER_AREA)
