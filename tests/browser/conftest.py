"""A real server process on a free port, and a real Chromium that may reach nothing else."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from demo import city
from tests.browser.roadside import Roadside

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "kakou-test-1"
READY_S = 120
EXPECTED_MS = 30_000
"""What is expected comes sooner or later; a loaded machine takes its time."""
CASE = "A3708112026110017"

USERS = (
    {"name": "zhang", "role": "officer", "display_name": "张伟", "badge_number": "012345",
     "unit": "任城区交警大队"},
    {"name": "wang", "role": "operator", "display_name": "王芳", "badge_number": "", "unit": ""},
    {"name": "admin", "role": "administrator", "display_name": "管理员", "badge_number": "",
     "unit": ""},
)  # fmt: skip


expect.set_options(timeout=EXPECTED_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(
                    pytest.mark.skip(reason="chromium is missing: apt install chromium")
                )


class ServerProcess:
    """``python -m server serve`` with a data folder of its own; its output is kept for failures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "server.toml"
        roads = folder / "roads.geojson"
        roads.write_text(json.dumps(city.roads_geojson(), ensure_ascii=False), encoding="utf-8")
        self.config.write_text(
            f'data_dir = "{folder}/data"\n[map]\nroads_file = "{roads}"\n'
            "[alerts]\nkeepalive_s = 2.0\n",
            encoding="utf-8",
        )
        seed = folder / "seed.json"
        seed.write_text(json.dumps(_seed(), ensure_ascii=False), encoding="utf-8")
        self._run("migrate")
        self._run("seed-demo", str(seed), "--tokens", str(folder / "tokens"))
        self.said: list[str] = []
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> None:
        """Serve, and wait until it says where."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server", "--config", str(self.config), "serve",
             "--port", str(port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        self.base_url = ""
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        until = time.monotonic() + READY_S
        while not self.base_url:
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                pytest.fail("the server did not start:\n" + "\n".join(self.said[-40:]))
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is said."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def roadside(self, place: int) -> Roadside:
        """The agent of a checkpoint, in the order of the demo's city."""
        checkpoint = city.CHECKPOINTS[place]
        token = (self.folder / "tokens" / f"{checkpoint.agent_id}.token").read_text().strip()
        return Roadside(self.base_url, checkpoint.agent_id, checkpoint.camera_id, token)

    def watch(self, plate: str, *, reason: str = "stolen", level: int = 1, note: str = "") -> None:
        """Put a plate on the watchlist, through the API."""
        with httpx.Client(base_url=self.base_url, trust_env=False) as client:
            opened = client.post("/api/v1/login", json={"name": "zhang", "password": PASSWORD})
            answer = client.post(
                "/api/v1/watchlist",
                json={"plate": plate, "reason": reason, "level": level, "case_number": CASE,
                      "note": note, "urgent": "cannot wait"},
                headers={"X-CSRF-Token": opened.json()["csrf_token"]},
            )  # fmt: skip
        assert answer.status_code == 201, answer.text

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "server", "--config", str(self.config), *command],
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self.said.append(line.rstrip())
                if line.startswith("listening on "):
                    self.base_url = line.removeprefix("listening on ").strip()
        except ValueError:  # closed under us by kill()
            return


def _seed() -> dict[str, object]:
    checkpoints, agents = [], []
    for one in city.CHECKPOINTS:
        lat, lon = one.lat_lon
        checkpoints.append(
            {"id": one.checkpoint_id, "name": one.name, "name_en": one.name_en, "lat": lat,
             "lon": lon, "road": one.road, "cameras": [{"id": one.camera_id}]}
        )  # fmt: skip
        agents.append({"id": one.agent_id, "cameras": [one.camera_id]})
    users = [{**user, "password": PASSWORD} for user in USERS]
    return {"checkpoints": checkpoints, "agents": agents, "users": users}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all pages; each test brings plates of its own."""
    process = ServerProcess(tmp_path_factory.mktemp("server"))
    process.start()
    yield process
    process.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that a test may kill."""
    process = ServerProcess(tmp_path)
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@dataclass
class Desk:
    """One person's browser at the command centre, watched: what it asks for, what it complains of."""

    context: BrowserContext
    page: Page
    base_url: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loses_server: bool = False
    """Whether the test takes the server away: then a request that fails is no complaint."""

    def open(self, path: str) -> Page:
        """Go to a page of the server."""
        self.page.goto(self.base_url + path)
        return self.page

    def log_in(self, name: str = "zhang", next_path: str = "/wall") -> Page:
        """Log in through the form."""
        page = self.open(f"/login?next={next_path}")
        page.fill("#username", name)
        page.fill("#password", PASSWORD)
        page.click(".gate-panel button.primary")
        page.wait_for_url("**" + next_path)
        return page

    def wall(self, name: str = "zhang") -> Page:
        """Log in and wait until the wall is live."""
        page = self.log_in(name)
        page.wait_for_selector('#connection[data-state="live"]')
        return page


def _is_expected(text: str, desk: Desk) -> bool:
    """The browser's own words for an answer that is an error, and htmx's for a server taken away."""
    return "Failed to load resource" in text or (desk.loses_server and "Failed to fetch" in text)


@pytest.fixture
def sit_down(server: ServerProcess, chromium: Browser) -> Iterator[Callable[..., Desk]]:
    """Open as many desks as a test needs.

    Whatever a test is about: when it ends, no page has asked another machine for anything, and
    no script has failed or been stopped by the content security policy.
    """
    desks: list[Desk] = []

    def open_desk(base_url: str = "", **options: object) -> Desk:
        context = chromium.new_context(
            viewport={"width": 1366, "height": 768},
            **options,  # type: ignore[arg-type]
        )
        context.set_default_timeout(EXPECTED_MS)
        desk = Desk(context, context.new_page(), base_url or server.base_url)
        context.on("request", lambda request: desk.requested.append(request.url))
        context.on("weberror", lambda error: desk.complaints.append(str(error.error)))
        desk.page.on(
            "console",
            lambda message: (
                desk.complaints.append(message.text)
                if message.type == "error" and not _is_expected(message.text, desk)
                else None
            ),
        )
        desks.append(desk)
        return desk

    yield open_desk
    for desk in desks:
        desk.context.close()
    for desk in desks:
        outside = [
            url
            for url in desk.requested
            if not url.startswith((desk.base_url + "/", "data:", "blob:" + desk.base_url))
        ]
        assert outside == []
        assert desk.complaints == []


@pytest.fixture
def desk(sit_down: Callable[..., Desk]) -> Desk:
    """One desk."""
    return sit_down()
