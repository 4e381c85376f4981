"""Frames of 1920x1080 pixels to measure with: real photographs on an empty road, and rendered ones.

A real photograph is set into the frame at its own size, so that plates stay as wide as they are. What
surrounds it is rendered road without a plate.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr import Box
from anpr.picture import load_picture
from anpr.plate import PlateKind, normalise
from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.texts import random_plate
from benchmarks.rendering.vehicle import Body, Vehicle
from benchmarks.rendering.weather import Light

Picture = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 1920, 1080
SEEN_AT = datetime(2026, 3, 9, 6, 30, 0, tzinfo=UTC)
_COLORS = ("white", "black", "grey", "red", "blue")


@dataclass(frozen=True, slots=True)
class Shown:
    """A plate in a frame: what it says and where it is."""

    text: str
    box: Box
    width_px: float


@dataclass(frozen=True, slots=True)
class CheckpointFrame:
    """A frame with what can be read in it."""

    image: Picture
    plates: tuple[Shown, ...]


def imagery_folder() -> Path | None:
    """The folder of real plate imagery (``$KAKOU_IMAGERY``), or None where there is none."""
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("KAKOU_IMAGERY", beside))
    return folder if (folder / "dev" / "scenes.jsonl").is_file() else None


def empty_road(light: Light = Light.DAY) -> Picture:
    """A frame without a vehicle."""
    scene = Scene(light=light, camera=checkpoint_camera(WIDTH_PX, HEIGHT_PX))
    return render_frame(scene, SEEN_AT).image


def real_frames(imagery: Path, count: int, seed: int = 0) -> list[CheckpointFrame]:
    """Photographs with one labelled plate, each somewhere in a frame of road."""
    chosen = _one_plate_rows(imagery)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(chosen))[:count]
    road = empty_road()
    return [_set_into(road, imagery, chosen[int(i)], rng) for i in sorted(order)]


def _one_plate_rows(imagery: Path) -> list[dict[str, object]]:
    rows = [
        json.loads(line)
        for line in (imagery / "dev" / "scenes.jsonl").read_text("utf-8").splitlines()
    ]
    return [
        row
        for row in rows
        if not row["overlay"]
        and len(row["plates"]) == 1
        and row["plates"][0]["text"]
        and row["plates"][0]["box"]
        and row["width"] <= WIDTH_PX
        and row["height"] <= HEIGHT_PX
    ]


def _set_into(
    road: Picture, imagery: Path, row: dict[str, object], rng: np.random.Generator
) -> CheckpointFrame:
    picture = load_picture(imagery / str(row["file"]))
    high, wide = picture.shape[:2]
    x, y = int(rng.integers(WIDTH_PX - wide + 1)), int(rng.integers(HEIGHT_PX - high + 1))
    image = road.copy()
    image[y : y + high, x : x + wide] = picture
    (plate,) = row["plates"]  # type: ignore[misc, attr-defined]
    x1, y1, x2, y2 = plate["box"]
    box = Box(x1 + x, y1 + y, x2 + x, y2 + y)
    return CheckpointFrame(image, (Shown(normalise(plate["text"]), box, box.width_px),))


def rendered_frame(  # noqa: PLR0913 - a scene has these
    texts: Sequence[tuple[str, PlateKind]],
    *,
    width_px: float | None = None,
    light: Light = Light.DAY,
    rain: bool = False,
    seed: int = 0,
    bodies: Sequence[Body] = (Body.SALOON, Body.SUV),
) -> CheckpointFrame:
    """A frame with one vehicle a lane, where plates are best seen.

    ``width_px`` is how wide an ordinary plate shall be there, by the lens (within a few percent);
    without it the checkpoint's own lens is used.
    """
    camera = checkpoint_camera(WIDTH_PX, HEIGHT_PX)
    if width_px is not None:
        camera = replace(camera, focal_px=camera.focal_px * width_px / _ORDINARY_WIDTH_PX)
    scene = Scene(light=light, rain=rain, camera=camera, seed=seed)
    passes = []
    for lane, (text, kind) in enumerate(texts):
        body = bodies[(seed + lane) % len(bodies)]
        color = _COLORS[(seed + lane) % len(_COLORS)]
        vehicle = Vehicle(f"v{lane}", text, kind, body, color, seed=seed + lane)
        passes.append(scene.pass_seen_at(vehicle, lane=lane, speed_kmh=40.0, seen_at=SEEN_AT))
    frame = render_frame(replace(scene, passes=tuple(passes)), SEEN_AT)
    plates = tuple(Shown(v.text, _box(v.quad_px), v.width_px) for v in frame.truth)
    return CheckpointFrame(frame.image, plates)


_ORDINARY_WIDTH_PX = 154.0
"""Width of an ordinary plate where the checkpoint's own lens sees it best, at 1920 px."""


def _box(quad: Sequence[tuple[float, float]]) -> Box:
    xs, ys = zip(*quad, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def rendered_frames(
    count: int, *, vehicles: int = 1, seed: int = 0, width_px: float | None = None
) -> Iterator[CheckpointFrame]:
    """Frames of vehicles with blue and green plates of every province, day and night."""
    rng = np.random.default_rng(seed)
    kinds = (PlateKind.SMALL, PlateKind.NEW_ENERGY_SMALL)
    lights = (Light.DAY, Light.DUSK, Light.NIGHT)
    for n in range(count):
        texts = [
            (random_plate(kinds[(n + k) % 2], rng), kinds[(n + k) % 2]) for k in range(vehicles)
        ]
        yield rendered_frame(texts, width_px=width_px, light=lights[n % 3], seed=seed + n)


def at_half_resolution(image: Picture) -> Picture:
    """The same picture with half the pixels along each side."""
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
