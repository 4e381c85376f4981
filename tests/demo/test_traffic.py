"""Laws of the demo's simulated traffic: legal messages, nobody twice, and every name says what it is."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from demo.streets import make_streets
from demo.traffic import SEED, background
from server.wire import Passage

NOW = datetime(2026, 3, 9, 7, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    return background(tmp_path_factory.mktemp("demo") / "none.json", NOW)


def test_every_window_of_time_tells_what_passed_in_it_and_nobody_twice(traffic):
    since = NOW - timedelta(hours=6)
    edges = [since + timedelta(minutes=37) * n for n in range(10)]
    told = [row for a, b in pairwise(edges) for row in traffic.rows(a, b)]
    assert told == traffic.rows(edges[0], edges[-1])
    assert len(told) == len(set(told)) > 100


def test_messages_are_passages_of_the_boxs_own_cameras(traffic):
    cameras = {agent["id"]: set(agent["cameras"]) for agent in traffic.seed["agents"]}
    rows = traffic.rows(NOW - timedelta(hours=3), NOW)[::5]
    ids = set()
    for row in rows:
        passage = Passage.model_validate(traffic.message(row, None))
        assert NOW - timedelta(hours=3) <= passage.captured_at < NOW
        assert passage.camera_id in cameras[traffic.boxes[traffic.box_of(row)].agent_id]
        ids.add(passage.passage_id)
    assert len(ids) == len(rows) > 20


def test_each_camera_has_one_box_and_each_checkpoint_says_that_it_is_simulated(traffic):
    listed = [camera for agent in traffic.seed["agents"] for camera in agent["cameras"]]
    points = traffic.seed["checkpoints"]
    assert sorted(listed) == sorted(c["id"] for p in points for c in p["cameras"])
    assert len(set(listed)) == len(listed)
    assert all("模拟" in p["name"] for p in points)
    assert len({p["name"] for p in points}) == len(points)


def test_a_demo_started_again_goes_on_where_it_was(traffic, tmp_path):
    state = tmp_path / "traffic.json"
    told = NOW - timedelta(minutes=3)
    state.write_text(
        f'{{"start_at": "{traffic.start_at.isoformat()}", "told_until": "{told.isoformat()}"}}',
        encoding="utf-8",
    )
    again = background(state, NOW)
    assert (again.start_at, again.told_until) == (traffic.start_at, told)
    assert again.rows(told, NOW) == traffic.rows(told, NOW)
    assert background(state, NOW + timedelta(days=30)).start_at > again.start_at


def test_the_streets_are_the_same_each_time_and_lead_from_everywhere_to_everywhere():
    city, named = make_streets(SEED)
    assert make_streets(SEED)[1] == named
    reached, ways = {0}, {}
    for a, b in zip(city.link_from.tolist(), city.link_to.tolist(), strict=True):
        ways.setdefault(a, set()).add(b)
    edge = [0]
    while edge:
        new = ways.get(edge.pop(), set()) - reached
        reached |= new
        edge += new
    assert reached == set(range(len(city.east_m)))
