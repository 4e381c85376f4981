"""Whether a camera still sees: a frozen, black or defocused picture is told from a good one. Pure.

Figures are taken of a picture every two seconds; a verdict changes only when the figures have said so for
a while, so that headlights, a lorry before the lens or one bad frame change nothing. How the
thresholds were found stands in ``docs/decisions/0013-what-a-camera-tells.md``.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import cv2
import numpy as np

from anpr.types import Image

PictureState = Literal["unknown", "good", "frozen", "black", "defocused"]
"""unknown: not looked at for long enough; defocused: out of focus, or the lens is covered, so that
the picture has no edges."""

LOOK_EVERY_S = 2.0
WIDTH_PX = 960
"""Edges are measured in a picture made this wide, so that figures compare between cameras."""

BLACK_BELOW, LIT_ABOVE = 0.03, 0.06
"""Share of pixels brighter than 32 of 255; street scenes have 0.14 or more, at night too, and a
clock written into a black picture has about 0.01."""
SOFT_ABOVE_PX, SHARP_BELOW_PX = 1.8, 1.65
"""Width of the sharpest edges."""
FROZEN_BELOW, MOVING_ABOVE = 0.2, 0.3
"""Mean difference in grey levels between two pictures two seconds apart: a repeated picture that
was coded anew leaves up to 0.1, a sensor's noise of one level half a level or more."""

_HOLD_S: dict[PictureState, float] = {
    "good": 5.0,
    "black": 10.0,
    "frozen": 60.0,
    "defocused": 60.0,
    "unknown": 0.0,
}
"""A verdict stands after its figures have held for so long."""

_BRIGHT = 32
_EDGE_WINDOW_PX = 17
_EDGE_CONTRAST = 40
_EDGES_LEAST = 200
_EDGES_PERCENT = 1.0
_GRID_PX = (160, 90)
_COMPARED_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Look:
    """The figures of one picture."""

    bright_share: float
    """Share of pixels brighter than 32 of 255."""
    edge_px: float | None
    """Width (standard deviation of the blur) of the sharpest edges, in pixels of a picture 960 px
    wide; ``None`` if it has no edges."""
    grid: Image
    """Grey levels of about 160 x 90 pixels, taken as they are: averages would hide a sensor's
    noise, which shows that the picture is fresh."""


@dataclass(frozen=True, slots=True)
class PictureQuality:
    """What is known of a camera's picture."""

    state: PictureState = "unknown"
    since_at: datetime | None = None
    """When the figures first said so."""
    bright_share: float | None = None
    edge_px: float | None = None
    change: float | None = None
    """Mean difference in grey levels from the picture looked at before."""


def look_at(image: Image) -> Look:
    """The figures of a picture; some 10 ms of one core for 1080p."""
    height_px, width_px = image.shape[:2]
    # Rows and columns of the sensor as they are: OpenCV's nearest neighbour averages nothing.
    grid = cv2.resize(image[..., 1], _GRID_PX, interpolation=cv2.INTER_NEAREST)
    if width_px > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(height_px * WIDTH_PX / width_px)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    return Look(
        bright_share=float((grey > _BRIGHT).mean()),
        edge_px=_edge_width_px(grey),
        grid=np.asarray(grid, np.uint8),
    )


def _edge_width_px(grey: Image) -> float | None:
    """How wide the sharpest edges of a picture are.

    A step of height ``C`` blurred by a Gaussian of width ``s`` is steepest in its middle, where
    its gradient is ``C / (s * sqrt(2 pi))``. ``C`` is taken from the surroundings of each pixel.
    """
    levels = grey.astype(np.float32)
    across = cv2.Sobel(levels, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(levels, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = cv2.magnitude(across, down)
    window = np.ones((_EDGE_WINDOW_PX, _EDGE_WINDOW_PX), np.uint8)
    contrast = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    edges = contrast >= _EDGE_CONTRAST
    if int(edges.sum()) < _EDGES_LEAST:
        return None
    widths = contrast[edges] / (np.maximum(steepness[edges], 0.5) * np.sqrt(2 * np.pi))
    return float(np.percentile(widths, _EDGES_PERCENT))


def difference(one: Look, other: Look) -> float:
    """Mean difference of two pictures in grey levels, without the hundredth that differs most.

    A clock that the camera writes into its picture goes on when its sensor has stopped.
    """
    apart = np.sort(cv2.absdiff(one.grid, other.grid), axis=None)
    return float(apart[: round(apart.size * _COMPARED_SHARE)].mean())


def judged(look: Look, change: float | None, known: PictureState) -> PictureState:
    """What the figures of one moment say; between two thresholds, what is known stays.

    Args:
        look: The picture's figures.
        change: Its difference from the one before; ``None`` for the first.
        known: The verdict that stands.
    """
    if look.bright_share < (LIT_ABOVE if known == "black" else BLACK_BELOW):
        return "black"
    limit = MOVING_ABOVE if known == "frozen" else FROZEN_BELOW
    if change is not None and change < limit:
        return "frozen"
    limit_px = SHARP_BELOW_PX if known == "defocused" else SOFT_ABOVE_PX
    if look.edge_px is None or look.edge_px > limit_px:
        return "defocused"
    return "good"


class Sight:
    """The verdict on one camera's picture over time."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.quality = PictureQuality()
        self._look: Look | None = None
        self._looked_at: datetime | None = None
        self._leaning: PictureState = "unknown"
        self._leaning_since: datetime | None = None

    def see(self, image: Image, at: datetime) -> PictureQuality:
        """Take in a picture; most are passed over, one every two seconds is looked at."""
        last_at = self._looked_at
        if last_at is not None and abs(at - last_at) < timedelta(seconds=LOOK_EVERY_S):
            return self.quality
        look = look_at(image)
        change = None if self._look is None else difference(self._look, look)
        self._look, self._looked_at = look, at
        says = judged(look, change, self.quality.state)
        since = self._leaning_since
        if says != self._leaning or since is None or at < since:
            self._leaning, self._leaning_since = says, at
            since = at
        known = self.quality
        if says != known.state and at - since >= timedelta(seconds=_HOLD_S[says]):
            known = replace(known, state=says, since_at=since)
        self.quality = replace(
            known,
            bright_share=round(look.bright_share, 3),
            edge_px=None if look.edge_px is None else round(look.edge_px, 2),
            change=None if change is None else round(change, 2),
        )
        return self.quality

    def interrupt(self) -> None:
        """The camera was lost: what comes next is not compared with what was."""
        self._look = None
        self._leaning_since = None
