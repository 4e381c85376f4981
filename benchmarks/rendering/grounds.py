"""Paint, frame, emblem, bolts, pressed edges, dirt and wear of a plate."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateColor, PlateKind

Picture = NDArray[np.uint8]
Bgr = tuple[int, int, int]

_WHITE_INK: Bgr = (238, 238, 236)
_BLACK_INK: Bgr = (28, 27, 27)
_RED_INK: Bgr = (38, 30, 196)

_GROUND: dict[PlateColor, Bgr] = {
    PlateColor.BLUE: (168, 74, 16),
    PlateColor.YELLOW: (22, 178, 240),
    PlateColor.GREEN: (120, 196, 92),
    PlateColor.YELLOW_GREEN: (120, 196, 92),
    PlateColor.WHITE: (232, 234, 232),
    PlateColor.BLACK: (30, 26, 26),
    PlateColor.OTHER: (214, 216, 216),
    PlateColor.UNKNOWN: (214, 216, 216),
}
_LIGHT_INK = {PlateColor.BLUE, PlateColor.BLACK}


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of one plate, BGR."""

    ground: Bgr
    ink: Bgr
    accent: Bgr
    frame: Bgr
    gradient: tuple[Bgr, Bgr] | None = None
    """Top and bottom of a ground that changes from one to the other."""
    left: Bgr | None = None
    """Ground of the left part of a two-tone plate."""
    emblem: bool = False


def _varied(color: Bgr, rng: np.random.Generator, spread: float = 0.10) -> Bgr:
    """The same paint from another batch, another year of sun."""
    gain, *tint = (
        1 + spread * (rng.random(4) * (1.6, 1.0, 1.0, 1.0) - (1.0, 0.5, 0.5, 0.5))
    ).tolist()
    b, g, r = (min(255, int(c * gain * t)) for c, t in zip(color, tint, strict=True))
    return (b, g, r)


def _faded(color: Bgr, part: float) -> Bgr:
    """Paint that has lost part of its saturation, as real plates in photographs."""
    grey = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2]
    b, g, r = (round(c + (grey - c) * part) for c in color)
    return (b, g, r)


def paint_for(kind: PlateKind, color: PlateColor, rng: np.random.Generator) -> Paint:
    """The colours of a plate of this kind on this ground, a little different each time."""
    fade = float(rng.uniform(0.0, 0.35))
    ground = _varied(_faded(_GROUND[color], fade), rng, 0.05 if color is PlateColor.WHITE else 0.10)
    light = color in _LIGHT_INK or (
        color is PlateColor.GREEN
        and kind not in {PlateKind.NEW_ENERGY_SMALL, PlateKind.NEW_ENERGY_LARGE}
    )
    ink = _varied(_WHITE_INK if light else _BLACK_INK, rng, 0.06)
    accent = _varied(_faded(_RED_INK, fade * 0.6), rng)
    if kind in {PlateKind.EMBASSY, PlateKind.CONSULATE, PlateKind.UNKNOWN} and light:
        accent = accent if kind is PlateKind.EMBASSY and rng.random() < 0.5 else ink
    if color is PlateColor.GREEN and not light:
        top = _varied(_faded((206, 240, 206), fade), rng, 0.06)
        bottom = _varied(_faded((96, 198, 66), fade), rng)
        return Paint(ground, ink, accent, _BLACK_INK, (top, bottom), emblem=True)
    if color is PlateColor.YELLOW_GREEN:
        left = _varied(_faded((24, 176, 236), fade), rng)
        ground = _varied(_faded((104, 200, 74), fade), rng)
        return Paint(ground, ink, accent, _BLACK_INK, left=left, emblem=True)
    if color is PlateColor.GREEN:
        ground = _varied(_faded((72, 128, 30), fade), rng)
    return Paint(ground, ink, accent, ink)


def ground(paint: Paint, size_px: tuple[int, int], px_per_mm: float) -> Picture:
    """The bare ground, ``size_px`` wide and high."""
    wide, high = size_px
    image = np.empty((high, wide, 3), np.uint8)
    if paint.gradient is not None:
        top, bottom = (np.array(c, np.float32) for c in paint.gradient)
        steps = np.linspace(-0.12, 1.0, high, dtype=np.float32).clip(0, 1)[:, None]
        image[:] = (top + (bottom - top) * steps).astype(np.uint8)[:, None]
        return image
    cv2.rectangle(image, (0, 0), (wide, high), paint.ground, -1)
    if paint.left is not None:
        edge = round(3.5 * px_per_mm)
        image[:, : round(137 * px_per_mm)] = paint.left
        image[:edge] = image[-edge:] = paint.left
        image[:, -edge:] = paint.left
    return image


@lru_cache(maxsize=64)
def _frame_mask(high: int, wide: int, px_per_mm: float) -> Picture:
    """The line along the edge, with round corners; and nothing else."""
    fine = 4
    mask = np.zeros((high * fine, wide * fine), np.uint8)
    scale = px_per_mm * fine
    inset, width, radius = 4.2 * scale, max(1, round(2.6 * scale)), 8.0 * scale
    x1 = y1 = round(inset)
    x2, y2 = wide * fine - x1, high * fine - y1
    r = round(radius)
    cv2.line(mask, (x1 + r, y1), (x2 - r, y1), 255, width)
    cv2.line(mask, (x1 + r, y2), (x2 - r, y2), 255, width)
    cv2.line(mask, (x1, y1 + r), (x1, y2 - r), 255, width)
    cv2.line(mask, (x2, y1 + r), (x2, y2 - r), 255, width)
    for cx, cy, start in (
        (x1 + r, y1 + r, 180),
        (x2 - r, y1 + r, 270),
        (x2 - r, y2 - r, 0),
        (x1 + r, y2 - r, 90),
    ):
        cv2.ellipse(mask, (cx, cy), (r, r), 0, start, start + 90, 255, width)
    return cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)


def draw_frame(image: Picture, paint: Paint, px_per_mm: float) -> None:
    """Draw the line along the edge, in place."""
    mask = _frame_mask(*image.shape[:2], px_per_mm)
    image[:] = lay_ink(image, mask, paint.frame)


@lru_cache(maxsize=16)
def _emblem(radius: int) -> tuple[Picture, Picture]:
    """The colourful round sign of new-energy plates and its mask."""
    fine = 8
    size = 2 * radius + 1
    picture = np.full((size * fine, size * fine, 3), 225, np.uint8)
    mask = np.zeros(picture.shape[:2], np.uint8)
    centre, r = (size * fine // 2,) * 2, radius * fine
    cv2.circle(mask, centre, r, 255, -1)
    cv2.ellipse(picture, centre, (r, r), 0, 120, 240, (90, 60, 190), -1)
    cv2.ellipse(picture, centre, (r, r), 0, 200, 290, (200, 140, 40), -1)
    cv2.ellipse(picture, centre, (r, r), 0, 60, 130, (60, 140, 40), -1)
    x, y, step = centre[0], centre[1], max(1, r // 3)
    for dy in (-step, 0, step):
        cv2.line(picture, (x - step, y + dy), (x + r, y + dy), (240, 240, 240), max(1, step // 2))
    return (
        cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA),
        cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA),
    )


def draw_emblem(image: Picture, centre_px: tuple[float, float], radius_px: float) -> None:
    """Draw the sign of new-energy plates, in place."""
    radius = max(2, round(radius_px))
    picture, mask = _emblem(radius)
    x, y = round(centre_px[0]) - radius, round(centre_px[1]) - radius
    part = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    share = mask[..., None].astype(np.uint16)
    part[:] = ((picture * share + part * (255 - share)) // 255).astype(np.uint8)


def lay_ink(image: Picture, mask: Picture, color: Bgr) -> Picture:
    """Paint a colour through a mask (255 = covers) on a picture of the same size."""
    cover = cv2.merge((mask, mask, mask))
    kept = cv2.multiply(image, cv2.bitwise_not(cover), scale=1 / 255)
    return cv2.add(kept, cv2.merge([cv2.convertScaleAbs(mask, alpha=c / 255) for c in color]))


def emboss(image: Picture, ink: Picture, strength: float) -> None:
    """Light from above on the raised characters' edges, in place; strength 0 to about 0.2."""
    if strength < 0.02:
        return
    edge = np.zeros_like(ink)
    cv2.subtract(ink[1:, 1:], ink[:-1, :-1], dst=edge[1:, 1:])
    lower = np.zeros_like(ink)
    cv2.subtract(ink[:-1, :-1], ink[1:, 1:], dst=lower[1:, 1:])
    up = cv2.convertScaleAbs(edge, alpha=strength)
    down = cv2.convertScaleAbs(lower, alpha=strength * 1.4)
    cv2.add(image, cv2.merge((up, up, up)), dst=image)
    cv2.subtract(image, cv2.merge((down, down, down)), dst=image)


def draw_bolts(
    image: Picture,
    spots_px: tuple[tuple[float, float], ...],
    radius_px: float,
    rng: np.random.Generator,
) -> None:
    """Screw heads, some missing, of one finish a plate, in place."""
    shade = int(rng.integers(60, 215))
    first = 2 if len(spots_px) == 4 and rng.random() < 0.3 else 0
    jitter = rng.uniform(-1.0, 1.0, (len(spots_px), 2))
    for (x, y), (dx, dy) in list(zip(spots_px, jitter, strict=True))[first:]:
        centre = (round((x + dx) * 16), round((y + dy) * 16))
        radius = round(radius_px * 16)
        cv2.circle(
            image, (centre[0], centre[1] + 12), radius, (shade // 3,) * 3, -1, cv2.LINE_AA, 4
        )
        cv2.circle(image, centre, radius, (shade,) * 3, -1, cv2.LINE_AA, 4)


@lru_cache(maxsize=1)
def _pools() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Fixed textures from which windows are cut: fine grain, blotches of dirt, scratches."""
    rng = np.random.default_rng(20180501)
    grain = rng.normal(128, 22, (512, 1024)).clip(0, 255).astype(np.uint8)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.7)
    field = sum(
        cv2.resize(
            rng.random((512 // s, 1024 // s), dtype=np.float32),
            (1024, 512),
            interpolation=cv2.INTER_CUBIC,
        )
        * w
        for s, w in ((64, 1.0), (24, 0.7), (8, 0.5), (3, 0.4))
    )
    low, high = np.percentile(field, (2, 98))
    dirt = ((field - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    scratches = np.zeros((512, 1024), np.uint8)
    for _ in range(420):
        x, y = rng.uniform(0, 1024), rng.uniform(0, 512)
        angle, length = rng.normal(0, 0.5), rng.uniform(5, 60)
        end = (x + np.cos(angle) * length, y + np.sin(angle) * length)
        points = [(round(a * 16), round(b * 16)) for a, b in ((x, y), end)]
        cv2.line(scratches, *points, int(rng.integers(60, 200)), 1, cv2.LINE_AA, 4)
    return grain, dirt, scratches


def _window(pool: Picture, shape: tuple[int, ...], rng: np.random.Generator) -> Picture:
    high, wide = min(shape[0], pool.shape[0]), min(shape[1], pool.shape[1])
    y, x = (int(rng.integers(p - s + 1)) for p, s in zip(pool.shape, (high, wide), strict=True))
    part = pool[y : y + high, x : x + wide]
    if part.shape != shape[:2]:
        part = cv2.resize(part, (shape[1], shape[0]))
    return part


def weather(image: Picture, wear: float, rng: np.random.Generator) -> None:
    """Uneven light, grain, and with ``wear`` dirt, scratches and faded paint, in place."""
    high, wide = image.shape[:2]
    grain, dirt, scratches = _pools()
    slope = 30.0 + 40.0 * wear
    corners = rng.uniform(-slope, slope * 0.4, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (wide, high), interpolation=cv2.INTER_LINEAR)
    light += _window(grain, image.shape, rng) * np.float32(0.16)
    light += np.float32(255.0 - 0.16 * 128)
    gain = cv2.convertScaleAbs(light * np.float32(0.5))
    cv2.multiply(image, cv2.merge((gain, gain, gain)), dst=image, scale=2 / 255)
    if wear <= 0.02:
        return
    cover = _window(dirt, image.shape, rng)
    level = 255.0 * (1.0 - 0.75 * wear * rng.random())
    cover = cv2.convertScaleAbs(cv2.subtract(cover, np.float64(level)), alpha=float(0.6 + wear))
    mud = _varied((120, 140, 152), rng, 0.2)
    image[:] = lay_ink(image, cover, _faded(mud, float(rng.random()) * 0.8))
    if wear > 0.25:
        lines = cv2.convertScaleAbs(_window(scratches, image.shape, rng), alpha=wear * 0.8)
        image[:] = lay_ink(image, lines, (150, 150, 150))
    haze = float(wear * rng.uniform(0, 0.45))
    middle = float(rng.uniform(80, 170))
    cv2.convertScaleAbs(image, dst=image, alpha=1 - haze, beta=middle * haze)
