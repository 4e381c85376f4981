"""Where a watched vehicle is likely to come next, as its alert tells."""

from datetime import timedelta

import pytest

from server.auth.accounts import set_areas
from server.auth.areas import put_area
from tests.server.conftest import NOW, Person, Site, make_passage
from tests.server.test_travel import drive, learned

HUNTED = "鲁H36777"
SEEN_AT = NOW + timedelta(hours=4)


@pytest.fixture
def officer(sqlite_site: Site) -> Person:
    """Six have driven from west by the centre to the north; now a watched one is seen in the west."""
    for number in range(6):
        drive(sqlite_site, f"鲁H3600{number}", NOW + timedelta(minutes=number))
    learned(sqlite_site, NOW + timedelta(hours=3))
    sqlite_site.as_role("officer").watch(HUNTED)
    see(sqlite_site, HUNTED)
    return sqlite_site.as_role("officer")  # hours later his session has ended


def see(site: Site, plate: str) -> None:
    """Let a plate pass in the west a minute ago."""
    site.outcomes(make_passage(plate=plate, camera_id="west-1", captured_at=SEEN_AT))
    site.clock.now = SEEN_AT + timedelta(minutes=1)


def ahead_of(person: Person, plate: str) -> str:
    """What the page of a plate's alert says of where it comes next; '' if nothing."""
    (alert,) = [one for one in person.alerts() if one["plate"] == plate]
    page = person.get(f"/alerts/{alert['id']}").text
    _, found, rest = page.partition('<ol class="lately" id="ahead">')
    return rest.partition("</ol>")[0] if found else ""


def test_an_alert_names_the_next_likely_checkpoints_with_time_and_chance(
    sqlite_site: Site, officer: Person
) -> None:
    said = ahead_of(officer, HUNTED)
    first, *_ = said.split("</li>")
    assert "kk-centre" in first or "中心" in first, said
    assert "100" in first, "all who were seen in the west came to the centre"
    assert 'class="lately ahead"' in officer.get("/wall").text, "the wall says so, too"


def test_nothing_is_said_of_a_sighting_that_is_old(sqlite_site: Site, officer: Person) -> None:
    sqlite_site.clock.advance(40 * 60)
    assert ahead_of(sqlite_site.as_role("officer"), HUNTED) == ""


def test_nothing_is_said_of_an_alert_that_is_closed(sqlite_site: Site, officer: Person) -> None:
    (alert,) = officer.alerts()
    for step, body in (
        ("sign", {}),
        ("feedback", {"finding": "lost", "text": "x"}),
        ("feedback/sign", {}),
        ("close", {"outcome": "x"}),
    ):
        answer = officer.post(f"/api/v1/alerts/{alert['id']}/{step}", body)
        assert answer.status_code == 200, answer.text
    page = officer.get(f"/alerts/{alert['id']}").text
    assert 'id="ahead"' not in page


def test_no_checkpoint_is_named_that_one_may_not_see(sqlite_site: Site, officer: Person) -> None:
    with sqlite_site.context.database.write() as session:
        put_area(session, "west", "西区", ["kk-west"], NOW)
        set_areas(session, "officer", ["west"])
    assert ahead_of(officer, HUNTED) == ""


def test_nothing_is_said_of_a_plate_that_was_not_read_whole(
    sqlite_site: Site, officer: Person
) -> None:
    officer.watch("鲁H37?77", match="pattern")
    see(sqlite_site, "鲁H37?77")
    assert ahead_of(officer, "鲁H37?77") == ""
