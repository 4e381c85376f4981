"""Foreign spelling: only O/0 and I/1 are exchanged, and only where one known order results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import Hypothesis, PlateColor, PlateKind, decode
from anpr.plate.decode import with_doubt, with_lost_characters
from anpr.plate.foreign import order_of, respelled

LOOKS = str.maketrans("OI", "01")


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("RK857A1", "RK857AI"),  # Slovakia ends in two letters
        ("RK26OAR", "RK26OAR"),  # the United Kingdom's order: nothing to mend
        ("ZA834C0", "ZA834CO"),
        ("CJIP5G", "CJ1P5G"),  # Texas
        ("0SG719", "OSG719"),  # much of the USA begins with three letters
        ("0DJ1599", "0DJ1599"),  # or is it California's 0DJI599?
        ("5RIN962", "5RIN962"),  # an order already
        ("O0I1", "O0I1"),  # too short to have one
        ("AB1O0I", "AB1O0I"),  # more than one exchange would do, or none
        ("京A1O345", "京A1O345"),  # not foreign
        ("", ""),
    ],
)
def test_the_order_decides_what_looks_alike(seen, meant):
    assert respelled(seen) == meant


@given(st.text("ABOI01589XZ京警?", max_size=9))
def test_nothing_but_look_alikes_is_exchanged(text):
    once = respelled(text)
    assert once.translate(LOOKS) == text.translate(LOOKS)
    assert respelled(once) == once


@given(st.text("ABOI01589XZ", min_size=5, max_size=8))
def test_a_text_that_is_changed_gains_a_known_order(text):
    once = respelled(text)
    if once != text:
        assert respelled(once.translate(LOOKS)) in {once, once.translate(LOOKS)}
        assert order_of(once) != order_of(text)


def test_the_reader_spells_foreign_plates_in_their_order():
    read = with_doubt(decode([Hypothesis("RK857A1", 0.98)], {PlateColor.WHITE: 1.0}))
    assert (read.number.text, read.number.kind) == ("RK857AI", PlateKind.FOREIGN)


def test_a_chinese_plate_without_its_province_is_not_taken_for_a_foreign_one():
    at = [(95 + 57 * k + (22 if k else 0)) / 440 for k in range(6)]
    blue = {PlateColor.BLUE: 1.0}
    read = with_lost_characters(decode([Hypothesis("H12345", 0.99)], blue), at, blue)
    assert with_doubt(read).number.text == "?H12345"
