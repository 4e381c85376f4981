"""Every analysis over HTTP, on both engines: the answer, who may see it, and its account."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from server.auth.areas import put_area
from server.tables import User, UserArea
from tests.server.conftest import CHECKPOINTS, NOW, PURPOSE, Person, Site, iso, make_passage

ME, FRIEND, STRANGER = "鲁HA1001", "鲁HA2002", "鲁HA3003"


@pytest.fixture(autouse=True)
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done beside what a test does: partitions made meanwhile would move its rows."""
    monkeypatch.setattr("server.upkeep.Upkeep.start", lambda _self: None)
    monkeypatch.setattr("server.analyses.runner.JobRunner.start", lambda _self: None)


CAMERA_OF = {"kk-west": "west-1", "kk-centre": "centre-1", "kk-north": "north-1"}
DAY = timedelta(days=1)


def sent(site: Site, *sightings: tuple[str, str, datetime], **override: Any) -> None:
    """Let checkpoints see plates: (plate, checkpoint, when)."""
    passages = []
    for plate, place, at in sightings:
        one = make_passage(
            plate=plate, camera_id=CAMERA_OF[place], captured_at=at,
            vehicle_color=override.get("vehicle_color", "white"),
        )  # fmt: skip
        if "kind" in override:
            one["plate"]["kind"] = override["kind"]
        passages.append(one)
    site.catch_up(passages)


def ask(person: Person, kind: str, **values: Any) -> Any:
    body = {"kind": kind, **PURPOSE, **values}
    if kind != "collision":
        body = {"since": iso(NOW - 14 * DAY), "until": iso(NOW)} | body
    return person.post("/api/v1/analyses", body)


def found(person: Person, kind: str, **values: Any) -> list[dict[str, Any]]:
    answer = ask(person, kind, **values)
    assert answer.status_code == 200, answer.text
    findings: list[dict[str, Any]] = answer.json()["findings"]
    return findings


def rows(person: Person, kind: str, **values: Any) -> list[dict[str, Any]]:
    answer = ask(person, kind, **values)
    assert answer.status_code == 200, answer.text
    given: list[dict[str, Any]] = answer.json()["rows"]
    return given


ROAD = ("kk-west", "kk-centre", "kk-north")


def drive(plate: str, days: range, delay_s: float = 0, hour: float = 0) -> Iterator[Any]:
    """West to north once a day, twenty minutes each."""
    for day in days:
        for n, place in enumerate(ROAD):
            at = NOW - 10 * DAY + day * DAY + timedelta(hours=hour, minutes=20 * n, seconds=delay_s)
            yield plate, place, at


def test_companions_are_ranked_and_shown_with_their_passages(site: Site) -> None:
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(4), 8))
    # the stranger passes every half hour, and so near me every day
    sent(site, *(one for n in range(12) for one in drive(STRANGER, range(5), 20, n * 0.5 - 3)))
    officer = site.as_role("officer")
    first, *others = found(officer, "companions", plate=ME)
    assert (first["plate"], first["other_plate"]) == (ME, FRIEND)
    assert first["reasons"][0]["facts"]["meetings"] == 4
    assert first["reasons"][0]["facts"]["count"] == 12
    assert {p["plate"] for p in first["passages"]} == {ME, FRIEND}
    assert all(one["score"] < first["score"] for one in others)


def test_a_plate_at_two_places_at_once_is_a_clone(site: Site) -> None:
    at = NOW - DAY
    sent(site, (ME, "kk-west", at), (ME, "kk-north", at + timedelta(seconds=50)),
         (ME, "kk-centre", at + timedelta(seconds=70)),
         (ME, "kk-west", at + timedelta(seconds=90)))  # fmt: skip
    sent(site, *drive(FRIEND, range(3)))
    (one,) = found(site.as_role("operator"), "clones", plate=ME)
    assert one["reasons"][0]["code"].startswith("cause_")
    conflict = next(r["facts"] for r in one["reasons"] if r["code"] == "conflict")
    assert conflict["kmh"] > 150
    assert conflict["seconds"] < conflict["needs"]
    assert found(site.as_role("operator"), "clones", plate=FRIEND) == []


def conditions(*places: str, at: datetime, length: timedelta = timedelta(hours=1)) -> list[Any]:
    return [
        {"where": {"checkpoint_ids": [place]}, "since": iso(at), "until": iso(at + length)}
        for place in places
    ]


def test_a_collision_gives_the_plates_of_all_places_or_of_m_of_them(site: Site) -> None:
    at = NOW - DAY
    sent(site, *((ME, place, at + timedelta(minutes=n)) for n, place in enumerate(ROAD)))
    sent(site, (FRIEND, "kk-west", at), (FRIEND, "kk-north", at + timedelta(minutes=9)))
    sent(site, (STRANGER, "kk-west", at), (STRANGER, "kk-north", at + timedelta(minutes=61)))
    officer = site.as_role("officer")
    places = conditions(*ROAD, at=at)
    assert [f["plate"] for f in found(officer, "collision", conditions=places)] == [ME]
    two = found(officer, "collision", conditions=places, at_least=2)
    assert [(f["plate"], f["reasons"][0]["facts"]["which"]) for f in two] == [
        (ME, "1, 2, 3"),
        (FRIEND, "1, 3"),
    ]
    assert [p["checkpoint"]["id"] for p in two[0]["passages"]] == list(ROAD)


def test_who_was_not_seen_for_long_is_a_first_entry(site: Site) -> None:
    sent(site, (ME, "kk-west", NOW - DAY), (FRIEND, "kk-west", NOW - DAY))
    sent(site, (FRIEND, "kk-north", NOW - 9 * DAY), (STRANGER, "kk-west", NOW - 20 * DAY))
    findings = found(
        site.as_role("officer"), "first_entry", where={"checkpoint_ids": ["kk-west"]},
        quiet_days=30, since=iso(NOW - 2 * DAY),
    )  # fmt: skip
    assert [f["plate"] for f in findings] == [ME]


def test_who_passes_often_enough_is_frequent(site: Site) -> None:
    sent(site, *((ME, "kk-west", NOW - DAY + timedelta(minutes=n)) for n in range(5)))
    sent(site, *((FRIEND, "kk-west", NOW - DAY + timedelta(minutes=n)) for n in range(4)))
    findings = found(
        site.as_role("officer"), "frequent", where={"circle": "116.5,35.4,500"}, at_least=5
    )
    assert [(f["plate"], f["score"]) for f in findings] == [(ME, 5.0)]


def test_nights_are_those_of_the_place(site: Site) -> None:
    """Half past five in the afternoon UTC is half past one at night in Shanghai."""
    night = NOW.replace(hour=17, minute=30) - 5 * DAY
    sent(site, *((ME, "kk-west", night + n * DAY) for n in range(3)))
    (one,) = found(site.as_role("officer"), "nocturnal", plate=ME)
    facts = one["reasons"][0]["facts"]
    assert (facts["nights"], facts["in_a_row"], facts["percent"]) == (3, 3, 100)


def test_a_place_of_stay_is_where_it_is_seen_again_after_hours(site: Site) -> None:
    for day in range(3):
        at = NOW - 9 * DAY + day * DAY
        sent(site, (ME, "kk-west", at), (ME, "kk-north", at + timedelta(minutes=30)),
             (ME, "kk-north", at + timedelta(hours=9)))  # fmt: skip
    (one,) = found(site.as_role("officer"), "stays", plate=ME)
    assert one["reasons"][0]["facts"]["checkpoint"] == "kk-north"
    assert one["reasons"][0]["facts"]["stays"] == 3


def test_who_is_never_read_where_all_others_are_hides(site: Site) -> None:
    for n in range(25):
        sent(site, *drive(f"鲁HB{n:04d}", range(9, 10), 30 * n))
    for day in range(4, 10):
        at = NOW - 10 * DAY + day * DAY
        sent(site, (ME, "kk-west", at), (ME, "kk-north", at + timedelta(minutes=40)))
    (one,) = found(site.as_role("officer"), "hidden", plate=ME)
    assert one["reasons"][0]["facts"]["checkpoint"] == "kk-centre"
    assert one["reasons"][0]["facts"]["missed"] == 6


def test_the_average_over_a_section_is_held_against_the_limit(site: Site) -> None:
    at = NOW - DAY
    sent(site, (ME, "kk-west", at), (ME, "kk-centre", at + timedelta(seconds=270)))
    sent(site, (FRIEND, "kk-west", at), (FRIEND, "kk-centre", at + timedelta(seconds=600)))
    findings = found(
        site.as_role("officer"), "section_speed", from_id="kk-west", to_id="kk-centre",
        length_m=9000, limit_kmh=80, since=iso(NOW - 2 * DAY),
    )  # fmt: skip
    assert [(f["plate"], f["reasons"][0]["facts"]["kmh"]) for f in findings] == [(ME, 120.0)]


def test_flow_counts_by_hour_lane_and_kind_beside_the_week_before(site: Site) -> None:
    at = NOW.replace(minute=0) - DAY
    sent(site, *((f"鲁HC{n:04d}", "kk-west", at + timedelta(minutes=n)) for n in range(6)))
    sent(
        site, *((f"鲁HC{n:04d}", "kk-west", at - 7 * DAY + timedelta(minutes=n)) for n in range(4))
    )
    (row,) = rows(site.as_role("operator"), "flow", where={"checkpoint_ids": ["kk-west"]},
                  since=iso(at), until=iso(at + timedelta(hours=1)))  # fmt: skip
    assert (row["vehicles"], row["week_before"]) == (6, 4)
    assert row["lanes"] == {"1": 6}
    assert row["kinds"] == {"small": 6}
    assert datetime.fromisoformat(row["hour_at"]) == at


def test_travel_times_beside_the_week_before(site: Site) -> None:
    at = NOW - DAY
    for n in range(4):
        for before, minutes in ((timedelta(0), 20), (7 * DAY, 10)):
            start = at - before + timedelta(minutes=n)
            sent(site, (f"鲁HD{n:04d}", "kk-west", start),
                 (f"鲁HD{n:04d}", "kk-centre", start + timedelta(minutes=minutes)))  # fmt: skip
    (row,) = rows(site.as_role("operator"), "travel_times", since=iso(NOW - 2 * DAY),
                  where={"checkpoint_ids": ["kk-west", "kk-centre"]})  # fmt: skip
    assert (row["from_id"], row["to_id"], row["vehicles"]) == ("kk-west", "kk-centre", 4)
    assert (row["median_s"], row["week_before_s"], row["congestion"]) == (1200.0, 600.0, 2.0)


# ---- who may see what


def test_each_answer_is_accounted_for_with_purpose_and_case(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    before = sqlite_site.count("audit_log")
    found(officer, "companions", plate=ME)
    log = sqlite_site.as_role("administrator").get("/api/v1/audit").json()
    mine = next(r for r in log if r["action"] == "analysis.ask")
    assert sqlite_site.count("audit_log") > before
    assert (mine["purpose"], mine["case_number"]) == tuple(PURPOSE.values())
    assert (mine["detail"]["kind"], mine["detail"]["plate"]) == ("companions", ME)
    nothing = sqlite_site.count("audit_log")
    refused = officer.post(
        "/api/v1/analyses",
        {"kind": "companions", "plate": ME, "since": iso(NOW - DAY), "until": iso(NOW)},
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "purpose_missing")
    assert sqlite_site.count("audit_log") == nothing


def test_a_protected_plate_is_in_nobodys_answer_but_the_custodians(site: Site) -> None:
    sent(site, *drive(ME, range(4)), *drive(FRIEND, range(4), 8))
    at = NOW - 10 * DAY
    places = conditions("kk-west", "kk-north", at=at)
    officer, custodian = site.as_role("officer"), site.as_role("custodian")
    assert len(found(officer, "companions", plate=ME)) == 1
    made = custodian.post("/api/v1/protected-plates", {"plate": FRIEND, "authority": "省厅1号"})
    assert made.status_code == 201, made.text
    assert found(officer, "companions", plate=ME) == []
    assert found(officer, "companions", plate=FRIEND) == []
    assert [f["plate"] for f in found(officer, "collision", conditions=places)] == [ME]
    assert found(officer, "nocturnal", plate=FRIEND) == []
    assert len(found(custodian, "companions", plate=ME)) == 1
    assert {f["plate"] for f in found(custodian, "collision", conditions=places)} == {ME, FRIEND}


def test_who_sees_a_part_of_the_city_is_answered_from_that_part(site: Site) -> None:
    sent(site, *drive(ME, range(4)), *drive(FRIEND, range(4), 8))
    with site.context.database.write() as session:
        put_area(session, "west", "西区", ["kk-west"], NOW)
        session.get(User, "operator").sees_everywhere = False
        session.add(UserArea(user_name="operator", area_id="west"))
    operator = site.as_role("operator")
    assert found(operator, "companions", plate=ME) == []
    (one,) = found(operator, "companions", plate=ME, min_checkpoints=1)
    assert {p["checkpoint"]["id"] for p in one["passages"]} == {"kk-west"}
    elsewhere = ask(operator, "flow", where={"checkpoint_ids": ["kk-north"]}, since=iso(NOW - DAY))
    assert (elsewhere.status_code, elsewhere.json()["field"]) == (422, "where")


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("companions", {"plate": "鲁H?2345"}, "plate"),
        ("companions", {"plate": ME, "gap_s": 0}, "gap_s"),
        ("companions", {"plate": ME, "since": iso(NOW), "until": iso(NOW - DAY)}, ""),
        ("collision", {"conditions": conditions("kk-west", at=NOW - DAY)}, "conditions"),
        ("frequent", {"where": {"checkpoint_ids": ["nowhere"]}, "until": "yesterday"}, "until"),
        ("frequent", {"where": {"circle": "1,2"}}, "circle"),
        ("flow", {"where": {}, "since": iso(NOW - 9 * DAY)}, "until"),
        ("counterfeit", {"plate": ME}, "register"),
        ("nonsense", {}, ""),
    ],
)
def test_what_cannot_be_meant_is_refused_and_named(
    sqlite_site: Site, kind: str, values: dict[str, Any], field: str
) -> None:
    answer = ask(sqlite_site.as_role("officer"), kind, **values)
    assert answer.status_code == 422, answer.text
    assert field in (answer.json().get("field") or "")


def test_the_checkpoints_of_the_tests_are_far_enough_apart_for_clones() -> None:
    assert {place.id for place in CHECKPOINTS} == set(CAMERA_OF)
