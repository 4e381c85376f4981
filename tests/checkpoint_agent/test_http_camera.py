"""Laws of HTTP cameras, against a small real server: login, refusal, and what is no picture."""

import base64
import hashlib
import re
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from checkpoint_agent.capture import Feed, open_source
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import CameraLost
from checkpoint_agent.frames import Frame, Idle
from checkpoint_agent.streams import open_stream
from tests.checkpoint_agent.fakes import FakeClock

USER, WORD, WORD_IN_ADDRESS = "admin", "ge heim@1", "ge%20heim%401"
REALM, NONCE = "camera", "abcdef"


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Camera(BaseHTTPRequestHandler):
    """``/basic/…`` and ``/digest/…`` want a login; then ``snapshot``, ``mjpeg`` and others."""

    protocol_version = "HTTP/1.1"
    logins = 0
    """Wrong logins so far."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        guard, _, what = self.path.strip("/").partition("/")
        if not self.allowed(guard):
            challenge = {
                "basic": f'Basic realm="{REALM}"',
                "digest": f'Digest realm="{REALM}", nonce="{NONCE}", algorithm=MD5',
            }[guard]
            self.answer(401, b"", {"WWW-Authenticate": challenge})
        elif what == "snapshot":
            self.answer(200, jpeg(90), {"Content-Type": "image/jpeg"})
        elif what == "page":
            self.answer(200, b"<html>log in</html>", {"Content-Type": "text/html"})
        elif what == "garbage":
            self.answer(200, b"\xff\xd8 half a pic", {"Content-Type": "image/jpeg"})
        elif what == "mjpeg":
            self.mjpeg()
        else:
            self.answer(404, b"", {})

    def allowed(self, guard: str) -> bool:
        given = self.headers.get("Authorization", "")
        if guard == "basic":
            Camera.logins += bool(given)
            return given == "Basic " + base64.b64encode(f"{USER}:{WORD}".encode()).decode()
        if guard == "digest":
            field = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
            proof = md5(f"{md5(f'{USER}:{REALM}:{WORD}')}:{NONCE}:{md5(f'GET:{self.path}')}")
            return field.get("response") == proof
        return True

    def mjpeg(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        self.close_connection = True
        for n in range(40):
            body = jpeg(5 * n)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + body + b"\r\n")
            except OSError:  # the reader has seen enough
                return
            time.sleep(0.02)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def camera(source: str, **changes) -> CameraConfig:
    return CameraConfig.model_validate({"id": "gate-1", "source": source, **changes})


@pytest.mark.parametrize("guard", ["basic", "digest"])
@pytest.mark.parametrize("what", ["snapshot", "mjpeg"])
def test_a_login_is_answered_as_the_camera_wants_it(host, guard, what):
    config = camera(
        f"http://{USER}:{WORD_IN_ADDRESS}@{host}/{guard}/{what}", snapshot_interval_s=0.02
    )
    source = open_source(config, None, Clock(), idle_exit_s=None)
    items = source.frames(threading.Event())
    assert isinstance(next(items), Frame), source.fault
    assert isinstance(next(items), Frame), source.fault
    items.close()


@pytest.mark.parametrize(
    ("path", "login", "fault", "said"),
    [
        ("digest/snapshot", f"{USER}:wrong@", "login", "user or password is wrong"),
        ("basic/snapshot", "", "login", "user or password is wrong"),
        ("open/nothing", "", "path", "answers 404"),
        ("open/page", "", "path", "text/html, no picture"),
    ],
)
def test_what_the_camera_refuses_is_said(host, *, path, login, fault, said):
    with pytest.raises(CameraLost, match=said) as caught:
        open_stream(camera(f"http://{login}{host}/{path}"), Clock())
    assert caught.value.fault == fault
    assert "wrong@" not in str(caught.value)


def test_a_camera_that_sends_only_garbage_is_lost_not_silent(host):
    config = camera(f"http://{host}/open/garbage", snapshot_interval_s=0.02)
    source = open_source(config, None, FakeClock(), idle_exit_s=None)
    items = source.frames(threading.Event())
    assert isinstance(next(items), Idle)
    assert "cannot be decoded" in source.fault
    assert source.broken == 25
    items.close()


def test_after_a_wrong_password_the_camera_is_left_alone_for_a_while(host):
    """Cameras lock an address out after a few wrong logins."""
    clock = FakeClock()
    config = camera(f"http://u:wrong@{host}/basic/snapshot")
    items = open_source(config, None, clock, idle_exit_s=None).frames(threading.Event())
    began_s, before = clock.s, Camera.logins
    while clock.s < began_s + 600:
        assert isinstance(next(items), Idle)
    assert 10 <= Camera.logins - before <= 21
    assert max(clock.waits) <= 0.5, "a stop is heard soon"
    items.close()


def test_of_a_live_camera_only_wanted_frames_are_unpacked(host):
    """A reader that is busy costs the camera's thread next to nothing, and sees the present after."""
    source = open_source(camera(f"http://{host}/open/mjpeg"), None, Clock(), idle_exit_s=None)
    feed = Feed("gate-1", source, threading.Event())
    feed.start()
    ends = time.monotonic() + 20
    while source.fault is None and time.monotonic() < ends:
        time.sleep(0.02)  # busy until the stream of forty frames is over
    feed.stop(5)
    assert source.skipped > 0
    assert feed.dropped >= source.skipped
    taken = feed.take()
    assert isinstance(taken, Frame | Idle)


def test_no_snapshot_is_asked_for_that_nobody_would_look_at(host):
    """The picture that comes next shows the present, and the camera is spared."""
    config = camera(f"http://{host}/open/snapshot", snapshot_interval_s=0.02)
    clock, answers = FakeClock(), iter([False] * 7 + [True])
    with closing(open_stream(config, clock)) as stream:
        assert stream.next(threading.Event(), lambda: next(answers)) is not None
        assert next(answers, None) is None, "asked until a picture was wanted"
        stopped = threading.Event()
        stopped.set()
        assert stream.next(stopped, lambda: False) is not None, "a stop is not waited out"
