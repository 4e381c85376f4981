"""Every query is accounted for, and the account cannot be changed unseen."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server import audit
from server.audit_anchor import note_head, read_anchors
from server.errors import SettingsError
from server.settings import Settings
from server.tables import AuditRecord
from tests.server.conftest import NOW, PURPOSE, Site, iso, make_passage, serving


def records(site: Site, action: str) -> list[audit.AuditView]:
    with site.context.database.read() as session:
        return [r for r in audit.recent(session, limit=1000) if r.action == action]


def test_a_search_for_a_plate_is_recorded_with_its_reason(site: Site) -> None:
    site.post(make_passage())
    found = site.as_role("operator").get("/api/v1/passages", plate="鲁H1?3*", **PURPOSE)
    assert len(found.json()["passages"]) == 1
    (record,) = records(site, "passage.search")
    assert record.user_name == "operator"
    assert record.purpose == PURPOSE["purpose"]
    assert record.case_number == PURPOSE["case_number"]
    assert (record.detail["plate"], record.detail["found"]) == ("鲁H1?3*", 1)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "purpose"),
        ({"purpose": "criminal_case"}, "case_number"),
        ({"case_number": "A1"}, "purpose"),
        ({"purpose": "curiosity", "case_number": "A1"}, "purpose"),
        ({"purpose": "criminal_case", "case_number": "  "}, "case_number"),
        ({"purpose": "criminal_case", "case_number": "A" * 65}, "case_number"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/passages?plate=鲁H12345",
                                  "/api/v1/trajectories/鲁H12345",
                                  "/api/v1/trajectories/鲁H12345.geojson"])  # fmt: skip
def test_without_a_reason_there_is_no_answer_and_no_record(
    sqlite_site: Site, path, given, field
) -> None:
    sqlite_site.post(make_passage())
    person = sqlite_site.as_role("administrator")
    answer = person.client.get(path, params=given) if "?" not in path else person.client.get(
        path.partition("?")[0], params={"plate": "鲁H12345"} | given
    )  # fmt: skip
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert not records(sqlite_site, "passage.search")
    assert not records(sqlite_site, "trajectory.build")


def test_the_running_picture_needs_no_reason_but_the_past_does(sqlite_site: Site) -> None:
    old = make_passage(captured_at=NOW - timedelta(hours=30))
    sqlite_site.post(make_passage(), old)
    person = sqlite_site.as_role("operator")
    assert len(person.get("/api/v1/passages").json()["passages"]) == 1
    past = {"since": iso(NOW - timedelta(hours=48))}
    assert person.get("/api/v1/passages", **past).json()["code"] == "purpose_missing"
    assert len(person.get("/api/v1/passages", **past, **PURPOSE).json()["passages"]) == 2


def test_a_route_and_a_single_passage_are_recorded(site: Site) -> None:
    passage = make_passage()
    site.post(passage)
    person = site.as_role("operator")
    person.get("/api/v1/trajectories/鲁H12345", **PURPOSE)
    person.get(f"/api/v1/passages/{passage['passage_id']}")
    assert [r.detail["plate"] for r in records(site, "trajectory.build")] == ["鲁H12345"]
    assert [r.detail["plate"] for r in records(site, "passage.open")] == ["鲁H12345"]


def test_records_of_many_at_once_form_one_whole_chain(site: Site) -> None:
    site.post(make_passage())
    person = site.as_role("officer")  # who also becomes the one to answer for the case, once
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(5):
            answer = person.get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 30
    assert len(records(site, "passage.search")) == 30
    with site.context.database.read() as session:
        assert list(audit.verify(session)) == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET user_name = 'x'", "DELETE FROM audit_log"]
)
def test_the_database_itself_refuses_to_change_the_log(site: Site, statement: str) -> None:
    site.as_role("operator")
    with pytest.raises(DBAPIError, match="append-only"), site.context.database.write() as session:
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("forgery", "said"),
    [
        ('UPDATE audit_log SET detail = \'{"plate": "other"}\' WHERE seq = 2', "record 2: altered"),
        (
            "UPDATE audit_log SET at = '2026-11-22 10:15:00.000001' WHERE seq = 2",
            "record 2: altered",
        ),
        ("DELETE FROM audit_log WHERE seq = 2", "record 2 to 2: missing"),
        ("DELETE FROM audit_log WHERE seq >= 3", "record 3 to 3: missing"),
        ("DELETE FROM audit_log", "record 1 to 3: missing"),
    ],
)
def test_whoever_gets_around_that_is_found_out(site: Site, forgery: str, said: str) -> None:
    """An administrator of the database can drop the guard; the chain still tells."""
    for role in ("operator", "officer", "administrator"):
        site.as_role(role)
    guard = (
        ["DROP TRIGGER audit_log_no_UPDATE", "DROP TRIGGER audit_log_no_DELETE"]
        if site.context.database.is_sqlite
        else ["DROP TRIGGER audit_log_append_only ON audit_log"]
    )
    with site.context.database.write() as session:
        assert list(audit.verify(session)) == []
        for statement in [*guard, forgery]:
            session.execute(text(statement))
    with site.context.database.read() as session:
        assert said in list(audit.verify(session))


def test_administrators_read_the_log_by_person_and_case(site: Site) -> None:
    site.post(make_passage())
    site.as_role("operator").get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
    person = site.as_role("administrator")
    by_case = person.get("/api/v1/audit", case_number=PURPOSE["case_number"]).json()
    assert [r["action"] for r in by_case] == ["passage.search"]
    by_name = person.get("/api/v1/audit", user_name="operator").json()
    assert [r["action"] for r in by_name] == ["passage.search", "login.open"]
    page = person.get("/api/v1/audit", limit=1, before_seq=by_name[0]["seq"]).json()
    assert [r["seq"] for r in page] == [by_name[0]["seq"] - 1]


def _unguard(site: Site, session: Session) -> None:
    """What an administrator of the database can do, and an officer cannot."""
    triggers = (
        ["audit_log_no_UPDATE", "audit_log_no_DELETE", "audit_log_no_REPLACE"]
        if site.context.database.is_sqlite
        else ["audit_log_append_only ON audit_log"]
    )
    for trigger in triggers:
        session.execute(text(f"DROP TRIGGER {trigger}"))


def test_a_row_is_not_replaced_either(sqlite_site: Site) -> None:
    """SQLite's INSERT OR REPLACE removes the old row without asking the trigger on DELETE."""
    sqlite_site.as_role("operator")
    statement = "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE seq = 1"
    with (
        pytest.raises(DBAPIError, match="append-only"),
        sqlite_site.context.database.write() as session,
    ):
        session.execute(text(statement))


def test_an_anchor_misses_what_was_cut_off_together_with_its_counter(site: Site) -> None:
    """The chain alone would call what is left whole."""
    path = site.settings.audit_anchor_file
    for role in ("operator", "officer", "administrator"):
        site.as_role(role)
    note_head(site.context.database, path, site.clock)
    assert note_head(site.context.database, path, site.clock) is None, "noted once"
    with site.context.database.write() as session:
        assert list(audit.verify(session, read_anchors(path))) == []
        _unguard(site, session)
        session.execute(text("DELETE FROM audit_log WHERE seq >= 3"))
        session.execute(text("UPDATE counter SET value = 2 WHERE name = 'audit'"))
    with site.context.database.read() as session:
        assert list(audit.verify(session)) == []
        assert list(audit.verify(session, read_anchors(path))) == ["record 3 to 3: missing"]


def test_an_anchor_knows_a_chain_that_was_computed_anew(site: Site) -> None:
    """Whoever edits a record and then every hash after it deceives the chain, not the anchor."""
    path = site.settings.audit_anchor_file
    for role in ("operator", "officer", "administrator"):
        site.as_role(role)
    note_head(site.context.database, path, site.clock)
    with site.context.database.write() as session:
        _unguard(site, session)
        prev = audit.GENESIS_HASH
        for row in session.scalars(select(AuditRecord).order_by(AuditRecord.seq)):
            row.prev_hash = prev
            if row.seq == 2:
                row.user_name = "somebody else"
            row.hash = prev = audit._hash(row)
    with site.context.database.read() as session:
        assert list(audit.verify(session)) == []
        (fault,) = audit.verify(session, read_anchors(path))
    assert fault.startswith("record 3: not the one anchored at ")


@pytest.mark.parametrize("line", ["", "{}", "nonsense", '{"seq": 1, "hash": "x"}'])
def test_a_file_of_anchors_that_was_tampered_with_is_said(tmp_path: Path, line: str) -> None:
    file = tmp_path / "anchors.jsonl"
    file.write_text('{"seq": 1, "hash": "x", "at": "2026-11-22T10:15:00+00:00"}\n' + line + "\n")
    with pytest.raises(SettingsError, match=r"anchors\.jsonl: line 2"):
        read_anchors(file)


def test_the_server_notes_the_head_by_itself(sqlite_settings: Settings, clock: Any) -> None:
    """And only its owner may read the file."""
    path = sqlite_settings.audit_anchor_file
    with serving(sqlite_settings, clock) as site:
        site.as_role("operator")
    with serving(sqlite_settings, clock):
        until = time.monotonic() + 20
        while not path.is_file() and time.monotonic() < until:
            time.sleep(0.02)
    assert [anchor.seq for anchor in read_anchors(path)] == [1]
    assert path.stat().st_mode & 0o077 == 0
