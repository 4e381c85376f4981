"""Log-in, search and route, passages, checkpoints, watchlist, audit: in a real browser."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import CASE, PASSWORD, Desk, ServerProcess

MAP_MS = 30_000
"""A software renderer on a busy machine takes its time."""


def ask(page: Page, plate: str) -> None:
    page.fill("#plate", plate)
    page.select_option("#purpose", "stolen_vehicle")
    page.fill("#case_number", CASE)
    page.click(".ask button")


def drive(server: ServerProcess, plate: str, places: tuple[int, ...], every_s: float = 180) -> None:
    """A vehicle passes these checkpoints, the last one just now."""
    now = datetime.now(UTC)
    for n, place in enumerate(places):
        at = now - timedelta(seconds=every_s * (len(places) - 1 - n))
        server.roadside(place).sees(plate, at=at)


def test_nobody_enters_without_the_right_password(server: ServerProcess, desk: Desk) -> None:
    page = desk.open("/search")
    expect(page).to_have_url(re.compile(r"/login\?next=/search$"))
    page.fill("#username", "zhang")
    page.fill("#password", "not the password")
    page.click(".gate-panel button.primary")
    expect(page.get_by_role("alert")).to_have_text("用户名或密码错误")
    page.fill("#password", PASSWORD)
    page.click(".gate-panel button.primary")
    expect(page).to_have_url(desk.base_url + "/search")
    expect(page.locator(".who")).to_contain_text("张伟")
    page.get_by_role("button", name="退出").click()
    expect(page).to_have_url(re.compile("/login"))
    desk.open("/passages")
    expect(page).to_have_url(re.compile("/login"))


def test_a_login_never_leads_to_another_site(server: ServerProcess, desk: Desk) -> None:
    page = desk.open("/login?next=https://elsewhere.example/")
    page.fill("#username", "zhang")
    page.fill("#password", PASSWORD)
    page.click(".gate-panel button.primary")
    expect(page).to_have_url(desk.base_url + "/wall")


def test_the_route_of_a_plate_is_drawn_and_listed(server: ServerProcess, desk: Desk) -> None:
    drive(server, "苏EK4T17", (0, 1, 2, 3))
    page = desk.log_in(next_path="/search")
    ask(page, "苏EK4T17")
    rows = page.locator("#legs tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("迎宾大道西卡口")
    expect(rows.nth(3)).to_contain_text("北二路北卡口")
    expect(rows.nth(1)).to_contain_text("03:00")
    expect(rows.nth(1)).to_contain_text(re.compile(r"\d km/h"))
    expect(rows.nth(1).locator("img")).to_have_count(2)
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-map-state", "idle", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-leg", "3", timeout=MAP_MS)
    expect(chart).to_have_attribute("data-drawn-point", "4")
    rows.nth(2).focus()
    page.keyboard.press("Enter")
    expect(rows.nth(2)).to_have_class(re.compile("chosen"))


def test_a_second_search_draws_the_second_route(server: ServerProcess, desk: Desk) -> None:
    drive(server, "湘F92M6W", (0, 1))
    drive(server, "津R07J83", (3, 2, 1))
    page = desk.log_in(next_path="/search")
    ask(page, "湘F92M6W")
    expect(page.locator("#map")).to_have_attribute("data-drawn-leg", "1", timeout=MAP_MS)
    ask(page, "津R07J83")
    expect(page.locator("#map")).to_have_attribute("data-drawn-leg", "2", timeout=MAP_MS)
    expect(page.locator("#legs tbody tr")).to_have_count(3)


def test_an_impossible_leg_is_said_so(server: ServerProcess, desk: Desk) -> None:
    drive(server, "云DV315P", (0, 3), every_s=10)
    page = desk.log_in(next_path="/search")
    ask(page, "云DV315P")
    expect(page.locator("#legs tbody tr").nth(1)).to_contain_text("不可能")


def test_without_purpose_and_case_nothing_is_answered(server: ServerProcess, desk: Desk) -> None:
    drive(server, "吉B6Y920", (0, 1))
    page = desk.log_in(next_path="/search")
    page.evaluate("document.querySelector('.ask').noValidate = true")
    page.fill("#plate", "吉B6Y920")
    page.click(".ask button")
    expect(page.locator("#answer [role=alert]")).to_have_text("请填写查询事由和案件编号。")
    expect(page.locator("#legs")).to_have_count(0)


def test_wildcards_list_the_plates_and_lead_to_a_route(server: ServerProcess, desk: Desk) -> None:
    drive(server, "鲁HC7771", (0, 1))
    drive(server, "鲁HC7772", (1, 2))
    drive(server, "鲁HC8881", (2,))
    page = desk.log_in(next_path="/search")
    ask(page, "鲁HC777?")
    answer = page.locator("#answer")
    expect(answer.locator("tbody tr")).to_have_count(2)
    expect(answer).not_to_contain_text("鲁HC8881")
    expect(answer.locator(".tile")).to_have_count(4)
    answer.locator("tbody tr", has_text="鲁HC7772").get_by_role("button", name="行车轨迹").click()
    expect(page.locator("#legs tbody tr")).to_have_count(2)
    expect(page.locator("#map")).to_have_attribute("data-drawn-leg", "1", timeout=MAP_MS)


def test_no_plate_stands_in_an_address(server: ServerProcess, desk: Desk) -> None:
    drive(server, "桂CN84H1", (0, 1))
    page = desk.log_in(next_path="/search")
    ask(page, "桂CN84H1")
    page.locator("#legs tbody a", has_text="迎宾大道西卡口").click()
    page.get_by_role("link", name="查询该车轨迹").click()
    expect(page.locator("#plate")).to_have_value("桂CN84H1")
    ask(page, "桂CN84H1")
    expect(page.locator("#legs tbody tr")).to_have_count(2)
    assert not any("HB0006" in url for url in desk.requested)


def test_every_search_stands_in_the_audit_log(
    server: ServerProcess, sit_down: Callable[..., Desk]
) -> None:
    drive(server, "晋L2U376", (0, 1))
    page = sit_down().log_in("wang", "/search")
    ask(page, "晋L2U376")
    expect(page.locator("#legs")).to_be_visible()
    log = sit_down().log_in("admin", "/audit")
    row = log.locator("#records tr", has_text="晋L2U376").first
    expect(row).to_contain_text("wang")
    expect(row).to_contain_text("被盗抢车辆")
    expect(row).to_contain_text(CASE)


def test_the_audit_log_is_for_administrators(server: ServerProcess, desk: Desk) -> None:
    page = desk.log_in("zhang")
    expect(page.locator(".rail")).not_to_contain_text("审计")
    desk.open("/audit")
    expect(page.get_by_role("alert")).to_contain_text("无权访问")


def test_passages_keep_coming_and_can_be_filtered(server: ServerProcess, desk: Desk) -> None:
    server.roadside(0).sees("鲁HD0001")
    page = desk.log_in(next_path="/passages")
    expect(page.locator(".tile", has_text="鲁HD0001")).to_be_visible()
    server.roadside(1).sees("", color="unknown", kind="unknown")
    server.roadside(1).sees("鲁HD0002")
    expect(page.locator(".tile", has_text="鲁HD0002")).to_be_visible(timeout=10_000)
    expect(page.locator(".tile", has_text="未识别").first).to_be_visible()
    page.select_option("#checkpoint", "kk-renmin")
    expect(page.locator(".tile", has_text="鲁HD0001")).to_have_count(0)
    expect(page.locator(".tile", has_text="鲁HD0002")).to_be_visible()


def test_a_passage_shows_every_character_with_its_score(server: ServerProcess, desk: Desk) -> None:
    passage_id = server.roadside(0).sees("鲁HD0003", score=0.987)
    page = desk.log_in()
    desk.open(f"/passages/{passage_id}")
    characters = page.locator(".characters li")
    expect(characters).to_have_count(7)
    expect(characters.nth(4)).to_have_class("weak")
    expect(characters.nth(4)).to_contain_text("84.7%")
    expect(characters.nth(4)).to_contain_text("B 3.0%")
    assert page.locator(".pictures .scene img").evaluate("i => i.naturalWidth") == 1280
    page.get_by_text("原始数据").click()
    expect(page.locator(".raw pre")).to_contain_text(str(passage_id))


def test_checkpoints_are_drawn_with_the_state_of_their_agents(
    server: ServerProcess, desk: Desk
) -> None:
    server.roadside(0).beats(queue_passages=7)
    server.roadside(1).beats(fault="connection refused")
    page = desk.log_in(next_path="/checkpoints")
    expect(page.locator("#map")).to_have_attribute("data-drawn-checkpoint", "4", timeout=MAP_MS)
    west = page.locator('tr[data-checkpoint="kk-west"]')
    expect(west).to_contain_text("在线")
    expect(west).to_contain_text("12.5 fps")
    expect(west.locator("td").nth(3)).to_have_text("7")
    expect(page.locator('tr[data-checkpoint="kk-renmin"]')).to_contain_text("connection refused")
    expect(page.locator('tr[data-checkpoint="kk-north"]')).to_contain_text("未接入")
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-tones", re.compile("kk-west:ok"))
    expect(chart).not_to_have_attribute("data-tones", re.compile("kk-north:ok"))
    server.roadside(3).beats()
    expect(page.locator('tr[data-checkpoint="kk-north"]')).to_contain_text(
        "在线", timeout=20_000
    )  # the table renews itself
    expect(chart).to_have_attribute("data-tones", re.compile("kk-north:ok"))


def test_a_wrong_entry_is_refused_at_its_field(server: ServerProcess, desk: Desk) -> None:
    page = desk.log_in(next_path="/watchlist/new")
    page.fill("#plate", "鲁HE000?")
    page.fill("#case_number", CASE)
    page.get_by_role("button", name="提交审核").click()
    expect(page.locator("#plate-error")).to_contain_text("号牌")
    expect(page.locator("#plate")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#plate")).to_have_value("鲁HE000?")


def test_an_operator_reads_the_watchlist_and_cannot_change_it(
    server: ServerProcess, desk: Desk
) -> None:
    page = desk.log_in("wang", "/watchlist")
    expect(page.get_by_role("link", name="新增布控")).to_have_count(0)
    token = page.locator('[name="csrf_token"]').first.get_attribute("value")
    answer = desk.context.request.post(
        desk.base_url + "/watchlist",
        form={"csrf_token": token or "", "plate": "鲁HE0002", "reason": "stolen", "level": "1",
              "case_number": CASE},
    )  # fmt: skip
    assert answer.status == 403


def test_a_post_from_elsewhere_is_refused(server: ServerProcess, desk: Desk) -> None:
    desk.log_in("zhang")
    answer = desk.context.request.post(
        desk.base_url + "/watchlist", form={"plate": "鲁HE0003", "reason": "stolen"}
    )
    assert answer.status == 403


def test_the_language_is_chosen_and_kept(server: ServerProcess, desk: Desk) -> None:
    drive(server, "琼A19S5F", (0, 1))
    page = desk.log_in(next_path="/search")
    assert page.get_attribute("html", "lang") == "zh-CN"
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Vehicle search")
    ask(page, "琼A19S5F")
    expect(page.locator("#legs tbody tr").nth(0)).to_contain_text("Yingbin Avenue West")
    desk.open("/checkpoints")
    assert page.get_attribute("html", "lang") == "en"
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_have_text("卡口")


def test_pages_work_without_scripts(server: ServerProcess, sit_down: Callable[..., Desk]) -> None:
    drive(server, "陕G7X402", (0, 1))
    server.watch("陕G7X402")
    server.roadside(2).sees("陕G7X402")
    desk = sit_down(java_script_enabled=False)
    page = desk.log_in()
    card = page.locator("#unsigned .card", has_text="陕G7X402")
    card.get_by_role("button", name="签收").click()
    expect(page.locator("#handled .done", has_text="陕G7X402")).to_contain_text("012345")
    desk.open("/search")
    ask(page, "陕G7X402")
    expect(page.locator("#legs tbody tr")).to_have_count(3)
    desk.open("/passages?checkpoint=kk-west")
    expect(page.locator(".tile").first).to_be_visible()


def test_a_browser_without_webgl_is_told_to_read_the_table(
    server: ServerProcess, desk: Desk
) -> None:
    desk.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    drive(server, "黑M53Q8Z", (0, 1))
    page = desk.log_in(next_path="/search")
    ask(page, "黑M53Q8Z")
    expect(page.locator("[data-map-fallback]")).to_be_visible()
    expect(page.locator("#map")).to_have_attribute("data-map-state", "failed")
    expect(page.locator("#legs tbody tr")).to_have_count(2)


def test_what_does_not_exist_is_a_page_and_not_a_trace(server: ServerProcess, desk: Desk) -> None:
    page = desk.log_in()
    for path in ("/nothing", "/passages/00000000-0000-7000-8000-000000000000"):
        response = page.goto(desk.base_url + path)
        assert response is not None
        assert response.status == 404
        expect(page.get_by_role("alert")).to_contain_text("页面不存在")


def test_the_policy_forbids_inline_scripts_and_other_sites(server: ServerProcess) -> None:
    answer = httpx.get(server.base_url + "/login", trust_env=False)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "http" not in policy


def test_an_area_drawn_on_the_map_bounds_the_story(server: ServerProcess, desk: Desk) -> None:
    """A circle around the first checkpoint holds its passage and not the other's."""
    drive(server, "皖KW7Y31", (0, 2), every_s=60)
    page = desk.log_in(next_path="/story")
    chart = page.locator("#map")
    expect(chart).to_have_attribute("data-map-state", "idle", timeout=MAP_MS)
    local = datetime.now(UTC) + timedelta(hours=8)
    page.fill("#from", f"{local - timedelta(minutes=30):%Y-%m-%dT%H:%M}")
    page.fill("#to", f"{local + timedelta(minutes=30):%Y-%m-%dT%H:%M}")
    page.fill("#plate", "皖KW7Y31")
    page.select_option("#purpose", "lost_property")
    page.fill("#case_number", CASE)
    page.click(".actions button")
    expect(page.locator("[data-passage]")).to_have_count(2)
    page.click("[data-tool=polygon]")
    box = chart.bounding_box()
    assert box is not None
    corner = (box["width"] - 8, 70)  # a sliver of the map without any checkpoint
    for x, y in (corner, (corner[0], corner[1] + 40), (corner[0] - 25, corner[1] + 20)):
        chart.click(position={"x": x, "y": y})
    page.keyboard.press("Enter")
    expect(page.locator("#area-said")).to_contain_text("3 个角点")
    assert len(page.locator("#polygon").input_value().split()) == 3
    page.click(".actions button")
    expect(page.locator("#answer .empty")).to_contain_text("没有符合条件")
    page.click("[data-tool=clear]")
    page.click("[data-tool=circle]")
    middle = {"x": box["width"] / 2, "y": box["height"] / 2}
    chart.click(position=middle)
    chart.click(position={"x": middle["x"] + box["width"] / 2 - 12, "y": middle["y"]})
    expect(page.locator("#area-said")).to_contain_text("半径")
    page.click(".actions button")
    expect(page.locator("[data-passage]").first).to_be_visible()
    with page.expect_download() as saved:
        page.click(".export button[formaction$=csv]")
    assert saved.value.suggested_filename.endswith(".csv")
