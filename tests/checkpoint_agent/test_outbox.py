"""Laws of the outbox: nothing put is lost, nothing is stored twice, every fate is written down."""

import hashlib
import itertools
import os
import signal
import sqlite3
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from checkpoint_agent.config_upkeep import OutboxConfig
from checkpoint_agent.errors import OutboxError, OutboxFull
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.outbox_values import Entry, Picture
from tests.checkpoint_agent.conftest import open_outbox
from tests.checkpoint_agent.fakes import NOON, make_passage

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_ballast(monkeypatch):
    """These laws are about a file without spare pages: the ballast would take in what they add."""
    monkeypatch.setattr("checkpoint_agent.outbox_file._BALLAST_BYTES", 1)


def picture(content: bytes) -> Picture:
    return Picture(hashlib.sha256(content).hexdigest(), content)


def entry(number: int, *pictures: Picture, at=NOON) -> Entry:
    return Entry(make_passage(number, at=at, pictures=[p.sha256 for p in pictures]), pictures)


def ids_of(batch) -> list[str]:
    return [str(passage.passage_id) for passage in batch.passages]


def test_what_was_put_comes_out_with_its_pictures_after_reopening(tmp_path):
    path = tmp_path / "outbox.sqlite3"
    scene = picture(b"scene")
    box = open_outbox(path)
    assert box.put([entry(1, scene)], {"gate-1": "place 7"}) == 1
    box.close()
    box = open_outbox(path)
    batch = box.next_batch(10, live_since=NOON - HOUR)
    assert batch.passages == (entry(1, scene).passage,)
    assert batch.unsent_pictures == (scene.sha256,)
    assert box.picture(scene.sha256) == b"scene"
    assert box.position("gate-1") == "place 7"
    box.close()


def test_the_same_passage_is_stored_once(outbox):
    assert outbox.put([entry(1), entry(1)]) == 1
    assert outbox.put([entry(1)]) == 0
    assert outbox.state().queued == 1


def test_live_passages_overtake_the_backlog_and_each_goes_oldest_first(outbox):
    old = [entry(n, at=NOON - HOUR + timedelta(seconds=n)) for n in range(3)]
    new = [entry(n, at=NOON + timedelta(seconds=n)) for n in range(3)]
    outbox.put([*reversed(old), *reversed(new)])
    live = outbox.next_batch(2, live_since=NOON)
    assert (live.delivery, live.passages) == ("live", tuple(e.passage for e in new[:2]))
    outbox.settle(accepted=[str(e.passage.passage_id) for e in new])
    backlog = outbox.next_batch(9, live_since=NOON)
    assert (backlog.delivery, backlog.passages) == ("backlog", tuple(e.passage for e in old))


def test_a_deferred_passage_holds_up_nothing(outbox):
    outbox.put([entry(1), entry(2, at=NOON + HOUR)])
    first = ids_of(outbox.next_batch(1, live_since=NOON))
    assert ids_of(outbox.next_batch(1, live_since=NOON, deferred=first)) != first


def test_each_outcome_has_its_fate(outbox):
    entries = [entry(n) for n in range(4)]
    outbox.put(entries)
    accepted, duplicate, rejected, kept = (str(e.passage.passage_id) for e in entries)
    outbox.settle(
        accepted=[accepted],
        duplicate=[duplicate],
        rejected={rejected: "camera_id: unknown"},
        kept=[kept],
    )
    assert ids_of(outbox.next_batch(9, live_since=NOON)) == [kept]
    assert [(d.passage_id, d.reason) for d in outbox.dead_letters()] == [
        (rejected, "camera_id: unknown")
    ]
    state = outbox.state()
    assert (state.queued, state.dead) == (1, 1)
    assert state.counters == {"stored": 4, "accepted": 1, "duplicate": 1, "rejected": 1}
    assert outbox.requeue_dead_letters() == 1
    assert sorted(ids_of(outbox.next_batch(9, live_since=NOON))) == sorted([rejected, kept])


def test_a_picture_lives_as_long_as_a_passage_shows_it(outbox):
    shared, own = picture(b"two cars in one frame"), picture(b"plate")
    outbox.put([entry(1, shared, own), entry(2, shared)])
    outbox.settle(accepted=[str(make_passage(1).passage_id)])
    assert outbox.picture(own.sha256) is None
    assert outbox.picture(shared.sha256) is not None
    outbox.settle(accepted=[str(make_passage(2).passage_id)])
    assert outbox.state().pictures == 0


def test_a_kept_passage_sends_its_pictures_again(outbox):
    scene = picture(b"scene")
    outbox.put([entry(1, scene)])
    outbox.picture_sent(scene.sha256)
    assert outbox.next_batch(1, live_since=NOON).unsent_pictures == ()
    outbox.settle(kept=[str(make_passage(1).passage_id)])
    assert outbox.next_batch(1, live_since=NOON).unsent_pictures == (scene.sha256,)


def test_beyond_the_cap_the_oldest_pictures_go_and_their_passages_stay(tmp_path):
    box = open_outbox(tmp_path / "o.sqlite3", pictures_limit_bytes=250)
    for n in range(4):
        box.put([entry(n, picture(bytes([n]) * 100), at=NOON + timedelta(seconds=n))])
    batch = box.next_batch(9, live_since=NOON)
    assert [len(passage.evidence) for passage in batch.passages] == [0, 0, 1, 1]
    state = box.state()
    assert (state.queued, state.pictures_bytes) == (4, 200)
    assert state.counters["pictures_given_up"] == 2
    box.close()


def test_beyond_the_limit_of_passages_the_oldest_go_and_are_counted(tmp_path):
    box = open_outbox(tmp_path / "o.sqlite3", passages_limit=3)
    box.put([entry(n, at=NOON + timedelta(seconds=n)) for n in range(5)])
    batch = box.next_batch(9, live_since=NOON - HOUR)
    assert [p.captured_at.second for p in batch.passages] == [2, 3, 4]
    assert box.state().counters["passages_given_up"] == 2
    box.close()


def test_a_passage_that_this_version_cannot_read_blocks_nothing(tmp_path):
    path = tmp_path / "o.sqlite3"
    box = open_outbox(path)
    box.put([entry(1), entry(2, at=NOON + HOUR)])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE passage SET body = '{}' WHERE sequence = 1")
    db.close()
    batch = box.next_batch(9, live_since=NOON)
    assert ids_of(batch) == [str(make_passage(2, at=NOON + HOUR).passage_id)]
    assert "unreadable" in box.dead_letters()[0].reason
    box.close()


@pytest.mark.parametrize("damage", ["garbage", "middle", "suspect"])
def test_a_damaged_database_is_set_aside_and_started_anew(tmp_path, damage):
    path = tmp_path / "outbox.sqlite3"
    box = open_outbox(path)
    box.put([entry(n, picture(bytes([n]) * 5000)) for n in range(20)])
    box.close()
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        path.write_bytes(b"this is no database, it is a sentence" * 400)
    elif damage == "middle":
        content[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
        path.write_bytes(content)
    else:
        path.with_name("outbox.sqlite3.suspect").touch()
    box = open_outbox(path)
    assert box.set_aside is not None
    assert box.set_aside.exists()
    salvaged = box.state().counters.get("salvaged", 0)
    assert box.state().counters["databases_set_aside"] == 1
    assert box.state().queued == salvaged
    assert salvaged == 0 if damage == "garbage" else salvaged > 0
    assert box.put([entry(99)]) == 1
    box.close()
    assert open_and_count(path) == salvaged + 1


def test_what_can_be_read_of_a_damaged_database_is_taken_over_whole(tmp_path):
    """Every picture that is taken over has its name; every passage still goes out once."""
    path = tmp_path / "outbox.sqlite3"
    box = open_outbox(path)
    entries = [entry(n, picture(os.urandom(20_000))) for n in range(40)]
    box.put(entries)
    box.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3 * 4096] = os.urandom(3 * 4096)
    path.write_bytes(content)
    path.with_name("outbox.sqlite3.suspect").touch()
    box = open_outbox(path)
    state = box.state()
    assert state.counters["salvaged"] == state.queued >= 30
    assert state.pictures >= state.queued - 4
    batch = box.next_batch(100, live_since=NOON)
    assert {p.passage_id for p in batch.passages} <= {e.passage.passage_id for e in entries}
    for passage in batch.passages:
        for item in passage.evidence:
            assert hashlib.sha256(box.picture(item.sha256)).hexdigest() == item.sha256
    box.close()


def test_damage_that_shows_while_at_work_ends_nothing(tmp_path):
    """The very passage that met the damage is stored; what was there before is taken over."""
    path = tmp_path / "outbox.sqlite3"
    box = open_outbox(path)
    box.put([entry(n, picture(bytes([n]) * 5000)) for n in range(20)])
    with box._database.reading() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'shown_in'"
        ).fetchone()
        db.execute("PRAGMA shrink_memory")
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with box._database.reading() as db:  # another page cache, as after a while
        db.execute("PRAGMA cache_size = 0")
        db.execute("PRAGMA cache_size = 100")
    assert box.put([entry(77, picture(b"new"))]) == 1
    assert box.set_aside is not None
    assert box.state().queued == 21
    assert box.damaged_files() == [box.set_aside]
    box.close()


def test_no_more_than_two_damaged_databases_are_kept(tmp_path):
    path = tmp_path / "outbox.sqlite3"
    moments = (NOON + timedelta(seconds=n) for n in itertools.count())
    for _ in range(4):
        path.write_bytes(b"this is no database" * 400)
        Outbox(
            path, pictures_limit_bytes=10**9, passages_limit=10**6, now=lambda: next(moments)
        ).close()
    box = open_outbox(path)
    assert len(box.damaged_files()) == 2
    box.close()


def test_passages_of_an_older_version_are_still_sent(tmp_path):
    """A box is updated with passages waiting."""
    path = tmp_path / "outbox.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(OLD_SCHEMA)
        db.execute(
            "INSERT INTO passage (passage_id, captured_us, body) VALUES (?, 1, ?)",
            (str(make_passage(1).passage_id), make_passage(1).model_dump_json(by_alias=True)),
        )
    db.close()
    box = open_outbox(path)
    assert box.set_aside is None
    assert ids_of(box.next_batch(9, live_since=NOON)) == [str(make_passage(1).passage_id)]
    assert box.put([entry(2)]) == 1
    box.close()
    assert open_and_count(path) == 2


OLD_SCHEMA = """
CREATE TABLE passage (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    passage_id TEXT NOT NULL UNIQUE,
    captured_us INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'dead')),
    reason TEXT,
    body TEXT NOT NULL
);
CREATE INDEX passage_by_age ON passage (state, captured_us);
CREATE TABLE picture (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX picture_by_size ON picture (size_bytes);
CREATE TABLE content (
    sha256 TEXT PRIMARY KEY REFERENCES picture (sha256) ON DELETE CASCADE,
    bytes BLOB NOT NULL
);
CREATE TABLE shows (
    passage_id TEXT NOT NULL REFERENCES passage (passage_id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (passage_id, sha256)
) WITHOUT ROWID;
CREATE INDEX shown_in ON shows (sha256);
CREATE TABLE position (camera_id TEXT PRIMARY KEY, place TEXT NOT NULL);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA user_version = 1;
"""


def open_and_count(path: Path) -> int:
    box = open_outbox(path)
    try:
        assert box.set_aside is None
        return box.state().queued
    finally:
        box.close()


def fill_disk(box, room_pages: int) -> None:
    """Let the database grow by so few pages only, as on a full disk."""
    with box._database.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + room_pages}")


def test_on_a_full_disk_pictures_make_room_for_passages(outbox):
    """The oldest pictures go; no passage does, and nothing is half written."""
    outbox.put([entry(n, picture(bytes([n]) * 500_000)) for n in range(60)])
    fill_disk(outbox, 10)
    for n in range(60, 70):
        assert outbox.put([entry(n, picture(bytes([n]) * 500_000))]) == 1
    state = outbox.state()
    assert state.queued == 70
    assert state.counters["pictures_given_up"] >= 10
    assert "passages_given_up" not in state.counters
    assert state.pictures + state.counters["pictures_given_up"] == 70


def test_a_passage_is_worth_more_than_its_pictures(outbox):
    outbox.put([entry(1)])
    fill_disk(outbox, 4)
    assert outbox.put([entry(2, picture(b"x" * 500_000))], {"gate-1": "place"}) == 1
    state = outbox.state()
    assert (state.queued, state.pictures) == (2, 0)
    assert state.counters["pictures_given_up"] == 1
    assert outbox.position("gate-1") == "place"


def test_on_a_disk_full_of_passages_the_oldest_go_last_of_all_and_watched_ones_stay(outbox):
    outbox.put([replace(entry(0), watched=True)])
    outbox.put([entry(n, picture(bytes([n % 251]) * 3000)) for n in range(1, 300)])
    fill_disk(outbox, 0)
    for n in range(300, 1700, 20):
        assert outbox.put([entry(k) for k in range(n, n + 20)]) == 20
    state = outbox.state()
    assert state.pictures == 0
    assert state.counters["passages_given_up"] >= 100
    assert state.queued + state.counters["passages_given_up"] == 1700
    first = outbox.next_batch(1, live_since=NOON)
    assert ids_of(first) == [str(make_passage(0).passage_id)]


def test_on_a_disk_that_takes_nothing_it_is_said_and_nothing_is_half_written(outbox):
    outbox.put([entry(1)])
    fill_disk(outbox, 0)
    crowd = [entry(n) for n in range(2, 200)]
    with pytest.raises(OutboxFull, match=r"outbox\.sqlite3: the disk is full"):
        outbox.put(crowd, {"gate-1": "place"})
    assert outbox.state().queued in {0, 1}
    assert outbox.position("gate-1") is None


def test_while_the_disk_is_short_each_new_picture_takes_the_place_of_old_ones(
    tmp_path, monkeypatch
):
    """Others on the box get their room back before anything is truly full."""
    box = open_outbox(tmp_path / "o.sqlite3", min_free_bytes=10**9)
    monkeypatch.setattr("checkpoint_agent.outbox.free_bytes", lambda _: 2 * 10**9)
    box.put([entry(n, picture(os.urandom(50_000))) for n in range(20)])
    monkeypatch.setattr("checkpoint_agent.outbox.free_bytes", lambda _: 10**9 - 1)
    full = box.state().pictures_bytes
    with box._database.reading() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (tmp_path / "o.sqlite3").stat().st_size
    for n in range(20, 50):
        box.put([entry(n, picture(os.urandom(50_000)))])
    state = box.state()
    assert state.queued == 50
    assert state.pictures_bytes <= full
    assert state.pictures >= 15
    assert state.pictures + state.counters["pictures_given_up"] == 50
    box.close()
    assert (tmp_path / "o.sqlite3").stat().st_size <= size + 300_000


def test_a_watched_vehicle_goes_out_before_all_others_also_from_the_backlog(outbox):
    outbox.put([entry(1), entry(2, at=NOON - HOUR)])
    late = replace(entry(3, at=NOON - HOUR), watched=True)
    live = replace(entry(4, at=NOON + HOUR), watched=True)
    outbox.put([late, live])
    order = []
    while (batch := outbox.next_batch(9, live_since=NOON)) is not None:
        order += [(batch.delivery, name) for name in ids_of(batch)]
        outbox.settle(accepted=ids_of(batch))
    expected = [
        ("live", live),
        ("backlog", late),
        ("live", entry(1)),
        ("backlog", entry(2, at=NOON - HOUR)),
    ]
    assert order == [(delivery, str(e.passage.passage_id)) for delivery, e in expected]
    assert outbox.state().counters["local_hits"] == 2


BUSY_LANE_A_DAY = 15_000
"""Vehicles: an urban lane that is full in rush hours (1,200 an hour) and never empty."""


def test_seven_days_of_a_busy_lane_fit_the_default_caps(tmp_path):
    """The sum, at a thousandth of the size: 105,000 vehicles with 150 kB of pictures each.

    One vehicle of each thousand is put with pictures of the size of one; the week fits without
    anything given up, and what comes on the ninth day takes the place of the first.
    """
    defaults = OutboxConfig()
    week = 7 * BUSY_LANE_A_DAY
    assert week <= defaults.passages_limit
    assert week * PICTURES_BYTES <= defaults.pictures_limit_mb * 1_000_000
    box = open_outbox(
        tmp_path / "o.sqlite3",
        pictures_limit_bytes=defaults.pictures_limit_mb * 1_000,
        passages_limit=defaults.passages_limit // 1000,
    )
    for n in range(week // 1000):
        box.put([entry(n, picture(os.urandom(PICTURES_BYTES)), at=NOON + n * HOUR)])
    state = box.state()
    assert (state.queued, state.pictures) == (105, 105)
    assert "pictures_given_up" not in state.counters
    for n in range(105, 150):
        box.put([entry(n, picture(os.urandom(PICTURES_BYTES)), at=NOON + n * HOUR)])
    state = box.state()
    assert state.queued == 150
    assert state.counters["pictures_given_up"] == 150 - state.pictures > 0
    evidence = [len(p.evidence) for p in box.next_batch(200, live_since=NOON).passages]
    assert evidence == sorted(evidence), "the oldest pictures went first"
    box.close()


PICTURES_BYTES = 150_000
"""Pictures of one passage, as the agent makes them of a 1080p frame; see docs/operations.md."""


def test_an_outbox_that_cannot_be_created_says_which_file(tmp_path):
    with pytest.raises(OutboxError, match="no-such-folder"):
        open_outbox(tmp_path / "no-such-folder" / "outbox.sqlite3")


def write_for_ever(path: Path, start: int, report: int) -> None:
    """Put passages one after the other, reporting each; the body of a process to be killed."""
    box = open_outbox(path)
    for n in itertools.count(start):
        box.put([entry(n, picture(b"%d" % n * 3000))], {"gate-1": str(n)})
        os.write(report, b"%d\n" % n)


def test_kill_9_loses_nothing_that_was_put(tmp_path):
    """Twenty times: whatever the writer reported as put is there, whole, with the position."""
    path = tmp_path / "outbox.sqlite3"
    start = 0
    for kill in range(20):
        reading, writing = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                write_for_ever(path, start, writing)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as reports:
            reported = int(reports.readline())
            time.sleep(0.007 * (kill % 7))
            os.kill(writer, signal.SIGKILL)
            reported = max([reported, *map(int, reports.read().split())])
        assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
        box = open_outbox(path)
        assert box.set_aside is None
        position = int(box.position("gate-1") or -1)
        state = box.state()
        # The last one may have been put without having been reported; none is missing.
        assert reported <= position <= reported + 1
        assert state.queued == state.pictures == position + 1
        assert state.counters["stored"] == state.queued
        box.close()
        start = position + 1
    box = open_outbox(path)
    while (batch := box.next_batch(100, live_since=NOON)) is not None:
        for passage in batch.passages:
            assert all(box.picture(item.sha256) for item in passage.evidence)
        box.settle(accepted=ids_of(batch))
    assert box.state().counters["accepted"] == start > 40
    assert box.state().pictures == 0
    box.close()
