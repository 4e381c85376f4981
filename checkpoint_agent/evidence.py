"""Pictures that prove a passage: the frame that was read, and the plate cut out of it.

Pictures are encoded when a frame is chosen, so that no raw frame is kept; a frame that shows two
vehicles is encoded once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from anpr.plate import distance
from anpr.types import Box, Image, PlateRead, Quad
from checkpoint_agent.foreground import View
from checkpoint_agent.frames import Frame
from checkpoint_agent.outbox_values import Picture

SCENE_WIDTH_PX = 1280
"""Scenes are made this wide at most."""
_VEHICLE_WIDTH_PX = 640
_SCENE_QUALITY = 85
_PLATE_QUALITY = 92
_PLATE_MARGIN = 0.25
"""Room around the plate, in parts of its size."""
_SHOTS_LIMIT = 3
_BETTER_BY = 1.25
_LARGE_ENOUGH_PX = 140.0
"""Beyond this width a plate is no better evidence for being larger."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG and its size."""

    picture: Picture
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame in which a vehicle's plate was read, as pictures."""

    captured_at: datetime
    text: str
    """What was read in this very frame; "" if it could not be read."""
    quality: float
    scene: Encoded
    plate: Encoded
    scale: float
    """Pixels of the scene picture for one pixel of the frame, at most 1."""
    quad: Quad
    """The plate in the frame, px."""
    vehicle: Box | None = None
    """The vehicle in the frame, px, where it stands out from the road."""


def encode(image: Image, quality: int) -> Encoded:
    """An image as JPEG.

    Raises:
        ValueError: if it cannot be encoded, which only an empty image cannot.
    """
    done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"image of shape {image.shape} cannot be encoded as JPEG")
    jpeg = content.tobytes()
    height_px, width_px = image.shape[:2]
    return Encoded(Picture(hashlib.sha256(jpeg).hexdigest(), jpeg), width_px, height_px)


class Photographer:
    """Makes shots of one frame; the scene is encoded when it is first needed."""

    def __init__(self, frame: Frame, view: View | None = None) -> None:
        """Hold the frame, as long as it is being worked on, and what moves in it."""
        self._frame = frame
        self._view = view
        self._scene: Encoded | None = None

    def improve(self, shots: list[Shot], read: PlateRead) -> None:
        """Add a shot of this read to a vehicle's shots if it is better than what is there.

        One shot is kept for each text that was read, the best few texts.
        """
        height_px, width_px = self._frame.image.shape[:2]
        quality = _quality(read, width_px, height_px)
        same = next((shot for shot in shots if shot.text == read.text), None)
        if same is not None:
            if quality < same.quality * _BETTER_BY:
                return
            shots.remove(same)
        elif len(shots) >= _SHOTS_LIMIT:
            worst = min(shots, key=lambda shot: shot.quality)
            if quality <= worst.quality:
                return
            shots.remove(worst)
        shots.append(self._shot(read, quality))

    def _shot(self, read: PlateRead, quality: float) -> Shot:
        image = self._frame.image
        scale = min(1.0, SCENE_WIDTH_PX / image.shape[1])
        if self._scene is None:
            self._scene = encode(_scaled(image, scale), _SCENE_QUALITY)
        return Shot(
            captured_at=self._frame.captured_at,
            text=read.text,
            quality=quality,
            scene=self._scene,
            plate=encode(_cut_out(image, read.quad), _PLATE_QUALITY),
            scale=scale,
            quad=read.quad,
            vehicle=self._view.vehicle_at(read.box) if self._view else None,
        )


def choose(shots: Sequence[Shot], text: str) -> Shot:
    """The shot that shows best what is claimed: nearest to the voted text, then best.

    Args:
        shots: At least one.
        text: The plate after the vote.
    """
    return min(shots, key=lambda shot: (distance(shot.text, text), -shot.quality, shot.captured_at))


def _quality(read: PlateRead, frame_width_px: int, frame_height_px: int) -> float:
    """How good a picture of the plate a frame is: read ones first, whole ones first."""
    box = read.box
    whole = (
        min(box.x1, box.y1) >= 1 and box.x2 < frame_width_px - 1 and box.y2 < frame_height_px - 1
    )
    width = min(1.0, box.width_px / _LARGE_ENOUGH_PX)
    legible = 1.0 + read.score if read.text else 0.5 * read.detection_score
    return width * legible * (1.0 if whole else 0.5)


def of_vehicle(image: Image, vehicle: Box) -> tuple[Encoded, Encoded, float]:
    """The scene and the vehicle cut out of it, and the scene's scale."""
    scale = min(1.0, SCENE_WIDTH_PX / image.shape[1])
    height_px, width_px = image.shape[:2]
    x1, y1 = max(0, int(vehicle.x1)), max(0, int(vehicle.y1))
    x2, y2 = min(width_px, int(vehicle.x2) + 1), min(height_px, int(vehicle.y2) + 1)
    part = image[y1:y2, x1:x2]
    share = min(1.0, _VEHICLE_WIDTH_PX / part.shape[1])
    scene = encode(_scaled(image, scale), _SCENE_QUALITY)
    return scene, encode(_scaled(part, share), _SCENE_QUALITY), scale


def _scaled(image: Image, scale: float) -> Image:
    if scale >= 1.0:
        return image
    height_px, width_px = image.shape[:2]
    size = (round(width_px * scale), max(1, round(height_px * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cut_out(image: Image, quad: Quad) -> Image:
    """The upright surroundings of a plate, at least one pixel."""
    height_px, width_px = image.shape[:2]
    box = quad.box()
    dx, dy = box.width_px * _PLATE_MARGIN, box.height_px * _PLATE_MARGIN
    x1 = min(max(0, int(box.x1 - dx)), width_px - 1)
    y1 = min(max(0, int(box.y1 - dy)), height_px - 1)
    x2 = max(x1 + 1, min(width_px, int(box.x2 + dx) + 1))
    y2 = max(y1 + 1, min(height_px, int(box.y2 + dy) + 1))
    return image[y1:y2, x1:x2]
