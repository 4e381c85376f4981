"""Two vehicles of one plate that never drive at the same time are told from one vehicle that is odd."""

import numpy as np
import pytest

from server.analyses.mining_clocks import least_times, unsteady_clocks
from server.analyses.tracks import TrackRules, divide, jumps, learn_habits

PLACES = 40
"""Checkpoints of a long road, a minute and a half apart, driven both ways."""
DAY_S = 86_400.0
RULES = TrackRules()
Rows = list[tuple[int, float]]


def drive(start: int, end: int, at_s: float, rng: np.random.Generator, pace: float = 90.0) -> Rows:
    """One drive along the road."""
    way = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    return [(k, at_s + n * pace + rng.normal(0, 8)) for n, k in enumerate(way)]


def commuter(home: int, work: int, days: int, rng: np.random.Generator, at_h: float = 8) -> Rows:
    rows: Rows = []
    for day in range(days):
        rows += drive(home, work, day * DAY_S + (at_h + rng.normal(0, 0.3)) * 3600, rng)
        rows += drive(work, home, day * DAY_S + (at_h + 9 + rng.normal(0, 0.3)) * 3600, rng)
    return [row for row in rows if rng.random() > 0.04]


def city(special: dict[int, Rows]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hundred commuters, and plates 0, 1, … as given."""
    rng = np.random.default_rng(3)
    everybody = dict(special)
    for plate in range(len(special), 100):
        home, work = rng.choice(PLACES, 2, replace=False).tolist()
        everybody[plate] = commuter(home, work, 14, rng)
    rows = sorted((p, t, k) for p, those in everybody.items() for k, t in those)
    p, t, k = zip(*rows, strict=True)
    return np.array(p), np.array(k), np.array(t)


def clone(rng: np.random.Generator) -> Rows:
    """Two commuters of one plate at the two ends of the road, the other one in the late evening."""
    return commuter(2, 9, 14, rng, 7) + commuter(36, 29, 14, rng, 10.5)


def hider(rng: np.random.Generator) -> Rows:
    """By day it is read, by night it drives home unread: it jumps every day, and is one vehicle."""
    rows: Rows = []
    for day in range(14):
        goes = rng.choice(PLACES, 3).tolist()
        rows += drive(20, goes[0], day * DAY_S + 8 * 3600, rng)
        rows += drive(goes[0], goes[1], day * DAY_S + 12 * 3600, rng)
    return rows


def misread(rng: np.random.Generator) -> Rows:
    """Now and then another plate somewhere is taken for it."""
    rows = commuter(5, 25, 14, rng)
    for day in range(0, 14, 2):
        rows.append((int(rng.integers(PLACES)), day * DAY_S + rng.uniform(0, DAY_S)))
    return sorted(rows, key=lambda row: row[1])


@pytest.mark.parametrize(
    ("make", "two"), [(clone, True), (hider, False), (misread, False)], ids=lambda v: str(v)[:16]
)
def test_two_vehicles_are_believed_where_two_explain_and_only_there(
    make: object, *, two: bool
) -> None:
    rng = np.random.default_rng(8)
    plate, place, at_s = city({0: make(rng)})  # type: ignore[operator]
    least = np.zeros((PLACES, PLACES), np.float32)
    habits = learn_habits(plate, place, at_s, least, places=PLACES, rest_s=RULES.rest_s)
    own = plate == 0
    found = divide(place[own], at_s[own], None, habits, RULES)
    assert found is not None
    assert found.convinces(RULES) is two
    if two:
        assert jumps(plate, place, at_s, habits, 100)[0] >= RULES.least_jumps
        sides = [{int(place[own][n]) for n in side} for side in (found.first, found.second)]
        assert {max(side) <= 12 for side in sides} == {True, False}, "each keeps to its own end"
        assert sorted([*found.first, *found.second, *found.left_out]) == list(range(own.sum()))


def test_ordinary_vehicles_stay_one() -> None:
    plate, place, at_s = city({})
    least = np.zeros((PLACES, PLACES), np.float32)
    habits = learn_habits(plate, place, at_s, least, places=PLACES, rest_s=RULES.rest_s)
    for one in range(0, 100, 5):
        own = plate == one
        found = divide(place[own], at_s[own], None, habits, RULES)
        assert found is None or not found.convinces(RULES)


def test_colors_that_differ_by_vehicle_make_two_likelier_and_noise_does_not() -> None:
    rng = np.random.default_rng(8)
    plate, place, at_s = city({0: clone(rng)})
    least = np.zeros((PLACES, PLACES), np.float32)
    habits = learn_habits(plate, place, at_s, least, places=PLACES, rest_s=RULES.rest_s)
    own = plate == 0
    where, when = place[own], at_s[own]
    differing = ["white" if k < 20 else "black" for k in where]
    same = ["white"] * len(where)
    gains = [divide(where, when, c, habits, RULES) for c in (differing, same, None)]
    assert all(one is not None for one in gains)
    first, second, third = (one.gain for one in gains if one is not None)
    assert first > third > second


@pytest.mark.parametrize("offset_s", [-300.0, 75.0])
def test_a_clock_that_goes_wrong_is_found_and_no_right_one(offset_s: float) -> None:
    plate, place, at_s = city({})
    wrong = (place == 17) & (at_s > 7 * DAY_S)
    stamped = at_s + offset_s * wrong
    order = np.lexsort((stamped, plate))
    found = unsteady_clocks(plate[order], place[order], stamped[order], places=PLACES)
    assert list(found) == [17]
    assert found[17] == pytest.approx(offset_s, abs=20)


def test_the_least_time_of_a_pair_is_below_all_but_the_fastest() -> None:
    plate, place, at_s = city({})
    least = least_times(plate, place, at_s, places=PLACES)
    assert least[0, 30] == 0.0, "nobody is seen to go there without being seen between"
    assert 0.6 * 90 < least[20, 21] < 0.9 * 90
