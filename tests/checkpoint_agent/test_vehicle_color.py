"""Laws of the body's colour."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import PlateKind
from anpr.types import Quad
from benchmarks.rendering.bodywork import BODY_COLORS
from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.vehicle import Body, Direction, Vehicle
from checkpoint_agent.vehicle_color import body_color, color_of, most_voted

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bgr", "wanted"),
    [
        ((235, 235, 235), "white"),
        ((128, 126, 124), "grey"),
        ((20, 20, 22), "black"),
        ((30, 25, 170), "red"),
        ((160, 70, 25), "blue"),
        ((40, 180, 225), "yellow"),
        ((60, 130, 50), "green"),
        ((45, 70, 105), "brown"),
        ((20, 110, 230), "orange"),
    ],
)
def test_plain_paint_has_its_name(bgr, wanted):
    paint = np.tile(np.array(bgr, np.uint8), (400, 1))
    assert color_of(paint) == wanted
    dark = np.full((300, 3), 20, np.uint8)  # grille and glass
    if wanted not in {"grey", "black"}:
        assert color_of(np.concatenate([paint, dark])) == wanted


def test_rear_lamps_make_no_red_car():
    paint = np.full((700, 3), 225, np.uint8)
    lamps = np.tile(np.array((40, 30, 190), np.uint8), (300, 1))
    assert color_of(np.concatenate([paint, lamps])) == "white"


@given(votes=st.dictionaries(st.sampled_from(["white", "red", "unknown"]), st.integers(0, 9)))
def test_only_a_majority_gives_a_colour(votes):
    named = {k: v for k, v in votes.items() if k != "unknown" and v}
    wanted = next((k for k, v in named.items() if 2 * v > sum(named.values())), "unknown")
    assert most_voted(votes) == wanted


def test_nothing_is_said_of_what_is_outside_the_picture():
    plate = Quad((2.0, 2.0), (50.0, 2.0), (50.0, 16.0), (2.0, 16.0))
    assert body_color(np.zeros((18, 52, 3), np.uint8), plate) == "unknown"


def test_nine_in_ten_rendered_vehicles_have_their_colour():
    """By day, from both ends, all bodies that are painted in these colours."""
    camera = checkpoint_camera(960, 540)
    empty = Scene(camera=camera)
    right, wrong = 0, []
    for seed, name in enumerate(BODY_COLORS):
        for body in (Body.SALOON, Body.SUV, Body.VAN):
            for direction in Direction:
                one = Vehicle("v", "鲁H12345", PlateKind.SMALL, body, name, seed=seed)
                passing = empty.pass_seen_at(
                    one, lane=seed % 2, speed_kmh=50, seen_at=AT, direction=direction
                )
                frame = render_frame(Scene((passing,), camera=camera), AT)
                found = body_color(frame.image, Quad(*frame.truth[0].quad_px))
                if found == {"silver": "grey"}.get(name, name):
                    right += 1
                else:
                    wrong.append((name, str(body), str(direction), found))
    assert right >= 0.9 * (right + len(wrong)), wrong
