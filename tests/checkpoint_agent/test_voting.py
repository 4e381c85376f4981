"""Laws of the vote: order means nothing, agreement claims, doubt is said, grammar comes last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import PROVINCES, SERIAL, PlateColor, PlateKind
from checkpoint_agent.voting import aligned, vote
from tests.checkpoint_agent.fakes import read_of

BLUE, GREEN, YELLOW = PlateColor.BLUE, PlateColor.GREEN, PlateColor.YELLOW
A = "京A12345"


def decide(*reads, sure_reads=2, sure_alone_score=0.97):
    return vote(reads, sure_reads=sure_reads, sure_alone_score=sure_alone_score)


@pytest.mark.parametrize(
    ("law", "reads", "text", "state", "votes"),
    [
        ("two that agree are sure", [(A, 0.7), (A, 0.7)], A, "read", 2),
        ("the better supported wins", [(A, 0.8), (A, 0.8), ("京A12346", 0.9)], A, "read", 2),
        ("where two disagree nothing is claimed", [(A, 0.8), ("京A1234S", 0.8)], "京A1234?", "partial", 2),
        ("two against three in three ways claim nothing", [(A, 0.8)] * 2 + [("京A12346", 0.8), ("京A12347", 0.8), ("京A12348", 0.8)], "京A1234?", "partial", 5),
        ("a lone sure read is claimed", [(A, 0.98)], A, "read", 1),
        ("a lone fair read leaves a place open", [(A, 0.95)], "partial", "partial", 1),
        ("a lone poor read says nothing", [(A, 0.5)], "", "unread", 0),
        ("a stray other plate has no vote", [(A, 0.9), (A, 0.9), ("沪B77777", 0.99)], A, "read", 2),
        ("a read that lost a character still counts", [(A, 0.9), (A, 0.9), ("京A1345", 0.6)], A, "read", 2),
        ("a read that lost its end still counts", [("京AD12345", 0.9, GREEN), ("京AD12345", 0.8, GREEN), ("京AD1234", 0.9, GREEN)], "京AD12345", "read", 2),
        ("what most lost is left open, not left out", [("29113F", 0.9, GREEN)] * 4 + [("鲁F29113F", 0.9, GREEN)], "??29113F", "partial", 5),
        ("what two saw is claimed", [("29113F", 0.9, GREEN)] * 4 + [("鲁F29113F", 0.9, GREEN)] * 2, "鲁F29113F", "read", 2),
        ("nothing read is unread", [("", 0.0), ("", 0.0)], "", "unread", 0),
        ("no read at all is unread", [], "", "unread", 0),
        ("open places stay open", [("京A?2345", 0.9), ("京A?2345", 0.9)], "京A?2345", "partial", 2),
        ("an open place is filled by those who saw it", [("京A?2345", 0.9), (A, 0.9), (A, 0.8)], A, "read", 2),
    ],
)  # fmt: skip
def test_votes(law, reads, text, state, votes):
    result = decide(*[read_of(t, s, color=c[0] if c else BLUE) for t, s, *c in reads])
    if text != "partial":
        assert result.text == text, law
    assert (result.state, result.votes) == (state, votes), law
    assert len(result.characters) == len(result.text), law
    assert ("?" in result.text) == (state == "partial"), law


def test_grammar_decides_between_what_the_votes_leave_open():
    """Z in the second place and 2 look alike; an issuing letter must be a letter."""
    reads = [
        read_of("粤2B1234", 0.9, alternatives={1: (("Z", 0.45),)}),
        read_of("粤2B1234", 0.9, alternatives={1: (("Z", 0.45),)}),
        read_of("粤ZB1234", 0.8),
        read_of("粤ZB1234", 0.8),
    ]
    assert decide(*reads).text[1] in "Z?"


def test_what_was_considered_stays_beside_an_open_place():
    reads = [read_of(A, 0.8), read_of("京A1234S", 0.8)]
    last = decide(*reads).characters[-1]
    assert last.char == "?"
    assert {char for char, _ in last.alternatives} == {"5", "S"}


def test_kind_and_color_come_from_the_vote():
    result = decide(
        read_of("粤BD12345", color=GREEN),
        read_of("粤BD12345", color=GREEN),
        read_of("粤BD12345", 0.5, color=BLUE),
    )
    assert (result.kind, result.color) == (PlateKind.NEW_ENERGY_SMALL, GREEN)
    assert decide(*[read_of(A, color=YELLOW)] * 2).kind is PlateKind.LARGE
    assert decide(*[read_of(A, color=BLUE)] * 2).kind is PlateKind.SMALL


def test_more_agreement_is_never_less_sure():
    one, other = read_of(A, 0.8), read_of("京A12346", 0.8)
    scores = [decide(*[one] * n, other).score for n in range(2, 8)]
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    ("template", "text", "wanted"),
    [
        ("京A12345", "京A12345", "京A12345"),
        ("京A12345", "京A1345", "京A1-345"),
        ("京A12345", "A12345", "-A12345"),
        ("京A12345", "京A1234", "京A1234-"),
        ("京A12345", "京A123455", "京A12345"),
        ("京A12345", "", "-------"),
    ],
)
def test_alignment(template, text, wanted):
    found = aligned(template, read_of(text))
    assert "".join("-" if c is None else c.char for c in found) == wanted


texts = st.builds(
    lambda province, tail: province + tail,
    st.sampled_from(list(PROVINCES)),
    st.text(alphabet=SERIAL + "?", min_size=3, max_size=7),
)
reads_of = st.builds(
    lambda text, score, color, options: read_of(
        text, score, color=color, alternatives={i: tuple(o) for i, o in options.items()}
    ),
    st.one_of(st.just(A), st.just("京A12346"), st.just("京A1234"), st.just(""), texts),
    st.floats(0.0, 1.0),
    st.sampled_from(list(PlateColor)),
    st.dictionaries(
        st.integers(0, 6),
        st.lists(st.tuples(st.sampled_from(SERIAL), st.floats(0, 0.5)), max_size=3),
        max_size=3,
    ),
)


@given(reads=st.lists(reads_of, max_size=8), data=st.data())
def test_the_order_of_reads_means_nothing(reads, data):
    shuffled = data.draw(st.permutations(reads))
    assert decide(*shuffled) == decide(*reads)


@given(reads=st.lists(reads_of, max_size=8), sure_reads=st.integers(1, 4))
def test_nothing_is_claimed_that_nobody_read(reads, sure_reads):
    result = decide(*reads, sure_reads=sure_reads)
    seen = {character.char for read in reads for character in read.characters}
    considered = {c for r in reads for p in r.characters for c, _ in p.alternatives}
    assert set(result.text) <= seen | considered | {"?"}
    assert 0.0 <= result.score <= 1.0
    for character in result.characters:
        assert 0.0 <= character.score <= 1.0
        assert all(0.0 <= score <= 1.0 for _, score in character.alternatives)


@given(reads=st.lists(reads_of, min_size=2, max_size=8))
def test_a_claimed_character_has_two_readers(reads):
    result = decide(*reads, sure_reads=2, sure_alone_score=1.0)
    group = [read for read in reads if read.text]
    for char in set(result.text) - {"?"}:
        readers = sum(char in read.text for read in group)
        assert readers >= 2 or len(group) < 2 or result.votes <= 1
