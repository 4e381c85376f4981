"""The files that server and agents of the demo run on, written under one data folder."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.city import CHECKPOINTS, ORIGIN_LAT, ORIGIN_LON, roads_geojson
from demo.timeline import WANTED

LOGIN = "demo"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything of one demo lies."""

    root: Path

    @property
    def server_file(self) -> Path:
        """Configuration of the server."""
        return self.root / "server.toml"

    @property
    def seed_file(self) -> Path:
        """Checkpoints, cameras, agents, users and watchlist to begin with."""
        return self.root / "seed.json"

    @property
    def tokens_dir(self) -> Path:
        """One file a token, written by the server when it registers the agents."""
        return self.root / "tokens"

    @property
    def traffic_file(self) -> Path:
        """Since when simulated traffic drives here, and how far it has been told."""
        return self.root / "traffic.json"

    @property
    def password_file(self) -> Path:
        """Password of the demo's log-in, made up on this machine."""
        return self.root / "password"

    def frames_dir(self, camera_id: str) -> Path:
        """The folder into which a rendered camera drops its pictures."""
        return self.root / "footage" / camera_id

    def agent_file(self, agent_id: str) -> Path:
        """Configuration of one agent."""
        return self.root / "agents" / f"{agent_id}.toml"

    def log_file(self, name: str) -> Path:
        """What a process prints."""
        return self.root / "logs" / f"{name}.log"

    def password(self) -> str:
        """The password of the log-in, the same as long as the data stays."""
        if not self.password_file.is_file():
            self.root.mkdir(parents=True, exist_ok=True)
            self.password_file.touch(mode=0o600)
            self.password_file.write_text(secrets.token_urlsafe(9), encoding="utf-8")
        return self.password_file.read_text(encoding="utf-8").strip()


def _toml(value: object) -> str:
    """A string, number or boolean as TOML; JSON's form is the same for these."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def write_server(stage: Stage, port: int, register_csv: str = "") -> None:
    """Write ``server.toml`` and the map's roads, and a vehicle register if there is one."""
    roads = stage.root / "roads.geojson"
    roads.parent.mkdir(parents=True, exist_ok=True)
    roads.write_text(json.dumps(roads_geojson(), ensure_ascii=False), encoding="utf-8")
    stage.server_file.write_text(
        "\n".join(
            [
                f"data_dir = {_toml((stage.root / 'server').absolute())}",
                "[http]",
                f"port = {port}",
                "[map]",
                f"roads_file = {_toml(roads.absolute())}",
                f"center_lat = {ORIGIN_LAT}",
                f"center_lon = {ORIGIN_LON}",
                "zoom = 12.6",
                *_register(stage, register_csv),
                "",
            ]
        ),
        encoding="utf-8",
    )


def _register(stage: Stage, csv: str) -> list[str]:
    """Lines for a register of vehicles; travel times are learned from at once, to be looked at."""
    if not csv:
        return []
    path = stage.root / "register.csv"
    path.write_text(csv, encoding="utf-8")
    return [
        "[vehicles]", f"csv_file = {_toml(path.absolute())}",
        "[trajectory]", "learn_every_s = 40",
    ]  # fmt: skip


def county_seed(password: str) -> dict[str, Any]:
    """What the server is seeded with: the county, its agents, the log-in and the watchlist."""
    return {
        "checkpoints": [
            {
                "id": c.checkpoint_id,
                "name": c.name,
                "name_en": c.name_en,
                "lat": round(c.lat_lon[0], 6),
                "lon": round(c.lat_lon[1], 6),
                "road": c.road,
                "cameras": [{"id": c.camera_id, "bearing_deg": c.bearing_deg}],
            }
            for c in CHECKPOINTS
        ],
        "agents": [{"id": c.agent_id, "cameras": [c.camera_id]} for c in CHECKPOINTS],
        "users": [_login(password)],
        "watchlist": [
            {
                "plate": w.plate,
                "reason": w.reason,
                "level": w.level,
                "case_number": w.case_number,
            }
            for w in WANTED
        ],
    }


def own_seed(password: str) -> dict[str, Any]:
    """The seed for one's own footage: one checkpoint, one camera, an empty watchlist."""
    return {
        "checkpoints": [
            {
                "id": "kk-own",
                "name": "我的卡口",
                "name_en": "My checkpoint",
                "lat": ORIGIN_LAT,
                "lon": ORIGIN_LON,
                "road": "",
                "cameras": [{"id": "own-c1", "bearing_deg": 0}],
            }
        ],
        "agents": [{"id": "own-box", "cameras": ["own-c1"]}],
        "users": [_login(password)],
        "watchlist": [],
    }


def _login(password: str) -> dict[str, Any]:
    return {
        "name": LOGIN,
        "display_name": "演示管理员",
        "role": "administrator",
        "badge_number": "000001",
        "unit": "示例县指挥中心",
        "password": password,
    }


def write_agent(
    stage: Stage, agent_id: str, camera_id: str, server_url: str, camera: dict[str, object]
) -> Path:
    """Write the configuration of an agent with one camera; ``camera`` adds to its table."""
    path = stage.agent_file(agent_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"agent_id = {_toml(agent_id)}",
        f"data_dir = {_toml((stage.root / 'agents' / agent_id).absolute())}",
        "[server]",
        f"url = {_toml(server_url)}",
        f"token_file = {_toml((stage.tokens_dir / f'{agent_id}.token').absolute())}",
        "heartbeat_s = 10",
        # The demo begins with the last minutes, read as fast as they can be; they count as live.
        "live_within_s = 3600",
        "[reader]",
        'recogniser = "onnxruntime"',
        "threads = 1",
        "[[camera]]",
        f"id = {_toml(camera_id)}",
        *(f"{key} = {_toml(value)}" for key, value in camera.items()),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
