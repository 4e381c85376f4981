"""Pages over a real application, without a browser: what they say, and to whom."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from server.checkpoints.service import AgentView, CameraView, CheckpointPlace, CheckpointView
from server.db import Database
from server.errors import Unavailable
from server.settings import Settings
from server.settings_map import MapSettings
from server.web.lookup_pages import TILES
from server.web.register_pages import checkpoint_row, likely_color
from server.web.wall_pages import MAX_UNSIGNED
from tests.server.conftest import (
    CHECKPOINTS,
    NOW,
    PASSWORD,
    Site,
    SteppingClock,
    jpeg,
    make_passage,
    serving,
)

HTMX = {"HX-Request": "true"}
PAGES = ("/wall", "/alerts", "/statistics", "/passages", "/search", "/watchlist", "/checkpoints")
OFFICERS_PAGES = ("/watchlist/new", "/watchlist/queue", "/cases", "/cases/figures")


@pytest.mark.parametrize("path", [*PAGES, "/audit", "/map/roads.geojson", "/wall/board"])
def test_without_a_session_every_page_leads_to_the_login(sqlite_site: Site, path: str) -> None:
    answer = sqlite_site.client.get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"


def test_a_fragment_without_a_session_is_401_so_that_the_page_reloads(sqlite_site: Site) -> None:
    answer = sqlite_site.client.get("/wall/board", headers=HTMX, follow_redirects=False)
    assert answer.status_code == 401


@pytest.mark.parametrize("role", ["operator", "officer", "administrator"])
@pytest.mark.parametrize("path", PAGES)
def test_everybody_logged_in_sees_the_working_pages(
    sqlite_site: Site, role: str, path: str
) -> None:
    answer = sqlite_site.as_role(role).get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("path", [*PAGES, *OFFICERS_PAGES, "/notices"])
def test_a_page_is_whole_in_every_language(sqlite_site: Site, path: str, language: str) -> None:
    person = sqlite_site.as_role("supervisor")
    person.client.cookies.set("lang", language)
    answer = person.get(path)
    assert answer.status_code == 200
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in answer.text


@pytest.mark.parametrize(
    ("role", "status"), [("operator", 403), ("officer", 403), ("administrator", 200)]
)
def test_the_audit_log_is_for_administrators(sqlite_site: Site, role: str, status: int) -> None:
    assert sqlite_site.as_role(role).get("/audit").status_code == status


def test_pages_show_what_was_stored_on_both_engines(site: Site) -> None:
    scene, crop = jpeg("scene"), jpeg("crop")
    site.put(scene)
    site.put(crop)
    officer = site.as_role("officer")
    officer.watch("鲁H12345", level=1, note="找到即报")
    sent = make_passage(pictures=[scene, crop])
    assert site.outcomes(sent) == ["accepted"]
    assert "找到即报" in officer.get("/wall").text
    assert sent["passage_id"] in officer.get("/passages").text
    detail = officer.get(f"/passages/{sent['passage_id']}").text
    assert detail.count("/evidence/") >= 2
    token = officer.csrf["X-CSRF-Token"]
    answer = officer.client.post(
        "/search",
        data={"csrf_token": token, "plate": "鲁H12345", "purpose": "criminal_case",
              "case_number": "A1"},
    )  # fmt: skip
    assert "西卡口" in answer.text
    assert 'id="legs"' in answer.text


def test_what_comes_from_outside_is_text_and_never_markup(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    officer.watch("鲁H12345", note="<script>alert(1)</script>", case_number="<b>A1</b>")
    sqlite_site.outcomes(make_passage())
    for path in ("/wall", "/watchlist"):
        text = officer.get(path).text
        assert "<script>alert" not in text
        assert "<b>A1" not in text
    token = officer.csrf["X-CSRF-Token"]
    answer = officer.client.post(
        "/search", data={"csrf_token": token, "plate": '"><script>alert(2)</script>'}
    )
    assert "<script>alert" not in answer.text


def test_the_route_in_the_page_cannot_end_its_script_element(sqlite_site: Site) -> None:
    """A checkpoint's name stands in a JSON block; no name may close it."""
    from server.checkpoints.service import put_checkpoint  # noqa: PLC0415 - used here alone

    nasty = CheckpointPlace("kk-west", "</script><script>x", "", 35.4, 116.5, "", "")
    with sqlite_site.context.database.write() as session:
        put_checkpoint(session, nasty, NOW)
    assert "</script><script>x" not in sqlite_site.as_role("operator").get("/checkpoints").text


def test_many_alerts_are_counted_even_if_not_all_are_shown(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    plates = [f"鲁HA{n:04}" for n in range(MAX_UNSIGNED + 7)]
    for n, plate in enumerate(plates):
        officer.watch(plate, level=1 + n % 4)
    sqlite_site.outcomes(*(make_passage(plate=plate) for plate in plates))
    text = officer.get("/wall").text
    assert text.count('class="card ') == MAX_UNSIGNED
    assert f'data-count="new">{MAX_UNSIGNED + 7}<' in text
    assert "另有 7 条" in text
    by_level = [int(n) for n in re.findall(r'data-count="level-\d">(\d+)<', text)]
    assert by_level == [17, 17, 17, 16]


def test_no_flood_of_lesser_alerts_pushes_a_grave_one_off_the_wall(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    officer.watch("鲁HB0001", level=1)
    sqlite_site.outcomes(make_passage(plate="鲁HB0001"))
    lesser = [f"鲁HA{n:04}" for n in range(MAX_UNSIGNED + 1)]
    for plate in lesser:
        officer.watch(plate, level=4)
    sqlite_site.outcomes(*(make_passage(plate=plate) for plate in lesser))
    levels = re.findall(r'data-level="(\d)"', officer.get("/wall").text)
    assert levels == ["1"] + ["4"] * (MAX_UNSIGNED - 1)


def test_an_alert_nobody_signs_is_counted_overdue(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    officer.watch("鲁H12345")
    sqlite_site.outcomes(make_passage())
    assert 'data-count="overdue">0<' in officer.get("/wall").text
    assert 'class="late"' not in officer.get("/wall").text
    sqlite_site.clock.advance(sqlite_site.settings.alerts.overdue_s + 1)
    assert 'data-count="overdue">1<' in officer.get("/wall").text
    assert 'class="late"' in officer.get("/wall").text


def test_signing_without_badge_or_unit_is_refused_and_said(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    officer.watch("鲁H12345")
    sqlite_site.outcomes(make_passage())
    (alert,) = officer.alerts()
    token = officer.csrf["X-CSRF-Token"]
    answer = officer.client.post(
        f"/alerts/{alert['id']}/sign",
        data={"csrf_token": token, "badge_number": " ", "signing_unit": "指挥中心"},
        headers=HTMX,
    )
    assert "警号：填写有误" in answer.text
    assert officer.alerts()[0]["state"] == "new"


@pytest.mark.parametrize("path", ["/alerts/1/sign", "/alerts/1/close", "/watchlist", "/search",
                                  "/watchlist/1/steps", "/feedback/1", "/cases/outcomes", "/logout"])  # fmt: skip
def test_a_post_without_the_pages_token_is_refused(sqlite_site: Site, path: str) -> None:
    officer = sqlite_site.as_role("officer")
    answer = officer.client.post(path, data={"plate": "鲁H12345"}, follow_redirects=False)
    assert answer.status_code == 403
    assert "页面已过期" in answer.text


def test_a_page_of_passages_leads_to_the_one_before(sqlite_site: Site) -> None:
    passages = [
        make_passage(plate=f"鲁HB{n:04}", captured_at=NOW - timedelta(seconds=n))
        for n in range(TILES + 3)
    ]
    sqlite_site.outcomes(*passages)
    person = sqlite_site.as_role("operator")
    first = person.get("/passages").text
    assert first.count("data-passage=") == TILES
    (older,) = re.findall(r'href="(/passages\?[^"]*cursor=[^"]*)"', first)
    second = person.client.get(older.replace("&amp;", "&")).text
    assert second.count("data-passage=") == 3


def test_looking_far_back_without_a_purpose_is_refused_and_said(sqlite_site: Site) -> None:
    text = sqlite_site.as_role("operator").get("/passages", **{"from": "2026-01-01T00:00"}).text
    assert "无查询事由时仅可浏览最近 24 小时" in text


def test_times_are_shown_in_local_time_and_kept_exact_beside(sqlite_site: Site) -> None:
    sent = make_passage()
    sqlite_site.outcomes(sent)
    text = sqlite_site.as_role("operator").get(f"/passages/{sent['passage_id']}").text
    assert '<time datetime="2026-11-22T10:15:00.000Z">2026-11-22 18:15:00</time>' in text


def test_too_many_failed_logins_are_said_on_the_page(sqlite_site: Site) -> None:
    form = {"username": "officer", "password": "wrong"}
    for _ in range(sqlite_site.settings.sessions.max_failures):
        answer = sqlite_site.client.post("/login", data=form)
        assert answer.status_code == 401
        assert "用户名或密码错误" in answer.text
    answer = sqlite_site.client.post("/login", data=form | {"password": PASSWORD})
    assert answer.status_code == 429
    assert "失败次数过多" in answer.text


def test_static_files_are_kept_only_under_an_address_that_names_their_content(
    sqlite_site: Site,
) -> None:
    page = sqlite_site.client.get("/login").text
    (hashed,) = re.findall(r'href="(/static/css/tokens\.css\?v=[0-9a-f]+)"', page)
    assert "immutable" in sqlite_site.client.get(hashed).headers["cache-control"]
    plain = sqlite_site.client.get("/static/js/map.js")
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.headers["content-type"].startswith("text/javascript")
    module = sqlite_site.client.get("/static/vendor/maplibre-gl/maplibre-gl-worker.mjs")
    assert module.headers["content-type"].startswith("text/javascript")


def test_tiles_come_from_the_one_host_that_the_settings_name(
    sqlite_settings: Settings, clock: SteppingClock
) -> None:
    """Scripts and everything else stay with this server; the page knows the datum of the tiles."""
    url = "https://tiles.example:8443/{z}/{x}/{y}.png"
    chosen = MapSettings(tiles_url=url, tiles_datum="gcj02")
    with serving(sqlite_settings.model_copy(update={"map": chosen}), clock) as site:
        page = site.as_role("operator").client.get("/checkpoints")
        policy = page.headers["content-security-policy"]
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert parts["connect-src"] == "'self' https://tiles.example:8443"
        assert "tiles.example" not in policy.replace(parts["connect-src"], "")
        assert f'data-tiles="{url}" data-datum="gcj02"' in page.text
    for bad in ("javascript:{z}{x}{y}", "https://a; script-src *", "https://a/{z}.png"):
        with pytest.raises(ValidationError):
            MapSettings(tiles_url=bad)


def test_no_file_outside_the_static_folder_is_served(sqlite_site: Site) -> None:
    for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py"):
        assert sqlite_site.client.get(path).status_code == 404


# ---- pure decisions


def _checkpoint(**camera: Any) -> CheckpointView:
    view = CameraView("c1", "", None, None, None, None, None, None, ("box",))
    values = {name: getattr(view, name) for name in CameraView.__slots__} | camera
    return CheckpointView(CHECKPOINTS[0], (CameraView(**values),), None)


def _agent(heartbeat_at: datetime | None, **heartbeat: Any) -> AgentView:
    said = {"queue_passages": 0, "dead_letters": 0} | heartbeat if heartbeat_at else None
    return AgentView("box", "", heartbeat_at, said, ("c1",))


@pytest.mark.parametrize(
    ("agents", "camera", "state"),
    [
        ([], {}, "never"),
        ([_agent(None)], {}, "never"),
        ([_agent(NOW - timedelta(seconds=20))], {"connected": True}, "online"),
        ([_agent(NOW - timedelta(seconds=91))], {"connected": True}, "late"),
        ([_agent(NOW)], {"connected": False}, "faulty"),
        ([_agent(NOW, alarms=["hot"])], {"connected": True}, "alarmed"),
        ([_agent(NOW)], {"connected": True, "fault": "no signal"}, "faulty"),
        # silence outweighs what was said before it
        ([_agent(NOW - timedelta(hours=1))], {"fault": "no signal"}, "late"),
        # somebody else's agent says nothing about this checkpoint
        ([AgentView("other", "", NOW, None, ())], {}, "never"),
    ],
)
def test_a_checkpoint_is_judged_by_the_last_word_of_its_agents(
    agents: list[AgentView], camera: dict[str, Any], state: str
) -> None:
    assert checkpoint_row(_checkpoint(**camera), agents, NOW).state == state


def test_what_agents_still_hold_is_added_up() -> None:
    row = checkpoint_row(_checkpoint(), [_agent(NOW, queue_passages=7, dead_letters=2)], NOW)
    assert (row.queue, row.dead_letters) == (7, 2)
    assert checkpoint_row(_checkpoint(), [], NOW).queue is None


def test_a_box_is_shown_as_far_as_its_agent_tells() -> None:
    """Older agents say less; that is shown as less, not as zero."""
    (old,) = checkpoint_row(_checkpoint(), [_agent(NOW)], NOW).boxes
    assert (old.alarms, old.temperature_c, old.disk_free_share) == ((), None, None)
    said = {"alarms": ["hot"], "temperature_c": 91.0, "disk_free_bytes": 1, "disk_total_bytes": 4}
    (box,) = checkpoint_row(_checkpoint(), [_agent(NOW, **said)], NOW).boxes
    assert (box.alarms, box.temperature_c, box.disk_free_share) == (("hot",), 91.0, 0.25)


@pytest.mark.parametrize(
    ("plate", "color"),
    [
        ("鲁H12345", "blue"),
        ("鲁HD12345", "green"),
        ("鲁H12345D", "yellow_green"),
        ("鲁H1234挂", "yellow"),
        ("鲁H1234警", "white"),
        ("粤Z1234港", "black"),
        ("ABC", "other"),
    ],
)
def test_the_usual_ground_of_a_plate(plate: str, color: str) -> None:
    assert likely_color(plate) == color


def test_identifiers_in_addresses_are_checked(sqlite_site: Site) -> None:
    person = sqlite_site.as_role("operator")
    assert person.get("/passages/not-a-uuid").status_code in {404, 422}
    assert person.get(f"/passages/{UUID(int=0)}").status_code == 404


def test_a_defect_is_a_page_that_gives_nothing_away(
    sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret detail")

    person = sqlite_site.as_role("operator")
    monkeypatch.setattr("server.web.watchlist_pages.list_entries", broken)
    answer = person.get("/watchlist")
    assert answer.status_code == 500
    assert "出错了" in answer.text
    assert "secret detail" not in answer.text
    assert "ZeroDivisionError" not in answer.text


def test_a_database_that_is_away_is_said_on_a_page_that_does_not_need_it(
    sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Database) -> None:
        raise Unavailable("the database is locked or away", retry_after_s=2)

    person = sqlite_site.as_role("operator")
    monkeypatch.setattr(Database, "read", away)
    answer = person.get("/wall")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "服务器繁忙" in answer.text


def test_a_page_that_was_left_open_too_long_asks_for_the_login_and_comes_back(
    sqlite_site: Site,
) -> None:
    person = sqlite_site.as_role("operator")
    sqlite_site.clock.advance(sqlite_site.settings.sessions.lifetime_s + 1)
    answer = person.client.get("/passages", follow_redirects=False)
    assert answer.headers["location"] == "/login?next=/passages"
