"""What operators, officers and an approver do together, each at a desk of his own."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import CASE, PASSWORD, Desk, ServerProcess
from tests.browser.roadside import draw_pictures
from tests.browser.test_wall import card_of, sign


@pytest.fixture
def chief(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor, added from the command line once."""
    monkeypatch.setenv("KAKOU_PASSWORD", PASSWORD)
    try:
        server._run("user", "add", "li", "--role", "supervisor")
    except AssertionError as error:
        if "exists already" not in str(error):
            raise


@pytest.fixture
def hasty_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on which an alert is overdue after a second, and whose one receiver is away."""
    process = ServerProcess(tmp_path)
    config = process.config.read_text(encoding="utf-8")
    process.config.write_text(
        config.replace("[alerts]\n", "[alerts]\noverdue_s = 1.0\n")
        + '[notices]\nhosts = ["127.0.0.1:1"]\ntries = 1\n[notices.webhooks.duty]\n'
        'url = "http://127.0.0.1:1/"\nsecret = "0123456789abcdef"\n',
        encoding="utf-8",
    )
    process.start()
    yield process
    process.kill()


def fill_entry(page: Page, plate: str) -> None:
    page.fill("#plate", plate)
    page.select_option("#reason", "wanted")
    page.select_option("#level", "1")
    page.fill("#case_number", CASE)


def step(page: Page, name: str) -> Locator:
    return page.locator("#steps, #queue").get_by_role("button", name=name, exact=True)


def test_an_entry_is_in_force_once_another_has_reviewed_and_a_third_approved_it(
    server: ServerProcess, chief: None, sit_down: Callable[..., Desk]
) -> None:
    plate = "宁EJ7K31"
    his = sit_down().log_in("zhang", "/watchlist/new")
    fill_entry(his, plate)
    his.get_by_role("button", name="提交审核").click()
    expect(his).to_have_url(re.compile(r"/watchlist/\d+$"))
    expect(his.locator("#steps").get_by_role("button", name="审核通过")).to_have_count(0)
    server.roadside(0).sees(plate)
    hers = sit_down().log_in("admin", "/watchlist/queue")
    row = hers.locator("#queue tr", has_text="EJ7K31")
    row.get_by_role("button", name="审核通过").click()
    expect(row).to_contain_text("待审批")
    boss = sit_down().log_in("li", "/watchlist/queue")
    boss.locator("#queue tr", has_text="EJ7K31").get_by_role("button", name="同意").click()
    expect(boss.locator("#queue tr", has_text="EJ7K31")).to_have_count(0)
    his.reload()
    expect(his.locator("header").filter(has_text="布控中").first).to_be_visible()
    assert his.locator("#history li").evaluate_all("all => all.map(one => one.dataset.step)") == [
        "apply", "review", "approve", "activate",
    ]  # fmt: skip
    wall = sit_down().wall("wang")
    expect(card_of(wall, plate)).to_have_count(0)
    server.roadside(0).sees(plate)
    expect(card_of(wall, plate)).to_be_visible(timeout=30_000)
    his.locator("#code").select_option("handled")
    his.locator('[name="note"]').last.fill("已查获")
    step(his, "撤控").click()
    expect(his.locator("header").filter(has_text="已撤控").first).to_be_visible()
    expect(his.locator("#history")).to_contain_text("已查获")


def test_an_alert_goes_from_signature_to_its_end_between_two_operators(
    server: ServerProcess, sit_down: Callable[..., Desk], tmp_path: Path
) -> None:
    """One signs and sends a unit; the other reports with a picture; the first notes it and closes."""
    plate = "宁EJ7K41"
    server.watch(plate, reason="kidnapping", level=1)
    server.roadside(0).sees(plate)
    first, second = sit_down().wall("zhang"), sit_down().wall("wang")
    sign(first, plate)
    tile = first.locator("#handled .done", has_text="EJ7K41")
    tile.get_by_role("link", name="处置").click()
    expect(first.locator(".path [aria-current]")).to_have_text("已签收")
    first.fill("#order_unit", "一大队")
    first.fill("#order", "在迎宾大道东口拦截")
    first.get_by_role("button", name="下达指令").click()
    expect(first.locator("[data-order]")).to_contain_text("一大队")
    second.locator("#handled .done", has_text="EJ7K41").get_by_role("link", name="处置").click()
    photo = tmp_path / "scene.jpg"
    photo.write_bytes(draw_pictures(plate, "small", _now())["scene"])
    second.get_by_label("已拦截", exact=True).check()
    second.fill("#feedback", "车辆已拦停，人员控制")
    second.set_input_files("#pictures", photo)
    second.get_by_role("button", name="提交反馈").click()
    fed_back = second.locator('[data-finding="intercepted"]')
    expect(fed_back).to_contain_text("车辆已拦停")
    image = fed_back.locator("img")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0
    first.reload()
    first.get_by_role("button", name="反馈签收").click()
    first.fill("#outcome", "移交刑警")
    first.get_by_role("button", name="办结").click()
    expect(first.locator("#closed")).to_contain_text("移交刑警")
    expect(first.locator(".act.feedback")).to_have_count(0)
    first.goto(first.url.replace(first.url.split("/", 3)[3], f"alerts?plate={plate}"))
    expect(first.locator("#alerts tbody tr")).to_have_attribute("data-state", "closed")


def test_a_case_takes_the_alert_and_says_what_came_of_it(server: ServerProcess, desk: Desk) -> None:
    plate, case = "宁EJ7K51", "J3708002026110051"
    page = desk.log_in("zhang", "/watchlist/new")
    fill_entry(page, plate)
    page.fill("#case_number", case)
    page.fill("#urgent", "随时可能离市")
    page.get_by_role("button", name="紧急布控").click()
    expect(page.locator("header").filter(has_text="紧急布控中").first).to_be_visible()
    server.roadside(0).sees(plate)
    desk.open(f"/cases?case_number={case}")
    page.select_option("#kind", "clue")
    page.fill("#title", "群众举报线索")
    page.get_by_role("button", name="立卷").click()
    expect(page.locator("h2", has_text="群众举报线索")).to_be_visible()
    desk.open(f"/alerts?plate={plate}")
    page.locator("#alerts").get_by_role("link", name="详情").click()
    page.get_by_role("button", name="关联案件").click()
    expect(page.locator('#attachments [data-kind="alert"]')).to_contain_text(plate)
    page.fill("#suspects", "1")
    page.fill("#loss_yuan", "3500.50")
    page.fill("#outcome_note", "抓获一人")
    page.get_by_role("button", name="登记", exact=True).click()
    expect(page.locator("#outcomes")).to_contain_text("3,500.50")
    desk.open("/cases/figures")
    expect(page.locator('#figures [data-kind="clue"]')).to_contain_text("线索")


def test_what_nobody_signs_rises_and_what_nobody_hears_is_a_dead_letter(
    hasty_server: ServerProcess, chromium: object, sit_down: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("KAKOU_PASSWORD", PASSWORD)
    hasty_server._run("user", "add", "li", "--role", "supervisor")
    page = sit_down(hasty_server.base_url).wall("wang")
    his = sit_down(hasty_server.base_url).log_in("zhang", "/watchlist/new")
    fill_entry(his, "宁EJ7K61")
    his.get_by_label("duty").check()
    his.fill("#urgent", "随时可能离市")
    his.get_by_role("button", name="紧急布控").click()
    expect(his).to_have_url(re.compile(r"/watchlist/\d+$"))
    hasty_server.roadside(0).sees("宁EJ7K61")
    card = card_of(page, "宁EJ7K61")
    expect(card.locator(".late")).to_contain_text("已升级", timeout=30_000)
    boss = sit_down(hasty_server.base_url).log_in("li", "/notices")
    dead = boss.locator('#notices tr[data-state="dead"]').last
    for _ in range(30):
        if dead.count():
            break
        boss.wait_for_timeout(500)
        boss.reload()
    expect(dead).to_contain_text("duty")
    expect(dead).to_contain_text("ConnectError")
    dead.get_by_role("button", name="重新发送").click()
    expect(boss).to_have_url(re.compile("/notices$"))


def test_a_secret_alert_is_on_the_walls_of_those_it_names_alone(
    server: ServerProcess, chief: None, sit_down: Callable[..., Desk]
) -> None:
    named, other = sit_down().wall("li"), sit_down().wall("wang")
    page = sit_down().log_in("zhang", "/watchlist/new")
    fill_entry(page, "宁EJ7K71")
    page.get_by_label("秘密布控", exact=True).check()
    page.fill("#people", "li")
    page.fill("#urgent", "随时可能离市")
    page.get_by_role("button", name="紧急布控").click()
    expect(page).to_have_url(re.compile(r"/watchlist/\d+$"))
    server.watch("宁EJ7K72")
    server.roadside(0).sees("宁EJ7K71")
    server.roadside(0).sees("宁EJ7K72")
    expect(card_of(named, "宁EJ7K71")).to_be_visible(timeout=30_000)
    expect(card_of(other, "宁EJ7K72")).to_be_visible(timeout=30_000)
    expect(card_of(other, "宁EJ7K71")).to_have_count(0)


def _now() -> datetime:
    return datetime.now(UTC)


def test_an_entry_is_tried_before_it_counts(server: ServerProcess, desk: Desk) -> None:
    """The misreads that the tolerance accepts, and the alerts it would have given."""
    server.roadside(0).sees("宁EJ7B81")
    page = desk.log_in("zhang", "/watchlist/new")
    fill_entry(page, "宁EJ7B81")
    expect(page.locator("#tolerance")).to_be_hidden()
    page.get_by_label("模糊", exact=False).check()
    expect(page.locator("#tolerance")).to_be_visible()
    page.get_by_role("button", name="预览").click()
    seen = page.locator("#preview")
    expect(seen.locator(".misreads").first).to_contain_text("宁EJ7881")
    expect(seen.locator("[data-alerts]")).to_have_attribute("data-alerts", re.compile("[1-9]"))
    expect(seen.locator(".samples")).to_contain_text("宁EJ7B81")
    expect(page.locator("#plate")).to_have_value("宁EJ7B81")
    desk.open("/watchlist?plate=宁EJ7B81")
    expect(page.locator("#entries")).to_have_count(0)


def test_a_file_says_row_by_row_what_it_would_change_before_it_does(
    server: ServerProcess, desk: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "entries.csv"
    file.write_text(
        f"plate,reason,level,case_number\n宁EJ7K91,stolen,2,{CASE}\n"
        f"宁EJ7K92,stolen,9,{CASE}\n宁EJ7K9?,stolen,2,{CASE}\n",
        encoding="utf-8",
    )
    page = desk.log_in("zhang", "/watchlist/import")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="试运行").click()
    expect(page.locator("#report")).to_contain_text("将新增 1")
    expect(page.locator('#rows tr[data-outcome="refused"]')).to_have_count(2)
    expect(page.locator("#rows tr", has_text="EJ7K92")).to_contain_text("level")
    page.get_by_role("button", name="导入 1 条").click()
    expect(page.locator("#report")).to_contain_text("已导入：新增 1")
    page.locator("#rows").get_by_role("link", name="宁EJ7K91").click()
    expect(page.locator("header").filter(has_text="待审核").first).to_be_visible()
