"""Laws of the box's own watchlist: it matches as the server does, and gives nothing away."""

import json
import os
import stat
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.plate import is_rubbish, normalise
from anpr.watch import seen_of
from checkpoint_agent.config_upkeep import ServerConfig, WatchlistConfig
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.hook import Hook
from checkpoint_agent.watchlist import Hit, LocalWatchlist, PlainCopy, digest, match
from checkpoint_agent.watchlist_pull import WatchlistPull
from server.wire import LocalMatch, Watch, WatchlistCopy, WatchRule
from tests.checkpoint_agent.fakes import NOON, FakeClock, make_passage

HOUR = timedelta(hours=1)
PLATES = ["京A12345", "粤B1234D", "鲁H12345", "WJ京1234X"]

instants = st.integers(-5, 5).map(lambda hours: NOON + hours * HOUR)
watches = st.builds(
    Watch,
    entry_id=st.integers(1, 9),
    plate=st.sampled_from(PLATES),
    level=st.integers(1, 4),
    valid_from=instants,
    valid_to=st.none() | instants,
)
spellings = st.sampled_from(
    [
        *PLATES,
        "京A·12345",
        "京a-12345",
        "ＪＩＮＧ",
        "京AI2345",
        "京AO2345",
        "",
        "?",
        "京A1234?",
        "1",
    ]
)


def copy_of(*entries: Watch, revision: int = 7) -> WatchlistCopy:
    return WatchlistCopy(revision=revision, entries=entries)


def watch(plate: str, entry_id: int = 1, level: int = 1) -> Watch:
    return Watch(entry_id=entry_id, plate=plate, level=level, valid_from=NOON - HOUR, valid_to=None)


def looked(copy, plate: str, at, now) -> Hit | None:
    seen = seen_of(plate, (), plate_kind="unknown", plate_color="unknown", vehicle_color="unknown")
    return match(copy, seen, "cam-1", at, now)


def passing(plate: str, at=NOON):
    passage = make_passage(1)
    return passage.model_copy(
        update={"captured_at": at, "plate": passage.plate.model_copy(update={"text": plate})}
    )


@given(st.lists(watches, max_size=8, unique_by=lambda w: w.entry_id), spellings, instants, instants)
def test_a_box_finds_exactly_the_entries_that_hold(entries, plate, captured_at, now):
    """Against the definition: the plate in its one spelling, valid when captured or now."""
    stored = normalise(plate)[:16]
    expected = sorted(
        (w.level, w.entry_id) for w in entries
        if w.plate == stored and not is_rubbish(stored)
        and any(w.valid_from <= at and (w.valid_to is None or at < w.valid_to)
                for at in (captured_at, now))
    )  # fmt: skip
    hit = looked(PlainCopy.of(copy_of(*entries)), plate, captured_at, now)
    assert (hit.match.entry_ids if hit else ()) == tuple(n for _, n in expected)
    if hit:
        assert hit.level == expected[0][0]


@settings(max_examples=15)
@given(st.lists(watches, max_size=4, unique_by=lambda w: w.entry_id), spellings, instants)
def test_what_lies_on_the_disk_matches_as_what_came_over_the_link(entries, plate, now):
    with tempfile.TemporaryDirectory() as folder:
        plain = LocalWatchlist(Path(folder))
        plain.take(copy_of(*entries), None)
        assert plain.seal()
        sealed = LocalWatchlist(Path(folder))
        assert sealed.match(passing(plate, now), now) == plain.match(passing(plate, now), now)


def rule(entry_id: int, kind: str, plate: str, **other) -> WatchRule:
    return WatchRule(
        entry_id=entry_id, match=kind, plate=plate, level=1, valid_from=NOON - HOUR, **other
    )


def test_differences_are_put_on_top_of_what_is_held(tmp_path):
    local = LocalWatchlist(tmp_path)
    local.take(copy_of(watch("京A12345", 1), watch("京A12346", 2)), "a")
    changes = WatchlistCopy(
        revision=9, since=7, entries=(watch("京A12347", 3),), rules=(rule(4, "pattern", "京A1*8"),),
        ended=(1,),
    )  # fmt: skip
    assert local.takes_differences
    local.take(changes, "b")
    found = {plate: local.match(passing(plate), NOON) for plate in ("京A12345", "京A12346",
                                                                  "京A12347", "京A12348")}  # fmt: skip
    assert {plate: hit.match.entry_ids for plate, hit in found.items() if hit} == {
        "京A12346": (2,), "京A12347": (3,), "京A12348": (4,),
    }  # fmt: skip
    assert local.revision == 9
    with pytest.raises(ValueError, match="revision 7"):
        local.take(changes, "c")


def test_what_a_hash_cannot_match_lies_in_memory_alone_and_is_pulled_again(tmp_path):
    """Patterns, descriptions and misreads: no trace on the disk, and no tag that ends the asking."""
    local = LocalWatchlist(tmp_path)
    fuzzy = watch("鲁H12345", 1).model_copy(update={"tolerance": 0.5})
    copy = WatchlistCopy(revision=7, entries=(fuzzy,), rules=(rule(2, "pattern", "京A99*"),))
    local.take(copy, '"watchlist-7"')
    assert local.match(passing("京A99123"), NOON)
    assert local.seal()
    stored = (tmp_path / "watchlist.sealed.json").read_text()
    assert "99" not in json.loads(stored)["targets"]
    assert json.dumps("京A99*")[1:-1] not in stored
    after = LocalWatchlist(tmp_path)
    assert after.tag is None
    assert not after.takes_differences
    assert after.match(passing("京A99123"), NOON) is None
    assert after.match(passing("鲁H12345"), NOON), "the whole plate of a fuzzy entry is known"


def test_after_a_restart_without_link_the_box_still_knows_whom_to_look_for(tmp_path):
    before = LocalWatchlist(tmp_path)
    assert before.match(passing("京A12345"), NOON) is None
    before.take(copy_of(watch("京A12345", 5, 2)), '"watchlist-7"')
    expected = Hit(2, LocalMatch(revision=7, entry_ids=(5,)))
    assert before.match(passing("京A·12345"), NOON) == expected, "in force before it is written"
    assert before.seal()
    after = LocalWatchlist(tmp_path)
    assert (after.revision, after.tag) == (7, '"watchlist-7"')
    assert after.match(passing("京A·12345"), NOON) == expected
    assert after.match(passing("京A12346"), NOON) is None


def test_no_plate_lies_on_the_disk_and_nobody_else_may_read(tmp_path):
    local = LocalWatchlist(tmp_path)
    local.take(copy_of(*(watch(plate, n) for n, plate in enumerate(PLATES, 1))), None)
    local.seal()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for plate in PLATES:
            assert plate.encode() not in content
            assert json.dumps(plate)[1:-1].encode() not in content
            assert plate[1:].encode() not in content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_with_another_key_the_copy_is_worth_nothing(tmp_path):
    local = LocalWatchlist(tmp_path)
    local.take(copy_of(watch("京A12345")), "x")
    local.seal()
    (tmp_path / "watchlist.key").write_bytes(os.urandom(32))
    other = LocalWatchlist(tmp_path)
    assert (other.revision, other.tag) == (None, None), "so it is pulled anew"


def test_each_try_costs_whoever_guesses(tmp_path):
    """Two cores need years for all plates of the country; see docs/decisions/0016."""
    began = time.process_time()
    digest("京A12345", bytes(32))
    assert time.process_time() - began > 0.005


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": null, "targets": 3}'])
def test_a_damaged_copy_is_pulled_anew_and_ends_nothing(tmp_path, content):
    LocalWatchlist(tmp_path)
    (tmp_path / "watchlist.sealed.json").write_text(content)
    assert LocalWatchlist(tmp_path).revision is None


def test_a_key_that_is_missing_or_too_short_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"watchlist\.key_file: .*nowhere"):
        LocalWatchlist(tmp_path, tmp_path / "nowhere")
    (tmp_path / "short").write_bytes(b"7")
    with pytest.raises(ConfigError, match="less than 32 bytes"):
        LocalWatchlist(tmp_path, tmp_path / "short")


def test_a_disk_that_takes_no_key_leaves_the_list_in_memory_alone(tmp_path):
    (tmp_path / "watchlist.key").mkdir()
    local = LocalWatchlist(tmp_path)
    local.take(copy_of(watch("京A12345")), None)
    assert local.match(passing("京A12345"), NOON)


def test_an_own_key_cut_short_by_a_power_cut_is_made_anew(tmp_path):
    (tmp_path / "watchlist.key").write_bytes(b"")
    assert LocalWatchlist(tmp_path).revision is None
    assert len((tmp_path / "watchlist.key").read_bytes()) == 32


# ---- pulling


@pytest.fixture
def pull(tmp_path):
    (tmp_path / "token").write_text("sesame")

    def make(answer) -> tuple[WatchlistPull, LocalWatchlist]:
        local = LocalWatchlist(tmp_path)
        server = ServerConfig(url="http://server.test", token_file=tmp_path / "token")
        transport = httpx.MockTransport(answer)
        return WatchlistPull(
            local, WatchlistConfig(), server, FakeClock(), transport=transport
        ), local

    return make


def test_a_copy_is_asked_for_by_revision(pull):
    asked = []

    def answer(request):
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] == '"watchlist-7"':
            return httpx.Response(304)
        body = copy_of(watch("京A12345")).model_dump_json()
        return httpx.Response(200, text=body, headers={"ETag": '"watchlist-7"'})

    puller, local = pull(answer)
    puller.pull()
    puller.pull()
    assert asked == [None, '"watchlist-7"']
    assert local.revision == 7
    assert puller.confirmed_s == FakeClock().monotonic_s()
    again, _ = pull(answer)  # a restart asks by the revision that lies on the disk
    again.pull()
    assert asked[-1] == '"watchlist-7"'


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(404),
        httpx.Response(401),
        httpx.Response(200, text="<html>hotel</html>"),
        httpx.Response(200, text='{"revision": 9}'),
        httpx.Response(304),
    ],
)
def test_any_other_answer_leaves_the_copy_in_force(pull, answer):
    answers = [
        httpx.Response(200, text=copy_of(watch("京A12345")).model_dump_json()),
        answer,
    ]
    puller, local = pull(lambda _: answers.pop(0))
    puller.pull()
    puller.pull()
    assert local.match(passing("京A12345"), NOON)
    assert puller.fault


# ---- the hook

SNIFF = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
HIT = Hit(2, LocalMatch(revision=7, entry_ids=(5,)))


def eventually(condition, seconds: float = 10.0) -> bool:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    return condition()


def test_the_command_gets_the_hit(tmp_path):
    said = tmp_path / "said"
    hook = Hook([sys.executable, "-c", SNIFF, str(said)], timeout_s=10, level=2)
    hook.ring(make_passage(1), HIT)
    assert eventually(lambda: said.exists() and said.stat().st_size > 0)
    message = json.loads(said.read_text(encoding="utf-8"))
    assert (message["plate"], message["level"], message["entry_ids"]) == ("京A12345", 2, [5])
    hook.stop()
    assert hook.failures == 0


def test_a_hit_of_less_weight_is_passed_over(tmp_path):
    hook = Hook(["/bin/false"], timeout_s=1, level=1)
    hook.ring(make_passage(1), HIT)
    assert hook._thread is None


@pytest.mark.parametrize("command", [["/bin/false"], ["/no/such/command"], ["/bin/cat", "/nope"]])
def test_a_command_that_fails_is_counted_and_ends_nothing(command):
    hook = Hook(command, timeout_s=5, level=4)
    for _ in range(2):
        hook.ring(make_passage(1), HIT)
    assert eventually(lambda: hook.failures == 2)


def test_a_command_that_hangs_blocks_nobody_and_is_ended_with_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    hook = Hook(["/bin/sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout_s=0.5, level=4)
    began = time.monotonic()
    for _ in range(40):
        hook.ring(make_passage(1), HIT)
    assert time.monotonic() - began < 0.3
    passed_over = hook.failures
    assert passed_over >= 20
    assert eventually(lambda: hook.failures > passed_over and pid_file.exists())
    child = int(pid_file.read_text())
    assert eventually(lambda: not _is_alive(child))
    while not hook._waiting.empty():
        hook._waiting.get_nowait()
    hook.stop()


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_matching_is_safe_from_any_thread(tmp_path):
    local = LocalWatchlist(tmp_path)
    wrong = []

    def look() -> None:
        for _ in range(300):
            hit = local.match(passing("京A12345"), NOON)
            if hit is not None and hit.match.entry_ids != (hit.match.revision,):
                wrong.append(hit)

    looking = threading.Thread(target=look)
    looking.start()
    for n in range(1, 300):
        local.take(copy_of(watch("京A12345", n), revision=n), None)
    looking.join()
    assert wrong == []
