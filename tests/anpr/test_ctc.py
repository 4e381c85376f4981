"""Laws of reading a lattice, checked against counting every path."""

from itertools import groupby, product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.ctc import Lattice, best_path, hypotheses, spell

ALPHABET = ("", "A", "B", "C")


def collapsed(path):
    return "".join(ALPHABET[c] for c, _ in groupby(path) if c)


def by_counting(lattice):
    """Probability of every text: the sum over all paths that collapse to it."""
    totals = {}
    p = lattice.probabilities.astype(float)
    for path in product(range(len(ALPHABET)), repeat=len(p)):
        probability = float(np.prod([p[t, c] for t, c in enumerate(path)]))
        text = collapsed(path)
        totals[text] = totals.get(text, 0.0) + probability
    return totals


@st.composite
def small_lattices(draw):
    steps = draw(st.integers(1, 5))
    weights = draw(
        st.lists(
            st.lists(st.integers(1, 100), min_size=4, max_size=4), min_size=steps, max_size=steps
        )
    )
    p = np.array(weights, np.float32)
    return Lattice(p / p.sum(axis=1, keepdims=True), ALPHABET)


@given(small_lattices())
def test_a_wide_beam_that_gives_nothing_up_finds_every_text_with_its_exact_probability(lattice):
    with patch("anpr.ctc._HOPELESS", 0.0):
        found = {h.text: h.probability for h in hypotheses(lattice, width=10_000)}
    assert found == pytest.approx(by_counting(lattice), rel=1e-6)


@given(small_lattices())
def test_what_is_given_up_on_the_way_is_nothing_beside_the_best_text(lattice):
    exact = by_counting(lattice)
    found = {h.text: h.probability for h in hypotheses(lattice, width=10_000)}
    nothing = 1e-4 * max(exact.values())
    assert all(found[text] <= exact[text] * (1 + 1e-6) for text in found)
    assert found == pytest.approx(
        {text: p for text, p in exact.items() if text in found}, rel=1e-6, abs=nothing
    )
    assert all(p < nothing for text, p in exact.items() if text not in found)
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)


BLANK_FOR_SURE = (0.9985, 0.0005, 0.0005, 0.0005)


@st.composite
def lattices_with_gaps(draw):
    """Runs of doubtful steps, and steps between them in which nothing is worth considering."""
    doubtful = st.lists(st.integers(1, 100), min_size=4, max_size=4)
    rows = draw(st.lists(st.one_of(st.just(BLANK_FOR_SURE), doubtful), min_size=1, max_size=6))
    p = np.array(rows, np.float32)
    return Lattice(p / p.sum(axis=1, keepdims=True), ALPHABET)


@given(lattices_with_gaps())
def test_runs_between_sure_blanks_are_strung_together_to_the_same_texts(lattice):
    exact = by_counting(lattice)
    found = {h.text: h.probability for h in hypotheses(lattice, width=10_000)}
    assert sum(found.values()) <= 1 + 1e-6
    for text, probability in exact.items():
        assert found.get(text, 0.0) == pytest.approx(probability, abs=0.004)


def test_a_character_on_both_sides_of_a_blank_stands_twice():
    once = [0.01, 0.98, 0.005, 0.005]
    lattice = Lattice(np.array([once, BLANK_FOR_SURE, once], np.float32), ALPHABET)
    assert hypotheses(lattice)[0].text == "AA"
    assert hypotheses(Lattice(np.array([once, once], np.float32), ALPHABET))[0].text == "A"


@given(small_lattices())
def test_hypotheses_are_distinct_sorted_and_never_too_probable(lattice):
    exact = by_counting(lattice)
    found = hypotheses(lattice, width=4)
    assert len({h.text for h in found}) == len(found) <= 4
    assert [h.probability for h in found] == sorted((h.probability for h in found), reverse=True)
    assert all(h.probability <= exact[h.text] * (1 + 1e-4) for h in found)


@given(small_lattices())
def test_every_hypothesis_can_be_laid_along_its_lattice(lattice):
    for h in hypotheses(lattice):
        spelled = spell(lattice, h.text)
        assert len(spelled) == len(h.text)
        positions = [s.position for s in spelled]
        assert positions == sorted(positions)
        assert all(0 <= p <= 1 for p in positions)
        for char, place in zip(h.text, spelled, strict=True):
            options = dict(place.options)
            assert char in options
            assert all(0 < p <= 1 for p in options.values())


def test_a_repeated_character_needs_a_blank_between(make_lattice):
    assert best_path(make_lattice(["鲁", "H", "1", "1", "1", "1", "1"]))[0] == "鲁H11111"


def test_a_lattice_that_considers_one_text_gives_just_that(make_lattice):
    (only,) = hypotheses(make_lattice(list("鲁H12345")))
    assert only.text == "鲁H12345"
    assert only.probability == pytest.approx(0.9999**7, abs=1e-5)


def test_what_was_considered_is_kept_for_each_character(make_lattice):
    lattice = make_lattice(["鲁", "H", {"8": 0.7, "B": 0.2, "3": 0.05}, "2", "3", "4", "5"])
    assert [h.text for h in hypotheses(lattice)[:2]] == ["鲁H82345", "鲁HB2345"]
    assert [c for c, _ in spell(lattice, "鲁H82345")[2].options] == ["8", "B", "3"]
    assert spell(lattice, "鲁HB2345")[2] == spell(lattice, "鲁H82345")[2]


def test_a_text_that_does_not_fit_is_refused(make_lattice):
    lattice = make_lattice(["鲁"], steps=4)
    with pytest.raises(ValueError, match="do not fit"):
        spell(lattice, "鲁H12345")
    with pytest.raises(ValueError, match="alphabet"):
        spell(lattice, "é")
