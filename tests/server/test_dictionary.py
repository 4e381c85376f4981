"""Laws of the dictionary of plates: what it finds at speed is what the plain reading says."""

import re
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anpr.plate import differences, distance
from server.errors import InvalidRequest
from server.passages.dictionary import MAX_LENGTH, PlateDictionary
from server.passages.patterns import fits, like_of, normal_pattern, shape_of
from server.passages.shortlist import Shortlist

# few characters, so that plates are near one another; one that no alphabet foresees; unread ones
CHARACTERS = "鲁苏H8B01D?Ж"
plates = st.text(alphabet=CHARACTERS, min_size=1, max_size=10)
patterns = st.text(alphabet=CHARACTERS + "***", min_size=1, max_size=12)


def dictionary_of(plates: Sequence[str]) -> PlateDictionary:
    dictionary = PlateDictionary()
    dictionary.add(list(dict.fromkeys(plates)))
    return dictionary


def listed_dictionary_of(plates: Sequence[str], listed: int) -> PlateDictionary:
    """The first of these plates have been listed, which is done from 130,000 on otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.passages.dictionary._CHUNK", 0)
        made = dictionary_of(plates[:listed])
        made.make_lists()
    made.add([plate for plate in dict.fromkeys(plates) if plate not in plates[:listed]])
    return made


def as_regex(pattern: str) -> re.Pattern[str]:
    """An independent reading of a pattern."""
    return re.compile(re.escape(pattern).replace(r"\?", ".").replace(r"\*", ".*"), re.DOTALL)


def changes_between(wanted: str, read: str) -> int:
    """Levenshtein, where an unread place on either side agrees with any one character."""
    row = list(range(len(read) + 1))
    for i, a in enumerate(wanted, 1):
        before, row = row, [i]
        for j, b in enumerate(read, 1):
            agree = a == b or "?" in (a, b)
            row.append(min(before[j - 1] + (not agree), before[j] + 1, row[j - 1] + 1))
    return row[-1]


@settings(max_examples=150)
@given(st.lists(plates, max_size=30), patterns)
@example(["鲁H88888"], "*88*88*")
@example(["0000000000"], "*00*00*00*00*")
def test_a_pattern_finds_exactly_what_it_says(stored: list[str], text: str) -> None:
    try:
        pattern = normal_pattern(text)
    except InvalidRequest:
        return
    expected = {plate for plate in stored if as_regex(pattern).fullmatch(plate)}
    found = dictionary_of(stored).fitting(pattern, 1000)
    assert (set(found.plates), found.truncated) == (expected, False)
    assert len(found.plates) == len(expected)
    assert {plate for plate in stored if fits(plate, shape_of(pattern))} == expected
    like = re.escape(like_of(pattern)).replace("_", ".").replace("%", ".*")
    assert {plate for plate in stored if re.fullmatch(like, plate)} == expected


@settings(max_examples=150)
@given(st.lists(plates, max_size=30), plates, st.integers(1, 2), st.integers(0, 30))
@example(["8B01D"], "B01D8", 2, 0)
@example(["鲁H80Ж1"], "鲁H80Ж", 1, 0)
@example(["鲁H80D1B", "鲁H80D1", "鲁H80DB1B"], "鲁H80DB1", 1, 3)
def test_near_plates_are_those_with_so_many_changes_and_no_others(
    stored: list[str], wanted: str, changes: int, listed: int
) -> None:
    expected = {plate for plate in stored if changes_between(wanted, plate) <= changes}
    dictionary = listed_dictionary_of(stored, listed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.passages.dictionary._WORTH", 0.4)  # all of a list may be compared
        found = dictionary.near(wanted, changes, 1000)
    assert len({one.plate for one in found}) == len(found)
    assert {one.plate for one in found} == expected
    for one in found:
        assert one.cost == distance(wanted, one.plate)
        assert one.cost == pytest.approx(sum(d.cost for d in differences(wanted, one.plate)))
    costs = [round(one.cost, 6) for one in found]
    assert costs == sorted(costs)


def changed_once(plate: tuple[int, ...], *, other: int) -> Iterator[tuple[int, ...]]:
    """A plate as codes, with one character another, lost or added, at every place."""
    for at in range(len(plate)):
        yield (*plate[:at], other, *plate[at + 1 :])
        yield plate[:at] + plate[at + 1 :]
    for at in range(len(plate) + 1):
        yield (*plate[:at], other, *plate[at:])


def test_a_list_leaves_no_near_plate_out_and_names_none_twice() -> None:
    """All ways to change a plate of different characters twice, it and the others being wanted."""
    plate = tuple(range(1, 8))
    once = {plate, *changed_once(plate, other=8)}
    twice = once | {two for one in once for two in changed_once(one, other=9)}
    alone = Shortlist(np.array([plate], np.uint8).T)
    for changes, all_near in ((1, once), (2, twice)):
        for wanted in all_near:
            few = alone.maybe_near(wanted, changes, most=2)
            assert few is not None
            assert few.T.tolist() == [list(plate)], wanted
        for length in {len(one) for one in all_near}:
            near = {one for one in all_near if len(one) == length}
            of_length = np.array(sorted(near | {tuple(range(20, 20 + length))}), np.uint8)
            few = Shortlist(of_length.T).maybe_near(plate, changes, most=2 * len(of_length))
            assert few is not None
            assert sorted(map(tuple, few.T.tolist())) == sorted(near)


def test_a_likely_misread_comes_before_an_unlikely_one() -> None:
    stored = ["鲁H18345", "鲁H1B345", "鲁H1K345", "鲁H1834", "鲁H183455", "苏H1B345"]
    found = dictionary_of(stored).near("鲁H18345", 2, 10)
    assert [one.plate for one in found] == [
        "鲁H18345", "鲁H1B345", "鲁H1834", "鲁H183455", "鲁H1K345", "苏H1B345",
    ]  # fmt: skip


def test_more_than_asked_for_is_cut_and_said_newest_first() -> None:
    dictionary = PlateDictionary()
    dictionary.add([f"鲁H{n:05}" for n in range(70_000)])  # more than one chunk
    dictionary.add(["鲁HZZZZZ"])
    found = dictionary.fitting("鲁H*", 3)
    assert found.plates == ("鲁HZZZZZ", "鲁H69999", "鲁H69998")
    assert found.truncated
    assert dictionary.fitting("鲁H00001", 3).plates == ("鲁H00001",)
    assert not dictionary.fitting("*ZZ*", 1).truncated
    assert len(dictionary) == 70_001


def test_more_characters_than_there_are_codes_are_found_all_the_same() -> None:
    stored = [chr(0x4E00 + n) + "12345" for n in range(400)]
    dictionary = dictionary_of(stored)
    assert set(dictionary.fitting("?12345", 1000).plates) == set(stored)
    assert dictionary.fitting(stored[-1], 5).plates == (stored[-1],)
    assert dictionary.near(stored[-1], 1, 1000)[0].plate == stored[-1]
    assert len(dictionary.near(stored[-1], 1, 1000)) == 400


def test_what_is_no_plate_is_left_out() -> None:
    assert len(dictionary_of(["", "A" * (MAX_LENGTH + 1)])) == 0
    assert dictionary_of([]).fitting("鲁*", 5).plates == ()
    assert dictionary_of([]).near("鲁H12345", 2, 5) == ()


def test_searches_go_on_while_plates_come_in() -> None:
    dictionary = dictionary_of(["鲁H12345"])
    faults: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            if "鲁H12345" not in dictionary.fitting("*H123*", 10**6).plates:
                faults.append("lost")
            if dictionary.near("鲁H12345", 1, 1)[0].plate != "鲁H12345":
                faults.append("far")

    searching = threading.Thread(target=search)
    searching.start()
    for start in range(0, 60_000, 1_500):
        dictionary.add([f"苏E{n:05}" for n in range(start, start + 1_500)])
    done.set()
    searching.join()
    assert faults == []
    assert len(dictionary) == 60_001
