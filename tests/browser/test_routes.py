"""A route played back, compared and taken away; a pursuit that renews itself: in a real browser."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from demo import city
from tests.browser.conftest import CASE, Desk, ServerProcess

MAP_MS = 60_000
FIRST, OTHER, HUNTED = "鲁HW41T1", "鲁HW52U2", "鲁HW63V3"


@pytest.fixture(scope="module")
def roads_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that was given the road past the four checkpoints, and saw two vehicles on it."""
    folder = tmp_path_factory.mktemp("routes")
    process = ServerProcess(folder)
    line = [[lon, lat] for lat, lon in (one.lat_lon for one in city.CHECKPOINTS)]
    road = {"type": "Feature", "properties": {"highway": "primary", "oneway": "yes"},
            "geometry": {"type": "LineString", "coordinates": line}}  # fmt: skip
    path = folder / "past-checkpoints.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [road]}), encoding="utf-8")
    process._run("roads", "import", str(path))
    process.start()
    now = datetime.now(UTC)
    for plate, seen in (
        (FIRST, ((0, 12), (2, 9.5), (3, 8))),
        (OTHER, ((0, 11), (1, 9.6), (2, 8.4))),
    ):
        for place, minutes in seen:
            process.roadside(place).sees(plate, at=now - timedelta(minutes=minutes))
    process.roadside(0).sees(HUNTED, at=now - timedelta(seconds=20))
    yield process
    process.kill()


@pytest.fixture
def desk(roads_server: ServerProcess, sit_down: Callable[..., Desk]) -> Desk:
    return sit_down(roads_server.base_url)


def ask(page: Page, plate: str) -> None:
    page.fill("#plate", plate)
    page.select_option("#purpose", "stolen_vehicle")
    page.fill("#case_number", CASE)
    page.click(".ask button")


def test_what_was_not_seen_is_drawn_dotted_and_said_with_its_probability(desk: Desk) -> None:
    page = desk.log_in(next_path="/search")
    ask(page, FIRST)
    expect(page.locator("#legs tr[data-point]")).to_have_count(3)
    unseen = page.locator("#legs tr.inferred")
    expect(unseen).to_have_count(1)
    expect(unseen).to_contain_text(city.CHECKPOINTS[1].name)
    expect(unseen).to_contain_text("未拍到")
    expect(unseen.locator("img")).to_have_count(0)
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-drawn-leg", "1", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-leg-inferred", "1", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-unseen", "1", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-point", "3", timeout=MAP_MS)


def test_a_route_is_played_back_between_its_first_and_last_sighting(desk: Desk) -> None:
    page = desk.log_in(next_path="/search")
    ask(page, FIRST)
    controls = page.locator("#playback")
    expect(controls).to_be_visible(timeout=MAP_MS)
    said = controls.locator("output")
    first = said.get_attribute("data-at")
    page.locator("#playback input").evaluate(
        "slider => { slider.value = slider.max; slider.dispatchEvent(new Event('input')); }"
    )
    expect(said).not_to_have_attribute("data-at", first or "")
    last = said.get_attribute("data-at")
    assert first is not None
    assert last is not None
    played = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    assert played == pytest.approx(timedelta(minutes=4), abs=timedelta(seconds=2))
    page.click("#playback [data-play]")
    expect(said).not_to_have_attribute("data-at", last)


def test_two_plates_lie_side_by_side_with_what_they_share(desk: Desk) -> None:
    page = desk.log_in(next_path="/search")
    ask(page, FIRST)
    page.fill("#other", OTHER)
    page.get_by_role("button", name="对比").click()
    expect(page.locator(".route-columns")).to_contain_text("共同经过 2 个卡口")
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-drawn-other-leg", "2", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-other-point", "3", timeout=MAP_MS)


@pytest.mark.parametrize(("ending", "begins"), [("GPX", b"<?xml"), ("PDF", b"%PDF")])
def test_a_route_is_taken_away_as_a_file(desk: Desk, ending: str, begins: bytes) -> None:
    page = desk.log_in(next_path="/search")
    ask(page, FIRST)
    with page.expect_download() as waiting:
        page.locator(".route-tools").get_by_role("button", name=ending).click()
    taken = Path(waiting.value.path())
    assert taken.read_bytes().startswith(begins)
    assert re.fullmatch(rf"trajectory-[\d-]+\.{ending.lower()}", waiting.value.suggested_filename)


def test_a_pursuit_says_where_it_comes_next_and_where_to_stop_it(
    roads_server: ServerProcess, desk: Desk
) -> None:
    """It renews itself with silence, and at once with a sighting; nobody touches the page."""
    page = desk.log_in(next_path="/pursuit")
    page.fill("#ready_minutes", "1")
    ask(page, HUNTED)
    expect(page.locator("#followed")).to_contain_text(city.CHECKPOINTS[0].name)
    expect(page.locator("#next tbody tr").first).to_contain_text(city.CHECKPOINTS[1].name)
    expect(page.locator("#blocks tbody tr").first).to_contain_text("%")
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-drawn-last", "1", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-next", "1", timeout=MAP_MS)
    silent = page.locator("#followed p").first.inner_text()
    with page.expect_response("**/pursuit/board", timeout=MAP_MS):
        pass
    expect(page.locator("#followed p").first).not_to_have_text(silent, timeout=MAP_MS)
    expect(page.locator("#followed")).to_have_attribute("data-live", "yes")
    roads_server.roadside(1).sees(HUNTED, at=datetime.now(UTC))
    expect(page.locator("#followed p").first).to_contain_text(city.CHECKPOINTS[1].name)
    expect(page.locator("#next tbody tr").first).to_contain_text(city.CHECKPOINTS[2].name)
    assert HUNTED not in page.url


def test_gcj02_goes_there_and_back_within_a_metre_and_leaves_the_rest_of_the_world_alone(
    desk: Desk,
) -> None:
    """One position of the published form's own test suite, too."""
    page = desk.log_in(next_path="/pursuit")
    far = page.evaluate(
        """async () => {
          const { toGcj02, fromGcj02, collectionMoved } = await import("/static/js/datum.js");
          const metres = (a, b) => Math.hypot((a[0] - b[0]) * 111320 * Math.cos(a[1] * Math.PI / 180),
            (a[1] - b[1]) * 110540);
          let back = 0, least = Infinity, most = 0, outside = 0, state = 7;
          const draw = () => { state = (state * 48271) % 2147483647; return state / 2147483647; };
          for (let n = 0; n < 5000; n++) {
            const at = [75 + 58 * draw(), 4 + 48 * draw()];
            const moved = toGcj02(at);
            back = Math.max(back, metres(at, fromGcj02(moved)));
            least = Math.min(least, metres(at, moved));
            most = Math.max(most, metres(at, moved));
            const away = [-180 + 250 * draw(), -90 + 180 * draw()];
            const same = [toGcj02(away), fromGcj02(away)];
            outside = Math.max(outside, ...same.map((one) => metres(away, one)));
          }
          const line = { type: "FeatureCollection", features: [{ type: "Feature", properties: {},
            geometry: { type: "LineString", coordinates: [[116.5, 35.4], [0, 51]] } }] };
          const [first, last] = collectionMoved(line, toGcj02).features[0].geometry.coordinates;
          return { back, least, most, outside, known: toGcj02([121.5272106, 31.1774276]), first, last };
        }"""
    )
    assert far["back"] < 1.0
    assert 5 < far["least"] < far["most"] < 1_500, "some hundred metres everywhere in China"
    assert far["outside"] == 0.0
    assert far["known"] == pytest.approx([121.531541859215, 31.17530398364597], abs=1e-9)
    assert far["last"] == [0, 51]
    assert far["first"] != [116.5, 35.4]
