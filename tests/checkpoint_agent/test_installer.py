"""Laws of the installer's tools: what is measured is true, and what is wrong is said with a remedy."""

import json
import os
import re
import ssl
import subprocess
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from anpr.types import Quad
from checkpoint_agent import installer
from checkpoint_agent.__main__ import main
from checkpoint_agent.calibrate import Measured, picture_verdict, verdicts, width_px
from checkpoint_agent.clock import Clock, ClockState
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.config_file import load_config
from checkpoint_agent.doctor import (
    CAMERA_REMEDIES,
    camera_finding,
    clock_finding,
    disk_finding,
    picture_finding,
    server_finding,
)
from checkpoint_agent.errors import CameraFault
from checkpoint_agent.findings import Finding, worst
from tests.checkpoint_agent.box import CARS, signs
from tests.checkpoint_agent.fakes import (
    NOON,
    FakeReader,
    detection,
    name_at,
    write_drive,
)

HAN = re.compile("[\u4e00-\u9fff]")

# ---------------------------------------------------------------------- calibrate


def plate(width: float, lane: int | None = None, *, inside: bool = True) -> Measured:
    place = detection(10, 10, width).quad
    return Measured(width, lane, inside=inside, read=True, quad=place)


@pytest.mark.parametrize(
    ("widths", "verdict", "width"),
    [
        ([], "no_plate", None),
        ([30, 40, 50], "too_small", 48),
        ([59.4], "too_small", 59),
        ([60], "doubtful", 60),
        ([62] * 9, "doubtful", 62),
        ([79.4], "doubtful", 79),
        ([80], "good", 80),
        ([30, 50, 70, 90, 110], "good", 102),
    ],
)
def test_how_wide_plates_get_decides(widths, verdict, width):
    (found,) = verdicts([plate(w) for w in widths], [])
    assert (found.verdict, found.width_px, found.plates) == (verdict, width, len(widths))


def test_each_lane_is_judged_by_itself_and_nothing_outside_the_region():
    seen = [plate(100, 1), plate(62, 2), plate(200, None), plate(300, 3, inside=False)]
    found = {lane.lane: lane.verdict for lane in verdicts(seen, [1, 2, 3])}
    assert found == {1: "good", 2: "doubtful", 3: "no_plate"}


def test_a_slanted_plate_is_measured_along_its_edges():
    assert width_px(Quad((0, 0), (60, 80), (50, 100), (-10, 20))) == pytest.approx(100)


@pytest.mark.parametrize(
    ("bright", "edge", "verdict"),
    [(0.9, 1.1, "good"), (0.01, 1.1, "black"), (0.9, 2.5, "defocused"), (0.9, None, "defocused")],
)
def test_a_picture_that_shows_nothing_is_not_good(bright, edge, verdict):
    assert picture_verdict(bright, edge) == verdict


@pytest.fixture
def fake_models(monkeypatch):
    """The commands as they are, with a reader of coloured rectangles in place of the models."""
    monkeypatch.setattr(installer, "load_reader", lambda *_, **__: FakeReader(signs()))


def textured(image: np.ndarray) -> np.ndarray:
    """Edges, as every street has them."""
    image[:40:8, ::4] = 10
    return image


@pytest.mark.parametrize(("width", "code", "verdict"), [(62, 1, "doubtful"), (96, 0, "good")])
def test_calibrate_says_how_wide_plates_are_and_draws_it(
    tmp_path, capsys, fake_models, *, width, code, verdict
):
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(4):
        image = textured(signs().picture((CARS[0], 200, 100 + 20 * n, width)))
        cv2.imwrite(str(folder / name_at(NOON + timedelta(seconds=n))), image)
    out = tmp_path / "drawing.png"
    assert main(["calibrate", str(folder), "--out", str(out)]) == code
    said = capsys.readouterr().out
    assert f"车牌宽 {width} px" in said
    assert f"plates are {width} px wide here; 80 are needed" in said
    assert main(["calibrate", str(folder), "--out", str(out), "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["lanes"] == [
        {"lane": None, "verdict": verdict, "width_px": width, "plates": 4, "read": 4}
    ]
    assert told["good"] is (code == 0)
    assert (told["width_px"], told["height_px"]) == (640, 360)
    drawing = cv2.imread(str(out))
    assert drawing.shape == (360, 640, 3)
    assert not np.array_equal(drawing, image)


def config_file(tmp_path, source: str, *, url: str = "http://127.0.0.1:9", extra: str = ""):
    (tmp_path / "token").write_text("sesame")
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
agent_id = "box"
data_dir = "data"
[server]
url = "{url}"
token_file = "token"
{extra}
[reader]
recogniser = "onnxruntime"
[[camera]]
id = "gate-1"
source = "{source}"
region = [[0.0, 0.2], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]]
trip_line = [[0.0, 0.8], [1.0, 0.8]]
[[camera.lane]]
number = 1
outline = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
[[camera.lane]]
number = 2
outline = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
""",
        encoding="utf-8",
    )
    return str(path)


def test_calibrate_uses_a_cameras_region_and_lanes(tmp_path, capsys, fake_models):
    """One car in lane 1, none in lane 2, and one above the region, which does not count."""
    picture = tmp_path / "photo.png"
    image = signs().picture((CARS[0], 100, 200, 100), (CARS[1], 400, 10, 120))
    cv2.imwrite(str(picture), textured(image))
    config = config_file(tmp_path, "frames")
    arguments = ["calibrate", str(picture), "--config", config, "--json"]
    assert main([*arguments, "--out", str(tmp_path / "out.jpg")]) == 1
    lanes = json.loads(capsys.readouterr().out)["lanes"]
    assert [(lane["lane"], lane["verdict"]) for lane in lanes] == [(1, "good"), (2, "no_plate")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["calibrate"], 2, "name a SOURCE"),
        (["calibrate", "nosuch.mp4"], 2, "nosuch.mp4: no such picture, folder or video file"),
        (["calibrate", "notes.txt"], 1, "notes.txt: no video that can be read"),
        (["calibrate", "notes.jpg"], 1, "notes.jpg: not a picture"),
        (["calibrate", "ftp://u:geheim@cam/x"], 2, "no address of a camera"),
        (["calibrate", "rtsp://u:geheim@127.0.0.1:9/x"], 1, "Connection refused"),
        (["calibrate", "http://u:geheim@127.0.0.1:9/x"], 1, "Connection refused"),
        (
            ["calibrate", "0", "--config", "agent.toml", "--camera", "gate-9"],
            2,
            "known are: gate-1",
        ),
        (["calibrate", "photo.png", "--out", "no/where.jpg"], 2, "where.jpg: cannot be written"),
        (["calibrate", "photo.png", "--out", "drawing.txt"], 2, "written as .jpg or .png"),
        (["calibrate", "--config", "broken.toml"], 2, r"camera[0].region[1][0]"),
        (["replay", "nosuch.mp4"], 2, "nosuch.mp4: no such folder or video file"),
        (["replay", "notes.txt"], 1, "notes.txt: no video that can be read"),
        (["replay", "frames", "--video", "no/where.mp4"], 2, "cannot be written"),
        (["doctor", "nosuch.toml"], 2, "nosuch.toml: cannot be read"),
    ],
)
def test_wrong_input_is_said_in_a_line(
    tmp_path, capsys, monkeypatch, *, fake_models, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no camera")
    (tmp_path / "notes.jpg").write_text("no picture")
    cv2.imwrite("photo.png", signs().picture((CARS[0], 100, 200, 100)))
    write_drive(tmp_path / "frames", signs(), [(CARS[0], 100)], fps=2)
    text = (tmp_path / config_file(tmp_path, "frames")).read_text()
    (tmp_path / "broken.toml").write_text(text.replace("[1.0, 0.2]", "[640, 0.2]"))
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert said in told
    assert "geheim" not in told
    assert "Traceback" not in told


@pytest.fixture
def nobody(tmp_path):
    """A file and a folder that the user at work may not read; root becomes nobody for it."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    cv2.imwrite(str(hidden / "photo.jpg"), signs().picture((CARS[0], 100, 200, 100)))
    own = os.geteuid()
    hidden.chmod(0)
    if own == 0:
        os.seteuid(65_534)
    yield hidden
    os.seteuid(own)
    hidden.chmod(0o700)


@pytest.mark.parametrize("command", ["calibrate", "replay"])
@pytest.mark.parametrize("name", ["", "photo.jpg"])
def test_what_may_not_be_read_is_said(nobody, capsys, fake_models, *, command, name):
    assert main([command, str(nobody / name)]) in {1, 2}
    told = capsys.readouterr().err
    assert "Permission denied" in told
    assert str(nobody) in told


def test_a_camera_that_may_not_be_read_is_found(nobody, tmp_path):
    config = CameraConfig(id="gate-1", source=str(nobody / "clip.mp4"))
    finding = camera_finding(config, Clock())
    assert finding.state == "bad"
    assert "Permission denied" in finding.as_text()


# ---------------------------------------------------------------------- replay


def test_a_replay_is_a_table_pictures_lines_and_a_video(tmp_path, capsys, fake_models):
    total = write_drive(tmp_path / "frames", signs(), [(CARS[0], 100), (CARS[1], 300)])
    folder, video = tmp_path / "pictures", tmp_path / "film.mp4"
    arguments = ["replay", str(tmp_path / "frames")]
    assert main([*arguments, "--video", str(video), "--pictures", str(folder)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("captured_at")
    assert [CARS[n] in row for n, row in enumerate(rows)] == [True, True]
    assert len(list(folder.glob("*-scene.jpg"))) == len(list(folder.glob("*-plate.jpg"))) == 2
    film = cv2.VideoCapture(str(video))
    frames = 0
    while film.grab():
        frames += 1
    film.release()
    assert frames == total
    assert main([*arguments, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["plate"]["text"] for line in lines] == CARS[:2]


@pytest.mark.data
def test_the_parked_car_is_one_passage(imagery, capsys):
    """The real clip, the real models."""
    clip = imagery / "video" / "cn_parked_yueL_Q092V.mp4"
    assert main(["replay", str(clip), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["plate"]["text"] for line in lines] == ["粤LQ092V"]
    assert lines[0]["plate"]["state"] == "read"


@pytest.mark.data
def test_a_highway_abroad_gives_no_chinese_plate(imagery, capsys):
    clip = imagery / "video" / "neg_us_highway_dashcam.mp4"
    assert main(["replay", str(clip), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["plate"]["text"] for line in lines if HAN.search(line["plate"]["text"])] == []


# ---------------------------------------------------------------------- doctor


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (ClockState(True, 1.5, 20.0), "good"),
        (ClockState(synchronised=True), "good"),
        (ClockState(synchronised=False), "warning"),
        (ClockState(synchronised=None), "warning"),
        (ClockState(True, -700.0, 100.0), "warning"),
        (ClockState(True, 700.0, 400.0), "good"),
        (ClockState(False, 3_600_000.0, 5.0), "bad"),
        (ClockState(True, -9_000.0, 500.0), "bad"),
    ],
)
def test_the_clock_is_judged_by_what_is_sure(state, verdict):
    assert clock_finding(state).state == verdict


@pytest.mark.parametrize(
    ("free_mb", "unwritable", "verdict"),
    [(50_000, None, "good"), (5_000, None, "warning"), (300, None, "bad"), (9, "no", "bad")],
)
def test_the_disk_must_hold_what_is_configured(tmp_path, free_mb, unwritable, verdict):
    config = load_config(tmp_path / config_file(tmp_path, "frames"))
    assert disk_finding(config, free_mb, unwritable).state == verdict


def test_a_picture_that_shows_nothing_is_found():
    street = textured(signs().picture((CARS[0], 100, 200, 100)))
    assert picture_finding("c", street).state == "good"
    assert picture_finding("c", street // 16).state == "bad"
    assert picture_finding("c", cv2.GaussianBlur(street, (0, 0), 6)).state == "warning"


def test_every_fault_of_a_camera_has_a_remedy():
    assert set(CAMERA_REMEDIES) == set(CameraFault.__args__)


class Answering:
    """A server that answers every request with one status."""

    def __init__(self, status: int, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> int:
        self.thread.start()
        return self.server.server_port

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.mark.parametrize(
    ("status", "verdict", "said"),
    [
        (422, "warning", "not encrypted"),
        (200, "bad", "no Kakou server"),
        (401, "bad", "token"),
        (404, "bad", "no protocol v1"),
        (500, "bad", "server's log"),
    ],
)
def test_what_the_server_answers_is_understood(tmp_path, status, verdict, said):
    with Answering(status) as port:
        path = config_file(tmp_path, "frames", url=f"http://127.0.0.1:{port}")
        finding = server_finding(load_config(tmp_path / path), Clock())
    assert finding.state == verdict
    assert said in finding.as_text()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that signs itself, for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *subject,
            "-keyout",
            str(folder / "key.pem"),
            "-out",
            str(folder / "cert.pem"),
        ],
        capture_output=True,
        check=True,
    )
    return folder / "cert.pem", folder / "key.pem"


def test_tls_is_trusted_only_with_its_authority(tmp_path, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Answering(422, context) as port:
        url = f"https://127.0.0.1:{port}"
        path = tmp_path / config_file(tmp_path, "frames", url=url)
        untrusted = server_finding(load_config(path), Clock())
        extra = f'ca_file = "{certificate[0]}"'
        path = tmp_path / config_file(tmp_path, "frames", url=url, extra=extra)
        trusted = server_finding(load_config(path), Clock())
    assert untrusted.state == "bad"
    assert "server.ca_file" in untrusted.as_text()
    assert trusted.state == "good"
    with Answering(422) as port:
        path = tmp_path / config_file(tmp_path, "frames", url=f"https://127.0.0.1:{port}")
        assert "does not speak TLS" in server_finding(load_config(path), Clock()).as_text()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("rtsp://u:geheim@127.0.0.1:9/x", "enable RTSP on the camera"),
        ("97", "group video"),
        ("notes.txt", "permissions"),
    ],
)
def test_a_camera_that_gives_nothing_gets_a_remedy(tmp_path, source, said):
    (tmp_path / "notes.txt").write_text("no camera")
    config = load_config(tmp_path / config_file(tmp_path, source))
    finding = camera_finding(config.camera[0], Clock())
    assert finding.state == "bad"
    assert said in finding.as_text()
    assert "geheim" not in finding.as_text()


def test_the_doctor_looks_at_everything_and_says_the_worst(tmp_path, capsys):
    """With the real models; the server is away, so that the exit code is 1."""
    (tmp_path / "frames").mkdir()
    image = textured(signs().picture((CARS[0], 100, 200, 100)))
    cv2.imwrite(str(tmp_path / "frames" / name_at(NOON)), image)
    path = tmp_path / config_file(tmp_path, "frames")
    assert main(["doctor", str(path), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = {line["part"]: line["state"] for line in lines}
    assert set(states) == {"camera", "server", "clock", "disk", "models"}
    assert states["camera"] == states["models"] == "good"
    assert states["server"] == "bad"
    for line in lines:
        assert HAN.search(line["said"]["zh"])
        assert (line["remedy"] is None) is (line["state"] == "good")
    assert not (tmp_path / "data").exists(), "looking changes nothing"


def test_a_finding_for_people_is_chinese_first():
    finding = Finding("disk", "/var", "bad", ("满", "full"), ("清理磁盘", "free some space"))
    assert finding.as_text().splitlines() == [
        "✗ 磁盘 /var：满",
        "  disk /var: full",
        "  → 处理：清理磁盘",
        "  → remedy: free some space",
    ]
    assert worst([]) == "good"
    assert worst([finding]) == "bad"
