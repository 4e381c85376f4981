"""Who may see what: areas, protected plates, age; in every place where passages are shown."""

from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from server import audit
from server.alerts.routes import events_after
from server.alerts.service import AlertFilter
from server.auth.accounts import set_areas
from server.auth.areas import put_area
from server.auth.guards import SESSION_COOKIE
from server.passages.pictures import evidence_views
from server.protection import matches
from server.tables import Passage
from tests.server.conftest import (
    NOW,
    PURPOSE,
    Person,
    Site,
    iso,
    jpeg,
    make_passage,
    serving,
    sha256,
)

SECRET = "鲁H00001"
OTHER = "鲁H12345"
DAYS_AGO = timedelta(days=1)


def protect(site: Site, plate: str = SECRET) -> Person:
    """Have the custodian protect a plate; gives him."""
    custodian = site.as_role("custodian")
    answer = custodian.post(
        "/api/v1/protected-plates", {"plate": plate, "authority": "省厅〔2026〕17号"}
    )
    assert answer.status_code == 201, answer.text
    return custodian


def plates(person: Person, **params) -> list[str]:
    answer = person.get("/api/v1/passages", **params)
    assert answer.status_code == 200, answer.text
    return [passage["plate"] for passage in answer.json()["passages"]]


def stops(person: Person, plate: str) -> int:
    return len(person.get(f"/api/v1/trajectories/{plate}", **PURPOSE).json()["stops"])


def only(site: Site, name: str, *checkpoint_ids: str) -> None:
    """Let a user see one area with these checkpoints."""
    with site.context.database.write() as session:
        put_area(session, "his", "他的辖区", checkpoint_ids, NOW)
        set_areas(session, name, ["his"])


# ---- protected plates


def test_a_protected_plate_is_nowhere_but_before_the_custodian(site: Site) -> None:
    """Browsed, searched whole, by pattern, as a route, opened, as an alert, counted: nowhere."""
    secret, other = make_passage(plate=SECRET), make_passage(plate=OTHER)
    officer = site.as_role("officer")
    officer.watch(SECRET)
    officer.watch(OTHER)
    site.post(secret, other)
    custodian = protect(site)
    everybody = [site.as_role(r) for r in ("operator", "officer", "supervisor", "administrator")]
    for person in everybody:
        assert plates(person) == [OTHER]
        assert plates(person, plate=SECRET, **PURPOSE) == []
        assert plates(person, plate="鲁H*", **PURPOSE) == [OTHER]
        assert stops(person, SECRET) == 0
        assert person.get(f"/api/v1/passages/{secret['passage_id']}").status_code == 404
        assert [alert["plate"] for alert in person.alerts()] == [OTHER]
        assert SECRET not in person.client.get("/wall").text
        chase = person.get(f"/api/v1/trajectories/{SECRET}/pursuit", **PURPOSE).json()
        assert (chase["last"], chase["pursuit"]) == (None, None)
    assert sorted(plates(custodian)) == [SECRET, OTHER]
    assert plates(custodian, plate=SECRET, **PURPOSE) == [SECRET]
    assert stops(custodian, SECRET) == 1
    chase = custodian.get(f"/api/v1/trajectories/{SECRET}/pursuit", **PURPOSE).json()
    assert chase["last"]["plate"] == SECRET
    assert custodian.get(f"/api/v1/passages/{secret['passage_id']}").status_code == 200
    assert sorted(alert["plate"] for alert in custodian.alerts()) == [SECRET, OTHER]


def test_a_picture_is_seen_by_whoever_may_see_its_passage_now(site: Site) -> None:
    """Of a protected plate, of another area, or by the hash alone: no such picture."""
    seen, foreign = jpeg("seen"), jpeg("foreign")
    for data in (seen, foreign):
        site.put(data)
    site.post(
        make_passage(plate=SECRET, pictures=[seen]),
        make_passage(plate=OTHER, camera_id="north-1", pictures=[foreign]),
    )
    officer = site.as_role("officer")
    found = officer.get("/api/v1/passages").json()["passages"]
    urls = {passage["plate"]: passage["evidence"][0]["url"] for passage in found}

    def statuses(person: Person) -> list[int]:
        addresses = [
            address
            for plate in (SECRET, OTHER)
            for address in (urls[plate], urls[plate].replace("?", "/thumbnail?"))
        ]
        return [person.get(address).status_code for address in addresses]

    assert {officer.get(url).content for url in urls.values()} == {seen, foreign}
    custodian = protect(site)
    assert statuses(officer) == [404, 404, 200, 404], "a thumbnail of what is no picture: 404"
    only(site, "officer", "kk-west")
    assert statuses(officer) == [404] * 4
    assert custodian.get(urls[SECRET]).content == seen
    of_another = urls[OTHER].replace(sha256(foreign), sha256(seen))
    assert custodian.get(of_another).status_code == 404, "not a picture of that passage"
    assert custodian.get(urls[SECRET].partition("?")[0]).status_code == 422


def test_an_old_picture_needs_an_approval_unless_an_alert_holds_it(sqlite_site: Site) -> None:
    site = sqlite_site
    officer = site.as_role("officer")
    old = NOW - timedelta(days=100)
    officer.watch(OTHER, valid_from=iso(old - DAYS_AGO))
    data = jpeg("old")
    site.put(data)
    for plate in (SECRET, OTHER):
        site.post(make_passage(plate=plate, captured_at=old, pictures=[data]), delivery="backlog")
    custodian = site.as_role("custodian")
    with site.context.database.read() as session:
        rows = {row.plate: evidence_views(row)[0].url for row in session.scalars(select(Passage))}
    for person in (officer, custodian):
        assert person.get(rows[SECRET]).status_code == 404
        assert person.get(rows[OTHER]).content == data


def apply_for(person: Person, plate: str) -> httpx.Response:
    """Ask that a plate be watched, whether that is allowed or not."""
    body = {"plate": plate, "reason": "stolen", "level": 2, "case_number": "A1"}
    return person.post("/api/v1/watchlist", body)


def test_an_answer_does_not_tell_that_there_was_something_to_hide(sqlite_site: Site) -> None:
    """A protected plate and one that never passed are answered alike, but for what was asked."""
    site = sqlite_site
    never = "鲁H00002"
    secret = make_passage(plate=SECRET)
    site.post(secret)
    protect(site)
    person = site.as_role("operator")
    for path in ("/api/v1/trajectories/{}", "/api/v1/trajectories/{}.geojson"):
        one, two = (person.get(path.format(p), **PURPOSE) for p in (SECRET, never))
        assert (one.status_code, one.text.replace(SECRET, never)) == (two.status_code, two.text)
    one, two = (person.get("/api/v1/passages", plate=p, **PURPOSE) for p in (SECRET, never))
    assert (one.status_code, one.json()) == (two.status_code, two.json())
    nothing = make_passage()["passage_id"]
    one, two = (person.get(f"/api/v1/passages/{p}") for p in (secret["passage_id"], nothing))
    assert one.status_code == two.status_code == 404
    assert one.text.replace(secret["passage_id"], nothing) == two.text


def test_a_protected_plate_is_not_watched(sqlite_site: Site) -> None:
    site = sqlite_site
    protect(site)
    refused = apply_for(site.as_role("officer"), SECRET)
    assert (refused.status_code, refused.json()["field"]) == (422, "plate")
    assert site.as_role("operator").get("/api/v1/watchlist").json() == []


def test_nobody_signs_or_hears_of_an_alert_that_he_may_not_see(sqlite_site: Site) -> None:
    site = sqlite_site
    officer = site.as_role("officer")
    officer.watch(SECRET)
    site.post(make_passage(plate=SECRET))
    (alert,) = officer.alerts()
    custodian = protect(site)
    assert officer.get(f"/api/v1/alerts/{alert['id']}").status_code == 404
    assert officer.post(f"/api/v1/alerts/{alert['id']}/sign").status_code == 404
    heard = {
        name: events_after(site.context, 0, person.client.cookies[SESSION_COOKIE], AlertFilter())
        for name, person in (("officer", officer), ("custodian", custodian))
    }
    assert heard["officer"] == []
    assert [event.seq for event in heard["custodian"]] == [alert["id"]]
    assert custodian.post(f"/api/v1/alerts/{alert['id']}/sign").status_code == 200


def test_looking_for_a_protected_plate_is_known_to_the_custodian_alone(site: Site) -> None:
    custodian = protect(site)
    officer = site.as_role("officer")
    for plate in (SECRET, "鲁H0000?", "鲁H*", "京*"):
        officer.get("/api/v1/passages", plate=plate, **PURPOSE)
    officer.get(f"/api/v1/trajectories/{SECRET}", **PURPOSE)
    assert apply_for(officer, SECRET).status_code == 422
    sought = custodian.get("/api/v1/protected-plates/sought").json()
    assert [(r["user_name"], r["action"], r["detail"]["plate"]) for r in reversed(sought)] == [
        ("officer", "passage.search", SECRET),
        ("officer", "passage.search", "鲁H0000?"),
        ("officer", "passage.search", "鲁H*"),
        ("officer", "trajectory.build", SECRET),
        ("officer", "watchlist.protected", SECRET),
    ]
    administrator = site.as_role("administrator")
    assert administrator.get("/api/v1/protected-plates/sought").status_code == 403
    shown = administrator.get("/api/v1/audit", limit=1000).json()
    assert not any("protected" in record["detail"] for record in shown)
    (custody,) = [record for record in shown if record["action"] == "protected.add"]
    assert custody["detail"] == {}, "that the custodian acted is no secret; on which plate is"
    by_plate = administrator.get("/api/v1/audit", plate=SECRET).json()
    assert not any(record["action"].startswith("protected.") for record in by_plate)
    with site.context.database.read() as session:
        assert list(audit.verify(session)) == []


def test_a_plate_that_is_lifted_is_seen_again(sqlite_site: Site) -> None:
    sqlite_site.post(make_passage(plate=SECRET))
    custodian = protect(sqlite_site)
    (entry,) = custodian.get("/api/v1/protected-plates").json()
    assert plates(sqlite_site.as_role("operator")) == []
    lifted = custodian.post(
        f"/api/v1/protected-plates/{entry['id']}/lift", {"reason": "撤销文件〔2026〕21号"}
    )
    assert lifted.json()["lifted_by"] == "custodian"
    assert plates(sqlite_site.as_role("operator")) == [SECRET]
    again = custodian.post(f"/api/v1/protected-plates/{entry['id']}/lift", {"reason": "x"})
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"plate": "鲁H0000?", "authority": "x"}, 422, "plate"),
        ({"plate": "", "authority": "x"}, 422, "plate"),
        ({"plate": SECRET, "authority": "  "}, 422, "authority"),
        ({"plate": SECRET, "authority": "x"}, 409, "plate"),
    ],
)
def test_what_cannot_be_protected_is_said(sqlite_site: Site, body, status, field) -> None:
    custodian = protect(sqlite_site)
    answer = custodian.post("/api/v1/protected-plates", body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


@given(st.text("鲁H0128", min_size=1, max_size=7), st.data())
def test_a_pattern_made_of_a_plate_means_it(plate: str, data: st.DataObject) -> None:
    """Any character may become ?, any run *; a pattern with another letter does not mean it."""
    keep = data.draw(st.integers(0, len(plate) - 1))
    pattern = "".join(
        char if i == keep else data.draw(st.sampled_from([char, "?", "*"]))
        for i, char in enumerate(plate)
    )
    assert matches(pattern, plate)
    assert not matches(pattern.replace(plate[keep], "X"), plate)
    assert not matches("*", plate)


# ---- areas


def test_an_officer_sees_his_area(site: Site) -> None:
    """Passages, routes, alerts and checkpoints elsewhere are not there for him."""
    here, there = make_passage(), make_passage(camera_id="north-1", captured_at=NOW - DAYS_AGO / 2)
    site.as_role("administrator").watch(OTHER)
    site.post(here, there)
    only(site, "officer", "kk-west")
    officer, chief = site.as_role("officer"), site.as_role("supervisor")
    assert [p["checkpoint"]["id"] for p in officer.get("/api/v1/passages").json()["passages"]] == [
        "kk-west"
    ]
    assert len(plates(officer, plate=OTHER, **PURPOSE)) == 1
    assert (stops(officer, OTHER), stops(chief, OTHER)) == (1, 2)
    assert officer.get(f"/api/v1/passages/{there['passage_id']}").status_code == 404
    assert {alert["checkpoint"]["id"] for alert in officer.alerts()} == {"kk-west"}
    assert {alert["checkpoint"]["id"] for alert in chief.alerts()} == {"kk-west", "kk-north"}
    seen = officer.get("/api/v1/checkpoints").json()
    assert [checkpoint["place"]["id"] for checkpoint in seen] == ["kk-west"]
    assert plates(officer, checkpoint_id="kk-north", plate=OTHER, **PURPOSE) == []


def test_whoever_has_no_area_sees_nothing(sqlite_site: Site) -> None:
    sqlite_site.post(make_passage())
    with sqlite_site.context.database.write() as session:
        set_areas(session, "officer", [])
    officer = sqlite_site.as_role("officer")
    assert plates(officer) == []
    assert officer.get("/api/v1/checkpoints").json() == []


# ---- age


OLD = NOW - timedelta(days=200)
ASK = PURPOSE | {"since": iso(NOW - timedelta(days=300)), "why": "并案侦查"}


def test_what_is_old_needs_the_approval_of_another_for_this_case(site: Site) -> None:
    old = make_passage(captured_at=OLD)
    site.post(old, make_passage())
    officer, chief = site.as_role("officer"), site.as_role("supervisor")
    far = {"since": iso(OLD - DAYS_AGO)}

    refused = officer.get("/api/v1/passages", plate=OTHER, **far, **PURPOSE)
    assert (refused.status_code, refused.json()["code"]) == (403, "approval_needed")
    assert len(plates(officer, plate=OTHER, **PURPOSE)) == 1, "without a date: as far as is open"
    assert stops(officer, OTHER) == 1
    assert officer.get(f"/api/v1/passages/{old['passage_id']}").status_code in {403, 404}

    asked = officer.post("/api/v1/approvals", ASK)
    assert asked.status_code == 201, asked.text
    path = f"/api/v1/approvals/{asked.json()['id']}/decision"
    assert officer.post(path, {"approve": True}).status_code == 403
    given = chief.post(path, {"approve": True, "hours": 2})
    assert (given.status_code, given.json()["decided_by"]) == (200, "supervisor")
    assert chief.post(path, {"approve": False, "note": "x"}).status_code == 409

    assert len(plates(officer, plate=OTHER, **far, **PURPOSE)) == 2
    assert stops(officer, OTHER) == 2
    assert officer.get(f"/api/v1/passages/{old['passage_id']}").status_code == 200
    another_case = PURPOSE | {"case_number": "B2"}
    assert officer.get("/api/v1/passages", plate=OTHER, **far, **another_case).status_code == 403
    further = {"since": iso(NOW - timedelta(days=400))}
    assert officer.get("/api/v1/passages", plate=OTHER, **further, **PURPOSE).status_code == 403
    assert chief.get("/api/v1/passages", plate=OTHER, **far, **PURPOSE).status_code == 403

    site.clock.advance(2 * 3600)
    officer = site.as_role("officer")
    assert officer.get("/api/v1/passages", plate=OTHER, **far, **PURPOSE).status_code == 403
    with site.context.database.read() as session:
        actions = [r.action for r in audit.recent(session) if r.action.startswith("approval.")]
    assert actions == ["approval.approve", "approval.request"]


def test_nobody_approves_his_own_request(sqlite_site: Site) -> None:
    """Not a supervisor, not an administrator; the database refuses it too."""
    for role in ("supervisor", "administrator"):
        person = sqlite_site.as_role(role)
        asked = person.post("/api/v1/approvals", ASK).json()
        answer = person.post(f"/api/v1/approvals/{asked['id']}/decision", {"approve": True})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_an_approval_for_one_plate_opens_no_other(sqlite_site: Site) -> None:
    site = sqlite_site
    site.post(make_passage(captured_at=OLD), make_passage(plate="鲁H54321", captured_at=OLD))
    officer, chief = site.as_role("officer"), site.as_role("supervisor")
    asked = officer.post("/api/v1/approvals", ASK | {"plate": " 鲁h·12345"}).json()
    chief.post(f"/api/v1/approvals/{asked['id']}/decision", {"approve": True})
    far = {"since": iso(OLD - DAYS_AGO)} | PURPOSE
    assert plates(officer, plate=OTHER, **far) == [OTHER]
    for plate in ("鲁H54321", "鲁H*"):
        assert officer.get("/api/v1/passages", plate=plate, **far).status_code == 403


def test_a_refusal_has_a_reason_and_opens_nothing(sqlite_site: Site) -> None:
    officer, chief = sqlite_site.as_role("officer"), sqlite_site.as_role("supervisor")
    asked = officer.post("/api/v1/approvals", ASK).json()
    path = f"/api/v1/approvals/{asked['id']}/decision"
    assert chief.post(path, {"approve": False}).json()["field"] == "note"
    assert chief.post(path, {"approve": True, "hours": 73}).json()["field"] == "hours"
    assert chief.post(path, {"approve": False, "note": "理由不足"}).json()["state"] == "refused"
    far = {"since": iso(OLD)} | PURPOSE
    assert officer.get("/api/v1/passages", plate=OTHER, **far).status_code == 403
    (mine,) = officer.get("/api/v1/approvals").json()
    assert mine["note"] == "理由不足"
    assert sqlite_site.as_role("operator").get("/api/v1/approvals").json() == []


# ---- cases, and how much one may ask


def test_who_answers_for_a_case_sees_who_looked_under_its_number(site: Site) -> None:
    """The first officer who names it does; naming it later lets nobody in."""
    officer, chief, second = (site.as_role(role) for role in ("officer", "supervisor", "custodian"))
    assert officer.get("/api/v1/passages", plate=OTHER, **PURPOSE).status_code == 200
    second.get("/api/v1/passages", plate="鲁H7*", **PURPOSE)
    (case,) = officer.get("/api/v1/cases").json()
    assert (case["case_number"], case["members"]) == (PURPOSE["case_number"], ["officer"])
    its = {"case_number": PURPOSE["case_number"]}
    log = officer.get("/api/v1/cases/log", **its).json()
    assert [(r["user_name"], r["detail"]["plate"]) for r in log] == [
        ("custodian", "鲁H7*"),
        ("officer", OTHER),
    ]
    assert second.get("/api/v1/cases").json() == []
    nobodys = second.get("/api/v1/cases/log", case_number="no such case")
    assert second.get("/api/v1/cases/log", **its).status_code == nobodys.status_code == 404
    assert len(chief.get("/api/v1/cases/log", **its).json()) == 2, "a supervisor sees every case"
    for name in ("operator", "nobody", "' OR 1=1 --"):
        body = its | {"user_name": name}
        assert officer.post("/api/v1/cases/members", body).json()["field"] == "user_name"
    assert (
        officer.post("/api/v1/cases/members", its | {"user_name": "custodian"}).status_code == 204
    )
    assert len(second.get("/api/v1/cases/log", **its).json()) == 3


def test_accounted_queries_have_a_limit_by_the_hour(sqlite_settings, clock) -> None:
    few = sqlite_settings.model_copy(
        update={"limits": sqlite_settings.limits.model_copy(update={"searches_per_hour": 3})}
    )
    with serving(few, clock) as site:
        officer = site.as_role("officer")
        statuses = [
            officer.get("/api/v1/passages", plate=OTHER, **PURPOSE).status_code for _ in range(4)
        ]
        assert statuses == [200, 200, 200, 429]
        assert site.as_role("operator").get("/api/v1/passages", plate=OTHER, **PURPOSE).is_success
        clock.advance(3601)
        assert site.as_role("officer").get("/api/v1/passages", plate=OTHER, **PURPOSE).is_success


def test_an_administrator_searches_the_log_and_that_is_logged(site: Site) -> None:
    operator, administrator = site.as_role("operator"), site.as_role("administrator")
    operator.get("/api/v1/passages", plate=OTHER, **PURPOSE)
    site.clock.advance(60)
    operator.get("/api/v1/passages", plate="鲁H9*", purpose="lost_property", case_number="C3")
    for params, found in (
        ({"plate": OTHER}, [OTHER]),
        ({"purpose": "lost_property"}, ["鲁H9*"]),
        ({"action": "passage"}, ["鲁H9*", OTHER]),
        ({"action": "passage.search", "until": iso(NOW + timedelta(seconds=1))}, [OTHER]),
        ({"action": "passag"}, []),
        ({"action": "passage", "since": iso(NOW + timedelta(seconds=1))}, ["鲁H9*"]),
        ({"user_name": "officer"}, []),
        ({"case_number": "' OR '1'='1"}, []),
    ):
        answer = administrator.get("/api/v1/audit", **params).json()
        assert [r["detail"]["plate"] for r in answer] == found, params
    asked = administrator.get("/api/v1/audit", action="audit.search").json()
    assert len(asked) == 8
    assert asked[-1]["detail"]["plate"] == OTHER
