"""The empty road as the camera sees it: asphalt, markings, verge, median, and what stands there."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering.camera import Camera

Picture = NDArray[np.uint8]
Bgr = tuple[int, int, int]

LANE_WIDTH_M = 3.5
_PAINT: Bgr = (205, 212, 214)


@dataclass(frozen=True, slots=True)
class Road:
    """A carriageway of lanes in one direction, centred on x = 0."""

    lanes: int = 2
    seed: int = 0
    """Decides asphalt, verge and every stain."""

    @property
    def half_width_m(self) -> float:
        """From the middle to the edge line."""
        return self.lanes * LANE_WIDTH_M / 2

    def lane_x_m(self, lane: int) -> float:
        """Middle of a lane; lane 0 is the camera's left."""
        if not 0 <= lane < self.lanes:
            raise ValueError(f"lane {lane} is not on a road of {self.lanes} lanes")
        return (lane + 0.5) * LANE_WIDTH_M - self.half_width_m


@dataclass(frozen=True, slots=True)
class _Site:
    """What a road runs through."""

    asphalt: float
    """Grey level."""
    verge: Bgr
    rough: float
    """Unevenness of the verge in grey levels."""
    slabs: bool
    """The verge is a pavement of slabs."""


_SITES = (
    _Site(96, (52, 104, 78), 12, slabs=False),
    _Site(108, (138, 148, 152), 5, slabs=True),
    _Site(86, (78, 112, 130), 14, slabs=False),
    _Site(100, (46, 88, 58), 15, slabs=False),
    _Site(92, (124, 132, 146), 6, slabs=True),
)


def _noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of about unit deviation, cells so wide."""
    small = (max(2, int(shape[0] / cell_px)), max(2, int(shape[1] / cell_px)))
    field = rng.standard_normal(small).astype(np.float32)
    return cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


class _Plan:
    """The road from straight above, a strip of it at one scale."""

    def __init__(self, road: Road, near_m: float, far_m: float, half_m: float, ppm: float) -> None:
        self.near_m, self.far_m, self.half_m, self.ppm = near_m, far_m, half_m, ppm
        self.rng = np.random.default_rng([road.seed, round(near_m)])
        self.site = _SITES[road.seed % len(_SITES)]
        high, wide = round((far_m - near_m) * ppm), round(2 * half_m * ppm)
        self.road = road
        self.image = self._surface((high, wide))

    def _surface(self, shape: tuple[int, int]) -> Picture:
        rng, ppm = self.rng, self.ppm
        x = np.linspace(-self.half_m, self.half_m, shape[1], dtype=np.float32)[None]
        asphalt = (
            self.site.asphalt + 5 * _noise(shape, ppm * 3, rng) + 3 * _noise(shape, ppm * 0.5, rng)
        )
        for lane in range(self.road.lanes):
            middle = self.road.lane_x_m(lane)
            for track in (-0.85, 0.85):
                asphalt -= 7 * np.exp(-(((x - middle - track) / 0.33) ** 2))
            asphalt -= 5 * np.exp(-(((x - middle) / 0.22) ** 2))  # oil
        asphalt += rng.normal(0, 9, shape).astype(np.float32) * min(1.0, ppm / 60)
        asphalt = cv2.GaussianBlur(asphalt, (0, 0), 0.6)
        image = np.stack([asphalt * 1.02, asphalt, asphalt * 0.985], axis=2)
        edge = self.road.half_width_m + 0.75
        ground = np.broadcast_to(np.float32(self.site.verge), (*shape, 3))
        ground = ground + self.site.rough * _noise(shape, ppm * 0.35, rng)[..., None]
        ground += rng.normal(0, 10, shape).astype(np.float32)[..., None]
        if self.site.slabs:
            step = max(2, round(0.6 * ppm))
            ground[::step] *= 0.78
            ground[:, ::step] *= 0.78
        verge = (x[0] < -edge - 0.35) | (x[0] > edge + 0.45)
        image[:, verge] = ground[:, verge]
        kerb = ((x[0] > -edge - 0.35) & (x[0] < -edge)) | ((x[0] > edge) & (x[0] < edge + 0.45))
        slab = 150 + 5 * _noise(shape, ppm * 1.0, rng)
        image[:, kerb] = slab[:, kerb, None]
        return image.clip(0, 255).astype(np.uint8)

    def to_px(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Position in sixteenths of pixels, as cv2's ``shift=4`` wants it."""
        return (
            round((x_m + self.half_m) * self.ppm * 16),
            round((self.far_m - y_m) * self.ppm * 16),
        )

    def paint(self, x1: float, y1: float, x2: float, y2: float, color: Bgr = _PAINT) -> None:
        """A painted rectangle, worn unevenly."""
        self.polygon(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), color)

    def polygon(self, corners_m: tuple[tuple[float, float], ...], color: Bgr = _PAINT) -> None:
        """A painted polygon, worn unevenly."""
        mask = np.zeros(self.image.shape[:2], np.uint8)
        points = np.array([self.to_px(x, y) for x, y in corners_m], np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(mask)
        if w == 0 or h == 0:
            return
        part = self.image[y : y + h, x : x + w]
        worn = 0.86 + 0.10 * _noise((h, w), max(2.0, self.ppm * 0.12), self.rng)
        share = (mask[y : y + h, x : x + w] / 255.0 * worn.clip(0.35, 1.0))[..., None]
        part[:] = (part * (1 - share) + np.array(color) * share).astype(np.uint8)

    def markings(self) -> None:
        """Edge lines, lane lines, arrows and the checkpoint's stop-free trigger line."""
        half = self.road.half_width_m
        for x in (-half + 0.12, half - 0.12):
            self.paint(x - 0.08, self.near_m, x + 0.08, self.far_m)
        for lane in range(1, self.road.lanes):
            x = -half + lane * LANE_WIDTH_M
            for start in np.arange(-6.0, self.far_m, 9.0):
                if start + 4.5 > self.near_m:
                    self.paint(x - 0.075, start, x + 0.075, start + 4.5)
        for lane in range(self.road.lanes):
            self._arrow(self.road.lane_x_m(lane), 33.0)

    def _arrow(self, x: float, y: float) -> None:
        """An arrow straight on; it points towards the camera."""
        if not self.near_m - 6 < y < self.far_m + 6:
            return
        self.paint(x - 0.09, y, x + 0.09, y + 3.2)
        self.polygon(((x - 0.42, y), (x + 0.42, y), (x, y - 2.4)))


def _view(camera: Camera, plan: _Plan) -> tuple[Picture, Picture]:
    """The strip in the camera's picture, and where it covers."""
    near = max(plan.near_m, 1.0)
    corners_m = [
        (-plan.half_m, plan.far_m, 0.0),
        (plan.half_m, plan.far_m, 0.0),
        (plan.half_m, near, 0.0),
        (-plan.half_m, near, 0.0),
    ]
    high, wide = plan.image.shape[:2]
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32) - 0.5
    target = camera.project(corners_m).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    size = (camera.width_px, camera.height_px)
    image = cv2.warpPerspective(plan.image, matrix, size, flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(np.full((high, wide), 255, np.uint8), matrix, size)
    return image, cover


def _backdrop(camera: Camera, rng: np.random.Generator) -> Picture:
    """Sky, haze and a line of trees, for cameras that see the horizon."""
    high, wide = camera.height_px, camera.width_px
    horizon = high / 2 - camera.focal_px * np.tan(np.radians(camera.tilt_deg))
    rows = np.arange(high, dtype=np.float32)[:, None, None]
    share = np.clip(rows / max(horizon, 1.0), 0, 1)
    sky = np.array([222, 190, 160], np.float32) * (1 - share) + 226 * share
    image = np.broadcast_to(sky, (high, wide, 3)).astype(np.uint8).copy()
    if horizon > 0:
        crown = horizon - 14 - 9 * np.abs(_noise((1, wide), 22, rng)[0])
        below = np.arange(high)[:, None] > crown[None]
        shade = 92 + 14 * _noise((high, wide), 5, rng)
        trees = np.stack([shade * 0.72, shade, shade * 0.80], axis=2)
        image[below] = trees[below].clip(0, 255)
    else:
        image[:] = (70, 112, 92)
    return image


def _rail(image: Picture, camera: Camera, x_m: float, near_m: float) -> None:
    """A guard rail along the median, with posts."""
    far = near_m + 140.0
    for post in np.arange(far, near_m - 4, -4.0):
        foot, head = camera.project([(x_m, post, 0.0), (x_m, post, 0.72)])
        width = max(1, round(0.11 * camera.px_per_m((x_m, post, 0.3))))
        line = [tuple(np.rint(p * 16).astype(int).tolist()) for p in (foot, head)]
        cv2.line(image, line[0], line[1], (118, 120, 120), width, cv2.LINE_AA, 4)
    for low, top, shade in ((0.46, 0.78, 172), (0.56, 0.64, 132), (0.72, 0.78, 205)):
        strip = [(x_m, far, low), (x_m, far, top), (x_m, near_m - 4, top), (x_m, near_m - 4, low)]
        points = np.rint(camera.project(strip) * 16).astype(np.int32)
        cv2.fillConvexPoly(image, points, (shade, shade, shade - 4), cv2.LINE_AA, 4)


def _shade_of_trees(image: Picture, camera: Camera, rng: np.random.Generator) -> None:
    """Soft shadows across the road, lying in perspective."""
    high, wide = 400, 160
    field = _noise((high, wide), 34, rng) + 0.5 * _noise((high, wide), 12, rng)
    field += np.linspace(1.1, -2.6, wide, dtype=np.float32)[None]
    shade = (1 / (1 + np.exp(-field * 3.0)) * 255).astype(np.uint8)
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    corners = [(-9, 90, 0), (9, 90, 0), (9, 9, 0), (-9, 9, 0)]
    matrix = cv2.getPerspectiveTransform(source, camera.project(corners).astype(np.float32))
    size = (camera.width_px, camera.height_px)
    cover = cv2.warpPerspective(shade, matrix, size)
    gain = cv2.convertScaleAbs(cover, alpha=-0.42, beta=0)
    gain = 255 - gain
    cv2.multiply(image, cv2.merge((gain, gain, gain)), dst=image, scale=1 / 255)


def draw_road(road: Road, camera: Camera) -> Picture:
    """The empty scene by day, ``uint8 (h, w, 3)`` BGR; the same for the same road and camera."""
    rng = np.random.default_rng([road.seed, 1])
    image = _backdrop(camera, rng)
    near = max(2.0, camera.ground_y(camera.height_px) - 3.0)
    middle = near + 45.0
    half = road.half_width_m + 8.0
    for start, end, ppm in ((middle, 220.0, 16.0), (near, middle, 44.0)):
        plan = _Plan(road, start, end, half, ppm)
        plan.markings()
        strip, cover = _view(camera, plan)
        image[cover > 127] = strip[cover > 127]
    _shade_of_trees(image, camera, rng)
    _rail(image, camera, road.half_width_m + 1.25, near)
    return image
