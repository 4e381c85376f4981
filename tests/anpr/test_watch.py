"""Matching, pure: the index finds all that the rules accept, and the rules mean what they say."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.watch import (
    Alternative,
    Glyph,
    Indexed,
    Seen,
    Watched,
    fits,
    judge,
    likely_instead,
    misreads_of,
)
from anpr.watch.index import Builder, WatchIndex, built
from anpr.watch.likeness import SUREST, plates_meant, sure_above

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


def watched(match: str, plate: str, **other) -> Watched:
    return Watched(1, match, plate, 1, NOW, None, **other)


def read(text: str, unsure: dict[int, Glyph] | None = None) -> Seen:
    return Seen(text, tuple((unsure or {}).get(n, Glyph(c, 0.999)) for n, c in enumerate(text)))


# ---- what the rules mean


def test_an_unsure_look_alike_is_matched_and_says_why() -> None:
    seen = read("鲁H8234B", {6: Glyph("B", 0.85)})
    match = fits(watched("fuzzy", "鲁H82348", tolerance=0.5), seen)
    assert match is not None
    (difference,) = match.differences
    assert (difference.read, difference.wanted, difference.place) == ("B", "8", 6)
    said = f"read 鲁H8234B, matched 鲁H82348: B≈8 ({difference.cost:.2f})"
    assert str(match) == said
    assert match.kind == "fuzzy"


def test_a_sure_read_is_never_taken_for_another_plate() -> None:
    """Fuzzy is confusable *and* uncertain: the innocent look-alike is read surely."""
    assert fits(watched("fuzzy", "鲁H82348", tolerance=0.5), read("鲁H8234B")) is None


def test_any_one_wrong_character_is_not_fuzzy() -> None:
    unsure = {6: Glyph("K", 0.5)}
    assert fits(watched("fuzzy", "鲁H82348", tolerance=0.9), read("鲁H8234K", unsure)) is None


def test_what_the_reader_itself_considered_counts_whatever_it_looks_like() -> None:
    seen = read("鲁H8234K", {6: Glyph("K", 0.5, (Alternative("8", 0.4),))})
    match = fits(watched("fuzzy", "鲁H82348", tolerance=0.3), seen)
    assert match is not None
    assert match.cost == pytest.approx(0.032, abs=0.001)  # log10(0.5 / 0.4) / 3


def test_a_fuzzy_entry_that_is_read_as_it_stands_is_exact() -> None:
    match = fits(watched("fuzzy", "鲁H82348", tolerance=0.5), read("鲁H82348"))
    assert match is not None
    assert (match.kind, match.cost) == ("exact", 0)


def test_an_exact_entry_takes_no_unread_place_and_a_fuzzy_one_takes_one() -> None:
    assert fits(watched("exact", "鲁H82348"), read("鲁H8234?")) is None
    fuzzy = watched("fuzzy", "鲁H82348", tolerance=0.5)
    assert fits(fuzzy, read("鲁H8234?")) is not None
    assert fits(fuzzy, read("鲁H823??")) is None


def test_the_read_itself_stands_in_the_match() -> None:
    match = fits(watched("fuzzy", "鲁H82348", tolerance=0.5), read("鲁H8234?"))
    assert match is not None
    assert (match.read, match.wanted) == ("鲁H8234?", "鲁H82348")


@pytest.mark.parametrize(
    ("pattern", "plate", "expected"),
    [
        ("鲁H8??48", "鲁H82348", True),
        ("鲁H8??48", "鲁H823488", False),
        ("鲁H*48", "鲁H82348", True),
        ("鲁H*48", "鲁H48", True),
        ("*234*", "鲁H82348", True),
        ("*2?4*", "鲁H82348", True),
        ("*234*", "鲁H82438", False),
        ("*348", "鲁H82348", True),
        ("*3488", "鲁H823488D", False),
        ("??823?8", "鲁H823?8", True),
        ("??82348", "鲁H823?8", False),
    ],
)
def test_patterns(pattern: str, plate: str, expected: bool) -> None:
    entry = Watched(1, "pattern", pattern, 1, NOW, None)
    assert (fits(entry, read(plate)) is not None) is expected
    found = built([Indexed(1, "pattern", pattern)]).candidates(read(plate))
    assert not expected or 1 in found


def test_a_description_needs_all_that_it_names() -> None:
    entry = watched(
        "description", "*88", plate_colors=frozenset({"blue"}), vehicle_colors=frozenset({"white"})
    )
    white = Seen("鲁H12388", (), "small", "blue", "white")
    assert fits(entry, white) is not None
    assert fits(entry, Seen("鲁H12388", (), "small", "blue", "unknown")) is None
    assert fits(entry, Seen("鲁H12387", (), "small", "blue", "white")) is None


def test_a_vehicle_without_a_plate_is_found_by_its_description() -> None:
    entry = Indexed(
        7, "description", "", 0.0, frozenset(), frozenset({"yellow"}), frozenset({"red"})
    )
    index = built([entry])
    assert index.candidates(Seen("", (), "unknown", "yellow", "red")) == [7]
    assert index.candidates(Seen("", (), "unknown", "yellow", "blue")) == []


@pytest.mark.parametrize(
    ("hours", "local", "expected"),
    [
        (((time(22), time(5)),), time(23), True),
        (((time(22), time(5)),), time(4, 59, 59), True),
        (((time(22), time(5)),), time(5), False),
        (((time(22), time(5)),), time(21, 59), False),
        (((time(8), time(9)), (time(17), time(18))), time(17, 30), True),
        (((time(8), time(9)), (time(17), time(18))), time(12), False),
        (((time(0), time(0)),), time(12), True),
        (((time(22), time(0)),), time(23, 59), True),
        (((time(22), time(0)),), time(0), False),
    ],
)
def test_hours_are_the_checkpoints_own_and_run_over_midnight(hours, local, expected) -> None:
    at = datetime.combine(NOW.date(), local, ZONE).astimezone(UTC)
    entry = Watched(1, "exact", "鲁H82348", 1, at - timedelta(days=9), None, hours=hours)
    assert entry.holds(at, ZONE) is expected


def test_an_entry_holds_where_it_says_and_between_its_times() -> None:
    entry = watched("exact", "鲁H82348", places=frozenset({"kk-1"}))
    seen = read("鲁H82348")
    assert judge(entry, seen, "kk-1", (NOW,), ZONE) is not None
    assert judge(entry, seen, "kk-2", (NOW,), ZONE) is None
    early = NOW - timedelta(seconds=1)
    assert judge(entry, seen, "kk-1", (early,), ZONE) is None
    assert judge(entry, seen, "kk-1", (early, NOW), ZONE) is not None  # received in time


def test_the_previews_misreads_are_what_the_tolerance_accepts() -> None:
    found = misreads_of("鲁H82348", 0.5)
    assert "鲁H8234B" in [text for text, _ in found]
    assert all(cost <= 0.5 for _, cost in found)
    assert misreads_of("鲁H82348", 0.01) == []


# ---- the index finds all that the rules accept

CHARS = "08BD5S2Z1L7T鲁京H"
texts = st.text(CHARS, min_size=4, max_size=9)
scores = st.sampled_from([0.3, 0.55, 0.8, 0.95, 0.999])
glyphs = st.builds(
    Glyph,
    char=st.sampled_from(CHARS + "?"),
    score=scores,
    alternatives=st.lists(
        st.builds(Alternative, st.sampled_from(CHARS), st.sampled_from([0.001, 0.05, 0.3])),
        max_size=3,
        unique_by=lambda one: one.char,
    ).map(tuple),
)
looks = st.sampled_from(["unknown", "blue", "yellow"])
seen_ones = st.builds(
    lambda found, plate_color, color: Seen(
        "".join(g.char for g in found), tuple(found), "unknown", plate_color, color
    ),
    st.lists(glyphs, max_size=9),
    looks,
    looks,
)
some_looks = st.frozensets(st.sampled_from(["blue", "yellow"]), max_size=2)
entries = st.one_of(
    st.builds(lambda text: ("exact", text, 0.0, frozenset(), frozenset()), texts),
    st.builds(
        lambda text, t: ("fuzzy", text, t, frozenset(), frozenset()),
        texts,
        st.sampled_from([0.2, 0.5, 0.9]),
    ),
    st.builds(
        lambda text: ("pattern", text, 0.0, frozenset(), frozenset()),
        st.text(CHARS + "??**", min_size=1, max_size=8),
    ),
    st.builds(
        lambda text, a, b: ("description", text, 0.0, a, b),
        st.just("") | st.text(CHARS + "?*", min_size=1, max_size=5),
        some_looks,
        some_looks,
    ),
)


def _made(found) -> list[Watched]:
    return [
        Watched(n, match, plate, 1, NOW, None, tolerance, frozenset(), plate_colors, colors)
        for n, (match, plate, tolerance, plate_colors, colors) in enumerate(found, start=1)
    ]


def _indexed(one: Watched) -> Indexed:
    return Indexed(
        one.entry_id, one.match, one.plate, one.tolerance, one.plate_kinds, one.plate_colors,
        one.vehicle_colors,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(entries, max_size=12), seen_ones, st.integers(0, 12))
def test_the_index_finds_every_entry_that_fits(found, seen: Seen, built_first: int) -> None:
    """Whether it was there when the index was built or came later."""
    made = _made(found)
    index = built(map(_indexed, made[:built_first]))
    for one in made[built_first:]:
        index.add(_indexed(one))
    fitting = {one.entry_id for one in made if fits(one, seen) is not None}
    candidates = index.candidates(seen)
    assert fitting <= set(candidates)
    other = Seen("", (), "unknown", "blue", "yellow")
    together = index.candidates_of([seen, other, seen])
    assert [sorted(one) for one in together] == [
        sorted(candidates), sorted(index.candidates(other)), sorted(candidates)
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(glyphs, min_size=1, max_size=8), st.sampled_from([0.2, 0.5, 0.9]))
def test_plates_that_are_written_out_are_those_that_the_rule_accepts(found, tolerance) -> None:
    seen = Seen("".join(g.char for g in found), tuple(found))
    for plate in plates_meant(found, tolerance):
        assert fits(watched("fuzzy", plate, tolerance=tolerance), seen) is not None


@given(scores, st.sampled_from([0.1, 0.5, 1.0]))
def test_a_wider_tolerance_only_adds(score: float, tolerance: float) -> None:
    glyph = Glyph("8", score, (Alternative("B", 0.01),))
    less, more = (dict(likely_instead(glyph, 3, t)) for t in (tolerance / 2, tolerance))
    assert less.items() <= more.items()


@settings(max_examples=300)
@given(
    st.sampled_from(CHARS),
    st.floats(0, 1),
    st.lists(
        st.builds(Alternative, st.sampled_from(CHARS), st.sampled_from([0.0005, 0.003, 0.03, 1.0]))
    ),
    st.integers(0, 1),
    st.sampled_from([0.01, 0.2, 0.5, 0.8, 0.9, 0.93, 1.0]),
)
def test_above_the_score_that_is_sure_nothing_stands_instead(
    char: str, score: float, others, place: int, tolerance: float
) -> None:
    """Whatever a reader claims to have considered: this is what the index skips unseen."""
    sure = sure_above(tolerance, place)
    for surer in (score, sure + 1e-6, 0.9999, 1.0):
        if sure < surer <= 1:
            assert likely_instead(Glyph(char, surer, tuple(others)), place, tolerance) == ()


def test_the_surest_score_leaves_some_doubt() -> None:
    assert SUREST < 1
    assert likely_instead(Glyph("8", 1.0), 3, 1.0)


def test_several_entries_for_one_plate_and_plates_of_any_characters() -> None:
    builder = Builder()
    plates = ["鲁H82348", "鲁H82348", "WJ鲁1234567", "粤Z·A"]
    builder.add_plates("exact", plates, [3, 4, 5, 6])
    index: WatchIndex = builder.done()
    assert sorted(index.candidates(read("鲁H82348"))) == [3, 4]
    assert index.candidates(read("WJ鲁1234567")) == [5]
    assert index.candidates(read("粤Z·A")) == [6]
