"""Simulated traffic for the demo: days of history and what passes from now on, over the agents' own door.

Four cameras are filmed and read for real; they have no past. So that routes, companions, clones, flow and
pursuits have something to show, vehicles of :mod:`benchmarks.simulation` drive on the same roads past four
dozen more checkpoints, which are named 模拟 (simulated) wherever they are shown. Their boxes post as agents
do: pictures first (of some), history as backlog, what passes now as it passes.

The history goes oldest first and is told faster than travel times are learned of it.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import httpx
import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import OwnGlyphs
from benchmarks.rendering.plates import draw_plate
from benchmarks.simulation import City, Plan, World, simulate
from benchmarks.simulation.fleet import COLOR_OF_KIND, KINDS, VEHICLE_COLORS
from benchmarks.simulation.world import Passages
from demo.city import to_lat_lon
from demo.processes import ChildDiedError
from demo.streets import make_streets
from server.wire.limits import EVIDENCE_PATH, INGEST_PATH, MAX_BATCH_PASSAGES

SEED = 5
PAST_DAYS = 4
DAYS = 11
"""Days that are simulated; a demo that is started again within the week goes on with them."""
VEHICLES = 900
BOXES = 6
_LATEST = timedelta(seconds=20)
_AT_ONCE = 2_400
_PICTURED = 250
"""A box that sent a picture of everybody would be long about its history."""
_COLORS = {"silver": "grey"}
_MODELS = {"agent": "simulation", "detector": "none", "recogniser": "none"}


@dataclass(frozen=True, slots=True)
class Box:
    """A simulated agent with its cameras."""

    agent_id: str
    checkpoints: tuple[int, ...]


@dataclass(slots=True)
class Background:
    """The county's simulated traffic from ``start_at`` on, and how far it has been told."""

    start_at: datetime
    told_until: datetime
    world: World = field(init=False)
    boxes: tuple[Box, ...] = field(init=False)
    seed: dict[str, Any] = field(init=False)
    """Its checkpoints and agents, as the server's seed file has them."""
    _seen: Passages = field(init=False)

    def __post_init__(self) -> None:
        """Drive all days."""
        city, named = make_streets(SEED)
        plan = Plan(
            seed=SEED, days=DAYS, vehicles=VEHICLES, checkpoints=len(named), zones=len(city.zones),
            start_at=self.start_at, clones=14, convoys=5, hiders=4, fakes=4, clock_faults=0.03, jams=2,
        )  # fmt: skip
        self.world = simulate(plan, city)
        self._seen = self.world.seen()
        share = -(-len(named) // BOXES)
        self.boxes = tuple(
            Box(f"sim-box-{n + 1}", tuple(range(n * share, min(len(named), (n + 1) * share))))
            for n in range(BOXES)
        )
        places = [_middle(city, number) for number in range(len(named))]
        bearings = city.checkpoint_bearing_deg()
        ways = ("", "进城 inbound", "出城 outbound")
        self.seed = {
            "checkpoints": [
                {
                    "id": City.checkpoint_id(one.number), "name": one.name,
                    "name_en": one.name_en, "lat": round(lat, 6), "lon": round(lon, 6),
                    "road": one.road, "direction": ways[int(city.border[one.number])],
                    "cameras": [{"id": f"{City.checkpoint_id(one.number)}-c1",
                                 "bearing_deg": round(float(bearings[one.number]), 1)}],
                }
                for one, (lat, lon) in zip(named, places, strict=True)
            ],
            "agents": [
                {"id": box.agent_id,
                 "cameras": [f"{City.checkpoint_id(n)}-c1" for n in box.checkpoints]}
                for box in self.boxes
            ],
        }  # fmt: skip

    def rows(self, since: datetime, until: datetime) -> list[int]:
        """Sightings with ``since`` <= time < ``until``, in order of time."""
        low, high = (float((at - self.start_at).total_seconds()) for at in (since, until))
        first, last = np.searchsorted(self._seen.at_s, [low, high])
        return list(range(int(first), int(last)))

    def box_of(self, row: int) -> int:
        """Which box reports it."""
        return int(self._seen.checkpoint[row]) // len(self.boxes[0].checkpoints)

    def pictured(self) -> frozenset[int]:
        """The vehicles that have a picture: whoever is up to something, and those most seen."""
        fleet = self.world.fleet
        seen = np.bincount(self._seen.vehicle, minlength=len(fleet.role))
        odd = fleet.hides | fleet.fake | (fleet.leader >= 0)
        odd |= fleet.plate_of != np.arange(len(odd))
        odd[fleet.plate_of[fleet.plate_of != np.arange(len(odd))]] = True
        odd[fleet.leader[fleet.leader >= 0]] = True
        often = np.argsort(-seen, kind="stable")[:_PICTURED]
        return frozenset(np.flatnonzero(odd).tolist()) | frozenset(often.tolist())

    def vehicle_of(self, row: int) -> int:
        """Which vehicle it was."""
        return int(self._seen.vehicle[row])

    def message(self, row: int, picture: dict[str, Any] | None) -> dict[str, Any]:
        """A passage as it goes over the wire, with the picture of its vehicle if there is one."""
        p, kind = self._seen, int(self._seen.kind[row])
        ms = round((self.start_at.timestamp() + float(p.at_s[row])) * 1000)
        at = datetime.fromtimestamp(ms / 1000, UTC).isoformat()
        text = str(self.world.texts[p.plate[row]])
        color = VEHICLE_COLORS[int(p.color[row])]
        plate = {
            "state": "read", "text": text, "kind": KINDS[kind], "color": COLOR_OF_KIND[kind],
            "score": float(p.score[row]),
            "characters": [{"char": one, "score": float(p.score[row])} for one in text],
        } if text else {"state": "unread"}  # fmt: skip
        return {
            "schema": "passage/1",
            "passage_id": str(UUID(int=ms << 80 | 7 << 76 | 2 << 62 | row)),
            "camera_id": f"{City.checkpoint_id(int(p.checkpoint[row]))}-c1",
            "captured_at": at,
            "clock": {"synchronised": True, "offset_ms": 0.0},
            "plate": plate,
            "vehicle_color": _COLORS.get(color, color),
            "direction": "approaching",
            "lane": int(p.lane[row]),
            "speed_kmh": float(p.speed_kmh[row]),
            "track": {"first_at": at, "last_at": at, "frames": 1, "reads": 1, "votes": 1},
            "evidence": [picture | {"role": role, "captured_at": at} for role in ("scene", "plate")]
            if text and picture
            else [],
            "models": _MODELS,
        }

    def register_csv(self) -> str:
        """The vehicle register of these vehicles."""
        from benchmarks.simulation.rows import register_csv  # noqa: PLC0415 - pulls in the server

        text = register_csv(self.world)
        for seen, said in _COLORS.items():
            text = text.replace(f",{seen}\n", f",{said}\n")
        return text


def _middle(city: City, number: int) -> tuple[float, float]:
    """Where a checkpoint stands: the middle of the link that it watches."""
    link = city.checkpoint_link[number]
    a, b = city.link_from[link], city.link_to[link]
    return to_lat_lon(
        float(city.east_m[a] + city.east_m[b]) / 2, float(city.north_m[a] + city.north_m[b]) / 2
    )


def background(state: Path, now: datetime) -> Background:
    """The traffic that goes on in this data folder, or a new one with some days behind it."""
    if state.is_file():
        known = json.loads(state.read_text(encoding="utf-8"))
        start_at, told = (datetime.fromisoformat(known[key]) for key in ("start_at", "told_until"))
        if now < start_at + timedelta(days=DAYS - 1):
            return Background(start_at, told)
    midnight = (now + timedelta(hours=8)).replace(hour=0, minute=0, second=0, microsecond=0)
    start_at = midnight - timedelta(hours=8, days=PAST_DAYS)
    return Background(start_at, start_at)


class Feeder:
    """Posts a background's passages to a server, as its boxes."""

    def __init__(self, traffic: Background, url: str, tokens: Path, state: Path) -> None:
        """Nothing is sent yet."""
        self._traffic = traffic
        self._state = state
        self._tokens = [
            (tokens / f"{box.agent_id}.token").read_text(encoding="utf-8").strip()
            for box in traffic.boxes
        ]
        self._client = httpx.Client(base_url=url, timeout=60)
        self._pictures: dict[int, dict[str, Any]] = {}
        self._pictured = traffic.pictured()
        self._glyphs = OwnGlyphs()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def tell_past(self, now: datetime, progress: Callable[[float], None]) -> int:
        """Post everything up to now, oldest first; how many passages that were."""
        rows = self._traffic.rows(self._traffic.told_until, now)
        for start in range(0, len(rows), _AT_ONCE):
            self._post(rows[start : start + _AT_ONCE], "backlog")
            progress(min(1.0, (start + _AT_ONCE) / len(rows)))
        self._keep(now)
        return len(rows)

    def tell_present(self, now: datetime) -> None:
        """Post what has passed since the last time."""
        late = now - self._traffic.told_until > _LATEST
        rows = self._traffic.rows(self._traffic.told_until, now)
        self._post(rows, "backlog" if late else "live")
        self._keep(now)

    def _keep(self, now: datetime) -> None:
        self._traffic.told_until = now
        known = {"start_at": self._traffic.start_at.isoformat(), "told_until": now.isoformat()}
        self._state.write_text(json.dumps(known), encoding="utf-8")

    def _post(self, rows: Sequence[int], delivery: str) -> None:
        by_box: dict[int, list[int]] = {}
        for row in rows:
            by_box.setdefault(self._traffic.box_of(row), []).append(row)
        for box, mine in sorted(by_box.items()):
            for start in range(0, len(mine), MAX_BATCH_PASSAGES):
                self._send(box, mine[start : start + MAX_BATCH_PASSAGES], delivery)

    def _send(self, box: int, rows: Sequence[int], delivery: str) -> None:
        body = {
            "agent_id": self._traffic.boxes[box].agent_id,
            "sent_at": datetime.now(UTC).isoformat(),
            "delivery": delivery,
            "passages": [
                self._traffic.message(row, self._picture(box, self._traffic.vehicle_of(row)))
                for row in rows
            ],
        }
        answer = self._client.post(INGEST_PATH, json=body, headers=self._as(box))
        if answer.status_code != 200:
            raise ChildDiedError(f"simulated traffic: {answer.status_code} {answer.text[:300]}")

    def _as(self, box: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[box]}"}

    def _picture(self, box: int, vehicle: int) -> dict[str, Any] | None:
        """The picture of a vehicle, sent before the first passage that names it."""
        if vehicle not in self._pictured:
            return None
        found = self._pictures.get(vehicle)
        if found is None:
            jpeg, size = _drawn(self._traffic.world, vehicle, self._glyphs)
            name = hashlib.sha256(jpeg).hexdigest()
            headers = self._as(box) | {"Content-Type": "image/jpeg"}
            answer = self._client.put(
                EVIDENCE_PATH.format(sha256=name), content=jpeg, headers=headers
            )
            answer.raise_for_status()
            found = self._pictures[vehicle] = {
                "sha256": name, "media_type": "image/jpeg",
                "size_bytes": len(jpeg), "width_px": size[0], "height_px": size[1],
            }  # fmt: skip
        return found


def _drawn(world: World, vehicle: int, glyphs: OwnGlyphs) -> tuple[bytes, tuple[int, int]]:
    """A drawn plate with the word SIMULATED under it; JPEG and size."""
    kind = PlateKind(KINDS[int(world.fleet.kind[vehicle])])
    plate = draw_plate(
        world.plate_of(vehicle), kind, glyphs=glyphs, rng=np.random.default_rng(vehicle), rows=1,
        wear=0.2,
    ).image  # fmt: skip
    height, width = plate.shape[:2]
    tall = max(width * 9 // 16, height + 30)
    image = np.full((tall, width, 3), 40, np.uint8)
    top = (tall - height - 26) // 2
    image[top : top + height] = plate[..., :3]
    cv2.putText(
        image, "SIMULATED", (8, top + height + 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (230, 230, 230),
        1, cv2.LINE_AA,
    )  # fmt: skip
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return jpeg, (width, tall)


def ask_for_clones(url: str, name: str, password: str, since: datetime) -> None:
    """Ask for cloned plates of the whole city, as an officer would; the job goes on by itself."""
    with httpx.Client(base_url=url, timeout=30) as client:
        login = client.post("/api/v1/login", json={"name": name, "password": password})
        login.raise_for_status()
        question = {
            "kind": "clones", "since": since.isoformat(), "until": datetime.now(UTC).isoformat(),
            "purpose": "system_test", "case_number": "DEMO",
        }  # fmt: skip
        token = {"X-CSRF-Token": login.json()["csrf_token"]}
        answer = client.post("/api/v1/analyses/jobs", json=question, headers=token)
        if answer.status_code != 202:
            raise ChildDiedError(f"search for clones: {answer.status_code} {answer.text[:300]}")


def keep_telling(feeder: Feeder, stop: threading.Event, failed: Callable[[str], None]) -> None:
    """Post what passes, every two seconds, until ``stop``; a server that is away is tried again."""
    said = False
    while not stop.wait(2.0):
        try:
            feeder.tell_present(datetime.now(UTC))
            said = False
        except (httpx.HTTPError, ChildDiedError) as error:
            if not said:
                failed(str(error))
            said = True
