"""Vehicles as shells of textured faces in space, with a plate on the end that the camera sees.

A vehicle's own frame: u metres across (to the camera's right), v metres from the near end away
from the camera, w metres up from the ground.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateKind
from benchmarks.rendering import bodywork
from benchmarks.rendering.bodywork import BODY_COLORS, Bgr, shade
from benchmarks.rendering.glyphs import GlyphSource, OwnGlyphs
from benchmarks.rendering.layouts import rows_of
from benchmarks.rendering.plates import DrawnPlate, draw_plate

Picture = NDArray[np.uint8]
Corner = tuple[float, float, float]

PLATE_PX_PER_MM = 0.9
_ABOVE_BELT_M = 1.3
"""Whatever of an outline is higher than this belongs to roof and windows."""


class Direction(StrEnum):
    """Which end of a vehicle the camera sees."""

    APPROACHING = "approaching"
    RECEDING = "receding"


class Body(StrEnum):
    """Body types."""

    SALOON = "saloon"
    SUV = "suv"
    VAN = "van"
    BUS = "bus"
    LORRY = "lorry"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle; the same values are always drawn alike."""

    vehicle_id: str
    plate: str
    """Without separators; "" for a vehicle that shows none."""
    kind: PlateKind
    body: Body = Body.SALOON
    color: str = "white"
    """One of :data:`benchmarks.rendering.bodywork.BODY_COLORS`."""
    wear: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a colour that nobody can mix."""
        if self.color not in BODY_COLORS:
            raise ValueError(f"vehicle color {self.color!r} is none of {', '.join(BODY_COLORS)}")
        object.__setattr__(self, "body", Body(self.body))


@dataclass(frozen=True, slots=True)
class Face:
    """A flat four-sided part; corners ``(u, v, w)`` in order tl, tr, br, bl as seen."""

    corners: tuple[Corner, Corner, Corner, Corner]
    color: Bgr
    texture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Shell:
    """What is drawn of a vehicle, far parts first."""

    faces: tuple[Face, ...]
    lamps: tuple[Corner, ...]
    """Middles of the lamps that shine at night."""
    lamp_color: Bgr
    """Of their glow, BGR."""
    plate: DrawnPlate | None
    plate_corners: tuple[Corner, Corner, Corner, Corner] | None
    length_m: float
    width_m: float
    height_m: float


# Points from the near end's foot over the top to the far end: (v, w, half width), and the part
# between each point and the next. The first part holds lamps and plate.
Outline = tuple[tuple[float, float, float], ...]
_OUTLINES: dict[tuple[Body, Direction], tuple[Outline, tuple[str, ...]]] = {
    (Body.SALOON, Direction.APPROACHING): (
        ((0.02, 0.20, 0.88), (0.10, 0.78, 0.90), (1.15, 0.98, 0.84), (1.85, 1.43, 0.64),
         (3.25, 1.44, 0.63), (4.05, 1.05, 0.80), (4.65, 1.02, 0.84)),
        ("front", "bonnet", "glass", "roof", "glass_dark", "body"),
    ),
    (Body.SALOON, Direction.RECEDING): (
        ((0.04, 0.24, 0.86), (0.06, 1.02, 0.88), (0.55, 1.06, 0.84), (1.25, 1.42, 0.64),
         (2.75, 1.44, 0.63), (3.5, 1.0, 0.80), (4.6, 0.80, 0.86)),
        ("rear", "body", "glass_rear", "roof", "glass_dark", "body"),
    ),
    (Body.SUV, Direction.APPROACHING): (
        ((0.02, 0.26, 0.92), (0.08, 0.98, 0.94), (1.00, 1.16, 0.90), (1.60, 1.68, 0.70),
         (3.70, 1.72, 0.70), (4.25, 1.15, 0.86), (4.55, 1.10, 0.88)),
        ("front", "bonnet", "glass", "roof", "glass_dark", "body"),
    ),
    (Body.SUV, Direction.RECEDING): (
        ((0.04, 0.28, 0.90), (0.04, 1.14, 0.92), (0.30, 1.66, 0.72), (0.42, 1.72, 0.70),
         (2.9, 1.70, 0.70), (3.5, 1.15, 0.88), (4.5, 0.96, 0.90)),
        ("rear", "glass_rear", "body", "roof", "glass_dark", "body"),
    ),
    (Body.VAN, Direction.APPROACHING): (
        ((0.02, 0.26, 0.84), (0.08, 0.92, 0.86), (0.52, 1.10, 0.84), (1.20, 1.84, 0.70),
         (4.60, 1.90, 0.70)),
        ("front", "bonnet", "glass", "roof"),
    ),
    (Body.VAN, Direction.RECEDING): (
        ((0.02, 0.28, 0.84), (0.12, 1.84, 0.76), (4.4, 1.90, 0.72)),
        ("bus_rear", "roof"),
    ),
    (Body.BUS, Direction.APPROACHING): (
        ((0.02, 0.30, 1.24), (0.20, 3.05, 1.22), (11.0, 3.10, 1.22)),
        ("bus_front", "roof"),
    ),
    (Body.BUS, Direction.RECEDING): (
        ((0.02, 0.34, 1.24), (0.12, 3.05, 1.22), (11.0, 3.10, 1.22)),
        ("bus_rear", "roof"),
    ),
    (Body.LORRY, Direction.APPROACHING): (
        ((0.02, 0.32, 1.18), (0.16, 2.60, 1.16), (1.85, 2.66, 1.16)),
        ("cab_front", "roof"),
    ),
    (Body.LORRY, Direction.RECEDING): (
        ((0.02, 0.42, 1.22), (0.02, 3.40, 1.22), (7.2, 3.40, 1.22)),
        ("box_rear", "roof_dark"),
    ),
}  # fmt: skip

# Middle height of the plate, and of the lamps with their distance from the middle.
_PLATE_W: dict[tuple[Body, Direction], float] = {
    (Body.SALOON, Direction.APPROACHING): 0.46,
    (Body.SALOON, Direction.RECEDING): 0.71,
    (Body.SUV, Direction.APPROACHING): 0.58,
    (Body.SUV, Direction.RECEDING): 0.80,
    (Body.VAN, Direction.APPROACHING): 0.54,
    (Body.VAN, Direction.RECEDING): 0.56,
    (Body.BUS, Direction.APPROACHING): 0.58,
    (Body.BUS, Direction.RECEDING): 0.72,
    (Body.LORRY, Direction.APPROACHING): 0.58,
    (Body.LORRY, Direction.RECEDING): 0.80,
}
_LAMPS: dict[Body, tuple[float, float, float, float]] = {
    # across and up in front, across and up at the back
    Body.SALOON: (0.66, 0.67, 0.68, 0.86),
    Body.SUV: (0.68, 0.85, 0.70, 1.00),
    Body.VAN: (0.62, 0.80, 0.66, 0.95),
    Body.BUS: (0.96, 0.84, 1.08, 1.40),
    Body.LORRY: (0.88, 0.76, 0.90, 0.80),
}


def _texture(part: str, size: tuple[float, float], paint: Bgr, seed: int) -> Picture | None:
    rng = np.random.default_rng([seed, 7])
    width, height = size
    drawn = {
        "front": lambda: bodywork.car_front(width, height, paint, rng),
        "rear": lambda: bodywork.car_rear(width, height, paint, rng),
        "glass": lambda: bodywork.windscreen(width, height, rng, rear=False),
        "glass_rear": lambda: bodywork.windscreen(width, height, rng, rear=True),
        "bonnet": lambda: bodywork.bonnet(width, height, paint),
        "roof": lambda: bodywork.roof(width, height, paint, rng),
        "bus_front": lambda: bodywork.bus_front(width, height, paint, rng),
        "bus_rear": lambda: bodywork.bus_rear(width, height, paint, rng),
        "cab_front": lambda: bodywork.cab_front(width, height, paint, rng),
        "box_rear": lambda: bodywork.box_rear(width, height, (206, 206, 202)),
    }
    return drawn[part]() if part in drawn else None


def _strip(part: str, a: Corner, b: Corner, paint: Bgr, seed: int) -> Face:
    """The face between two points ``(v, w, half width)`` of an outline; b is the upper one."""
    (v1, w1, half1), (v2, w2, half2) = a, b
    corners = ((-half2, v2, w2), (half2, v2, w2), (half1, v1, w1), (-half1, v1, w1))
    length = float(np.hypot(v2 - v1, w2 - w1))
    texture = _texture(part, (2 * max(half1, half2), min(length, 4.0)), paint, seed)
    color = {"glass_dark": bodywork.GLASS, "roof_dark": (150, 150, 148)}.get(part, paint)
    return Face(corners, color, texture)


def _sides(outline: Outline, paint: Bgr, body: Body) -> list[Face]:
    """Both flanks: lower part, greenhouse or windows, wheels."""
    low = outline[0][1] + 0.05
    length = outline[-1][0]
    belt = {Body.SALOON: 0.95, Body.SUV: 1.12, Body.VAN: 1.05, Body.BUS: 1.45, Body.LORRY: 1.5}[
        body
    ]
    tall = [n for n, (_, w, _) in enumerate(outline) if w > _ABOVE_BELT_M]
    first, last = outline[tall[0]], outline[tall[-1]]
    before = outline[tall[0] - 1]
    after = outline[tall[-1] + 1] if tall[-1] + 1 < len(outline) else (length, belt, last[2])
    wide = outline[0][2] + 0.02
    nose = outline[1] if tall[0] > 1 else (before[0], belt, wide)
    faces: list[Face] = []
    front_top = before if tall[0] > 1 else (before[0], belt, before[2])
    for side in (-1.0, 1.0):
        dark = shade(paint, 0.62 if side < 0 else 0.78)
        for a, b in (
            (nose, front_top),
            (front_top, after),
            (after, (length, min(belt, outline[-1][1]), wide)),
        ):
            flank = (
                (side * a[2], a[0], a[1]),
                (side * b[2], b[0], b[1]),
                (side * wide, max(b[0], a[0] + 0.01), low),
                (side * wide, outline[0][0] if a is nose else a[0], low),
            )
            faces.append(Face(flank, dark))
        upper = (
            (side * front_top[2], front_top[0], front_top[1]),
            (side * first[2], first[0], first[1]),
            (side * last[2], last[0], last[1]),
            (side * after[2], after[0], after[1]),
        )
        faces.append(Face(upper, dark if body is Body.LORRY else shade(bodywork.GLASS, 0.9)))
        faces += [_wheel(side * wide, v) for v in (0.85, length - 0.9)]
    return faces


def _wheel(u: float, v: float) -> Face:
    r = 0.33
    return Face(((u, v - r, 2 * r), (u, v + r, 2 * r), (u, v + r, 0), (u, v - r, 0)), (24, 24, 24))


def _under(outline: Outline) -> list[Face]:
    """The dark below the near end, and the tyres seen from there."""
    v, w, half = outline[0]
    gap = ((-half, v + 0.1, w + 0.1), (half, v + 0.1, w + 0.1), (half, v + 0.1, 0.07),
           (-half, v + 0.1, 0.07))  # fmt: skip
    faces = [Face(gap, (20, 20, 20))]
    for side in (-1, 1):
        inner, outer = side * (half - 0.26), side * (half - 0.03)
        left, right = min(inner, outer), max(inner, outer)
        tyre = (
            (left, v + 0.3, 0.5),
            (right, v + 0.3, 0.5),
            (right, v + 0.3, 0),
            (left, v + 0.3, 0),
        )
        faces.append(Face(tyre, (30, 30, 30)))
    return faces


def _mirrors(outline: Outline, body: Body, paint: Bgr) -> list[Face]:
    v, w = {
        Body.SALOON: (1.55, 1.04), Body.SUV: (1.35, 1.24), Body.VAN: (0.85, 1.25),
        Body.BUS: (0.05, 2.35), Body.LORRY: (0.05, 1.95),
    }[body]  # fmt: skip
    heavy = body in {Body.BUS, Body.LORRY}
    tall = 0.34 if heavy else 0.12
    half = outline[0][2] - (0.0 if heavy else 0.05)
    faces = []
    for side in (-1, 1):
        inner, outer = side * half, side * (half + 0.17)
        quad = ((inner, v, w + tall), (outer, v, w + tall * 0.9), (outer, v, w + 0.03),
                (inner, v, w))  # fmt: skip
        faces.append(Face(quad, _DARK_MIRROR if heavy else shade(paint, 0.8)))
    return faces


_DARK_MIRROR: Bgr = (40, 39, 38)


def _cargo(paint: Bgr) -> list[Face]:
    """The box behind a lorry's cab, seen over it."""
    del paint
    near, far, top, half, low = 2.1, 8.6, 3.5, 1.23, 0.9
    ground: Bgr = (196, 196, 192)
    faces = [
        Face(((-half, far, top), (half, far, top), (half, near, top), (-half, near, top)), ground)
    ]
    for side in (-1, 1):
        u = side * half
        flank = ((u, near, top), (u, far, top), (u, far, low), (u, near, low))
        faces.append(Face(flank, shade(ground, 0.8)))
    front = ((-half, near, top), (half, near, top), (half, near, low), (-half, near, low))
    faces.append(Face(front, shade(ground, 0.86)))
    return faces


def plate_rows(vehicle: Vehicle, direction: Direction) -> int | None:
    """Rows of the plate on the end that is seen: heavy vehicles have two behind, one in front."""
    if rows_of(vehicle.kind) == (1, 2):
        return 2 if direction is Direction.RECEDING else 1
    return None


@lru_cache(maxsize=40)
def shell_of(
    vehicle: Vehicle,
    direction: Direction,
    glyphs: GlyphSource = OwnGlyphs(),  # noqa: B008 - frozen
) -> Shell:
    """Build what the camera can see of a vehicle; cached, since it is drawn in many frames."""
    outline, parts = _OUTLINES[vehicle.body, direction]
    paint = BODY_COLORS[vehicle.color]
    strips = [
        _strip(part, a, b, paint, vehicle.seed)
        for part, a, b in zip(parts, outline[:-1], outline[1:], strict=True)
    ]
    approaching = direction is Direction.APPROACHING
    faces = _cargo(paint) if vehicle.body is Body.LORRY and approaching else []
    behind = parts.index("roof") + 1 if "roof" in parts else len(parts)
    faces += [*reversed(strips[behind:]), *_under(outline)]
    faces += [*_sides(outline, paint, vehicle.body), *reversed(strips[:behind])]
    if approaching:
        faces += _mirrors(outline, vehicle.body, paint)
    rng = np.random.default_rng([vehicle.seed, 11])
    drawn = None
    if vehicle.plate:
        drawn = draw_plate(
            vehicle.plate,
            vehicle.kind,
            glyphs=glyphs,
            rng=rng,
            rows=plate_rows(vehicle, direction),
            wear=vehicle.wear,
            px_per_mm=PLATE_PX_PER_MM,
        )
    across, up = _LAMPS[vehicle.body][:2] if approaching else _LAMPS[vehicle.body][2:]
    lean = _lean_at(outline, up)
    return Shell(
        tuple(faces),
        ((-across, lean, up), (across, lean, up)),
        (225, 245, 255) if approaching else (40, 30, 230),
        drawn,
        _plate_corners(drawn, outline, _PLATE_W[vehicle.body, direction], rng) if drawn else None,
        8.6 if vehicle.body is Body.LORRY else outline[-1][0],
        2 * outline[0][2],
        max(w for _, w, _ in outline),
    )


def _lean_at(outline: Outline, w: float) -> float:
    """How far back the near end lies at a height."""
    (v1, w1, _), (v2, w2, _) = outline[:2]
    return v1 + (v2 - v1) * (w - w1) / (w2 - w1)


def _plate_corners(
    drawn: DrawnPlate, outline: Outline, middle_w: float, rng: np.random.Generator
) -> tuple[Corner, Corner, Corner, Corner]:
    """The plate just before the near end, never quite straight."""
    half, tall = drawn.width_mm / 2000, drawn.height_mm / 2000
    roll = np.radians(rng.normal(0, 0.5))
    u0, w0 = rng.normal(0, 0.01), middle_w + rng.normal(0, 0.008)
    corners = []
    for du, dw in ((-half, tall), (half, tall), (half, -tall), (-half, -tall)):
        u = u0 + du * np.cos(roll) + dw * np.sin(roll)
        w = w0 - du * np.sin(roll) + dw * np.cos(roll)
        corners.append((float(u), _lean_at(outline, float(w)) - 0.02, float(w)))
    a, b, c, d = corners
    return (a, b, c, d)
