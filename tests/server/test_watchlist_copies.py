"""What agents may hold of the watchlist: by revision, in force at once, and written down."""

from datetime import timedelta

from server.wire import WATCHLIST_PATH, WatchlistCopy
from tests.server.conftest import CAMERAS, NOW, Site, iso


def pull(site: Site, tag: str | None = None):
    headers = site.bearer | ({"If-None-Match": tag} if tag else {})
    return site.client.get(WATCHLIST_PATH, headers=headers)


def test_a_copy_holds_the_active_entries_and_nothing_of_the_case(site: Site) -> None:
    officer = site.as_role("officer")
    entry = officer.watch("鲁h·12345", level=1)
    gone = officer.watch("鲁H00001")
    officer.post(f"/api/v1/watchlist/{gone}/withdraw", {"reason": "found"})
    answer = pull(site)
    copy = WatchlistCopy.model_validate_json(answer.content)
    assert [(w.entry_id, w.plate, w.level) for w in copy.entries] == [(entry, "鲁H12345", 1)]
    assert b"case_number" not in answer.content
    assert b"reason" not in answer.content


def test_the_revision_is_the_tag_and_nothing_is_sent_twice(site: Site) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H12345")
    first = pull(site)
    again = pull(site, first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    officer.watch("鲁H12346")
    changed = pull(site, first.headers["etag"])
    assert changed.status_code == 200
    assert len(changed.json()["entries"]) == 2
    assert changed.json()["revision"] == first.json()["revision"] + 1


def test_whoever_holds_a_copy_is_told_the_differences(site: Site) -> None:
    officer = site.as_role("officer")
    gone = officer.watch("鲁H12345")
    officer.watch("鲁H12346")
    tag = pull(site).headers["etag"]
    officer.post(f"/api/v1/watchlist/{gone}/withdraw", {"reason": "found"})
    new = officer.watch("鲁H1234*", match="pattern")
    answer = site.client.get(
        WATCHLIST_PATH + "?differences=true", headers=site.bearer | {"If-None-Match": tag}
    )
    copy = WatchlistCopy.model_validate_json(answer.content)
    assert (copy.since, copy.ended, copy.entries) == (copy.revision - 2, (gone,), ())
    assert [(rule.entry_id, rule.plate) for rule in copy.rules] == [(new, "鲁H1234*")]


def test_an_entry_is_told_to_the_boxes_where_it_holds(site: Site) -> None:
    officer = site.as_role("officer")
    here = officer.watch("鲁H12345", checkpoints=["kk-west"], hours=["22:00-05:00"])
    officer.watch("鲁H12346", area=[[0, 0], [0, 1], [1, 1]])
    (entry,) = WatchlistCopy.model_validate_json(pull(site).content).entries
    assert (entry.entry_id, entry.hours) == (here, ("22:00-05:00",))
    assert entry.cameras
    assert all(CAMERAS[camera] == "kk-west" for camera in entry.cameras)


def test_an_entry_that_has_ended_stays_here_and_one_that_begins_later_goes_along(
    site: Site,
) -> None:
    officer = site.as_role("officer")
    officer.watch("鲁H00001", valid_to=iso(NOW + timedelta(minutes=1)))
    officer.watch("鲁H00002", valid_from=iso(NOW + timedelta(days=1)))
    site.clock.advance(60)
    assert [e["plate"] for e in pull(site).json()["entries"]] == ["鲁H00002"]


def test_each_copy_given_out_is_on_the_audit_log(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    tag = pull(site).headers["etag"]
    pull(site, tag)
    records = site.as_role("administrator").get("/api/v1/audit").json()
    copies = [r for r in records if r["action"] == "watchlist.copy"]
    assert [r["user_name"] for r in copies] == ["box"]
    assert copies[0]["detail"]["entries"] == 1


def test_without_an_agents_token_there_is_no_copy(site: Site) -> None:
    assert site.client.get(WATCHLIST_PATH).status_code == 401
    assert site.as_role("administrator").get(WATCHLIST_PATH).status_code == 401
