"""What the camera sees of a vehicle from its first moment to its last, in any weather."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import cv2
import numpy as np
import pytest

from anpr.plate import PlateKind
from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.vehicle import Body, Direction, Vehicle
from benchmarks.rendering.weather import Light

AT = datetime(2026, 3, 9, 6, 30, 0, 250_000, tzinfo=UTC)
SMALL = checkpoint_camera(640, 360)
CAR = Vehicle("v0", "鲁H82K36", PlateKind.SMALL, Body.SALOON, "white", seed=4)
HEAVY = (Body.BUS, Body.LORRY)


def vehicle(body: Body, color: str = "grey") -> Vehicle:
    kind, plate = (PlateKind.LARGE, "豫NT6728") if body in HEAVY else (PlateKind.SMALL, "苏B71F90")
    return Vehicle(f"a {body}", plate, kind, body, color, seed=3)


def driving(
    one: Vehicle, lane: int = 0, direction: Direction = Direction.APPROACHING, **parts
) -> Scene:
    scene = Scene(**{"camera": SMALL} | parts)
    passing = scene.pass_seen_at(one, lane=lane, speed_kmh=50.0, seen_at=AT, direction=direction)
    return replace(scene, passes=(passing,))


def differs(scene: Scene, other: Scene, at: datetime) -> float:
    """The share of the picture in which two scenes differ plainly."""
    a, b = (render_frame(s, at).image for s in (scene, other))
    return float((cv2.absdiff(a, b) > 25).any(axis=2).mean())


@pytest.mark.parametrize("light", [Light.DAY, Light.NIGHT])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("body", list(Body))
def test_nothing_of_a_vehicle_pops_up_or_vanishes(body: Body, direction: Direction, light: Light):
    """At both ends of a pass hardly a pixel differs from the empty road, roofs and beams too."""
    scene = driving(vehicle(body), direction=direction, light=light, rain=light is Light.NIGHT)
    (passing,) = scene.passes
    empty = replace(scene, passes=())
    instant = timedelta(milliseconds=2)
    for at in (passing.enters_at + instant, scene.leaves_at(passing) - instant):
        assert passing in scene.moving(at)
        assert differs(scene, empty, at) < 0.01
    middle = passing.enters_at + (scene.leaves_at(passing) - passing.enters_at) / 2
    assert differs(scene, empty, middle) > 0.02


@pytest.mark.parametrize("direction", list(Direction))
def test_a_plate_that_the_edge_cuts_is_no_truth(direction: Direction):
    scene = driving(CAR, direction=direction)
    (passing,) = scene.passes
    step = (scene.leaves_at(passing) - passing.enters_at) / 60
    frames = [render_frame(scene, passing.enters_at + n * step) for n in range(61)]
    plates = [np.array(plate.quad_px) for frame in frames for plate in frame.truth]
    assert 10 < len(plates) < 61
    for corners in plates:
        assert (corners >= 0).all()
        assert (corners <= (639, 359)).all()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("body", list(Body))
@pytest.mark.parametrize("lane", [0, 1])
def test_every_plate_can_be_read_from_every_lane(
    body: Body, lane: int, direction: Direction, size: tuple[int, int]
):
    """It is whole and at least 90 px wide (at 1280) when it is best seen; corners in order."""
    scene = driving(vehicle(body), lane, direction, camera=checkpoint_camera(*size))
    (plate,) = render_frame(scene, AT).truth
    assert 90 <= plate.width_px * 1280 / size[0] <= 200
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = plate.quad_px
    assert max(ax, dx) < min(bx, cx)
    assert max(ay, by) < min(cy, dy)
    assert plate.width_px == pytest.approx(
        (np.hypot(bx - ax, by - ay) + np.hypot(cx - dx, cy - dy)) / 2, abs=0.05
    )


def test_lanes_lie_side_by_side_from_the_left():
    left, right = (render_frame(driving(CAR, lane), AT).truth[0] for lane in (0, 1))
    assert left.quad_px[1][0] < 320 < right.quad_px[0][0]


def test_twice_the_speed_is_half_the_time():
    scene = Scene()
    slow, fast = (scene.pass_seen_at(CAR, lane=0, speed_kmh=v, seen_at=AT) for v in (30.0, 60.0))
    stays_s = [(scene.leaves_at(p) - p.enters_at).total_seconds() for p in (slow, fast)]
    assert stays_s[0] == pytest.approx(2 * stays_s[1], rel=1e-4)


def test_a_vehicle_leaves_nothing_behind_on_the_road():
    empty = Scene(camera=SMALL, light=Light.NIGHT, rain=True, seed=7)
    before = render_frame(empty, AT).image
    render_frame(driving(CAR, light=Light.NIGHT, rain=True, seed=7), AT)
    assert np.array_equal(render_frame(empty, AT).image, before)


def test_the_zone_in_which_a_time_is_told_does_not_matter():
    scene = driving(CAR)
    there = AT.astimezone(timezone(timedelta(hours=8)))
    assert np.array_equal(render_frame(scene, there).image, render_frame(scene, AT).image)


@pytest.mark.parametrize("light", list(Light))
def test_rain_changes_the_picture_but_not_the_truth(light: Light):
    dry, wet = (render_frame(driving(CAR, light=light, rain=rain), AT) for rain in (False, True))
    assert dry.truth == wet.truth
    assert (cv2.absdiff(dry.image, wet.image) > 10).mean() > 0.1


def test_lamps_shine_at_night():
    frame = render_frame(driving(vehicle(Body.SALOON, "black"), light=Light.NIGHT), AT)
    x1, y1, x2, y2 = (round(c) for c in frame.truth[0].vehicle_box_px)
    dazzling = frame.image[y1:y2, x1:x2].min(axis=2) > 220
    count, _labels, stats, centres = cv2.connectedComponentsWithStats(dazzling.astype(np.uint8))
    lamps = [centres[n] for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] > 10]
    assert len(lamps) == 2
    assert abs(lamps[0][1] - lamps[1][1]) < 3, "side by side"
