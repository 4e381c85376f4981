"""Users, approvals, protected plates and the log's search, between people at their desks."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CASE, PASSWORD, Desk, ServerProcess

FIRST = "first password"


@pytest.fixture
def colleagues(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor and a custodian, added from the command line once."""
    monkeypatch.setenv("KAKOU_PASSWORD", PASSWORD)
    for name, role in (("li", "supervisor"), ("zhou", "custodian")):
        try:
            server._run("user", "add", name, "--role", role)
        except AssertionError as error:
            if "exists already" not in str(error):
                raise


def navigation(page: Page) -> list[str]:
    return page.locator("nav.rail .item span").all_inner_texts()


def test_a_new_user_chooses_his_own_password_first(
    server: ServerProcess, sit_down: Callable[..., Desk]
) -> None:
    page = sit_down().log_in("admin", "/users")
    page.fill("#name", "chen")
    page.fill("#display_name", "陈静")
    page.select_option("#role", "officer")
    page.fill("#password", FIRST)
    page.locator("form[aria-labelledby=add-title]").get_by_role("button").click()
    row = page.locator('[data-user="chen"]')
    expect(row).to_contain_text("须修改密码")
    desk = sit_down()
    hers = desk.open("/login")
    hers.fill("#username", "chen")
    hers.fill("#password", FIRST)
    hers.click(".gate-panel button.primary")
    expect(hers).to_have_url(re.compile("/account$"))
    assert navigation(hers) == []
    for field, text in (("old", FIRST), ("new", PASSWORD), ("again", PASSWORD)):
        hers.fill(f"#{field}", text)
    hers.get_by_role("button", name="修改").click()
    expect(hers).to_have_url(re.compile("/login$"))
    desk.log_in("chen", "/search")
    assert navigation(hers) == [
        "预警墙",
        "预警",
        "过车",
        "车辆查询",
        "研判",
        "布控",
        "卡口",
        "审批",
        "案件",
    ]
    page.reload()
    row.locator("summary").click()
    row.get_by_role("button", name="停用").click()
    expect(row).to_contain_text("停用")
    hers.reload()
    expect(hers).to_have_url(re.compile("/login"))


def test_what_one_asks_for_another_approves(
    colleagues: None, sit_down: Callable[..., Desk]
) -> None:
    his = sit_down().log_in("zhang", "/approvals")
    his.fill("#plate", "鲁HB0900")
    his.fill("#from", "2020-01-01T00:00")
    his.select_option("#purpose", "criminal_case")
    his.fill("#case_number", CASE)
    his.fill("#why", "系列案件并案侦查")
    his.get_by_role("button", name="提交申请").click()
    mine = his.locator("#approvals tbody tr").filter(has_text="鲁HB0900")
    expect(mine).to_contain_text("待审批")
    expect(mine.get_by_role("button", name="同意", exact=True)).to_have_count(0)
    chief = sit_down().log_in("li", "/approvals")
    waiting = chief.locator("#approvals tbody tr").filter(has_text="鲁HB0900")
    waiting.get_by_role("button", name="同意", exact=True).click()
    expect(waiting).to_contain_text("已同意")
    his.reload()
    expect(mine).to_contain_text("已同意")
    expect(mine).to_contain_text("li")


def test_a_protected_plate_is_gone_from_the_page_and_the_seeker_is_named(
    server: ServerProcess, colleagues: None, sit_down: Callable[..., Desk]
) -> None:
    plate = "鲁HB0901"
    server.roadside(0).sees(plate)
    officer = sit_down().log_in("zhang", "/passages")
    expect(officer.locator("main")).to_contain_text("B0901")
    custodian = sit_down().log_in("zhou", "/protected")
    custodian.fill("#plate", plate)
    custodian.fill("#authority", "省厅〔2026〕17号")
    custodian.get_by_role("button", name="加入").click()
    expect(custodian.locator(f'[data-plate="{plate}"]')).to_contain_text("生效中")
    officer.goto(officer.url)
    expect(officer.locator("main")).not_to_contain_text("B0901")
    officer.goto(officer.url.replace("/passages", "/search"))
    officer.fill("#plate", plate)
    officer.select_option("#purpose", "criminal_case")
    officer.fill("#case_number", CASE)
    officer.click(".ask button.primary")
    expect(officer.locator("#answer")).to_contain_text("没有符合条件的过车记录")
    custodian.reload()
    sought = custodian.locator("#records tbody tr").first
    expect(sought).to_contain_text("zhang")
    expect(sought).to_contain_text(plate)
    administrator = sit_down().log_in("admin", "/audit")
    administrator.fill("#plate", plate)
    administrator.get_by_role("button", name="检索").click()
    found = administrator.locator("#records tbody tr")
    expect(found.first).to_contain_text("zhang")
    expect(administrator.locator("#records")).not_to_contain_text("protected")
    cases = sit_down().log_in("zhang", "/cases")
    cases.get_by_role("link", name=CASE).click()
    expect(cases.locator("#records tbody tr").first).to_contain_text(plate)


def test_a_protected_plate_is_in_no_analysis_and_on_no_route_of_an_officer(
    server: ServerProcess, colleagues: None, sit_down: Callable[..., Desk]
) -> None:
    """Neither as somebody's companion, nor beside another plate's route, nor when it is asked for."""
    plate, hidden = "鲁HX47W1", "鲁HX82Y6"
    at = datetime.now(UTC) - timedelta(hours=3)
    for n in range(3):
        for one, delay_s in ((plate, 0), (hidden, 6)):
            seen_at = at + timedelta(minutes=12 * n, seconds=delay_s)
            server.roadside(n).sees(one, at=seen_at, delivery="backlog")
    officer = sit_down().log_in("zhang", "/analyses/companions")

    def companions() -> None:
        officer.goto(server.base_url + "/analyses/companions")
        officer.fill("#plate", plate)
        local = [f"{(at + timedelta(hours=h + 8)):%Y-%m-%dT%H:%M}" for h in (-1, 2)]
        officer.fill("#from", local[0])
        officer.fill("#to", local[1])
        officer.select_option("#purpose", "criminal_case")
        officer.fill("#case_number", CASE)
        officer.locator("#question button.primary").click()

    companions()
    expect(officer.locator(f'.finding[data-other="{hidden}"]')).to_be_visible(timeout=60_000)
    custodian = sit_down().log_in("zhou", "/protected")
    custodian.fill("#plate", hidden)
    custodian.fill("#authority", "省厅〔2026〕18号")
    custodian.get_by_role("button", name="加入").click()
    expect(custodian.locator(f'[data-plate="{hidden}"]')).to_contain_text("生效中")
    companions()
    answered = officer.locator("#answer .answer-head, #answer [data-answer]")
    expect(answered).to_be_visible(timeout=60_000)
    expect(officer.locator("main")).not_to_contain_text(hidden[3:])
    officer.goto(server.base_url + "/search")
    officer.fill("#plate", plate)
    officer.select_option("#purpose", "criminal_case")
    officer.fill("#case_number", CASE)
    officer.click(".ask button.primary")
    expect(officer.locator("#legs tr[data-point]")).to_have_count(3)
    expect(officer.locator("#answer")).not_to_contain_text(hidden[3:])
    officer.fill("#plate", hidden)
    officer.click(".ask button.primary")
    expect(officer.locator("#answer")).to_contain_text("没有符合条件的过车记录")
    expect(officer.locator("#legs")).to_have_count(0)
