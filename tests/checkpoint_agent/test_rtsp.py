"""Laws of network cameras, against a real RTSP server: GStreamer's, from Debian.

The server runs in a process of its own, wants a digest login and sends over TCP alone. Its clips
are encoded with Debian's ffmpeg; each frame carries its number as bright and dark bars.
"""

import itertools
import json
import logging
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from checkpoint_agent import rtsp
from checkpoint_agent.capture import open_source
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import CameraLost
from checkpoint_agent.frames import Frame, Idle
from checkpoint_agent.streams import open_stream

pytestmark = pytest.mark.timeout(180)

SYSTEM_PYTHON = Path("/usr/bin/python3")
USER, WORD, WORD_IN_ADDRESS = "admin", "ge/heim@1", "ge%2Fheim%401"
WIDTH, HEIGHT, FPS, SECONDS, BITS = 160, 120, 10, 60, 10
ENCODERS = {
    "h264": ["libx264", "-x264-params", "sliced-threads=0:threads=1"],
    "h265": ["libx265", "-x265-params", "log-level=error:pools=none", "-tag:v", "hvc1"],
}


def numbered(n: int) -> np.ndarray:
    """A picture that carries a number."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for bit in range(BITS):
        if n >> bit & 1:
            image[20:100, bit * 16 : (bit + 1) * 16] = 220
    return image


def number_in(image: np.ndarray) -> int:
    """The number that a picture carries."""
    return sum((int(image[60, bit * 16 + 8, 1]) > 130) << bit for bit in range(BITS))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    """A minute of numbered frames in each codec."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("Debian's ffmpeg is not installed (see .ci/install)")
    folder = tmp_path_factory.mktemp("clips")
    raw = b"".join(numbered(n).tobytes() for n in range(SECONDS * FPS))
    for name, encoder in ENCODERS.items():
        subprocess.run(
            [
                "ffmpeg",
                "-v",
                "error",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "bgr24",
                "-s",
                f"{WIDTH}x{HEIGHT}",
                "-r",
                str(FPS),
                "-i",
                "-",
                "-c:v",
                *encoder,
                "-preset",
                "ultrafast",
                "-bf",
                "0",
                "-g",
                "10",
                "-pix_fmt",
                "yuv420p",
                str(folder / f"{name}.mp4"),
            ],
            input=raw,
            check=True,
        )
    return {name: folder / f"{name}.mp4" for name in ENCODERS}


def quiet_port() -> int:
    """A free port that the system gives to no outgoing connection while the server is away."""
    chance = random.Random()
    while True:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Server:
    """The server's process, which can be killed, stopped and started again on its port."""

    def __init__(self, clips: dict[str, Path]) -> None:
        self.port = quiet_port()
        self.clips = clips
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        streams = [f"{name}={path}" for name, path in self.clips.items()]
        login = ["--user", USER, "--password", WORD]
        said = ""
        for _ in range(20):
            self.process = subprocess.Popen(
                [SYSTEM_PYTHON, str(script), str(self.port), *login, *streams],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert self.process.stdout is not None
            said = self.process.stdout.readline()
            if said == "ready\n":
                return
            self.cut()
            time.sleep(0.5)
        pytest.fail(f"the RTSP server does not start: {said}")

    def cut(self) -> None:
        """The camera's cable is pulled."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def address(self, path: str, word: str = WORD_IN_ADDRESS) -> str:
        return f"rtsp://{USER}:{word}@127.0.0.1:{self.port}/{path}"


@pytest.fixture(scope="module")
def server(clips):
    asked = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"],
        capture_output=True,
        check=False,
    )
    if asked.returncode:
        pytest.skip("GStreamer's RTSP server is not installed (see .ci/install)")
    running = Server(clips)
    running.start()
    yield running
    running.cut()


def camera(address: str, **changes) -> CameraConfig:
    return CameraConfig.model_validate({"id": "gate-1", "source": address, **changes})


def live(address: str, **changes):
    """The source of a camera, and its frames."""
    source = open_source(camera(address, **changes), None, Clock(), idle_exit_s=None)
    return source, source.frames(threading.Event())


def clean(text: str) -> bool:
    """Whether no part of the login is in a text, as written or as meant."""
    return not any(secret in text for secret in (WORD, WORD_IN_ADDRESS, "heim", USER + ":"))


@pytest.mark.parametrize("codec", ENCODERS)
def test_every_frame_comes_in_order_and_is_dated_by_the_stream(server, codec):
    """H.264 and H.265, over TCP, with a login; spaced as the camera took them, to the ms."""
    source, items = live(server.address(codec))
    frames = [next(items) for _ in range(40)]
    items.close()
    assert all(isinstance(item, Frame) for item in frames), source.fault
    numbers = [number_in(item.image) for item in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 40))
    settled = frames[20:]
    steps_ms = [
        (b.captured_at - a.captured_at).total_seconds() * 1000
        for a, b in itertools.pairwise(settled)
    ]
    assert abs(statistics.median(steps_ms) - 1000 / FPS) < 2
    behind_s = (Clock().now() - frames[-1].captured_at).total_seconds()
    assert 0 <= behind_s < 5


def test_a_stream_that_is_cut_and_brought_back_is_found_again(server, caplog):
    """Killed: the connection breaks. Stopped: the camera holds its tongue. Both are got over."""
    caplog.set_level(logging.DEBUG)
    source, items = live(server.address("h264"), lost_after_s=1)
    assert isinstance(next(items), Frame)

    server.cut()
    until_lost(source, items)
    assert clean(source.fault)
    assert f"127.0.0.1:{server.port}" in source.fault
    server.start()
    until_back(source, items)
    assert source.reconnects == 1

    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    until_lost(source, items)
    server.process.send_signal(signal.SIGCONT)
    until_back(source, items)
    assert source.reconnects == 2
    items.close()
    assert "camera is back" in caplog.text
    assert clean(caplog.text)


def until_lost(source, items) -> None:
    ends = time.monotonic() + 30
    while source.fault is None:
        next(items)
        assert time.monotonic() < ends, "the loss was not noticed"


def until_back(source, items) -> None:
    ends = time.monotonic() + 60
    while source.fault is not None or not isinstance(next(items), Frame):
        next(items)
        assert time.monotonic() < ends, f"the camera was not found again: {source.fault}"


@pytest.mark.parametrize(
    ("path", "word", "fault", "said"),
    [
        ("h264", "wrong", "login", "user or password is wrong"),
        ("h999", WORD_IN_ADDRESS, "path", "no such stream"),
    ],
)
def test_what_the_camera_refuses_is_said_in_words(server, path, word, fault, said):
    with pytest.raises(CameraLost, match=said) as caught:
        open_stream(camera(server.address(path, word)), Clock())
    assert caught.value.fault == fault
    assert clean(str(caught.value))
    assert "wrong@" not in str(caught.value)


def test_the_camera_says_its_codec(server):
    assert rtsp.describe(server.address("h264"), 5).codecs == ("H264",)
    assert rtsp.describe(server.address("h265"), 5).codecs == ("H265",)


def test_nobody_listens_and_no_such_host_are_told_apart():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CameraLost) as caught:
        open_stream(camera(f"rtsp://admin:geheim@127.0.0.1:{port}/x"), Clock())
    assert caught.value.fault == "refused"
    assert clean(str(caught.value))


def test_a_web_server_in_place_of_a_camera_is_said():
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,))
    thread.start()
    try:
        with pytest.raises(CameraLost, match="does not speak RTSP"):
            open_stream(camera(f"rtsp://a:geheim@127.0.0.1:{web.server_port}/x"), Clock())
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def test_no_word_of_the_login_leaves_the_box(server, roadside, project, tmp_path):
    """A whole agent at its most talkative, while the camera is there, cut, and back."""
    (tmp_path / "token").write_text("sesame")
    config = tmp_path / "agent.toml"
    config.write_text(
        f"""
agent_id = "agent-1"
data_dir = "data"
[server]
url = "{roadside.url}"
token_file = "token"
heartbeat_s = 1
[log]
level = "debug"
[[camera]]
id = "gate-1"
source = "{server.address("h264")}"
lost_after_s = 1
""",
        encoding="utf-8",
    )
    box = subprocess.Popen(
        [sys.executable, "-m", "tests.checkpoint_agent.box", str(config)],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: any(c["frames_per_s"] > 0 for c in told(roadside)))
        server.cut()
        wait_for(lambda: any(c["fault"] for c in told(roadside)))
    finally:
        box.send_signal(signal.SIGTERM)
        said, _ = box.communicate(timeout=30)
        server.start()
    assert box.returncode == 0, said
    assert "Traceback" not in said
    assert "camera lost" in said
    assert clean(said)
    assert clean(json.dumps(roadside.heartbeats))
    offset_ms = roadside.heartbeats[-1]["clock"]["offset_ms"]
    assert abs(offset_ms) < 1000, "the clock was measured against the server's answers"


def told(roadside) -> list[dict]:
    """What was said of the camera, so far."""
    return [camera for heartbeat in roadside.heartbeats for camera in heartbeat["cameras"]]


def wait_for(happened) -> None:
    ends = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.1)


def test_idle_is_what_a_lost_camera_gives():
    _, items = live("rtsp://127.0.0.1:9/x")
    assert isinstance(next(items), Idle)
    items.close()
