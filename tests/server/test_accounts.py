"""Who gets in, who may do what, and that each page's POST was meant."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from server.auth.accounts import Role, disable_user, set_password
from server.auth.agents import revoke_tokens
from tests.server.conftest import NOW, PASSWORD, Site, make_passage

RIGHT = {"name": "operator", "password": PASSWORD}


def fresh(site: Site) -> TestClient:
    return TestClient(site.app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("role", "covered"),
    [
        (Role.OPERATOR, {Role.OPERATOR}),
        (Role.OFFICER, {Role.OPERATOR, Role.OFFICER}),
        (Role.SUPERVISOR, {Role.OPERATOR, Role.OFFICER, Role.SUPERVISOR}),
        (Role.CUSTODIAN, {Role.OPERATOR, Role.OFFICER, Role.CUSTODIAN}),
        (Role.ADMINISTRATOR, set(Role) - {Role.CUSTODIAN}),
    ],
)
def test_what_a_role_covers(role: Role, covered: set[Role]) -> None:
    """An administrator is no custodian: who keeps the users does not see protected plates."""
    assert {other for other in Role if role.covers(other)} == covered


def test_the_right_password_opens_a_session_and_the_log_out_ends_it(site: Site) -> None:
    client = fresh(site)
    opened = client.post("/api/v1/login", json=RIGHT)
    assert opened.status_code == 200
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert client.get("/api/v1/session").json()["role"] == "operator"
    token = client.cookies["kakou_session"]
    out = client.post("/api/v1/logout", headers={"X-CSRF-Token": opened.json()["csrf_token"]})
    assert out.status_code == 204
    client.cookies.set("kakou_session", token)
    assert client.get("/api/v1/session").status_code == 401


def test_over_tls_the_cookie_is_secure(sqlite_site: Site) -> None:
    client = TestClient(sqlite_site.app, base_url="https://kakou.test")
    cookie = client.post("/api/v1/login", json=RIGHT).headers["set-cookie"]
    assert "secure" in cookie.lower()


@pytest.mark.parametrize(
    "credentials",
    [
        {"name": "operator", "password": "wrong"},
        {"name": "nobody", "password": PASSWORD},
        {"name": "operator", "password": ""},
        {"name": "operator' OR 1=1 --", "password": PASSWORD},
    ],
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    sqlite_site: Site, credentials
) -> None:
    answer = fresh(sqlite_site).post("/api/v1/login", json=credentials)
    assert (answer.status_code, answer.json()["detail"]) == (401, "name or password is wrong")


def test_neither_password_nor_token_is_stored(sqlite_site: Site) -> None:
    client = fresh(sqlite_site)
    client.post("/api/v1/login", json=RIGHT)
    database = (sqlite_site.settings.data_dir / "kakou.sqlite3").read_bytes()
    wal = (sqlite_site.settings.data_dir / "kakou.sqlite3-wal").read_bytes()
    for secret in (PASSWORD, client.cookies["kakou_session"], sqlite_site.token):
        assert secret.encode() not in database + wal


def test_too_many_failures_close_the_door_for_a_while(site: Site) -> None:
    client = fresh(site)
    for _ in range(5):
        assert client.post("/api/v1/login", json=RIGHT | {"password": "no"}).status_code == 401
    throttled = client.post("/api/v1/login", json=RIGHT)
    assert throttled.status_code == 429
    assert int(throttled.headers["retry-after"]) == 900
    other = client.post("/api/v1/login", json={"name": "officer", "password": PASSWORD})
    assert other.status_code == 200, "another name from there is not shut out"
    site.clock.advance(901)
    assert client.post("/api/v1/login", json=RIGHT).status_code == 200


def test_a_session_ends_by_itself(site: Site) -> None:
    """However diligently it is used."""
    person = site.as_role("operator")
    step = site.settings.sessions.idle_s - 1
    for _ in range(site.settings.sessions.lifetime_s // step):
        site.clock.advance(step)
        assert person.get("/api/v1/session").status_code == 200
    site.clock.advance(step)
    assert person.get("/api/v1/session").status_code == 401


def test_a_session_that_nobody_uses_ends(site: Site) -> None:
    """Use is noted to the minute, so a session may end up to a minute before its idle time."""
    person = site.as_role("operator")
    site.clock.advance(site.settings.sessions.idle_s - 1)
    assert person.get("/api/v1/session").status_code == 200
    site.clock.advance(site.settings.sessions.idle_s)
    assert person.get("/api/v1/session").status_code == 401


def test_a_wall_is_watched_without_a_hand_being_moved(sqlite_site: Site) -> None:
    """But nothing is looked up or signed from it, and its own life does not keep a session up."""
    person = sqlite_site.as_role("operator")
    for _ in range(4):
        sqlite_site.clock.advance(sqlite_site.settings.sessions.idle_s)
        assert person.client.get("/wall", follow_redirects=False).status_code == 200
    assert person.get("/api/v1/passages").status_code == 401
    assert person.post("/api/v1/alerts/1/sign").status_code == 401
    sqlite_site.clock.advance(sqlite_site.settings.sessions.lifetime_s)
    assert person.client.get("/wall", follow_redirects=False).status_code == 303


def test_a_disabled_user_is_out_at_once(site: Site) -> None:
    person = site.as_role("officer")
    with site.context.database.write() as session:
        disable_user(session, "officer", NOW)
    assert person.get("/api/v1/session").status_code == 401
    answer = fresh(site).post("/api/v1/login", json={"name": "officer", "password": PASSWORD})
    assert answer.status_code == 401


def test_another_password_ends_the_sessions_opened_with_the_old_one(site: Site) -> None:
    person = site.as_role("officer")
    with site.context.database.write() as session:
        set_password(session, "officer", PASSWORD)
    assert person.get("/api/v1/session").status_code == 200, "the same password changes nothing"
    with site.context.database.write() as session:
        set_password(session, "officer", "another horse")
    assert person.get("/api/v1/session").status_code == 401


def test_a_revoked_token_is_worth_nothing(site: Site) -> None:
    assert site.outcomes(make_passage()) == ["accepted"]
    with site.context.database.write() as session:
        assert revoke_tokens(session, "box", NOW) == 1
    assert site.post(make_passage()).status_code == 401


def test_a_post_without_the_sessions_own_token_changes_nothing(site: Site) -> None:
    mine, hers = site.as_role("officer"), site.as_role("officer")
    body = {"plate": "鲁H12345", "reason": "stolen", "level": 1, "case_number": "A1"}
    for headers in ({}, {"X-CSRF-Token": "x"}, hers.csrf):
        answer = mine.client.post("/api/v1/watchlist", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert site.count("watchlist_entry") == 0


def test_every_answer_carries_the_security_headers(sqlite_site: Site) -> None:
    for path in ("/health/live", "/api/v1/session", "/nowhere", "/api/v1/nowhere"):
        headers = sqlite_site.client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_ready_says_whether_the_schema_is_ours(sqlite_site: Site) -> None:
    assert sqlite_site.client.get("/health/ready").status_code == 200
    with sqlite_site.context.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert sqlite_site.client.get("/health/ready").status_code == 503
    assert sqlite_site.client.get("/health/live").status_code == 200
