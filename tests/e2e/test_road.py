"""From recorded frames to passages, alert and route, with both processes killed on the way."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import Recorded
from tests.e2e.road import PURPOSE, Road, lay_out, twice, wait_for

STEP_S = 20.0
"""Recorded time between two frames of a camera."""
PACE_S = 0.25 / STEP_S
"""Real time for a second of recorded time."""
WATCHED = -3
"""Which of the recorded plates is on the watchlist: an easy one, for this is about delivery."""


@pytest.fixture
def road(tmp_path: Path, recorded: Recorded, morning: Callable[[int], datetime]) -> Iterator[Road]:
    """All frames pass the first checkpoint; all but the watched plate's pass the second, later."""
    later = [f for f in recorded.frames if f != recorded.frames[WATCHED]]
    cameras = {
        "first-cam": lay_out(recorded.frames, tmp_path / "first", morning(0), STEP_S),
        "second-cam": lay_out(later, tmp_path / "second", morning(4), STEP_S),
    }
    road = Road(tmp_path / "road", cameras, watched=[recorded.plates[WATCHED]])
    road.build(pace_s=PACE_S)
    yield road
    road.end()


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_is_stored_twice(road: Road, recorded: Recorded) -> None:
    """Agent and server are killed with -9, the server stays away, and the books still balance."""
    expected = road.replayed()
    read = {plate for _, _, plate in expected}
    assert len(read & set(recorded.plates)) >= 0.8 * len(recorded.plates), "reader too weak to test"
    assert recorded.plates[WATCHED] in read

    road.start_server()
    road.start_agent()
    road.wait_until_stored(3)
    road.agent.kill()

    road.start_agent()
    road.wait_until_stored(8)
    road.server.kill()
    wait_for(lambda: "not delivered, kept" in road.story(), 60, road.story)
    road.agent.kill()

    road.start_agent()  # works through more of the recording while there is no server
    assert road.agent.wait(6) is None, road.story()
    road.start_server()
    road.wait_until_stored(12)
    road.server.kill()
    road.start_server()
    assert road.agent.wait(180) == 0, road.story()

    stored = road.stored()
    assert twice(stored) == []
    assert sorted(stored) == expected, "lost or invented"


@pytest.mark.timeout(300)
def test_a_watched_plate_raises_one_alert_and_a_plate_seen_twice_has_a_route(
    road: Road, recorded: Recorded
) -> None:
    road.start_server()
    road.start_agent()
    assert road.agent.wait(200) == 0, road.story()

    alerts = road.ask("/api/v1/alerts")["alerts"]
    assert [a["plate"] for a in alerts] == [recorded.plates[WATCHED]]

    seen = [(camera, plate) for camera, _, plate in road.stored()]
    traveller = next(
        p for p in recorded.plates if {("first-cam", p), ("second-cam", p)} <= set(seen)
    )
    route = road.ask(f"/api/v1/trajectories/{traveller}", **PURPOSE)
    assert [s["place"]["id"] for s in route["stops"]] == ["kk-0", "kk-1"]
    (leg,) = route["legs"]
    assert leg["distance_m"] == pytest.approx(2224, rel=0.01)  # 0.02 degrees of latitude
    assert leg["duration_s"] > 0
    assert leg["speed_kmh"] == pytest.approx(3.6 * leg["distance_m"] / leg["duration_s"], rel=0.01)
