"""Rendered checkpoint frames for the detector: small plates, at night and in rain, with exact corners.

Real labelled frames show their plates large. What hangs over a road sees them 60 px wide in a
picture of 1920, and that can be rendered: ``benchmarks/rendering`` gives picture and corners.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from benchmarks.rendering.camera import Camera
from benchmarks.rendering.footage import with_traffic
from benchmarks.rendering.glyphs import GlyphSource, OfficialGlyphs, OwnGlyphs
from benchmarks.rendering.road import Road
from benchmarks.rendering.scene import RenderedFrame, Scene, render_frame
from benchmarks.rendering.weather import Light
from models.training.plate_scenes import (
    FRAME_LONGEST_PX,
    JPEG_QUALITY,
    LabelledPlate,
    read_rows,
)
from models.training.plate_scenes import (
    Scene as LabelledScene,
)

FRAMES = 600
"""Enough that no frame is seen often; half an hour of one core."""
_FRAME_PX = (1920, 1080)
_FRAMES_A_SCENE = 6
_SCENE_S = 12.0
_START_AT = datetime(2026, 1, 15, 2, tzinfo=UTC)
_LIGHTS = (Light.DAY, Light.DAY, Light.DUSK, Light.NIGHT, Light.NIGHT)
_WIDE, _LONG = 2200.0, 8000.0
"""Focal lengths in pixels of a 1920 px picture; plates are 40 to 250 px wide."""


def random_scene(seed: int, glyphs: GlyphSource) -> Scene:
    """A road, a camera and traffic; everything from ``seed``."""
    rng = np.random.default_rng([seed, 77])
    camera = Camera(
        *_FRAME_PX,
        focal_px=float(np.exp(rng.uniform(np.log(_WIDE), np.log(_LONG)))),
        height_m=float(rng.uniform(4.8, 7.5)),
        tilt_deg=float(rng.uniform(11.0, 18.0)),
        yaw_deg=float(rng.normal(0.0, 6.0)),
        x_m=float(rng.normal(0.0, 2.0)),
    )
    scene = Scene(
        light=_LIGHTS[int(rng.integers(len(_LIGHTS)))],
        rain=bool(rng.random() < 0.3),
        camera=camera,
        road=Road(int(rng.integers(1, 5)), seed=seed),
        seed=seed,
        glyphs=glyphs,
    )
    vehicles = int(rng.integers(6, 16))
    return with_traffic(scene, vehicles=vehicles, start_at=_START_AT, seconds=_SCENE_S)


def random_frames(seed: int, glyphs: GlyphSource) -> Iterator[RenderedFrame]:
    """Some moments of one random scene."""
    scene = random_scene(seed, glyphs)
    rng = np.random.default_rng([seed, 78])
    for offset_s in np.sort(rng.uniform(0.0, _SCENE_S, _FRAMES_A_SCENE)):
        yield render_frame(scene, _START_AT + timedelta(seconds=float(offset_s)))


def _row(name: str, frame: RenderedFrame, scale: float) -> dict[str, object]:
    plates = [
        {"quad": (np.array(p.quad_px) * scale).round(2).tolist(), "rows": p.rows}
        for p in frame.truth
    ]
    return {"file": name, "plates": plates}


def build(folder: Path, data: Path, frames: int) -> None:
    """Render what is still missing; a scene is there when its rows are, so a kill costs one scene."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = folder / "frames.jsonl"
    have = len(read_rows(labels)) if labels.exists() else 0
    scale = FRAME_LONGEST_PX / max(_FRAME_PX)
    for seed in range(have // _FRAMES_A_SCENE, -(-frames // _FRAMES_A_SCENE)):
        glyphs = OwnGlyphs() if seed % 4 == 0 else OfficialGlyphs(data / "glyphs/font_model")
        rows = []
        for number, frame in enumerate(random_frames(seed, glyphs)):
            name = f"{seed:04d}_{number}.jpg"
            small = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / name), small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            rows.append(json.dumps(_row(name, frame, scale)) + "\n")
        with labels.open("a", encoding="utf-8") as out:
            out.writelines(rows)
            out.flush()
            os.fsync(out.fileno())


def rendered_scenes(cache: Path, data: Path, frames: int = FRAMES) -> Iterator[LabelledScene]:
    """The rendered frames, made first where they are missing."""
    folder = cache / "rendered"
    build(folder, data, frames)
    for row in read_rows(folder / "frames.jsonl"):
        plates = tuple(
            LabelledPlate(np.asarray(p["quad"], np.float32), int(p["rows"])) for p in row["plates"]
        )
        yield LabelledScene(folder / row["file"], "rendered", plates)
