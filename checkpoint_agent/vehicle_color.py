"""What colour a vehicle's body is: the paint around its plate. Pure.

Bonnet or boot lid above the plate and the bumper beside it are painted; grille, glass and lamps
are not. So dark pixels say nothing about hues, a hue needs a good part of the rest, red more than
others (rear lamps are red), and where there is no hue the brighter quarter decides between white,
grey and black. ``docs/decisions/0014-what-the-agent-sees.md`` says how often that is right.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.types import Box, Image, Quad
from server.wire import VehicleColor

Votes = dict[VehicleColor, int]
"""Colour → frames that say so."""

_PATCH_PX: Final = (48, 32)
# Painted places around the plate, in plate widths from its middle: x1, y1, x2, y2; up is negative.
_BONNET: Final = (-1.5, -1.75, 1.5, -0.75)
_CORNERS: Final = ((-1.75, -0.35, -0.85, 0.15), (0.85, -0.35, 1.75, 0.15))
_CHROMA: Final = 45
"""Difference of the strongest and the weakest channel from which a pixel has a hue …"""
_SATURATION: Final = 75
"""… and its saturation, [0, 255]."""
_DARK: Final = 55
"""Value below which a pixel may be a shadow, glass or grille."""
_LEAST_OF_ALL: Final = 0.16
"""Part of all pixels that a hue needs."""
_LEAST_OF_LIT: Final = 0.3
"""Part of the pixels that are not dark that a hue needs."""
_LEAST_RED: Final = 0.4
_BLACK_UP_TO: Final = (95.0, 142.0)
"""Median and upper quartile of the value of black paint, at most."""
_WHITE_FROM: Final = 198.0
_AGREEING: Final = 0.5
_HUES: Final[tuple[tuple[int, VehicleColor], ...]] = (
    (5, "red"),
    (19, "brown"),
    (36, "yellow"),
    (84, "green"),
    (132, "blue"),
    (160, "purple"),
    (180, "red"),
)
"""Upper ends of OpenCV's hue, [0, 180), and the colour up to there."""
_ORANGE_FROM: Final = 150.0
"""Brown as bright as this is orange."""


def body_color(image: Image, plate: Quad) -> VehicleColor:
    """The body's colour in one frame by daylight; ``unknown`` where it cannot be told.

    Args:
        image: The frame.
        plate: The plate's corners in the frame.
    """
    box = plate.box()
    patches = [_cut(image, box, place) for place in (_BONNET, *_CORNERS)]
    seen = [patch for patch in patches if patch is not None]
    return color_of(np.concatenate(seen)) if seen else "unknown"


def color_of(pixels: NDArray[np.uint8]) -> VehicleColor:
    """The colour of paint from pixels ``uint8 (n, 3)`` BGR, some of which are not paint."""
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_BGR2HSV)[0].astype(np.int32)
    hue, saturation, value = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    chroma = value * saturation // 255
    lit = value >= _DARK
    hued = lit & (chroma >= _CHROMA) & (saturation >= _SATURATION)
    shares: dict[VehicleColor, int] = {}
    low = 0
    for high, name in _HUES:
        shares[name] = shares.get(name, 0) + int((hued & (hue >= low) & (hue < high)).sum())
        low = high
    best = max(shares, key=lambda name: (shares[name], name))
    part = shares[best] / max(1, int(lit.sum()))
    enough = part >= (_LEAST_RED if best == "red" else _LEAST_OF_LIT)
    if enough and shares[best] >= _LEAST_OF_ALL * len(pixels):
        bright = best == "brown" and float(np.median(value[hued])) >= _ORANGE_FROM
        return "orange" if bright else best
    return _without_hue(value[~hued])


def _without_hue(value: NDArray[np.int32]) -> VehicleColor:
    if value.size == 0:
        return "unknown"
    middle, upper = np.percentile(value, [50, 75])
    if middle <= _BLACK_UP_TO[0] and upper <= _BLACK_UP_TO[1]:
        return "black"
    return "white" if upper >= _WHITE_FROM else "grey"


def most_voted(votes: Votes) -> VehicleColor:
    """The colour that most frames name, ``unknown`` if they are divided."""
    named = {name: count for name, count in votes.items() if name != "unknown"}
    if not named:
        return "unknown"
    best = max(named, key=lambda name: (named[name], name))
    return best if named[best] > _AGREEING * sum(named.values()) else "unknown"


def _cut(
    image: Image, plate: Box, place: tuple[float, float, float, float]
) -> NDArray[np.uint8] | None:
    """The pixels of a place around the plate, always as many; ``None`` outside the picture."""
    unit = plate.width_px
    cx, cy = (plate.x1 + plate.x2) / 2, (plate.y1 + plate.y2) / 2
    x1, y1 = round(cx + place[0] * unit), round(cy + place[1] * unit)
    x2, y2 = round(cx + place[2] * unit), round(cy + place[3] * unit)
    part = image[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
    if part.shape[0] < 3 or part.shape[1] < 3:
        return None
    small = cv2.resize(part, _PATCH_PX, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(-1, 3)
