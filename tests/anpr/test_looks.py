"""Laws of pooling several looks at one plate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.color import ColorRead
from anpr.looks import Look, decide, pooled
from anpr.plate import Hypothesis, PlateColor

BLUE = ColorRead({PlateColor.BLUE: 1.0}, 0.0)
GREEN = ColorRead({PlateColor.GREEN: 1.0}, 0.0)

hypothesis_lists = st.lists(
    st.tuples(st.sampled_from(["鲁H12345", "鲁H1234", "", "京A"]), st.floats(0.01, 0.25)),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [Hypothesis(*pair) for pair in pairs])


@given(st.lists(hypothesis_lists, min_size=1, max_size=4))
def test_pooled_probabilities_are_means(looks):
    for h in pooled(looks):
        each = [next((x.probability for x in look if x.text == h.text), 0.0) for look in looks]
        assert h.probability == pytest.approx(sum(each) / len(looks))


@given(hypothesis_lists)
def test_looking_twice_at_the_same_changes_nothing(look):
    once = {h.text: h.probability for h in look}
    assert {h.text: h.probability for h in pooled([look, look])} == pytest.approx(once)


def test_what_one_cut_lost_another_brings_back(make_lattice):
    """The tight cut lost the last character of a green plate; the wider one saw it."""
    tight = Look(make_lattice(list("鲁HD1234")), 0.03)
    wide = Look(make_lattice([*"鲁HD1234", {"5": 0.8}]), 0.09)
    reading = decide([tight, wide], GREEN, 1)
    assert reading.decoded.number.text == "鲁HD12345"
    assert reading.decoded.probability < 0.99
    assert len(reading.spelled) == 8


def test_looks_that_disagree_leave_doubt(make_lattice):
    a = Look(make_lattice(list("鲁H12345")), 0.03)
    b = Look(make_lattice(list("鲁H12346")), 0.09)
    reading = decide([a, b], BLUE, 1)
    assert reading.decoded.probability < 0.6
    assert reading.decoded.number.text[:6] == "鲁H1234"
