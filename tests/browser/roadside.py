"""A checkpoint as the server sees it: an agent that speaks the wire contract over HTTP.

The scene is drawn here, plainly: what matters to a page is that the pictures are real JPEGs with
their own content each. The plate is the plate artist's.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import cv2
import httpx
import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import OwnGlyphs
from benchmarks.rendering.plates import draw_plate
from server.wire import (
    EVIDENCE_PATH,
    HEARTBEAT_PATH,
    INGEST_PATH,
    Alternative,
    CameraState,
    Character,
    Evidence,
    Heartbeat,
    Models,
    Passage,
    PassageBatch,
    Plate,
    Receipt,
    Track,
)

MODELS = Models(agent="0.1.0", detector="plate_det-test", recogniser="plate_rec-test")


@dataclass(frozen=True, slots=True)
class Roadside:
    """One agent with its token and its camera."""

    base_url: str
    agent_id: str
    camera_id: str
    token: str

    def sees(
        self,
        plate: str,
        *,
        color: str = "blue",
        kind: str = "small",
        at: datetime | None = None,
        score: float = 0.987,
        delivery: str = "live",
        pictures: Mapping[str, bytes] | None = None,
        **fields: Any,
    ) -> UUID:
        """Send one passage with its pictures; returns its identifier once it is acknowledged."""
        at = at or datetime.now(UTC)
        evidence = tuple(
            self._send_picture(role, jpeg, at)
            for role, jpeg in (pictures or draw_pictures(plate, kind)).items()
        )
        passage = Passage(
            passage_id=uuid7(at),
            camera_id=self.camera_id,
            captured_at=at,
            plate=Plate(
                state="partial" if "?" in plate else "read" if plate else "unread",
                text=plate,
                color=color,  # type: ignore[arg-type]
                kind=kind,  # type: ignore[arg-type]
                score=score if plate else 0.0,
                characters=tuple(_character(char, i, score) for i, char in enumerate(plate)),
            ),
            vehicle_color="white",
            direction="approaching",
            lane=fields.pop("lane", 2),
            speed_kmh=fields.pop("speed_kmh", 54.0),
            track=Track(
                first_at=at - timedelta(seconds=1.5), last_at=at, frames=14, reads=11, votes=10
            ),
            evidence=evidence,
            models=MODELS,
            **fields,
        )
        batch = PassageBatch(
            agent_id=self.agent_id,
            sent_at=datetime.now(UTC),
            delivery=delivery,  # type: ignore[arg-type]
            passages=(passage,),
        )
        answer = self._call("POST", INGEST_PATH, batch.model_dump_json(by_alias=True).encode())
        (result,) = Receipt.model_validate_json(answer.content).results
        assert result.outcome == "accepted", result
        return passage.passage_id

    def beats(self, *, queue_passages: int = 0, fault: str | None = None) -> None:
        """Send one heartbeat."""
        now = datetime.now(UTC)
        heartbeat = Heartbeat(
            agent_id=self.agent_id,
            sent_at=now,
            version="0.1.0",
            models=MODELS,
            started_at=now - timedelta(hours=3),
            queue_passages=queue_passages,
            dead_letters=0,
            cameras=(
                CameraState(
                    camera_id=self.camera_id,
                    connected=fault is None,
                    frames_per_s=0.0 if fault else 12.5,
                    last_frame_at=now,
                    fault=fault,
                ),
            ),
        )
        self._call("POST", HEARTBEAT_PATH, heartbeat.model_dump_json().encode())

    def _send_picture(self, role: str, jpeg: bytes, at: datetime) -> Evidence:
        digest = hashlib.sha256(jpeg).hexdigest()
        self._call("PUT", EVIDENCE_PATH.format(sha256=digest), jpeg, "image/jpeg")
        height, width = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2]
        return Evidence(
            role=role,  # type: ignore[arg-type]
            sha256=digest,
            size_bytes=len(jpeg),
            width_px=width,
            height_px=height,
            captured_at=at,
        )

    def _call(
        self, method: str, path: str, body: bytes, media_type: str = "application/json"
    ) -> httpx.Response:
        answer = httpx.request(
            method,
            self.base_url + path,
            content=body,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": media_type},
            timeout=20,
            trust_env=False,
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


def uuid7(at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7) of this moment, unique within the test run."""
    milliseconds = int(at.timestamp() * 1000)
    random = int.from_bytes(hashlib.sha256(str(time.perf_counter_ns()).encode()).digest()[:10])
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | ((random >> 62) & 0xFFF) << 64
    return UUID(int=value | 0b10 << 62 | (random & (2**62 - 1)))


@cache
def _glyphs() -> OwnGlyphs:
    return OwnGlyphs()


def draw_pictures(plate: str, kind: str) -> dict[str, bytes]:
    """A plain scene and the crop of its plate; every passage gives pictures of its own."""
    rng = np.random.default_rng(time.perf_counter_ns())
    # a plate that could not be read is drawn as any other, and blurred
    drawn_kind = PlateKind.SMALL if kind == "unknown" else PlateKind(kind)
    text = plate.replace("?", "8") or "鲁H8B0D1"
    crop = draw_plate(text, drawn_kind, glyphs=_glyphs(), rng=rng).image
    if plate != text:
        crop = cv2.GaussianBlur(crop, (0, 0), 4)
    scene = np.zeros((720, 1280, 3), np.uint8)
    scene[:330] = (96, 84, 74)
    scene[330:] = (62, 60, 58)
    for x in (160, 640, 1120):
        cv2.line(scene, (640 + (x - 640) // 5, 330), (x, 720), (200, 205, 205), 6)
    body = tuple(int(v) for v in rng.integers(60, 210, 3))
    cv2.rectangle(scene, (410, 250), (870, 600), body, -1)
    cv2.rectangle(scene, (460, 280), (820, 410), (40, 38, 36), -1)
    for x in (460, 820):
        cv2.circle(scene, (x, 490), 34, (225, 235, 240), -1)
    height, width = crop.shape[:2]
    scene[500 : 500 + height, 640 - width // 2 : 640 - width // 2 + width] = crop
    scene = cv2.add(scene, rng.integers(0, 14, scene.shape, dtype=np.uint8))
    return {"scene": _jpeg(scene), "plate": _jpeg(crop)}


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data.tobytes()


def _character(char: str, place: int, score: float) -> Character:
    doubtful = place == 4
    return Character(
        char=char,
        score=min(1.0, score - 0.14 if doubtful else score + 0.01),
        alternatives=(
            (Alternative(char="8", score=0.11), Alternative(char="B", score=0.03))
            if doubtful
            else (Alternative(char="0", score=0.004),)
        ),
    )
