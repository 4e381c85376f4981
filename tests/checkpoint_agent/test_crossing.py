"""Laws of direction, lanes and region."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_agent.config import CameraConfig
from checkpoint_agent.crossing import Scene, direction
from checkpoint_agent.tracker import Point
from tests.checkpoint_agent.fakes import NOON


def path(*steps: tuple[float, float]) -> list[Point]:
    """Points from ``(y, size)``."""
    return [
        Point(NOON + timedelta(seconds=n / 10), 100, y, size) for n, (y, size) in enumerate(steps)
    ]


@pytest.mark.parametrize(
    ("law", "points", "wanted"),
    [
        ("growing comes nearer", path((10, 20), (30, 24), (60, 30)), "approaching"),
        ("shrinking goes away", path((60, 30), (30, 24), (10, 20)), "receding"),
        ("growing comes nearer, even upwards", path((60, 20), (30, 24), (10, 30)), "approaching"),
        ("of steady size, moving down comes nearer", path((10, 30), (40, 30), (80, 31)), "approaching"),
        ("of steady size, moving up goes away", path((80, 30), (40, 30), (10, 30)), "receding"),
        ("standing goes nowhere", path((50, 30), (51, 30.5), (50, 30)), "unknown"),
        ("one look says nothing", path((50, 30)), "unknown"),
        ("no look says nothing", path(), "unknown"),
        ("one wrong size among many changes nothing", path(*[(10 + 9 * n, 20 + 2 * n) for n in range(9)], (100, 12)), "approaching"),
    ],
)  # fmt: skip
def test_directions(law, points, wanted):
    assert direction(points) == wanted, law


@given(steps=st.lists(st.tuples(st.floats(0, 1000), st.floats(10, 200)), min_size=2, max_size=30))
def test_driving_backwards_is_the_opposite_direction(steps):
    opposite = {"approaching": "receding", "receding": "approaching", "unknown": "unknown"}
    assert direction(path(*reversed(steps))) == opposite[direction(path(*steps))]


@pytest.fixture
def scene():
    return Scene.of(
        CameraConfig.model_validate(
            {
                "id": "c",
                "source": "0",
                "region": [[0, 0.2], [1, 0.2], [1, 1], [0, 1]],
                "lane": [
                    {"number": 2, "outline": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]},
                    {"number": 1, "outline": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]},
                ],
            }
        )
    )


@pytest.mark.parametrize(
    ("x", "y", "inside", "lane"),
    [(0.2, 0.5, True, 1), (0.8, 0.5, True, 2), (0.2, 0.1, False, 1), (0.5, 0.2, True, 2)],
)
def test_region_and_lanes(scene, x, y, inside, lane):
    """The edges belong to them; on a border the lane that is named first wins."""
    assert scene.contains(x, y) is inside
    assert scene.lane(x, y) == lane


def test_without_outlines_everything_counts_and_no_lane_is_named():
    scene = Scene.of(CameraConfig(id="c", source="0"))
    assert scene.contains(0.0, 0.0)
    assert scene.lane(0.5, 0.5) is None
