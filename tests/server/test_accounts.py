"""Who gets in, who may do what, and that each page's POST was meant."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from server.auth.accounts import Role, disable_user, set_password
from server.auth.agents import revoke_tokens
from tests.server.conftest import NOW, PASSWORD, PURPOSE, Site, jpeg, make_passage, sha256

RIGHT = {"name": "operator", "password": PASSWORD}


def fresh(site: Site) -> TestClient:
    return TestClient(site.app, raise_server_exceptions=False)


def test_a_role_covers_itself_and_the_ones_before_it() -> None:
    roles = list(Role)
    for i, role in enumerate(roles):
        assert [role.covers(other) for other in roles] == [j <= i for j in range(len(roles))]


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
    person = site.as_role("operator")
    site.clock.advance(site.settings.sessions.lifetime_s - 1)
    assert person.get("/api/v1/session").status_code == 200
    site.clock.advance(1)
    assert person.get("/api/v1/session").status_code == 401


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


# ---- the matrix: every route that is not open, with everybody

OPEN = {"/health/live", "/health/ready", "/api/v1/login", "/api/v1/openapi.json"}
AGENTS = {
    ("PUT", "/api/v1/evidence/{sha256}"),
    ("POST", "/api/v1/passages"),
    ("POST", "/api/v1/heartbeats"),
}
OFFICERS = {("POST", "/api/v1/watchlist"), ("POST", "/api/v1/watchlist/{entry_id}/withdraw")}
ADMINISTRATORS = {("GET", "/api/v1/audit")}
FILLED = {"{sha256}": sha256(jpeg()), "{passage_id}": "0" * 8 + "-0000-7000-8000-" + "0" * 12}
FILLED |= {"{alert_id}": "1", "{entry_id}": "1", "{plate}": "鲁H12345"}


def api_routes(site: Site) -> list[tuple[str, str]]:
    paths = site.client.get("/api/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if path not in OPEN
    ]


def call(client: TestClient, method: str, path: str, headers: dict[str, str]) -> int:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return client.request(method, path, headers=headers, params=PURPOSE).status_code


def test_every_route_is_closed_to_strangers_and_open_to_whom_it_is_for(sqlite_site: Site) -> None:
    """A stranger gets 401 everywhere; 403 exactly where the role does not suffice.

    The alert stream is left out of the calls that would be let in: it has no end.
    """
    site = sqlite_site
    people = {role.value: site.as_role(role.value) for role in Role}
    stranger = fresh(site)
    routes = api_routes(site)
    assert {"/api/v1/passages", "/api/v1/alerts/stream", "/evidence/{sha256}"} <= {
        path for _, path in routes
    }
    for method, path in routes:
        assert call(stranger, method, path, {}) == 401, (method, path)
        for_agents = (method, path) in AGENTS
        if not for_agents:
            assert call(stranger, method, path, site.bearer) == 401, (method, path, "agent")
        if path.endswith(("/stream", "/logout")):
            continue
        for role, person in people.items():
            status = call(person.client, method, path, person.csrf)
            needed = Role.OPERATOR
            if (method, path) in OFFICERS:
                needed = Role.OFFICER
            elif (method, path) in ADMINISTRATORS:
                needed = Role.ADMINISTRATOR
            if for_agents:
                assert status == 401, (method, path, role)
            elif Role(role).covers(needed):
                assert status not in {401, 403, 500}, (method, path, role, status)
            else:
                assert status == 403, (method, path, role)


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
