"""Users are kept by administrators, log in slowly when they guess, and ask no faster than allowed."""

import contextlib
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from server import audit
from server.auth.accounts import disable_user
from server.auth.limits import RateLimiter
from server.errors import Conflict, TooManyRequests
from tests.server.conftest import NOW, PASSWORD, Site, serving

NEW = {"name": "li", "password": "first password", "role": "officer", "display_name": "李强"}


def log_in(site: Site, name: str, password: str, address: str = "testclient") -> TestClient:
    client = TestClient(site.app, raise_server_exceptions=False, client=(address, 50000))
    client.last = client.post("/api/v1/login", json={"name": name, "password": password})
    if client.last.status_code == 200:
        client.headers["X-CSRF-Token"] = client.last.json()["csrf_token"]
    return client


def test_a_password_that_somebody_else_set_is_changed_first(site: Site) -> None:
    """Nothing else is answered before; and what an administrator knew is worth nothing after."""
    administrator = site.as_role("administrator")
    assert administrator.post("/api/v1/users", NEW).status_code == 201
    client = log_in(site, "li", "first password")
    assert client.last.json()["must_change_password"] is True
    for path in ("/api/v1/passages", "/api/v1/alerts", "/api/v1/checkpoints", "/api/v1/cases"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "password_stale"), path
    page = client.get("/wall", follow_redirects=False)
    assert page.headers["location"] == "/account"
    body = {"old": "first password", "new": "my own password"}
    for wrong, field in (
        (body | {"old": "guess"}, "old"),
        (body | {"new": "first password"}, "new"),
        (body | {"new": "short"}, "new"),
    ):
        assert client.post("/api/v1/account/password", json=wrong).json()["field"] == field
    assert client.post("/api/v1/account/password", json=body).status_code == 204
    assert client.get("/api/v1/session").status_code == 401, "all his sessions have ended"
    assert log_in(site, "li", "first password").last.status_code == 401
    assert log_in(site, "li", "my own password").get("/api/v1/alerts").status_code == 200


def test_what_an_administrator_does_to_a_user_holds_at_once_and_is_on_the_log(site: Site) -> None:
    administrator = site.as_role("administrator")
    administrator.post("/api/v1/users", NEW)
    with site.context.database.write() as session:
        session.execute(text("UPDATE user_account SET must_change_password = false"))

    def act(verb: str, body: dict | None = None) -> int:
        return administrator.post(f"/api/v1/users/li/{verb}", body or {}).status_code

    his = log_in(site, "li", "first password")
    assert act("role", {"role": "supervisor"}) == 204
    assert his.get("/api/v1/session").status_code == 401
    his = log_in(site, "li", "first password")
    assert his.last.json()["role"] == "supervisor"
    assert act("end-sessions") == 204
    assert his.get("/api/v1/session").status_code == 401
    assert act("disable") == 204
    assert log_in(site, "li", "first password").last.status_code == 401
    assert act("enable") == 204
    assert act("password", {"password": "another password"}) == 204
    assert log_in(site, "li", "another password").last.json()["must_change_password"] is True
    assert act("areas", {"area_ids": []}) == 204
    assert act("areas", {"area_ids": ["nowhere"]}) == 404
    assert act("areas", {"area_ids": None}) == 204
    (view,) = [u for u in administrator.get("/api/v1/users").json() if u["name"] == "li"]
    assert (view["role"], view["disabled_at"], view["area_ids"]) == ("supervisor", None, None)
    with site.context.database.read() as session:
        log = [r for r in audit.recent(session) if r.detail.get("subject") == "li"]
    assert {r.user_name for r in log} == {"administrator"}
    assert [r.action for r in reversed(log)] == [
        "user.add", "user.role", "user.end_sessions", "user.disable", "user.enable",
        "user.password", "user.areas", "user.areas",
    ]  # fmt: skip


def test_the_last_administrator_cannot_be_lost(sqlite_site: Site) -> None:
    """Neither by himself nor by a slip of another's."""
    administrator = sqlite_site.as_role("administrator")
    for verb, body in (
        ("role", {"role": "operator"}),
        ("disable", {}),
        ("password", {"password": "x" * 9}),
    ):
        answer = administrator.post(f"/api/v1/users/administrator/{verb}", body)
        assert answer.status_code == 409, verb
    with (
        pytest.raises(Conflict, match="last administrator"),
        sqlite_site.context.database.write() as session,
    ):
        disable_user(session, "administrator", NOW)


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": ""}, "name"),
        ({"password": "short"}, "password"),
        ({"name": "password1", "password": "Password1"}, "password"),
        ({"role": "king"}, "role"),
        ({"display_name": "a\u0000b"}, "display_name"),
        ({"name": "officer"}, "name"),
        ({"area_ids": ["none"]}, "area"),
        ({"more": 1}, "more"),
    ],
)
def test_a_user_that_cannot_be_is_refused_with_the_field(
    sqlite_site: Site, override, field
) -> None:
    answer = sqlite_site.as_role("administrator").post("/api/v1/users", NEW | override)
    assert 400 <= answer.status_code < 500
    assert answer.json()["field"] == field
    assert "password" not in override or override["password"] not in answer.text


def test_guessing_is_slow_from_one_address_and_from_many(sqlite_settings, clock) -> None:
    """One address and one name: five; one name from anywhere, one address for any name: later."""
    sessions = sqlite_settings.sessions.model_copy(
        update={"max_failures_per_name": 8, "max_failures_per_address": 10}
    )
    with serving(sqlite_settings.model_copy(update={"sessions": sessions}), clock) as site:
        for n in range(8):
            assert log_in(site, "officer", "no", f"10.0.0.{n}").last.status_code == 401
        right = log_in(site, "officer", PASSWORD, "10.0.0.99").last
        assert right.status_code == 429, "a right password does not tell itself by another answer"
        for n in range(10):
            assert log_in(site, f"name-{n}", "no", "10.1.1.1").last.status_code == 401
        assert log_in(site, "operator", PASSWORD, "10.1.1.1").last.status_code == 429
        assert log_in(site, "operator", PASSWORD, "10.2.2.2").last.status_code == 200
        clock.advance(sessions.failure_window_s + 1)
        assert log_in(site, "officer", PASSWORD, "10.0.0.99").last.status_code == 200


@pytest.mark.parametrize(
    ("passwords", "let_in"), [("administrators", {"administrator"}), ("nobody", set())]
)
def test_passwords_can_be_left_to_administrators_or_nobody(
    sqlite_settings, clock, passwords, let_in
) -> None:
    sessions = sqlite_settings.sessions.model_copy(update={"passwords": passwords})
    with serving(sqlite_settings.model_copy(update={"sessions": sessions}), clock) as site:
        names = {"operator", "officer", "supervisor", "custodian", "administrator"}
        inside = {n for n in names if log_in(site, n, PASSWORD).last.status_code == 200}
        assert inside == let_in
        assert ('type="password"' in site.client.get("/login").text) == (passwords != "nobody")


def test_one_person_asks_no_faster_than_allowed(sqlite_settings, clock) -> None:
    limits = sqlite_settings.limits.model_copy(update={"requests_per_minute": 30})
    with serving(sqlite_settings.model_copy(update={"limits": limits}), clock) as site:
        hasty, other = site.as_role("operator"), site.as_role("officer")
        statuses = [hasty.get("/api/v1/session").status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        refused = hasty.get("/api/v1/session")
        assert (refused.json()["code"], refused.headers["retry-after"]) == (
            "too_many_requests",
            "2",
        )
        assert other.get("/api/v1/session").status_code == 200
        clock.advance(2)
        assert hasty.get("/api/v1/session").status_code == 200


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 100))
def test_no_pace_lets_more_through_than_the_bucket_and_what_flows_in(gaps, per_minute) -> None:
    limiter, now, let_in, elapsed = RateLimiter(per_minute), NOW, 0, 0.0
    for gap in gaps:
        now, elapsed = now + timedelta(seconds=gap), elapsed + gap
        with contextlib.suppress(TooManyRequests):
            limiter.take("he", now)
            let_in += 1
        assert let_in <= per_minute + elapsed * per_minute / 60 + 1e-6
    RateLimiter(0).take("he", now)


@pytest.mark.parametrize("site_of_sender", ["cross-site", "same-site"])
def test_another_sites_page_cannot_even_log_somebody_in(sqlite_site: Site, site_of_sender) -> None:
    """A log-in has no session whose token could be asked for; the browser says who sends it."""
    right = {"name": "operator", "password": PASSWORD}
    headers = {"Sec-Fetch-Site": site_of_sender}
    answer = sqlite_site.client.post("/api/v1/login", json=right, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    page = sqlite_site.client.post("/login", data=right, headers=headers)
    assert page.status_code == 403
    own = {"Sec-Fetch-Site": "same-origin"}
    assert sqlite_site.client.post("/api/v1/login", json=right, headers=own).status_code == 200


def test_over_tls_browsers_are_told_to_stay_there(sqlite_site: Site) -> None:
    secure = TestClient(sqlite_site.app, base_url="https://kakou.test")
    assert secure.get("/login").headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in sqlite_site.client.get("/login").headers
