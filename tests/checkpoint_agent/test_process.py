"""Laws of the agent as a process: exit codes, messages, signals, and kill -9 at any moment."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checkpoint_agent.box import CARS, signs
from tests.checkpoint_agent.conftest import open_outbox
from tests.checkpoint_agent.fakes import make_passage, write_drive
from tests.checkpoint_agent.test_outbox import entry, picture

pytestmark = pytest.mark.timeout(280)


def agent(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "checkpoint_agent", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def toml(tmp_path, roadside):
    """Write ``agent.toml``; ``extra`` adds to its last table, the camera."""
    (tmp_path / "token").write_text("sesame")

    def write(extra: str = "", top: str = "", source: str = "frames") -> str:
        path = tmp_path / "agent.toml"
        path.write_text(
            f"""
agent_id = "agent-1"
data_dir = "data"
drain_limit_s = 60
{top}
[server]
url = "{roadside.url}"
token_file = "token"
live_within_s = 86400
retry_first_s = 0.05
retry_limit_s = 0.2
heartbeat_s = 1
[[camera]]
id = "gate-1"
source = "{source}"
{extra}
""",
            encoding="utf-8",
        )
        return str(path)

    return write


def start(project: Path, config: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.checkpoint_agent.box", config],
        cwd=project,
        stderr=subprocess.PIPE,
    )


def until_started(box: subprocess.Popen[bytes]) -> None:
    """Wait until the agent says that it has started; its threads may speak first."""
    assert box.stderr is not None
    said = b""
    while b"agent started" not in said:
        line = box.stderr.readline()
        assert line, f"the agent ended before it had started: {said.decode()}"
        said += line


def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(project, toml, roadside, tmp_path):
    """Cars overlap, so that passages leave while others are in view; the box dies six times."""
    drives = [(car, 40 + 95 * i) for i, car in enumerate(CARS)]
    write_drive(tmp_path / "frames", signs(), drives, gap_s=-1.2, fps=10)
    roadside.faults = ["lost", "500", "lost", "half"]
    config = toml('pace = "recorded"\nspeed = 1.5', "exit_when_done = true")
    for kill in range(6):
        box = start(project, config)
        assert box.stderr is not None
        until_started(box)
        time.sleep(0.3 + 0.35 * kill)
        box.send_signal(signal.SIGKILL)
        box.stderr.close()
        assert box.wait() == -signal.SIGKILL
    last = start(project, config)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors.decode()
    assert sorted(p["plate"]["text"] for p in roadside.passages.values()) == sorted(CARS)
    assert len(roadside.arrivals) == len(CARS)
    assert roadside.missing_pictures == []
    assert roadside.heartbeats


def test_sigterm_ends_cleanly_and_soon(project, toml, tmp_path):
    (tmp_path / "frames").mkdir()
    box = start(project, toml("follow = true"))
    assert box.stderr is not None
    try:
        until_started(box)
        began = time.monotonic()
        box.send_signal(signal.SIGTERM)
        rest = box.stderr.read()
        assert box.wait(20) == 0
    finally:  # a failure here must not be told of the test that comes next
        box.kill()
        box.wait()
        box.stderr.close()
    assert time.monotonic() - began < 12
    assert b"everything delivered" in rest


@pytest.mark.parametrize("command", [["run"], ["check-config"], ["outbox", "status"]])
def test_a_wrong_configuration_is_exit_code_2_and_names_file_and_key(
    project, toml, command, tmp_path
):
    config = toml("sped = 3")
    done = agent(project, *command, config)
    assert done.returncode == 2
    assert done.stderr == f"{config}: camera[0].sped: unknown key; did you mean 'speed'?\n"


def test_a_missing_recording_is_exit_code_2_and_names_file_and_key(project, toml):
    config = toml()
    for command in ("run", "check-config"):
        done = agent(project, command, config)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{config}: camera[0].source: ")
        assert "Traceback" not in done.stderr


def test_an_unreachable_camera_is_named_with_its_key_and_without_its_password(project, toml):
    config = toml(source="rtsp://admin:geheim@127.0.0.1:9/stream")
    done = agent(project, "check-config", config)
    assert done.returncode == 2
    assert (
        f"{config}: camera[0].source: rtsp://***@127.0.0.1:9/stream: cannot be opened"
        in done.stderr
    )
    assert "geheim" not in done.stderr + done.stdout
    assert agent(project, "check-config", config, "--offline").returncode == 0


def test_once_is_refused_for_a_live_camera(project, toml):
    done = agent(project, "run", toml(source="rtsp://127.0.0.1:9/x"), "--once")
    assert done.returncode == 2
    assert "--once" in done.stderr


def test_missing_models_are_exit_code_1_and_name_the_file(project, toml, tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "empty").mkdir()
    config = toml("follow = true\n[reader]\nmodels_dir = 'empty'")
    done = agent(project, "run", config)
    assert done.returncode == 1
    assert str(tmp_path / "empty" / "manifest.toml") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_outbox_is_shown_requeued_and_exported(project, toml, tmp_path):
    config = toml()
    (tmp_path / "data").mkdir()
    box = open_outbox(tmp_path / "data" / "outbox.sqlite3")
    scene = picture(b"scene")
    box.put([entry(1, scene), entry(2)])
    rejected = str(make_passage(1).passage_id)
    box.settle(rejected={rejected: "camera_id: unknown"})
    box.close()

    status = json.loads(agent(project, "outbox", "status", config).stdout)
    assert (status["queued"], status["dead_letters"], status["pictures"]) == (1, 1, 1)
    assert status["rejections"] == [{"passage": rejected, "reason": "camera_id: unknown"}]

    done = agent(project, "outbox", "export", config, "--to", str(tmp_path / "out"))
    assert done.returncode == 0
    lines = (tmp_path / "out" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["state"] for row in rows] == ["dead", "queued"]
    assert rows[0]["passage"]["passage_id"] == rejected
    assert (tmp_path / "out" / f"{scene.sha256}.jpg").read_bytes() == b"scene"

    assert agent(project, "outbox", "requeue", config).stdout.startswith("1 passages")
    status = json.loads(agent(project, "outbox", "status", config).stdout)
    assert (status["queued"], status["dead_letters"]) == (2, 0)


def test_the_example_is_good_but_for_the_token(project):
    done = agent(project, "check-config", "config/agent.example.toml", "--offline")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "config/agent.example.toml: server.token_file: /etc/kakou/agent.token does not exist"
    ]
