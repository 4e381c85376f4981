"""The alert wall in a real browser."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from demo import city
from tests.browser.conftest import Desk, ServerProcess


def card_of(page: Page, plate: str) -> Locator:
    return page.locator("#unsigned .card", has=page.locator(".plate", has_text=plate))


def sign(page: Page, plate: str) -> None:
    """Sign as a person does: once more if the wall took the click for one meant for another card."""
    button = card_of(page, plate).get_by_role("button", name="签收")
    for _ in range(10):
        page.wait_for_timeout(600)  # longer than cards that have moved refuse a click
        if button.is_visible():
            button.click()
        try:
            expect(card_of(page, plate)).to_have_count(0, timeout=3_000)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{plate} cannot be signed")


def test_an_alert_appears_at_once_with_its_pictures_and_reason(
    server: ServerProcess, desk: Desk
) -> None:
    page = desk.wall()
    server.watch("鲁HA0001", reason="stolen", level=1, note="银灰色轿车")
    server.roadside(0).sees("鲁HA0001", lane=2, score=0.987)
    card = card_of(page, "鲁HA0001")
    expect(card).to_be_visible(timeout=5_000)
    expect(card).to_contain_text("被盗抢车辆")
    expect(card).to_contain_text("一级")
    expect(card).to_contain_text("迎宾大道西卡口 · 2 车道")
    expect(card).to_contain_text("98.7%")
    expect(card).to_contain_text("银灰色轿车")
    expect(card).to_have_class(re.compile("fresh"))
    for picture in (".scene img", ".crop img"):
        image = card.locator(picture)
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    assert re.match(r"\(\d+\) 预警墙", page.title())


def test_an_unwatched_vehicle_raises_nothing(server: ServerProcess, desk: Desk) -> None:
    page = desk.wall()
    server.watch("鲁HA0002")
    server.roadside(0).sees("鲁HA0003")
    server.roadside(0).sees("鲁HA0002")
    expect(card_of(page, "鲁HA0002")).to_be_visible()
    expect(card_of(page, "鲁HA0003")).to_have_count(0)


def test_what_somebody_types_survives_the_arrival_of_an_alert(
    server: ServerProcess, desk: Desk
) -> None:
    server.watch("鲁HA0004")
    server.watch("鲁HA0005")
    server.roadside(0).sees("鲁HA0004")
    page = desk.wall("wang")
    badge = card_of(page, "鲁HA0004").locator('[name="badge_number"]')
    badge.press_sequentially("0987")
    server.roadside(1).sees("鲁HA0005")
    expect(card_of(page, "鲁HA0005")).to_be_visible()
    badge.press_sequentially("65")
    expect(badge).to_have_value("098765")
    expect(badge).to_be_focused()


def test_the_first_signature_counts_and_every_wall_shows_whose_it_is(
    server: ServerProcess, sit_down: Callable[..., Desk]
) -> None:
    server.watch("鲁HA0006")
    server.roadside(0).sees("鲁HA0006")
    first, second = sit_down(), sit_down()
    page, other = first.wall("zhang"), second.wall("wang")
    stale = sit_down(java_script_enabled=False)  # a wall that has not heard of the signature
    stale_page = stale.log_in("wang")
    sign(page, "鲁HA0006")
    expect(card_of(other, "鲁HA0006")).to_have_count(0)
    done = other.locator("#handled .done", has_text="鲁HA0006")
    expect(done).to_contain_text("012345 任城区交警大队")
    expect(done).to_contain_text("已签收")
    card = card_of(stale_page, "鲁HA0006")
    card.locator('[name="badge_number"]').fill("099999")
    card.locator('[name="signing_unit"]').fill("指挥中心")
    card.get_by_role("button", name="签收").click()
    expect(stale_page.get_by_role("alert").first).to_contain_text("已被他人签收")
    expect(stale_page.locator("#handled .done", has_text="鲁HA0006")).to_contain_text("012345")


def test_a_filtered_wall_shows_only_what_it_asks_for_and_says_so(
    server: ServerProcess, desk: Desk
) -> None:
    page = desk.log_in()
    page.locator(".filter summary").click()
    page.get_by_label("四级", exact=True).check()
    page.fill("#unit", "任城区交警大队")  # whose officer applies for what is watched here
    page.locator("#filter button").click()
    expect(page.locator("#filtered")).to_be_visible()
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    server.watch("川QF4T51", level=3)
    server.watch("川QF4T52", level=4)
    server.roadside(0).sees("川QF4T51")
    server.roadside(0).sees("川QF4T52")
    expect(card_of(page, "川QF4T52")).to_be_visible()
    expect(card_of(page, "川QF4T51")).to_have_count(0)
    sign(page, "川QF4T52")
    expect(page.locator("#filtered")).to_be_visible()


def test_a_card_says_where_the_plate_was_before(server: ServerProcess, desk: Desk) -> None:
    server.roadside(1).sees("川QF4T61")
    server.watch("川QF4T61")
    server.roadside(0).sees("川QF4T61")
    page = desk.wall()
    place = city.CHECKPOINTS[1].name
    expect(card_of(page, "川QF4T61").locator(".lately")).to_contain_text(place)


def test_an_alert_can_be_signed_with_the_keyboard_alone(server: ServerProcess, desk: Desk) -> None:
    server.watch("鲁HA0008")
    server.roadside(0).sees("鲁HA0008")
    page = desk.wall("wang")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    card = card_of(page, "鲁HA0008")
    badge = card.locator('[name="badge_number"]')
    for _ in range(200):
        if badge.evaluate("input => input === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.type("054321")
    page.keyboard.press("Tab")
    page.keyboard.type("指挥中心")
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)
    expect(page.locator("#handled .done", has_text="鲁HA0008")).to_contain_text("054321 指挥中心")


def test_cards_that_have_just_moved_cannot_be_signed_by_a_misplaced_click(
    server: ServerProcess, desk: Desk
) -> None:
    for plate in ("鲁HA0009", "鲁HA0014"):
        server.watch(plate)
        server.roadside(0).sees(plate)
    page = desk.wall()
    button = card_of(page, "鲁HA0009").get_by_role("button", name="签收")
    expect(button).to_be_visible()
    # a card goes and the rest move up; the click that was under way lands on another one
    prevented = page.evaluate(
        """() => {
            document.querySelector('#unsigned .card').remove();
            document.dispatchEvent(new CustomEvent('htmx:after:swap'));
            const button = document.querySelector('#unsigned .card .sign button');
            const click = new MouseEvent('click', {bubbles: true, cancelable: true, detail: 1});
            button.dispatchEvent(click);
            return click.defaultPrevented;
        }"""
    )
    assert prevented


def test_the_bell_is_silent_until_wanted_and_rings_for_live_alerts_only(
    server: ServerProcess, desk: Desk
) -> None:
    for plate in ("鲁HA0010", "鲁HA0011", "鲁HA0012"):
        server.watch(plate)
    page = desk.wall()
    sound = page.locator("#sound")
    expect(sound).to_have_attribute("data-sound", "off")
    server.roadside(0).sees("鲁HA0010")
    expect(card_of(page, "鲁HA0010")).to_be_visible()
    assert sound.get_attribute("data-rings") is None
    sound.click()
    expect(sound).to_have_attribute("data-sound", "on")
    expect(sound).to_have_attribute("data-rings", "1")  # a sample, so that one knows it works
    server.roadside(0).sees("鲁HA0011", delivery="backlog")
    expect(card_of(page, "鲁HA0011")).to_be_visible()
    server.roadside(0).sees("鲁HA0012")
    expect(card_of(page, "鲁HA0012")).to_be_visible()
    expect(sound).to_have_attribute("data-rings", "2")


def test_a_bell_that_the_browser_holds_back_says_so(server: ServerProcess, desk: Desk) -> None:
    page = desk.wall()
    page.evaluate("localStorage.setItem('kakou.sound', 'on')")
    again = desk.context.new_page()
    again.goto(desk.base_url + "/wall")
    sound = again.locator("#sound")
    expect(sound).to_have_attribute("data-sound", "blocked")
    expect(sound).to_contain_text("点击恢复声音")
    sound.click()
    expect(sound).to_have_attribute("data-sound", "on")


def test_a_wall_that_has_lost_the_server_says_since_when_and_catches_up(
    own_server: ServerProcess, sit_down: Callable[..., Desk]
) -> None:
    own_server.watch("鲁HA0013")
    port = int(own_server.base_url.rsplit(":", 1)[1])
    desk = sit_down(own_server.base_url)
    desk.loses_server = True
    page = desk.wall()
    own_server.kill()
    lost = page.locator("#lost")
    expect(lost).to_be_visible()
    expect(lost).to_have_text(re.compile(r"连接中断.*自 \d\d:\d\d:\d\d 起"))
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    own_server.start(port)
    own_server.roadside(0).sees("鲁HA0013")
    expect(card_of(page, "鲁HA0013")).to_be_visible(timeout=20_000)
    expect(lost).to_be_hidden()
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")


def test_a_line_that_is_open_but_dead_counts_as_lost(server: ServerProcess, desk: Desk) -> None:
    """A stream that neither ends nor says anything: the watchdog of the page finds it."""
    page = desk.wall()
    server.pause()
    try:
        expect(page.locator("#lost")).to_be_visible(timeout=15_000)
    finally:
        server.resume()
    expect(page.locator("#lost")).to_be_hidden(timeout=20_000)


def test_the_wall_is_announced_to_who_cannot_see_it(server: ServerProcess, desk: Desk) -> None:
    page = desk.wall()
    assert page.get_attribute("#unsigned", "aria-live") == "polite"
    assert page.get_attribute("#lost", "role") == "alert"


def test_a_wall_whose_session_has_ended_goes_to_the_login(
    server: ServerProcess, desk: Desk
) -> None:
    page = desk.wall()
    elsewhere = desk.context.new_page()
    elsewhere.goto(desk.base_url + "/passages")
    elsewhere.get_by_role("button", name="退出").click()
    expect(page).to_have_url(re.compile(r"/login\?next=/wall$"), timeout=20_000)
