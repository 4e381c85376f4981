"""Laws of the distance between plates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import (
    PROVINCES,
    SERIAL,
    differences,
    distance,
    look_alikes,
    substitution_cost,
)
from anpr.plate.confusion import _cheapest_way

characters = st.sampled_from(PROVINCES + SERIAL + "OI?挂学警")
plates = st.text(alphabet=PROVINCES + SERIAL + "?", max_size=9)


@given(characters, characters)
def test_costs_are_symmetric_bounded_and_zero_for_the_same(a, b):
    assert substitution_cost(a, b) == substitution_cost(b, a)
    assert 0 <= substitution_cost(a, b) <= 1
    assert substitution_cost(a, a) == 0


@given(plates, plates)
def test_distance_is_symmetric_and_zero_only_between_alike_plates(a, b):
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, a) == 0
    assert distance(a, b) >= abs(len(a) - len(b))


@given(plates, st.integers(0, 8), characters)
def test_one_changed_character_costs_at_most_its_substitution(plate, place, char):
    if not plate:
        return
    place %= len(plate)
    changed = plate[:place] + char + plate[place + 1 :]
    assert distance(plate, changed) <= substitution_cost(plate[place], char) + 1e-9


@pytest.mark.parametrize(
    ("a", "b", "least", "most"),
    [
        ("鲁H12345", "鲁HI2345", 0, 0),
        ("鲁H10345", "鲁H1D345", 0.1, 0.3),
        ("鲁B88888", "鲁8BBB88", 0.5, 1.0),
        ("苏A12345", "鄂A12345", 0.3, 0.5),
        ("鲁H12345", "鲁HD12345", 1, 1),
        ("鲁H12345", "京K67890", 4, 7),
        ("鲁H1?345", "鲁H12345", 0.1, 0.3),
    ],
)
def test_distances_follow_how_alike_plates_look(a, b, least, most):
    assert least <= distance(a, b) <= most


@given(plates, plates)
def test_the_differences_add_up_to_the_distance_and_lead_from_one_to_the_other(a, b):
    found = differences(a, b)
    assert sum(one.cost for one in found) == pytest.approx(distance(a, b))
    read = list(a)
    for one in reversed(found):  # from the end, so that places keep their meaning
        assert a[one.position : one.position + 1] == one.wanted or one.kind == "added"
        read[one.position : one.position + len(one.wanted)] = one.read
    assert "".join(read) == b


@given(plates, st.lists(st.tuples(st.integers(0, 8), characters), max_size=2))
def test_plates_that_differ_in_two_places_are_told_apart_without_a_search(plate, changes):
    """The short cut says what the search for the cheapest way would."""
    read = list(plate)
    for place, char in changes:
        if read:
            read[place % len(read)] = char
    other = "".join(read)
    assert differences(plate, other) == _cheapest_way(plate, other)


@pytest.mark.parametrize(
    ("wanted", "read", "signs"),
    [
        ("鲁H12345", "鲁H12345", []),
        ("鲁H18345", "鲁H1B345", ["8≈B"]),
        ("鲁H17345", "鲁H1K345", ["7≠K"]),
        ("鲁HD12345", "鲁HD1234", ["-5"]),
        ("鲁H1234", "鲁H12341", ["+1"]),
        ("鲁H12345", "鲁H?2345", ["1≈?"]),
        ("鄂A88888", "苏A8B888", ["鄂≈苏", "8≈B"]),
        ("京A12345", "京K1234S", ["A≠K", "5≈S"]),
    ],
)
def test_the_reason_is_shown_as_people_say_it(wanted, read, signs):
    assert [one.sign for one in differences(wanted, read)] == signs


@given(plates, st.floats(0, 0.95))
def test_look_alikes_are_the_near_plates_that_differ_in_one_character(plate, most):
    found = look_alikes(plate, most)
    assert len(set(found)) == len(found)
    for other in found:
        assert len(other) == len(plate)
        assert sum(a != b for a, b in zip(plate, other, strict=True)) == 1
        assert 0 < distance(plate, other) <= most


def test_every_plate_with_one_look_alike_is_among_them():
    assert "鲁H82348" in look_alikes("鲁H8234B", 0.3)
    assert "晋H8234B" in look_alikes("鲁H8234B", 0.45)
    assert "晋H8234B" not in look_alikes("鲁H8234B", 0.3)
    assert "鲁H8234K" not in look_alikes("鲁H8234B", 0.95)
