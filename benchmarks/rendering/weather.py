"""Light, rain and the camera's own noise."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering.camera import Camera

Picture = NDArray[np.uint8]
Gain = tuple[float, float, float]


class Light(StrEnum):
    """Time of day."""

    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a time of day does to the picture; gains are per channel, BGR."""

    road: Gain
    vehicle: Gain
    plate: float
    """Gain of the plate, which throws the flash back."""
    shadow: float
    """How dark the shadow under a vehicle is, 0 to 1."""
    lamps: float
    """Strength of the lamps, 0 = off."""
    noise: float
    """Standard deviation of the sensor's noise in grey levels."""
    exposure_s: float


CONDITIONS: dict[Light, Conditions] = {
    Light.DAY: Conditions((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0.94, 0.55, 0.0, 2.0, 1 / 800),
    Light.DUSK: Conditions((0.66, 0.56, 0.55), (0.70, 0.60, 0.58), 0.78, 0.40, 0.45, 4.0, 1 / 400),
    Light.NIGHT: Conditions((0.24, 0.22, 0.21), (0.46, 0.44, 0.42), 0.86, 0.30, 1.0, 6.5, 1 / 300),
}


@lru_cache(maxsize=64)
def _table(gain: Gain) -> Picture:
    steps = np.arange(256, dtype=np.float32)[None, :, None] * np.array(gain, np.float32)
    return steps.clip(0, 255).astype(np.uint8)


def graded(image: Picture, gain: Gain) -> Picture:
    """The picture with a gain on each channel."""
    return image if gain == (1.0, 1.0, 1.0) else cv2.LUT(image, _table(gain))


def wet(road: Picture, seed: int) -> Picture:
    """A road in rain: darker, bluish, with patches that mirror the sky."""
    rng = np.random.default_rng([seed, 5])
    high, wide = road.shape[:2]
    small = rng.standard_normal((max(2, high // 24), max(2, wide // 90))).astype(np.float32)
    field = cv2.resize(small, (wide, high), interpolation=cv2.INTER_CUBIC)
    shine = cv2.convertScaleAbs(np.maximum(field, 0), alpha=26)
    dark = cv2.LUT(road, _table((0.74, 0.70, 0.68)))
    return cv2.add(dark, cv2.merge((shine, shine, shine)))


def street_lamps(image: Picture, camera: Camera) -> None:
    """Pools of light on the road at night, in place."""
    for y in (19.0, 44.0):
        x_px, y_px = camera.project([(-2.0, y, 0.0)])[0]
        wide = 5.5 * camera.px_per_m((0.0, y, 0.0))
        layer = np.zeros(image.shape[:2], np.float32)
        axes = (max(1, round(wide)), max(1, round(wide * 0.45)))
        small = cv2.ellipse(
            np.zeros((image.shape[0] // 8, image.shape[1] // 8), np.float32),
            (round(x_px / 8), round(y_px / 8)), (axes[0] // 8 + 1, axes[1] // 8 + 1),
            0, 0, 360, 1.0, -1,
        )  # fmt: skip
        small = cv2.GaussianBlur(small, (0, 0), max(2.0, wide / 22))
        layer = cv2.resize(small, image.shape[1::-1])
        gain = 1.0 + layer[..., None] * np.array([0.45, 0.75, 0.95], np.float32)
        image[:] = (image * gain).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _streaks(high: int, wide: int, seed: int) -> Picture:
    """A sheet of falling rain, larger than a frame."""
    rng = np.random.default_rng([seed, 6])
    sheet = np.zeros((high + 256, wide + 256), np.uint8)
    slant = rng.uniform(-0.12, 0.12)
    scale = wide / 1280
    for _ in range(1100):
        x, y = rng.uniform(0, wide + 256), rng.uniform(-40, high + 256)
        length = rng.uniform(14, 70) * scale
        ends = [
            (round(a * 16), round(b * 16)) for a, b in ((x, y), (x + slant * length, y + length))
        ]
        cv2.line(sheet, ends[0], ends[1], int(rng.integers(14, 64)), 1, cv2.LINE_AA, 4)
    return cv2.blur(sheet, (2, 3))


@lru_cache(maxsize=8)
def _droplets(high: int, wide: int, seed: int) -> tuple[tuple[int, int, int], ...]:
    rng = np.random.default_rng([seed, 8])
    count = 9
    return tuple(
        (int(rng.integers(30, wide - 30)), int(rng.integers(30, high - 30)), int(r * wide / 1280))
        for r in rng.uniform(5, 13, count)
    )


def rain(frame: Picture, seed: int, rng: np.random.Generator, strength: float) -> None:
    """Streaks of this moment and the drops on the housing's glass, in place."""
    high, wide = frame.shape[:2]
    sheet = _streaks(high, wide, seed)
    y, x = int(rng.integers(256)), int(rng.integers(256))
    streaks = cv2.convertScaleAbs(sheet[y : y + high, x : x + wide], alpha=strength)
    cv2.add(frame, cv2.merge((streaks, streaks, streaks)), dst=frame)
    for cx, cy, radius in _droplets(high, wide, seed):
        reach = radius * 3
        around = frame[max(0, cy - reach) : cy + reach, max(0, cx - reach) : cx + reach]
        size = (2 * radius + 1, 2 * radius + 1)
        seen = cv2.resize(around[::-1, ::-1], size, interpolation=cv2.INTER_AREA)
        part = frame[cy - radius : cy + radius + 1, cx - radius : cx + radius + 1]
        if part.shape != seen.shape:
            continue
        mask = np.zeros(size, np.uint8)
        cv2.circle(mask, (radius, radius), radius - 1, 190, -1, cv2.LINE_AA)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None].astype(np.uint16)
        part[:] = ((seen * mask + part * (255 - mask)) // 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _grain() -> Picture:
    """Noise of unit strength, 24 grey levels a deviation, around 128."""
    rng = np.random.default_rng(11)
    coarse = rng.normal(0, 24, (1400, 2200, 3))
    return (coarse + 128).clip(0, 255).astype(np.uint8)


def sensor_noise(frame: Picture, deviation: float, rng: np.random.Generator) -> None:
    """Add the sensor's noise of this frame, in place; deviation in grey levels."""
    high, wide = frame.shape[:2]
    grain = _grain()
    if high > grain.shape[0] - 64 or wide > grain.shape[1] - 64:
        grain = cv2.resize(grain, (wide + 128, high + 128), interpolation=cv2.INTER_NEAREST)
    y, x = (int(rng.integers(g - s)) for g, s in zip(grain.shape, (high, wide), strict=False))
    part = grain[y : y + high, x : x + wide]
    gain = deviation / 24
    cv2.addWeighted(frame, 1.0, part, gain, -128 * gain, dst=frame)


_GLOW_RADIUS = 96


@lru_cache(maxsize=16)
def _glow(color: tuple[int, int, int], halo: int, *, lamp: bool) -> Picture:
    """A round glow, with the bright heart of a lamp or without."""
    span = np.arange(-_GLOW_RADIUS, _GLOW_RADIUS + 1, dtype=np.float32)
    distance = np.hypot(span[:, None], span[None]) / _GLOW_RADIUS
    level = np.clip(1 - distance, 0, 1) ** (3 if lamp else 1.6) * (halo / 100)
    if lamp:
        level += np.clip(1.25 - distance * 9, 0, 1)
    return (level.clip(0, 1)[..., None] * np.array(color, np.float32)).astype(np.uint8)


def glow(  # noqa: PLR0913 - a lamp has these
    frame: Picture,
    at_px: tuple[float, float],
    radii_px: tuple[float, float],
    color: tuple[int, int, int],
    halo: int,
    *,
    lamp: bool,
) -> None:
    """Add a glow to the frame, in place; ``halo`` is its strength in percent."""
    (x, y), (rx, ry) = at_px, radii_px
    x1, y1 = max(int(x - rx), 0), max(int(y - ry), 0)
    x2, y2 = min(int(x + rx) + 1, frame.shape[1]), min(int(y + ry) + 1, frame.shape[0])
    if x2 <= x1 or y2 <= y1 or min(rx, ry) < 1:
        return
    sx, sy = rx / _GLOW_RADIUS, ry / _GLOW_RADIUS
    matrix = np.array([[sx, 0, x - rx - x1], [0, sy, y - ry - y1]])
    picture = cv2.warpAffine(_glow(color, halo, lamp=lamp), matrix, (x2 - x1, y2 - y1))
    part = frame[y1:y2, x1:x2]
    cv2.add(part, picture, dst=part)
