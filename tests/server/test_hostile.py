"""What strangers and their tools send: nothing makes the server fail, lets anybody in or leaks.

The requests are made from the OpenAPI document by schemathesis, half of them as described, half
broken; a bounded, seeded run by default. ``KAKOU_FUZZ_EXAMPLES=200 pytest
tests/server/test_hostile.py`` makes a long one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, seed
from hypothesis import settings as examples
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from sqlalchemy import text

from server.settings import Settings
from server.wire import MAX_BATCH_BYTES
from tests.server.conftest import (
    NOW,
    PURPOSE,
    Person,
    Site,
    SteppingClock,
    iso,
    jpeg,
    make_passage,
    serving,
    sha256,
)

EXAMPLES = int(os.environ.get("KAKOU_FUZZ_EXAMPLES", "3"))
ENDLESS = "/api/v1/alerts/stream"
LOG_IN, LOG_OUT = "/api/v1/login", "/api/v1/logout"
AGENTS = {
    ("/api/v1/passages", "post"): "passage_batch.v1.schema.json",
    ("/api/v1/heartbeats", "post"): "heartbeat.v1.schema.json",
    ("/api/v1/evidence/{sha256}", "put"): None,
    ("/api/v1/agent/watchlist", "get"): None,
}
"""What agents call, and the file with the schema of the body, which their routes read raw."""


@pytest.fixture
def patient_site(settings: Settings, clock: SteppingClock) -> Iterator[Site]:
    """A site that lets one person ask as much as a fuzzer does."""
    limits = settings.limits.model_copy(update={"requests_per_minute": 0, "searches_per_hour": 0})
    with serving(settings.model_copy(update={"limits": limits}), clock) as site:
        yield site


def described(site: Site, project: Path) -> dict[str, Any]:
    """The OpenAPI document, with the bodies of agents' messages from the wire schemas."""
    document = site.client.get("/api/v1/openapi.json").json()
    for (path, method), file in AGENTS.items():
        if file is None:
            continue
        body = json.loads((project / "docs" / "wire" / file).read_text(encoding="utf-8"))
        document["paths"][path][method]["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return document


def send(site: Site, people: dict[str, Person], case: Any) -> Any:
    """Send a case as whoever may; cookies and agents' tokens are the real ones."""
    person = people["custodian" if "protected" in case.path else "administrator"]
    parts = case.as_transport_kwargs(base_url="http://testserver")
    parts["headers"] = {
        name: value
        for name, value in (parts.get("headers") or {}).items()
        if name.lower() not in {"cookie", "authorization", "content-length"}
    }
    agent = (case.operation.path, case.operation.method.lower()) in AGENTS
    parts["headers"] |= site.bearer if agent else person.csrf
    known = {"method", "url", "params", "headers", "json", "data", "content"}
    parts = {name: value for name, value in parts.items() if name in known}
    if isinstance(parts.get("data"), (bytes, str)):
        parts["content"] = parts.pop("data")
    client = site.client if agent else person.client
    try:
        request = client.build_request(**parts)
    except (httpx2.InvalidURL, UnicodeEncodeError, TypeError):
        reject()  # what no client can put on the wire
    return client.send(request)


def test_no_request_made_from_the_description_makes_the_server_fail(
    patient_site: Site, project: Path
) -> None:
    """Every operation, as described and not as described: never a 5xx, always a problem document."""
    site = patient_site
    people = {role: site.as_role(role) for role in ("administrator", "custodian")}
    site.post(make_passage())
    people["administrator"].watch("鲁H12345")
    schema = schemathesis.openapi.from_dict(described(site, project))
    statuses: dict[int, int] = {}
    tried = 0
    few = EXAMPLES if site.context.database.is_sqlite else max(1, EXAMPLES // 2)
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in {ENDLESS, LOG_OUT}:
            continue
        for mode in GenerationMode:

            @seed(20261122)
            @examples(
                max_examples=few, deadline=None, database=None,
                phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(mode))
            def one(case: Any) -> None:
                answer = send(site, people, case)
                status = answer.status_code
                statuses[status] = statuses.get(status, 0) + 1
                # the sessions held, so the requests reached what they meant
                assert status != 401 or case.operation.path == LOG_IN
                assert status < 500, (case.as_curl_command(), answer.text)
                if status >= 400 and case.operation.path.startswith("/api/"):
                    assert answer.headers["content-type"] == "application/problem+json"

            try:
                one()
            except Unsatisfiable:
                continue  # an operation without parameters cannot be broken
            tried += 1
    assert tried >= 50, "nearly every operation is tried"
    assert statuses.keys() >= {200, 422}, statuses


# ---- bodies


JSON_ROUTES = ("/api/v1/watchlist", "/api/v1/approvals", "/api/v1/users", "/api/v1/cases/members")


BODIES = (
    b"[" * 100_000,
    b'{"a":' * 40_000,
    b"[" * 50_000 + b"]" * 50_000,
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b'{"plate": "\\ud800"}',
    b'{"plate": "a\\u0000b", "case_number": "x\\u0000"}',
    b"1" * 10_000,
    b'{"level": 1' + b"0" * 5_000 + b"}",
)


def test_a_body_that_is_none_is_refused(sqlite_site: Site) -> None:
    """Too deep, no JSON, no text, of another shape, with numbers without end; everywhere."""
    person = sqlite_site.as_role("administrator")
    for path in ("/api/v1/passages", "/api/v1/heartbeats", *JSON_ROUTES):
        agent = path in {"/api/v1/passages", "/api/v1/heartbeats"}
        client = sqlite_site.client if agent else person.client
        headers = sqlite_site.bearer if agent else person.csrf
        for body in BODIES:
            answer = client.post(
                path, content=body, headers=headers | {"Content-Type": "application/json"}
            )
            assert answer.status_code in {400, 422}, (path, body[:20], answer.text[:300])
            assert len(answer.content) < 2_000, "the answer does not repeat what was sent"


def test_a_body_that_is_too_long_is_refused_before_it_is_read(sqlite_site: Site) -> None:
    """At once by what it says of its length; when it says nothing, as soon as it is too long."""
    person = sqlite_site.as_role("administrator")
    for path, kind in (
        ("/api/v1/watchlist", "application/json"),
        ("/watchlist", "application/x-www-form-urlencoded"),
        ("/login", "application/x-www-form-urlencoded"),
        ("/api/v1/login", "application/json"),
    ):
        headers = person.csrf | {"Content-Type": kind}
        huge = b"x" * (300 * 1024)
        answer = person.client.post(path, content=huge, headers=headers)
        assert answer.status_code == 413, path
        answer = person.client.post(path, content=iter([huge[:1024]] * 1200), headers=headers)
        assert answer.status_code in {400, 413}, path
        lying = headers | {"Content-Length": "9" * 5000}
        assert person.client.post(path, content=b"x", headers=lying).status_code in {400, 413}


def test_every_truncation_of_a_batch_is_refused_and_stores_nothing(sqlite_site: Site) -> None:
    whole = json.dumps(sqlite_site.batch(make_passage())).encode()
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        answer = sqlite_site.client.post(
            "/api/v1/passages", content=whole[:end], headers=sqlite_site.bearer
        )
        assert answer.status_code in {400, 422}, (end, answer.text)
    assert sqlite_site.count("passage") == 0
    assert sqlite_site.client.post(
        "/api/v1/passages", content=whole + b" " * (MAX_BATCH_BYTES + 1 - len(whole)),
        headers=sqlite_site.bearer,
    ).status_code == 413  # fmt: skip


def test_what_is_sent_twice_counts_once(sqlite_site: Site) -> None:
    """The same item in a batch, the same batch again, the same name twice in an object or query."""
    passage = make_passage()
    assert sqlite_site.outcomes(passage, passage) == ["accepted", "duplicate"]
    assert sqlite_site.outcomes(passage) == ["duplicate"]
    assert sqlite_site.count("passage") == 1
    officer = sqlite_site.as_role("officer")
    twice = '{"plate": "鲁H12345", "plate": "鲁H54321", "reason": "stolen", "level": 1, "case_number": "A"}'
    added = officer.client.post("/api/v1/watchlist", content=twice.encode(), headers=officer.csrf | {
        "Content-Type": "application/json"})  # fmt: skip
    assert added.json()["plate"] == "鲁H54321"
    query = [
        ("plate", "鲁H12345"),
        ("purpose", "criminal_case"),
        ("case_number", "A"),
        ("case_number", "B"),
    ]
    answer = officer.client.get("/api/v1/passages", params=query)
    (record,) = officer.get("/api/v1/cases/log", case_number="B").json()
    assert answer.status_code == 200
    assert record["case_number"] == "B", "the case that is answered for is the one on the log"


# ---- injections


SQL = (
    "' OR '1'='1",
    "'; DROP TABLE passage; --",
    '" OR ""="',
    "1) UNION SELECT password_hash FROM user_account --",
    "%' AND 1=1 --",
    "\\'; DELETE FROM audit_log; --",
    "鲁H%",
    "鲁H_2345",
    "$(id)",
    "{{7*7}}",
)


def test_what_looks_like_sql_is_looked_for_and_not_run(sqlite_site: Site) -> None:
    sqlite_site.post(make_passage())
    person = sqlite_site.as_role("administrator")
    before = {table: sqlite_site.count(table) for table in ("passage", "user_account")}
    for bad in SQL:
        _inject(person, bad)
    assert {table: sqlite_site.count(table) for table in before} == before


def _inject(person: Person, bad: str) -> None:
    reason = PURPOSE | {"case_number": bad[:64]}
    for path, params in (
        ("/api/v1/passages", {"plate": bad} | PURPOSE),
        ("/api/v1/passages", {"checkpoint_id": bad} | PURPOSE),
        ("/api/v1/passages", {"plate": "鲁H12345"} | PURPOSE | {"purpose": bad}),
        ("/api/v1/passages", {"plate": "鲁H12345"} | PURPOSE | {"cursor": bad}),
        ("/api/v1/audit", {"user_name": bad}),
        ("/api/v1/audit", {"action": bad[:40]}),
        ("/api/v1/audit", {"plate": bad[:64]}),
        ("/api/v1/watchlist", {"state": bad}),
    ):
        answer = person.get(path, **params)
        assert answer.status_code in {200, 400, 404, 422}, (path, params, answer.text)
        if answer.status_code == 200:
            found = answer.json()
            rows = found["passages"] if isinstance(found, dict) else found
            assert rows == [], (path, params)
    assert person.get("/api/v1/passages", plate="鲁H12345", **reason).status_code == 200
    logged = person.get("/api/v1/audit", case_number=bad[:64]).json()
    assert [record["case_number"] for record in logged] == [bad[:64]], "kept as it was given"
    page = person.client.post(
        "/audit", data={"case_number": bad} | {"csrf_token": person.csrf["X-CSRF-Token"]}
    )
    assert page.status_code == 200


PATHS = (
    "/evidence/../../etc/passwd",
    "/evidence/..%2f..%2fetc%2fpasswd",
    "/evidence/%2e%2e%2f%2e%2e%2fkakou.sqlite3",
    "/evidence/" + "../" * 8 + "etc/passwd",
    "/evidence/" + sha256(b"x")[:-1] + "%00",
    "/evidence/" + sha256(jpeg()).upper(),
    "/static/../settings.py",
    "/static/..%2f..%2fsettings.py",
    "/static/%2e%2e/%2e%2e/settings.py",
    "/static//etc/passwd",
    "/static/css/base.css%00.txt",
    "/api/v1/exports/passages.../../x",
    "/api/v1/trajectories/..%2f..%2f..%2fetc%2fpasswd",
)


def test_no_path_leads_out_of_where_it_begins(sqlite_site: Site) -> None:
    sqlite_site.put(jpeg())
    person = sqlite_site.as_role("administrator")
    for path in PATHS:
        answer = person.client.get(path)
        assert answer.status_code in {400, 403, 404, 405, 422}, (path, answer.text[:200])
        for secret in ("root:", "ENV_PREFIX", "SQLite format"):
            assert secret not in answer.text, path


def test_no_name_or_reason_becomes_markup(sqlite_site: Site) -> None:
    """What people typed is text on every page that shows it, and no header or log line is split."""
    bad = '"><script>alert(1)</script>'
    officer, chief = sqlite_site.as_role("officer"), sqlite_site.as_role("administrator")
    officer.post("/api/v1/watchlist", {"plate": "鲁H12345", "reason": "stolen", "level": 1,
                                       "case_number": bad, "note": bad})  # fmt: skip
    officer.post("/api/v1/approvals", {"purpose": "criminal_case", "case_number": bad, "why": bad,
                                       "since": iso(NOW.replace(year=2020))})  # fmt: skip
    sqlite_site.post(make_passage())
    for person, path in ((officer, "/watchlist"), (officer, "/wall"), (officer, "/cases"),
                         (officer, "/approvals"), (chief, "/approvals"), (chief, "/audit")):  # fmt: skip
        page = person.client.get(path).text
        assert "<script>alert" not in page, path
    assert "&lt;script&gt;" in officer.client.get("/approvals").text
    headers = {"X-Forwarded-For": "1.2.3.4\tx", "User-Agent": bad, "Accept-Language": bad}
    assert officer.client.get("/wall", headers=headers).status_code == 200


def test_an_identifier_that_no_database_holds_is_refused(site: Site) -> None:
    """On both engines: 2^63 and more, negative, not a number."""
    person = site.as_role("administrator")
    for number in ("0", "-1", str(2**63), str(2**64), "9" * 40, "1e9", "x", "１"):
        for path in (f"/api/v1/alerts/{number}", f"/alerts/{number}/sign"):
            method = "GET" if path.startswith("/api") else "POST"
            answer = person.client.request(method, path, headers=person.csrf)
            assert answer.status_code in {404, 422}, (path, answer.text)
    assert person.get(f"/api/v1/alerts/{2**63 - 1}").status_code == 404


def test_a_character_that_cannot_be_stored_is_the_senders_fault(site: Site) -> None:
    """PostgreSQL refuses NUL in a text; that is a 4xx on both engines, never a 5xx."""
    person = site.as_role("administrator")
    for path, params in (
        ("/api/v1/audit", {"user_name": "a\u0000b"}),
        ("/api/v1/watchlist", {"state": "\u0000"}),
        ("/api/v1/passages", {"checkpoint_id": "\u0000"}),
        ("/api/v1/cases/log", {"case_number": "\u0000"}),
    ):
        assert person.get(path, **params).status_code < 500, path
    body = {"name": "x\u0000", "password": "long enough"}
    assert site.client.post("/api/v1/login", json=body).status_code == 401
    with site.context.database.read() as session:
        assert session.execute(text("SELECT count(*) FROM audit_log")).scalar_one() >= 1
