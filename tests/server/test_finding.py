"""Finding by misread, by place and by looks; and that nothing new escapes the dictionary."""

import random
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from server import register
from server.errors import InvalidRequest
from server.passages import known, search
from server.passages.areas import circle_of, polygon_of
from server.passages.search import _Windows
from server.settings import Settings
from tests.server.conftest import (
    NOW,
    PURPOSE,
    Person,
    Site,
    SteppingClock,
    iso,
    make_passage,
    serving,
)


def found(person: Person, **params: Any) -> list[str]:
    answer = person.get("/api/v1/passages", **PURPOSE, **params)
    assert answer.status_code == 200, answer.text
    return [p["plate"] for p in answer.json()["passages"]]


def near(person: Person, plate: str, **params: Any) -> list[dict[str, Any]]:
    answer = person.get("/api/v1/plates", plate=plate, **PURPOSE, **params)
    assert answer.status_code == 200, answer.text
    plates: list[dict[str, Any]] = answer.json()["plates"]
    return plates


def count_now(site: Site) -> None:
    """Let the register count what waits in the journal."""
    while True:
        with site.context.database.write() as session:
            if not register.count(session, site.clock()):
                return


def test_a_misread_is_found_with_its_reason_at_once_and_after_it_was_counted(site: Site) -> None:
    plates = ["鲁H18345", "鲁H1B345", "鲁H1B34", "鲁H?8345", "京K99999"]
    site.outcomes(*(make_passage(plate=plate) for plate in plates))
    person = site.as_role("operator")
    for _ in range(2):
        one = near(person, "鲁H18345", changes=1)
        assert [p["plate"] for p in one] == ["鲁H18345", "鲁H1B345", "鲁H?8345"]
        assert [[d["sign"] for d in p["differences"]] for p in one] == [[], ["8≈B"], ["1≈?"]]
        assert all(p["passages"] == 1 for p in one)
        two = near(person, "鲁H18345", changes=2)
        assert [d["sign"] for d in two[-1]["differences"]] == ["8≈B", "-5"]
        assert set(found(person, plate="鲁H18345", changes=2)) == set(plates[:4])
        count_now(site)
        site.clock.advance(1)


def test_a_pattern_gives_plates_with_first_last_and_count(site: Site) -> None:
    for seconds in (300, 200, 100):
        site.outcomes(make_passage(captured_at=NOW - timedelta(seconds=seconds)))
    site.outcomes(make_passage(plate="鲁H92345", captured_at=NOW - timedelta(seconds=50)))
    person = site.as_role("operator")
    uncounted = near(person, "鲁H?2345")
    count_now(site)
    assert near(person, "鲁H?2345") == uncounted
    assert [(p["plate"], p["passages"]) for p in uncounted] == [("鲁H92345", 1), ("鲁H12345", 3)]
    assert uncounted[1]["first_seen_at"] == iso(NOW - timedelta(seconds=300))
    assert uncounted[1]["last_seen_at"] == iso(NOW - timedelta(seconds=100))
    since = iso(NOW - timedelta(seconds=250))
    assert [p["passages"] for p in near(person, "鲁H?2345", since=since)] == [1, 2]
    assert near(person, "鲁H?2345", until=since)[0]["passages"] == 1


def test_a_plate_that_is_counted_while_a_search_reads_the_journal_is_found(
    postgres_settings: Settings, clock: SteppingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(postgres_settings, clock) as site:
        person = site.as_role("operator")
        assert found(person, plate="鲁H?2345") == []
        site.outcomes(make_passage())
        clock.advance(1)
        glance = known._glance

        def looked(session: Session) -> known._Glance:
            seen = glance(session)
            count_now(site)  # the line is gone before it is read
            return seen

        monkeypatch.setattr(known, "_glance", looked)
        assert found(person, plate="鲁H?2345") == ["鲁H12345"]


def test_another_server_on_the_same_database_knows_a_plate_as_soon_as_it_is_stored(
    site: Site,
) -> None:
    with serving(site.settings, site.clock) as other:
        person = other.as_role("operator")
        assert found(person, plate="鲁H?2345") == []
        site.outcomes(make_passage())
        assert found(person, plate="鲁H?2345") == ["鲁H12345"]
        count_now(site)
        site.outcomes(make_passage(plate="鲁H52345", captured_at=NOW - timedelta(seconds=1)))
        assert found(person, plate="鲁H?2345") == ["鲁H12345", "鲁H52345"]


def test_a_pattern_that_very_many_plates_fit_still_gives_the_newest(
    sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = sqlite_site
    monkeypatch.setattr(search, "MAX_PLATES", 400)
    monkeypatch.setattr("server.passages.plates._MOST_LOOKED_THROUGH", 400)
    for start in range(0, 600, 150):
        site.outcomes(
            *(
                make_passage(plate=f"鲁H{n:05}", captured_at=NOW - timedelta(minutes=n))
                for n in range(start, start + 150)
            )
        )
    person = site.as_role("operator")
    assert found(person, plate="鲁H*", limit=3) == ["鲁H00000", "鲁H00001", "鲁H00002"]
    until = iso(NOW - timedelta(minutes=500))
    assert found(person, plate="*H*", until=until, limit=1) == ["鲁H00501"]
    answer = person.get("/api/v1/plates", plate="鲁H*", **PURPOSE).json()
    assert answer["truncated"]


def test_the_newest_of_many_plates_are_the_newest_whatever_the_register_still_knows(
    site: Site,
) -> None:
    """Counted, not counted yet, read again by age, or deleted behind the register's back."""
    pick = random.Random(3)
    rows = []
    for n in range(40):
        at = NOW - timedelta(seconds=pick.randrange(100_000))
        rows.append((at, f"苏K{pick.randrange(12):05}"))
        site.outcomes(make_passage(plate=rows[-1][1], captured_at=at))
        if n == 30:
            count_now(site)
    person = site.as_role("operator")

    def newest(limit: int, **params: Any) -> list[str]:
        since = params.pop("back_s", None)
        if since is not None:
            params["since"] = iso(NOW - timedelta(seconds=since))
        return found(person, plate="苏K*", limit=limit, **params)

    def expected(limit: int, back_s: int = 10**9) -> list[str]:
        since = NOW - timedelta(seconds=min(back_s, 10**8))
        return [p for at, p in sorted(rows, reverse=True) if at >= since][:limit]

    for _ in range(2):
        for limit in (1, 2, 5, 11, 12, 50):
            assert newest(limit) == expected(limit)
            assert newest(limit, back_s=30_000) == expected(limit, 30_000)
        count_now(site)
        site.clock.advance(1)
    gone = {plate for _, plate in sorted(rows, reverse=True)[:3]}
    with site.context.database.write() as session:
        for plate in gone:
            session.execute(text("DELETE FROM passage WHERE plate = :p"), {"p": plate})
    rows = [row for row in rows if row[1] not in gone]
    for limit in (1, 3, 50):
        assert newest(limit) == expected(limit)


@pytest.fixture
def looks(site: Site) -> Person:
    """Four passages a minute apart, each with other looks, at three checkpoints."""
    unread = {"state": "unread", "text": "", "color": "unknown", "kind": "unknown", "score": 0.0,
              "characters": []}  # fmt: skip
    none = unread | {"state": "none"}
    ways: list[dict[str, Any]] = [
        {"vehicle_color": "white", "lane": 1, "speed_kmh": 40.0, "camera_id": "west-1"},
        {"vehicle_color": "red", "lane": 2, "speed_kmh": 80.5, "camera_id": "centre-1",
         "direction": "receding"},
        {"vehicle_color": "white", "plate": unread, "camera_id": "north-1"},
        {"vehicle_color": "black", "plate": none, "camera_id": "north-1", "speed_kmh": 120.0},
    ]  # fmt: skip
    passages = []
    for number, way in enumerate(ways):
        plate = way.pop("plate", None)
        passage = make_passage(
            captured_at=NOW - timedelta(minutes=number), plate=f"鲁H0000{number}"
        )
        passages.append(passage | way | ({"plate": plate} if plate else {}))
    assert set(site.outcomes(*passages)) == {"accepted"}
    return site.as_role("operator")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"vehicle_color": "white"}, ["鲁H00000", ""]),
        ({"vehicle_color": ["white", "red"], "plate_state": "read"}, ["鲁H00000", "鲁H00001"]),
        ({"plate_state": ["unread", "none"]}, ["", ""]),
        ({"plate_state": "none", "vehicle_color": "black"}, [""]),
        ({"lane": 2}, ["鲁H00001"]),
        ({"direction": "receding"}, ["鲁H00001"]),
        ({"min_speed_kmh": 80, "max_speed_kmh": 100}, ["鲁H00001"]),
        ({"plate_kind": "small", "plate_color": "blue"}, ["鲁H00000", "鲁H00001"]),
        ({"road": "人民"}, ["鲁H00001"]),
        ({"road": "%"}, []),
        ({"circle": "116.5,35.4,500"}, ["鲁H00000"]),
        ({"circle": "116.5,35.4,12000"}, ["鲁H00000", "鲁H00001", "", ""]),
        ({"polygon": "116.58,35.41 116.60,35.41 116.60,35.46 116.58,35.46"}, ["鲁H00001", "", ""]),
        ({"polygon": "0,0 1,0 1,1"}, []),
        ({"circle": "116.5,35.4,12000", "road": "北", "plate_state": "none"}, [""]),
        ({"plate": "鲁H0000?", "vehicle_color": "red"}, ["鲁H00001"]),
    ],
)
def test_what_is_known_of_a_vehicle_finds_it(
    looks: Person, params: dict[str, Any], expected: list[str]
) -> None:
    assert found(looks, **params) == expected


def test_asking_for_looks_or_places_needs_a_purpose(sqlite_site: Site) -> None:
    person = sqlite_site.as_role("operator")
    for params in (
        {"vehicle_color": "red"},
        {"road": "人民"},
        {"circle": "116,35,100"},
        {"lane": 1},
    ):
        answer = person.get("/api/v1/passages", **params)
        assert (answer.status_code, answer.json()["code"]) == (422, "purpose_missing")
    assert person.get("/api/v1/plates", plate="鲁H*").json()["code"] == "purpose_missing"
    assert person.get("/api/v1/passages", checkpoint_id="kk-west").status_code == 200


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"changes": 1}, "plate"),
        ({"changes": 1, "plate": "鲁H1234?"}, "plate"),
        ({"changes": 3, "plate": "鲁H12345"}, "changes"),
        ({"circle": "1,2"}, "circle"),
        ({"circle": "1,2,0"}, "circle"),
        ({"circle": "1,2,1e99"}, "circle"),
        ({"circle": "nan,2,5"}, "circle"),
        ({"circle": "181,2,5"}, "circle"),
        ({"polygon": "0,0 1,1"}, "polygon"),
        ({"polygon": "0,0 1,1 0,0"}, "polygon"),
        ({"polygon": "0,0 1,1 1,0 0,1"}, "polygon"),
        ({"polygon": "0,0 0,0 0,0"}, "polygon"),
        ({"polygon": "x"}, "polygon"),
        ({"polygon": "0,0 1,0 1,inf"}, "polygon"),
        ({"polygon": " ".join(f"{n / 1000},{(n % 7) / 10}" for n in range(600))}, "polygon"),
        ({"vehicle_color": "pink'--"}, "vehicle_color.0"),
        ({"lane": -1}, "lane.0"),
        ({"min_speed_kmh": "nan"}, "min_speed_kmh"),
        ({"min_speed_kmh": 9, "max_speed_kmh": 8}, "max_speed_kmh"),
        ({"limit": 10**12, "vehicle_color": "red"}, "limit"),
    ],
)
def test_an_absurd_question_is_refused_and_named(
    sqlite_site: Site, params: dict[str, Any], field: str
) -> None:
    answer = sqlite_site.as_role("operator").get("/api/v1/passages", **PURPOSE, **params)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_any_identifier_is_a_passage_or_not_found(sqlite_site: Site) -> None:
    person = sqlite_site.as_role("officer")
    for number in (0, 1, (1 << 128) - 1, 200_000_000_000_000 << 80, (7 << 76) | (1 << 127)):
        hexes = f"{number:032x}"
        answer = person.get(f"/api/v1/passages/{hexes}")
        assert answer.status_code == 404, hexes


def test_protected_plates_stay_out_of_every_way_to_search(site: Site) -> None:
    site.outcomes(make_passage(), sent := make_passage(plate="鲁H12346"))
    with site.context.database.write() as session:
        session.execute(
            text(
                "INSERT INTO protected_plate (id, plate, authority, added_at, added_by)"
                " VALUES (1, '鲁H12346', 'x', '2026-01-01 00:00:00+00', 'custodian')"
            )
        )
    other = site.as_role("operator")
    assert found(other, plate="鲁H1234?") == ["鲁H12345"]
    assert found(other, plate="鲁H12346") == []
    assert found(other, plate="鲁H12346", changes=1) == ["鲁H12345"]
    assert [p["plate"] for p in near(other, "鲁H1234*")] == ["鲁H12345"]
    assert [p["plate"] for p in near(other, "鲁H12346", changes=2)] == ["鲁H12345"]
    assert other.get(f"/api/v1/passages/{sent['passage_id']}").status_code == 404
    keeper = site.as_role("custodian")
    assert set(found(keeper, plate="鲁H1234?")) == {"鲁H12345", "鲁H12346"}


@settings(max_examples=60)
@given(
    st.datetimes(min_value=(NOW - timedelta(days=4000)).replace(tzinfo=None)),
    st.none() | st.integers(-10_000_000, 400_000_000),
    st.lists(st.integers(0, 50), max_size=4),
)
def test_windows_cover_the_period_once_newest_first(
    until_bare: Any, back_s: int | None, found_each: list[int]
) -> None:
    until = until_bare.replace(tzinfo=NOW.tzinfo)
    until = min(until, NOW + timedelta(days=3))
    since = None if back_s is None else until - timedelta(seconds=back_s)
    if since is not None and since >= until:
        return
    windows = _Windows(since, until, NOW)
    spans = []
    for number, span in enumerate(windows):
        spans.append(span)
        if found_each:
            windows.found(found_each[number % len(found_each)], 50)
    assert (spans[-1][0], spans[0][1]) == (since, until)
    for newer, older in pairwise(spans):
        assert newer[0] == older[1]
    assert all(low is None or low < high for low, high in spans)
    assert len(spans) < (40 if any(found_each) else 12)


@given(st.text(max_size=60))
def test_any_text_is_an_area_or_is_refused(text: str) -> None:
    for read in (circle_of, polygon_of):
        with suppress(InvalidRequest):
            assert read(text).holds([(0.0, 0.0)]) in ([True], [False])
