"""One stretch of road for the end-to-end tests: a real server process, a real agent process.

Both are started, killed and started again as a power cut or a maintainer would; what is compared
in the end is what the server has against what the recording holds.
"""

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from demo.processes import Child, start

PASSWORD = "for-these-tests-only"
PURPOSE = {"purpose": "system_test", "case_number": "E2E-1"}
Sighting = tuple[str, str, str]
"""camera, capture time, plate."""


def free_port() -> int:
    """A port that was free a moment ago, so that a server can come back on the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Road:
    """Two checkpoints with a camera each, one agent for both, one server."""

    root: Path
    cameras: dict[str, Path]
    """Camera id to its folder of recorded frames."""
    watched: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    server: Child | None = None
    agent: Child | None = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def build(self, *, pace_s: float) -> None:
        """Write the files of both sides, bring the database up and register everything."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "server.toml").write_text(
            f'data_dir = "{self.root / "server"}"\n[http]\nport = {self.port}\n', encoding="utf-8"
        )
        seed = {
            "checkpoints": [
                {
                    "id": f"kk-{n}",
                    "name": f"卡口{n}",
                    "lat": 35.40 + n * 0.02,
                    "lon": 116.58,
                    "cameras": [{"id": camera}],
                }
                for n, camera in enumerate(self.cameras)
            ],
            "agents": [{"id": "box", "cameras": list(self.cameras)}],
            "users": [{"name": "tester", "password": PASSWORD, "role": "administrator"}],
            "watchlist": [
                {"plate": p, "reason": "stolen", "level": 1, "case_number": "E2E-1"}
                for p in self.watched
            ],
        }
        (self.root / "seed.json").write_text(json.dumps(seed), encoding="utf-8")
        self._server_command("migrate")
        self._server_command("seed-demo", str(self.root / "seed.json"), "--tokens", str(self.root))
        lines = [
            'agent_id = "box"',
            f'data_dir = "{self.root / "agent"}"',
            "drain_limit_s = 120",
            "[server]",
            f'url = "{self.url}"',
            f'token_file = "{self.root / "box.token"}"',
            "live_within_s = 86400",
            "retry_first_s = 0.1",
            "retry_limit_s = 0.5",
            "[reader]",
            'recogniser = "onnxruntime"',
            "threads = 1",
        ]
        for camera, folder in self.cameras.items():
            lines += [
                "[[camera]]",
                f'id = "{camera}"',
                f'source = "{folder}"',
                "stills = true",
                'pace = "recorded"',
                f"speed = {1 / pace_s:.3f}",
            ]
        (self.root / "agent.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _server_command(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "server", "--config", str(self.root / "server.toml")]
        subprocess.run([*argv, *arguments], check=True, capture_output=True, timeout=120)

    def start_server(self) -> None:
        self.starts += 1
        argv = [sys.executable, "-m", "server", "--config", str(self.root / "server.toml"), "serve"]
        self.server = start("server", argv, self.root / f"server-{self.starts}.log")
        self.server.wait_for_line("listening on", 90)

    def start_agent(self) -> None:
        self.starts += 1
        config = str(self.root / "agent.toml")
        argv = [sys.executable, "-m", "checkpoint_agent", "run", config, "--once"]
        self.agent = start("agent", argv, self.root / f"agent-{self.starts}.log")

    def end(self) -> None:
        for child in (self.agent, self.server):
            if child is not None:
                child.kill()

    def replayed(self) -> list[Sighting]:
        """What the recordings hold, read by the same reader without outbox, network or crash."""
        found = []
        for camera in self.cameras:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "checkpoint_agent", "replay"),
                    *(str(self.cameras[camera]), "--json"),
                    *("--config", str(self.root / "agent.toml"), "--camera", camera),
                ],
                check=True,
                capture_output=True,
                text=True,
                timeout=240,
            )
            for line in done.stdout.splitlines():
                passage = json.loads(line)
                found.append(_sighting(camera, passage["captured_at"], passage["plate"]["text"]))
        return sorted(found)

    def stored(self) -> list[Sighting]:
        """What the server has stored, straight from its database."""
        database = self.root / "server" / "kakou.sqlite3"
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        try:
            rows = connection.execute("SELECT camera_id, captured_at, plate FROM passage")
            return sorted(_sighting(*row) for row in rows)
        finally:
            connection.close()

    def wait_until_stored(self, count: int, timeout_s: float = 120.0) -> None:
        """Wait until the server has at least so many passages."""
        wait_for(lambda: len(self.stored()) >= count, timeout_s, self.story)

    def story(self) -> str:
        """The logs, for a failed test."""
        logs = sorted(self.root.glob("*.log"), key=lambda p: p.stat().st_mtime)
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in logs)

    def ask(self, path: str, **parameters: str) -> Any:
        """The answer of the server's API to a logged-in person."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            login = client.post("/api/v1/login", json={"name": "tester", "password": PASSWORD})
            login.raise_for_status()
            answer = client.get(path, params=parameters)
            answer.raise_for_status()
            return answer.json()


def _sighting(camera: str, captured_at: str | float, plate: str) -> Sighting:
    at = datetime.fromisoformat(str(captured_at))
    return (camera, at.replace(tzinfo=None).isoformat(timespec="milliseconds"), plate)


def wait_for(what: Callable[[], bool], timeout_s: float, story: Callable[[], str]) -> None:
    """Wait until something holds; fail with the story of the processes if it never does."""
    deadline = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain\n{story()}")
        time.sleep(0.1)


def twice(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Sightings that are there more than once."""
    return [s for s, n in Counter(sightings).items() if n > 1]


def name_of(at: datetime) -> str:
    """The file name of a frame captured then."""
    return at.strftime("%Y%m%dT%H%M%S.") + f"{at.microsecond // 1000:03d}Z.jpg"


def lay_out(frames: Sequence[Path], folder: Path, first_at: datetime, step_s: float) -> Path:
    """Give frames the names of a camera's drop folder, as links."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, frame in enumerate(frames):
        (folder / name_of(first_at + timedelta(seconds=n * step_s))).symlink_to(frame)
    return folder
