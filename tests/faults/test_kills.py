"""The box is killed with -9 at random, again and again, and the server with it now and then."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Child, start
from tests.checkpoint_agent.fakes import NOON
from tests.e2e.road import free_port, wait_for
from tests.faults.conftest import Box
from tests.faults.truth import Balance, film, traffic

KILLS_A_FILM = 10
FPS = 8

pytestmark = pytest.mark.timeout(3600)


class RealServer:
    """The real server, on SQLite, with a camera for each film."""

    def __init__(self, root: Path, cameras: int) -> None:
        self.root = root
        self.port = free_port()
        self.starts = 0
        self.child: Child | None = None
        root.mkdir(parents=True)
        (root / "server.toml").write_text(
            f'data_dir = "{root / "data"}"\n[http]\nport = {self.port}\n', encoding="utf-8"
        )
        names = [f"film-{n}" for n in range(cameras)]
        seed = {
            "checkpoints": [
                {
                    "id": "kk-0",
                    "name": "卡口",
                    "lat": 35.4,
                    "lon": 116.58,
                    "cameras": [{"id": name} for name in names],
                }
            ],
            "agents": [{"id": "box", "cameras": names}],
            "users": [],
            "watchlist": [],
        }
        (root / "seed.json").write_text(json.dumps(seed), encoding="utf-8")
        self._command("migrate")
        self._command("seed-demo", str(root / "seed.json"), "--tokens", str(root))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _argv(self, *arguments: str) -> list[str]:
        config = str(self.root / "server.toml")
        return [sys.executable, "-m", "server", "--config", config, *arguments]

    def _command(self, *arguments: str) -> None:
        subprocess.run(self._argv(*arguments), check=True, capture_output=True, timeout=120)

    def start(self, *, wait: bool = True) -> None:
        self.starts += 1
        log = self.root / f"server-{self.starts:03d}.log"
        self.child = start("server", self._argv("serve"), log)
        if wait:
            self.child.wait_for_line("listening on", 90)

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()

    def stored(self) -> list[tuple[str, str]]:
        """Camera and plate of everything in its database."""
        path = self.root / "data" / "kakou.sqlite3"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            return list(connection.execute("SELECT camera_id, plate FROM passage"))
        finally:
            connection.close()


@pytest.fixture
def server(tmp_path: Path, kills: int) -> Iterator[RealServer]:
    server = RealServer(tmp_path / "server", 1 + kills // KILLS_A_FILM)
    yield server
    if server.child is not None:
        server.kill()


def test_kill_9_at_random(tmp_path: Path, server: RealServer, kills: int, book) -> None:
    """Every vehicle of the truth is in the server's database exactly once, with its pictures."""
    chance = random.Random(int(os.environ.get("KAKOU_FAULT_SEED", "20261122")))
    whole = kills >= KILLS_A_FILM
    cars, speed = (40, 8.0) if whole else (14, 4.0)
    drives = traffic(cars, seconds=1.6, gaps_s=(-1.0, -0.5, 0.3, 1.5))
    server.start()
    done = server_kills = films = 0
    lives = []
    box = Box(tmp_path, server.url, server.root / "box.token")
    while done < kills or films == 0:
        camera = f"film-{films}"
        film(tmp_path / camera, drives, NOON, fps=FPS)
        films += 1
        box.root = tmp_path / f"box-{camera}"
        box.root.mkdir()
        box.cameras = [
            f'id = "{camera}"\nsource = "{tmp_path / camera}"\npace = "recorded"\nspeed = {speed}'
        ]
        box.configure()
        for _ in range(min(KILLS_A_FILM, kills - done)):
            # one life in five ends while it is still starting up
            box.start(wait=chance.random() > 0.2)
            life_s = chance.uniform(0.0, 2.5 if whole else 1.8)
            lives.append(life_s)
            time.sleep(life_s)
            if chance.random() < 0.15:
                server.kill()
                server.start(wait=False)
                server_kills += 1
            assert box.agent.process.poll() in {None, 0}, box.story()
            box.kill()
            done += 1
        wait_for(lambda: "listening on" in server.child.tail(10**6), 90, box.story)
        box.start()
        assert box.agent.wait(300) == 0, box.story()
    truth = [f"film-{n} {drive.plate}" for n in range(films) for drive in drives]
    arrived = [f"{camera} {plate}" for camera, plate in server.stored()]
    book(
        Balance.of(truth, arrived),
        box.story,
        kills=done,
        server_kills=server_kills,
        mean_life_s=round(sum(lives) / len(lives), 2),
    )
