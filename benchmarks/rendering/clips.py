"""Named clips of 1080p25 checkpoint footage with known truth, for measuring the agent.

A clip is a pure function of its name: traffic, light and every pixel are drawn from its seed. It
is encoded once, as H.264 the way cameras send it, into a folder of the caller's choice.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.driving import Stop
from benchmarks.rendering.footage import Truth, frame_times, random_vehicle
from benchmarks.rendering.road import LANE_WIDTH_M, Road
from benchmarks.rendering.scene import RenderedFrame, Scene, VehiclePass, render_frame
from benchmarks.rendering.vehicle import Body, Direction, Vehicle, shell_of
from benchmarks.rendering.weather import Light

FPS = 25.0
SIZE_PX = (1920, 1080)
START_AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
_TRUTH_VERSION = 2
_LONG = {Body.LORRY, Body.BUS}
_QUIET_S = 2.0
"""Nothing drives in a clip's first and last seconds."""
_TAIL_S = 3.0
_ENCODER = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-maxrate", "8M",
            "-bufsize", "8M", "-g", "50", "-pix_fmt", "yuv420p", "-threads", "1")  # fmt: skip

Traffic = Callable[["Clip", Scene, np.random.Generator], tuple[VehiclePass, ...]]


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip shows."""

    name: str
    seconds: float
    traffic: Traffic
    light: Light = Light.DAY
    rain: bool = False
    seed: int = 0

    def scene(self) -> Scene:
        """Camera, road and all vehicles of the clip."""
        empty = Scene(
            light=self.light,
            rain=self.rain,
            camera=checkpoint_camera(*SIZE_PX),
            road=Road(2, seed=self.seed),
            seed=self.seed,
        )
        passes = self.traffic(self, empty, np.random.default_rng([self.seed, 23]))
        return Scene(passes, empty.light, empty.rain, empty.camera, empty.road, empty.seed)


# ---------------------------------------------------------------------- traffic


def _flowing(  # noqa: PLR0913 - what traffic is, by name
    *,
    headway_s: float,
    least_s: float,
    speed_kmh: float,
    directions: tuple[Direction, Direction] = (Direction.APPROACHING, Direction.APPROACHING),
    unplated: float = 0.0,
    lorries: float = 0.0,
) -> Traffic:
    """Vehicles one after the other in each lane.

    Args:
        headway_s: Mean time from the tail of one to the nose of the next.
        least_s: The shortest such time.
        speed_kmh: Around which they drive.
        directions: Of the two lanes.
        unplated: Part of the vehicles that shows no plate.
        lorries: Part of them that is made lorries and buses, whatever the usual mix.
    """

    def traffic(clip: Clip, scene: Scene, rng: np.random.Generator) -> tuple[VehiclePass, ...]:
        passes: list[VehiclePass] = []
        for lane, direction in enumerate(directions):
            t_s = _QUIET_S + float(rng.uniform(0.5, 2.5))
            while t_s < clip.seconds - _TAIL_S:
                name = f"{clip.name}-{lane}-{len(passes)}"
                vehicle = _somebody(name, rng, direction, unplated)
                while lorries and vehicle.body not in _LONG and rng.random() < lorries:
                    vehicle = _somebody(name, rng, direction, unplated)
                speed = float(rng.normal(speed_kmh, 2.5))
                passes.append(
                    scene.pass_seen_at(
                        vehicle,
                        lane=lane,
                        speed_kmh=speed,
                        seen_at=START_AT + timedelta(seconds=t_s),
                        direction=direction,
                    )
                )
                length_m = shell_of(vehicle, direction).length_m
                wait_s = least_s + float(rng.exponential(headway_s - least_s))
                t_s += length_m / (speed / 3.6) + wait_s
        return tuple(passes)

    return traffic


def _somebody(
    name: str, rng: np.random.Generator, direction: Direction, unplated: float
) -> Vehicle:
    """A vehicle that may drive in this direction: a trailer has a plate behind only."""
    while True:
        one = random_vehicle(name, rng, province="鲁" if rng.random() < 0.5 else None)
        if one.kind is not PlateKind.TRAILER or direction is Direction.RECEDING:
            break
    if rng.random() < unplated:
        return Vehicle(name, "", one.kind, one.body, one.color, one.wear, one.seed)
    return one


def _queue(*, standing_s: float, every_s: float) -> Traffic:
    """Both lanes fill up at a red light, stand, and drive off; then the next ones come."""

    def traffic(clip: Clip, scene: Scene, rng: np.random.Generator) -> tuple[VehiclePass, ...]:
        passes: list[VehiclePass] = []
        for wave in range(int((clip.seconds - _TAIL_S - standing_s) // every_s) + 1):
            for lane in range(scene.road.lanes):
                passes += _one_queue(clip, scene, rng, wave * every_s, lane, standing_s, wave)
        return tuple(passes)

    return traffic


def _one_queue(  # noqa: PLR0913, PLR0917 - what a queue is
    clip: Clip,
    scene: Scene,
    rng: np.random.Generator,
    start_s: float,
    lane: int,
    standing_s: float,
    wave: int,
) -> Iterator[VehiclePass]:
    """As many as find room between the stop line and the far edge of the picture."""
    stands_m = scene.trigger_m - float(rng.uniform(0.5, 1.5))
    place = 0
    while stands_m < scene.far_m - 8.0:
        name = f"{clip.name}-{wave}-{lane}-{place}"
        vehicle = _somebody(name, rng, Direction.APPROACHING, 0.0)
        enters_s = start_s + _QUIET_S + place * 2.6 + lane * 0.7
        leaves_s = start_s + _QUIET_S + 4.0 + standing_s + place * 1.4
        stop = Stop(scene.far_m - stands_m, leaves_s - enters_s - 4.0)
        enters_at = START_AT + timedelta(seconds=enters_s)
        yield VehiclePass(vehicle, lane, 38.0, enters_at, stop=stop)
        stands_m += shell_of(vehicle, Direction.APPROACHING).length_m + float(rng.uniform(1.8, 3.2))
        place += 1


_FREE = _flowing(headway_s=2.0, least_s=0.9, speed_kmh=50)
_HALF_UNPLATED = _flowing(headway_s=2.2, least_s=1.0, speed_kmh=50, unplated=0.5)
_TWO_WAY = _flowing(
    headway_s=2.2,
    least_s=0.9,
    speed_kmh=50,
    directions=(Direction.RECEDING, Direction.APPROACHING),
)
_MANY_LORRIES = _flowing(headway_s=2.2, least_s=1.0, speed_kmh=50, unplated=0.3, lorries=0.8)
CLIPS = {
    clip.name: clip
    for clip in (
        Clip("day", 60, _FREE, seed=41),
        Clip("night", 60, _FREE, Light.NIGHT, seed=42),
        Clip("queue", 76, _queue(standing_s=60, every_s=76), seed=53),
        Clip("dense", 30, _flowing(headway_s=0.9, least_s=0.7, speed_kmh=42), seed=43),
        Clip("two-way", 30, _TWO_WAY, seed=45),
        Clip("rain-night", 30, _FREE, Light.NIGHT, rain=True, seed=46),
        Clip("unplated", 40, _HALF_UNPLATED, seed=47),
        Clip("unplated-night", 30, _HALF_UNPLATED, Light.NIGHT, seed=48),
        Clip("day-2", 60, _FREE, seed=61),
        Clip("night-2", 60, _FREE, Light.NIGHT, seed=62),
        Clip("queue-2", 76, _queue(standing_s=60, every_s=76), seed=67),
        Clip("rain", 40, _MANY_LORRIES, rain=True, seed=64),
    )
}
"""The clips by name."""


# ---------------------------------------------------------------------- on disk


def rendered(clip: Clip, folder: Path) -> tuple[Path, Path]:
    """A clip's video and its truth, drawn and encoded if they are not there yet.

    Returns:
        ``NAME.mp4`` and ``NAME.json``.

    Raises:
        OSError: ffmpeg is missing or fails, or the folder cannot be written.
    """
    video, truth = folder / f"{clip.name}.mp4", folder / f"{clip.name}.json"
    if video.is_file() and truth.is_file() and _version(truth) == _TRUTH_VERSION:
        return video, truth
    if shutil.which("ffmpeg") is None:
        raise OSError("ffmpeg is needed to encode rendered clips; Debian: apt install ffmpeg")
    folder.mkdir(parents=True, exist_ok=True)
    scene = clip.scene()
    part = video.with_suffix(".part.mp4")
    sightings, frames = Truth(scene), []
    raw = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "{}x{}".format(*SIZE_PX), "-r", str(FPS))
    argv = ["ffmpeg", "-y", "-loglevel", "error", *raw, "-i", "-", *_ENCODER, str(part)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as encoder:
        if encoder.stdin is None:
            raise OSError("ffmpeg takes no input")
        for at in frame_times(START_AT, clip.seconds, FPS):
            frame = render_frame(scene, at)
            encoder.stdin.write(frame.image.tobytes())
            sightings.see(frame)
            frames.append(_frame(frame))
        encoder.stdin.close()
    if encoder.returncode:
        raise OSError(f"ffmpeg failed with exit code {encoder.returncode}")
    part.replace(video)
    truth.write_text(json.dumps(_truth(clip, scene, sightings, frames), ensure_ascii=False))
    return video, truth


def _version(truth: Path) -> int:
    return int(json.loads(truth.read_text(encoding="utf-8")).get("version", 0))


def _frame(frame: RenderedFrame) -> dict[str, Any]:
    """What is where in one frame: plates by their corners, vehicles by their boxes, px."""
    plates = {p.vehicle_id: [v for corner in p.quad_px for v in corner] for p in frame.truth}
    boxes = {name: [round(v, 1) for v in box] for name, box in frame.vehicles}
    return {"plates": plates, "vehicles": boxes}


def _truth(
    clip: Clip, scene: Scene, sightings: Truth, frames: list[dict[str, Any]]
) -> dict[str, Any]:
    crossings = {p.vehicle.vehicle_id: scene.best_seen_at(p).isoformat() for p in scene.passes}
    vehicles = [line | {"crossing_at": crossings[line["vehicle_id"]]} for line in sightings.lines()]
    return {
        "version": _TRUTH_VERSION,
        "clip": clip.name,
        "light": str(clip.light),
        "rain": clip.rain,
        "fps": FPS,
        "size_px": list(SIZE_PX),
        "start_at": START_AT.isoformat(),
        "lanes": lane_outlines(scene),
        "calibration": calibration(scene),
        "vehicles": vehicles,
        "frames": frames,
    }


def lane_outlines(scene: Scene) -> list[list[list[float]]]:
    """Each lane's outline on the road, corners as shares of the picture; lane 1 first."""
    half = LANE_WIDTH_M / 2
    return [
        _shares(scene, [(x - half, 36.0), (x + half, 36.0), (x + half, 16.6), (x - half, 16.6)])
        for x in (scene.road.lane_x_m(lane) for lane in range(scene.road.lanes))
    ]


def calibration(scene: Scene) -> dict[str, Any]:
    """Four places on the road: where they are in the picture (shares), and in metres."""
    places = [(-3.5, 34.0), (3.5, 34.0), (3.0, 19.0), (-3.0, 19.0)]
    return {
        "points": _shares(scene, places),
        "road_m": [list(place) for place in places],
        "camera_height_m": scene.camera.height_m,
    }


def _shares(scene: Scene, places_m: list[tuple[float, float]]) -> list[list[float]]:
    pixels = scene.camera.project([(x, y, 0.0) for x, y in places_m])
    size = np.array([scene.camera.width_px, scene.camera.height_px])
    return [[round(float(v), 5) for v in np.clip(p / size, 0, 1)] for p in pixels]
