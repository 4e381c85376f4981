"""Laws of deciding for a plate: grammar and colour choose among what was seen, and invent nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.ctc import hypotheses
from anpr.plate import (
    PROVINCES,
    RECOGNISER_ALPHABET,
    RETIRED,
    Hypothesis,
    PlateColor,
    PlateKind,
    decode,
    normalise,
    with_doubt,
    with_lost_characters,
    with_lost_upper_row,
)

BLUE, GREEN, WHITE, OTHER = (
    PlateColor.BLUE,
    PlateColor.GREEN,
    PlateColor.WHITE,
    PlateColor.OTHER,
)
STANDARD_CENTRES = tuple(x / 440 for x in (38, 95, 174, 231, 288, 345, 402))
NEW_ENERGY_CENTRES = tuple(x / 480 for x in (38, 91, 183, 235, 287, 339, 391, 443))


def sure(color):
    return {color: 1.0}


def decide(hyps, colors):
    return with_doubt(decode([Hypothesis(t, p) for t, p in hyps], colors))


@pytest.mark.parametrize(
    ("hyps", "color", "text", "kind"),
    [
        # A weakly seen eighth character is kept because the ground is green.
        ([("鲁HD1234", 0.9), ("鲁HD12345", 0.08)], GREEN, "鲁HD12345", PlateKind.NEW_ENERGY_SMALL),
        # The same lattice on a blue ground is an ordinary plate.
        ([("鲁HD1234", 0.9), ("鲁HD12345", 0.08)], BLUE, "鲁HD1234", PlateKind.SMALL),
        # A letter where only digits may stand loses against a digit that was considered.
        ([("鲁HD1Z345", 0.7), ("鲁HD12345", 0.25)], GREEN, "鲁HD12345", PlateKind.NEW_ENERGY_SMALL),
        # No serial has three letters, however much the dirt in a 0 looks like a D.
        ([("川AUED22", 0.994), ("川AUE022", 0.0037)], BLUE, "川AUE022", PlateKind.SMALL),
        # What nothing speaks against is said as it was seen.
        ([("川AUED22", 0.9999)], BLUE, "川AUED22", PlateKind.SMALL),
        # O and I do not exist in a serial, however sure the network is.
        ([("鲁HO1I34", 0.99)], BLUE, "鲁H01134", PlateKind.SMALL),
        ([("VA12345", 0.95)], WHITE, "VA12345", PlateKind.MILITARY),
        ([("ABC1234", 0.95)], OTHER, "ABC1234", PlateKind.FOREIGN),
    ],
)
def test_grammar_and_color_choose_among_what_was_seen(hyps, color, text, kind):
    decoded = decide(hyps, sure(color))
    assert (decoded.number.text, decoded.number.kind) == (text, kind)


def test_text_and_color_are_decided_together():
    """Eight clear characters outweigh a colour network that leans to blue."""
    decoded = decide([("鲁HD12345", 0.99)], {BLUE: 0.7, GREEN: 0.3})
    assert decoded.number.color is GREEN
    assert decoded.number.kind is PlateKind.NEW_ENERGY_SMALL


@pytest.mark.parametrize("color", [OTHER, WHITE, PlateColor.YELLOW, PlateColor.UNKNOWN])
def test_a_foreign_plate_is_not_bent_into_a_chinese_one(color):
    """The Chinese text was considered, but much less than the foreign one."""
    decoded = decide([("ABC1234", 0.85), ("鲁BC1234", 0.05)], sure(color))
    assert (decoded.number.text, decoded.number.kind) == ("ABC1234", PlateKind.FOREIGN)


def test_the_withdrawn_military_series_does_not_become_a_province():
    decoded = decide([("海O12345", 0.6), ("沪O12345", 0.2)], sure(WHITE))
    assert decoded.number.text == "海O12345"
    assert decoded.number.kind is PlateKind.UNKNOWN


def test_a_place_that_is_not_sure_is_not_claimed():
    decoded = decide([("鲁H12345", 0.36), ("晋H12345", 0.34), ("青H12345", 0.3)], sure(BLUE))
    assert decoded.number.text == "?H12345"
    assert decoded.scores[0] == pytest.approx(0.36, abs=0.02)


def test_too_few_sure_places_are_no_read():
    hyps = [(f"{p}{a}12345", 0.25) for p, a in zip("鲁京晋沪", "HKAB", strict=True)]
    hyps = [(t[:2] + str(i) * 5, p) for i, (t, p) in enumerate(hyps)]
    assert decide(hyps, sure(BLUE)).number.text == ""


def test_nothing_seen_is_nothing_read():
    assert decide([], sure(BLUE)).number.text == ""
    assert decide([("", 0.97), ("鲁", 0.01)], sure(BLUE)).number.text == ""


def test_the_one_place_that_breaks_every_form_is_not_claimed():
    decoded = decide([("鲁HD12K45", 0.99)], sure(GREEN))
    assert decoded.number.text == "鲁HD12?45"


def test_a_green_plate_with_seven_characters_has_lost_one():
    for lost in range(1, 8):
        text = "鲁HD12345"[:lost] + "鲁HD12345"[lost + 1 :]
        at = NEW_ENERGY_CENTRES[:lost] + NEW_ENERGY_CENTRES[lost + 1 :]
        decoded = decode([Hypothesis(text, 0.99)], sure(GREEN))
        found = with_lost_characters(decoded, at, sure(GREEN))
        assert found.number.text == text[:lost] + "?" + text[lost:]


def test_a_lost_character_is_only_claimed_where_the_layout_shows_it():
    decoded = decode([Hypothesis("鲁H12345", 0.99)], sure(GREEN))
    assert with_lost_characters(decoded, STANDARD_CENTRES, sure(GREEN)) is decoded


@pytest.mark.parametrize(
    ("text", "color", "expected"),
    [("CR709", PlateColor.YELLOW, "??CR709"), ("CR709", BLUE, "CR709"), ("CR7O9", PlateColor.YELLOW, "CR7O9"),
     ("CR7098", PlateColor.YELLOW, "CR7098"), ("粤BCR709", PlateColor.YELLOW, "粤BCR709")],
)  # fmt: skip
def test_a_lower_row_alone_is_completed_on_yellow_and_only_if_it_can_be_one(text, color, expected):
    decoded = decode([Hypothesis(text, 0.9)], sure(color))
    found = with_lost_upper_row(decoded, sure(color))
    assert found.number.text == expected
    assert len(found.scores) == len(found.places) == len(expected)


def test_a_lost_province_is_seen_by_the_layout():
    decoded = decode([Hypothesis("H12345", 0.99)], sure(BLUE))
    assert with_lost_characters(decoded, STANDARD_CENTRES[1:], sure(BLUE)).number.text == "?H12345"
    evenly = [(k + 0.5) / 6 for k in range(6)]
    assert with_lost_characters(decoded, evenly, sure(BLUE)).number.text == "H12345"


characters = st.sampled_from([*RECOGNISER_ALPHABET, "·"])


@st.composite
def hypothesis_lists(draw):
    texts = draw(st.lists(st.text(characters, max_size=9), max_size=5, unique=True))
    weights = draw(st.lists(st.integers(1, 1000), min_size=len(texts), max_size=len(texts)))
    total = sum(weights) + draw(st.integers(0, 500))
    return [Hypothesis(t, w / total) for t, w in zip(texts, weights, strict=True)]


color_distributions = st.dictionaries(
    st.sampled_from([c for c in PlateColor if c is not PlateColor.UNKNOWN]),
    st.floats(0.01, 1),
    max_size=4,
)


@given(hypothesis_lists(), color_distributions)
def test_nothing_is_invented(hyps, colors):
    """Every claimed text is a hypothesis, but for unread places and O, I in a serial."""
    decoded = decode(hyps, colors)
    assert decoded.number.text in {normalise(h.text) for h in hyps} | {""}
    doubted = with_doubt(decoded)
    if doubted.number.text:
        pairs = zip(doubted.number.text, decoded.number.text, strict=True)
        assert all(a in {b, "?"} for a, b in pairs)
    claimed = set(doubted.number.text) & set(PROVINCES + RETIRED)
    assert claimed <= {char for h in hyps for char in h.text}


@given(hypothesis_lists(), color_distributions)
def test_probabilities_stay_probabilities(hyps, colors):
    decoded = with_doubt(decode(hyps, colors))
    assert 0 <= decoded.probability <= 1
    assert len(decoded.scores) == len(decoded.number.text) == len(decoded.places)
    assert all(0 <= s <= 1 for s in decoded.scores)
    assert all(s + 1e-9 >= decoded.probability for s in decoded.scores)


@given(hypothesis_lists(), color_distributions, st.randoms())
def test_the_order_of_hypotheses_does_not_matter(hyps, colors, random):
    shuffled = list(hyps)
    random.shuffle(shuffled)
    assert decode(shuffled, colors).number.text == decode(hyps, colors).number.text


def test_lattice_to_plate(make_lattice):
    """From a lattice with a doubtful O/0 and D/0 to the plate, by way of the hypotheses."""
    places = ["鲁", "H", {"D": 0.6, "0": 0.4}, {"O": 0.9}, "1", "2", "3", "4"]
    decoded = decode(hypotheses(make_lattice(places)), sure(GREEN))
    assert decoded.number.text == "鲁HD01234"
    assert decoded.number.kind is PlateKind.NEW_ENERGY_SMALL
