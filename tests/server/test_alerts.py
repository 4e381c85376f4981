"""One vehicle at one place is one alert; somebody answers for it; it is signed once."""

import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from server import audit
from server.alerts.overdue import raise_overdue
from server.alerts.routes import events_after
from server.alerts.service import AlertFilter
from server.alerts.states import (
    AlertState,
    AlertStep,
    StepNotPossibleError,
    after_step,
    rank_due,
    steps_from,
)
from server.alerts.statistics import pairs_of
from server.settings import Settings
from tests.server.conftest import (
    NOW,
    Person,
    Site,
    SteppingClock,
    jpeg,
    make_passage,
    serving,
    sha256,
)


@given(st.lists(st.sampled_from(AlertStep), max_size=12))
def test_no_walk_through_the_steps_leaves_out_signature_feedback_or_its_signature(
    steps: list[AlertStep],
) -> None:
    """Whatever was tried: closed means signed before, fed back after that, and noted at last."""
    state = AlertState.NEW
    taken: list[AlertStep] = []
    for step in steps:
        if step not in steps_from(state):
            with pytest.raises(StepNotPossibleError):
                after_step(state, step)
            continue
        state = after_step(state, step)
        taken.append(step)
    assert taken[:1] in ([], [AlertStep.SIGN])
    assert taken.count(AlertStep.SIGN) <= 1
    if AlertStep.CLOSE in taken:
        assert taken[-2:] == [AlertStep.SIGN_FEEDBACK, AlertStep.CLOSE]
        assert AlertStep.FEEDBACK in taken[1:-2]
        assert state is AlertState.CLOSED
    if state is AlertState.CLOSED:
        assert steps_from(state) == ()


@given(st.floats(0, 1e6), st.floats(1, 1e4), st.integers(0, 9))
def test_an_unsigned_alert_rises_once_with_each_span_and_never_falls(
    waited_s: float, overdue_s: float, highest: int
) -> None:
    def rank(seconds: float) -> int:
        return rank_due(NOW, NOW + timedelta(seconds=seconds), overdue_s, highest)

    assert 0 <= rank(waited_s) <= rank(waited_s + overdue_s) <= highest
    assert rank(waited_s + overdue_s) - rank(waited_s) <= 2  # a microsecond may be rounded away
    assert rank(overdue_s * 0.999) == 0
    assert rank(overdue_s * 1.001) == min(1, highest)


@pytest.fixture(autouse=True)
def nobody_looks_but_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own look at what is overdue would come at moments of its choosing."""
    monkeypatch.setattr("server.alerts.overdue.LOOK_EVERY_S", 3_600)


CLOSE = {"outcome": "移交办案单位"}
ORDER = {"unit": "一大队", "text": "在迎宾大道东口拦截"}


def end(person: Person, alert_id: int, finding: str = "intercepted", *, outcome: str = "x",
        true_plate: str = "") -> Any:  # fmt: skip
    """Take an alert through all its steps."""
    path = f"/api/v1/alerts/{alert_id}"
    person.post(f"{path}/sign")
    person.post(f"{path}/feedback", {"finding": finding, "text": "x", "true_plate": true_plate})
    person.post(f"{path}/feedback/sign")
    return person.post(f"{path}/close", {"outcome": outcome})


def raised(site: Site) -> int:
    """Raise one alert and give its identifier."""
    site.as_role("officer").watch("鲁H12345")
    site.post(make_passage())
    return site.as_role("operator").alerts()[0]["id"]


def test_an_alert_shows_what_raised_it(site: Site) -> None:
    scene, plate = jpeg("scene"), jpeg("plate")
    site.put(scene)
    site.put(plate)
    site.as_role("officer").watch("鲁H12345", level=1, reason="kidnapping", case_number="K7")
    passage = make_passage(pictures=[scene, plate])
    site.post(passage)
    (alert,) = site.as_role("operator").alerts()
    assert alert["passage_id"] == passage["passage_id"]
    assert [p["url"].partition("?")[0] for p in alert["evidence"]] == [
        f"/evidence/{sha256(scene)}",
        f"/evidence/{sha256(plate)}",
    ]
    assert (alert["reason"], alert["case_number"], alert["level"]) == ("kidnapping", "K7", 1)
    assert alert["plate_score"] == 0.97
    assert alert["rings"] is True


def test_the_same_vehicle_seen_again_there_does_not_ring_again(site: Site) -> None:
    alert_id = raised(site)
    for seconds, camera in ((5, "west-2"), (110, "west-1"), (200, "west-2")):
        site.post(make_passage(captured_at=NOW + timedelta(seconds=seconds), camera_id=camera))
    (alert,) = site.as_role("operator").alerts()
    assert (alert["id"], alert["sightings"]) == (alert_id, 4)
    assert alert["last_seen_at"] == "2026-11-22T10:18:20Z"


def test_it_rings_again_elsewhere_and_later(site: Site) -> None:
    raised(site)
    site.post(make_passage(camera_id="centre-1"))
    site.post(make_passage(captured_at=NOW + timedelta(seconds=121)))
    assert len(site.as_role("operator").alerts()) == 3


def test_it_rings_again_after_it_was_closed(site: Site) -> None:
    alert_id = raised(site)
    person = site.as_role("operator")
    end(person, alert_id, "wrong_vehicle")
    site.post(make_passage(captured_at=NOW + timedelta(seconds=5)))
    assert [a["state"] for a in person.alerts()] == ["new", "closed"]


def test_a_repeated_delivery_rings_once(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    passage = make_passage()
    site.post(passage)
    site.post(passage)
    (alert,) = site.as_role("operator").alerts()
    assert alert["sightings"] == 1


def test_backlog_makes_a_record_and_rings_no_bell(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    site.post(make_passage(captured_at=NOW + timedelta(seconds=1)), delivery="backlog")
    person = site.as_role("operator")
    (alert,) = person.alerts()
    assert (alert["delivery"], alert["rings"]) == ("backlog", False)
    site.post(make_passage(captured_at=NOW + timedelta(seconds=2)))
    assert [a["rings"] for a in person.alerts()] == [True, False], "a live one is not swallowed"


def test_two_cameras_at_once_raise_one_alert(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    barrier = threading.Barrier(6)

    def send(camera: str) -> None:
        barrier.wait()
        assert site.outcomes(make_passage(camera_id=camera)) == ["accepted"]

    threads = [threading.Thread(target=send, args=(("west-1", "west-2")[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (alert,) = site.as_role("operator").alerts()
    assert alert["sightings"] == 6


# ---- signing and closing


def test_signing_names_badge_and_unit_and_closing_the_outcome(site: Site) -> None:
    alert_id = raised(site)
    person = site.as_role("operator")
    site.clock.advance(30)
    signed = person.post(
        f"/api/v1/alerts/{alert_id}/sign", {"badge_number": "37080099", "unit": "一大队"}
    ).json()
    assert (signed["state"], signed["badge_number"], signed["unit"], signed["signed_by"]) == (
        "signed",
        "37080099",
        "一大队",
        "operator",
    )
    assert signed["signed_at"] == "2026-11-22T10:15:30Z"
    assert signed["rings"] is False
    closed = end(person, alert_id, outcome="移交刑警").json()
    assert (closed["state"], closed["outcome"], closed["closed_by"]) == (
        "closed",
        "移交刑警",
        "operator",
    )


def test_without_a_word_the_signers_own_badge_stands(site: Site) -> None:
    alert_id = raised(site)
    signed = site.as_role("operator").post(f"/api/v1/alerts/{alert_id}/sign").json()
    assert (signed["badge_number"], signed["unit"]) == ("37080001", "指挥中心")


def test_an_alert_is_not_closed_before_its_feedback_is_signed_and_not_twice(site: Site) -> None:
    alert_id = raised(site)
    person = site.as_role("operator")
    path = f"/api/v1/alerts/{alert_id}"
    found = {"finding": "lost", "text": "未拦截到"}
    assert person.post(f"{path}/close", CLOSE).status_code == 409
    assert person.post(f"{path}/feedback", found).status_code == 409
    assert person.post(f"{path}/dispatch", ORDER).status_code == 409
    person.post(f"{path}/sign")
    assert person.post(f"{path}/close", CLOSE).status_code == 409
    assert person.post(f"{path}/feedback/sign").status_code == 409
    assert person.post(f"{path}/feedback", found).json()["state"] == "feedback"
    assert person.post(f"{path}/close", CLOSE).status_code == 409
    assert person.post(f"{path}/feedback/sign").json()["state"] == "feedback_signed"
    assert person.post(f"{path}/close", {"outcome": " "}).status_code == 422
    assert person.post(f"{path}/close", CLOSE).status_code == 200
    assert person.post(f"{path}/close", CLOSE).status_code == 409
    assert person.post(f"{path}/dispatch", ORDER).status_code == 409
    assert person.post("/api/v1/alerts/999/sign").status_code == 404


def test_the_whole_life_of_an_alert_stands_in_its_story_and_on_the_audit_log(site: Site) -> None:
    """Each step leaves its own record, in order, with who, what and when."""
    alert_id = raised(site)
    person = site.as_role("operator")
    path = f"/api/v1/alerts/{alert_id}"
    person.post(f"{path}/sign")
    site.clock.advance(10)
    person.post(f"{path}/dispatch", ORDER)
    person.post(f"{path}/dispatch", {"unit": "二大队", "text": "在北二路口设卡"})
    person.post(f"{path}/feedback", {"finding": "lost", "text": "一大队未发现"})
    person.post(f"{path}/feedback", {"finding": "intercepted", "text": "二大队拦截成功"})
    person.post(f"{path}/feedback/sign")
    person.post(f"{path}/close", CLOSE)
    story = person.get(path).json()
    assert [(o["unit"], o["given_by"]) for o in story["orders"]] == [
        ("一大队", "operator"), ("二大队", "operator"),
    ]  # fmt: skip
    assert [(f["finding"], f["signed_by"]) for f in story["feedback"]] == [
        ("lost", "operator"), ("intercepted", "operator"),
    ]  # fmt: skip
    assert story["steps"] == []
    with site.context.database.read() as session:
        steps = [r.action for r in reversed(audit.recent(session)) if r.action[:6] == "alert."]
    assert steps == ["alert.sign", "alert.dispatch", "alert.dispatch", "alert.feedback",
                     "alert.feedback", "alert.sign_feedback", "alert.close"]  # fmt: skip


@pytest.mark.parametrize("step", ["sign", "feedback/sign", "close"])
def test_of_many_hands_on_one_step_exactly_one_is_first(site: Site, step: str) -> None:
    """Whoever comes second is told so, and the audit log knows of one."""
    alert_id = raised(site)
    path = f"/api/v1/alerts/{alert_id}"
    first = site.as_role("operator")
    if step != "sign":
        first.post(f"{path}/sign")
        first.post(f"{path}/feedback", {"finding": "other", "text": "x"})
    if step == "close":
        first.post(f"{path}/feedback/sign")
    people = [site.as_role(role) for role in ("operator", "officer", "administrator")] * 2
    barrier = threading.Barrier(len(people))
    statuses: list[int] = []

    def take(number: int) -> None:
        body = {"sign": {"badge_number": str(number), "unit": "u"}, "close": CLOSE}.get(step)
        barrier.wait()
        statuses.append(people[number].post(f"{path}/{step}", body).status_code)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(len(people))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, *[409] * 5]
    action = {"sign": "alert.sign", "feedback/sign": "alert.sign_feedback", "close": "alert.close"}
    with site.context.database.read() as session:
        assert [r.action for r in audit.recent(session)].count(action[step]) == 1


def test_feedback_says_what_is_wrong_with_it_and_changes_nothing(site: Site) -> None:
    alert_id = raised(site)
    person = site.as_role("operator")
    path = f"/api/v1/alerts/{alert_id}"
    person.post(f"{path}/sign")
    for body, field in (
        ({"finding": "lost", "text": " "}, "feedback"),
        ({"finding": "lost", "text": "x", "true_plate": "鲁H12346"}, "true_plate"),
        ({"finding": "misread", "text": "x", "true_plate": "鲁H12345"}, "true_plate"),
        ({"finding": "nothing", "text": "x"}, "finding"),
    ):
        answer = person.post(f"{path}/feedback", body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    story = person.get(path).json()
    assert (story["alert"]["state"], story["feedback"]) == ("signed", [])


@pytest.mark.parametrize(
    ("path", "text", "taken"), [("/feedback", "feedback", 303), ("/api/v1/feedback", "text", 200)]
)
def test_feedback_brings_pictures_which_only_those_see_who_see_the_alert(
    site: Site, path: str, text: str, taken: int
) -> None:
    """From the page and from a program alike."""
    alert_id = raised(site)
    person = site.as_role("operator")
    person.post(f"/api/v1/alerts/{alert_id}/sign")
    form = {"csrf_token": person.csrf["X-CSRF-Token"], "finding": "intercepted", text: "拦截"}
    photo = jpeg("photo", 640, 480)

    def send(*files: bytes) -> int:
        parts = [("pictures", (f"{n}.jpg", data, "image/jpeg")) for n, data in enumerate(files)]
        answer = person.client.post(
            f"{path}/{alert_id}", data=form, files=parts, headers=person.csrf,
            follow_redirects=False,
        )  # fmt: skip
        return answer.status_code

    assert send(b"<svg onload=alert(1)>") == 422
    assert send(*[photo] * 7) == 422
    assert send(photo) == taken
    (feedback,) = person.get(f"/api/v1/alerts/{alert_id}").json()["feedback"]
    (picture,) = feedback["pictures"]
    answer = person.get(picture["url"])
    assert (answer.content, answer.headers["content-type"]) == (photo, "image/jpeg")
    site.as_role("custodian").post(
        "/api/v1/protected-plates", {"plate": "鲁H12345", "authority": "省厅〔2026〕17号"}
    )
    assert person.get(picture["url"]).status_code == 404


# ---- nobody signs


def overdue(site: Site) -> list[int]:
    risen = raise_overdue(site.context.database, site.settings, site.clock())
    return [one.rank for one in risen]


def test_who_is_not_signed_in_time_rises_level_by_level_and_the_log_says_so(site: Site) -> None:
    raised(site)
    assert overdue(site) == []
    site.clock.advance(119)
    assert overdue(site) == []
    site.clock.advance(1)
    assert overdue(site) == [1]
    assert overdue(site) == [], "once"
    site.clock.advance(3_600)
    assert overdue(site) == [2], "as far as it goes, however long nobody looked"
    (alert,) = site.as_role("operator").alerts()
    assert (alert["rank"], alert["rings"]) == (2, True)
    with site.context.database.read() as session:
        found = [r for r in audit.recent(session) if r.action == "alert.escalate"]
    assert [(r.user_name, r.detail["rank"]) for r in found] == [("server", 2), ("server", 1)]


def test_a_signed_or_backlogged_alert_never_rises(site: Site) -> None:
    alert_id = raised(site)
    site.post(make_passage(camera_id="centre-1"), delivery="backlog")
    site.as_role("operator").post(f"/api/v1/alerts/{alert_id}/sign")
    site.clock.advance(3_600)
    assert overdue(site) == []


def test_many_servers_that_look_at_once_let_an_alert_rise_once(site: Site) -> None:
    raised(site)
    site.clock.advance(121)
    barrier = threading.Barrier(4)
    risen: list[int] = []

    def look() -> None:
        barrier.wait()
        risen.extend(overdue(site))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert risen == [1]


def test_a_server_lets_alerts_rise_by_itself_and_counts_them(
    sqlite_settings: Settings, clock: SteppingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.alerts.overdue.LOOK_EVERY_S", 0.05)
    with serving(sqlite_settings, clock) as site:
        raised(site)
        site.clock.advance(121)
        until = time.monotonic() + 60
        counted = ("kakou_alerts_overdue 1.0", 'kakou_alerts_risen_total{rank="1"} 1.0')
        while not all(line in numbers(site) for line in counted):  # one after the other
            assert time.monotonic() < until
            time.sleep(0.05)
        assert site.as_role("operator").alerts()[0]["rank"] == 1


def numbers(site: Site) -> str:
    return generate_latest(site.context.metrics.registry).decode()


def test_the_stream_tells_a_rise_from_a_step(site: Site) -> None:
    """The wall rings again for what has risen, and not for what somebody has signed."""
    raised(site)
    person = site.as_role("operator")
    token = person.client.cookies["kakou_session"]
    seen = person.get("/api/v1/alerts").json()["cursor"]
    site.clock.advance(121)
    overdue(site)
    (event,) = events_after(site.context, seen, token, AlertFilter())
    assert event.name == "alert-risen"
    person.post(f"/api/v1/alerts/{json.loads(event.data)['id']}/sign")
    (event,) = events_after(site.context, event.seq, token, AlertFilter())
    assert event.name == "alert-changed"


# ---- who wants to see which


def test_list_and_stream_show_what_the_filter_asks_for(site: Site) -> None:
    officer, administrator = site.as_role("officer"), site.as_role("administrator")
    officer.watch("鲁H12345", level=1)
    officer.watch("鲁H54321", level=3)
    administrator.client.put(
        "/api/v1/areas/west",
        json={"name": "西区", "checkpoint_ids": ["kk-west"]},
        headers=administrator.csrf,
    )
    site.post(make_passage())
    site.post(make_passage(plate="鲁H54321", camera_id="centre-1"))
    token = officer.client.cookies["kakou_session"]

    def plates(**query: Any) -> list[str]:
        return [a["plate"] for a in officer.get("/api/v1/alerts", **query).json()["alerts"]]

    def streamed(wanted: AlertFilter) -> list[str]:
        events = events_after(site.context, 0, token, wanted)
        return [json.loads(event.data)["plate"] for event in events]

    assert plates(level=[1]) == streamed(AlertFilter(frozenset({1}))) == ["鲁H12345"]
    assert plates(level=[1, 3]) == ["鲁H54321", "鲁H12345"]
    assert plates(area="west") == streamed(AlertFilter(area_id="west")) == ["鲁H12345"]
    # nobody has signed yet: a unit's wall shows what its own people have asked for
    assert plates(unit="指挥中心") == ["鲁H54321", "鲁H12345"]
    assert streamed(AlertFilter(unit="指挥中心")) == ["鲁H12345", "鲁H54321"]
    assert plates(unit="一大队") == streamed(AlertFilter(unit="一大队")) == []
    (first, _) = officer.get("/api/v1/alerts").json()["alerts"]
    officer.post(f"/api/v1/alerts/{first['id']}/sign", {"badge_number": "1", "unit": "一大队"})
    officer.post(f"/api/v1/alerts/{first['id']}/dispatch", {"unit": "二大队", "text": "设卡"})
    for unit in ("一大队", "二大队"):
        assert plates(unit=unit) == ["鲁H54321"]
    assert plates(unit="三大队") == []


def test_a_secret_entrys_alerts_reach_only_the_people_it_names(site: Site) -> None:
    """Not in the list, not in the stream, not by number, and not to be signed."""
    supervisor = site.as_role("supervisor")
    entry_id = site.as_role("officer").watch("鲁H12345", secret=True, people=["supervisor"])
    site.post(make_passage())
    (alert,) = supervisor.alerts()
    assert (alert["entry_id"], alert["secret"]) == (entry_id, True)
    path = f"/api/v1/alerts/{alert['id']}"
    for role in ("operator", "custodian", "administrator"):
        person = site.as_role(role)
        token = person.client.cookies["kakou_session"]
        assert person.alerts() == []
        assert events_after(site.context, 0, token, AlertFilter()) == []
        assert person.get(path).status_code == 404
        assert person.post(f"{path}/sign").status_code == 404
        assert "鲁H12345" not in person.get("/wall").text
    token = supervisor.client.cookies["kakou_session"]
    assert len(events_after(site.context, 0, token, AlertFilter())) == 1
    assert supervisor.post(f"{path}/sign").status_code == 200


def test_an_alert_shows_where_its_plate_was_seen_lately_as_far_as_one_may_see(site: Site) -> None:
    site.post(make_passage(captured_at=NOW - timedelta(minutes=9), camera_id="north-1"))
    site.post(make_passage(captured_at=NOW - timedelta(days=2), camera_id="north-1"))
    alert_id = raised(site)
    story = site.as_role("operator").get(f"/api/v1/alerts/{alert_id}").json()
    assert [seen["checkpoint"]["id"] for seen in story["lately"]] == ["kk-west", "kk-north"]


# ---- how right they were


def test_false_hits_are_counted_by_entry_checkpoint_and_pair_of_characters(site: Site) -> None:
    officer = site.as_role("officer")
    entry_id = officer.watch("鲁H12345")
    for seconds, camera, finding, true in (
        (0, "west-1", "misread", "鲁H12B45"),
        (1, "centre-1", "misread", ""),
        (2, "north-1", "intercepted", ""),
    ):
        site.post(make_passage(captured_at=NOW + timedelta(seconds=seconds), camera_id=camera))
        alert_id = officer.alerts()[0]["id"]
        end(officer, alert_id, finding, true_plate=true)
    site.clock.advance(1)
    found = officer.get("/api/v1/alerts/statistics").json()
    assert found["whole"] == {"alerts": 3, "answered": 3, "misread": 2, "wrong_vehicle": 0,
                              "intercepted": 1}  # fmt: skip
    assert [(e["entry_id"], e["tally"]["misread"]) for e in found["entries"]] == [(entry_id, 2)]
    places = {c["checkpoint"]["id"]: c["tally"]["misread"] for c in found["checkpoints"]}
    assert places == {"kk-west": 1, "kk-centre": 1, "kk-north": 0}
    assert found["pairs"] == [{"true": "B", "taken": "3", "times": 1}]


@pytest.mark.parametrize(
    ("read", "wanted", "true", "pairs"),
    [
        ("鲁H12345", "", "鲁H12B45", [("B", "3")]),
        ("鲁H8234B", "鲁H82348", "", [("B", "8")]),
        ("鲁H8234B", "鲁H82348", "鲁H82343", [("3", "8")]),
        ("鲁H12345", "", "", []),
    ],
)
def test_a_misread_counts_for_what_was_on_the_plate_and_what_it_was_taken_for(
    read: str, wanted: str, true: str, pairs: list[tuple[str, str]]
) -> None:
    match = {"wanted": wanted, "differences": [{"read": "B", "wanted": "8"}]} if wanted else {}
    assert [(p.true, p.taken) for p in pairs_of([(read, match, true)])] == pairs


def test_lists_go_on_page_by_page_and_by_state(site: Site) -> None:
    officer = site.as_role("officer")
    for number in range(5):
        officer.watch(f"鲁H0000{number}")
        site.post(make_passage(plate=f"鲁H0000{number}"))
    first = officer.get("/api/v1/alerts", limit=3).json()
    ids = [a["id"] for a in first["alerts"]]
    rest = officer.get("/api/v1/alerts", limit=3, before_id=ids[-1]).json()
    ids += [a["id"] for a in rest["alerts"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 5
    officer.post(f"/api/v1/alerts/{ids[0]}/sign")
    assert len(officer.get("/api/v1/alerts", state="new").json()["alerts"]) == 4
    assert len(officer.get("/api/v1/alerts", state=["new", "signed"]).json()["alerts"]) == 5
