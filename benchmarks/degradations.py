"""What a checkpoint does to a picture, from not at all to too much; each by one number.

Every function takes a picture (``uint8 (h, w, 3)`` BGR), the plate's box in it, the level and a
random generator, and gives a picture of the same size. Turned ones keep the plate's centre in place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr import Box
from benchmarks.rendering import weather

Picture = NDArray[np.uint8]
Degrade = Callable[[Picture, Box, float, np.random.Generator], Picture]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way in which pictures get worse."""

    unit: str
    """What the level counts."""
    levels: tuple[float, ...]
    """From the picture as it is to beyond what a checkpoint meets."""
    apply: Degrade


def _centre(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def glare(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Night with lamps on both sides of the plate: dark, noisy, the halo over the plate."""
    dark = weather.graded(image, (1 - 0.72 * level,) * 3)
    wide = box.width_px
    (x, y), reach = _centre(box), (1.1 + 1.9 * level) * wide
    for side in (-1, 1):
        at = (x + side * 1.35 * wide, y - 0.35 * wide)
        color = (225, 245, 255)
        weather.glow(dark, at, (reach, reach), color, round(95 * level), lamp=True)
    weather.sensor_noise(dark, 9.0 * level, rng)
    return dark


def rain(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Streaks, drops on the glass and a veil; at level 1 a downpour."""
    del box
    wet = cv2.addWeighted(image, 1 - 0.3 * level, np.full_like(image, 150), 0.3 * level, 0)
    for _ in range(1 + round(3 * level)):
        weather.rain(wet, int(rng.integers(1000)), rng, level)
    weather.sensor_noise(wet, 4.0 * level, rng)
    return wet


def motion_blur(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Smeared along the road by this part of the plate's width."""
    length = max(1, round(level * box.width_px))
    if length == 1:
        return image
    angle = np.radians(rng.uniform(60, 120))
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle, half = (length | 1) // 2, length / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * half
    ends = [(round(middle + s * step[0]), round(middle + s * step[1])) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def yaw(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Seen from the side by so many degrees, as a lens of moderate length shows it."""
    angle = np.radians(level) * rng.choice([-1, 1])
    x, y = _centre(box)
    far = 8.0 * box.width_px
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    turned = np.array([[np.cos(angle), 0, 0], [0, 1, 0], [np.sin(angle) / far, 0, 1]])
    forth = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    return _warped(image, forth @ turned @ back)


def roll(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Turned in the picture by so many degrees."""
    angle = float(level * rng.choice([-1, 1]))
    matrix = np.vstack([cv2.getRotationMatrix2D(_centre(box), angle, 1.0), [0, 0, 1]])
    return _warped(image, matrix)


def _warped(image: Picture, matrix: NDArray[np.float64]) -> Picture:
    size = image.shape[1::-1]
    warped = cv2.warpPerspective(
        image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def dirt(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Dried mud over this part of the plate, thick in the middle of each patch."""
    x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
    x2, y2 = min(image.shape[1], int(box.x2) + 1), min(image.shape[0], int(box.y2) + 1)
    if level <= 0 or x2 - x1 < 4 or y2 - y1 < 4:
        return image
    small = rng.standard_normal((5, 14)).astype(np.float32)
    field = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_CUBIC)
    edge = float(np.quantile(field, 1 - level))
    cover = np.clip((field - edge) * 1.6 + 0.2, 0, 0.85)[..., None]
    result = image.copy()
    part = result[y1:y2, x1:x2].astype(np.float32)
    mud = np.array([70, 95, 115], np.float32) * np.clip(part.mean() / 110, 0.3, 1.4)
    result[y1:y2, x1:x2] = (part * (1 - cover) + mud * cover).clip(0, 255).astype(np.uint8)
    return result


def jpeg(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Compressed to this quality."""
    del box, rng
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(level)])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def resolution(image: Picture, box: Box, level: float, rng: np.random.Generator) -> Picture:
    """Taken with this part of the pixels along each side, and shown as large as before."""
    del box, rng
    high, wide = image.shape[:2]
    small = cv2.resize(image, None, fx=level, fy=level, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (wide, high), interpolation=cv2.INTER_LINEAR), np.uint8)


DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {
        "night, headlight glare": Degradation("strength", (0.0, 0.25, 0.5, 0.75, 1.0), glare),
        "rain": Degradation("strength", (0.0, 0.25, 0.5, 0.75, 1.0), rain),
        "motion blur": Degradation(
            "part of the plate's width", (0.0, 0.02, 0.04, 0.06, 0.09), motion_blur
        ),
        "yaw": Degradation("degrees", (0.0, 15.0, 30.0, 45.0, 55.0), yaw),
        "roll": Degradation("degrees", (0.0, 5.0, 10.0, 20.0, 30.0), roll),
        "dirt": Degradation("part of the plate covered", (0.0, 0.1, 0.2, 0.3, 0.45), dirt),
        "JPEG": Degradation("quality", (95.0, 60.0, 30.0, 15.0, 8.0), jpeg),
        "resolution": Degradation(
            "part of the pixels a side", (1.0, 0.75, 0.5, 0.35, 0.25), resolution
        ),
    }
)
"""What the report draws curves of; the goals' levels (45, 20, 30, half) are among the levels."""
