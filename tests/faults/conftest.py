"""What the fault tests share: one box with its configuration, and the book of what was lost."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.processes import Child, start
from tests.checkpoint_agent.fakes import RoadsideServer
from tests.faults.truth import Balance

BOOK: list[dict[str, Any]] = []


@dataclass
class Box:
    """One agent, started as often as needed on the same data."""

    root: Path
    url: str
    token_file: Path
    cameras: list[str] = field(default_factory=list)
    """TOML of each camera, without its head."""
    top: str = ""
    close_after_s: float = 0.6
    data_dir: Path | None = None
    offset: Path | None = None
    starts: int = 0
    agent: Child | None = None

    @property
    def config(self) -> Path:
        return self.root / "agent.toml"

    def configure(self, *, live: bool = False, server: str = "", more: str = "") -> None:
        """Write ``agent.toml``."""
        lines = [
            'agent_id = "box"',
            f'data_dir = "{self.data_dir or self.root / "data"}"',
            "drain_limit_s = 120",
            "" if live else "exit_when_done = true",
            self.top,
            "[server]",
            f'url = "{self.url}"',
            f'token_file = "{self.token_file}"',
            "live_within_s = 86400",
            "retry_first_s = 0.05",
            "retry_limit_s = 0.3",
            "heartbeat_s = 1",
            server,
            "[health]",
            'listen = ""',
            "[passage]",
            f"close_after_s = {self.close_after_s}",
            more,
        ]
        for camera in self.cameras:
            lines += ["[[camera]]", camera]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self, *, wait: bool = True) -> Child:
        self.starts += 1
        argv = [sys.executable, "-m", "tests.faults.box", str(self.config)]
        if self.offset is not None:
            argv.append(str(self.offset))
        self.agent = start("agent", argv, self.root / f"agent-{self.starts:03d}.log")
        if wait:
            self.agent.wait_for_line("agent started", 90)
        return self.agent

    def kill(self) -> None:
        assert self.agent is not None
        self.agent.kill()

    def stop(self, within_s: float = 30.0) -> int | None:
        assert self.agent is not None
        self.agent.terminate()
        return self.agent.wait(within_s)

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self.agent is not None
        self.agent.process.send_signal(signal.SIGHUP)

    def story(self) -> str:
        logs = sorted(self.root.glob("*.log"))[-4:]
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-2500:]}" for p in logs)


@pytest.fixture
def roadside() -> Iterator[RoadsideServer]:
    server = RoadsideServer()
    yield server
    server.close()


@pytest.fixture
def box(tmp_path: Path, roadside: RoadsideServer) -> Iterator[Box]:
    """A box that sends to the roadside server."""
    (tmp_path / "token").write_text("sesame")
    box = Box(tmp_path, roadside.url, tmp_path / "token")
    yield box
    if box.agent is not None:
        box.agent.kill()


@pytest.fixture
def book(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write down what a fault did, and demand that nothing was lost."""

    def enter(balance: Balance, story: Callable[[], str], **figures: object) -> None:
        BOOK.append({"fault": request.node.name, **asdict(balance), **figures})
        assert balance.is_whole, f"{balance}\n{story()}"

    return enter


@pytest.fixture(scope="session")
def kills() -> int:
    """How many times the box is killed: few in the suite, 200 by ``python -m benchmarks.faults``."""
    return int(os.environ.get("KAKOU_FAULT_KILLS", "5"))


def pytest_sessionfinish() -> None:
    """Leave the book where ``benchmarks.faults`` asks for it."""
    wanted = os.environ.get("KAKOU_FAULT_BOOK")
    if wanted:
        Path(wanted).write_text(json.dumps(BOOK, ensure_ascii=False), encoding="utf-8")
