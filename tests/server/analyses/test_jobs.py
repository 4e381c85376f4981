"""Jobs: asked for, claimed once, lost and found, cancelled, and what they leave; the queue of clones."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from server.analyses import jobs, mining
from server.analyses.archive import archive, folder_of, forget
from server.analyses.companions import CompanionRules
from server.analyses.lessons import misread_passages, pair_limits, wrong_clocks
from server.analyses.queue import enqueue
from server.analyses.runner import JobRunner
from server.analyses.worker import Work
from server.auth.areas import put_area
from server.tables import User, UserArea
from tests.server.analyses.test_answers import (
    CAMERA_OF,
    DAY,
    FRIEND,
    ME,
    STRANGER,
    drive,
    no_upkeep,
    sent,
)
from tests.server.analyses.test_pure import LINES, CloneRules, judge_plate, two_vehicles
from tests.server.conftest import NOW, PURPOSE, Person, Site, iso

__all__ = ["no_upkeep"]
LATER = timedelta(seconds=120)


def start(person: Person, kind: str, **values: Any) -> int:
    body = {"kind": kind, "since": iso(NOW - 12 * DAY), "until": iso(NOW), **PURPOSE, **values}
    answer = person.post("/api/v1/analyses/jobs", body)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def work(site: Site, name: str = "worker") -> bool:
    """As the worker process does, in this one."""
    return Work(site.settings, site.context.database, name).run()


def opened(person: Person, job: int) -> dict[str, Any]:
    answer = person.get(f"/api/v1/analyses/jobs/{job}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_job_finds_companions_and_its_findings_stay(site: Site) -> None:
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(4), 8))
    sent(site, *(one for n in range(8) for one in drive(STRANGER, range(5), 20, n * 0.5 - 2)))
    officer = site.as_role("officer")
    job = start(officer, "companions")
    assert opened(officer, job)["job"]["state"] == "waiting"
    assert work(site)
    answer = opened(officer, job)
    assert (answer["job"]["state"], answer["job"]["progress"]) == ("done", 1.0)
    first = answer["findings"][0]
    assert {first["plate"], first["other_plate"]} == {ME, FRIEND}
    assert first["reasons"][0]["facts"]["meetings"] == 4
    assert {p["plate"] for p in first["passages"]} == {ME, FRIEND}
    assert not work(site), "nothing is done twice"
    assert opened(officer, job)["findings"] == answer["findings"]


@pytest.mark.parametrize("kind", ["clones", "nocturnal", "transit", "hidden"])
def test_every_kind_of_job_ends_with_an_answer(sqlite_site: Site, kind: str) -> None:
    sent(sqlite_site, *drive(ME, range(5)))
    night = NOW.replace(hour=17, minute=30) - 5 * DAY
    sent(sqlite_site, *((FRIEND, "kk-west", night + n * DAY) for n in range(4)))
    sent(sqlite_site, *drive(STRANGER, range(1)))
    officer = sqlite_site.as_role("officer")
    job = start(officer, kind)
    work(sqlite_site)
    answer = opened(officer, job)
    assert answer["job"]["state"] == "done", answer["job"]
    expected = {"clones": [], "nocturnal": [FRIEND], "transit": [STRANGER], "hidden": []}
    assert [f["plate"] for f in answer["findings"]] == expected[kind]


@pytest.mark.parametrize("kind", ["companions", "clones", "nocturnal", "transit", "hidden"])
def test_a_city_in_which_nothing_passed_has_an_answer_too(sqlite_site: Site, kind: str) -> None:
    """A new server, or one that was out for days: the night's job finds nothing and does not fail."""
    officer = sqlite_site.as_role("officer")
    job = start(officer, kind)
    work(sqlite_site)
    answer = opened(officer, job)
    assert answer["job"]["state"] == "done", answer["job"]
    assert answer["findings"] == []


def test_findings_are_shown_with_the_readers_present_eyes(sqlite_site: Site) -> None:
    site = sqlite_site
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(5), 8))
    officer = site.as_role("officer")
    job = start(officer, "companions")
    work(site)
    assert len(opened(officer, job)["findings"]) == 1
    site.as_role("custodian").post(
        "/api/v1/protected-plates", {"plate": FRIEND, "authority": "省厅1号"}
    )
    assert opened(officer, job)["findings"] == []
    again = start(officer, "companions")
    work(site)
    assert site.count("analysis_finding") == 1, "the second job has not seen the plate at all"
    assert opened(officer, again)["findings"] == []


def test_a_job_works_with_its_owners_eyes(sqlite_site: Site) -> None:
    site = sqlite_site
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(5), 8))
    with site.context.database.write() as session:
        put_area(session, "west", "西区", ["kk-west"], NOW)
        session.get(User, "officer").sees_everywhere = False
        session.add(UserArea(user_name="officer", area_id="west"))
    job = start(site.as_role("officer"), "companions")
    work(site)
    assert site.count("analysis_finding") == 0
    assert opened(site.as_role("officer"), job)["job"]["examined"] == 10


def test_a_job_is_somebodys_own_and_his_cases(sqlite_site: Site) -> None:
    job = start(sqlite_site.as_role("officer"), "transit")
    other = sqlite_site.as_role("supervisor")
    assert other.get(f"/api/v1/analyses/jobs/{job}").status_code == 404
    assert other.post(f"/api/v1/analyses/jobs/{job}/cancel").status_code == 404
    assert other.get("/api/v1/analyses/jobs").json()["jobs"] == []
    mine = sqlite_site.as_role("officer").get("/api/v1/analyses/jobs").json()["jobs"]
    assert [one["id"] for one in mine] == [job]


def test_one_of_several_workers_gets_a_job_and_a_lost_one_is_taken_up_again(site: Site) -> None:
    job = start(site.as_role("officer"), "transit")
    database = site.context.database
    with database.write() as session:
        claimed = jobs.claim(session, "one", NOW)
        assert claimed is not None
        assert (claimed.id, claimed.state, claimed.attempts) == (job, "running", 1)
    with database.write() as session:
        assert jobs.claim(session, "two", NOW + timedelta(seconds=5)) is None
        assert jobs.beat(session, job, "one", NOW + timedelta(seconds=30), step="x", progress=0.5)
    with database.write() as session:
        assert jobs.claim(session, "two", NOW + timedelta(seconds=80)) is None
    with database.write() as session:
        taken = jobs.claim(session, "two", NOW + LATER)
        assert taken is not None
        assert (taken.runner, taken.attempts) == ("two", 2)
    with database.write() as session:
        # the first one was thought lost and was not: what it found is not kept
        assert not jobs.finish(session, job, "one", NOW + LATER, findings=[], examined=1)
        assert jobs.finish(session, job, "two", NOW + LATER, findings=[], examined=1)


def test_a_job_whose_worker_is_lost_again_and_again_is_given_up(sqlite_site: Site) -> None:
    officer = sqlite_site.as_role("officer")
    job = start(officer, "transit")
    for n in range(jobs.MAX_ATTEMPTS + 1):
        with sqlite_site.context.database.write() as session:
            claimed = jobs.claim(session, f"w{n}", NOW + n * LATER)
            assert (claimed is None) == (n == jobs.MAX_ATTEMPTS)
    assert opened(officer, job)["job"]["state"] == "failed"


def test_a_cancelled_job_is_nobodys_and_leaves_nothing(sqlite_site: Site) -> None:
    site = sqlite_site
    officer = site.as_role("officer")
    job = start(officer, "transit")
    with site.context.database.write() as session:
        assert jobs.claim(session, "one", NOW) is not None
    assert officer.post(f"/api/v1/analyses/jobs/{job}/cancel").json()["state"] == "cancelled"
    with site.context.database.write() as session:
        assert not jobs.beat(session, job, "one", NOW, step="", progress=0.1)
        assert not jobs.finish(session, job, "one", NOW, findings=[], examined=0)
    assert officer.post(f"/api/v1/analyses/jobs/{job}/cancel").status_code == 409
    assert not work(site)


def test_the_worker_process_does_a_job_beside_the_server(sqlite_site: Site) -> None:
    """The runner starts the real process, which ends by itself."""
    site = sqlite_site
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(5), 8))
    officer = site.as_role("officer")
    # the process lives by the real clock, to which the past of the tests is a lost worker's
    job = start(officer, "companions")
    runner = JobRunner(site.settings, site.context.database, lambda: datetime.now(UTC))
    runner._work()
    until = time.monotonic() + 60
    while opened(officer, job)["job"]["state"] in {"waiting", "running"}:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert [f["other_plate"] or f["plate"] for f in opened(officer, job)["findings"]]


# ---- day files


def test_a_day_file_follows_the_table(site: Site) -> None:
    """What comes late enters, what is deleted leaves, and it is nobody else's to read."""
    database, day = site.context.database, (NOW - DAY, NOW)
    sent(site, (ME, "kk-west", NOW - timedelta(hours=11)))
    (path,) = archive(database, site.settings, *day)
    assert pl.read_parquet(path)["plate"].to_list() == [ME]
    assert path.stat().st_mode & 0o077 == 0
    assert folder_of(site.settings).stat().st_mode & 0o077 == 0
    assert archive(database, site.settings, *day) == [path]
    sent(site, (FRIEND, "kk-north", NOW - timedelta(hours=11)))
    (path,) = archive(database, site.settings, *day)
    frame = pl.read_parquet(path)
    assert sorted(frame["plate"].to_list()) == [ME, FRIEND]
    assert frame["at"].to_list() == [NOW - timedelta(hours=11)] * 2
    with database.write() as session:
        session.execute(text("DELETE FROM passage"))
    assert archive(database, site.settings, *day) == []
    assert list(folder_of(site.settings).glob("*")) == []


def test_old_day_files_go(sqlite_site: Site) -> None:
    sent(sqlite_site, (ME, "kk-west", NOW - timedelta(hours=11)))
    archive(sqlite_site.context.database, sqlite_site.settings, NOW - DAY, NOW)
    assert forget(sqlite_site.settings, NOW) == 0
    assert forget(sqlite_site.settings, NOW + 40 * DAY) == 1


# ---- mining agrees with what is plain


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 900)),
        min_size=2,
        max_size=40,
    ),
    st.sampled_from([10.0, 60.0]),
)
def test_every_coincidence_is_found_once(rows, gap_s) -> None:
    frame = pl.DataFrame(
        {
            "plate": [f"鲁H{p}" for p, _, _ in rows],
            "checkpoint_id": [f"k{k}" for _, k, _ in rows],
            "at": [NOW + timedelta(seconds=t) for _, _, t in rows],
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))
    data = mining.coded(frame.lazy())
    got = Counter(mining.coincidences(data, gap_s).select(*mining.BOTH, "k").collect().iter_rows())
    kept = list(data.rows.iter_rows())
    plain: Counter[Any] = Counter()
    for i, (p, k, t) in enumerate(kept):
        for q, m, u in kept[i + 1 :]:
            if k == m and p != q and abs(t - u) <= gap_s:
                plain[min(p, q), max(p, q), k] += 1
    assert got == plain


def test_an_empty_city_has_no_companions() -> None:
    frame = pl.LazyFrame(
        schema={"plate": pl.String, "checkpoint_id": pl.String, "at": pl.Datetime("us", "UTC")}
    )
    assert mining.city_companions(frame, CompanionRules(), 10).height == 0


# ---- the queue of clones


def queue(person: Person, state: str = "open") -> list[dict[str, Any]]:
    answer = person.get("/api/v1/analyses/clones", state=state, **PURPOSE)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["candidates"]
    return found


def decide(person: Person, candidate: int, answer: str, **more: str) -> Any:
    return person.post(
        f"/api/v1/analyses/clones/{candidate}/decision", {"answer": answer, **PURPOSE, **more}
    )


def fill_queue(site: Site) -> Any:
    verdict = judge_plate("鲁H10001", two_vehicles("black"), LINES, CloneRules())
    with site.context.database.write() as session:
        assert enqueue(session, [verdict], NOW) == 1
    with site.context.database.write() as session:
        assert enqueue(session, [verdict], NOW) == 0, "the same evidence is no new candidate"
    return verdict


def test_a_candidate_is_answered_once_and_by_whom_is_kept(sqlite_site: Site) -> None:
    site = sqlite_site
    fill_queue(site)
    operator = site.as_role("operator")
    (one,) = queue(operator)
    assert (one["plate"], one["cause"], one["state"]) == ("鲁H10001", "clone", "open")
    assert decide(operator, one["id"], "confirmed", note="两车同时在途").json() == {
        "state": "confirmed"
    }
    assert decide(operator, one["id"], "misread").status_code == 409
    assert queue(operator) == []
    (kept,) = queue(operator, "confirmed")
    assert (kept["decided_by"], kept["note"]) == ("operator", "两车同时在途")


def test_what_can_be_driven_is_learned_for_all_plates(sqlite_site: Site) -> None:
    site = sqlite_site
    verdict = fill_queue(site)
    operator = site.as_role("operator")
    decide(operator, queue(operator)[0]["id"], "drivable")
    with site.context.database.read() as session:
        limits = pair_limits(session)
    conflict = verdict.conflicts[0]
    pair = (conflict.start.checkpoint_id, conflict.end.checkpoint_id)
    assert limits[pair] <= conflict.duration_s
    with site.context.database.write() as session:
        assert enqueue(session, [verdict], NOW) == 0, "what was rejected does not come back"


def test_a_wrong_clock_covers_its_time_and_closes_what_rests_on_it(sqlite_site: Site) -> None:
    site = sqlite_site
    fill_queue(site)
    operator = site.as_role("operator")
    (one,) = queue(operator)
    assert decide(operator, one["id"], "clock_fault", checkpoint_id="elsewhere").status_code == 422
    place = one["checkpoints"][0]
    assert decide(operator, one["id"], "clock_fault", checkpoint_id=place).status_code == 200
    at = datetime.fromisoformat(one["last_at"])
    with site.context.database.read() as session:
        assert wrong_clocks(session, at - DAY, at) == {place}
        assert wrong_clocks(session, at + 3 * DAY, at + 4 * DAY) == frozenset()


def test_a_misread_passage_is_no_evidence_again(sqlite_site: Site) -> None:
    verdict = fill_queue(sqlite_site)
    operator = sqlite_site.as_role("operator")
    decide(operator, queue(operator)[0]["id"], "misread")
    with sqlite_site.context.database.read() as session:
        misread = misread_passages(session)
    assert misread == {str(c.end.passage_id) for c in verdict.conflicts}


def test_the_nightly_search_feeds_the_queue(site: Site) -> None:
    at = NOW - DAY
    for n in range(3):
        sent(site, (ME, "kk-west", at + timedelta(minutes=20 * n)),
             (ME, "kk-north", at + timedelta(minutes=20 * n, seconds=40)),
             (ME, "kk-centre", at + timedelta(minutes=20 * n + 4)))  # fmt: skip
    question = jobs.QUESTION.validate_python(
        {"kind": "clones", "since": iso(NOW - 2 * DAY), "until": iso(NOW)}
    )
    with site.context.database.write() as session:
        jobs.add_job(session, question, NOW, user_name=None, purpose="nightly", case_number="")
    assert work(site)
    (one,) = queue(site.as_role("operator"))
    assert one["plate"] == ME
    assert {p["checkpoint"]["id"] for p in one["finding"]["passages"]} <= set(CAMERA_OF)
    site.as_role("custodian").post(
        "/api/v1/protected-plates", {"plate": ME, "authority": "省厅1号"}
    )
    assert queue(site.as_role("operator")) == []
    assert decide(site.as_role("operator"), one["id"], "confirmed").status_code == 404
