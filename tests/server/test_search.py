"""Finding passages: by pattern, time and checkpoint, newest first, page after page."""

import re
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.passages.patterns import normal_pattern
from tests.server.conftest import NOW, PURPOSE, Site, iso, make_passage

PLATES = (
    "鲁H12345",
    "鲁H12346",
    "鲁H92345",
    "鲁A12345",
    "京A12345",
    "京AD12345",
    "鲁H?2345",
    "粤Z1234港",
    "",
)


@pytest.fixture
def filled(site: Site) -> Site:
    """One passage a plate, a second apart, at alternating checkpoints."""
    cameras = ("west-1", "centre-1", "north-1")
    passages = [
        make_passage(
            plate=plate,
            captured_at=NOW - timedelta(seconds=number),
            camera_id=cameras[number % 3],
        )
        for number, plate in enumerate(PLATES)
    ]
    assert set(site.outcomes(*passages)) == {"accepted"}
    return site


def plates(site: Site, pattern: str, **params: object) -> list[str]:
    answer = site.as_role("operator").get("/api/v1/passages", plate=pattern, **PURPOSE, **params)
    assert answer.status_code == 200, answer.text
    return [p["plate"] for p in answer.json()["passages"]]


@pytest.mark.parametrize(
    "pattern",
    ["鲁H12345", "鲁H?2345", "鲁H1234?", "鲁H*", "*12345", "*2345", "?A12345", "京A*5", "*港",
     "鲁?12*5", "*H*", "鲁H12345*", "京A?12345", "闽C00000", "???????5"],
)  # fmt: skip
def test_wildcards_find_what_they_say(filled: Site, pattern: str) -> None:
    """Against fnmatch, an independent reading of ``?`` and ``*``."""
    has_wildcard = "?" in pattern or "*" in pattern
    expected = [
        plate for plate in PLATES
        if (fnmatchcase(plate, pattern) if has_wildcard else plate == pattern)
    ]  # fmt: skip
    assert plates(filled, pattern) == expected


def test_a_pattern_is_spelled_as_plates_are(filled: Site) -> None:
    assert plates(filled, "鲁h·12345") == ["鲁H12345"]
    assert plates(filled, " 鲁H 1234? ") == ["鲁H12345", "鲁H12346"]


@pytest.mark.parametrize("pattern", ["%", "_", "鲁H1234_", "鲁%", "' OR '1'='1", "\\"])
def test_the_databases_own_wildcards_and_quotes_mean_nothing(filled: Site, pattern: str) -> None:
    answer = filled.as_role("operator").get("/api/v1/passages", plate=pattern, **PURPOSE)
    found = [p["plate"] for p in answer.json().get("passages", [])]
    assert answer.status_code in {200, 422}
    assert found in ([], ["鲁H1234"], ["鲁"])


@pytest.mark.parametrize("pattern", ["", "?", "*", "?*?", "·", "A" * 25, "\u0000"])
def test_a_pattern_that_names_nothing_is_refused(sqlite_site: Site, pattern: str) -> None:
    answer = sqlite_site.as_role("operator").get("/api/v1/passages", plate=pattern, **PURPOSE)
    assert (answer.status_code, answer.json()["field"]) == (422, "plate")


@given(st.text(alphabet="鲁京AH0123?*·- oOiI%_'", max_size=12))
def test_a_pattern_has_one_spelling(text: str) -> None:
    try:
        once = normal_pattern(text)
    except InvalidRequest:
        return
    assert normal_pattern(once) == once
    assert re.fullmatch(r"[\w?*]+", once)
    assert "_" not in once
    assert "**" not in once


def test_time_is_half_open_and_checkpoints_add_up(filled: Site) -> None:
    person = filled.as_role("operator")
    since, until = iso(NOW - timedelta(seconds=3)), iso(NOW)
    page = person.get("/api/v1/passages", since=since, until=until).json()
    assert [p["plate"] for p in page["passages"]] == list(PLATES[1:4])
    west = person.get("/api/v1/passages", checkpoint_id="kk-west").json()["passages"]
    assert [p["plate"] for p in west] == list(PLATES[::3])
    both = person.get("/api/v1/passages", checkpoint_id=["kk-west", "kk-north"]).json()["passages"]
    assert len(both) == 6
    assert person.get("/api/v1/passages", since=until, until=since).status_code == 422


def test_pages_show_everything_once_newest_first(site: Site) -> None:
    """Many passages share an instant; new ones come while the pages are turned."""
    passages = [make_passage(captured_at=NOW - timedelta(seconds=n // 4)) for n in range(22)]
    site.outcomes(*passages)
    person = site.as_role("operator")
    seen: list[dict] = []
    cursor: str | None = None
    while True:
        params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        page = person.get("/api/v1/passages", **params).json()
        seen += page["passages"]
        site.outcomes(make_passage())
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert {p["passage_id"] for p in seen} == {p["passage_id"] for p in passages}
    assert len(seen) == 22
    times = [p["captured_at"] for p in seen]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    "cursor", ["x", "", "AAAA", "MjAyNi0xMS0yMg", "💥", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCB4"]
)
def test_a_cursor_that_is_not_ours_is_refused(sqlite_site: Site, cursor: str) -> None:
    answer = sqlite_site.as_role("operator").get("/api/v1/passages", cursor=cursor)
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 100000}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-22T10:00:00"}, "since"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
    ],
)
def test_a_wrong_parameter_is_named(sqlite_site: Site, params: dict, field: str) -> None:
    answer = sqlite_site.as_role("operator").get("/api/v1/passages", **params)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_passage_comes_back_with_everything_that_was_sent(site: Site) -> None:
    sent = make_passage(plate="鲁H12345")
    site.post(sent)
    found = site.as_role("officer").get(f"/api/v1/passages/{sent['passage_id']}").json()
    assert found["characters"] == sent["plate"]["characters"]
    assert found["track"] == sent["track"]
    assert found["models"] == sent["models"]
    assert found["plate_quad_px"] == sent["plate_quad_px"]
    assert (found["plate_color"], found["plate_kind"], found["lane"]) == ("blue", "small", 1)
    assert found["checkpoint"]["lat"] == 35.4
    assert site.as_role("officer").get("/api/v1/passages/not-a-uuid").status_code == 422


def test_a_list_says_of_a_passage_what_it_says_itself_but_for_how_it_was_read(site: Site) -> None:
    sent = make_passage(plate="鲁H12345")
    site.post(sent)
    officer = site.as_role("officer")
    whole = officer.get(f"/api/v1/passages/{sent['passage_id']}").json()
    (listed,) = officer.get("/api/v1/passages", plate="鲁H12345", **PURPOSE).json()["passages"]
    left_out = {"characters", "track", "models", "plate_quad_px", "vehicle_box_px"}
    assert listed == {name: value for name, value in whole.items() if name not in left_out}
    schemas = officer.get("/api/v1/openapi.json").json()["components"]["schemas"]
    assert list(schemas["PassageSummary"]["properties"]) == list(listed)
