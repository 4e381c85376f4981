"""Laws of being looked after: alarms, heartbeat, page, metrics, logs, watchdog, clock, full disk."""

import io
import json
import logging
import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_agent.clock import ClockState
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.errors import OutboxFull
from checkpoint_agent.health import CameraLook, Health, Limits, Look, Observed, alarms
from checkpoint_agent.health_page import HealthPage
from checkpoint_agent.hook import Hook
from checkpoint_agent.keeping import Keeper
from checkpoint_agent.log import LogFile, set_up
from checkpoint_agent.notify import Notifier
from checkpoint_agent.outbox_values import OutboxState
from checkpoint_agent.steady_time import SteadyTime
from checkpoint_agent.vitals import Vitals, vitals_of
from checkpoint_agent.watchlist import LocalWatchlist
from server.wire import CameraState, WatchlistCopy
from tests.checkpoint_agent.fakes import MODELS, NOON, FakeClock
from tests.checkpoint_agent.test_outbox import entry, picture
from tests.checkpoint_agent.test_watchlist import watch

HOUR = timedelta(hours=1)
LIMITS = Limits(min_free_bytes=500, temperature_c=80.0, clock_ms=2000.0)
WELL = Look(
    agent_id="box",
    at=NOON,
    started_at=NOON,
    models=MODELS,
    clock=ClockState(synchronised=True, offset_ms=3.0),
    outbox=OutboxState(0, 0, 0, 0, None, {}),
    unsaved=0,
    damaged_files=0,
    vitals=Vitals(45.0, 10**8, 5.0, 10**9, 10**10),
    cpu_share=0.5,
    cameras=(),
    link_fault=None,
    watchlist_wanted=True,
    watchlist_revision=7,
    watchlist_age_s=10.0,
    up_s=9_000.0,
    hook_runs=0,
    hook_failures=0,
    config_fault=None,
    lately=frozenset(),
)


def camera(**changes) -> CameraLook:
    state = CameraState(camera_id="c", connected=True, frames_per_s=5, **changes)
    return CameraLook(state, frames=9, reconnects=0, broken=0, clock_jumps=0)


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        ({}, None),
        ({"unsaved": 1}, "outbox_full"),
        ({"lately": frozenset({"passages_given_up"})}, "passages_given_up"),
        ({"lately": frozenset({"pictures_given_up"})}, "pictures_given_up"),
        ({"cameras": (camera(),)}, None),
        ({"cameras": (camera(picture="good"),)}, None),
        ({"cameras": (camera(fault="no signal"),)}, "camera_lost"),
        ({"cameras": (camera(picture="frozen"),)}, "picture_bad"),
        ({"damaged_files": 1}, "outbox_damaged"),
        ({"vitals": replace(WELL.vitals, disk_free_bytes=499)}, "disk_low"),
        ({"vitals": Vitals(None, None, None, None, None)}, None),
        ({"vitals": replace(WELL.vitals, temperature_c=80.5)}, "hot"),
        ({"outbox": OutboxState(0, 1, 0, 0, None, {})}, "dead_letters"),
        ({"link_fault": "refused"}, "link_down"),
        ({"clock": ClockState(synchronised=False)}, "clock_off"),
        ({"clock": ClockState(synchronised=None)}, None),
        ({"clock": ClockState(synchronised=True, offset_ms=-2001.0)}, "clock_off"),
        ({"watchlist_age_s": 3601.0}, "watchlist_stale"),
        ({"watchlist_age_s": None}, "watchlist_stale"),
        ({"watchlist_age_s": None, "up_s": 60.0}, None),
        ({"watchlist_age_s": None, "watchlist_wanted": False}, None),
        ({"hook_failures": 2}, "hook_failed"),
        ({"config_fault": "url: missing"}, "config_rejected"),
    ],
)
def test_what_is_an_alarm(change, alarm):
    assert alarms(replace(WELL, **change), LIMITS) == (() if alarm is None else (alarm,))


# ---- the page and the metrics


@pytest.fixture
def health(outbox, tmp_path):
    (tmp_path / "token").write_text("sesame")
    config = AgentConfig.model_validate(
        {
            "agent_id": "box",
            "data_dir": str(tmp_path),
            "server": {"url": "http://kakou.test", "token_file": str(tmp_path / "token")},
            "outbox": {"min_free_mb": 0},
            "camera": [{"id": "gate-1", "source": "rtsp://u:secret@cam/1"}],
        }
    )
    observed = Observed(config=config, hook=Hook((), timeout_s=1, level=4))
    return Health(observed, outbox, MODELS, FakeClock())


@pytest.fixture
def page(health):
    page = HealthPage("127.0.0.1:0", health)
    yield f"http://127.0.0.1:{page.port}"
    page.close()


def test_the_page_shows_chinese_first_and_asks_nobody_else(page):
    answer = httpx.get(page)
    assert answer.status_code == 200
    assert "卡口前端" in answer.text
    for path in ("/", "/health.js"):
        text = httpx.get(page + path).text
        assert "http://" not in text
        assert "https://" not in text
    assert httpx.get(page + "/nothing").status_code == 404


def test_health_is_200_while_all_is_well_and_503_with_an_alarm(page, outbox, health):
    assert httpx.get(page + "/health").json()["ok"] is True
    outbox.put([entry(1, picture(b"x"))])
    outbox.settle(rejected={str(entry(1).passage.passage_id): "camera_id: unknown"})
    answer = httpx.get(page + "/health")
    assert answer.status_code == 503
    assert answer.json()["alarms"] == ["dead_letters"]
    assert answer.json()["counters"] == {"stored": 1, "rejected": 1}


def test_metrics_are_in_prometheus_form_and_hold_no_plate(page, outbox):
    outbox.put([entry(1), entry(2)])
    text = httpx.get(page + "/metrics").text
    assert "kakou_outbox_queued 2.0" in text
    assert 'kakou_outbox_fate_total{fate="stored"} 2.0' in text
    assert "kakou_agent_disk_free_bytes" in text
    assert 'version="0"' in text
    assert "京A12345" not in text
    assert "secret" not in text


def test_another_site_cannot_read_the_page_under_its_own_name(page):
    assert httpx.get(page + "/health", headers={"Host": "evil.example"}).status_code == 403


def test_an_address_that_is_taken_ends_nothing(health, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.listen()
        page = HealthPage(f"127.0.0.1:{taken.getsockname()[1]}", health)
        assert page.port is None
        page.close()
    assert "no health page" in caplog.text


def test_a_loss_is_an_alarm_for_a_day_and_the_heartbeat_says_it(health, tmp_path, outbox):
    assert health.heartbeat().alarms == ()
    outbox.put([entry(n, picture(bytes([n]) * 999)) for n in range(3)])
    outbox.set_limits(1000, 10**6, 0)
    outbox.put([entry(9, picture(b"9" * 999))])
    beat = health.heartbeat()
    assert beat.alarms == ("pictures_given_up",)
    assert beat.counters["pictures_given_up"] == 3
    health._clock.pass_s(86_401)
    assert health.heartbeat().alarms == ()


def test_the_box_says_what_it_can_of_itself(tmp_path):
    vitals = vitals_of(tmp_path)
    assert vitals.memory_bytes > 10**6
    assert 0 < vitals.disk_free_bytes <= vitals.disk_total_bytes
    assert vitals.cpu_s > 0
    assert vitals_of(tmp_path / "nowhere").disk_free_bytes is None


# ---- logs


def test_the_log_file_holds_json_lines_and_is_rotated(tmp_path):
    path = tmp_path / "logs" / "agent.jsonl"
    set_up("text", "info", io.StringIO(), LogFile(path, limit_bytes=2000, files=3))
    log = logging.getLogger("checkpoint_agent.test")
    try:
        for n in range(200):
            log.info("passage stored", extra={"camera": "gate-1", "n": n})
    finally:
        set_up("text", "info", io.StringIO())
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "agent.jsonl", "agent.jsonl.1", "agent.jsonl.2",
    ]  # fmt: skip
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["n"] == 199
    assert path.stat().st_size <= 2000


# ---- the service manager


def test_the_service_manager_hears_what_is_said(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        known = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        notifier = Notifier(known)
        assert notifier.watchdog_s == 60.0
        notifier.say("READY=1", "STATUS=good")
        assert manager.recv(100) == b"READY=1\nSTATUS=good"


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/no"},
    ],
)
def test_without_a_service_manager_nothing_is_said_and_nothing_fails(known):
    notifier = Notifier(known)
    assert notifier.watchdog_s is None
    notifier.say("READY=1")


# ---- a clock that is set


@given(
    leaps=st.lists(
        st.sampled_from([-86400.0, -3600.0, -1.5, 1.5, 7.0, 3600.0, 86400.0]), max_size=4
    ),
    lag_s=st.floats(0, 5),
)
def test_on_the_steady_scale_time_only_goes_on(leaps, lag_s):
    """However the wall clock is set, frames a second apart stay a second apart."""
    wall, s = NOON, 100.0
    steady = SteadyTime(wall, s)
    before = None
    for leap in [0.0, *leaps, 0.0]:
        wall, s = wall + timedelta(seconds=1.0 + leap), s + 1.0
        said = steady.follow(wall, s)
        assert (said is not None) == (leap != 0.0)
        at = steady.dated(wall - timedelta(seconds=lag_s), s)
        if before is not None:
            assert abs(at - before - timedelta(seconds=1)) < timedelta(milliseconds=1)
        before = at
    total = sum(leaps)
    assert abs(steady.settle() - timedelta(seconds=total)) < timedelta(milliseconds=1)
    assert not steady.is_apart
    assert abs(steady.now(s) - wall) < timedelta(milliseconds=1)


def test_a_clock_that_is_slewed_is_followed_without_a_word():
    steady = SteadyTime(NOON, 0.0)
    for n in range(1, 1000):
        assert steady.follow(NOON + timedelta(seconds=n * 1.0005), float(n)) is None
    assert steady.now(999.0) == NOON + timedelta(seconds=999 * 1.0005)


# ---- keeping


class FullDisk:
    """An outbox on a disk that takes nothing until told."""

    def __init__(self) -> None:
        self.full = True
        self.got = []
        self.positions = {}

    def put(self, entries, positions=None) -> int:
        if self.full:
            raise OutboxFull("outbox: the disk is full")
        self.got += entries
        self.positions |= positions or {}
        return len(entries)


def test_what_the_disk_does_not_take_waits_in_memory_and_no_place_runs_ahead_of_it():
    disk, clock = FullDisk(), FakeClock()
    keeper = Keeper(
        disk, clock, stored=lambda: None, watchlist=None, hook=Hook((), timeout_s=1, level=4)
    )
    for n in range(50):
        keeper.keep([entry(n, picture(b"%d" % n))], {"gate-1": f"place {n}"})
    assert keeper.unsaved == 50
    assert disk.positions == {}
    disk.full = False
    clock.pass_s(1.1)
    keeper.commit(within_s=5.0)
    assert keeper.unsaved == 0
    assert [e.passage for e in disk.got] == [
        entry(n, picture(b"%d" % n)).passage for n in range(50)
    ]
    assert disk.positions == {"gate-1": "place 49"}


def test_a_watched_vehicle_is_marked_before_it_is_stored_and_rings_if_it_is_now(outbox, tmp_path):
    rung = []

    class Bell(Hook):
        def ring(self, passage, hit) -> None:
            rung.append((passage.plate.text, hit.level))

    clock = FakeClock()
    local = LocalWatchlist(tmp_path)
    local.take(WatchlistCopy(revision=7, entries=(watch("京A12345", 5, 2),)), None)
    keeper = Keeper(
        outbox, clock, stored=lambda: None, watchlist=local, hook=Bell((), timeout_s=1, level=4)
    )
    keeper.keep([entry(1)], {})
    keeper.keep([entry(2, at=NOON - timedelta(minutes=30))], {})
    assert rung == [("京A12345", 2)], "yesterday's truck rings no bell"
    batch = outbox.next_batch(9, live_since=NOON)
    assert [p.local_match.entry_ids for p in batch.passages] == [(5,)]
    assert outbox.state().counters["local_hits"] == 2


def test_everything_can_be_looked_at_from_any_thread(health, outbox):
    stop = threading.Event()
    faults = []

    def look() -> None:
        while not stop.is_set():
            try:
                health.heartbeat()
            except Exception as error:  # noqa: BLE001 - any would be wrong
                faults.append(error)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for n in range(30):
        outbox.put([entry(n, picture(b"%d" % n))])
    time.sleep(0.05)
    stop.set()
    for looker in lookers:
        looker.join()
    assert faults == []
