"""Cases: what belongs to one, who may say so, what came of it, and the month's figures."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import audit
from server.cases.figures import span_of
from tests.server.conftest import NOW, PURPOSE, Person, Site, make_passage

CASE = PURPOSE["case_number"]
FILE = {"case_number": CASE, "kind": "lost_property", "title": "出租车上遗失的背包"}


@pytest.fixture
def officer(site: Site) -> Person:
    """Who answers for the case: he was the first to name it."""
    person = site.as_role("officer")
    person.watch("鲁H12345", case_number=CASE)
    site.post(make_passage())
    return person


def test_alerts_searches_and_routes_are_attached_and_shown_in_the_case(
    site: Site, officer: Person
) -> None:
    assert officer.post("/api/v1/cases/files", FILE).status_code == 201
    assert officer.post("/api/v1/cases/files", FILE).status_code == 409, "one file a case"
    (alert,) = officer.alerts()
    officer.get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
    officer.get("/api/v1/trajectories/鲁H12345", **PURPOSE)
    with site.context.database.read() as session:
        seq = {r.action: r.seq for r in audit.recent(session)}
    for body in (
        {"alert_id": alert["id"], "note": "首次发现"},
        {"alert_id": alert["id"]},
        {"audit_seq": seq["passage.search"]},
        {"audit_seq": seq["trajectory.build"]},
    ):
        answer = officer.post("/api/v1/cases/attachments", {"case_number": CASE, **body})
        assert answer.status_code == 204, answer.text
    contents = officer.get("/api/v1/cases/contents", case_number=CASE).json()
    assert sorted((a["kind"], a["plate"]) for a in contents["attachments"]) == [
        ("alert", "鲁H12345"), ("route", "鲁H12345"), ("search", "鲁H12345"),
    ]  # fmt: skip
    page = officer.get("/cases", case_number=CASE).text
    assert f'href="/alerts/{alert["id"]}"' in page
    assert CASE in officer.get(f"/alerts/{alert['id']}").text


@pytest.mark.parametrize(("plate", "kind"), [("鲁H1234?", "search"), ("鲁H12345", "route")])
def test_an_answers_page_attaches_what_was_just_looked_up(
    site: Site, officer: Person, plate: str, kind: str
) -> None:
    """To its own case alone, and only for who answers for that."""
    site.post(make_passage(plate="鲁H12346"))
    officer.post("/api/v1/cases/files", FILE)
    page = _search_page(officer, plate)
    (seq,) = re.findall(r'name="audit_seq" value="(\d+)"', page)
    form = {"case_number": CASE, "audit_seq": seq, "csrf_token": officer.csrf["X-CSRF-Token"]}
    answer = officer.client.post("/cases/attachments", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/cases?case_number={CASE}")
    contents = officer.get("/api/v1/cases/contents", case_number=CASE).json()
    assert [(a["kind"], a["plate"]) for a in contents["attachments"]] == [(kind, plate)]
    assert "audit_seq" not in _search_page(site.as_role("operator"), plate)


def _search_page(person: Person, plate: str) -> str:
    form = PURPOSE | {"plate": plate, "csrf_token": person.csrf["X-CSRF-Token"]}
    answer = person.client.post("/search", data=form)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_only_who_answers_for_a_case_says_what_belongs_to_it(site: Site, officer: Person) -> None:
    """To everybody else there is no such case; a supervisor sees them all."""
    officer.post("/api/v1/cases/files", FILE)
    (alert,) = officer.alerts()
    attach = {"case_number": CASE, "alert_id": alert["id"]}
    outcome = {"case_number": CASE, "note": "x", "suspects": 1}
    stranger = site.as_role("custodian")
    for path, body in (("files", FILE), ("attachments", attach), ("outcomes", outcome)):
        assert stranger.post(f"/api/v1/cases/{path}", body).status_code == 404
    assert stranger.get("/api/v1/cases/contents", case_number=CASE).status_code == 404
    assert site.as_role("operator").post("/api/v1/cases/outcomes", outcome).status_code == 403
    assert site.as_role("supervisor").post("/api/v1/cases/outcomes", outcome).status_code == 204


def test_nothing_is_attached_that_does_not_belong(site: Site, officer: Person) -> None:
    """An alert he does not see, a search of another case, a record that is no search."""
    officer.post("/api/v1/cases/files", FILE)
    officer.get("/api/v1/passages", plate="鲁H1", purpose="criminal_case", case_number="B2")
    with site.context.database.read() as session:
        seq = {r.action: r.seq for r in audit.recent(session)}
    for body in (
        {"alert_id": 999},
        {"audit_seq": seq["passage.search"]},
        {"audit_seq": seq["login.open"]},
        {"audit_seq": 99_999},
    ):
        answer = officer.post("/api/v1/cases/attachments", {"case_number": CASE, **body})
        assert answer.status_code == 404, body
    site.as_role("custodian").post(
        "/api/v1/protected-plates", {"plate": "鲁H12345", "authority": "省厅〔2026〕17号"}
    )
    answer = officer.post("/api/v1/cases/attachments", {"case_number": CASE, "alert_id": 1})
    assert answer.status_code == 404


def test_a_case_without_a_file_takes_nothing(site: Site, officer: Person) -> None:
    outcome = {"case_number": CASE, "note": "x"}
    assert officer.post("/api/v1/cases/outcomes", outcome).status_code == 409


def test_the_months_figures_are_the_sums_of_what_was_recorded_in_it(
    site: Site, officer: Person
) -> None:
    officer.post("/api/v1/cases/files", FILE)
    (alert,) = officer.alerts()
    officer.post("/api/v1/cases/attachments", {"case_number": CASE, "alert_id": alert["id"]})
    outcome = {"case_number": CASE, "note": "x", "people_helped": 1, "property_cents": 120_050}
    officer.post("/api/v1/cases/outcomes", outcome)
    officer.post("/api/v1/cases/outcomes", outcome | {"suspects": 2, "loss_cents": 5})
    officer.post(f"/api/v1/alerts/{alert['id']}/sign")
    officer.post(f"/api/v1/alerts/{alert['id']}/feedback", {"finding": "intercepted", "text": "x"})
    month = {"year": 2026, "month": 11}
    found = officer.get("/api/v1/cases/figures", **month).json()
    assert found["by_kind"]["lost_property"] == {
        "cases": 1, "alerts": 1, "searches": 0, "routes": 0, "suspects": 2, "vehicles": 0,
        "property_cents": 240_100, "loss_cents": 5, "people_helped": 2,
    }  # fmt: skip
    assert found["alerts"] == {"raised": 1, "signed_in_time": 1, "live": 1, "intercepted": 1,
                               "false_hits": 0}  # fmt: skip
    site.clock.advance(30 * 86_400)
    officer = site.as_role("officer")
    officer.post("/api/v1/cases/outcomes", outcome | {"suspects": 5})
    assert officer.get("/api/v1/cases/figures", **month).json() == found
    later = officer.get("/api/v1/cases/figures", year=2026, month=12).json()
    assert later["by_kind"]["lost_property"]["suspects"] == 5
    answer = officer.get("/cases/figures.csv", month="2026-11")
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert rows[1][:2] == ["遗失物品", "1"]
    assert "2401.00" in rows[1]


def test_an_outcome_is_an_amount_that_can_be_and_says_something(
    site: Site, officer: Person
) -> None:
    officer.post("/api/v1/cases/files", FILE)
    token = officer.csrf["X-CSRF-Token"]
    for fields, said in (
        ({"suspects": "-1", "outcome_note": "x"}, "抓获人员"),
        ({"property_yuan": "1.005", "outcome_note": "x"}, "返还财物"),
        ({"loss_yuan": "NaN", "outcome_note": "x"}, "挽回损失"),
        ({"suspects": "1", "outcome_note": " "}, "说明"),
    ):
        answer = officer.client.post(
            "/cases/outcomes", data={"csrf_token": token, "case_number": CASE, **fields}
        )
        assert answer.status_code == 422
        assert said in answer.text
    assert site.count("case_outcome") == 0


@given(st.integers(1971, 8999), st.integers(1, 12), st.sampled_from(["Asia/Shanghai", "UTC"]))
def test_months_follow_one_another_without_gap_or_overlap(year: int, month: int, zone: str) -> None:
    _, end = span_of(year, month, ZoneInfo(zone))
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    begin, _ = span_of(*after, ZoneInfo(zone))
    assert end == begin


def test_a_month_begins_at_midnight_here() -> None:
    begin, end = span_of(2026, 11, ZoneInfo("Asia/Shanghai"))
    assert begin == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert end - begin == timedelta(days=30)
    assert begin < NOW < end
