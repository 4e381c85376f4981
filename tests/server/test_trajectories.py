"""From passages to a route: what it contains, what it says of each leg, how it is drawn."""

import json
import math
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.checkpoints.service import CheckpointPlace
from server.passages.view import PassageView
from server.trajectories.build import (
    EARTH_RADIUS_M,
    RouteRules,
    build_trajectory,
    distance_m,
    judge,
)
from tests.server.conftest import CHECKPOINTS, NOW, PURPOSE, Site, iso, make_passage

PLACES = tuple(
    CheckpointPlace(f"kk-{n}", f"卡口{n}", "", 35.4 + 0.01 * n, 116.5, "", "") for n in range(4)
)
RULES = RouteRules()


def seen(place: int, at_s: float, number: int = 0, score: float = 0.9) -> PassageView:
    at = NOW + timedelta(seconds=at_s)
    return PassageView(
        passage_id=UUID(int=number),
        plate="鲁H12345",
        plate_state="read",
        plate_color="blue",
        plate_kind="small",
        plate_score=score,
        captured_at=at,
        received_at=at,
        checkpoint=PLACES[place],
        camera_id="c",
        agent_id="a",
        direction="unknown",
        lane=None,
        speed_kmh=None,
        vehicle_color="unknown",
        clock_flag="ok",
        clock_offset_ms=None,
        delivery="live",
        characters=(),
        track={},
        models={},
        evidence=(),
        plate_quad_px=None,
        vehicle_box_px=None,
    )


sightings = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4000), st.floats(0, 1)), max_size=25
).map(lambda rows: [seen(p, t, n, s) for n, (p, t, s) in enumerate(rows)])


@given(sightings, st.randoms())
def test_a_route_holds_each_passage_once_in_order_of_time(passages, random) -> None:
    route = build_trajectory("鲁H12345", passages, RULES)
    assert sum(stop.passages for stop in route.stops) == len(passages)
    assert [stop.number for stop in route.stops] == list(range(1, len(route.stops) + 1))
    for start, end in pairwise(route.stops):
        assert start.first_seen_at <= end.first_seen_at
    for vehicle in range(1, route.vehicles + 1):
        own = [stop for stop in route.stops if stop.vehicle == vehicle]
        legs = [leg for leg in route.legs if leg.vehicle == vehicle]
        assert len(legs) == max(0, len(own) - 1)
        for leg, (start, end) in zip(legs, pairwise(own), strict=True):
            assert (leg.from_number, leg.to_number) == (start.number, end.number)
            assert leg.duration_s == (end.first_seen_at - start.last_seen_at).total_seconds()
    conflicts = [leg for leg in route.legs if not leg.vehicle]
    assert all(leg.flag == "impossible" for leg in conflicts)
    assert bool(conflicts) <= (route.vehicles > 1)
    driven = sum(leg.distance_m for leg in route.legs if leg.vehicle)
    assert math.isclose(route.distance_m, driven)
    shuffled = list(passages)
    random.shuffle(shuffled)
    assert build_trajectory("鲁H12345", shuffled, RULES) == route


def test_repeats_at_one_checkpoint_are_one_stop_shown_by_the_best_read() -> None:
    passages = [seen(0, 0, 1, 0.5), seen(0, 25, 2, 0.9), seen(0, 50, 3, 0.7), seen(0, 81, 4)]
    first, second = build_trajectory("x", passages, RULES).stops
    assert (first.passages, first.passage.passage_id) == (3, UUID(int=2))
    assert (first.last_seen_at - first.first_seen_at).total_seconds() == 50
    assert second.passages == 1


def test_back_and_forth_is_three_stops() -> None:
    passages = [seen(0, 0), seen(1, 10, 1), seen(0, 20, 2)]
    assert [s.place.id for s in build_trajectory("x", passages, RULES).stops] == [
        "kk-0", "kk-1", "kk-0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metres", "seconds", "flag"),
    [
        (10_000, 600, "believable"),  # 60 km/h
        (10_000, 320, "fast"),  # 112.5 km/h
        (10_000, 240, "fast"),  # 150 km/h, but the clocks may be 4 s off
        (10_000, 235, "impossible"),  # more than 150 km/h even then
        (10_000, 0, "impossible"),
        (10_000, 4_501, "slow"),  # under 8 km/h
        (400, 0, "believable"),  # too near to judge
        (400, 1, "believable"),
        (0, 3_600, "slow"),  # stood there, or came back
    ],
)
def test_a_leg_is_judged_by_the_least_speed_it_took(metres, seconds, flag) -> None:
    assert judge(metres, seconds, RULES) == flag


@given(st.floats(500, 1e6), st.floats(0, 1e5), st.floats(0, 1e4))
def test_more_time_never_makes_a_leg_less_possible(metres, seconds, more) -> None:
    order = ["impossible", "fast", "believable", "slow"]
    before, after = judge(metres, seconds, RULES), judge(metres, seconds + more, RULES)
    assert order.index(after) >= order.index(before)


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        ((0, 0), (0, 1), EARTH_RADIUS_M * math.pi / 180),
        ((0, 0), (1, 0), EARTH_RADIUS_M * math.pi / 180),
        ((90, 0), (-90, 0), EARTH_RADIUS_M * math.pi),
        ((0, 179.5), (0, -179.5), EARTH_RADIUS_M * math.pi / 180),
        ((35.4, 116.5), (35.4, 116.5), 0),
        # Beijing (Tiananmen) to Shanghai (People's Square), 1067 km
        ((39.9087, 116.3975), (31.2304, 121.4737), 1_067_000),
    ],
)
def test_distances_on_the_globe(a, b, metres) -> None:
    assert distance_m(*a, *b) == pytest.approx(metres, rel=2e-3, abs=1e-6)


positions = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(positions, positions)
def test_distance_is_the_same_both_ways_and_never_longer_than_half_the_globe(a, b) -> None:
    there, back = distance_m(*a, *b), distance_m(*b, *a)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 <= there <= EARTH_RADIUS_M * math.pi + 1e-6


# ---- through the API


@pytest.fixture
def travelled(site: Site) -> Site:
    """West → centre (8 min) → north (5 min), with a repeat and another plate in between."""
    site.outcomes(
        make_passage(captured_at=NOW),
        make_passage(captured_at=NOW + timedelta(seconds=10), camera_id="west-2"),
        make_passage(captured_at=NOW + timedelta(minutes=5), plate="鲁H99999"),
        make_passage(captured_at=NOW + timedelta(minutes=8), camera_id="centre-1"),
        make_passage(captured_at=NOW + timedelta(minutes=13), camera_id="north-1"),
    )
    return site


def test_a_route_is_told_in_stops_and_legs(travelled: Site) -> None:
    route = travelled.as_role("operator").get("/api/v1/trajectories/鲁H12345", **PURPOSE).json()
    assert [s["place"]["id"] for s in route["stops"]] == [place.id for place in CHECKPOINTS]
    assert [s["passages"] for s in route["stops"]] == [2, 1, 1]
    first, second = route["legs"]
    assert first["duration_s"] == 470.0
    assert first["distance_m"] == pytest.approx(8_059, rel=0.01)
    assert first["speed_kmh"] == pytest.approx(61.7, rel=0.01)
    assert (first["flag"], second["flag"]) == ("believable", "believable")
    assert route["distance_m"] == pytest.approx(first["distance_m"] + second["distance_m"])


def test_a_route_is_drawn_as_geojson(travelled: Site) -> None:
    answer = travelled.as_role("operator").get("/api/v1/trajectories/鲁H12345.geojson", **PURPOSE)
    assert answer.headers["content-type"] == "application/geo+json"
    drawn = json.loads(answer.text)
    points = [f for f in drawn["features"] if f["geometry"]["type"] == "Point"]
    lines = [f for f in drawn["features"] if f["geometry"]["type"] == "LineString"]
    assert [p["geometry"]["coordinates"] for p in points] == [[c.lon, c.lat] for c in CHECKPOINTS]
    assert [p["properties"]["number"] for p in points] == [1, 2, 3]
    assert len(lines) == 2
    assert lines[0]["geometry"]["coordinates"][1] == lines[1]["geometry"]["coordinates"][0]


def test_a_route_keeps_to_its_period_and_needs_a_whole_plate(travelled: Site) -> None:
    person = travelled.as_role("operator")
    since = iso(NOW + timedelta(minutes=8))
    route = person.get("/api/v1/trajectories/鲁H12345", since=since, **PURPOSE).json()
    assert [s["place"]["id"] for s in route["stops"]] == ["kk-centre", "kk-north"]
    assert person.get("/api/v1/trajectories/鲁H1234%3F", **PURPOSE).status_code == 422
    assert person.get("/api/v1/trajectories/鲁H*", **PURPOSE).status_code == 422
    nobody = person.get("/api/v1/trajectories/京A00000", **PURPOSE).json()
    assert (nobody["stops"], nobody["legs"], nobody["distance_m"]) == ([], [], 0)


def test_a_route_of_too_many_passages_keeps_the_newest_and_says_so(sqlite_site: Site) -> None:
    rules = sqlite_site.settings.trajectory
    object.__setattr__(rules, "max_sightings", 3)
    sqlite_site.outcomes(*[make_passage(captured_at=NOW + timedelta(minutes=n)) for n in range(5)])
    person = sqlite_site.as_role("operator")
    route = person.get("/api/v1/trajectories/鲁H12345", **PURPOSE).json()
    assert route["truncated"] is True
    assert route["stops"][0]["first_seen_at"] == iso(NOW + timedelta(minutes=2))
