"""Search by story and misreads on the pages: what they show, refuse and give away."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from tests.server.conftest import NOW, Person, Site, jpeg, make_passage

WHY = {"purpose": "lost_property", "case_number": "A1"}
SPAN = {"from": "2026-11-22T18:00", "to": "2026-11-22T18:30"}  # local, around NOW


def post(person: Person, path: str, **fields: Any) -> Any:
    data = {"csrf_token": person.csrf["X-CSRF-Token"]} | fields
    return person.client.post(path, data=data)


@pytest.fixture
def road(sqlite_site: Site) -> Site:
    """A white one without a readable plate, and a red one, at two checkpoints."""
    unread = {"state": "unread", "text": "", "color": "unknown", "kind": "unknown", "score": 0.0,
              "characters": []}  # fmt: skip
    scene = jpeg("scene")
    sqlite_site.put(scene)
    white = make_passage(pictures=[scene]) | {"vehicle_color": "white", "plate": unread}
    red = make_passage(plate="鲁H1B345", camera_id="centre-1") | {"vehicle_color": "red"}
    assert set(sqlite_site.outcomes(white, red)) == {"accepted"}
    return sqlite_site


def test_a_story_gives_a_wall_with_the_unread_among_it(road: Site) -> None:
    person = road.as_role("operator")
    everything = post(person, "/story", **WHY, **SPAN).text
    assert everything.count("data-passage=") == 2
    white = post(person, "/story", **WHY, **SPAN, vehicle_color="white", road="迎宾").text
    assert white.count("data-passage=") == 1
    assert "未识别" in white
    assert "/evidence/" in white
    area = post(person, "/story", **WHY, **SPAN, circle="116.587,35.415,300").text
    assert "鲁H" in area
    assert area.count("data-passage=") == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"from": ""}, "from"),
        ({"purpose": ""}, "purpose"),
        ({"polygon": "0,0 1,1"}, "polygon"),
        ({"vehicle_color": "'; DROP TABLE passage"}, "vehicle_color"),
        ({"lane": "ten"}, "lane"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_what_cannot_be_asked_is_said_beside_the_form(
    road: Site, fields: dict[str, str], field: str
) -> None:
    answer = post(road.as_role("operator"), "/story", **(WHY | SPAN | fields))
    assert answer.status_code == 200
    assert f'data-field="{field}"' in answer.text
    assert "data-passage=" not in answer.text


def test_misreads_are_listed_with_their_reason(road: Site) -> None:
    text = post(road.as_role("operator"), "/search", **WHY, plate="鲁H18345", changes="1").text
    assert "8≈B" in text
    assert 'value="鲁H1B345"' in text  # leads to its route
    assert "8≈B" not in post(road.as_role("operator"), "/search", **WHY, plate="鲁H18345").text


def test_an_officer_takes_away_what_the_wall_shows_and_an_operator_does_not(road: Site) -> None:
    officer, operator = road.as_role("officer"), road.as_role("operator")
    assert "/export/passages.csv" in post(officer, "/story", **WHY, **SPAN).text
    assert "/export/" not in post(operator, "/story", **WHY, **SPAN).text
    fields = WHY | SPAN | {"vehicle_color": "red"}
    answer = post(officer, "/export/passages.csv", **fields)
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]
    assert [row["plate"] for row in rows] == ["鲁H1B345"]
    assert post(operator, "/export/passages.csv", **fields).status_code == 403
    assert officer.client.post("/export/passages.csv", data=fields).status_code == 403
    assert post(officer, "/export/passages.exe", **fields).status_code == 422


def test_an_older_page_of_the_wall_follows(sqlite_site: Site) -> None:
    sent = [make_passage(captured_at=NOW - timedelta(seconds=n)) for n in range(50)]
    sqlite_site.outcomes(*sent)
    person = sqlite_site.as_role("operator")
    first = post(person, "/story", **WHY, **SPAN).text
    assert first.count("data-passage=") == 48
    cursor = first.partition('name="cursor" value="')[2].partition('"')[0]
    second = post(person, "/story", **WHY, **SPAN, cursor=cursor).text
    assert second.count("data-passage=") == 2
