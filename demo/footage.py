"""The demo's cameras: draws what passes each of them and drops the pictures where agents look.

A camera's folder fills as the drop folder of a real camera that delivers by FTP: a picture appears
whole under the name of its capture time, and only while something moves. Pictures older than a few
minutes are taken away again.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.rendering.footage import write_frame
from benchmarks.rendering.road import Road
from benchmarks.rendering.scene import RenderedFrame, Scene, render_frame
from benchmarks.rendering.vehicle import Direction, Vehicle
from benchmarks.rendering.weather import Light
from demo.city import CHECKPOINTS
from demo.timeline import Trip, trips

FRAMES_PER_S = 6
KEEP_S = 600.0
"""A picture is kept for so long after its capture."""
_AHEAD = timedelta(seconds=10)
"""Trips are drawn up this long before anything of them is in a picture."""

_SCENES: tuple[Scene, ...] = (
    Scene(light=Light.DAY, road=Road(seed=11), seed=11),
    Scene(light=Light.DAY, rain=True, road=Road(seed=12), seed=12),
    Scene(light=Light.DUSK, road=Road(seed=13), seed=13),
    Scene(light=Light.NIGHT, road=Road(seed=14), seed=14),
)
"""What each checkpoint's camera looks at; the four show what the weather can do."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as a camera has just taken it."""

    camera_id: str
    frame: RenderedFrame


@dataclass
class Footage:
    """All cameras of the county from one moment on, tick by tick."""

    seed: int
    start_at: datetime
    driven: list[Trip] = field(default_factory=list)
    """Every trip that has begun so far: the truth."""

    def shots(self) -> Iterator[Shot | datetime]:
        """Pictures in the order of their times; between ticks the time that has been reached."""
        coming = trips(self.seed, self.start_at)
        scenes = list(_SCENES)
        following = next(coming)
        tick = 0
        while True:
            at = self.start_at + timedelta(seconds=tick / FRAMES_PER_S)
            yield at
            while following.sightings[0].at <= at + _AHEAD:
                self.driven.append(following)
                _enter(following, scenes)
                following = next(coming)
            for n, scene in enumerate(scenes):
                if scene.moving(at):
                    yield Shot(CHECKPOINTS[n].camera_id, render_frame(scene, at))
            if tick % (30 * FRAMES_PER_S) == 0:
                scenes = [_without_the_gone(scene, at) for scene in scenes]
            tick += 1


def _enter(trip: Trip, scenes: list[Scene]) -> None:
    """Put a trip's vehicle before each camera that it passes, at the moment it is seen there."""
    seed = sum(ord(c) * 31**i for i, c in enumerate(trip.plate)) % 2**31
    vehicle = Vehicle(
        trip.trip_id, trip.plate, trip.kind, trip.body, trip.body_color, seed=seed
    )  # the same plate is the same vehicle, down to its dirt
    for s in trip.sightings:
        scene = scenes[s.checkpoint]
        rear = CHECKPOINTS[s.checkpoint].sees_rears
        passing = scene.pass_seen_at(
            vehicle,
            lane=s.lane,
            speed_kmh=s.speed_kmh,
            seen_at=s.at,
            direction=Direction.RECEDING if rear else Direction.APPROACHING,
        )
        scenes[s.checkpoint] = replace(scene, passes=(*scene.passes, passing))


def _without_the_gone(scene: Scene, at: datetime) -> Scene:
    return replace(scene, passes=tuple(p for p in scene.passes if scene.leaves_at(p) >= at))


def film(
    footage: Footage,
    folder_of: Callable[[str], Path],
    *,
    stop: Callable[[], bool],
    until: datetime | None = None,
    reached: Callable[[datetime], None] = lambda _at: None,
) -> int:
    """Fill the cameras' folders: the past as fast as it can be drawn, then in step with the clock.

    Args:
        footage: What to film.
        folder_of: Camera id to its drop folder.
        stop: Asked at every tick; true ends the film.
        until: End of the film; without it, it goes on.
        reached: Told the film's time at every tick.

    Returns:
        How many pictures were dropped.
    """
    dropped: list[tuple[datetime, Path]] = []
    count = 0
    for item in footage.shots():
        if isinstance(item, Shot):
            folder = folder_of(item.camera_id)
            folder.mkdir(parents=True, exist_ok=True)
            dropped.append((item.frame.at, write_frame(folder, item.frame)))
            count += 1
            continue
        if stop() or (until is not None and item >= until):
            return count
        reached(item)
        while dropped and (datetime.now(UTC) - dropped[0][0]).total_seconds() > KEEP_S + 60:
            dropped.pop(0)[1].unlink(missing_ok=True)
        ahead_s = (item - datetime.now(UTC)).total_seconds()
        if ahead_s > 0:
            time.sleep(min(ahead_s, 0.5))
    raise AssertionError("the film of the county has no end")
