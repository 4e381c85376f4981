"""What vehicles look like from the front and from behind: pictures for their faces.

Every picture is drawn from shapes at ``PX_PER_M``; x runs from the vehicle's left edge as seen
from the camera, y from the face's upper edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Bgr = tuple[int, int, int]

PX_PER_M = 220.0

BODY_COLORS: dict[str, Bgr] = {
    "white": (232, 232, 230),
    "black": (34, 31, 30),
    "grey": (112, 108, 104),
    "silver": (186, 184, 180),
    "red": (36, 28, 158),
    "blue": (132, 66, 26),
    "brown": (44, 66, 98),
    "green": (74, 112, 48),
    "yellow": (40, 176, 226),
}
"""Body colours by the names used for vehicles, BGR."""

GLASS: Bgr = (58, 50, 44)
DARK: Bgr = (26, 25, 25)
CHROME: Bgr = (196, 194, 190)
LAMP: Bgr = (222, 218, 212)
RED_LAMP: Bgr = (40, 30, 168)
AMBER: Bgr = (40, 128, 226)


def shade(color: Bgr, gain: float) -> Bgr:
    """The colour lighter or darker."""
    b, g, r = (max(0, min(255, round(c * gain + (gain - 1) * 12))) for c in color)
    return (b, g, r)


@dataclass(frozen=True, slots=True)
class Panel:
    """A face being drawn, with metres as its unit and 0 at its middle across."""

    image: Picture
    width_m: float
    height_m: float

    def _px(self, x: float, y: float) -> tuple[int, int]:
        return round((x + self.width_m / 2) * PX_PER_M * 8), round(y * PX_PER_M * 8)

    def poly(self, corners: Sequence[tuple[float, float]], color: Bgr) -> None:
        """A filled polygon."""
        points = np.array([self._px(x, y) for x, y in corners], np.int32)
        cv2.fillPoly(self.image, [points], color, cv2.LINE_AA, 3)

    def both(self, corners: Sequence[tuple[float, float]], color: Bgr) -> None:
        """A polygon and its mirror image."""
        self.poly(corners, color)
        self.poly([(-x, y) for x, y in corners], color)

    def rect(self, x1: float, y1: float, x2: float, y2: float, color: Bgr) -> None:
        """A filled rectangle."""
        self.poly(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), color)

    def spot(self, x: float, y: float, rx: float, ry: float, color: Bgr) -> None:
        """A filled ellipse."""
        axes = (max(1, round(rx * PX_PER_M * 8)), max(1, round(ry * PX_PER_M * 8)))
        centre = self._px(x, y)
        points = cv2.ellipse2Poly((0, 0), (1000, 1000), 0, 0, 360, 15).astype(np.float64)
        points = points / 1000 * axes + centre
        cv2.fillPoly(self.image, [np.rint(points).astype(np.int32)], color, cv2.LINE_AA, 3)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], color: Bgr, mm: float
    ) -> None:
        """A line so many millimetres wide."""
        width = max(1, round(mm / 1000 * PX_PER_M))
        cv2.line(self.image, self._px(*start), self._px(*end), color, width, cv2.LINE_AA, 3)


def panel(width_m: float, height_m: float, top: Bgr, bottom: Bgr) -> Panel:
    """A blank face, shaded from top to bottom."""
    wide, high = round(width_m * PX_PER_M), max(4, round(height_m * PX_PER_M))
    steps = np.linspace(0, 1, high, dtype=np.float32)[:, None]
    column = np.array(top, np.float32) * (1 - steps) + np.array(bottom, np.float32) * steps
    image = np.repeat(column[:, None], wide, axis=1).astype(np.uint8)
    return Panel(image, width_m, height_m)


def car_front(width: float, height: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """Bumper, grille and lamps of a saloon or SUV."""
    p = panel(width, height, shade(paint, 1.02), shade(paint, 0.70))
    h, half = height, width / 2
    reach = float(rng.uniform(0.36, 0.44))
    slim = float(rng.uniform(0.13, 0.19))
    # the grille between the lamps
    grille = [(-0.40, 0.05 * h), (0.40, 0.05 * h), (0.33, 0.42 * h), (-0.33, 0.42 * h)]
    p.poly(grille, CHROME)
    p.poly([(x * 0.95, y + (0.012 if y < 0.2 * h else -0.012)) for x, y in grille], DARK)
    bars = int(rng.integers(3, 6))
    for n in range(bars):
        y = (0.10 + 0.28 * n / bars) * h
        p.line((-0.35, y), (0.35, y), shade(CHROME, 0.55), 9)
    p.spot(0, 0.2 * h, 0.062, 0.062, CHROME)
    p.spot(0, 0.2 * h, 0.045, 0.045, DARK)
    # lamps
    inner = half - reach - 0.06
    lamp = [(inner, 0.12 * h), (half - 0.02, 0.03 * h), (half - 0.01, 0.16 * h + slim),
            (inner + 0.05, 0.14 * h + slim)]  # fmt: skip
    p.both(lamp, shade(DARK, 1.5))
    small = [(x * 0.97 + 0.012, y * 0.94 + 0.018) for x, y in lamp]
    p.both(small, (150, 146, 140))
    for side in (-1, 1):
        p.spot(side * (inner + 0.14), 0.19 * h, 0.055, 0.055, LAMP)
        p.spot(side * (inner + 0.28), 0.17 * h, 0.045, 0.05, shade(LAMP, 0.92))
        p.spot(side * (half - 0.06), 0.17 * h, 0.025, 0.045, AMBER)
    # the lower intake, fog lamps and the lip
    p.poly([(-0.56, 0.70 * h), (0.56, 0.70 * h), (0.46, 0.90 * h), (-0.46, 0.90 * h)], DARK)
    for y in (0.76, 0.83):
        p.line((-0.5, y * h), (0.5, y * h), (70, 68, 66), 8)
    p.both([(0.62, 0.62 * h), (half - 0.06, 0.56 * h), (half - 0.10, 0.84 * h), (0.66, 0.86 * h)],
           shade(DARK, 1.3))  # fmt: skip
    for side in (-1, 1):
        p.spot(side * 0.73, 0.73 * h, 0.05, 0.045, shade(LAMP, 0.8))
    p.rect(-half, 0.95 * h, half, h, DARK)
    p.line((-half, 0.52 * h), (-0.44, 0.50 * h), shade(paint, 0.72), 6)
    p.line((half, 0.52 * h), (0.44, 0.50 * h), shade(paint, 0.72), 6)
    return p.image


def car_rear(width: float, height: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """Boot lid, lamps and bumper of a saloon or SUV."""
    p = panel(width, height, shade(paint, 1.0), shade(paint, 0.66))
    h, half = height, width / 2
    long = float(rng.uniform(0.34, 0.46))
    lamp = [(half - long, 0.07 * h), (half - 0.01, 0.04 * h), (half - 0.02, 0.34 * h),
            (half - long + 0.10, 0.30 * h)]  # fmt: skip
    p.both(lamp, shade(RED_LAMP, 0.6))
    p.both([(x * 0.96 + 0.02, y * 0.9 + 0.02) for x, y in lamp], RED_LAMP)
    for side in (-1, 1):
        p.rect(side * (half - 0.20) - 0.05, 0.17 * h, side * (half - 0.20) + 0.05, 0.24 * h, LAMP)
        p.rect(side * (half - 0.09) - 0.04, 0.18 * h, side * (half - 0.09) + 0.04, 0.26 * h, AMBER)
    p.rect(-0.34, 0.16 * h, 0.34, 0.19 * h, CHROME)
    p.spot(0, 0.10 * h, 0.05, 0.05, CHROME)
    p.poly([(-0.32, 0.21 * h), (0.32, 0.21 * h), (0.29, 0.60 * h), (-0.29, 0.60 * h)],
           shade(paint, 0.60))  # fmt: skip
    p.line((-half, 0.62 * h), (half, 0.62 * h), shade(paint, 0.45), 10)
    p.both([(0.55, 0.74 * h), (half - 0.08, 0.72 * h), (half - 0.10, 0.79 * h), (0.57, 0.79 * h)],
           shade(RED_LAMP, 0.7))  # fmt: skip
    p.poly([(-0.75, 0.84 * h), (0.75, 0.84 * h), (0.66, h), (-0.66, h)], DARK)
    p.both([(0.42, 0.90 * h), (0.60, 0.90 * h), (0.60, 0.97 * h), (0.42, 0.97 * h)], (90, 88, 86))
    return p.image


def windscreen(width: float, height: float, rng: np.random.Generator, *, rear: bool) -> Picture:
    """Glass with the sky in it; in front with driver, wipers and stickers."""
    p = panel(width, height, (112, 98, 86), shade(GLASS, 0.82))
    half, h = width / 2, height
    if not rear:
        seats = (0.34, -0.34) if rng.random() < 0.5 else (0.34,)
        head = min(0.15 * h, 0.11)
        for x in seats:
            p.spot(x, 0.40 * h + 3.2 * head, 0.20, 2.1 * head, (44, 42, 42))
            p.spot(x, 0.40 * h, 0.085, head, (92, 108, 134))
            p.spot(x, 0.40 * h - 0.7 * head, 0.09, 0.5 * head, (30, 28, 28))
        p.spot(0.36, min(0.80 * h, 0.40 * h + 4.4 * head), 0.16, 0.7 * head, (24, 24, 24))
        p.rect(-0.10, 0.06 * h, 0.10, 0.15 * h, (30, 29, 29))
        p.rect(-half + 0.08, 0.06 * h, -half + 0.15, 0.17 * h, (170, 180, 90))
        p.rect(-half + 0.17, 0.06 * h, -half + 0.24, 0.17 * h, (120, 190, 200))
    glow = p.image.copy()
    streak = [(-half * 0.7, 0.0), (-half * 0.25, 0.0), (half * 0.2, h), (-half * 0.35, h)]
    Panel(glow, width, height).poly(streak, (176, 164, 152))
    cv2.addWeighted(p.image, 0.78, glow, 0.22, 0, dst=p.image)
    if not rear:
        p.line((-0.55, 0.97 * h), (0.05, 0.90 * h), DARK, 16)
        p.line((0.08, 0.97 * h), (0.62, 0.88 * h), DARK, 16)
    else:
        for n in range(5):
            y = (0.2 + 0.15 * n) * h
            p.line((-half, y), (half, y), shade(GLASS, 0.7), 5)
    edge = shade(DARK, 1.0)
    p.line((-half, 0), (half, 0), edge, 40)
    p.line((-half, h), (half, h), edge, 40)
    p.line((-half, 0), (-half, h), edge, 50)
    p.line((half, 0), (half, h), edge, 50)
    return p.image


def bonnet(width: float, length: float, paint: Bgr) -> Picture:
    """The lid over the engine; its far edge is the upper edge of the picture."""
    p = panel(width, length, shade(paint, 1.22), shade(paint, 1.0))
    half = width / 2
    for side in (-1, 1):
        p.line((side * half * 0.55, 0), (side * half * 0.40, length), shade(paint, 0.86), 14)
        p.line((side * half * 0.59, 0), (side * half * 0.44, length), shade(paint, 1.3), 12)
        p.line((side * half * 0.97, 0), (side * half * 0.93, length), shade(paint, 0.6), 10)
    p.line((-half, length * 0.02), (half, length * 0.02), DARK, 40)
    p.line((-half, length * 0.985), (half, length * 0.985), shade(paint, 0.55), 10)
    return cv2.GaussianBlur(p.image, (0, 0), 1.2)


def roof(width: float, length: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """The roof, sometimes with a glass part."""
    p = panel(width, length, shade(paint, 1.12), shade(paint, 1.24))
    if rng.random() < 0.4:
        p.rect(-width * 0.33, length * 0.12, width * 0.33, length * 0.75, (52, 46, 42))
    return p.image


def bus_front(width: float, height: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """Destination board, tall windscreen and lamps of a bus."""
    p = panel(width, height, shade(paint, 1.05), shade(paint, 0.74))
    h, half = height, width / 2
    p.rect(-half + 0.06, 0.02 * h, half - 0.06, 0.60 * h, shade(GLASS, 0.75))
    glass = windscreen(width - 0.2, 0.46 * h, rng, rear=False)
    x0, y0 = round(0.1 * PX_PER_M), round(0.13 * h * PX_PER_M)
    p.image[y0 : y0 + glass.shape[0], x0 : x0 + glass.shape[1]] = glass
    p.rect(-0.78, 0.025 * h, 0.78, 0.115 * h, (18, 18, 20))
    for n in range(9):
        x = -0.66 + 0.15 * n
        wide = float(rng.uniform(0.05, 0.11))
        p.rect(x, 0.045 * h, x + wide, 0.097 * h, (30, 120, 246))
    p.rect(-half, 0.62 * h, half, 0.66 * h, shade(paint, 0.8))
    for side in (-1, 1):
        p.spot(side * (half - 0.28), 0.80 * h, 0.13, 0.105, shade(DARK, 1.6))
        p.spot(side * (half - 0.28), 0.80 * h, 0.10, 0.085, LAMP)
        p.spot(side * (half - 0.52), 0.80 * h, 0.07, 0.065, shade(LAMP, 0.85))
        p.spot(side * (half - 0.12), 0.80 * h, 0.03, 0.06, AMBER)
    p.rect(-0.45, 0.69 * h, 0.45, 0.735 * h, shade(paint, 0.6))
    p.rect(-half, 0.945 * h, half, h, DARK)
    return p.image


def bus_rear(width: float, height: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """Window, engine grille and lamps at the back of a bus or van."""
    p = panel(width, height, shade(paint, 1.0), shade(paint, 0.7))
    h, half = height, width / 2
    glass = windscreen(width - 0.5, 0.28 * h, rng, rear=True)
    x0, y0 = round(0.25 * PX_PER_M), round(0.07 * h * PX_PER_M)
    p.image[y0 : y0 + glass.shape[0], x0 : x0 + glass.shape[1]] = glass
    for side in (-1, 1):
        for n, color in enumerate((RED_LAMP, AMBER, shade(RED_LAMP, 0.8), LAMP)):
            p.rect(side * (half - 0.16) - 0.08, (0.52 + 0.08 * n) * h,
                   side * (half - 0.16) + 0.08, (0.585 + 0.08 * n) * h, color)  # fmt: skip
    for n in range(5):
        p.rect(-0.6, (0.45 + 0.04 * n) * h, 0.6, (0.47 + 0.04 * n) * h, shade(paint, 0.5))
    p.line((-half, 0.88 * h), (half, 0.88 * h), shade(paint, 0.5), 14)
    p.rect(-half, 0.95 * h, half, h, DARK)
    return p.image


def cab_front(width: float, height: float, paint: Bgr, rng: np.random.Generator) -> Picture:
    """A lorry's cab: windscreen above, grille and heavy bumper below."""
    p = panel(width, height, shade(paint, 1.06), shade(paint, 0.78))
    h, half = height, width / 2
    p.rect(-half, 0, half, 0.06 * h, shade(paint, 0.9))
    for n in range(5):
        p.spot(-0.7 + 0.35 * n, 0.03 * h, 0.05, 0.022, AMBER)
    glass = windscreen(width - 0.16, 0.36 * h, rng, rear=False)
    x0, y0 = round(0.08 * PX_PER_M), round(0.075 * h * PX_PER_M)
    p.image[y0 : y0 + glass.shape[0], x0 : x0 + glass.shape[1]] = glass
    p.rect(-0.78, 0.46 * h, 0.78, 0.70 * h, shade(DARK, 1.2))
    for n in range(6):
        y = (0.485 + 0.038 * n) * h
        p.line((-0.74, y), (0.74, y), shade(CHROME, 0.6), 16)
    p.rect(-0.20, 0.47 * h, 0.20, 0.51 * h, CHROME)
    p.rect(-half, 0.72 * h, half, 0.95 * h, shade(paint, 0.62))
    for side in (-1, 1):
        x = side * (half - 0.30)
        p.rect(x - 0.21, 0.75 * h, x + 0.21, 0.86 * h, shade(DARK, 1.4))
        p.spot(x + side * 0.07, 0.805 * h, 0.085, 0.08, LAMP)
        p.spot(x - side * 0.11, 0.805 * h, 0.065, 0.065, shade(LAMP, 0.85))
        p.rect(side * (half - 0.05) - 0.03, 0.76 * h, side * (half - 0.05) + 0.03, 0.85 * h, AMBER)
    p.rect(-half, 0.96 * h, half, h, DARK)
    return p.image


def box_rear(width: float, height: float, paint: Bgr) -> Picture:
    """The doors of a cargo box with bars, hinges, marking tape, lamps and underrun guard."""
    p = panel(width, height, shade(paint, 1.02), shade(paint, 0.86))
    h, half = height, width / 2
    bottom = 0.80 * h
    p.rect(-half, bottom, half, h, DARK)
    p.line((0, 0), (0, bottom), shade(paint, 0.45), 18)
    for x in (-0.62, -0.20, 0.20, 0.62):
        p.line((x, 0.03 * h), (x, bottom - 0.02), shade(CHROME, 0.72), 30)
        p.rect(x - 0.07, 0.52 * h, x + 0.07, 0.54 * h, shade(CHROME, 0.6))
    for x in (-half + 0.03, half - 0.03):
        p.line((x, 0), (x, bottom), shade(paint, 0.6), 40)
    for n in range(8):
        x = -half + (2 * half) * n / 8
        color = (36, 30, 190) if n % 2 else (226, 226, 226)
        p.rect(x, bottom - 0.07, x + half / 4, bottom - 0.02, color)
    p.rect(-half + 0.1, 0.955 * h, half - 0.1, 0.985 * h, (70, 70, 72))
    for side in (-1, 1):
        x = side * (half - 0.34)
        for n, color in enumerate((AMBER, RED_LAMP, shade(LAMP, 0.8))):
            middle = x + side * (0.12 - 0.15 * n)
            p.rect(middle - 0.06, 0.855 * h, middle + 0.06, 0.90 * h, color)
    return p.image
