"""Every route with everybody: who is let in is written down here, and nowhere is anybody else.

The routes are the application's own, pages and programs' alike. A new one that does not stand in
:data:`LET_IN` fails the test: who may use it is decided here before it is used.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from server.auth.accounts import Role
from tests.server.conftest import PURPOSE, Site, jpeg, sha256

ALL = frozenset(Role)
OPEN, AGENT, NEAR = "everybody", "an agent", "an address"
OPERATOR = ALL
OFFICER = frozenset(role for role in Role if role.covers(Role.OFFICER))
SUPERVISOR = frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR})
CUSTODIAN = frozenset({Role.CUSTODIAN})
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})

LET_IN: dict[str, Any] = {
    # without a log-in: signs of life, the log-in itself, the description of the programs' routes
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    # numbers without plates or names, for the addresses that [metrics] names
    "GET /metrics": NEAR,
    "GET /api/v1/openapi.json": OPEN,
    "POST /api/v1/login": OPEN,
    "GET /": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "GET /login/oidc": OPEN,
    "GET /login/oidc/return": OPEN,
    "POST /language": OPEN,
    "MOUNT /static": OPEN,
    # agents, by their tokens
    "PUT /api/v1/evidence/{sha256}": AGENT,
    "POST /api/v1/passages": AGENT,
    "POST /api/v1/heartbeats": AGENT,
    "GET /api/v1/agent/watchlist": AGENT,
    # people: everybody with a role
    "GET /api/v1/session": OPERATOR,
    "POST /api/v1/logout": OPERATOR,
    "POST /api/v1/account/password": OPERATOR,
    "GET /api/v1/passages": OPERATOR,
    "GET /api/v1/passages/{passage_id}": OPERATOR,
    "GET /api/v1/plates": OPERATOR,
    "GET /evidence/{sha256}": OPERATOR,
    "GET /evidence/{sha256}/thumbnail": OPERATOR,
    "GET /api/v1/exports/passages.{ending}": OFFICER,
    "GET /api/v1/exports/evidence.pdf": OFFICER,
    "GET /api/v1/trajectories/{plate}.geojson": OPERATOR,
    "GET /api/v1/trajectories/{plate}": OPERATOR,
    "GET /api/v1/trajectories/{plate}/pursuit": OPERATOR,
    "GET /api/v1/exports/trajectory.{ending}": OFFICER,
    "POST /export/trajectory.{ending}": OFFICER,
    "GET /pursuit": OPERATOR,
    "POST /pursuit": OPERATOR,
    "POST /pursuit/board": OPERATOR,
    "POST /pursuit/stream": OPERATOR,
    "GET /api/v1/watchlist": OPERATOR,
    "GET /api/v1/alerts": OPERATOR,
    "GET /api/v1/alerts/stream": OPERATOR,
    "GET /api/v1/alerts/{alert_id}": OPERATOR,
    "POST /api/v1/alerts/{alert_id}/sign": OPERATOR,
    "POST /api/v1/alerts/{alert_id}/dispatch": OPERATOR,
    "POST /api/v1/alerts/{alert_id}/feedback": OPERATOR,
    "POST /api/v1/alerts/{alert_id}/feedback/sign": OPERATOR,
    "POST /api/v1/feedback/{alert_id}": OPERATOR,
    "POST /api/v1/alerts/{alert_id}/close": OPERATOR,
    "GET /api/v1/alerts/{alert_id}/pictures/{picture_id}": OPERATOR,
    "GET /api/v1/alerts/statistics": OPERATOR,
    "GET /api/v1/checkpoints": OPERATOR,
    "GET /api/v1/agents": OPERATOR,
    "GET /api/v1/approvals": OPERATOR,
    "POST /api/v1/approvals": OPERATOR,
    "POST /logout": OPERATOR,
    "GET /wall": OPERATOR,
    "GET /wall/board": OPERATOR,
    "POST /alerts/{alert_id}/sign": OPERATOR,
    "POST /alerts/{alert_id}/dispatch": OPERATOR,
    "POST /feedback/{alert_id}": OPERATOR,
    "POST /alerts/{alert_id}/feedback/sign": OPERATOR,
    "POST /alerts/{alert_id}/close": OPERATOR,
    "GET /alerts": OPERATOR,
    "GET /alerts/{alert_id}": OPERATOR,
    "GET /statistics": OPERATOR,
    "GET /passages": OPERATOR,
    "GET /passages/tiles": OPERATOR,
    "GET /passages/{passage_id}": OPERATOR,
    "GET /search": OPERATOR,
    "POST /search": OPERATOR,
    "GET /story": OPERATOR,
    "POST /story": OPERATOR,
    "POST /export/passages.{ending}": OFFICER,
    "POST /export/evidence.pdf": OFFICER,
    "GET /watchlist": OPERATOR,
    "GET /checkpoints": OPERATOR,
    "GET /map/roads.geojson": OPERATOR,
    "GET /approvals": OPERATOR,
    "POST /approvals": OPERATOR,
    "GET /account": OPERATOR,
    "POST /account": OPERATOR,
    "POST /api/v1/analyses": OPERATOR,
    "GET /api/v1/analyses/clones": OPERATOR,
    "POST /api/v1/analyses/clones/{candidate_id}/decision": OPERATOR,
    "GET /analyses": OPERATOR,
    "GET /analyses/{kind}": OPERATOR,
    "POST /analyses/{kind}": OPERATOR,
    "GET /clones": OPERATOR,
    "POST /clones": OPERATOR,
    "POST /clones/{candidate_id}": OPERATOR,
    # officers: what reaches into other people's lives
    "GET /api/v1/analyses/jobs": OFFICER,
    "POST /api/v1/analyses/jobs": OFFICER,
    "GET /api/v1/analyses/jobs/{job_id}": OFFICER,
    "POST /api/v1/analyses/jobs/{job_id}/cancel": OFFICER,
    "POST /api/v1/vehicles": OFFICER,
    "GET /analyses/jobs": OFFICER,
    "GET /analyses/jobs/{job_id}": OFFICER,
    "POST /analyses/jobs/{job_id}/cancel": OFFICER,
    "GET /analyses/city/{kind}": OFFICER,
    "POST /analyses/city/{kind}": OFFICER,
    "GET /vehicles": OFFICER,
    "POST /vehicles": OFFICER,
    "POST /api/v1/watchlist": OFFICER,
    "GET /api/v1/watchlist/{entry_id}": OPERATOR,
    "POST /api/v1/watchlist/preview": OFFICER,
    "GET /api/v1/watchlist/{entry_id}/preview": OFFICER,
    "POST /api/v1/watchlist/import": OFFICER,
    "GET /api/v1/watchlist/export.{ending}": OFFICER,
    "PUT /api/v1/watchlist/{entry_id}": OFFICER,
    "POST /api/v1/watchlist/{entry_id}/review": OFFICER,
    "POST /api/v1/watchlist/{entry_id}/approve": SUPERVISOR,
    "POST /api/v1/watchlist/{entry_id}/refuse": OFFICER,
    "POST /api/v1/watchlist/{entry_id}/activate": OFFICER,
    "POST /api/v1/watchlist/{entry_id}/urge": OFFICER,
    "POST /api/v1/watchlist/{entry_id}/extend": SUPERVISOR,
    "POST /api/v1/watchlist/{entry_id}/withdraw": OFFICER,
    "GET /api/v1/cases": OFFICER,
    "GET /api/v1/cases/log": OFFICER,
    "POST /api/v1/cases/members": OFFICER,
    "POST /watchlist": OFFICER,
    "GET /watchlist/{entry_id}": OPERATOR,
    "POST /watchlist/{entry_id}": OFFICER,
    "GET /watchlist/{entry_id}/edit": OFFICER,
    "POST /watchlist/{entry_id}/steps": OFFICER,
    "GET /watchlist/new": OFFICER,
    "GET /watchlist/queue": OFFICER,
    "GET /watchlist/import": OFFICER,
    "POST /watchlist/import": OFFICER,
    "GET /cases": OFFICER,
    "POST /cases/members": OFFICER,
    "POST /cases/files": OFFICER,
    "POST /cases/attachments": OFFICER,
    "POST /cases/outcomes": OFFICER,
    "GET /cases/figures": OFFICER,
    "GET /cases/figures.csv": OFFICER,
    "GET /api/v1/cases/contents": OFFICER,
    "POST /api/v1/cases/files": OFFICER,
    "POST /api/v1/cases/attachments": OFFICER,
    "POST /api/v1/cases/outcomes": OFFICER,
    "GET /api/v1/cases/figures": OFFICER,
    # who approves
    "POST /api/v1/approvals/{approval_id}/decision": SUPERVISOR,
    "POST /approvals/{approval_id}": SUPERVISOR,
    # who sees to it that others are told
    "GET /notices": SUPERVISOR,
    "POST /notices/{notice_id}/requeue": SUPERVISOR,
    "GET /api/v1/notices": SUPERVISOR,
    "POST /api/v1/notices/{notice_id}/requeue": SUPERVISOR,
    # who keeps the protected plates
    "GET /api/v1/protected-plates": CUSTODIAN,
    "POST /api/v1/protected-plates": CUSTODIAN,
    "POST /api/v1/protected-plates/{entry_id}/lift": CUSTODIAN,
    "GET /api/v1/protected-plates/sought": CUSTODIAN,
    "GET /protected": CUSTODIAN,
    "POST /protected": CUSTODIAN,
    "POST /protected/{entry_id}/lift": CUSTODIAN,
    # who keeps the users and reads the log
    "GET /api/v1/audit": ADMINISTRATOR,
    "GET /api/v1/users": ADMINISTRATOR,
    "POST /api/v1/users": ADMINISTRATOR,
    "POST /api/v1/users/{name}/role": ADMINISTRATOR,
    "POST /api/v1/users/{name}/areas": ADMINISTRATOR,
    "POST /api/v1/users/{name}/password": ADMINISTRATOR,
    "POST /api/v1/users/{name}/disable": ADMINISTRATOR,
    "POST /api/v1/users/{name}/enable": ADMINISTRATOR,
    "POST /api/v1/users/{name}/end-sessions": ADMINISTRATOR,
    "GET /api/v1/areas": ADMINISTRATOR,
    "PUT /api/v1/areas/{area_id}": ADMINISTRATOR,
    "GET /audit": ADMINISTRATOR,
    "POST /audit": ADMINISTRATOR,
    "GET /users": ADMINISTRATOR,
    "POST /users": ADMINISTRATOR,
    "POST /users/{name}": ADMINISTRATOR,
}

FILLED = {
    "{sha256}": sha256(jpeg()),
    "{passage_id}": "00000000-0000-7000-8000-000000000000",
    "{alert_id}": "999",
    "{picture_id}": "999",
    "{notice_id}": "999",
    "{entry_id}": "999",
    "{approval_id}": "999",
    "{plate}": "鲁H12345",
    "{name}": "nobody",
    "{area_id}": "nowhere",
    "{ending}": "csv",
    "{candidate_id}": "999",
    "{job_id}": "999",
    "{kind}": "companions",
}
ENDLESS = "/api/v1/alerts/stream"
LOG_IN = {"POST /login", "GET /login/oidc/return"}
"""What answers a stranger, and answers 401 to whoever does not show who he is."""
LOG_OUTS = {"POST /api/v1/logout", "POST /logout"}


def routes(site: Site) -> Iterator[str]:
    for route in iter_route_contexts(site.app.routes):
        if route.methods is None:
            yield f"MOUNT {route.path}"
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield f"{method} {route.path}"


def call(client: TestClient, route: str, headers: dict[str, str]) -> int:
    """The status of a request with nothing in its body; a page's redirect to the log-in is 401."""
    method, _, path = route.partition(" ")
    for name, value in FILLED.items():
        path = path.replace(name, value)
    assert "{" not in path, f"{route}: say in FILLED what stands for its parameter"
    answer = client.request(method, path, headers=headers, params=PURPOSE, follow_redirects=False)
    to_log_in = answer.headers.get("location", "").startswith("/login?next=")
    return 401 if answer.status_code == 303 and to_log_in else answer.status_code


def test_every_route_stands_in_the_table_and_every_entry_is_a_route(sqlite_site: Site) -> None:
    assert sorted(routes(sqlite_site)) == sorted(LET_IN)


def test_the_programs_description_names_every_route_of_theirs(sqlite_site: Site) -> None:
    document = sqlite_site.client.get("/api/v1/openapi.json").json()
    described = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    pages = {"/", "/login", "/logout", "/language", "/wall", "/alerts", "/passages", "/search",
             "/watchlist", "/checkpoints", "/map", "/approvals", "/protected", "/audit", "/cases",
             "/users", "/account", "/static", "/story", "/export", "/analyses", "/clones",
             "/vehicles", "/feedback", "/notices",
             "/statistics", "/pursuit"}  # fmt: skip
    for route in LET_IN:
        path = route.partition(" ")[2]
        if "/" + path.split("/")[1] not in pages and path != "/api/v1/openapi.json":
            assert route in described


def test_a_stranger_and_an_agent_get_in_where_they_may(sqlite_site: Site) -> None:
    stranger = TestClient(sqlite_site.app, raise_server_exceptions=False)
    for route, who in LET_IN.items():
        if route.startswith("MOUNT"):
            continue
        bare = call(stranger, route, {})
        as_agent = call(stranger, route, sqlite_site.bearer)
        if who == OPEN:
            assert bare not in {401, 403} or route in LOG_IN, route
        elif who == NEAR:
            assert (bare, as_agent) == (403, 403), route
        elif who == AGENT:
            assert (bare, as_agent in {401, 403}) == (401, False), route
        else:
            assert (bare, as_agent) == (401, 401), route


@pytest.mark.parametrize("role", list(Role))
def test_every_role_gets_in_exactly_where_it_may(sqlite_site: Site, role: Role) -> None:
    """403 exactly where the role does not suffice; else anything but 401, 403 and 5xx.

    The alert stream has no end, so who is let in there is asked of its guard on another route.
    """
    person = sqlite_site.as_role(role.value)
    for route, who in LET_IN.items():
        if route.startswith("MOUNT") or route.endswith(ENDLESS) or route in LOG_OUTS:
            continue
        status = call(person.client, route, person.csrf)
        if who == AGENT:
            assert status == 401, route
        elif who == NEAR:
            assert status == 403, route
        elif who == OPEN or role in who:
            assert status < 500, (route, status)
            assert status not in {401, 403} or route in LOG_IN, (route, status)
        else:
            assert status == 403, (route, status)


@pytest.mark.parametrize("role", list(Role))
def test_without_the_sessions_token_nothing_is_changed(sqlite_site: Site, role: Role) -> None:
    person = sqlite_site.as_role(role.value)
    for route, who in LET_IN.items():
        changes = route.partition(" ")[0] in {"POST", "PUT", "DELETE", "PATCH"}
        if changes and who not in (OPEN, AGENT):
            assert call(person.client, route, {}) == 403, route


def test_every_page_and_answer_carries_the_security_headers(sqlite_site: Site) -> None:
    """Also what is refused, and what is not there."""
    person = sqlite_site.as_role("administrator")
    for path in ("/wall", "/users", "/audit", "/login", "/nowhere", "/api/v1/session",
                 "/api/v1/protected-plates", "/static/css/base.css"):  # fmt: skip
        headers = person.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        if not path.startswith("/static"):
            assert headers["cache-control"] == "no-store", path
