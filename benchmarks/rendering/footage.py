"""Rendered camera footage: folders of pictures or videos, with the truth beside them.

A folder holds one JPEG a frame, named by the time of capture in UTC, as cameras drop them:
``20261122T101500.120Z.jpg``.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.bodywork import BODY_COLORS
from benchmarks.rendering.scene import RenderedFrame, Scene, VehiclePass, render_frame
from benchmarks.rendering.texts import random_plate
from benchmarks.rendering.vehicle import Body, Direction, Vehicle

JPEG_QUALITY = 88

_KINDS: tuple[tuple[PlateKind, float], ...] = (
    (PlateKind.SMALL, 0.50),
    (PlateKind.NEW_ENERGY_SMALL, 0.20),
    (PlateKind.LARGE, 0.12),
    (PlateKind.NEW_ENERGY_LARGE, 0.04),
    (PlateKind.POLICE, 0.03),
    (PlateKind.COACH, 0.03),
    (PlateKind.TRAILER, 0.02),
    (PlateKind.HONG_KONG, 0.02),
    (PlateKind.EMBASSY, 0.02),
    (PlateKind.ARMED_POLICE, 0.02),
)
_HEAVY = {PlateKind.LARGE, PlateKind.NEW_ENERGY_LARGE, PlateKind.TRAILER}
_BODIES = (Body.SALOON, Body.SALOON, Body.SUV, Body.SUV, Body.VAN)


def frame_name(at: datetime) -> str:
    """File name of a frame taken at an aware time, to the millisecond: ``…T101500.120Z.jpg``."""
    utc = at.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03d}Z.jpg"


def write_frame(folder: Path, frame: RenderedFrame, quality: int = JPEG_QUALITY) -> Path:
    """Write a frame into a folder under its name, so that readers see it whole or not at all.

    Raises:
        OSError: The folder cannot be written.
    """
    done, data = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("the frame cannot be encoded as JPEG")
    path = folder / frame_name(frame.at)
    part = path.with_suffix(".part")
    part.write_bytes(data.tobytes())
    part.replace(path)
    return path


def random_vehicle(
    vehicle_id: str, rng: np.random.Generator, *, province: str | None = None
) -> Vehicle:
    """Somebody on the road: kind, body and colour as often as on a county road."""
    weights = np.array([w for _, w in _KINDS])
    kind = _KINDS[int(rng.choice(len(_KINDS), p=weights / weights.sum()))][0]
    if kind in _HEAVY:
        lorry = kind is PlateKind.TRAILER or rng.random() < 0.6
        body = Body.LORRY if lorry else Body.BUS
    else:
        body = _BODIES[int(rng.integers(len(_BODIES)))]
    colors = [c for c in BODY_COLORS if c not in {"yellow", "green"} or body is Body.BUS]
    return Vehicle(
        vehicle_id,
        random_plate(kind, rng, province=province),
        kind,
        body,
        colors[int(rng.integers(len(colors)))],
        wear=float(rng.random() * 0.4),
        seed=int(rng.integers(2**31)),
    )


def random_passes(
    scene: Scene, *, vehicles: int, start_at: datetime, seconds: float, rng: np.random.Generator
) -> tuple[VehiclePass, ...]:
    """Vehicles spread over a stretch of time and the lanes, none through another."""
    passes = []
    gap = seconds / max(vehicles, 1)
    for n in range(vehicles):
        vehicle = random_vehicle(f"v{n}", rng, province="鲁" if rng.random() < 0.5 else None)
        # A trailer has a plate behind only.
        trailer = vehicle.kind is PlateKind.TRAILER
        direction = Direction.RECEDING if trailer else Direction.APPROACHING
        seen_at = start_at + timedelta(seconds=gap * float(n + rng.uniform(0.35, 0.65)))
        passing = scene.pass_seen_at(
            vehicle,
            lane=n % scene.road.lanes,
            speed_kmh=float(rng.uniform(36, 64)),
            seen_at=seen_at,
            direction=direction,
        )
        passes.append(passing)
    return tuple(passes)


def frame_times(start_at: datetime, seconds: float, fps: float) -> Iterator[datetime]:
    """When a camera of ``fps`` pictures a second takes them, on whole milliseconds."""
    for n in range(round(seconds * fps)):
        yield start_at + timedelta(milliseconds=round(n * 1000 / fps))


def render(
    scene: Scene, times: Iterable[datetime], *, only_moving: bool = False
) -> Iterator[RenderedFrame]:
    """The frames of these times; with ``only_moving`` those with a vehicle in them."""
    for at in times:
        if not only_moving or scene.moving(at):
            yield render_frame(scene, at)


@dataclass(slots=True)
class _Sighting:
    """What of a pass could be seen in the frames."""

    first_at: datetime | None = None
    last_at: datetime | None = None
    frames: int = 0
    max_width_px: float = 0.0
    rows: int = 1
    plate_color: str = ""


@dataclass(slots=True)
class Truth:
    """Collects what the frames show, one line a pass."""

    scene: Scene
    _sightings: dict[str, _Sighting] = field(default_factory=dict)

    def see(self, frame: RenderedFrame) -> None:
        """Take a frame into account."""
        for plate in frame.truth:
            one = self._sightings.setdefault(plate.vehicle_id, _Sighting())
            one.first_at = one.first_at or frame.at
            one.last_at = frame.at
            one.frames += 1
            one.max_width_px = max(one.max_width_px, plate.width_px)
            one.rows, one.plate_color = plate.rows, str(plate.color)

    def lines(self) -> Iterator[dict[str, Any]]:
        """One mapping a pass, also of vehicles whose plate was never seen."""
        for passing in self.scene.passes:
            vehicle = passing.vehicle
            one = self._sightings.get(vehicle.vehicle_id, _Sighting())
            yield {
                "vehicle_id": vehicle.vehicle_id,
                "plate": vehicle.plate,
                "kind": str(vehicle.kind),
                "color": one.plate_color or None,
                "rows": one.rows if one.frames else None,
                "vehicle_body": str(vehicle.body),
                "vehicle_color": vehicle.color,
                "first_at": _iso(one.first_at),
                "last_at": _iso(one.last_at),
                "frames": one.frames,
                "direction": str(passing.direction),
                "lane": passing.lane,
                "speed_kmh": round(passing.speed_kmh, 1),
                "max_width_px": round(one.max_width_px, 1),
            }


def _iso(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame_line(frame: RenderedFrame, number: int) -> dict[str, Any]:
    """The truth of one frame as JSON takes it; ``number`` counts the frames from 0."""
    plates = [asdict(p) | {"kind": str(p.kind), "color": str(p.color)} for p in frame.truth]
    return {
        "number": number,
        "file": frame_name(frame.at),
        "at": _iso(frame.at),
        "plates": plates,
    }


def write_footage(  # noqa: PLR0913 - each its own wish
    scene: Scene,
    folder: Path,
    times: Iterable[datetime],
    *,
    fps: float,
    video: bool = False,
    only_moving: bool = False,
) -> int:
    """Write frames (or ``footage.mp4``), ``frames.jsonl`` and ``truth.jsonl`` into a folder.

    Returns:
        The number of frames written.

    Raises:
        OSError: The folder cannot be written, or OpenCV cannot write MP4 video.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth(scene)
    count = 0
    with ExitStack() as stack:
        lines = stack.enter_context((folder / "frames.jsonl").open("w", encoding="utf-8"))
        writer = _video_writer(scene, folder, fps) if video else None
        if writer is not None:
            stack.callback(writer.release)
        for frame in render(scene, times, only_moving=only_moving):
            if writer is not None:
                writer.write(frame.image)
            else:
                write_frame(folder, frame)
            truth.see(frame)
            lines.write(json.dumps(frame_line(frame, count), ensure_ascii=False) + "\n")
            count += 1
    with (folder / "truth.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in truth.lines())
    return count


def _video_writer(scene: Scene, folder: Path, fps: float) -> cv2.VideoWriter:
    path = folder / "footage.mp4"
    size = (scene.camera.width_px, scene.camera.height_px)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write MP4 video to {path}")
    return writer


def with_traffic(scene: Scene, *, vehicles: int, start_at: datetime, seconds: float) -> Scene:
    """The scene with random vehicles, decided by its seed."""
    rng = np.random.default_rng([scene.seed, 17])
    passes = random_passes(scene, vehicles=vehicles, start_at=start_at, seconds=seconds, rng=rng)
    return replace(scene, passes=passes)
