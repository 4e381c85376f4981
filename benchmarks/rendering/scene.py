"""A road with a camera and the vehicles that pass it; any moment of it as a picture with its truth.

Pure: the same scene and time give the same picture. The empty road is drawn once and kept.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateColor, PlateKind
from benchmarks.rendering import weather
from benchmarks.rendering.camera import Camera, checkpoint_camera
from benchmarks.rendering.driving import Stop, drive_s, driven_m, speed_m_s
from benchmarks.rendering.glyphs import GlyphSource, OwnGlyphs
from benchmarks.rendering.road import Road, draw_road
from benchmarks.rendering.sprite import (
    Sprite,
    draw_plate_on,
    draw_shell,
    outline_box,
    placed,
)
from benchmarks.rendering.vehicle import Direction, Shell, Vehicle, shell_of
from benchmarks.rendering.weather import CONDITIONS, Conditions, Light

Picture = NDArray[np.uint8]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

TRIGGER_ROW = 0.74
"""Where in the picture a plate is best seen, as a share of its height."""
_PLATE_HEIGHT_M = 0.55
_LEAST_PLATE_PX = 16
_HIDDEN_ABOVE = 0.1
"""A plate of which more than this part is behind another vehicle counts as hidden."""
_PLATE_FACE_LOST = 0.5
_LIGHT_REACH_M = 6.0
"""So far before a vehicle its lamps and its reflection can be seen on the road."""


@dataclass(frozen=True, slots=True)
class VehiclePass:
    """One vehicle driving through the picture, at a steady speed but for one stop."""

    vehicle: Vehicle
    lane: int
    """0 is the camera's left."""
    speed_kmh: float
    enters_at: datetime
    """When its first point comes into the picture."""
    direction: Direction = Direction.APPROACHING
    stop: Stop | None = None
    """Measured from where the near end is at ``enters_at``."""

    def __post_init__(self) -> None:
        """Refuse what cannot drive."""
        if self.speed_kmh <= 0:
            raise ValueError(f"speed_kmh must be > 0, got {self.speed_kmh}")
        if self.enters_at.tzinfo is None:
            raise ValueError("enters_at must be an aware time")


@dataclass(frozen=True, slots=True)
class VisiblePlate:
    """The truth about one plate in a frame."""

    vehicle_id: str
    text: str
    kind: PlateKind
    color: PlateColor
    rows: int
    quad_px: tuple[Point, Point, Point, Point]
    """Corners in the frame: tl, tr, br, bl."""
    vehicle_box_px: Box
    width_px: float
    """Mean length of upper and lower edge."""


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """A picture and what is on it."""

    image: Picture
    """``uint8 (h, w, 3)`` BGR."""
    at: datetime
    truth: tuple[VisiblePlate, ...]
    vehicles: tuple[tuple[str, Box], ...] = ()
    """Every vehicle in the picture, with its box, px; nearest last."""


@dataclass(frozen=True)
class Scene:
    """Everything that decides what the camera sees."""

    passes: tuple[VehiclePass, ...] = ()
    light: Light = Light.DAY
    rain: bool = False
    camera: Camera = field(default_factory=checkpoint_camera)
    road: Road = field(default_factory=Road)
    seed: int = 0
    glyphs: GlyphSource = field(default_factory=OwnGlyphs)

    @property
    def far_m(self) -> float:
        """Where vehicles come from: their light arrives before them; at most 120 m ahead."""
        return min(self.camera.ground_y(0.0) + _LIGHT_REACH_M, 120.0)

    def near_m(self, passing: VehiclePass) -> float:
        """Where the near end is when the last of the vehicle, roofs included, is out of sight."""
        return _gone_m(self.camera, passing.vehicle, passing.direction)

    def near_end_m(self, passing: VehiclePass, at: datetime) -> float:
        """How far ahead the vehicle's near end is at a time."""
        t_s = (at - passing.enters_at).total_seconds()
        driven = driven_m(passing.speed_kmh / 3.6, passing.stop, t_s)
        if passing.direction is Direction.APPROACHING:
            return self.far_m - driven
        return self.near_m(passing) + driven

    def leaves_at(self, passing: VehiclePass) -> datetime:
        """When the vehicle's last point has left the picture."""
        way = self.far_m - self.near_m(passing)
        return passing.enters_at + timedelta(
            seconds=drive_s(passing.speed_kmh / 3.6, passing.stop, way)
        )

    def best_seen_at(self, passing: VehiclePass) -> datetime:
        """When the vehicle's plate crosses the trigger row."""
        start_m = self.near_end_m(passing, passing.enters_at)
        way = abs(self.trigger_m - start_m)
        return passing.enters_at + timedelta(
            seconds=drive_s(passing.speed_kmh / 3.6, passing.stop, way)
        )

    @property
    def trigger_m(self) -> float:
        """How far ahead a plate is best seen."""
        return self.camera.ground_y(TRIGGER_ROW * self.camera.height_px, _PLATE_HEIGHT_M)

    def moving(self, at: datetime) -> tuple[VehiclePass, ...]:
        """The passes that are in the picture at a time."""
        return tuple(p for p in self.passes if p.enters_at <= at <= self.leaves_at(p))

    def pass_seen_at(
        self,
        vehicle: Vehicle,
        *,
        lane: int,
        speed_kmh: float,
        seen_at: datetime,
        direction: Direction = Direction.APPROACHING,
    ) -> VehiclePass:
        """A pass whose plate is best seen at ``seen_at``."""
        probe = VehiclePass(vehicle, lane, speed_kmh, seen_at, direction)
        way = abs(self.trigger_m - self.near_end_m(probe, seen_at))
        enters_at = seen_at - timedelta(seconds=way / (speed_kmh / 3.6))
        return VehiclePass(vehicle, lane, speed_kmh, enters_at, direction)


@lru_cache(maxsize=512)
def _gone_m(camera: Camera, vehicle: Vehicle, direction: Direction) -> float:
    """Where the near end is when every corner of a vehicle is below the picture."""
    corners = np.array([c for face in shell_of(vehicle, direction).faces for c in face.corners])
    return min(camera.ground_y(camera.height_px, float(w)) - float(v) for _, v, w in corners)


@lru_cache(maxsize=12)
def _empty_road(road: Road, camera: Camera, light: Light, *, rain: bool) -> Picture:
    image = draw_road(road, camera)
    if rain:
        image = weather.wet(image, road.seed)
    image = weather.graded(image, CONDITIONS[light].road)
    if light is Light.NIGHT:
        weather.street_lamps(image, camera)
    image.flags.writeable = False
    return image


@dataclass(slots=True)
class _Placed:
    passing: VehiclePass
    shell: Shell
    x_m: float
    y_m: float
    speed_m_s: float
    box: Box
    quad: NDArray[np.float64] | None
    """Corners of the plate; ``None`` without one."""
    sprite: Sprite | None = None


_Moment = tuple[tuple[VehiclePass, float, float], ...]
"""Each vehicle with how far ahead its near end is, and its speed in m/s."""


def _moment(scene: Scene, at: datetime) -> _Moment:
    there = []
    for passing in scene.moving(at):
        t_s = (at - passing.enters_at).total_seconds()
        speed = speed_m_s(passing.speed_kmh / 3.6, passing.stop, t_s)
        there.append((passing, scene.near_end_m(passing, at), speed))
    return tuple(there)


def _place(scene: Scene, passing: VehiclePass, y_m: float, speed: float) -> _Placed | None:
    shell = shell_of(passing.vehicle, passing.direction, scene.glyphs)
    x_m = scene.road.lane_x_m(passing.lane) + _wander_m(passing)
    box = outline_box(scene.camera, shell, x_m, y_m)
    if box is None:
        return None
    corners = shell.plate_corners
    quad = scene.camera.project(placed(corners, x_m, y_m)) if corners else None
    return _Placed(passing, shell, x_m, y_m, speed, box, quad)


def _wander_m(passing: VehiclePass) -> float:
    """Nobody drives in the middle of the lane."""
    rng = np.random.default_rng([passing.vehicle.seed, 13])
    return float(rng.uniform(-0.16, 0.16))


@lru_cache(maxsize=1)
def _clear(scene: Scene, moment: _Moment) -> tuple[Picture, list[_Placed]]:
    """The picture without rain and noise; kept, since in a standing queue it stays the same."""
    conditions = CONDITIONS[scene.light]
    frame = _empty_road(scene.road, scene.camera, scene.light, rain=scene.rain).copy()
    there = [p for p in (_place(scene, *one) for one in moment) if p is not None]
    there.sort(key=lambda p: -p.y_m)
    for one in there:
        _shadow(frame, scene.camera, one, conditions.shadow)
        if conditions.lamps:
            _light_ahead(frame, scene.camera, one, conditions.lamps)
    for one in there:
        _draw(frame, scene, one, conditions)
    if conditions.lamps:
        for one in there:
            _lamps(frame, scene.camera, one, conditions.lamps)
    return frame, there


def render_frame(scene: Scene, at: datetime) -> RenderedFrame:
    """The picture that the camera takes at a time, with the plates that can be seen on it."""
    clear, there = _clear(scene, _moment(scene, at))
    frame = clear.copy()
    rng = np.random.default_rng([scene.seed, round(at.timestamp() * 1000)])
    if scene.rain:
        weather.rain(frame, scene.seed, rng, 1.0 if scene.light is Light.DAY else 0.6)
    weather.sensor_noise(frame, CONDITIONS[scene.light].noise, rng)
    boxes = tuple((one.passing.vehicle.vehicle_id, one.box) for one in there)
    return RenderedFrame(frame, at, _truth(scene, there), boxes)


def _draw(frame: Picture, scene: Scene, one: _Placed, conditions: Conditions) -> None:
    sprite = draw_shell(scene.camera, one.shell, one.x_m, one.y_m, one.box)
    sprite.color = weather.graded(sprite.color, conditions.vehicle)
    drawn = one.shell.plate
    if drawn is not None and one.quad is not None and _faces_camera(one):
        gain = conditions.plate
        draw_plate_on(sprite, weather.graded(drawn.image, (gain, gain, gain)), one.quad)
    if scene.rain:
        _mirror(frame, sprite, scene.camera, one)
    dx, dy = _motion_px(scene, one, conditions.exposure_s)
    sprite.smear(dx, dy)
    sprite.over(frame)
    one.sprite = sprite


def _faces_camera(one: _Placed) -> bool:
    """Whether the near end is still before the camera and not under it."""
    return one.y_m > _PLATE_FACE_LOST + 1.0


def _motion_px(scene: Scene, one: _Placed, exposure_s: float) -> tuple[float, float]:
    way = one.speed_m_s * exposure_s
    place = (one.x_m, max(one.y_m, 2.0), _PLATE_HEIGHT_M)
    a, b = scene.camera.project([place, (place[0], place[1] + way, place[2])])
    return float(b[0] - a[0]), float(b[1] - a[1])


def _shadow(frame: Picture, camera: Camera, one: _Placed, strength: float) -> None:
    """The soft dark under a vehicle, in place."""
    half, length = one.shell.width_m / 2 + 0.12, one.shell.length_m
    corners = ((-half, length, 0.0), (half + 0.35, length, 0.0),
               (half + 0.35, -0.25, 0.0), (-half, -0.25, 0.0))  # fmt: skip
    quad = camera.project(placed(corners, one.x_m, one.y_m))
    high, wide = frame.shape[:2]
    soft = max(2.0, 0.16 * camera.px_per_m((one.x_m, max(one.y_m, 2.0), 0.0)))
    pad = soft * 2.5
    x1, y1 = np.maximum(np.floor(quad.min(axis=0) - pad), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(quad.max(axis=0) + pad), (wide, high)).astype(int)
    if x2 - x1 < 8 or y2 - y1 < 8:
        return
    small = (max(1, (x2 - x1) // 8), max(1, (y2 - y1) // 8))
    mask = np.zeros(small[::-1], np.uint8)
    cv2.fillConvexPoly(mask, np.rint((quad - (x1, y1)) * 2).astype(np.int32), 255, 8, 4)
    mask = cv2.GaussianBlur(mask, (0, 0), soft / 8)
    mask = cv2.resize(mask, (x2 - x1, y2 - y1))
    gain = 255 - cv2.convertScaleAbs(mask, alpha=strength)
    part = frame[y1:y2, x1:x2]
    cv2.multiply(part, cv2.merge((gain, gain, gain)), dst=part, scale=1 / 255)


def _light_ahead(frame: Picture, camera: Camera, one: _Placed, strength: float) -> None:
    """The road in the beam of an approaching vehicle's lamps, in place."""
    if one.passing.direction is not Direction.APPROACHING:
        return
    y = one.y_m - 2.6
    if y < NEAR_BEAM_M:
        return
    x_px, y_px = camera.project([(one.x_m, y, 0.0)])[0]
    radius = 2.4 * camera.px_per_m((one.x_m, y, 0.0))
    level = round(110 * strength)
    color = (level * 8 // 10, level * 9 // 10, level)
    weather.glow(frame, (float(x_px), float(y_px)), (radius, radius * 0.6), color, 100, lamp=False)


NEAR_BEAM_M = 4.0


def _lamps(frame: Picture, camera: Camera, one: _Placed, strength: float) -> None:
    """The glow of the lamps that face the camera, in place."""
    if not _faces_camera(one):
        return
    approaching = one.passing.direction is Direction.APPROACHING
    points = placed(one.shell.lamps, one.x_m, one.y_m)
    scale = camera.px_per_m((one.x_m, max(one.y_m, 2.0), 0.7))
    reach = (0.62 if approaching else 0.30) * strength
    for x_px, y_px in camera.project(points):
        halo = round((60 if approaching else 40) * strength)
        color = one.shell.lamp_color
        radius = reach * scale
        weather.glow(frame, (float(x_px), float(y_px)), (radius, radius), color, halo, lamp=True)


def _mirror(frame: Picture, sprite: Sprite, camera: Camera, one: _Placed) -> None:
    """The vehicle's reflection in the wet road before it, in place."""
    foot = round(float(camera.project([(one.x_m, max(one.y_m, 1.0), 0.0)])[0][1])) - sprite.y
    foot = min(foot, sprite.cover.shape[0])
    tall = foot // 2
    if tall < 8:
        return
    top = sprite.y + foot
    room = min(tall, frame.shape[0] - top)
    if room < 4:
        return
    fade = np.linspace(0.34, 0.0, tall, dtype=np.float32)[:room, None]
    color = cv2.blur(sprite.color[foot - tall : foot][::-1][:room], (5, 13))
    cover = cv2.blur(sprite.cover[foot - tall : foot][::-1][:room], (5, 13))
    part = frame[top : top + room, sprite.x : sprite.x + sprite.cover.shape[1]]
    share = cover / np.float32(255) * fade
    part[:] = (
        (part * (1 - share[..., None]) + color * fade[..., None]).clip(0, 255).astype(np.uint8)
    )


def _truth(scene: Scene, there: list[_Placed]) -> tuple[VisiblePlate, ...]:
    """The plates wholly in the picture and not behind a nearer vehicle."""
    size = np.array([scene.camera.width_px, scene.camera.height_px])
    seen = []
    for n, one in enumerate(there):
        quad, drawn = one.quad, one.shell.plate
        if quad is None or drawn is None:
            continue
        inside = bool((quad > 0).all() and (quad < size - 1).all())
        width = float(np.hypot(*(quad[1] - quad[0])) + np.hypot(*(quad[2] - quad[3]))) / 2
        if not inside or not _faces_camera(one) or width < _LEAST_PLATE_PX:
            continue
        if any(_hides(nearer, quad) for nearer in there[n + 1 :]):
            continue
        a, b, c, d = ((round(float(x), 2), round(float(y), 2)) for x, y in quad)
        seen.append(
            VisiblePlate(
                one.passing.vehicle.vehicle_id,
                drawn.text,
                drawn.kind,
                drawn.color,
                drawn.rows,
                (a, b, c, d),
                one.box,
                round(width, 2),
            )
        )
    return tuple(seen)


def _hides(nearer: _Placed, quad: NDArray[np.float64]) -> bool:
    sprite = nearer.sprite
    if sprite is None:
        return False
    x1, y1 = np.floor(quad.min(axis=0)).astype(int) - (sprite.x, sprite.y)
    x2, y2 = np.ceil(quad.max(axis=0)).astype(int) - (sprite.x, sprite.y)
    part = sprite.cover[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    area = max(1, (x2 - x1) * (y2 - y1))
    return bool(part.sum(dtype=np.int64) / 255 / area > _HIDDEN_ABOVE)
