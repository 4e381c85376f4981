"""The values that flow through the reader, frozen; every shape, unit and range is stated here.

An *image* is everywhere ``uint8`` of shape ``(height, width, 3)``, BGR, origin top left.
Coordinates are pixels of that image, ``float``, x to the right and y down. Scores lie in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateColor, PlateKind

Image = NDArray[np.uint8]
"""``uint8 (height, width, 3)`` BGR."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels; ``x1 < x2`` and ``y1 < y2``."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        """Refuse an empty or inverted rectangle."""
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError(f"Box needs x1 < x2 and y1 < y2, got {self.as_tuple()}")

    @property
    def width_px(self) -> float:
        """Width in pixels, > 0."""
        return self.x2 - self.x1

    @property
    def height_px(self) -> float:
        """Height in pixels, > 0."""
        return self.y2 - self.y1

    @property
    def area_px2(self) -> float:
        """Area in square pixels, > 0."""
        return self.width_px * self.height_px

    def as_tuple(self) -> tuple[float, float, float, float]:
        """``(x1, y1, x2, y2)``."""
        return (self.x1, self.y1, self.x2, self.y2)

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box, in [0, 1]."""
        w = min(self.x2, other.x2) - max(self.x1, other.x1)
        h = min(self.y2, other.y2) - max(self.y1, other.y1)
        if w <= 0 or h <= 0:
            return 0.0
        inter = w * h
        return inter / (self.area_px2 + other.area_px2 - inter)


Point = tuple[float, float]
"""``(x, y)`` in pixels."""


@dataclass(frozen=True, slots=True)
class Quad:
    """The four corners of a plate as it is read: top left, top right, bottom right, bottom left.

    "Top left" is the corner before the first character of the top row, however the plate is
    turned in the picture; the order is therefore clockwise on the screen.
    """

    top_left: Point
    top_right: Point
    bottom_right: Point
    bottom_left: Point

    def as_tuple(self) -> tuple[Point, Point, Point, Point]:
        """The corners in reading order ``(tl, tr, br, bl)``."""
        return (self.top_left, self.top_right, self.bottom_right, self.bottom_left)

    def box(self) -> Box:
        """The smallest upright rectangle around the corners."""
        xs, ys = zip(*self.as_tuple(), strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True, slots=True)
class Detection:
    """A plate found in an image, not yet read."""

    quad: Quad
    score: float
    """Confidence that this is a plate, [0, 1]."""
    rows: int
    """1 or 2 rows of characters."""


@dataclass(frozen=True, slots=True)
class Character:
    """One character position of a read."""

    char: str
    """The chosen character; ``?`` where none was sure enough to be claimed."""
    score: float
    """Probability of ``char`` at this position, [0, 1]; for ``?`` that of the best rejected one."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """Other characters that the network considered, ``(char, probability)``, best first."""


@dataclass(frozen=True, slots=True)
class PlateRead:
    """A plate found and read in one image."""

    text: str
    """The plate, normalised, without separators; ``?`` for an unread place; "" if unread."""
    score: float
    """Calibrated probability that ``text`` is right as a whole, [0, 1]."""
    kind: PlateKind
    color: PlateColor
    quad: Quad
    rows: int
    detection_score: float
    characters: tuple[Character, ...]
    """One per character of ``text``, in order."""

    @property
    def box(self) -> Box:
        """The smallest upright rectangle around the plate."""
        return self.quad.box()
