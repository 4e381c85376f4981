"""What weather, lens, sensor and file format do to a frame: the photometric half of augmentation.

Every function takes and returns ``uint8 (H, W, 3)`` BGR and leaves its input alone.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def exposure(image: Picture, rng: np.random.Generator) -> Picture:
    """Gain, offset, gamma and colour cast in one table look-up; sometimes as dark as a night."""
    night = rng.random() < 0.15
    gain = rng.uniform(0.15, 0.5) if night else np.exp(rng.normal(0.0, 0.22))
    gamma = np.exp(rng.normal(0.0, 0.22))
    cast = 1.0 + rng.normal(0.0, 0.06, 3)
    offset = rng.normal(0.0, 10.0)
    levels = np.linspace(0.0, 1.0, 256)[:, None] ** gamma * 255.0
    table = np.clip(levels * gain * cast[None, :] + offset, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table.reshape(1, 256, 3))


def saturation(image: Picture, rng: np.random.Generator) -> Picture:
    """From grey (night cameras) to somewhat gaudy."""
    amount = 0.0 if rng.random() < 0.3 else rng.uniform(0.3, 1.5)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(image, amount, grey, 1.0 - amount, 0.0)


def motion_blur(image: Picture, rng: np.random.Generator) -> Picture:
    """Blur along a line of 3 to 9 pixels."""
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    centre = (length - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * centre
    start, end = centre - reach, centre + reach
    cv2.line(
        kernel,
        tuple(np.rint(start).astype(int).tolist()),
        tuple(np.rint(end).astype(int).tolist()),
        1.0,
    )
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def defocus(image: Picture, rng: np.random.Generator) -> Picture:
    """Gaussian blur of 0.4 to 1.8 pixels."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))


def coarse(image: Picture, rng: np.random.Generator) -> Picture:
    """A small frame enlarged, as weak cameras and careless scaling give."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.45, 0.9)
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sensor_noise(image: Picture, rng: np.random.Generator) -> Picture:
    """Gaussian noise; one draw of a large table is cheaper than fresh numbers per pixel."""
    height, width = image.shape[:2]
    noise = np.empty((height, width, 3), np.int16)
    cv2.setRNGSeed(int(rng.integers(1, 2**31 - 1)))
    cv2.randn(noise, 0, float(rng.uniform(2.0, 16.0)))
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def jpeg(image: Picture, rng: np.random.Generator) -> Picture:
    """JPEG at quality 20 to 90."""
    quality = int(rng.integers(20, 91))
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)


def rain(image: Picture, rng: np.random.Generator) -> Picture:
    """Bright, thin, nearly parallel streaks."""
    height, width = image.shape[:2]
    veil = np.zeros((height, width), np.uint8)
    slant = rng.normal(0.0, 0.25)
    for _ in range(int(rng.integers(40, 160))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        length = int(rng.integers(6, 26))
        cv2.line(veil, (x, y), (int(x + slant * length), y + length), int(rng.integers(60, 200)), 1)
    veil = cv2.GaussianBlur(veil, (3, 3), 0)
    return cv2.add(image, cv2.cvtColor(veil, cv2.COLOR_GRAY2BGR))


def glare(image: Picture, rng: np.random.Generator) -> Picture:
    """One or two lamps that shine into the lens."""
    height, width = image.shape[:2]
    light = np.zeros((height // 4 + 1, width // 4 + 1, 3), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        at = (int(rng.integers(0, light.shape[1])), int(rng.integers(0, light.shape[0])))
        tint = tuple(float(v) for v in rng.uniform(170, 255, 3))
        cv2.circle(light, at, int(rng.integers(2, 9)), tint, -1)
    halo = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(1.5, 8.0)))
    halo *= rng.uniform(0.6, 2.0)
    enlarged = cv2.resize(np.clip(halo, 0, 255).astype(np.uint8), (width, height))
    return cv2.add(image, enlarged)


def shadow(image: Picture, rng: np.random.Generator) -> Picture:
    """A straight shadow edge across the frame."""
    height, width = image.shape[:2]
    corners = rng.uniform(0, 1, (4, 2)) * np.array([width, height]) * 1.4
    mask = np.full((height, width), 255, np.uint8)
    hull = cv2.convexHull(corners.astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(mask, hull, int(rng.integers(90, 190)))
    soft = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
    return cv2.multiply(image, soft, scale=1 / 255)


_EFFECTS = (
    (shadow, 0.08),
    (rain, 0.04),
    (exposure, 0.8),
    (glare, 0.06),
    (saturation, 0.2),
    (coarse, 0.12),
    (defocus, 0.12),
    (motion_blur, 0.1),
    (sensor_noise, 0.25),
    (jpeg, 0.3),
)


def relight(image: Picture, rng: np.random.Generator) -> Picture:
    """Some of the effects, in the order in which they happen on the way from road to file."""
    for effect, probability in _EFFECTS:
        if rng.random() < probability:
            image = effect(image, rng)
    return image
