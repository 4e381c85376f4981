"""What officers answered about clones, and what a later search makes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from msgspec import structs

from server.analyses.clones import CloneVerdict
from server.analyses.queue import enqueue
from tests.server.analyses.test_answers import CAMERA_OF, DAY, ME, no_upkeep, sent
from tests.server.analyses.test_jobs import decide, fill_queue, queue, start, work
from tests.server.analyses.test_pure import LINES, CloneRules, judge_plate, seen, two_vehicles
from tests.server.conftest import NOW, Site

__all__ = ["no_upkeep"]


def found_again(site: Site, verdict: CloneVerdict) -> int:
    with site.context.database.write() as session:
        return enqueue(session, [verdict], NOW + DAY)


def later(verdict: CloneVerdict, **more: Any) -> CloneVerdict:
    """The same vehicles a day later: passages that nobody has answered about."""
    moved = judge_plate(
        verdict.plate,
        [structs.replace(s, at=s.at + DAY, id_bytes=s.id_bytes[:-1] + bytes([s.id_bytes[-1] ^ 255]))
         for s in two_vehicles("black")],
        LINES, CloneRules(),
    )  # fmt: skip
    assert moved is not None
    return replace(moved, **more)


def test_what_was_rejected_stays_so_until_something_new_conflicts(sqlite_site: Site) -> None:
    site = sqlite_site
    verdict = fill_queue(site)
    operator = site.as_role("operator")
    decide(operator, queue(operator)[0]["id"], "misread")
    assert found_again(site, verdict) == 0
    assert queue(operator) == []
    assert found_again(site, later(verdict)) == 1
    (one,) = queue(operator)
    old = {str(c.end.passage_id) for c in verdict.conflicts}
    shown = {p["passage_id"] for p in one["finding"]["passages"]}
    assert not old & shown, "what was answered is no evidence again"
    assert [c["state"] for c in queue(operator, "rejected")] == ["rejected"]


def test_what_was_confirmed_gathers_what_is_found_later(sqlite_site: Site) -> None:
    site = sqlite_site
    verdict = fill_queue(site)
    operator = site.as_role("operator")
    before = queue(operator)[0]
    decide(operator, before["id"], "confirmed")
    assert found_again(site, later(verdict)) == 0, "no second candidate of a known clone"
    assert queue(operator) == []
    (kept,) = queue(operator, "confirmed")
    assert kept["id"] == before["id"]
    assert kept["conflicts"] == 2 * before["conflicts"]


def test_a_plate_that_only_jumps_comes_back_when_two_vehicles_are_far_likelier(
    sqlite_site: Site,
) -> None:
    site = sqlite_site
    verdict = fill_queue(site)
    jumping = replace(verdict, jumps=verdict.conflicts, conflicts=(), plate="鲁H10002", score=2.0)
    operator = site.as_role("operator")
    assert found_again(site, jumping) == 1
    (candidate,) = [c for c in queue(operator) if c["plate"] == "鲁H10002"]
    decide(operator, candidate["id"], "drivable")
    jumps = later(verdict).conflicts
    again = replace(jumping, jumps=jumps)
    assert found_again(site, replace(again, score=3.9)) == 0, "jumps go on: that is no news"
    assert found_again(site, replace(again, score=4.0)) == 1


def test_a_search_by_whoever_sees_everything_feeds_the_queue_and_no_other(
    sqlite_site: Site,
) -> None:
    site = sqlite_site
    at = NOW - DAY
    for n in range(3):
        sent(site, (ME, "kk-west", at + timedelta(minutes=20 * n)),
             (ME, "kk-north", at + timedelta(minutes=20 * n, seconds=40)),
             (ME, "kk-centre", at + timedelta(minutes=20 * n + 4)))  # fmt: skip
    protected = {"plate": "鲁HZZZZ9", "authority": "省厅1号"}
    site.as_role("custodian").post("/api/v1/protected-plates", protected)
    officer, operator = site.as_role("officer"), site.as_role("operator")
    start(officer, "clones", since=(NOW - 2 * DAY).isoformat())
    assert work(site)
    assert queue(operator) == [], "he did not see all there is"
    (one,) = site.as_role("custodian").get("/api/v1/protected-plates").json()
    site.as_role("custodian").post(f"/api/v1/protected-plates/{one['id']}/lift", {"reason": "期满"})
    start(officer, "clones", since=(NOW - 2 * DAY).isoformat())
    assert work(site)
    (candidate,) = queue(operator)
    assert candidate["plate"] == ME
    assert set(candidate["checkpoints"]) <= set(CAMERA_OF)


def test_what_one_checkpoint_alone_says_may_be_its_clock() -> None:
    """Two checkpoints far apart see the plate in turn, of which one is always the same."""

    def verdict(color: str, places: tuple[int, int]) -> CloneVerdict:
        route = []
        for trip in range(4):
            begin = 7_200.0 * trip
            route += [seen("鲁H10001", n, begin + 400 * n) for n in range(3)]
            route += [
                seen("鲁H10001", place, begin + 430 + 30 * n, color)
                for n, place in enumerate(places)
            ]
        found = judge_plate("鲁H10001", sorted(route, key=lambda s: s.at), LINES, CloneRules())
        assert found is not None
        return found

    rules = CloneRules()
    for places in ((5, 5), (4, 5)):
        one = verdict("white", places)
        at = [{c.start.checkpoint_id, c.end.checkpoint_id} for c in one.conflicts]
        alone = bool(set.intersection(*at))
        assert alone == (places == (5, 5))
        assert (one.cause == "clone") <= (not alone)
    assert verdict("black", (4, 5)).cause == "clone"
    assert rules.clock_plates > 1, "one plate says nothing of a clock"
