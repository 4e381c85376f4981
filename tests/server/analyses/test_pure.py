"""The pure parts: what counts as together, as impossible, as night, as surprising."""

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.analyses.clones import (
    CloneRules,
    conflict_between,
    conflicts_of,
    judge_plate,
    suspect_clocks,
    take_apart,
)
from server.analyses.companions import (
    CellCounts,
    CompanionRules,
    cell_of,
    coincidences_of,
    meetings_of,
    rank_companions,
)
from server.analyses.finding import Finding, Proof, Reason, from_json, to_json
from server.analyses.habits import absences, haunts, is_nocturnal, night_of, nocturnal, transit
from server.analyses.sighting import Sighting, StraightLines, trips, without_repeats
from server.analyses.surprise import binomial_surprise, poisson_surprise, uneven_surprise
from server.analyses.traffic import rides, section_speeds, shares_between, travel_time
from server.checkpoints.service import CheckpointPlace

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
SHANGHAI = ZoneInfo("Asia/Shanghai")
PLACES = {
    f"k{n}": CheckpointPlace(f"k{n}", "", "", 35.0 + 0.05 * n, 116.5, "", "") for n in range(6)
}
LINES = StraightLines(PLACES)
STEP_M = 5_560.0
_number = iter(range(1, 10_000_000))


def seen(
    plate: str, place: int, at_s: float, color: str = "white", score: float = 0.95
) -> Sighting:
    at = NOON + timedelta(seconds=at_s)
    return Sighting(plate, at, UUID(int=next(_number)).bytes, f"k{place}", "blue", "small", color,
                    score=score)  # fmt: skip


routes = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20_000)), max_size=30).map(
    lambda rows: without_repeats([seen("鲁H10001", p, t) for p, t in rows], 30.0)
)


# ---- surprise


@given(st.integers(1, 40), st.floats(1e-6, 60))
def test_surprise_is_the_poisson_tail(count: int, mean: float) -> None:
    below = math.fsum(
        math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count)
    )
    got = float(poisson_surprise(np.array([float(count)]), np.array([mean]))[0])
    if count > mean and 1.0 - below > 1e-9:
        assert got == pytest.approx(-math.log10(1.0 - below), rel=1e-5, abs=1e-6)
    if count <= mean:
        assert got == 0.0


@pytest.mark.parametrize("surprise", [poisson_surprise, uneven_surprise])
@given(one=st.floats(0.3, 50), other=st.floats(0.3, 50), mean=st.floats(1e-4, 20))
def test_more_meetings_are_never_less_surprising(
    surprise: Callable[..., Any], one: float, other: float, mean: float
) -> None:
    low, high = sorted((one, other))
    few, many = surprise(np.array([low, high]), np.array([mean, mean]))
    assert few <= many + 1e-9


@given(st.integers(1, 40), st.floats(1e-6, 60))
def test_uneven_surprise_is_the_tail_of_a_negative_binomial(count: int, mean: float) -> None:
    p = mean / (mean + 2)
    below = math.fsum((k + 1) * p**k * (1 - p) ** 2 for k in range(count))
    got = float(uneven_surprise(np.array([float(count)]), np.array([mean]))[0])
    if count > mean and 1.0 - below > 1e-9:
        assert got == pytest.approx(-math.log10(1.0 - below), rel=1e-5, abs=1e-6)
    if count <= mean:
        assert got == 0.0


def test_a_timetable_is_less_surprising_than_three_drives_together() -> None:
    """Two buses of a line met 55 times where 20 were expected, a convoy 3 times where none was."""
    count, expected = np.array([55.0, 3.0]), np.array([20.0, 0.02])
    by_poisson, uneven = poisson_surprise(count, expected), uneven_surprise(count, expected)
    assert by_poisson[0] > by_poisson[1]
    assert uneven[0] < 2.0
    assert uneven[1] > 5.0


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.01, 0.99))
def test_binomial_surprise_is_the_tail(hits: int, trials: int, chance: float) -> None:
    hits = min(hits, trials)
    tail = sum(
        math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
        for k in range(hits, trials + 1)
    )
    assert binomial_surprise(hits, trials, chance) == pytest.approx(
        max(0.0, -math.log10(min(1.0, tail))), abs=1e-6
    )


# ---- sightings


@given(routes, st.floats(1, 10_000))
def test_trips_hold_every_sighting_once_and_no_gap(route, gap_s) -> None:
    cut = trips(route, gap_s)
    assert [s for trip in cut for s in trip] == list(route)
    for trip in cut:
        for a, b in pairwise(trip):
            assert (b.at - a.at).total_seconds() <= gap_s
    for before, after in pairwise(cut):
        assert (after[0].at - before[-1].at).total_seconds() > gap_s


def test_of_repeats_the_best_read_one_stays() -> None:
    rows = [seen("鲁H10001", 0, 0, score=0.5), seen("鲁H10001", 0, 20, score=0.9),
            seen("鲁H10001", 0, 45, score=0.7), seen("鲁H10001", 1, 46)]  # fmt: skip
    kept = without_repeats(rows, 30.0)
    assert [s.passage_id for s in kept] == [rows[1].passage_id, rows[3].passage_id]


# ---- clones


@given(routes)
def test_a_conflict_is_faster_than_anybody_can_drive(route) -> None:
    for one in conflicts_of(route, LINES, CloneRules()):
        assert one.distance_m >= CloneRules().min_distance_m
        assert one.duration_s + 4.0 < one.distance_m / (150 / 3.6)


@given(routes)
def test_taken_apart_no_vehicle_has_a_conflict_and_nothing_is_lost(route) -> None:
    vehicles = take_apart(route, LINES, CloneRules())
    assert Counter(s for v in vehicles for s in v) == Counter(route)
    for vehicle in vehicles:
        assert list(vehicle) == sorted(vehicle, key=lambda s: (s.at, s.passage_id))
        assert conflicts_of(vehicle, LINES, CloneRules()) == ()
    if not conflicts_of(route, LINES, CloneRules()):
        assert len(vehicles) <= 1
        assert judge_plate("鲁H10001", route, LINES, CloneRules()) is None


@given(st.lists(st.integers(130, 4_000), min_size=1, max_size=20), st.integers(0, 5))
def test_a_vehicle_that_keeps_to_what_can_be_driven_is_no_clone(waits, start) -> None:
    """From each checkpoint to the next one or back, never faster than 150 km/h in a straight line."""
    at, place, route = 0.0, start, []
    for wait in waits:
        route.append(seen("鲁H10001", place, at))
        place = place + 1 if place < 5 else place - 1
        at += wait + STEP_M / (150 / 3.6) - 130 + 1
    assert judge_plate("鲁H10001", route, LINES, CloneRules()) is None


def two_vehicles(color: str = "white") -> list[Sighting]:
    """One drives k0 → k1 → k2, the other k5 → k4 → k3, at the same time."""
    one = [seen("鲁H10001", n, 400 * n) for n in range(3)]
    other = [seen("鲁H10001", 5 - n, 400 * n + 50, color) for n in range(3)]
    return sorted(one + other, key=lambda s: s.at)


def test_two_routes_at_once_are_a_clone_and_are_told_apart() -> None:
    verdict = judge_plate("鲁H10001", two_vehicles("black"), LINES, CloneRules())
    assert verdict is not None
    assert verdict.cause == "clone"
    assert sorted(tuple(s.checkpoint_id for s in v) for v in verdict.vehicles[:2]) == [
        ("k0", "k1", "k2"),
        ("k5", "k4", "k3"),
    ]
    assert set(verdict.colors or ()) == {"white", "black"}
    same = judge_plate("鲁H10001", two_vehicles(), LINES, CloneRules())
    assert same is not None
    assert same.cause == "clone"
    assert same.score < verdict.score


def test_a_single_sighting_that_does_not_fit_is_taken_for_a_misread() -> None:
    route = [seen("鲁H10001", n, 400 * n) for n in range(4)]
    stray = seen("鲁H10001", 5, 430)
    verdict = judge_plate(
        "鲁H10001", sorted([*route, stray], key=lambda s: s.at), LINES, CloneRules()
    )
    assert verdict is not None
    assert verdict.cause == "misread"


def test_conflicts_at_a_wrong_clock_are_put_down_to_it() -> None:
    """k2's clock is 20 minutes ahead: whoever passes it is seen there after he is far on."""
    conflicts, passing = [], Counter({f"k{n}": 40 for n in range(6)})
    routes = {}
    for n in range(40):
        plate = f"鲁H2{n:04d}"
        route = [seen(plate, k, 300 * k + 7 * n + (1200 if k == 2 else 0)) for k in range(6)]
        routes[plate] = sorted(route, key=lambda s: s.at)
        conflicts += [
            (plate, c.start.checkpoint_id, c.end.checkpoint_id)
            for c in conflicts_of(routes[plate], LINES, CloneRules())
        ]
    suspects = suspect_clocks(conflicts, passing, CloneRules())
    assert set(suspects) == {"k2"}
    for plate, route in routes.items():
        verdict = judge_plate(plate, route, LINES, CloneRules(), suspects)
        assert verdict is not None
        assert (verdict.cause, verdict.clock_checkpoint_id) == ("clock", "k2")


def test_a_quiet_neighbour_is_not_blamed_for_the_wrong_clock_beside_it() -> None:
    """Nearly all who pass the quiet ones conflict, but they conflict with the busy one alone."""
    conflicts = [(f"p{n}", quiet, "busy") for quiet in ("one", "two") for n in range(50)]
    passing = Counter({"one": 60, "two": 60, "busy": 3_000})
    assert set(suspect_clocks(conflicts[:50], passing, CloneRules())) == {"one"}
    conflicts = [(f"{where}{n}", where, "busy") for where in ("one", "two") for n in range(50)]
    assert suspect_clocks(conflicts, passing, CloneRules()) == {"busy": 100}


def test_a_real_clone_stays_one_beside_a_wrong_clock() -> None:
    verdict = judge_plate("鲁H10001", two_vehicles(), LINES, CloneRules(), {"k2"})
    assert verdict is not None
    assert verdict.cause == "clone"


def test_what_was_said_to_be_drivable_is_no_conflict_any_more() -> None:
    a, b = seen("鲁H10001", 0, 0), seen("鲁H10001", 1, 60)
    assert conflict_between(a, b, LINES, CloneRules()) is not None
    told = StraightLines(PLACES, limits={("k0", "k1"): 55.0})
    assert conflict_between(a, b, told, CloneRules()) is None


# ---- companions


def ride(plate: str, day: int, delay_s: float, checkpoints=range(5)) -> list[Sighting]:
    return [seen(plate, k, 86_400 * day + 300 * k + delay_s) for k in checkpoints]


def test_a_companion_outranks_a_bus_that_was_met_more_often() -> None:
    """The bus passes every ten minutes all day, so that it is always near somebody."""
    mine = [s for day in range(4) for s in ride("鲁H10001", day, 0)]
    friend = [s for day in range(3) for s in ride("鲁H20002", day, 9)]
    bus = [
        seen("鲁H30003", k, 86_400 * day + 600 * n + 300 * k + 20)
        for day in range(4) for n in range(-30, 60) for k in range(5)
    ]  # fmt: skip
    found = coincidences_of(mine, [*friend, *bus], 60.0)
    cells = {
        plate: Counter(cell_of(s.checkpoint_id, s.at) for s in [*friend, *bus] if s.plate == plate)
        for plate in ("鲁H20002", "鲁H30003")
    }
    ranked = rank_companions(
        mine, found, CellCounts.of(cells), timedelta(days=4), CompanionRules(min_surprise=0.0)
    )
    assert len(found["鲁H30003"]) > len(found["鲁H20002"])
    assert ranked[0].plate == "鲁H20002"
    assert ranked[0].meetings == 3
    assert ranked[0].surprise > 4 > next(c.surprise for c in ranked if c.plate == "鲁H30003")


def test_one_road_driven_together_is_one_meeting() -> None:
    pairs = coincidences_of(ride("鲁H10001", 0, 0), ride("鲁H20002", 0, 9), 60.0)["鲁H20002"]
    assert len(pairs) == 5
    assert len(meetings_of(pairs, 1800.0)) == 1
    assert len(meetings_of(pairs, 200.0)) == 5


@given(st.integers(0, 200), st.floats(1, 100))
def test_together_is_within_the_gap_and_at_the_same_place(delay_s, gap_s) -> None:
    pairs = coincidences_of([seen("鲁H10001", 1, 0)], [seen("鲁H20002", 1, delay_s)], gap_s)
    assert ("鲁H20002" in pairs) == (delay_s <= gap_s)
    assert coincidences_of([seen("鲁H10001", 1, 0)], [seen("鲁H20002", 2, 0)], gap_s) == {}
    assert coincidences_of([seen("鲁H10001", 1, 0)], [seen("鲁H10001", 1, 1)], gap_s) == {}


def test_a_meeting_in_a_queue_weighs_less() -> None:
    mine = ride("鲁H10001", 0, 0)
    queue = [s for n in range(30) for s in ride(f"鲁H4{n:04d}", 0, n + 1)]
    alone = ride("鲁H40000", 0, 1)
    rules, nothing = CompanionRules(min_surprise=0.0), CellCounts.of({})
    crowded = rank_companions(
        mine, {"鲁H40000": coincidences_of(mine, queue, 60.0)["鲁H40000"]}, nothing,
        timedelta(days=7), rules,
    )  # fmt: skip
    beside = coincidences_of(mine, alone, 60.0)
    quiet = rank_companions(mine, beside, nothing, timedelta(days=7), rules)
    assert crowded[0].surprise < quiet[0].surprise


# ---- habits


@pytest.mark.parametrize(
    ("local", "night"),
    [
        ("2026-11-22T21:59:59", None),
        ("2026-11-22T22:00:00", "2026-11-22"),
        ("2026-11-23T00:00:00", "2026-11-22"),
        ("2026-11-23T04:59:59", "2026-11-22"),
        ("2026-11-23T05:00:00", None),
    ],
)
def test_a_night_is_named_by_the_day_it_begins(local: str, night: str | None) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    found = night_of(at.astimezone(UTC), SHANGHAI)
    assert (found.isoformat() if found else None) == night


@given(st.lists(st.integers(0, 14 * 86_400), max_size=40))
def test_nights_and_days_are_all_the_sightings(offsets) -> None:
    found = nocturnal([NOON + timedelta(seconds=s) for s in offsets], SHANGHAI)
    assert found.at_night + found.by_day == len(offsets)
    assert found.in_a_row <= found.nights <= found.at_night


def test_who_comes_out_by_night_three_times_is_nocturnal() -> None:
    midnight = NOON + timedelta(hours=12)
    nights = [midnight + timedelta(days=n) for n in range(3)]
    assert is_nocturnal(nocturnal(nights, SHANGHAI))
    assert nocturnal(nights, SHANGHAI).in_a_row == 3
    assert not is_nocturnal(nocturnal([*nights, NOON], SHANGHAI))
    assert not is_nocturnal(nocturnal(nights[:2], SHANGHAI))


def test_a_haunt_is_where_long_silences_begin_and_end() -> None:
    route = []
    for day in range(4):
        route += [seen("鲁H10001", 0, 86_400 * day), seen("鲁H10001", 3, 86_400 * day + 1200)]
        route += [seen("鲁H10001", 3, 86_400 * day + 1200 + 8 * 3600)]
    found = haunts(route, LINES)
    assert [h.checkpoint_id for h in found] == ["k3"]
    assert len(found[0].stays) == 4
    assert found[0].total_s == pytest.approx(4 * 8 * 3600)


def test_what_nearly_all_pass_and_one_never_does_is_an_absence() -> None:
    ways = {("k0", "k2"): {"k1": 0.95}}
    route = [s for n in range(6) for s in
             (seen("鲁H10001", 0, 4000 * n), seen("鲁H10001", 2, 4000 * n + 600))]  # fmt: skip
    (found,) = absences(route, ways)
    assert (found.missed_at, len(found.times), found.of) == ("k1", 6, 6)
    assert found.surprise == pytest.approx(-6 * math.log10(0.05), rel=1e-6)
    assert absences(route, {("k0", "k2"): {"k1": 0.7}}) == ()


def test_passing_through_is_in_and_out_once() -> None:
    assert transit([seen("鲁H10001", 0, 0), seen("鲁H10001", 5, 3600)]) is not None
    assert transit([seen("鲁H10001", 0, 0), seen("鲁H10001", 0, 3600)]) is None
    assert transit([seen("鲁H10001", 0, 0), seen("鲁H10001", 5, 7 * 3600)]) is None
    assert transit([seen("鲁H10001", 0, 0)]) is None


# ---- traffic


def test_a_ride_begins_at_the_last_pass_of_its_start() -> None:
    starts = [seen("鲁H10001", 0, 0), seen("鲁H10001", 0, 500), seen("鲁H10001", 0, 2000)]
    ends = [seen("鲁H10001", 1, 900), seen("鲁H10001", 1, 950)]
    (found,) = rides(starts, ends, 3600.0)
    assert found.duration_s == 400.0


@given(st.lists(st.floats(60, 600), min_size=1, max_size=20), st.floats(500, 20_000))
def test_what_can_be_held_to_is_never_faster_than_the_average(durations, length_m) -> None:
    found = rides(
        [seen(f"鲁H{n:05d}", 0, 0) for n in range(len(durations))],
        [seen(f"鲁H{n:05d}", 1, t) for n, t in enumerate(durations)],
        3600.0,
    )
    speeds = section_speeds(found, length_m, 2.0)
    assert len(speeds) == len(durations)
    for one in speeds:
        assert one.least_kmh < one.speed_kmh
        assert one.speed_kmh == pytest.approx(length_m / one.ride.duration_s * 3.6)
    assert [s.least_kmh for s in speeds] == sorted((s.least_kmh for s in speeds), reverse=True)


def test_who_stopped_on_the_way_does_not_count_for_the_travel_time() -> None:
    found = rides(
        [seen(f"鲁H{n:05d}", 0, 0) for n in range(11)],
        [seen(f"鲁H{n:05d}", 1, 5000 if n == 10 else 100 + n) for n in range(11)],
        7200.0,
    )
    time = travel_time(found)
    assert time is not None
    assert time.vehicles == 10
    assert 100 <= time.q15_s <= time.median_s <= time.q85_s <= 110
    assert travel_time(found[:2]) is None


def test_the_share_between_counts_vehicles_and_not_sightings() -> None:
    found = rides([seen(f"鲁H{n:05d}", 0, 0) for n in range(4)],
                  [seen(f"鲁H{n:05d}", 2, 600) for n in range(4)], 3600.0)  # fmt: skip
    between = [seen(f"鲁H{n:05d}", 1, 300) for n in range(3)] + [seen("鲁H00000", 1, 310)]
    assert shares_between(found, between) == {"k1": 0.75}


# ---- findings


def test_a_finding_comes_back_from_where_jobs_keep_it() -> None:
    one = seen("鲁H10001", 0, 1.5)
    finding = Finding(
        "鲁H10001", 3.5, (Reason("conflict", {"from": "k0", "km": 1.5}),), (Proof.of(one),),
        "鲁H20002", "blue", "green",
    )  # fmt: skip
    assert from_json("鲁H10001", "鲁H20002", 3.5, to_json(finding)) == finding
