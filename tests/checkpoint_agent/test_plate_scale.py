"""Laws of the plate scale: it says nothing before it knows, and a lamp is no plate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.types import Box
from checkpoint_agent.plate_scale import PlateScale


def plate(y, width):
    return Box(100, y, 100 + width, y + width / 3)


def taught(n=20, near=0.1, base=60.0):
    scale = PlateScale()
    for i in range(n):
        y = 1000 * i / max(1, n - 1)
        scale.learn(Box(100, y - 10, 100 + base + near * y, y + 10))
    return scale


def test_who_knows_too_little_forbids_nothing():
    assert PlateScale().is_plausible(plate(500, 1))
    assert taught(11).is_plausible(plate(500, 1))


@given(y=st.floats(0, 1000), base=st.floats(40, 120), near=st.floats(0.0, 0.2))
def test_widths_follow_the_straight_line(y, base, near):
    scale = taught(near=near, base=base)
    assert scale.width_px(y) == pytest.approx(base + near * y, rel=0.01)


@pytest.mark.parametrize(
    ("law", "width", "plausible"),
    [
        ("a car's plate", 160, True),
        ("a motorcycle's plate is half as wide", 80, True),
        ("a lamp on a lorry's roof", 55, False),
        ("a board on a lorry's side", 500, False),
    ],
)
def test_what_can_be_a_plate(law, width, plausible):
    assert taught().is_plausible(Box(100, 990, 100 + width, 1010)) is plausible, law


def test_plates_in_one_row_teach_their_width():
    scale = PlateScale()
    for _ in range(20):
        scale.learn(Box(0, 490, 100, 510))
    assert scale.width_px(900) == pytest.approx(100)


def test_a_camera_that_is_turned_is_learned_anew():
    scale = taught(400)
    for _ in range(4000):
        for y in (0.0, 1000.0):
            scale.learn(Box(0, y - 10, 30.0, y + 10))
    assert scale.width_px(500) == pytest.approx(30, rel=0.05)


def test_what_is_kept_is_the_same_scale():
    scale = taught()
    assert PlateScale(*scale.as_list()) == scale
