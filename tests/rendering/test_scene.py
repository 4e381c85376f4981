"""The rendered road: pure, and its truth is where the pixels are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.plate import PlateKind
from benchmarks.rendering import scene as scene_module
from benchmarks.rendering.camera import Camera, checkpoint_camera
from benchmarks.rendering.road import Road
from benchmarks.rendering.scene import TRIGGER_ROW, Scene, VehiclePass, render_frame
from benchmarks.rendering.vehicle import Body, Direction, Shell, Vehicle, shell_of
from benchmarks.rendering.weather import Light

AT = datetime(2026, 1, 15, 2, 0, 0, tzinfo=UTC)
SMALL_CAMERA = checkpoint_camera(640, 360)
MAGENTA = (255, 0, 255)


def vehicle(body: Body = Body.SALOON, kind: PlateKind = PlateKind.SMALL, **changes) -> Vehicle:
    texts = {PlateKind.SMALL: "鲁H82K36", PlateKind.LARGE: "豫NT6728"}
    made = Vehicle("v1", texts[kind], kind, body, "grey", seed=5)
    return replace(made, **changes)


def scene_with(*bodies: Body, direction: Direction = Direction.APPROACHING, **changes) -> Scene:
    scene = Scene(camera=SMALL_CAMERA, **changes)
    passes = tuple(
        scene.pass_seen_at(
            vehicle(body, vehicle_id=f"v{n}", seed=n),
            lane=n % 2,
            speed_kmh=50,
            seen_at=AT,
            direction=direction,
        )
        for n, body in enumerate(bodies)
    )
    return replace(scene, passes=passes)


@pytest.mark.parametrize("light", list(Light))
@pytest.mark.parametrize("rain", [False, True])
def test_the_same_moment_is_drawn_the_same(light: Light, rain: bool):
    scene = scene_with(Body.SALOON, Body.BUS, light=light, rain=rain)
    first = render_frame(scene, AT)
    render_frame(scene, AT + timedelta(seconds=1))
    again = render_frame(scene, AT)
    assert np.array_equal(first.image, again.image)
    assert first.truth == again.truth


def test_another_moment_and_another_seed_differ():
    scene = scene_with(Body.SALOON)
    now = render_frame(scene, AT).image
    assert not np.array_equal(now, render_frame(scene, AT + timedelta(milliseconds=40)).image)
    assert not np.array_equal(now, render_frame(replace(scene, seed=2), AT).image)


@pytest.mark.parametrize("body", list(Body))
@pytest.mark.parametrize("direction", list(Direction))
def test_the_truth_is_where_the_plate_is(
    body: Body, direction: Direction, monkeypatch: pytest.MonkeyPatch
):
    """A plate of pure colour covers exactly the quad that the truth claims."""

    def with_magenta(*args: object) -> Shell:
        shell = shell_of(*args)
        image = np.full_like(shell.plate.image, 0)
        image[:] = MAGENTA
        return replace(shell, plate=replace(shell.plate, image=image))

    monkeypatch.setattr(scene_module, "shell_of", with_magenta)
    scene = scene_with(body, direction=direction)
    frame = render_frame(scene, AT)
    (plate,) = frame.truth
    blue, green, red = (frame.image[..., n].astype(int) for n in range(3))
    pixels = ((blue + red) // 2 - green > 100).astype(np.uint8)
    claimed = np.zeros_like(pixels)
    cv2.fillConvexPoly(claimed, np.rint((np.array(plate.quad_px) - 0.5) * 16).astype(int), 1, 8, 4)
    grown = cv2.dilate(claimed, np.ones((5, 5), np.uint8))
    shrunk = cv2.erode(claimed, np.ones((3, 3), np.uint8))
    assert pixels.sum() > 0
    assert not (pixels & (1 - grown)).any(), "no plate outside of the quad"
    assert (shrunk & pixels).sum() > 0.97 * shrunk.sum(), "nothing but plate inside of it"
    x1, y1, x2, y2 = plate.vehicle_box_px
    assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in plate.quad_px)


@settings(max_examples=40, deadline=None)
@given(
    body=st.sampled_from(list(Body)),
    direction=st.sampled_from(list(Direction)),
    lane=st.integers(0, 1),
    speed=st.floats(5, 130),
)
def test_a_pass_shows_its_plate_near_the_trigger_row_when_it_is_said_to(
    body: Body, direction: Direction, lane: int, speed: float
):
    scene = Scene(camera=SMALL_CAMERA)
    passing = scene.pass_seen_at(
        vehicle(body), lane=lane, speed_kmh=speed, seen_at=AT, direction=direction
    )
    assert passing.enters_at < AT < scene.leaves_at(passing)
    frame = render_frame(replace(scene, passes=(passing,)), AT)
    (plate,) = frame.truth
    middle = np.mean([y for _, y in plate.quad_px]) / SMALL_CAMERA.height_px
    assert abs(middle - TRIGGER_ROW) < 0.12


def test_plates_are_wide_enough_to_be_read_at_the_trigger():
    scene = Scene()
    for lane in (0, 1):
        passing = scene.pass_seen_at(vehicle(), lane=lane, speed_kmh=50, seen_at=AT)
        (plate,) = render_frame(replace(scene, passes=(passing,)), AT).truth
        assert 80 <= plate.width_px <= 200


def test_an_approaching_plate_grows_and_a_receding_one_shrinks():
    for direction, sign in ((Direction.APPROACHING, 1), (Direction.RECEDING, -1)):
        scene = scene_with(Body.SUV, direction=direction)
        widths = [
            p.width_px
            for n in range(-12, 12)
            for p in render_frame(scene, AT + timedelta(milliseconds=60 * n)).truth
        ]
        assert len(widths) > 6
        assert all(sign * (b - a) > 0 for a, b in pairwise(widths))


def test_before_and_after_a_pass_the_road_is_empty():
    scene = scene_with(Body.LORRY)
    (passing,) = scene.passes
    before = passing.enters_at - timedelta(milliseconds=1)
    after = scene.leaves_at(passing) + timedelta(milliseconds=1)
    for at in (before, after):
        assert scene.moving(at) == ()
        frame = render_frame(scene, at)
        assert frame.truth == ()
        empty = render_frame(replace(scene, passes=()), at)
        assert np.array_equal(frame.image, empty.image)


def test_a_plate_behind_another_vehicle_is_not_in_the_truth():
    scene = Scene(camera=SMALL_CAMERA)
    near = scene.pass_seen_at(
        vehicle(Body.BUS, vehicle_id="near"), lane=0, speed_kmh=40, seen_at=AT
    )
    far = VehiclePass(vehicle(vehicle_id="far"), 0, 40, near.enters_at + timedelta(seconds=0.35))
    both = render_frame(replace(scene, passes=(near, far)), AT)
    alone = render_frame(replace(scene, passes=(far,)), AT)
    assert [p.vehicle_id for p in alone.truth] == ["far"]
    assert [p.vehicle_id for p in both.truth] == ["near"]


def test_heavy_vehicles_have_one_row_in_front_and_two_behind():
    for direction, rows in ((Direction.APPROACHING, 1), (Direction.RECEDING, 2)):
        scene = Scene(camera=SMALL_CAMERA)
        passing = scene.pass_seen_at(
            vehicle(Body.LORRY, PlateKind.LARGE),
            lane=0,
            speed_kmh=50,
            seen_at=AT,
            direction=direction,
        )
        (plate,) = render_frame(replace(scene, passes=(passing,)), AT).truth
        assert plate.rows == rows


def test_night_is_darker_than_dusk_and_dusk_than_day():
    means = [render_frame(scene_with(light=light), AT).image.mean() for light in Light]
    assert means == sorted(means, reverse=True)


@given(
    x=st.floats(-6, 6),
    y=st.floats(12, 80),
    height=st.floats(3, 9),
    tilt=st.floats(5, 30),
)
def test_ground_y_undoes_the_projection_in_the_middle_column(
    x: float, y: float, height: float, tilt: float
):
    camera = Camera(height_m=height, tilt_deg=tilt)
    (_, row), (column, _) = camera.project([(0.0, y, 0.5), (x, y, 0.5)])
    assert camera.ground_y(float(row), 0.5) == pytest.approx(y)
    across = camera.project([(x + 0.44, y, 0.5)])[0][0] - column
    assert across == pytest.approx(0.44 * camera.px_per_m((x, y, 0.5)), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: vehicle(color="mauve"), "mauve"),
        (lambda: vehicle(body="tank"), "tank"),
        (lambda: VehiclePass(vehicle(), 0, 0, AT), "speed_kmh"),
        (lambda: VehiclePass(vehicle(), 0, 50, AT.replace(tzinfo=None)), "enters_at"),
        (lambda: Road(2).lane_x_m(2), "lane 2"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, named: str):
    with pytest.raises(ValueError, match=named):
        make()
