"""What of a fixed camera's picture is not road: motion, and where vehicles are, without a network.

A small copy of each frame is compared with the one before (is anything moving at all?) and with a
learned background (Gaussian mixtures, OpenCV's MOG2). Costs 1 to 3 ms a frame; owns all its state.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.types import Box, Image

Mask = NDArray[np.uint8]

WIDTH_PX: Final = 320
_CELLS: Final = (96, 54)
_CHANGED_LEVELS: Final = 7
"""Grey levels by which a cell must change; noise averages out far below."""
_BY_DAY: Final = (300, 30.0)
"""Frames that the background remembers, and from which squared distance in deviations on a pixel
is no road."""
_BY_NIGHT: Final = (2000, 16.0)
_SHADOW: Final = 0.65
"""What keeps more than this of the road's brightness, and its hue, is a shadow on it."""
_SURE: Final = 255
"""MOG2 marks shadows with 127."""
_WARM_UP_FRAMES: Final = 20
_STALE_FRAMES: Final = 3000
"""What covers the road for so many frames becomes a part of it."""
_DARK: Final = (55.0, 70.0)
"""Median brightness below which it becomes night, and above which day."""
_DUSK_FRAMES: Final = 40
"""So many frames of an empty road must agree: a dark lorry fills the picture, and is no night."""
_DUSK_FRAMES_AT_MOST: Final = 1500
"""So many frames must agree where the road is never empty."""
_EMPTY_RATE: Final = 0.05
_UNLIKE_LEVELS: Final = 12.0
"""By night, what differs from the empty road by more grey levels is something, or lit by it."""
_HALO_PX: Final = 7.0
"""Brightness that varies no faster than this is lamps' light on the road, no vehicle."""
_RELIEF_GAIN: Final = 3.0
_PLATE_ABOVE: Final = 1.0
"""A vehicle is looked for so many plate widths above its plate."""
_WIDEST_PLATES: Final = 7.0
"""The widest vehicle, in plate widths: 2.55 m to 0.44 m, and some room."""
_TALLEST_PLATES: Final = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a frame shows besides the road."""

    moved: bool
    """Something differs from the frame before by more than noise."""
    mask: Mask | None
    """``uint8 (h, 320)``, 255 where there is a vehicle; ``None`` while the road is not known."""
    changed: Mask | None
    """The same with everything that is not as bright as the empty road; by night, more."""
    scale: float
    """Frame pixels for one of the mask's."""
    dark: bool
    """Too dark a picture to tell colours."""

    def box_around(self, x_px: float, y_px: float, within: Box | None = None) -> Box | None:
        """The upright box of what covers a place of the frame, in the frame's pixels.

        Args:
            x_px: The place, from the left.
            y_px: The same, from the top.
            within: Nothing outside belongs to it.
        """
        if self.mask is None:
            return None
        mask, x0, y0 = self.mask, 0, 0
        if within is not None:
            x0, y0 = max(0, int(within.x1 / self.scale)), max(0, int(within.y1 / self.scale))
            x1, y1 = int(within.x2 / self.scale) + 1, int(within.y2 / self.scale) + 1
            mask = mask[y0:y1, x0:x1]
        x, y = int(x_px / self.scale) - x0, int(y_px / self.scale) - y0
        if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]):
            return None
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        around = labels[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        found = around[around > 0]
        if found.size == 0:
            return None
        left, top, wide, high = stats[int(np.bincount(found).argmax())][:4].tolist()
        s = self.scale
        return Box((left + x0) * s, (top + y0) * s, (left + x0 + wide) * s, (top + y0 + high) * s)

    def vehicle_at(self, plate: Box) -> Box | None:
        """The box of the vehicle that bears a plate; ``None`` where it cannot be told."""
        x, half = (plate.x1 + plate.x2) / 2, plate.width_px * _WIDEST_PLATES / 2
        top = max(0.0, plate.y1 - plate.width_px * _TALLEST_PLATES)
        within = Box(max(0.0, x - half), top, x + half, plate.y2 + plate.width_px * 1.5)
        box = self.box_around(x, plate.y1 - plate.width_px * _PLATE_ABOVE, within)
        if box is None or box.width_px < 1.5 * plate.width_px or box.y1 > plate.y1:
            return None
        return Box(min(box.x1, plate.x1), box.y1, max(box.x2, plate.x2), max(box.y2, plate.y2))


class Foreground:
    """The road as one camera knows it."""

    def __init__(self) -> None:
        """Nothing is known yet; the first picture counts as motion."""
        self._previous: Image | None = None
        self._dark = False
        self._dusk_empty = self._dusk_frames = 0
        self._model = _new_model(*_BY_DAY)
        self._empty: NDArray[np.float32] | None = None
        self._seen = 0
        self._held = 0

    def see(self, image: Image, *, occupied: bool) -> View:
        """Take in a frame.

        Args:
            image: The frame.
            occupied: Something stands or drives where vehicles are counted: do not learn it.
        """
        high, wide = image.shape[:2]
        scale = wide / WIDTH_PX
        size = (WIDTH_PX, max(1, round(high / scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        cells = np.asarray(cv2.resize(grey, _CELLS, interpolation=cv2.INTER_AREA), np.uint8)
        previous, self._previous = self._previous, cells
        moved = previous is None or bool(cv2.absdiff(cells, previous).max() >= _CHANGED_LEVELS)
        self._tell_night(float(np.median(cells)), occupied=occupied)
        self._learn_empty(grey, occupied=occupied)
        if self._dark:
            small = _relief(grey)
        self._held = self._held + 1 if occupied else 0
        hold = occupied and self._held < _STALE_FRAMES and self._seen >= _WARM_UP_FRAMES
        raw = self._model.apply(small, learningRate=0.0 if hold else -1.0)
        self._seen += 1
        mask = changed = None
        if self._seen > _WARM_UP_FRAMES:
            mask = np.where(np.asarray(raw) == _SURE, np.uint8(255), np.uint8(0))
            mask = np.asarray(cv2.medianBlur(mask, 3), np.uint8)
            kernel = _TALL_KERNEL if self._dark else _KERNEL
            mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), np.uint8)
            changed = self._changed(mask, grey)
        return View(moved, mask, changed, scale, self._dark)

    def _learn_empty(self, grey: Image, *, occupied: bool) -> None:
        """How bright the road is while nothing is on the line."""
        now = grey.astype(np.float32)
        if self._empty is None or self._empty.shape != now.shape or not self._seen:
            self._empty = now
        elif not occupied:
            self._empty += _EMPTY_RATE * (now - self._empty)

    def _changed(self, mask: Mask, grey: Image) -> Mask:
        """By night relief does not show a bus's flat side, but it is no darker than it was."""
        if not self._dark or self._empty is None:
            return mask
        apart = np.abs(grey.astype(np.float32) - self._empty) > _UNLIKE_LEVELS
        return np.where(apart, np.uint8(255), mask)

    def _tell_night(self, brightness: float, *, occupied: bool) -> None:
        """By night lamps light up the road, so it is known by its relief; it is learned anew."""
        dark = brightness < _DARK[1] if self._dark else brightness < _DARK[0]
        if dark == self._dark:
            self._dusk_empty = self._dusk_frames = 0
            return
        self._dusk_frames += 1
        self._dusk_empty += not occupied
        settled = self._dusk_empty >= _DUSK_FRAMES or self._dusk_frames >= _DUSK_FRAMES_AT_MOST
        if settled or not self._seen:
            model = _new_model(*(_BY_NIGHT if dark else _BY_DAY))
            self._dark, self._model, self._seen = dark, model, 0
            self._dusk_empty = self._dusk_frames = 0


def _new_model(history_frames: int, variance: float) -> cv2.BackgroundSubtractorMOG2:
    model = cv2.createBackgroundSubtractorMOG2(history_frames, variance, True)
    model.setShadowThreshold(_SHADOW)
    return model


def _relief(grey: Image) -> Image:
    """What remains of a picture without its slow changes of brightness, around 128."""
    slow = cv2.GaussianBlur(grey, (0, 0), _HALO_PX)
    return np.asarray(cv2.addWeighted(grey, _RELIEF_GAIN, slow, -_RELIEF_GAIN, 128), np.uint8)


_KERNEL: Final = np.ones((5, 5), np.uint8)
_TALL_KERNEL: Final = np.ones((27, 9), np.uint8)
"""By night the flat parts of a vehicle are not seen: bonnet and roof are closed over."""
