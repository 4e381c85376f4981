"""The section of analyses, between people at their desks."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CASE, Desk, ServerProcess

ZONE = ZoneInfo("Asia/Shanghai")
ME, FRIEND = "鲁HW7K01", "鲁HW7K92"
PATIENCE_MS = 60_000


def local(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")


def state_why(page: Page) -> None:
    page.select_option("#purpose", "criminal_case")
    page.fill("#case_number", CASE)


@pytest.fixture
def driven(server: ServerProcess) -> tuple[datetime, datetime]:
    """Two vehicles behind each other past three checkpoints; gives a period around that."""
    at = datetime.now(UTC) - timedelta(hours=2)
    for n in range(3):
        for plate, delay_s in ((ME, 0), (FRIEND, 7)):
            server.roadside(n).sees(
                plate,
                at=at + timedelta(minutes=15 * n, seconds=delay_s),
                delivery="backlog",
            )
    return at - timedelta(hours=1), at + timedelta(hours=1)


def test_companions_are_asked_for_and_shown_with_pictures(
    server: ServerProcess, driven: tuple[datetime, datetime], sit_down: Callable[..., Desk]
) -> None:
    page = sit_down().log_in("zhang", "/analyses")
    page.locator('a.kind[href="/analyses/companions"]').click()
    page.fill("#plate", ME)
    page.fill("#from", local(driven[0]))
    page.fill("#to", local(driven[1]))
    state_why(page)
    page.locator("#question button.primary").click()
    line = page.locator(f'.finding[data-other="{FRIEND}"]')
    expect(line).to_be_visible(timeout=PATIENCE_MS)
    expect(line.locator(".reasons")).to_contain_text("同过 3 个卡口共")
    expect(line.locator(".strip li")).to_have_count(6)
    expect(line.locator(".strip img").first).not_to_have_js_property(
        "naturalWidth", 0, timeout=PATIENCE_MS
    )


def test_a_collision_has_its_places_each_with_a_time(
    server: ServerProcess, driven: tuple[datetime, datetime], sit_down: Callable[..., Desk]
) -> None:
    from demo import city  # noqa: PLC0415 - the seeded registry

    page = sit_down().log_in("wang", "/analyses/collision")
    for n, place in enumerate(city.CHECKPOINTS[:2], start=1):
        page.fill(f"#where_{n}", place.checkpoint_id)
        page.fill(f"#from_{n}", local(driven[0]))
        page.fill(f"#to_{n}", local(driven[1]))
    state_why(page)
    page.locator("#question button.primary").click()
    expect(page.locator(f'.finding[data-plate="{ME}"]')).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#draw summary").click()
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-map-state", "idle", timeout=PATIENCE_MS)
    page.select_option("#drawn-for", "where_2")
    box = chart.bounding_box()
    assert box is not None
    page.click("[data-tool=circle]")
    chart.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    chart.click(position={"x": box["width"] - 12, "y": box["height"] / 2})
    expect(page.locator("#area-said")).to_contain_text("半径")
    assert re.fullmatch(r"[\d.]+,[\d.]+,\d+", page.locator("#where_2").input_value())
    page.locator("#question button.primary").click()
    expect(page.locator(f'.finding[data-plate="{ME}"]')).to_be_visible(timeout=PATIENCE_MS)
    page.fill("#where_2", "没有的地方")
    page.locator("#question button.primary").click()
    expect(page.locator('#answer [role="alert"]')).to_contain_text("没有的地方")


def test_a_job_is_started_watched_and_opened(
    server: ServerProcess, driven: tuple[datetime, datetime], sit_down: Callable[..., Desk]
) -> None:
    page = sit_down().log_in("zhang", "/analyses/city/companions")
    page.fill("#min_meetings", "1")
    page.fill("#from", local(driven[0]))
    page.fill("#to", local(driven[1]))
    state_why(page)
    page.locator("#question button.primary").click()
    expect(page).to_have_url(re.compile("/analyses/jobs$"))
    newest = page.locator("#jobs tbody tr").first
    expect(newest).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
    newest.locator("a").first.click()
    expect(page.locator("#job")).to_have_attribute("data-state", "done")


def test_the_queue_of_clones_asks_for_a_reason_first(
    server: ServerProcess, sit_down: Callable[..., Desk]
) -> None:
    page = sit_down().log_in("wang", "/clones")
    expect(page.locator(".candidate")).to_have_count(0)
    state_why(page)
    page.locator("#question button.primary").click()
    expect(page.locator("main")).to_contain_text(re.compile("没有此状态的候选|处冲突"))
