"""A real server application on a real database: every test that asks for one runs on both engines.

PostgreSQL is started from the installed binaries, in a folder of its own, once per session; each
test gets a database copied from a prepared template.
"""

import hashlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from server import schema
from server.app import create_app
from server.auth import accounts
from server.auth.accounts import Role, add_user
from server.auth.agents import bind_camera, register_agent
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.context import AppContext
from server.db import Database
from server.settings import Settings
from server.tables import AgentToken
from tests.server import cluster

NOW = datetime(2026, 11, 22, 10, 15, 0, tzinfo=UTC)
PASSWORD = "correct horse"
TOKEN = "token-of-the-box"
PURPOSE = {"purpose": "criminal_case", "case_number": "A370800-2026-11"}

CHECKPOINTS = (
    CheckpointPlace("kk-west", "西卡口", "West", 35.4000, 116.5000, "迎宾大道", "进城"),
    CheckpointPlace("kk-centre", "中心卡口", "Centre", 35.4150, 116.5870, "人民路", ""),
    CheckpointPlace("kk-north", "北卡口", "North", 35.4500, 116.5900, "北二路", "出城"),
)
CAMERAS = {
    "west-1": "kk-west",
    "west-2": "kk-west",
    "centre-1": "kk-centre",
    "north-1": "kk-north",
    "foreign-1": "kk-north",
}
AGENT_CAMERAS = ("west-1", "west-2", "centre-1", "north-1")


class SteppingClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def jpeg(salt: str = "", width_px: int = 64, height_px: int = 32) -> bytes:
    """A whole JPEG as far as its segments go; a different salt makes a different picture."""
    comment = salt.encode()
    frame = struct.pack(">BHHB", 8, height_px, width_px, 1) + b"\x01\x11\x00"
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment,
            b"\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame,
            b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\x34",
            b"\xff\xd9",
        )
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def passage_id(instant: datetime = NOW) -> str:
    """A UUIDv7."""
    ms = int(instant.timestamp() * 1000)
    bits = (ms << 80) | (7 << 76) | (uuid.uuid4().int & ((1 << 76) - 1))
    bits = (bits & ~(3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=bits))


def make_passage(**override: Any) -> dict[str, Any]:
    """A valid passage as an agent sends it; ``plate``, ``camera_id`` … override."""
    captured_at: datetime = override.pop("captured_at", NOW)
    plate = override.pop("plate", "鲁H12345")
    pictures: list[bytes] = override.pop("pictures", [])
    message: dict[str, Any] = {
        "schema": "passage/1",
        "passage_id": passage_id(captured_at),
        "camera_id": "west-1",
        "captured_at": iso(captured_at),
        "clock": {"synchronised": True, "offset_ms": 3.5},
        "plate": {
            "state": "read",
            "text": plate,
            "color": "blue",
            "kind": "small",
            "score": 0.97,
            "characters": [
                {"char": char, "score": 0.97, "alternatives": [{"char": "8", "score": 0.02}]}
                for char in plate
            ],
        },
        "plate_quad_px": [[10, 10], [50, 10], [50, 22], [10, 22]],
        "direction": "approaching",
        "lane": 1,
        "track": {
            "first_at": iso(captured_at),
            "last_at": iso(captured_at),
            "frames": 5,
            "reads": 4,
            "votes": 4,
        },
        "evidence": [
            {
                "role": "scene" if number == 0 else "plate",
                "sha256": sha256(data),
                "media_type": "image/jpeg",
                "size_bytes": len(data),
                "width_px": 64,
                "height_px": 32,
                "captured_at": iso(captured_at),
            }
            for number, data in enumerate(pictures)
        ],
        "models": {"agent": "0.1.0", "detector": "det-1", "recogniser": "rec-1"},
    }
    return message | override


@dataclass
class Site:
    """An application on a database, with checkpoints, an agent and people, and its clients."""

    settings: Settings
    clock: SteppingClock
    app: Any
    client: TestClient
    token: str
    csrf: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> AppContext:
        return self.app.state.context

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def put(self, data: bytes) -> Any:
        return self.client.put(
            f"/api/v1/evidence/{sha256(data)}", content=data, headers=self.bearer
        )

    def batch(self, *passages: Any, delivery: str = "live", agent_id: str = "box") -> dict:
        return {
            "agent_id": agent_id,
            "sent_at": iso(self.clock()),
            "delivery": delivery,
            "passages": list(passages),
        }

    def post(self, *passages: Any, delivery: str = "live") -> Any:
        """Post one batch as the agent."""
        batch = self.batch(*passages, delivery=delivery)
        return self.client.post("/api/v1/passages", json=batch, headers=self.bearer)

    def outcomes(self, *passages: Any, delivery: str = "live") -> list[str]:
        answer = self.post(*passages, delivery=delivery)
        assert answer.status_code == 200, answer.text
        return [result["outcome"] for result in answer.json()["results"]]

    def catch_up(self, passages: Sequence[Any]) -> None:
        """Take in what boxes had kept back, in portions; each is new."""
        for start in range(0, len(passages), 100):
            outcomes = self.outcomes(*passages[start : start + 100], delivery="backlog")
            assert set(outcomes) == {"accepted"}

    def as_role(self, role: str) -> "Person":
        """Log somebody in, with a cookie jar of his own."""
        client = TestClient(self.app, raise_server_exceptions=False)
        answer = client.post("/api/v1/login", json={"name": role, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return Person(client, {"X-CSRF-Token": answer.json()["csrf_token"]})

    def count(self, table: str) -> int:
        with self.context.database.read() as session:
            return session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608


@dataclass
class Person:
    """Somebody logged in."""

    client: TestClient
    csrf: dict[str, str]

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, params=params or None)  # {} would drop the path's own

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(path, json=body if body is not None else {}, headers=self.csrf)

    def watch(self, plate: str, **override: Any) -> int:
        body = {
            "plate": plate, "reason": "stolen", "level": 2, "case_number": "A1",
            "urgent": "cannot wait",
        } | override  # fmt: skip
        answer = self.post("/api/v1/watchlist", body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def alerts(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = self.get("/api/v1/alerts").json()["alerts"]
        return alerts


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Argon2 with the least work: what is tested is who gets in, not how long a guess takes."""
    accounts._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def prepare(settings: Settings) -> None:
    """Migrate; put in checkpoints, cameras, one agent with :data:`TOKEN`, a person per role."""
    database = Database(settings)
    schema.upgrade(database.engine)
    with database.write() as session:
        for place in CHECKPOINTS:
            put_checkpoint(session, place, NOW)
        for camera_id, checkpoint_id in CAMERAS.items():
            put_camera(session, camera_id=camera_id, checkpoint_id=checkpoint_id, now=NOW)
        register_agent(session, "box", NOW)
        for camera_id in AGENT_CAMERAS:
            bind_camera(session, "box", camera_id)
        for role in Role:
            add_user(
                session,
                name=role.value,
                password=PASSWORD,
                role=role,
                now=NOW,
                badge_number="37080001",
                unit="指挥中心",
            )
        session.add(
            AgentToken(agent_id="box", token_sha256=accounts.token_hash(TOKEN), created_at=NOW)
        )
    database.close()


# ---- engines


ENGINES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.postgres),
    *(["citus"] if cluster.DSN else []),
]


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a prepared database; the test runs once per engine."""
    return make_settings(request, tmp_path)


@pytest.fixture
def sqlite_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a prepared SQLite database, for what does not depend on the engine."""
    return _on_sqlite(request, tmp_path)


@pytest.fixture
def postgres_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a prepared PostgreSQL database."""
    return _on_postgresql(request, tmp_path)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def site(settings: Settings, clock: SteppingClock) -> Iterator[Site]:
    """A populated application on each engine."""
    with serving(settings, clock) as site:
        yield site


@pytest.fixture
def sqlite_site(sqlite_settings: Settings, clock: SteppingClock) -> Iterator[Site]:
    """A populated application on SQLite alone."""
    with serving(sqlite_settings, clock) as site:
        yield site


@pytest.fixture
def passage() -> Callable[..., dict[str, Any]]:
    """Makes valid passages; see :func:`make_passage`."""
    return make_passage


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Makes pictures; see :func:`jpeg`."""
    return jpeg


@contextmanager
def serving(settings: Settings, clock: SteppingClock) -> Iterator[Site]:
    app = create_app(settings, clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Site(settings, clock, app, client, TOKEN)


def make_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    on = {"sqlite": _on_sqlite, "postgresql": _on_postgresql, "citus": _on_citus}[request.param]
    return on(request, tmp_path)


_on_cluster: list[cluster.Prepared] = []


def _on_citus(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The cluster that the environment names, prepared and distributed once."""
    request.getfixturevalue("quick_passwords")
    given = _on_cluster[-1].give(tmp_path / "server") if _on_cluster else None
    if given is None:
        cluster.drop_all()
        given = cluster.settings_of(tmp_path / "server")
        prepare(given)
        _on_cluster.append(cluster.Prepared(given))
    return given


def _on_sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    template: Path = request.getfixturevalue("sqlite_template")
    data_dir = tmp_path / "server"
    data_dir.mkdir()
    shutil.copy(template, data_dir / "kakou.sqlite3")
    return Settings(data_dir=data_dir)


@pytest.fixture(scope="session")
def sqlite_template(quick_passwords: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared SQLite database to copy."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("sqlite"))
    prepare(settings)  # closing the last connection folds the WAL into the file
    return settings.data_dir / "kakou.sqlite3"


_databases = iter(range(1_000_000))


def _on_postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    base: str = request.getfixturevalue("postgres_server")
    name = f"test_{next(_databases)}"
    admin = create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE kakou_template"))

    def drop() -> None:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()

    request.addfinalizer(drop)
    return Settings(data_dir=tmp_path / "server", database={"url": f"{base}/{name}"})


@pytest.fixture(scope="session")
def postgres_server(quick_passwords: None) -> Iterator[str]:
    """A PostgreSQL server of our own on a free port of the loopback; gives its address."""
    binaries = _postgres_binaries()
    run, owner = _unprivileged()
    # not below pytest's own folder, which is closed to the user that the server runs as
    folder = Path(tempfile.mkdtemp(prefix="kakou-postgres-"))
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    subprocess.run(
        [*run, binaries / "initdb", "-D", data, "-U", "kakou", "-A", "trust", "-E", "UTF8",
         "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
    )
    subprocess.run(
        [*run, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    base = f"postgresql+psycopg2://kakou@127.0.0.1:{port}"
    try:
        admin = create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("CREATE DATABASE kakou_template"))
        admin.dispose()
        prepare(Settings(database={"url": f"{base}/kakou_template"}))
        yield base
    finally:
        subprocess.run(
            [*run, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
            check=False, capture_output=True, cwd=folder,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binaries() -> Path:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.skip("needs PostgreSQL's server binaries: apt install postgresql")
    return Path(on_path).parent


def _unprivileged() -> tuple[list[str], pwd.struct_passwd | None]:
    """How to run a program as somebody other than root, and who that is."""
    if os.geteuid() != 0:
        return [], None
    for name in ("postgres", "nobody"):
        try:
            owner = pwd.getpwnam(name)
        except KeyError:
            continue
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("needs setpriv to start PostgreSQL as root: apt install util-linux")
        return [
            setpriv,
            f"--reuid={owner.pw_uid}",
            f"--regid={owner.pw_gid}",
            "--clear-groups",
        ], owner
    pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
