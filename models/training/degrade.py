"""What a camera does to a plate: corners a little off, blur, noise, light, dirt, compression.

Every function takes the random generator it draws from. Pictures are ``uint8`` BGR.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.rectify import CUTS, WHOLE_PLATE

Picture = NDArray[np.uint8]
Rect = tuple[float, float, float, float]

_NOISE_SIDE: Final = 512
_BOLTED_PART: Final = 0.2


@dataclass(frozen=True, slots=True)
class Mounted:
    """A plate in its surroundings, upright."""

    picture: Picture
    core: Rect
    """``(x1, y1, x2, y2)`` of the plate in the picture."""
    rows: int = 1
    """Rows of characters: 1 or 2."""


@dataclass(frozen=True, slots=True)
class Harshness:
    """How hard the picture is made; 1 is the training setting, 0 leaves it nearly as it is."""

    corners: float = 1.0
    camera: float = 1.0
    smallest_height_px: float = 13.0
    grey: float = 0.05
    """Share of pictures without colour, as infrared lamps make them."""


DEFAULT_HARSHNESS: Final = Harshness()


@cache
def _noise_bank() -> NDArray[np.float32]:
    return np.random.default_rng(7).standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3), np.float32)


def _jittered(core: Rect, rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """The plate's corners as a detector might give them, (4, 2): tl, tr, br, bl."""
    x1, y1, x2, y2 = core
    wide, high = x2 - x1, y2 - y1
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    if strength <= 0:
        return corners
    middle = corners.mean(axis=0)
    rough = strength * rng.choice([0.5, 1.0, 1.6], p=[0.45, 0.4, 0.15])
    scale = 1 + rng.normal(0, 0.025 * rough, 2) + 0.01
    shift = rng.normal(0, (0.012, 0.03), 2) * rough * (wide, high)
    each = rng.normal(0, 1, (4, 2)) * (0.012 * rough, 0.035 * rough) * (wide, high)
    each = each.clip((-0.08 * wide, -0.12 * high), (0.08 * wide, 0.12 * high))
    tilt = np.deg2rad(rng.normal(0, 1.2 * rough))
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    out = ((corners - middle) * scale) @ turn.T + middle + shift + each
    if rng.random() < 0.4 * strength:
        # A detector sees an oblique plate's box more easily than its slant: leave some of it.
        slant = float(np.clip(rng.normal(0, 0.06), -0.14, 0.14)) * wide
        out[:, 0] += np.array([slant, slant, -slant, -slant]) / 2
        drop = float(np.clip(rng.normal(0, 0.09), -0.2, 0.2)) * high
        out[:, 1] += np.array([drop, -drop, -drop, drop]) / 2
    return out.astype(np.float32)


def _cut(
    picture: Picture, corners: NDArray[np.float32], part: Rect, size_px: tuple[int, int]
) -> Picture:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    u1, v1, u2, v2 = part
    wanted = np.array([[[u1, v1], [u2, v1], [u2, v2], [u1, v2]]], np.float32)
    source = cv2.perspectiveTransform(wanted, cv2.getPerspectiveTransform(square, corners))[0]
    width, height = size_px
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(target - 0.5, source - 0.5)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        picture, matrix, size_px, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def photograph(
    mounted: Mounted,
    size_px: tuple[int, int],
    rng: np.random.Generator,
    harshness: Harshness = DEFAULT_HARSHNESS,
    row: int = 0,
) -> Picture:
    """A plate as the recogniser is given it: photographed badly, found roughly, cut, stretched.

    The result is ``size_px = (width, height)``; of a plate of two rows it is the upper (0) or the
    lower one (1).
    """
    canvas, core, rows = mounted.picture, mounted.core, mounted.rows
    if rng.random() < _BOLTED_PART * harshness.camera:
        canvas = _bolted(canvas, core, rng)
    corners = _jittered(core, rng, harshness.corners * (1.3 if rows > 1 else 1.0))
    if rows > 1 and rng.random() < 0.5 * harshness.corners:
        # Detectors tend to take in what lies above or below a nearly square plate.
        corners[:2, 1] -= rng.uniform(-0.05, 0.12) * (core[3] - core[1])
        corners[2:, 1] += rng.uniform(-0.05, 0.2) * (core[3] - core[1])
    width, height = size_px
    high_px = _plate_height(rng, harshness, height * rows, often=0.5 if rows == 1 else 0.75)
    shrink = min(1.0, high_px / (core[3] - core[1]))
    if rows == 1:
        inner = (max(24, round(width * high_px / height)), max(9, round(high_px * 1.1)))
        inner = (min(inner[0], width + 24), min(inner[1], height + 8))
        source = _averaged(canvas, shrink)
        small = degrade(_cut(source, corners, WHOLE_PLATE, inner), rng, harshness)
        return cv2.resize(small, size_px, interpolation=cv2.INTER_LINEAR)
    if shrink < 1:
        canvas = cv2.resize(canvas, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        corners = corners * shrink
    small = degrade(canvas, rng, harshness)
    return _cut(small, corners, CUTS[rows][row], size_px)


def _bolted(canvas: Picture, core: Rect, rng: np.random.Generator) -> Picture:
    """Screws and their caps, often right above or below a 1, which then looks like a 7 or a T."""
    x1, y1, x2, y2 = core
    wide, high = x2 - x1, y2 - y1
    out = canvas.copy()
    tone = rng.integers(60, 256)
    color = tuple(float(v) for v in (tone + rng.normal(0, 12, 3)).clip(0, 255))
    radius = high * rng.uniform(0.035, 0.085)
    across = rng.uniform(0.18, 0.30)
    v = rng.uniform(0.05, 0.16)
    for u in (across, 1 - across):
        for side in (v, 1 - v):
            if rng.random() < (0.9 if side < 0.5 else 0.4):
                at = (round(x1 + u * wide), round(y1 + side * high))
                cv2.circle(out, at, max(1, round(radius)), color, -1, cv2.LINE_AA)
                if rng.random() < 0.5:  # the shadow that a cap throws
                    below = (at[0], at[1] + max(1, round(radius * 0.6)))
                    dark = tuple(c * 0.45 for c in color)
                    cv2.ellipse(
                        out,
                        below,
                        (max(1, round(radius)), max(1, round(radius * 0.5))),
                        0,
                        0,
                        180,
                        dark,
                        1,
                        cv2.LINE_AA,
                    )
    return out


def _plate_height(
    rng: np.random.Generator, harshness: Harshness, top_px: float, often: float
) -> float:
    """Height of the plate in the imagined photograph: enough, or (so often) less."""
    if rng.random() >= often or harshness.camera <= 0:
        return top_px
    low = harshness.smallest_height_px * (top_px / 40) ** 0.5
    return float(low * (top_px / low) ** (rng.random() ** 0.7))


def _averaged(canvas: Picture, shrink: float) -> Picture:
    if shrink > 0.8:
        return canvas
    return cv2.GaussianBlur(canvas, (0, 0), 0.42 / shrink)


def degrade(picture: Picture, rng: np.random.Generator, harshness: Harshness) -> Picture:
    """Light, dirt, blur, noise and compression, in the order in which they happen."""
    if harshness.camera <= 0:
        return picture
    strength = harshness.camera * float(rng.choice([0.25, 0.6, 1.0], p=[0.35, 0.4, 0.25]))
    chance = rng.random(8)
    if chance[0] < 0.30 * strength:
        picture = _light_field(picture, rng)
    if chance[1] < 0.10 * strength:
        picture = _dirt(picture, rng)
    picture = _one_end_lost(picture, rng, 0.14 * strength)
    if chance[2] < 0.45 * strength:
        picture = _blurred(picture, rng)
    if chance[3] < 0.80 * strength:
        picture = cv2.LUT(picture, _tone(rng))
    picture = _sharpened(picture, rng, 0.25 * strength)
    if chance[4] < 0.06 * strength:
        picture = _glare(picture, rng)
    if chance[5] < 0.55 * strength:
        picture = _noisy(picture, rng)
    picture = _interlaced(picture, rng, 0.05 * strength)
    if chance[6] < 0.35 * strength:
        quality = int(rng.integers(18, 85))
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    if chance[7] < harshness.grey:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return picture


def _tone(rng: np.random.Generator) -> NDArray[np.uint8]:
    """One table per channel: exposure, contrast, gamma and colour cast together."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma = float(np.exp(rng.normal(0, 0.25)))
    contrast = float(np.exp(rng.normal(-0.05, 0.25)))
    exposure = float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.08:  # night: little light left
        exposure *= rng.uniform(0.15, 0.5)
    cast = np.exp(rng.normal(0, 0.10, 3)).astype(np.float32)
    veil = max(0.0, float(rng.normal(0, 0.05)))
    value = levels**gamma
    pivot = 0.45
    value = (value - pivot) * contrast + pivot
    value = value * exposure * cast + veil
    return (value * 255).clip(0, 255).astype(np.uint8).reshape(1, 256, 3)


def _light_field(picture: Picture, rng: np.random.Generator) -> Picture:
    """Uneven light: a smooth field, or the hard edge of a shadow."""
    high, wide = picture.shape[:2]
    if rng.random() < 0.5:
        grid = rng.normal(1, 0.25, (2, 4)).clip(0.35, 1.7).astype(np.float32)
        gain = cv2.resize(grid, (wide, high), interpolation=cv2.INTER_CUBIC)
    else:
        x, y = np.meshgrid(np.linspace(-1, 1, wide), np.linspace(-1, 1, high))
        angle, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5)
        side = (np.cos(angle) * x + 0.4 * np.sin(angle) * y - offset) * rng.uniform(4, 40)
        dark = rng.uniform(0.3, 0.8)
        gain = (dark + (1 - dark) / (1 + np.exp(-side.clip(-30, 30)))).astype(np.float32)
    return (picture * gain[..., None]).clip(0, 255).astype(np.uint8)


def _one_end_lost(picture: Picture, rng: np.random.Generator, often: float) -> Picture:
    """One end of the plate in deep shadow, in a lamp's light or behind a film of dust.

    Most often it is the province that hardly shows: what is left of it must be enough.
    """
    if rng.random() >= often:
        return picture
    wide = picture.shape[1]
    reach, soft = float(rng.uniform(0.12, 0.34)) * wide, float(rng.uniform(0.02, 0.1)) * wide
    part = 1 / (1 + np.exp(((np.arange(wide) - reach) / soft).clip(-30, 30)))
    if rng.random() < 0.25:
        part = part[::-1]
    part = (part * rng.uniform(0.45, 0.88)).astype(np.float32)[None, :, None]
    into = float(rng.choice([0.0, 255.0, float(picture.mean())], p=[0.5, 0.25, 0.25]))
    return np.asarray(picture * (1 - part) + into * part, np.float32).astype(np.uint8)


def _interlaced(picture: Picture, rng: np.random.Generator, often: float) -> Picture:
    """The two fields of an interlaced camera, between which the vehicle moved on."""
    if rng.random() >= often:
        return picture
    out = picture.copy()
    out[1::2] = np.roll(picture[1::2], int(rng.choice([-3, -2, -1, 1, 2, 3])), axis=1)
    return out


def _dirt(picture: Picture, rng: np.random.Generator) -> Picture:
    """Mud, bolts, a leaf, a tow hook: blots of one colour, some see-through."""
    high, wide = picture.shape[:2]
    blots = picture.copy()
    tone = int(rng.integers(20, 210))
    for _ in range(int(rng.integers(1, 6))):
        centre = (int(rng.integers(0, wide)), int(rng.integers(0, high)))
        axes = (int(rng.integers(1, max(2, wide // 24))), int(rng.integers(1, max(2, high // 6))))
        color = tuple(int(v) for v in (tone + rng.integers(-25, 25, 3)).clip(0, 255))
        cv2.ellipse(blots, centre, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
    share = float(rng.uniform(0.3, 0.9))
    return cv2.addWeighted(picture, 1 - share, blots, share, 0)


def _glare(picture: Picture, rng: np.random.Generator) -> Picture:
    high, wide = picture.shape[:2]
    x, y = np.meshgrid(np.arange(wide, dtype=np.float32), np.arange(high, dtype=np.float32))
    cx, cy = rng.uniform(0, wide), rng.uniform(-0.3, 1.3) * high
    radius = rng.uniform(0.15, 0.6) * wide
    halo = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2)) * rng.uniform(50, 140)
    return (picture + halo[..., None]).clip(0, 255).astype(np.uint8)


def _blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    kind = rng.random()
    high = picture.shape[0]
    if kind < 0.55:
        return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.022 * high + 0.5)))
    if kind < 0.9:
        length = float(rng.uniform(2, 0.10 * high + 2))
        side = int(length) | 1
        kernel = np.zeros((side + 2, side + 2), np.float32)
        angle = rng.normal(0, 0.35) if rng.random() < 0.6 else rng.uniform(0, np.pi)
        middle = (side + 1) / 2
        dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
        start = (round((middle - dx) * 16), round((middle - dy) * 16))
        end = (round((middle + dx) * 16), round((middle + dy) * 16))
        cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
        total = float(kernel.sum())
        if total <= 0:
            return picture
        return cv2.filter2D(picture, -1, kernel / total, borderType=cv2.BORDER_REPLICATE)
    sharp = cv2.addWeighted(picture, 2.0, cv2.GaussianBlur(picture, (0, 0), 1.2), -1.0, 0)
    return np.asarray(sharp, np.uint8)


def _sharpened(picture: Picture, rng: np.random.Generator, often: float) -> Picture:
    """What cameras do against their own blur, so often: edges get a halo."""
    if rng.random() >= often:
        return picture
    amount, sigma = float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.7, 1.6))
    soft = cv2.GaussianBlur(picture, (0, 0), sigma)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


def _noisy(picture: Picture, rng: np.random.Generator) -> Picture:
    high, wide = picture.shape[:2]
    bank = _noise_bank()
    top, left = rng.integers(0, _NOISE_SIDE - high), rng.integers(0, _NOISE_SIDE - wide)
    noise = bank[top : top + high, left : left + wide]
    # Noise beyond the contrast of the characters would leave nothing to learn.
    sigma = float(rng.gamma(1.6, 0.10)) * min(60.0, float(picture[::2, ::2].std()) + 6)
    if rng.random() < 0.4:
        noise = noise[..., :1]
    if rng.random() < 0.3:
        noise = cv2.GaussianBlur(noise, (3, 3), 0) * 1.8
        noise = noise.reshape(high, wide, -1)
    return (picture + noise * sigma).clip(0, 255).astype(np.uint8)
