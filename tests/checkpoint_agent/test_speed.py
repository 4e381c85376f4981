"""Laws of the speed: right where it can be known, absent where it cannot."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.clips import calibration
from benchmarks.rendering.scene import Scene
from checkpoint_agent.config_road import CalibrationConfig
from checkpoint_agent.speed import PLATE_HEIGHT_M, SpeedGauge
from checkpoint_agent.tracker import Point
from tests.checkpoint_agent.fakes import NOON

CAMERA = checkpoint_camera(1920, 1080)
GAUGE = SpeedGauge(CalibrationConfig.model_validate(calibration(Scene(camera=CAMERA))))
SIZE = (1920, 1080)


def drive(kmh, *, x_m=-1.5, height_m=PLATE_HEIGHT_M, from_m=34.0, seconds=1.0, fps=12.5):
    """The places of a plate at a height, driving towards the camera."""
    points = []
    for n in range(max(1, round(seconds * fps))):
        t = n / fps
        x, y = CAMERA.project([(x_m, from_m - kmh / 3.6 * t, height_m)])[0]
        points.append(Point(NOON + timedelta(seconds=t), float(x), float(y), 40.0))
    return points


@given(kmh=st.floats(15, 120), x_m=st.floats(-3.0, 3.0))
def test_a_plate_at_the_usual_height_gives_its_speed(kmh, x_m):
    assert GAUGE.speed_kmh(drive(kmh, x_m=x_m), SIZE) == pytest.approx(kmh, rel=0.005)


@given(kmh=st.floats(20, 100), height_m=st.floats(0.40, 0.82))
def test_an_unusual_height_costs_what_it_brings_the_plate_nearer_to_the_camera(kmh, height_m):
    """By similar triangles; some six percent for a plate 0.82 m above the road."""
    nearer = (CAMERA.height_m - PLATE_HEIGHT_M) / (CAMERA.height_m - height_m)
    found = GAUGE.speed_kmh(drive(kmh, height_m=height_m), SIZE)
    assert found == pytest.approx(kmh * nearer, rel=0.005)


@given(kmh=st.floats(30, 120), seconds=st.floats(0.5, 1.0))
def test_which_way_a_vehicle_drives_does_not_matter(kmh, seconds):
    there = drive(kmh, seconds=seconds)
    back = [Point(p.at, q.x, q.y, q.size_px) for p, q in zip(there, reversed(there), strict=True)]
    assert GAUGE.speed_kmh(back, SIZE) == pytest.approx(GAUGE.speed_kmh(there, SIZE))


def braking(from_kmh=40.0, gain_m_s2=-3.0, fps=12.5, seconds=3.5):
    """The places of a plate whose vehicle slows down to a stand, and stands."""
    points, v = [], from_kmh / 3.6
    for n in range(round(seconds * fps)):
        t = min(n / fps, -v / gain_m_s2)
        way = v * t + gain_m_s2 * t * t / 2
        x, y = CAMERA.project([(-1.5, 36.0 - way, PLATE_HEIGHT_M)])[0]
        points.append(Point(NOON + timedelta(seconds=n / fps), float(x), float(y), 40.0))
    return points


@pytest.mark.parametrize(
    ("law", "points"),
    [
        ("nothing was seen", []),
        ("seen too shortly", drive(50)[:3]),
        ("it stands", drive(0.5)),
        ("it slows down to a stand", braking()),
        ("it slowed down and stood for long", braking(seconds=10)),
        ("the clock stood still", [Point(NOON, p.x, p.y, 40.0) for p in drive(50)]),
        ("it braked to a stand", [*drive(60)[:6], *[
            Point(NOON + timedelta(seconds=5 + n), p.x, p.y, 40.0)
            for n, p in enumerate(drive(60)[5:6] * 6)
        ]]),
    ],
)  # fmt: skip
def test_no_speed_is_given_where(law, points):
    assert GAUGE.speed_kmh(points, SIZE) is None, law
