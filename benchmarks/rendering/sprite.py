"""Drawing a vehicle's shell into a cut-out picture with cover, as the camera sees it at a place."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering.camera import Camera
from benchmarks.rendering.vehicle import Corner, Face, Shell

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]

NEAREST_M = 1.0
"""Nothing is drawn nearer to the camera's foot than this; it is below the picture anyway."""
_PLATE_SUPER = 3
_MARGIN_PX = 12
_UPRIGHT_PX = 0.5
"""Smear that goes aside by less is upright."""


@dataclass(slots=True)
class Sprite:
    """A vehicle cut out of its surroundings; ``color`` is premultiplied with ``cover``."""

    color: Picture
    cover: Picture
    x: int
    y: int

    @property
    def region(self) -> tuple[slice, slice]:
        """The part of the frame that it takes."""
        high, wide = self.cover.shape
        return slice(self.y, self.y + high), slice(self.x, self.x + wide)

    def over(self, frame: Picture) -> None:
        """Lay it over the frame, in place."""
        part = frame[self.region]
        kept = cv2.multiply(part, _three(cv2.bitwise_not(self.cover)), scale=1 / 255)
        part[:] = cv2.add(kept, self.color)

    def smear(self, dx: float, dy: float) -> None:
        """Blur along a motion of so many pixels during the exposure."""
        length = float(np.hypot(dx, dy))
        if length < 0.7:
            return
        half = int(np.ceil(length / 2)) + 1
        kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
        ends = [(round((half + s * dx / 2) * 16), round((half + s * dy / 2) * 16)) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
        # Motion is nearly upright: without the empty columns the filter costs half.
        aside = int(np.abs(np.flatnonzero(kernel.any(axis=0)) - half).max())
        aside = 0 if abs(dx) < _UPRIGHT_PX else aside
        kernel = kernel[:, half - aside : half + aside + 1]
        weights = kernel.astype(np.float32) / float(kernel.sum())
        self.color = cv2.filter2D(self.color, -1, weights, borderType=cv2.BORDER_REPLICATE)
        self.cover = cv2.filter2D(self.cover, -1, weights, borderType=cv2.BORDER_REPLICATE)


def _three(mask: Picture) -> Picture:
    return cv2.merge((mask, mask, mask))


def placed(corners: Sequence[Corner], x_m: float, y_m: float) -> Points:
    """Corners of a vehicle standing with the middle of its near end at ``(x, y)``, in the world."""
    points = np.add(np.asarray(corners, float), (x_m, y_m, 0.0))
    points[:, 1] = np.maximum(points[:, 1], NEAREST_M)
    return points


def outline_box(
    camera: Camera, shell: Shell, x_m: float, y_m: float
) -> tuple[float, float, float, float] | None:
    """The vehicle's box in the frame ``(x1, y1, x2, y2)``, or ``None`` where it is outside."""
    corners = [c for face in shell.faces for c in face.corners]
    pixels = camera.project(placed(corners, x_m, y_m))
    x1, y1 = np.maximum(pixels.min(axis=0), 0.0)
    x2, y2 = np.minimum(pixels.max(axis=0), (camera.width_px, camera.height_px))
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    return float(x1), float(y1), float(x2), float(y2)


def draw_shell(
    camera: Camera, shell: Shell, x_m: float, y_m: float, box: tuple[float, float, float, float]
) -> Sprite:
    """Draw everything but the plate, by day."""
    left, top = max(0, int(box[0]) - _MARGIN_PX), max(0, int(box[1]) - _MARGIN_PX)
    right = min(camera.width_px, int(box[2]) + _MARGIN_PX)
    bottom = min(camera.height_px, int(box[3]) + _MARGIN_PX)
    sprite = Sprite(
        np.zeros((bottom - top, right - left, 3), np.uint8),
        np.zeros((bottom - top, right - left), np.uint8),
        left,
        top,
    )
    corners = [c for face in shell.faces for c in face.corners]
    pixels = camera.project(placed(corners, x_m, y_m)) - (left, top)
    for n, face in enumerate(shell.faces):
        _draw_face(sprite, face, pixels[4 * n : 4 * n + 4])
    return sprite


def _draw_face(sprite: Sprite, face: Face, quad: Points) -> None:
    high, wide = sprite.cover.shape
    x1, y1 = np.floor(quad.min(axis=0)).astype(int) - 1
    x2, y2 = np.ceil(quad.max(axis=0)).astype(int) + 2
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, wide), min(y2, high)
    if x2 - x1 < 1 or y2 - y1 < 1:
        return
    local = quad - (x1, y1)
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    points = np.rint(local * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, 4)
    cv2.polylines(mask, [points], True, 255, 1, cv2.LINE_AA, 4)
    color = sprite.color[y1:y2, x1:x2]
    if face.texture is None:
        paint = np.empty_like(color)
        cv2.rectangle(paint, (0, 0), (x2 - x1, y2 - y1), face.color, -1)
    else:
        paint = _warped(face.texture, local, (x2 - x1, y2 - y1))
    cover = _three(mask)
    kept = cv2.multiply(color, cv2.bitwise_not(cover), scale=1 / 255)
    color[:] = cv2.add(kept, cv2.multiply(paint, cover, scale=1 / 255))
    part = sprite.cover[y1:y2, x1:x2]
    np.maximum(part, mask, out=part)


def _level_for(picture: Picture, quad: Points) -> int:
    across = float(np.hypot(*(quad[1] - quad[0])) + np.hypot(*(quad[2] - quad[3]))) / 2
    down = float(np.hypot(*(quad[3] - quad[0])) + np.hypot(*(quad[2] - quad[1]))) / 2
    ratio = min(picture.shape[1] / max(across, 1.0), picture.shape[0] / max(down, 1.0))
    return max(0, int(np.floor(np.log2(max(ratio, 1.0)))))


def _warped(picture: Picture, quad: Points, size: tuple[int, int]) -> Picture:
    """A picture stretched over four corners of a canvas, without aliasing."""
    level = _level_for(picture, quad)
    for _ in range(level):
        if min(picture.shape[:2]) < 8:
            break
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    high, wide = picture.shape[:2]
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, quad.astype(np.float32) - 0.5)
    return cv2.warpPerspective(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def draw_plate_on(sprite: Sprite, image: Picture, quad_px: Points) -> None:
    """Lay a plate into a vehicle's sprite; ``quad_px`` in the frame, tl tr br bl.

    It is drawn larger and averaged down, since its strokes are hardly wider than a pixel.
    """
    high, wide = sprite.cover.shape
    quad = quad_px - (sprite.x, sprite.y)
    x1, y1 = np.floor(quad.min(axis=0)).astype(int) - 1
    x2, y2 = np.ceil(quad.max(axis=0)).astype(int) + 1
    if x1 < 0 or y1 < 0 or x2 > wide or y2 > high:
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, wide), min(y2, high)
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
    fine = (quad - (x1, y1)) * _PLATE_SUPER
    size = ((x2 - x1) * _PLATE_SUPER, (y2 - y1) * _PLATE_SUPER)
    picture = _warped(image, fine, size)
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(mask, np.rint((fine - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    small = (x2 - x1, y2 - y1)
    picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    cover = _three(cv2.resize(mask, small, interpolation=cv2.INTER_AREA))
    color = sprite.color[y1:y2, x1:x2]
    kept = cv2.multiply(color, cv2.bitwise_not(cover), scale=1 / 255)
    color[:] = cv2.add(kept, cv2.multiply(picture, cover, scale=1 / 255))
