"""Entries: what they may say, whose step is whose, what cannot wait, what nobody else sees."""

import io
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from checkpoint_agent.watchlist import PlainCopy, match, seen_in
from server.auth.accounts import Role
from server.db import Database
from server.tables import (
    Alert,
    AlertSighting,
    AuditRecord,
    ProtectedPlate,
    WatchlistEntry,
    WatchlistStep,
)
from server.watchlists.history import end_what_ran_out
from server.watchlists.states import (
    IN_FORCE,
    STEPS,
    Actor,
    EntryState,
    NotHisStepError,
    Parties,
    Step,
    StepNotPossibleError,
    Who,
    after_step,
    steps_for,
)
from server.wire import WATCHLIST_PATH, Passage, WatchlistCopy
from tests.server.conftest import NOW, Site, iso, make_passage

BODY = {"plate": "鲁H12345", "reason": "stolen", "level": 2, "case_number": "A1"}


def applied(person, **override: Any) -> dict[str, Any]:
    answer = person.post("/api/v1/watchlist", BODY | override)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def step(person, entry: dict[str, Any], name: str, **body: Any):
    return person.post(f"/api/v1/watchlist/{entry['id']}/{name}", body)


# ---- the state machine, pure

actors = st.builds(
    Actor, name=st.sampled_from(["applicant", "urgent", "other"]), role=st.sampled_from(Role)
) | st.just(Actor("server", None))
PARTIES = Parties("applicant", "urgent")


@given(st.sampled_from(EntryState), st.sampled_from(Step), actors)
def test_no_state_is_reached_without_its_right(state: EntryState, wish: Step, actor: Actor) -> None:
    known = STEPS.get((state, wish))
    try:
        after = after_step(state, wish, actor, PARTIES)
    except StepNotPossibleError:
        assert known is None
        return
    except NotHisStepError:
        assert wish not in steps_for(state, actor, PARTIES)
        return
    assert known is not None
    assert after is known[0]
    assert wish in steps_for(state, actor, PARTIES)
    right = known[1]
    assert (actor.role is None) is (right.who is Who.SERVER)
    if actor.role is not None:
        assert actor.role.covers(right.role)
        assert right.who is not Who.ANOTHER or actor.name == "other"
        assert right.who is not Who.APPLICANT or actor.name == "applicant"


@given(st.lists(st.tuples(st.sampled_from(Step), actors), max_size=12))
def test_nothing_is_in_force_for_good_without_another_persons_approval(steps) -> None:
    """Along any way from the application: active and extended come after somebody else's word."""
    state, approved = EntryState.DRAFT, False
    for wish, actor in steps:
        try:
            state = after_step(state, wish, actor, PARTIES)
        except (StepNotPossibleError, NotHisStepError):
            continue
        if wish is Step.APPROVE:
            assert actor.name == "other"
            approved = True
        elif wish is Step.REVISE:
            approved = False
        if state in IN_FORCE - {EntryState.URGENT}:
            assert approved


# ---- the workflow over HTTP


def test_an_entry_comes_into_force_by_four_eyes(site: Site) -> None:
    officer, supervisor = site.as_role("officer"), site.as_role("supervisor")
    entry = applied(officer)
    assert (entry["state"], entry["may"]) == ("draft", ["revise", "urge", "withdraw"])
    site.post(make_passage())
    assert officer.alerts() == [], "an application watches nobody"
    assert step(officer, entry, "review").status_code == 403, "not his own"
    assert step(supervisor, entry, "approve").status_code == 409, "not reviewed yet"
    assert step(supervisor, entry, "review", note="in order").status_code == 200
    assert step(officer, entry, "approve").status_code == 403
    assert step(supervisor, entry, "approve").json()["state"] == "approved"
    assert officer.client.post(
        f"/api/v1/watchlist/{entry['id']}/activate", headers=officer.csrf
    ).json()["state"] == "active"  # fmt: skip
    site.post(make_passage())
    assert len(officer.alerts()) == 1
    told = officer.get(f"/api/v1/watchlist/{entry['id']}").json()["history"]
    assert [one["step"] for one in told] == ["apply", "review", "approve", "activate"]
    assert [one["by"] for one in told] == ["officer", "supervisor", "supervisor", "officer"]


def test_every_step_has_its_record(site: Site) -> None:
    officer, supervisor = site.as_role("officer"), site.as_role("supervisor")
    entry = applied(officer, valid_to=iso(NOW + timedelta(days=1)))
    step(supervisor, entry, "review")
    step(supervisor, entry, "approve", activate=True)
    step(supervisor, entry, "extend", valid_to=iso(NOW + timedelta(days=2)))
    step(officer, entry, "withdraw", reason="found", code="handled")
    database = Database(site.settings)
    with database.read() as session:
        rows = session.scalars(select(WatchlistStep).order_by(WatchlistStep.id)).all()
        assert [row.state for row in rows] == [
            "draft", "reviewed", "approved", "active", "extended", "withdrawn",
        ]  # fmt: skip
        for row in rows:
            record = session.get_one(AuditRecord, row.audit_seq)
            assert (record.action, record.user_name) == (f"watchlist.{row.step}", row.by)
            assert (record.detail["entry"], record.detail["state"]) == (row.entry_id, row.state)
    database.close()


def test_a_refused_application_is_revised_by_its_applicant(site: Site) -> None:
    officer, supervisor = site.as_role("officer"), site.as_role("supervisor")
    entry = applied(officer)
    assert step(supervisor, entry, "refuse", reason=" ").status_code == 422
    assert step(supervisor, entry, "refuse", reason="which case?").json()["state"] == "refused"
    path = f"/api/v1/watchlist/{entry['id']}"
    changed = supervisor.client.put(path, json=BODY, headers=supervisor.csrf)
    assert changed.status_code == 403
    changed = officer.client.put(path, json=BODY | {"case_number": "A2"}, headers=officer.csrf)
    assert (changed.json()["state"], changed.json()["case_number"]) == ("draft", "A2")


def test_what_cannot_wait_lapses_unless_it_is_approved(site: Site) -> None:
    officer = site.as_role("officer")
    entry = applied(officer, urgent="a child")
    assert entry["state"] == "urgent"
    site.post(make_passage())
    assert len(officer.alerts()) == 1
    site.clock.advance(7200)
    officer = site.as_role("officer")
    site.post(make_passage(captured_at=site.clock()))
    assert len(officer.alerts()) == 1, "out of force at its instant, whatever its state says"
    late = step(site.as_role("supervisor"), entry, "approve")
    assert late.status_code == 409
    database = Database(site.settings)
    with database.write() as session:
        end_what_ran_out(session, site.clock())  # the server's own upkeep may have been faster
    with database.write() as session:
        assert end_what_ran_out(session, site.clock()) == 0
        assert session.get_one(WatchlistEntry, entry["id"]).state == "lapsed"
    database.close()
    again = officer.post("/api/v1/watchlist", BODY | {"urgent": "still a child"})
    assert again.status_code == 409, "nobody goes on like this without an approval"


def test_an_urgent_entry_that_is_approved_in_time_stays(site: Site) -> None:
    officer, supervisor = site.as_role("officer"), site.as_role("supervisor")
    entry = applied(officer, urgent="a child")
    assert step(supervisor, entry, "approve").json()["state"] == "active"
    site.clock.advance(8000)
    site.post(make_passage(captured_at=site.clock()))
    assert len(site.as_role("officer").alerts()) == 1


def test_what_waits_too_long_is_overdue(site: Site) -> None:
    applied(site.as_role("officer"))
    site.clock.advance(7100)
    assert site.as_role("officer").get("/api/v1/watchlist?overdue=true").json() == []
    site.clock.advance(200)
    (entry,) = site.as_role("officer").get("/api/v1/watchlist?overdue=true").json()
    assert entry["overdue"]


def test_a_secret_entry_is_known_to_those_it_names_alone(site: Site) -> None:
    officer, supervisor = site.as_role("officer"), site.as_role("supervisor")
    refused = officer.post("/api/v1/watchlist", BODY | {"secret": True, "people": ["operator"]})
    assert refused.json()["field"] == "people", "somebody on it must be able to approve it"
    entry = applied(officer, secret=True, people=["supervisor"], urgent="now")
    assert step(supervisor, entry, "approve").status_code == 200
    site.post(make_passage())
    assert len(officer.alerts()) == len(supervisor.alerts()) == 1
    for role in ("operator", "administrator"):
        other = site.as_role(role)
        assert other.alerts() == []
        assert other.get("/api/v1/watchlist").json() == []
        assert other.get(f"/api/v1/watchlist/{entry['id']}").status_code == 404


def test_a_protected_plate_is_refused_and_the_attempt_is_on_record(site: Site) -> None:
    database = Database(site.settings)
    with database.write() as session:
        session.add(
            ProtectedPlate(
                plate="鲁H12345", authority="order 1", added_at=NOW, added_by="custodian"
            )
        )
    officer = site.as_role("officer")
    for how in ("exact", "fuzzy"):
        refused = officer.post("/api/v1/watchlist", BODY | {"match": how})
        assert (refused.status_code, refused.json()["field"]) == (422, "plate")
    with database.read() as session:
        attempts = select(AuditRecord).where(AuditRecord.action == "watchlist.protected")
        records = session.scalars(attempts).all()
        assert [record.user_name for record in records] == ["officer", "officer"]
    database.close()


def test_no_pattern_tells_where_a_protected_vehicle_is(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H1234*", match="pattern")
    database = Database(site.settings)
    with database.write() as session:
        session.add(
            ProtectedPlate(plate="鲁H12345", authority="order", added_at=NOW, added_by="custodian")
        )
    database.close()
    site.post(make_passage(plate="鲁H12345"), make_passage(plate="鲁H12346"))
    assert [alert["plate"] for alert in site.as_role("custodian").alerts()] == ["鲁H12346"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"match": "pattern", "plate": "鲁H12345"}, "plate"),
        ({"match": "pattern", "plate": "鲁H*"}, "plate"),
        ({"match": "sounds like"}, "match"),
        ({"match": "fuzzy", "tolerance": 0}, "tolerance"),
        ({"match": "fuzzy", "tolerance": 9}, "tolerance"),
        ({"match": "description", "plate": ""}, "match"),
        ({"match": "description", "plate": "", "vehicle_colors": ["white"]}, "match"),
        ({"match": "description", "plate": "*88", "vehicle_colors": ["plaid"]}, "vehicle_colors"),
        ({"vehicle_colors": ["white"]}, "vehicle_colors"),
        ({"hours": ["22:00"]}, "hours"),
        ({"hours": ["08:00-08:00"]}, "hours"),
        ({"area": [[0, 0], [1, 1]]}, "area"),
        ({"area": [[0, 0], [1, 1], [0, 1], [1, 0]]}, "area"),
        ({"checkpoints": ["kk-nowhere"]}, "checkpoints"),
        ({"tell": ["pigeon"]}, "tell"),
        ({"tell": ["webhook:nobody"]}, "tell"),
        ({"tell": ["sms:13800000000"]}, "tell"),
        ({"tell": ["sound", "mail:duty@police.example"]}, "tell"),
        ({"people": ["operator"]}, "people"),
    ],
)
def test_a_wrong_entry_is_refused_at_its_field(site: Site, change, field: str) -> None:
    answer = site.as_role("officer").post("/api/v1/watchlist", BODY | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


# ---- what matches


def unsure(text: str, place: int, score: float) -> list[dict[str, Any]]:
    return [
        {"char": c, "score": score if n == place else 0.999, "alternatives": []}
        for n, c in enumerate(text)
    ]


def test_an_alert_says_what_was_read_and_what_was_matched(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H82348", match="fuzzy", tolerance=0.5)
    passage = make_passage(plate="鲁H8234B")
    passage["plate"]["characters"] = unsure("鲁H8234B", 6, 0.85)
    site.post(passage)
    (alert,) = officer.alerts()
    assert alert["plate"] == "鲁H8234B", "what was read is never rewritten"
    match = alert["match"]
    assert (match["kind"], match["wanted"]) == ("fuzzy", "鲁H82348")
    (difference,) = match["differences"]
    assert (difference["place"], difference["read"], difference["wanted"]) == (6, "B", "8")
    assert 0 < difference["score"] <= 0.5


def test_a_pattern_is_many_vehicles_and_each_is_an_alert(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H123*", match="pattern")
    site.post(make_passage(plate="鲁H12345"), make_passage(plate="鲁H12399"))
    site.post(make_passage(plate="鲁H12345"))
    assert sorted(alert["sightings"] for alert in officer.alerts()) == [1, 2]


def test_two_entries_for_one_vehicle_ring_once(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345", level=1)
    officer.watch("鲁H12345", level=3, case_number="B2")
    site.post(make_passage())
    assert sorted((a["level"], a["rings"]) for a in officer.alerts()) == [(1, True), (3, False)]


def test_an_entry_holds_at_its_places_alone(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345", area=[[0, 0], [0, 1], [1, 1]])
    site.post(make_passage())
    assert officer.alerts() == []
    officer.watch("鲁H12345", case_number="B2", area=[[70, 10], [140, 10], [140, 60], [70, 60]])
    site.post(make_passage())
    assert len(officer.alerts()) == 1


# ---- the box


WISHES: list[dict[str, Any]] = [
    {"plate": "鲁H12345"},
    {"plate": "鲁H82348", "match": "fuzzy", "tolerance": 0.5},
    {"plate": "鲁H82348", "match": "fuzzy", "tolerance": 0.2, "level": 1},
    {"plate": "鲁H123*", "match": "pattern"},
    {"plate": "*234*", "match": "pattern", "checkpoints": ["kk-west"]},
    {"plate": "?H12345", "match": "pattern", "checkpoints": ["kk-north"]},
    {"plate": "*45", "match": "description", "vehicle_colors": ["white"]},
    {"plate": "", "match": "description", "vehicle_colors": ["white"], "plate_colors": ["blue"]},
    {"plate": "鲁H99999", "hours": ["00:00-24:00"]},
    {
        "plate": "鲁H99999",
        "hours": [f"{(NOW.hour + 10) % 24:02d}:00-{(NOW.hour + 12) % 24:02d}:00"],
    },
    {"plate": "鲁H99999", "valid_from": iso(NOW + timedelta(days=1))},
]


def test_box_and_server_match_the_same(site: Site) -> None:
    """Every kind of entry, through the server's ingest and through the copy that a box holds."""
    officer = site.as_role("officer")
    for number, wish in enumerate(WISHES):
        officer.watch(**{"case_number": f"C{number}", "note": str(number)} | wish)
    answer = site.client.get(WATCHLIST_PATH, headers=site.bearer)
    box = PlainCopy.of(WatchlistCopy.model_validate_json(answer.content))
    found = 0
    for text, place, score in itertools.product(
        ["鲁H12345", "鲁H8234B", "鲁H82348", "京H12345", "鲁H99999", "鲁H8234?", "无牌"],
        [6],
        [0.999, 0.9, 0.5],
    ):
        sent = make_passage(plate=text)
        sent["plate"]["characters"] = unsure(text, place, score) if text != "无牌" else []
        sent["vehicle_color"] = "white"
        passage = Passage.model_validate(sent)
        hit = match(box, seen_in(passage), passage.camera_id, passage.captured_at, site.clock())
        before = sightings(site)
        site.post(sent)
        expected = {entry for entry, passage_id in sightings(site) - before}
        assert set(hit.match.entry_ids if hit else ()) == expected, (text, score)
        found += len(expected)
    assert found > 20


def sightings(site: Site) -> set[tuple[int, UUID]]:
    """Which entry was hit by which passage."""
    database = Database(site.settings)
    with database.read() as session:
        rows = session.execute(
            select(Alert.entry_id, AlertSighting.passage_id).join(
                AlertSighting, AlertSighting.alert_id == Alert.id
            )
        )
        found = {(row.entry_id, row.passage_id) for row in rows}
    database.close()
    return found


# ---- preview


def test_a_preview_tells_the_misreads_and_last_weeks_alerts(site: Site) -> None:
    passage = make_passage(plate="鲁H8234B", captured_at=NOW - timedelta(days=1))
    passage["plate"]["characters"] = unsure("鲁H8234B", 6, 0.85)
    old = make_passage(plate="鲁H82348", captured_at=NOW - timedelta(days=8))
    site.post(passage, old, make_passage(plate="鲁H82348"), delivery="backlog")
    officer = site.as_role("officer")
    wish = BODY | {"plate": "鲁H82348", "match": "fuzzy", "tolerance": 0.5}
    found = officer.post("/api/v1/watchlist/preview", wish).json()
    assert "鲁H8234B" in [one["plate"] for one in found["misreads"]]
    assert (found["passages"], found["alerts"], found["truncated"]) == (2, 2, False)
    exact = officer.post("/api/v1/watchlist/preview", wish | {"match": "exact", "tolerance": None})
    assert (exact.json()["misreads"], exact.json()["alerts"]) == ([], 1)
    pattern = officer.post(
        "/api/v1/watchlist/preview",
        wish | {"match": "pattern", "tolerance": None, "plate": "*8234*"},
    )
    assert pattern.json()["alerts"] == 2
    assert officer.alerts() == []


# ---- files

FILE = (
    "plate,reason,level,case_number,match,tolerance,hours\r\n"
    "鲁H00001,stolen,1,F1,,,\r\n"
    "鲁H00002,stolen,1,F1,fuzzy,0.4,22:00-05:00;06:00-07:00\r\n"
    "鲁H00003,because,9,F1,,,\r\n"
    "鲁H00001,stolen,1,F1,,,\r\n"
    "鲁H00004,stolen,x,F1,,,\r\n"
)


def import_csv(person, content: bytes, *, dry_run: bool, ending: str = "csv"):
    path = f"/api/v1/watchlist/import?ending={ending}&dry_run={str(dry_run).lower()}"
    return person.client.post(path, content=content, headers=person.csrf)


def test_a_dry_run_says_what_would_become_of_each_row_and_changes_nothing(site: Site) -> None:
    officer = site.as_role("officer")
    report = import_csv(officer, FILE.encode(), dry_run=True).json()
    assert [(row["line"], row["outcome"]) for row in report["rows"]] == [
        (2, "new"), (3, "new"), (4, "refused"), (5, "refused"), (6, "refused"),
    ]  # fmt: skip
    assert [f["field"] for f in report["rows"][2]["faults"]] == ["reason", "level"]
    assert [f["field"] for f in report["rows"][4]["faults"]] == ["level"]
    assert officer.get("/api/v1/watchlist").json() == []


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_what_is_written_can_be_read_in_again(site: Site, ending: str) -> None:
    officer = site.as_role("officer")
    done = import_csv(officer, FILE.encode(), dry_run=False).json()
    assert (done["new"], done["unchanged"], done["refused"]) == (2, 1, 2)
    entries = officer.get("/api/v1/watchlist").json()
    assert {e["state"] for e in entries} == {"draft"}, "a file is an application like any other"
    out = officer.client.get(f"/api/v1/watchlist/export.{ending}")
    assert out.status_code == 200
    again = import_csv(officer, out.content, dry_run=True, ending=ending).json()
    assert (again["new"], again["unchanged"], again["refused"]) == (0, 2, 0)
    if ending == "xlsx":
        sheet = openpyxl.load_workbook(io.BytesIO(out.content)).worksheets[0]
        assert sheet.max_row == 3


@pytest.mark.parametrize(
    ("content", "ending"),
    [(b"", "csv"), (b"color\nred\n", "csv"), (b"\xff\xff\xff", "csv"), (b"no zip", "xlsx"),
     (b'plate\n"a\n', "csv")],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_as_a_whole(site: Site, content: bytes, ending) -> None:
    answer = import_csv(site.as_role("officer"), content, dry_run=True, ending=ending)
    assert (answer.status_code, answer.json()["field"]) == (422, "file")
