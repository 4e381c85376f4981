"""Laws of capture: every frame of a recording, the newest of a live camera, its own time each."""

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from checkpoint_agent.capture import Feed, open_source, shows_stills
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import SourceError
from checkpoint_agent.frames import Frame, Idle, time_in_name
from checkpoint_agent.recordings import decode
from tests.checkpoint_agent.fakes import NOON, FakeClock, name_at


def grey(level: int, size=(60, 80)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", grey(level))[1].tobytes()


def camera(source, **changes) -> CameraConfig:
    return CameraConfig.model_validate({"id": "gate-1", "source": str(source), **changes})


def frames_of(config, place=None, clock=None, idle_exit_s=0.0) -> list[Frame]:
    source = open_source(config, place, clock or Clock(), idle_exit_s=idle_exit_s)
    return [item for item in source.frames(threading.Event()) if isinstance(item, Frame)]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("20261122T101500.120Z.jpg", datetime(2026, 11, 22, 10, 15, 0, 120_000, tzinfo=UTC)),
        ("gate-1_20261122T101500Z.jpg", datetime(2026, 11, 22, 10, 15, tzinfo=UTC)),
        ("20261122181500123+0800.jpg", datetime(2026, 11, 22, 10, 15, 0, 123_000, tzinfo=UTC)),
        ("20261122_101500_5Z.jpg", None),
        ("20261122T101500.jpg", None),
        ("20261322T101500Z.jpg", None),
        ("photo-7.jpg", None),
    ],
)
def test_time_in_a_name(name, wanted):
    assert time_in_name(name) == wanted


def test_a_folder_gives_every_picture_in_order_of_capture(tmp_path):
    for n in (3, 1, 2):
        (tmp_path / f"x{9 - n}-{name_at(NOON + timedelta(seconds=n))}").write_bytes(jpeg(n * 50))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.jpg").write_bytes(jpeg(0))
    found = frames_of(camera(tmp_path))
    assert [f.captured_at for f in found] == [NOON + timedelta(seconds=n) for n in (1, 2, 3)]
    assert [f.number for f in found] == [0, 1, 2]
    assert [round(float(f.image.mean()), -1) for f in found] == [50, 100, 150]


def test_a_picture_without_a_time_in_its_name_has_that_of_its_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(9))
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    assert frames_of(camera(tmp_path))[0].captured_at == NOON


def test_started_at_shifts_all_times_alike(tmp_path):
    for n in range(3):
        (tmp_path / name_at(NOON + timedelta(seconds=n))).write_bytes(jpeg(n))
    start = datetime(2027, 1, 1, tzinfo=UTC)
    found = frames_of(camera(tmp_path, started_at=start))
    assert [f.captured_at - start for f in found] == [timedelta(seconds=n) for n in range(3)]


def test_now_stays_the_first_now_when_read_again(tmp_path):
    for n in range(3):
        (tmp_path / name_at(NOON + timedelta(seconds=n))).write_bytes(jpeg(n))
    config = camera(tmp_path, started_at="now")
    first = frames_of(config, clock=FakeClock(at=datetime(2027, 1, 1, tzinfo=UTC)))
    later = FakeClock(at=datetime(2027, 6, 1, tzinfo=UTC))
    again = frames_of(config, place=first[0].before, clock=later)
    assert [f.captured_at for f in again] == [f.captured_at for f in first]


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_a_recording_continues_behind_any_frame(tmp_path, kind, clip):
    if kind == "folder":
        for n in range(5):
            (tmp_path / name_at(NOON + timedelta(seconds=n))).write_bytes(jpeg(n))
    config = camera(tmp_path if kind == "folder" else clip)
    whole = frames_of(config)
    for n, frame in enumerate(whole):
        rest = frames_of(config, place=frame.after)
        assert [(f.number, f.name, f.captured_at) for f in rest] == [
            (f.number, f.name, f.captured_at) for f in whole[n + 1 :]
        ]
        assert frames_of(config, place=frame.before)[0].name == frame.name


@pytest.mark.parametrize(
    "content",
    [b"", b"this is text", jpeg(7)[:-2], jpeg(7)[:200], b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"],
)
def test_a_broken_picture_is_counted_and_skipped(tmp_path, content):
    names = [name_at(NOON + timedelta(seconds=n)) for n in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(jpeg(5))
    (tmp_path / names[1]).write_bytes(content)
    source = open_source(camera(tmp_path), None, Clock(), idle_exit_s=None)
    found = [item.name for item in source.frames(threading.Event())]
    assert found == [names[0], names[2]]
    assert source.broken == 1


def test_a_picture_that_is_still_arriving_is_waited_for(tmp_path):
    whole = jpeg(200)
    path = tmp_path / name_at(NOON)
    path.write_bytes(whole[: len(whole) // 2])
    source = open_source(camera(tmp_path, follow=True), None, Clock(), idle_exit_s=20)
    items = source.frames(threading.Event())
    assert isinstance(next(items), Idle)
    path.write_bytes(whole)
    frame = next(item for item in items if isinstance(item, Frame))
    assert frame.name == path.name
    assert source.broken == 0


def test_a_picture_that_never_becomes_whole_is_given_up(tmp_path):
    (tmp_path / name_at(NOON)).write_bytes(b"half")
    clock = FakeClock(at=datetime.now(UTC))
    source = open_source(camera(tmp_path, follow=True), None, clock, idle_exit_s=30)
    assert [item for item in source.frames(threading.Event()) if isinstance(item, Frame)] == []
    assert source.broken == 1


def test_a_followed_folder_gives_late_pictures_too(tmp_path):
    """FTP does not keep the order; within a run a late picture is still seen."""
    times = [NOON + timedelta(seconds=n) for n in (1, 3, 2)]
    (tmp_path / name_at(times[0])).write_bytes(jpeg(1))
    (tmp_path / name_at(times[1])).write_bytes(jpeg(1))
    source = open_source(camera(tmp_path, follow=True), None, Clock(), idle_exit_s=20)
    items = (item for item in source.frames(threading.Event()) if isinstance(item, Frame))
    assert [next(items).captured_at for _ in range(2)] == times[:2]
    (tmp_path / name_at(times[2])).write_bytes(jpeg(1))
    late = next(items)
    assert late.captured_at == times[2]
    assert json.loads(late.after)["after"][1] == name_at(times[1]), "the place never goes back"


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_pace_recorded_gives_frames_when_they_are_due(tmp_path, speed):
    for n in range(4):
        (tmp_path / name_at(NOON + timedelta(seconds=n))).write_bytes(jpeg(n))
    clock = FakeClock()
    config = camera(tmp_path, pace="recorded", speed=speed)
    source = open_source(config, None, clock, idle_exit_s=None)
    began_s = clock.s
    due_s = [round(clock.s - began_s, 6) for _ in source.frames(threading.Event())]
    assert due_s == [n / speed for n in range(4)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten frames at 5 frames a second, each brighter than the one before."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (80, 60))
    for n in range(10):
        writer.write(grey(20 + 20 * n))
    writer.release()
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    return path


def test_a_video_gives_every_frame_at_its_time(clip):
    found = frames_of(camera(clip))
    assert [f.captured_at - NOON for f in found] == [
        timedelta(milliseconds=200 * n) for n in range(10)
    ]
    assert [round(float(f.image.mean()), -1) for f in found] == [20 + 20 * n for n in range(10)]


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda p: None, {}, "no such folder or video file"),
        (lambda p: p.write_bytes(b"no video"), {}, "no video that can be read"),
        (lambda p: p.write_bytes(b"x"), {"follow": True}, "follow needs a folder"),
    ],
)
def test_a_recording_that_cannot_be_read_is_named(tmp_path, make, options, said):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(SourceError, match=said) as caught:
        frames_of(camera(path, **options))
    assert "clip.mp4" in str(caught.value)


def test_pictures_without_times_are_stills_unless_said_otherwise(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(jpeg(1))
    assert shows_stills(camera(tmp_path))
    assert not shows_stills(camera(tmp_path, stills=False))
    (tmp_path / "photo.jpg").rename(tmp_path / name_at(NOON))
    assert not shows_stills(camera(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\xff\xd8" + b"\x00" * 100 + b"\xff\xd9", jpeg(3)[:-20]]
)
def test_what_is_no_whole_picture_decodes_to_nothing(content):
    assert decode(content) is None


# ---------------------------------------------------------------------- feeds and live cameras


class Counting:
    """A source that gives numbered frames as fast as they are taken."""

    broken = 0
    fault = None

    def __init__(self, total: int, *, recorded: bool, pause_s: float = 0.0) -> None:
        self.total, self.recorded, self.pause_s = total, recorded, pause_s
        self.given = threading.Event()

    def frames(self, stop):
        for n in range(self.total):
            yield Frame(grey(0, (2, 2)), NOON, n, str(n))
            time.sleep(self.pause_s)
        self.given.set()


def take_all(feed: Feed, pause_s: float = 0.0) -> list[int]:
    numbers = []
    ends = time.monotonic() + 20
    while not feed.ended and time.monotonic() < ends:
        item = feed.take()
        if item is not None:
            numbers.append(item.number)
            time.sleep(pause_s)
    return numbers


def test_of_a_recording_every_frame_is_seen_however_slow_the_reader():
    feed = Feed("c", Counting(50, recorded=True), threading.Event())
    feed.start()
    assert take_all(feed, 0.002) == list(range(50))
    assert feed.dropped == 0


def test_of_a_live_camera_the_newest_frame_wins():
    source = Counting(200, recorded=False)
    feed = Feed("c", source, threading.Event())
    feed.start()
    assert source.given.wait(10), "a live camera never waits for the reader"
    assert take_all(feed) == [198, 199], "one in hand, one on its way"
    assert feed.dropped == 198


def test_a_failing_source_is_heard_of():
    class Failing(Counting):
        def frames(self, stop):
            yield Frame(grey(0, (2, 2)), NOON, 0, "0")
            raise SourceError("the disk is gone")

    feed = Feed("c", Failing(1, recorded=True), threading.Event())
    feed.start()
    ends = time.monotonic() + 10
    while not isinstance(feed.take(), Frame) and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.1)
    with pytest.raises(SourceError, match="disk is gone"):
        feed.take()
    assert not feed.ended


@pytest.fixture
def http_camera():
    """A camera on the loopback: ``/snapshot`` and ``/mjpeg``; answers 500 while ``ill``."""
    state = {"ill": False, "asked": 0}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            state["asked"] += 1
            if state["ill"]:
                self.send_error(500)
            elif self.path.startswith("/snapshot"):
                body = jpeg(min(250, 10 * state["asked"]))
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            else:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for n in range(12):
                    body = jpeg(20 * n)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + body + b"\r\n")
                    except OSError:  # the reader has seen enough
                        return
                    time.sleep(0.02)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    state["url"] = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_snapshots_are_fetched_again_and_again(http_camera):
    config = camera(http_camera["url"] + "/snapshot.jpg", snapshot_interval_s=0.02)
    items = open_source(config, None, Clock(), idle_exit_s=None).frames(threading.Event())
    found = [next(items) for _ in range(5)]
    assert all(isinstance(item, Frame) for item in found)
    levels = [float(item.image.mean()) for item in found]
    assert levels == sorted(levels)
    assert levels[0] < levels[-1]
    assert datetime.now(UTC) - found[-1].captured_at < timedelta(seconds=20)
    items.close()


def test_motion_jpeg_is_read(http_camera):
    config = camera(http_camera["url"] + "/mjpeg")
    items = open_source(config, None, Clock(), idle_exit_s=None).frames(threading.Event())
    found = [item for item in (next(items) for _ in range(5)) if isinstance(item, Frame)]
    assert len(found) == 5
    items.close()


def test_a_lost_camera_is_reported_and_opened_again(http_camera):
    http_camera["ill"] = True
    config = camera(http_camera["url"].replace("http://", "http://admin:secret@") + "/snapshot")
    clock = FakeClock()
    source = open_source(config, None, clock, idle_exit_s=None)
    items = source.frames(threading.Event())
    assert isinstance(next(items), Idle)
    assert "answers 500" in source.fault
    assert "secret" not in source.fault
    asked = http_camera["asked"]
    http_camera["ill"] = False
    assert any(isinstance(next(items), Frame) for _ in range(200))
    assert source.fault is None
    assert http_camera["asked"] > asked
    items.close()
