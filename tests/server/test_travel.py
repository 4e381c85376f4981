"""What is learned of the traffic, from which passages, and what is inferred from it."""

import math
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from benchmarks.simulation import City, Plan, World, simulate
from benchmarks.trajectory import QUICK, Town, make_town, view
from server.db import Database
from server.tables import AuditRecord, TravelMark, TravelPair, TravelPlace, TravelTurn
from server.trajectories import aging, build, learning, traffic
from server.trajectories.build import build_trajectory
from server.trajectories.clocks import Usual, estimate_clocks
from server.trajectories.drawing import geojson
from server.trajectories.links import Links
from server.trajectories.model import END, TravelModel
from server.trajectories.moves import Moves, count_moves
from server.trajectories.paths import likely_paths, path_likelihood
from server.trajectories.pursuit import next_places, pursue
from server.trajectories.route import RouteRules
from server.trajectories.sketch import (
    BINS,
    CLASSES,
    PairTimes,
    TimeSketch,
    bins_of,
    medians_s,
    time_class,
    unpack,
)
from server.trajectories.traffic import TrafficCache
from server.trajectories.vehicles import MOST, NEW_VEHICLE, divide
from tests.server.conftest import NOW, Site, make_passage

GAP_S, REPEAT_S = 600.0, 30.0
ROUTE = ("kk-west", "kk-centre", "kk-north")


@cache
def town() -> Town:
    """A small city that was learned from, one sighting in five taken away."""
    return make_town(Plan(seed=QUICK.seed, days=2, vehicles=2_500, checkpoints=120, zones=30))


def moves_of(plate, place, at_s, since_s=-math.inf, until_s=math.inf) -> Moves:
    return count_moves(
        np.array(plate, np.int64), np.array(place, np.int64), np.array(at_s, float), places=5,
        since_s=since_s, until_s=until_s, gap_s=GAP_S, repeat_s=REPEAT_S, utc_offset_s=28_800,
    )  # fmt: skip


def as_counts(moves: Moves) -> dict[object, int]:
    found: dict[object, int] = {}
    for a, b, counts in zip(moves.pair_from, moves.pair_to, moves.pair_counts, strict=True):
        for when, place in zip(*np.nonzero(counts), strict=True):
            found["pair", int(a), int(b), int(when), int(place)] = int(counts[when, place])
    for a, b, c, n in zip(
        moves.turn_before, moves.turn_from, moves.turn_to, moves.turn_count, strict=True
    ):
        found["turn", int(a), int(b), int(c)] = int(n)
    for name, column in (("end", moves.ends), ("start", moves.starts)):
        for place in np.flatnonzero(column):
            found[name, int(place)] = int(column[place])
    return found


seen = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 6_000)), min_size=1, max_size=60
)


@given(seen, st.lists(st.integers(0, 8_000), max_size=4), st.randoms())
def test_moves_are_counted_once_however_time_is_cut(sightings, cuts, random) -> None:
    # two sightings of one plate at one instant have no order
    unique = list({(plate, at): (plate, place, at) for plate, place, at in sightings}.values())
    plate, place, at_s = zip(*unique, strict=True)
    whole = as_counts(moves_of(plate, place, at_s, -1, 9_000))
    edges = [-1, *sorted(set(cuts)), 9_000]
    total: dict[object, int] = {}
    for since, until in pairwise(edges):
        near = [row for row in unique if since - 2 * GAP_S <= row[2] <= until]
        random.shuffle(near)
        if near:
            part = as_counts(moves_of(*zip(*near, strict=True), since, until))
            for key, n in part.items():
                total[key] = total.get(key, 0) + n
    # a chain of repeats is joined from its beginning, wherever that lies
    repeats = any(
        a[0] == b[0] and a[1] == b[1] and 0 < b[2] - a[2] <= REPEAT_S
        for a in unique
        for b in unique
    )
    if not repeats:
        assert total == whole


@given(st.lists(st.floats(1, 100_000), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_quantile_lies_within_a_bin_of_the_true_one(seconds, q) -> None:
    counts = np.bincount(bins_of(np.array(seconds)), minlength=BINS).astype(np.int64)
    sketch = TimeSketch(counts)
    kept = sorted(s for s in seconds)[: sketch.n]
    true = kept[min(len(kept) - 1, max(0, math.ceil(q * len(kept)) - 1))]
    assert true / 1.081 <= sketch.quantile_s(q) <= true * 1.081
    assert sketch.share_below(sketch.quantile_s(q)) == pytest.approx(q, abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, BINS - 1), st.integers(1, 10**6)), max_size=40
    )
)
def test_a_stored_sketch_is_the_same_and_sketches_join_by_adding(cells) -> None:
    counts = np.zeros((CLASSES, BINS), np.int64)
    for when, place, n in cells:
        counts[when, place] = n
    assert np.array_equal(unpack(PairTimes(counts).pack()), counts)
    assert np.array_equal(PairTimes(PairTimes(counts).pack()).counts, counts)
    pairs = [PairTimes(counts), PairTimes(counts[:, ::-1].copy())]
    whole = [pair.whole.expected.q50_s for pair in pairs]
    assert medians_s(pairs) == pytest.approx(whole), "many at once say what each says"
    both = unpack(PairTimes(counts + counts).pack())
    assert np.array_equal(both, 2 * counts)


@pytest.mark.parametrize(
    ("local", "when"),
    [
        ("2025-06-02T08:00", 1), ("2025-06-02T03:00", 0), ("2025-06-07T08:00", 3),
        ("2025-06-06T23:59", 0), ("2025-06-07T00:00", 2), ("2025-06-08T23:59", 2),
        ("2025-06-09T00:00", 0),
    ],
)  # fmt: skip
def test_the_class_of_a_time_is_that_of_the_clock_on_the_wall(local, when) -> None:
    """Midnight in China is four in the afternoon in UTC: weekends begin when they begin there."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    zone = ZoneInfo("Asia/Shanghai")
    at = datetime.fromisoformat(local).replace(tzinfo=zone)
    assert time_class(at.astimezone(UTC), zone) == when


# ---- from the database


def drive(site: Site, plate: str, began: datetime, minutes: tuple[float, ...] = (0, 8, 13)) -> None:
    cameras = ("west-1", "centre-1", "north-1")
    site.outcomes(
        *[
            make_passage(plate=plate, camera_id=camera, captured_at=began + timedelta(minutes=m))
            for camera, m in zip(cameras[: len(minutes)], minutes, strict=True)
        ]
    )


def learned(site: Site, now: datetime) -> int:
    database = Database(site.settings)
    try:
        return sum(learning.learn(database, site.settings, now) for _ in range(8))
    finally:
        database.close()


def test_what_has_settled_is_learned_once_whoever_learns_and_however_often(site: Site) -> None:
    for number in range(4):
        drive(site, f"鲁H3100{number}", NOW + timedelta(minutes=number))
    later = NOW + timedelta(hours=3)
    assert learned(site, later) == 12
    assert learned(site, later) == 0
    learned(site, later + timedelta(minutes=5))
    database = Database(site.settings)
    with database.read() as session:
        pairs = {(p.from_id, p.to_id): p for p in session.scalars(select(TravelPair))}
        places = {p.checkpoint_id: p for p in session.scalars(select(TravelPlace))}
        traffic = TrafficCache(site.settings).get(session)
    database.close()
    assert {key: pair.drives for key, pair in pairs.items()} == {
        ("kk-west", "kk-centre"): 4, ("kk-centre", "kk-north"): 4,
    }  # fmt: skip
    assert (places["kk-west"].starts, places["kk-north"].ends) == (4, 4)
    expected = traffic.links.model.expected("kk-west", "kk-centre", traffic.when(NOW))
    assert expected is not None
    assert expected.q50_s == pytest.approx(480, rel=0.05)
    assert traffic.links.model.next_seen("kk-centre") == {"kk-north": 1.0}


def test_two_processes_learn_one_span_once(site: Site) -> None:
    """Who comes second finds the mark moved, and adds nothing."""
    drive(site, "鲁H32001", NOW)
    now = NOW + timedelta(hours=2)
    one, other = Database(site.settings), Database(site.settings)
    moved: list[int] = []
    add = learning._add

    def meanwhile(*rest) -> None:
        if not moved:
            moved.append(1)
        add(*rest)

    real = learning.sightings

    def slow(session, since, until):
        found = real(session, since, until)
        if not moved:
            moved.append(0)
            learning.learn(other, site.settings, now)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "sightings", slow)
        patch.setattr(learning, "_add", meanwhile)
        learning.learn(one, site.settings, now)
    with one.read() as session:
        assert session.scalars(select(TravelPair.drives)).all() == [1, 1]
        assert len(session.scalars(select(TravelMark)).all()) == 1
    one.close()
    other.close()


@given(st.lists(st.integers(0, 40), min_size=CLASSES * BINS, max_size=CLASSES * BINS))
@settings(max_examples=30)
def test_half_of_a_sketch_keeps_its_sum_and_its_shape(numbers) -> None:
    counts = np.array(numbers, np.int64).reshape(CLASSES, BINS)
    half = aging.halved(counts)
    assert half.sum() == (counts.sum() + 1) // 2
    assert (half >= 0).all()
    apart = np.cumsum(half.ravel()) - np.cumsum(counts.ravel()) / 2
    assert ((apart >= 0) & (apart <= 0.5)).all()


def test_what_was_learned_long_ago_weighs_less_and_the_ways_taken_stay_what_they_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy way and a quiet one beside it age alike, and nobody keeps a copy from before."""
    for number in range(12):
        drive(site, f"鲁H350{number:02}", NOW + timedelta(minutes=number))
    for number in range(4):  # the same way, but no further than the centre
        drive(site, f"鲁H3600{number}", NOW + timedelta(minutes=20 + number), (0, 8))
    drive(site, "鲁H37000", NOW + timedelta(minutes=30), (0, 8, 13))
    database, cache = Database(site.settings), TrafficCache(site.settings)
    learned(site, NOW + timedelta(hours=3))
    with database.read() as session:
        before = cache.get(session).links.model
        shares = before.next_seen("kk-centre")
        assert before.expected("kk-west", "kk-centre", 0).n == 17
    monkeypatch.setattr(aging, "HALF_LIFE", timedelta(hours=4))
    monkeypatch.setattr(traffic, "FRESH_S", 0.0)
    for _ in range(2):  # four hours end once in four hours; the second time there is nothing new
        learned(site, NOW + timedelta(hours=7))
    with database.read() as session:
        after = cache.get(session).links.model
        assert session.scalars(select(TravelTurn.drives)).all() == [7]
    database.close()
    assert after.expected("kk-west", "kk-centre", 0).n == 9
    assert after.next_seen("kk-centre") == pytest.approx(shares, abs=0.05)


def test_what_has_not_settled_waits(site: Site) -> None:
    drive(site, "鲁H33001", NOW)
    assert learned(site, NOW + timedelta(minutes=10)) == 0


def test_a_pursuit_is_asked_for_with_a_reason_and_stands_on_the_log(site: Site) -> None:
    for number in range(6):
        drive(site, f"鲁H3400{number}", NOW + timedelta(minutes=number))
    learned(site, NOW + timedelta(hours=3))
    hunted = "鲁H34777"
    site.outcomes(
        make_passage(plate=hunted, camera_id="west-1", captured_at=NOW + timedelta(hours=4))
    )
    site.clock.now = NOW + timedelta(hours=4, minutes=1)
    person = site.as_role("operator")
    path = f"/api/v1/trajectories/{hunted}/pursuit"
    assert person.get(path).status_code == 422
    asked = {"purpose": "system_test", "case_number": "C-34", "ready_s": 120}
    answers = [person.get(path, **asked).json() for _ in range(3)]
    found = answers[0]
    assert found["last"]["checkpoint"]["id"] == "kk-west"
    assert found["pursuit"]["next"][0]["checkpoint_id"] == "kk-centre"
    assert found["pursuit"]["next"][0]["probability"] == pytest.approx(1.0)
    blocks = {one["checkpoint_id"]: one for one in found["pursuit"]["roadblocks"]}
    assert blocks["kk-north"]["chance"] > 0.9
    database = Database(site.settings)
    with database.read() as session:
        said = session.scalars(select(AuditRecord).where(AuditRecord.action == "pursuit.follow"))
        assert [one.detail["plate"] for one in said] == [hunted], "three looks are one pursuit"
    database.close()


# ---- inference


def test_a_path_holds_only_neighbours_and_its_probabilities_are_shares() -> None:
    links = town().traffic.links
    rng = random.Random(4)
    names = [name for name in links.model.times if links.onward(name)]
    for _ in range(60):
        path = [rng.choice(names)]
        while len(path) < 4 and links.onward(path[-1]):
            path.append(rng.choice(sorted(links.onward(path[-1]))))
        if len(set(path)) < 3:
            continue
        found = likely_paths(links, path[0], path[-1], 400.0, 0)
        assert sum(one.probability for one in found) <= 1 + 1e-9
        assert [one.likelihood for one in found] == sorted(
            (o.likelihood for o in found), reverse=True
        )
        for one in found:
            whole = (path[0], *one.between, path[-1])
            assert all(b in links.onward(a) for a, b in pairwise(whole))
            assert path_likelihood(links, whole, 400.0, 0) == pytest.approx(
                one.likelihood, abs=1e-6
            )


def test_seeing_it_on_the_way_never_lowers_the_likelihood_of_the_way() -> None:
    """The same drive, one more of its checkpoints seen: what was a miss has become a sighting."""
    links = town().traffic.links
    rng = random.Random(5)
    names = [name for name in sorted(links.model.times) if links.onward(name)]
    tried = 0
    while tried < 40:
        way = [rng.choice(names)]
        while len(way) < 5 and links.onward(way[-1]):
            way.append(rng.choice(sorted(links.onward(way[-1]))))
        if len(way) < 5:
            continue
        tried += 1
        seen: set[str] = set()
        likelihood = path_likelihood(links, way, 600.0, 0)
        for here in rng.sample(way[1:-1], 3):
            seen.add(here)
            more = path_likelihood(links, way, 600.0, 0, seen=seen)
            assert more >= likelihood
            likelihood = more


def test_a_route_contains_nothing_that_was_not_seen_or_inferred() -> None:
    p = town().world.passages
    shown = 0
    for vehicle, rows in sorted(town().rows_of.items())[:60]:
        read = [r for r in rows.tolist() if p.seen[r] and p.plate[r] > 0 and not p.misread[r]]
        route = build_trajectory(
            "x", [view(town(), r) for r in read], RouteRules(), traffic=town().traffic
        )
        assert {stop.passage.passage_id.int for stop in route.stops} <= set(read), vehicle
        assert sum(stop.passages for stop in route.stops) == len(read)
        for leg in route.legs:
            start, end = route.stop(leg.from_number), route.stop(leg.to_number)
            way = (start.place.id, *(one.place.id for one in leg.between), end.place.id)
            if leg.between:
                shown += 1
                links = town().traffic.links
                assert all(b in links.onward(a) for a, b in pairwise(way))
                assert all(0 < one.probability <= 1 for one in leg.between)
        assert sum(trip.stops for trip in route.trips) == len(route.stops)
    assert shown > 5


def _day_of(where: Town, least: int) -> list:
    """The sightings of one vehicle that was seen at least so often on the last day."""
    p = where.world.passages
    days = (
        [r for r in rows.tolist() if p.seen[r] and p.plate[r] > 0 and not p.misread[r]]
        for rows in where.rows_of.values()
    )
    return [view(where, row) for row in min((d for d in days if len(d) >= least), key=len)]


def test_of_a_long_day_the_first_legs_are_inferred_as_if_it_had_ended_there() -> None:
    """A taxi is seen a hundred times a day; what it came past in the morning is not forgotten."""
    day = _day_of(town(), 90)
    whole = build_trajectory("plate", day, RouteRules(), traffic=town().traffic)
    begun = build_trajectory("plate", day[:40], RouteRules(), traffic=town().traffic)
    assert whole.vehicles == begun.vehicles == 1
    assert whole.legs[: len(begun.legs)] == begun.legs
    assert any(leg.between for leg in begun.legs)
    assert not any(leg.left_out for leg in whole.legs)


def test_where_too_much_had_to_be_searched_the_oldest_legs_say_that_nobody_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = _day_of(town(), 90)
    whole = build_trajectory("plate", day, RouteRules(), traffic=town().traffic)
    monkeypatch.setattr(build, "MOST_SEARCHED", 3)
    some = build_trajectory("plate", day, RouteRules(), traffic=town().traffic)
    assert some.legs[-1].between == whole.legs[-1].between
    out = [leg.left_out for leg in some.legs]
    assert True in out
    for leg, full in zip(some.legs, whole.legs, strict=True):
        assert leg.between == (() if leg.left_out else full.between)
    shown = [f["properties"] for f in geojson(some)["features"]]
    assert [one["left_out"] for one in shown if one["kind"] == "leg"] == out


@pytest.mark.parametrize("drives", [1_000, 100_000, 10_000_000])
def test_learning_more_of_the_same_makes_no_neighbours_of_those_that_are_none(drives) -> None:
    """On one road, however many drove it, who follows whom stays; each checkpoint misses many."""
    missed = (0.1, 0.3, 0.2, 0.35, 0.05, 0.25, 0.3)
    names = "abcdefg"

    def run(*places: int) -> int:
        """Drives that were seen at these, and at none between."""
        unseen = set(range(places[0], places[-1])) - set(places)
        return round(
            drives * math.prod(1 - missed[n] for n in places) * math.prod(missed[n] for n in unseen)
        )

    times: dict[str, dict[str, PairTimes]] = {}
    for a, b in combinations(range(len(names)), 2):
        counts = np.zeros((CLASSES, BINS), np.int64)
        counts[0, bins_of(np.array([90.0 * (b - a)]))] = run(a, b)
        times.setdefault(names[a], {})[names[b]] = PairTimes(counts)
    turns: dict[tuple[str, str], dict[str, int]] = {}
    for a, b, c in combinations(range(len(names)), 3):
        turns.setdefault((names[a], names[b]), {})[names[c]] = run(a, b, c)
    links = Links(TravelModel(times, turns, {}, {}))
    assert {a: set(links.onward(a)) for a in names[:-1]} == {a: {b} for a, b in pairwise(names)}
    for place, true in list(zip(names, missed, strict=True))[1:-1]:
        assert links.missed(place) == pytest.approx(true, abs=0.1)


def test_a_clone_gets_a_line_of_its_own() -> None:
    near = {(0, 1): 0.0, (1, 2): 0.0}
    one = divide(4, lambda a, b: 0.0 if (a % 2) == (b % 2) else -math.inf)
    assert one == (1, 2, 1, 2)
    assert divide(3, lambda a, b: near.get((a, b), -0.1)) == (1, 1, 1)
    assert divide(0, lambda _a, _b: 0.0) == ()


@settings(max_examples=50)
@given(st.integers(0, 12), st.randoms())
def test_every_sighting_has_one_vehicle_and_vehicle_one_has_most(count, random) -> None:
    fits = {
        (a, b): random.choice([0.0, -1.0, -math.inf]) for a in range(count) for b in range(count)
    }
    of = divide(count, lambda a, b: fits[a, b])
    assert len(of) == count
    assert not of or set(of) == set(range(1, max(of) + 1))
    assert all(of.count(1) >= of.count(n) for n in set(of))


@settings(max_examples=50)
@given(st.integers(1, 6), st.randoms())
def test_no_other_division_of_few_sightings_is_likelier(count, random) -> None:
    fits = {
        (a, b): random.choice([0.0, -0.4, -2.5, -math.inf])
        for a, b in combinations(range(count), 2)
    }

    def score(of: tuple[int, ...]) -> float:
        total, last = 0.0, {}
        for number, vehicle in enumerate(of):
            if vehicle in last:
                fit = fits[last[vehicle], number]
                total += max(fit, 4 * NEW_VEHICLE) if len(last) == MOST else fit
            elif last:
                total += NEW_VEHICLE
            last[vehicle] = number
        return total

    found = divide(count, lambda a, b: fits[a, b])
    best = max(score(of) for of in product(range(1, MOST + 1), repeat=count))
    assert score(found) == pytest.approx(best)


def test_silence_and_time_change_what_comes_next() -> None:
    model = town().traffic.links.model
    here = max(sorted(model.times), key=model.departures)
    at = datetime(2025, 6, 3, 2, tzinfo=UTC)
    shares = []
    for minutes in (0, 2, 10, 40):
        found, gone = next_places(model, here, None, at, at + timedelta(minutes=minutes), 0)
        assert sum(one.probability for one in found) + gone == pytest.approx(1.0)
        for one in found:
            assert (
                at + timedelta(minutes=minutes) <= one.earliest_at <= one.likely_at <= one.latest_at
            )
        shares.append(gone)
    assert shares == sorted(shares), "who is not seen for long has more likely stopped"
    assert model.next_seen("nowhere") == {}
    assert next_places(model, "nowhere", None, at, at, 0) == ((), 1.0)


def test_roadblocks_are_ranked_and_later_units_stop_fewer() -> None:
    links = town().traffic.links
    here = max(sorted(links.model.times), key=links.model.departures)
    at = datetime(2025, 6, 3, 2, tzinfo=UTC)
    chances = []
    for ready_s in (60.0, 300.0, 900.0):
        found = pursue(links, here, None, at, at, 0, ready_s)
        again = pursue(links, here, None, at, at, 0, ready_s)
        assert found == again
        ranked = [one.chance for one in found.roadblocks]
        assert ranked == sorted(ranked, reverse=True)
        assert all(0 <= one.chance <= one.passes <= 1 + 1e-9 for one in found.roadblocks)
        chances.append({one.checkpoint_id: one.chance for one in found.roadblocks})
    for sooner, later in pairwise(chances):
        assert all(later[name] <= sooner[name] + 1e-9 for name in later if name in sooner)
    limited = pursue(links, here, None, at, at, 0, {here: 0.0})
    assert {one.checkpoint_id for one in limited.roadblocks} <= {here}


def test_a_wrong_clock_is_found_and_right_ones_are_left_alone() -> None:
    world: World = simulate(
        Plan(seed=2, days=2, vehicles=3_000, checkpoints=100, zones=30, clock_faults=0)
    )
    p = world.seen().where(slice(None))
    p = p.where(p.plate > 0)
    count = len(world.city.checkpoint_link)
    base = world.plan.start_at.timestamp()
    first = p.at_s <= 86_400
    moves = count_moves(
        p.plate[first], p.checkpoint[first], p.at_s[first] + base, places=count, since_s=0,
        until_s=base + 86_400, gap_s=3_600, repeat_s=30, utc_offset_s=28_800,
    )  # fmt: skip
    model = TravelModel.of(moves, [City.checkpoint_id(n) for n in range(count)])
    known = [
        (a * count + b, TimeSketch(c.sum(axis=0)).quantile_s(0.5))
        for a, b, c in zip(moves.pair_from.tolist(), moves.pair_to.tolist(), moves.pair_counts, strict=True)
        if c.sum() >= 20
    ]  # fmt: skip
    usual = Usual(np.array([k for k, _ in known]), np.array([m for _, m in known]))
    busiest = int(np.bincount(p.checkpoint[~first]).argmax())
    for offset in (0.0, 240.0, -400.0):
        shifted = p.at_s[~first] + np.where(p.checkpoint[~first] == busiest, offset, 0.0)
        found = estimate_clocks(
            p.plate[~first], p.checkpoint[~first], shifted, places=count, usual=usual
        )
        wrong = {one.place: one.offset_s for one in found if one.offset_s}
        assert wrong.pop(busiest, 0.0) == pytest.approx(offset, abs=25)
        assert len(wrong) <= 2, wrong
    assert END not in model.times
    assert Links(model).missed(City.checkpoint_id(busiest)) < 0.5
