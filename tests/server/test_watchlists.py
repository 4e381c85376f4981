"""Watching a plate, and the law that no passage slips past a list that is in force."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from anpr.watch import Seen
from server.app import create_app
from server.watchlists import matching
from server.watchlists.matching import WatchlistCache
from server.wire import MAX_BATCH_PASSAGES
from tests.server.conftest import NOW, Site, iso, make_passage, serving

HOUR = timedelta(hours=1)


# ---- entries


def test_a_watched_plate_raises_an_alert_in_the_same_transaction(site: Site) -> None:
    officer = site.as_role("officer")
    entry = officer.watch("鲁h·12345", level=1)
    site.post(make_passage(), make_passage(plate="鲁H12346"))
    (alert,) = officer.alerts()
    assert alert["entry_id"] == entry
    assert (alert["plate"], alert["level"], alert["state"]) == ("鲁H12345", 1, "new")
    assert alert["checkpoint"]["name"] == "西卡口"


def test_a_withdrawn_entry_is_silent_and_stays_on_record(site: Site) -> None:
    officer = site.as_role("officer")
    entry = officer.watch("鲁H12345")
    site.post(make_passage())
    answer = officer.post(f"/api/v1/watchlist/{entry}/withdraw", {"reason": "found"})
    assert answer.json()["state"] == "withdrawn"
    assert answer.json()["alerts"] == 1
    site.clock.advance(3600)
    officer = site.as_role("officer")  # an hour is longer than a session may idle
    site.post(make_passage(captured_at=site.clock()))
    assert len(officer.alerts()) == 1
    (listed,) = officer.get("/api/v1/watchlist").json()
    assert (listed["withdrawn_reason"], listed["withdrawn_by"]) == ("found", "officer")
    again = officer.post(f"/api/v1/watchlist/{entry}/withdraw", {"reason": "found"})
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plate": "鲁H1234?"}, "plate"),
        ({"plate": "鲁H*"}, "plate"),
        ({"plate": ""}, "plate"),
        ({"plate": "无牌"}, "plate"),
        ({"plate": "NOPLATE"}, "plate"),
        ({"reason": "dislike"}, "reason"),
        ({"level": 0}, "level"),
        ({"level": 5}, "level"),
        ({"case_number": " "}, "case_number"),
        ({"case_number": "A\u0000"}, "case_number"),
        ({"valid_to": iso(NOW - HOUR)}, "valid_to"),
        ({"valid_from": iso(NOW + HOUR), "valid_to": iso(NOW + HOUR)}, "valid_to"),
        ({"valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from"),
        ({"note": "a\u0000"}, "note"),
        ({"levle": 1}, "levle"),
    ],
)
def test_a_wrong_entry_is_refused_naming_the_field(sqlite_site: Site, change, field) -> None:
    body = {"plate": "鲁H12345", "reason": "stolen", "level": 1, "case_number": "A1"} | change
    answer = sqlite_site.as_role("officer").post("/api/v1/watchlist", body)
    assert answer.status_code == 422
    assert field in answer.json()["field"]
    assert sqlite_site.count("watchlist_entry") == 0


def test_one_plate_is_watched_once_per_case(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345")
    body = {"plate": "鲁H-12345", "reason": "stolen", "level": 1, "case_number": "A1"}
    assert officer.post("/api/v1/watchlist", body).status_code == 409
    officer.watch("鲁H12345", case_number="A2")
    site.post(make_passage())
    assert len(officer.alerts()) == 2, "each case is told"


def test_an_entry_is_in_force_between_its_times(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345", valid_from=iso(NOW + HOUR), valid_to=iso(NOW + 2 * HOUR))
    site.post(make_passage())
    assert officer.alerts() == []
    site.clock.advance(3600)
    officer = site.as_role("officer")  # an hour is longer than a session may idle
    site.post(make_passage(captured_at=site.clock()))
    assert len(officer.alerts()) == 1
    site.clock.advance(3600)
    officer = site.as_role("officer")  # an hour is longer than a session may idle
    site.post(make_passage(captured_at=site.clock()))
    assert len(officer.alerts()) == 1


def test_a_slow_clock_at_the_roadside_hides_nobody(site: Site) -> None:
    """The entry is a minute old, the box's clock five minutes slow: it rings all the same."""
    officer = site.as_role("officer")
    officer.watch("鲁H12345")
    site.clock.advance(60)
    site.post(make_passage(captured_at=site.clock() - timedelta(minutes=5)))
    assert len(officer.alerts()) == 1


def test_backlog_from_before_the_entry_is_no_hit(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345")
    site.post(make_passage(captured_at=NOW - HOUR), delivery="backlog")
    assert officer.alerts() == []


# ---- several processes


def test_another_process_matches_a_new_entry_with_its_very_next_batch(site: Site) -> None:
    """No notification, no delay: the revision is read in the ingest transaction."""
    with serving(site.settings, site.clock) as other:
        assert other.outcomes(make_passage()) == ["accepted"]  # its list is compiled, and empty
        officer = site.as_role("officer")
        entry = officer.watch("鲁H12345")
        other.post(make_passage())
        assert len(officer.alerts()) == 1
        officer.post(f"/api/v1/watchlist/{entry}/withdraw", {"reason": "found"})
        site.clock.advance(3600)
        officer = site.as_role("officer")  # an hour is longer than a session may idle
        other.post(make_passage(captured_at=site.clock()))
        assert len(officer.alerts()) == 1


def test_a_passage_is_stored_before_a_change_or_matched_after_it(site: Site) -> None:
    """While one process takes passages in, another adds entries; none falls in between.

    Each plate is posted until its entry exists and then once more: that last one must alert.
    """
    with serving(site.settings, site.clock) as other:
        officer = site.as_role("officer")
        # each takes its routes apart at its first request, which two threads must not do at once
        officer.get("/api/v1/watchlist")
        other.post(make_passage(plate="鲁H99999"))
        plates = [f"鲁H{number:05d}" for number in range(12)]
        missed: list[str] = []

        def post_until_watched(plate: str, watched: threading.Event) -> None:
            while not watched.is_set():
                other.post(make_passage(plate=plate))
            other.post(make_passage(plate=plate))

        for plate in plates:
            watched = threading.Event()
            thread = threading.Thread(target=post_until_watched, args=(plate, watched))
            thread.start()
            officer.watch(plate)
            watched.set()
            thread.join()
            if plate not in {alert["plate"] for alert in officer.alerts()}:
                missed.append(plate)
        assert missed == []


def test_a_refresh_that_ingest_overtakes_loses_nothing_and_builds_nothing_anew(
    sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest waits for whoever holds the index: it may not be a rebuild of a million entries."""
    database, cache = sqlite_site.context.database, WatchlistCache()
    officer = sqlite_site.as_role("officer")
    with database.write() as session:
        cache.current(session)
    read_revision = matching._revision
    refreshing = threading.get_ident()

    def overtaken(session: Session, *, lock: bool) -> int:
        revision = read_revision(session, lock=lock)
        if not lock and threading.get_ident() == refreshing:  # the application refreshes its own
            officer.watch("鲁H22222")
            with database.write() as other:
                cache.current(other)
        return revision

    monkeypatch.setattr(matching, "_revision", overtaken)
    monkeypatch.setattr(matching, "_all", lambda *_: pytest.fail("built anew"))
    with database.read() as session:
        cache.refresh(session)
    assert cache.index.candidates(Seen("鲁H22222"))


def test_an_application_can_be_made_twice_in_one_process(sqlite_settings) -> None:
    assert create_app(sqlite_settings) is not create_app(sqlite_settings)


def test_the_largest_batch_of_watched_plates_is_taken(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    outcomes = site.outcomes(*[make_passage() for _ in range(MAX_BATCH_PASSAGES)])
    assert outcomes == ["accepted"] * MAX_BATCH_PASSAGES
    (alert,) = site.as_role("operator").alerts()
    assert alert["sightings"] == MAX_BATCH_PASSAGES
