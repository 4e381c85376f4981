"""What colour a vehicle's body is: the paint around its plate, pixel by pixel. Pure.

Bonnet or boot lid above the plate and the bumper beside it are painted; grille, lamps and glass
are not, and mostly dark or grey. Each pixel votes for a name; dark pixels count little, since
every vehicle has them, and colourful ones count much, since only paint is colourful.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.types import Box, Image, Quad
from server.wire import VehicleColor

Tally = dict[VehicleColor, float]
"""Colour → weight of its votes; one frame's add up to 1, or it is empty."""

_PATCH_PX: Final = (48, 32)
# Painted places around the plate, in plate widths from its middle: x1, y1, x2, y2; up is negative.
_BONNET: Final = (-1.5, -1.75, 1.5, -0.75)
_CORNERS: Final = ((-1.75, -0.35, -0.85, 0.15), (0.85, -0.35, 1.75, 0.15))
_COLORFUL: Final = 62
"""Saturation from which a pixel has a hue."""
_COLORFUL_WORTH: Final = 2.0
_DARK: Final = 62
"""Value below which a pixel may be a shadow, glass or grille."""
_DARK_WORTH: Final = 0.4
_WHITE: Final = 172
_BLACK: Final = 70
_SURE_SHARE: Final = 0.38
"""A name with less of the votes is not given."""
_HUES: Final[tuple[tuple[int, VehicleColor], ...]] = (
    (7, "red"),
    (17, "brown"),
    (36, "yellow"),
    (84, "green"),
    (132, "blue"),
    (160, "purple"),
    (180, "red"),
)
"""Upper ends of OpenCV's hue, [0, 180), and the colour up to there."""
_BRIGHT_ORANGE: Final = 150


def tally(image: Image, plate: Quad) -> Tally:
    """What the pixels around a plate say.

    Args:
        image: The frame.
        plate: Its corners in the frame.
    """
    box = plate.box()
    patches = [_cut(image, box, place) for place in (_BONNET, *_CORNERS)]
    seen = [patch for patch in patches if patch is not None]
    if not seen:
        return {}
    return tally_of(np.concatenate(seen))


def tally_of(pixels: NDArray[np.uint8]) -> Tally:
    """What pixels ``uint8 (n, 3)`` BGR say."""
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_BGR2HSV)[0].astype(np.int32)
    hue, saturation, value = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    colorful = (saturation >= _COLORFUL) & (value >= _DARK * 0.7)
    votes: Tally = {}
    low = 0
    for high, name in _HUES:
        here = colorful & (hue >= low) & (hue < high)
        bright = here & (value >= _BRIGHT_ORANGE)
        if name == "brown":
            _count(votes, "orange", bright, _COLORFUL_WORTH)
            here &= ~bright
        _count(votes, name, here, _COLORFUL_WORTH)
        low = high
    plain = ~colorful
    _count(votes, "white", plain & (value >= _WHITE), 1.0)
    _count(votes, "grey", plain & (value < _WHITE) & (value >= _BLACK), 1.0)
    _count(votes, "black", plain & (value < _BLACK), _DARK_WORTH)
    total = sum(votes.values())
    return {name: worth / total for name, worth in votes.items()} if total else {}


def name_of(votes: Tally) -> VehicleColor:
    """The colour that a tally names, ``unknown`` if it is divided."""
    total = sum(votes.values())
    if total <= 0:
        return "unknown"
    best = max(votes, key=lambda name: (votes[name], name))
    return best if votes[best] >= _SURE_SHARE * total else "unknown"


def add(votes: Tally, new: Tally) -> None:
    """Count another frame's tally of the same vehicle, in place."""
    for name, worth in new.items():
        votes[name] = votes.get(name, 0.0) + worth


def _count(votes: Tally, name: VehicleColor, pixels: NDArray[np.bool_], worth: float) -> None:
    number = int(pixels.sum())
    if number:
        votes[name] = votes.get(name, 0.0) + worth * number


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
