"""One vehicle at one place is one alert; somebody answers for it; it is signed once."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.alerts.states import (
    AlertState,
    AlertStep,
    StepNotPossibleError,
    after_step,
    steps_from,
)
from tests.server.conftest import NOW, Site, jpeg, make_passage, sha256


@given(st.lists(st.sampled_from(AlertStep), max_size=6))
def test_no_walk_through_the_steps_closes_what_was_not_signed(steps: list[AlertStep]) -> None:
    state = AlertState.NEW
    taken: list[AlertStep] = []
    for step in steps:
        if step not in steps_from(state):
            with pytest.raises(StepNotPossibleError):
                after_step(state, step)
            continue
        state = after_step(state, step)
        taken.append(step)
    assert taken == [AlertStep.SIGN, AlertStep.CLOSE][: len(taken)]


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
    person.post(f"/api/v1/alerts/{alert_id}/sign")
    person.post(f"/api/v1/alerts/{alert_id}/close", {"outcome": "wrong vehicle"})
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
    closed = person.post(f"/api/v1/alerts/{alert_id}/close", {"outcome": "intercepted"}).json()
    assert (closed["state"], closed["outcome"], closed["closed_by"]) == (
        "closed",
        "intercepted",
        "operator",
    )


def test_without_a_word_the_signers_own_badge_stands(site: Site) -> None:
    alert_id = raised(site)
    signed = site.as_role("operator").post(f"/api/v1/alerts/{alert_id}/sign").json()
    assert (signed["badge_number"], signed["unit"]) == ("37080001", "指挥中心")


def test_only_the_first_of_many_signatures_counts(site: Site) -> None:
    alert_id = raised(site)
    people = [site.as_role(role) for role in ("operator", "officer", "administrator")] * 2
    barrier = threading.Barrier(len(people))
    statuses: list[int] = []

    def sign(number: int) -> None:
        barrier.wait()
        answer = people[number].post(
            f"/api/v1/alerts/{alert_id}/sign", {"badge_number": str(number), "unit": "u"}
        )
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=sign, args=(n,)) for n in range(len(people))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, *[409] * 5]
    with site.context.database.read() as session:
        from server import audit  # noqa: PLC0415

        signs = [r for r in audit.recent(session) if r.action == "alert.sign"]
    (alert,) = site.as_role("operator").alerts()
    assert [r.detail["badge_number"] for r in signs] == [alert["badge_number"]]


def test_an_alert_is_not_closed_before_it_is_signed_and_not_twice(site: Site) -> None:
    alert_id = raised(site)
    person = site.as_role("operator")
    close = {"outcome": "nothing"}
    assert person.post(f"/api/v1/alerts/{alert_id}/close", close).status_code == 409
    person.post(f"/api/v1/alerts/{alert_id}/sign")
    assert person.post(f"/api/v1/alerts/{alert_id}/close", {"outcome": " "}).status_code == 422
    assert person.post(f"/api/v1/alerts/{alert_id}/close", close).status_code == 200
    assert person.post(f"/api/v1/alerts/{alert_id}/close", close).status_code == 409
    assert person.post("/api/v1/alerts/999/sign").status_code == 404


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
