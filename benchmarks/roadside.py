"""Made-up agents that post real batches over HTTP; used by the benchmarks and the fault runs.

Plates follow a heavy-tailed activity (some vehicles pass often, most hardly ever), every passage
has its own identifier and time, characters with alternatives, and names two pictures.
"""

import hashlib
import http.client
import json
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from urllib.parse import urlsplit

from sqlalchemy import insert

from server import schema
from server.auth.accounts import Role, add_user, token_hash
from server.auth.agents import bind_camera, register_agent
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.db import Database
from server.settings import Settings
from server.tables import AgentToken, Counter, Evidence, WatchlistEntry

AGENTS = 40
CAMERAS_EACH = 4
PLATES = 200_000
PICTURES = 100_000
WATCHED = 10_000
_SERIAL = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=2 * PLATES)
def plate(number: int) -> str:
    """The plate of a vehicle; different numbers, different plates."""
    digits = ""
    for _ in range(5):
        number, digit = divmod(number, len(_SERIAL))
        digits += _SERIAL[digit]
    return "鲁" + "ABCDEFGHJKLMNPQRSTUVWXY"[number % 23] + digits


def picture(number: int) -> str:
    """SHA-256 of a picture that :func:`prepare` registers."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def token(agent: int) -> str:
    """The bearer token of an agent."""
    return f"token-of-box-{agent}"


def prepare(settings: Settings, *, pictures: int = PICTURES, watched: int = WATCHED) -> None:
    """Migrate and fill the registry: checkpoints, cameras, agents, watchlist, pictures."""
    database = Database(settings)
    now = datetime.now(UTC)
    schema.upgrade(database.engine)
    with database.write() as session:
        add_user(session, name="officer", password=secrets.token_hex(8), role=Role.OFFICER, now=now)
        for agent in range(AGENTS):
            place = CheckpointPlace(
                f"kk-{agent}", f"卡口{agent}", "", 35 + agent / 100, 116.5, "", ""
            )
            put_checkpoint(session, place, now)
            register_agent(session, f"box-{agent}", now)
            for camera in range(CAMERAS_EACH):
                name = f"kk-{agent}-{camera}"
                put_camera(session, camera_id=name, checkpoint_id=place.id, now=now)
                bind_camera(session, f"box-{agent}", name)
            session.add(
                AgentToken(
                    agent_id=f"box-{agent}", token_sha256=token_hash(token(agent)), created_at=now
                )
            )
        session.flush()
        # watched plates are rare ones: about one passage in five thousand rings
        entries = [
            {"plate": plate(PLATES + 7 * n) if n % 50 else plate(PLATES - 1 - n), "reason": "stolen",
             "level": 3, "case_number": "A1", "note": "", "valid_from": now - timedelta(days=1),
             "state": "active", "state_at": now, "created_at": now, "created_by": "officer"}
            for n in range(watched)
        ]  # fmt: skip
        if entries:
            session.execute(insert(WatchlistEntry), entries)
        session.get_one(Counter, "watchlist").value += 1
    for start in range(0, pictures, 10_000):
        with database.write() as session:
            session.execute(
                insert(Evidence),
                [
                    {"sha256": picture(n), "received_on": now.date(), "size_bytes": 90_000,
                     "media_type": "image/jpeg", "width_px": 1920, "height_px": 1080,
                     "agent_id": "box-0", "received_at": now}
                    for n in range(start, min(start + 10_000, pictures))
                ],
            )  # fmt: skip
    database.close()


@dataclass(slots=True)
class Producer:
    """Makes batches of one agent; cheap, as it shares the processors with what is measured.

    Agents are other machines: what making the messages costs here is nobody's cost in the field.
    """

    agent: int
    pictures: int = PICTURES
    pick: random.Random = field(default_factory=random.Random)
    _hashes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Know the pictures by name."""
        self._hashes = _names_of_pictures(min(self.pictures, 20_000))

    def batch(self, size: int) -> bytes:
        """A body with ``size`` new passages, captured just now."""
        now = datetime.now(UTC)
        now_us = (now - _EPOCH) // timedelta(microseconds=1)
        items = ",".join([self._passage(now_us - 1000 * n) for n in range(size)])
        sent = now.isoformat().replace("+00:00", "Z")
        head = f'{{"agent_id":"box-{self.agent}","sent_at":"{sent}","delivery":"live","passages":['
        return f"{head}{items}]}}".encode()

    def _passage(self, at_us: int) -> str:
        pick = self.pick
        text = plate(int(PLATES * pick.random() ** 3))
        iso = f"{_second(at_us // 1_000_000)}.{at_us % 1_000_000:06d}Z"
        ident = f"{at_us // 1000 << 80 | 0x7 << 76 | pick.getrandbits(76):032x}"
        camera = f"{self.agent}-{int(ident[-1], 16) % CAMERAS_EACH}"
        uuid = f"{ident[:8]}-{ident[8:12]}-{ident[12:16]}-8{ident[17:20]}-{ident[20:]}"
        characters = ",".join([_CHARACTER[char] for char in text])
        if hashes := self._hashes:
            count, random_ = len(hashes), pick.random
            scene, close = hashes[int(count * random_())], hashes[int(count * random_())]
            pictures = _PICTURES % (scene, iso, close, iso)
        else:
            pictures = ""
        return _PASSAGE % (uuid, camera, iso, text, characters, iso, iso, pictures)


@cache
def _names_of_pictures(count: int) -> list[str]:
    return [picture(n) for n in range(count)]


@lru_cache(maxsize=1_000)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


_PICTURES = (
    '{"role":"scene","sha256":"%s","media_type":"image/jpeg","size_bytes":90000,'
    '"width_px":1920,"height_px":1080,"captured_at":"%s"},'
    '{"role":"plate","sha256":"%s","media_type":"image/jpeg","size_bytes":9000,'
    '"width_px":320,"height_px":120,"captured_at":"%s"}'
)
_PASSAGE = (
    '{"schema":"passage/1","passage_id":"%s","camera_id":"kk-%s","captured_at":"%s",'
    '"clock":{"synchronised":true,"offset_ms":3.5},'
    '"plate":{"state":"read","text":"%s","color":"blue","kind":"small","score":0.9731,'
    '"characters":[%s]},'
    '"plate_quad_px":[[812.4,640.1],[951.8,645.2],[950.9,690.7],[811.6,684.3]],'
    '"vehicle_box_px":[640.0,210.5,1180.2,760.9],"vehicle_color":"white",'
    '"direction":"approaching","lane":2,"speed_kmh":null,'
    '"track":{"first_at":"%s","last_at":"%s","frames":14,"reads":11,"votes":10},'
    '"evidence":[%s],"models":{"agent":"0.1.0","detector":"plate_det-3f2a9c1e",'
    '"recogniser":"plate_rec-b81d0c77"}}'
)
_CHARACTER = {
    char: json.dumps(
        {"char": char, "score": 0.9812, "alternatives": [{"char": "8", "score": 0.0121},
                                                         {"char": "B", "score": 0.0034}]},
        ensure_ascii=False, separators=(",", ":"),
    )
    for char in "鲁" + _SERIAL
}  # fmt: skip


class Line:
    """A kept-alive connection of one agent."""

    def __init__(self, url: str, agent: int) -> None:
        """``url`` as the server prints it."""
        at = urlsplit(url)
        self._connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {token(agent)}",
            "Content-Type": "application/json",
        }

    def close(self) -> None:
        """End it."""
        self._connection.close()

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and answer; raises OSError or HTTPException if there is none."""
        try:
            self._connection.request("POST", "/api/v1/passages", body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies; 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def now_s() -> float:
    """A clock that never goes back."""
    return time.monotonic()
