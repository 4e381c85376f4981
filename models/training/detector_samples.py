"""Training samples of the detector: random views of labelled frames, and the maps to be learnt.

A *view* is a crop of fixed size at a random scale, turned, sheared and set on another frame where
it leaves room, so that plates of 12 to some 300 pixels appear anywhere. The geometry is exact:
corners go through the same homography as the pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detector_light import relight
from models.training.detector_net import STRIDE_PX
from models.training.plate_scenes import ROWS_UNKNOWN, Corners, LabelledPlate

SMALLEST_WIDTH_PX = 11.0
"""Narrower plates are not taught: nothing in them can be told from a reflector."""
VISIBLE_PART = 0.75
"""A plate of which less is inside the view teaches nothing."""
PADDING_LEVEL = 127

_HEAT_SIGMA_U, _HEAT_SIGMA_V = 0.12, 0.2
_LURED_PART = 0.7
"""Part of the views of a frame with lures that are taken about a lure."""
_SMALLEST_LEVEL_PX = 40
_CARELESSLY_SHRUNK_PART = 0.2
"""Part of the views that are shrunk without averaging enough, as fast software does."""
_TAUGHT_FROM = 0.35
"""Cells with at least this much heat learn the corners too."""


@dataclass(frozen=True)
class LoadedScene:
    """A decoded frame with what is known about it."""

    image: NDArray[np.uint8]
    plates: tuple[LabelledPlate, ...]
    ignored: tuple[Corners, ...] = ()
    lures: tuple[Corners, ...] = ()

    @cached_property
    def levels(self) -> tuple[NDArray[np.uint8], ...]:
        """The frame at full, half, quarter … size."""
        return halves(self.image)


@dataclass(slots=True)
class View:
    """A sample: ``uint8 (S, S, 3)`` and its plates and ignored regions in its own pixels."""

    image: NDArray[np.uint8]
    plates: list[LabelledPlate]
    ignored: list[Corners]


@dataclass(frozen=True, slots=True)
class Targets:
    """What the network should say for one view; ``h = w = S / STRIDE_PX``."""

    heat: NDArray[np.float32]
    """``(1, h, w)`` in [0, 1]; exactly 1 in the centre cell of a plate."""
    heat_weight: NDArray[np.float32]
    """``(1, h, w)``: 0 where nothing is to be learnt."""
    quad: NDArray[np.float32]
    """``(8, h, w)`` offsets from the cell centre in units of the stride."""
    quad_weight: NDArray[np.float32]
    """``(1, h, w)``; sums to 1 for every plate."""
    size: NDArray[np.float32]
    """``(1, h, w)``: the plate's mean side in units of the stride, 1 elsewhere."""
    rows: NDArray[np.float32]
    """``(1, h, w)``: 1 for two rows."""
    rows_weight: NDArray[np.float32]
    """``(1, h, w)``: 0 where unknown."""


def plate_sides_px(corners: Corners) -> tuple[float, float]:
    """Mean width and mean height of a plate along its own edges, in pixels."""
    width = np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3])
    height = np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])
    return float(width) / 2, float(height) / 2


def _covering(source: LoadedScene, size_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """An upright view that fills the whole canvas: the ground on which the others are laid."""
    height, width = source.image.shape[:2]
    scale = size_px / min(height, width) * float(rng.uniform(1.0, 1.7))
    if source.plates and rng.random() < 0.5:
        wanted = source.plates[int(rng.integers(len(source.plates)))].corners.mean(axis=0) * scale
        corner = wanted - rng.uniform(0.1, 0.9, 2) * size_px
    else:
        corner = rng.uniform(0.0, 1.0, 2) * (np.array([width, height]) * scale - size_px)
    corner = np.clip(corner, 0.0, np.array([width, height]) * scale - size_px)
    return np.array([[scale, 0, -corner[0]], [0, scale, -corner[1]], [0, 0, 1]])


def _homography(source: LoadedScene, size_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random view of the scene, about one of its plates where it has any."""
    height, width = source.image.shape[:2]
    if source.lures and rng.random() < _LURED_PART:
        anchors = source.lures
    else:
        anchors = tuple(plate.corners for plate in source.plates)
    if anchors:
        corners = anchors[int(rng.integers(len(anchors)))]
        plate_width, plate_height = plate_sides_px(corners)
        side = max(plate_width, 2.0 * plate_height)
        wanted = np.exp(rng.uniform(np.log(14.0), np.log(0.8 * size_px)))
        if rng.random() < 0.4:
            wanted = rng.uniform(13.0, 45.0)
        scale = min(wanted / side, 4.0)
        centre = corners.mean(axis=0)
    else:
        scale = size_px / max(height, width) * np.exp(rng.uniform(-0.3, 1.2))
        centre = rng.uniform(0.2, 0.8, 2) * np.array([width, height])
    turned = rng.random() < 0.35
    angle = np.deg2rad(rng.uniform(-25, 25) if turned else rng.normal(0.0, 4.0))
    shear = rng.normal(0.0, 0.2 if turned else 0.05)
    stretch = np.exp(rng.normal(0.0, 0.08))
    flip = -1.0 if rng.random() < 0.2 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array(
        [[stretch * flip, shear], [0, 1 / stretch]]
    )
    linear *= scale
    at = rng.uniform(0.04, 0.96, 2) * size_px
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = at - linear @ centre
    if rng.random() < 0.25:
        tilt = np.eye(3)
        tilt[2, :2] = rng.normal(0.0, 0.15, 2) / size_px
        back = np.eye(3)
        back[:2, 2] = at
        there = np.eye(3)
        there[:2, 2] = -at
        matrix = back @ tilt @ there @ matrix
    return matrix


def _through(matrix: NDArray[np.float64], corners: Corners) -> Corners:
    moved = cv2.perspectiveTransform(corners[None].astype(np.float64), matrix)[0].astype(np.float32)
    if np.linalg.det(matrix[:2, :2]) < 0:  # mirrored: what was left is right
        moved = moved[[1, 0, 3, 2]]
    return moved


def halves(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The picture at full, half, quarter … size, each the average of the one before."""
    levels = [image]
    while min(levels[-1].shape[:2]) >= 2 * _SMALLEST_LEVEL_PX:
        high, wide = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (wide // 2, high // 2), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def _warp_onto(
    canvas: NDArray[np.uint8],
    levels: tuple[NDArray[np.uint8], ...],
    matrix: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Draw the scene into the canvas from the level that is averaged enough (mostly)."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    sharp = rng.random() < _CARELESSLY_SHRUNK_PART
    wanted = int(np.log2(max(1.0, 1 / scale)) + (0.0 if sharp else 0.5))
    image = levels[min(wanted, len(levels) - 1)]
    if image is not levels[0]:
        grow = np.diag(
            [levels[0].shape[1] / image.shape[1], levels[0].shape[0] / image.shape[0], 1.0]
        )
        # pixel centres, not corners, are at whole numbers
        shift, unshift = np.eye(3), np.eye(3)
        shift[:2, 2], unshift[:2, 2] = 0.5, -0.5
        matrix = matrix @ unshift @ grow @ shift
    size = (canvas.shape[1], canvas.shape[0])
    cv2.warpPerspective(
        image,
        matrix,
        size,
        dst=canvas,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def _overlap(corners: Corners, other: Corners) -> float:
    """Part of ``corners``' area that lies in the convex polygon ``other``."""
    area = abs(cv2.contourArea(corners))
    if area < 1e-3:
        return 0.0
    shared, _ = cv2.intersectConvexConvex(corners.astype(np.float32), other.astype(np.float32))
    return float(shared) / area


def _add_layer(
    view: View, scene: LoadedScene, matrix: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Put the scene, seen through ``matrix``, over what the canvas already shows."""
    size = view.image.shape[0]
    height, width = scene.image.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    outline = _through(matrix, frame)
    _warp_onto(view.image, scene.levels, matrix, rng)
    below, view.plates = view.plates, []
    for plate in below:
        hidden = _overlap(plate.corners, outline)
        if hidden < 0.02:
            view.plates.append(plate)
        elif hidden < 0.9:
            view.ignored.append(plate.corners)
    view.ignored = [c for c in view.ignored if _overlap(c, outline) < 0.98]
    inside = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    view.ignored += [_through(matrix, corners) for corners in scene.ignored]
    for plate in scene.plates:
        corners = _through(matrix, plate.corners)
        seen = _overlap(corners, inside)
        centre = corners.mean(axis=0)
        taught = seen >= VISIBLE_PART and bool(np.all((centre >= 0) & (centre < size)))
        wide, high = plate_sides_px(corners)
        if taught and wide >= SMALLEST_WIDTH_PX and high >= 3.0:
            view.plates.append(LabelledPlate(corners, plate.rows))
        elif seen > 0:
            view.ignored.append(corners)


def random_view(pick: Callable[[], LoadedScene], size_px: int, rng: np.random.Generator) -> View:
    """Compose one sample from one to four scenes."""
    grey = rng.random() < 0.2
    canvas = np.full((size_px, size_px, 3), PADDING_LEVEL, np.uint8)
    view = View(canvas, [], [])
    if not grey:
        ground = pick()
        _add_layer(view, ground, _covering(ground, size_px, rng), rng)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))):
        scene = pick()
        _add_layer(view, scene, _homography(scene, size_px, rng), rng)
    if rng.random() < 0.1:
        _write_over(view, rng)
    view.image = relight(view.image, rng)
    return view


def _write_over(view: View, rng: np.random.Generator) -> None:
    """Lettering that is no plate: the camera's name and time, painted over the frame."""
    size = view.image.shape[0]
    digits = "".join(rng.choice(list("0123456789-: ABCDEKM"), int(rng.integers(6, 22))))
    at = (int(rng.integers(0, size // 2)), int(rng.integers(12, size - 4)))
    height = rng.uniform(0.3, 0.9)
    level = tuple(int(v) for v in rng.choice([0, 255], 1).repeat(3))
    (wide, high), _ = cv2.getTextSize(digits, cv2.FONT_HERSHEY_SIMPLEX, height, 1)
    patch = np.array(
        [
            [at[0], at[1] - high],
            [at[0] + wide, at[1] - high],
            [at[0] + wide, at[1] + 4],
            [at[0], at[1] + 4],
        ],
        np.float32,
    )
    if any(_overlap(p.corners, patch) > 0 for p in view.plates):
        return
    cv2.putText(
        view.image, digits, at, cv2.FONT_HERSHEY_SIMPLEX, height, level, int(rng.integers(1, 3))
    )


def make_targets(view: View) -> Targets:
    """The maps that the network should give for this view."""
    cells = view.image.shape[0] // STRIDE_PX
    grid = (np.arange(cells, dtype=np.float32) + 0.5) * STRIDE_PX
    xs, ys = np.meshgrid(grid, grid)
    shape = (1, cells, cells)
    heat, heat_weight = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    quad, quad_weight = np.zeros((8, cells, cells), np.float32), np.zeros(shape, np.float32)
    size, rows, rows_weight = (
        np.ones(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
    for region in view.ignored:
        mask = np.zeros((cells, cells), np.uint8)
        cv2.fillPoly(mask, [np.rint(region / STRIDE_PX - 0.5).astype(np.int32)], 1)
        heat_weight[0][cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0] = 0.0
    for plate in view.plates:
        corners = plate.corners
        centre = corners.mean(axis=0)
        along = (corners[1] + corners[2] - corners[0] - corners[3]) / 2
        down = (corners[3] + corners[2] - corners[0] - corners[1]) / 2
        basis = np.linalg.inv(np.stack([along, down], axis=1))
        dx, dy = xs - centre[0], ys - centre[1]
        u = basis[0, 0] * dx + basis[0, 1] * dy
        v = basis[1, 0] * dx + basis[1, 1] * dy
        # never narrower than half a cell: the nearest cell's neighbours see the plate as well
        sigma_u = max(_HEAT_SIGMA_U, 0.45 * STRIDE_PX / float(np.linalg.norm(along)))
        sigma_v = max(_HEAT_SIGMA_V, 0.45 * STRIDE_PX / float(np.linalg.norm(down)))
        bump = np.exp(-0.5 * ((u / sigma_u) ** 2 + (v / sigma_v) ** 2)).astype(np.float32)
        column = min(int(centre[0] // STRIDE_PX), cells - 1)
        row = min(int(centre[1] // STRIDE_PX), cells - 1)
        bump[row, column] = 1.0
        taught = (bump >= _TAUGHT_FROM) & (bump > heat[0])
        taught[row, column] = True
        np.maximum(heat[0], bump, out=heat[0])
        weight = bump * taught
        offsets = (corners.reshape(8, 1, 1) - np.stack([xs, ys] * 4)) / STRIDE_PX
        quad[:, taught] = offsets[:, taught]
        quad_weight[0][taught] = (weight / weight.sum())[taught]
        size[0][taught] = sum(plate_sides_px(corners)) / 2 / STRIDE_PX
        rows[0][taught] = float(plate.rows == 2)
        rows_weight[0][taught] = quad_weight[0][taught] * (plate.rows != ROWS_UNKNOWN)
        heat_weight[0, row, column] = 1.0
    return Targets(heat, heat_weight, quad, quad_weight, size, rows, rows_weight)


class ScenePool:
    """Keeps some decoded scenes and replaces them slowly: decoding is dearer than a view."""

    def __init__(
        self,
        fresh: Iterator[LoadedScene],
        capacity: int,
        rng: np.random.Generator,
        replace_part: float = 0.2,
    ) -> None:
        self._fresh, self._rng, self._replace_part = fresh, rng, replace_part
        self._scenes: list[LoadedScene] = []
        self._capacity = capacity

    def pick(self) -> LoadedScene:
        """A random scene of the pool; now and then a new one takes an old one's place."""
        if len(self._scenes) < self._capacity:
            self._scenes.append(next(self._fresh))
            return self._scenes[-1]
        at = int(self._rng.integers(self._capacity))
        if self._rng.random() < self._replace_part:
            self._scenes[at] = next(self._fresh)
        return self._scenes[at]
