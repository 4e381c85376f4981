"""A checkpoint as the server sees it: an agent that speaks the wire contract over HTTP.

The pictures are those of the scene renderer: each passage has its own.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import cv2
import httpx
import numpy as np

from anpr.plate import PlateKind
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.vehicle import Body, Vehicle
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

BODY_COLORS_DRAWN = ("white", "black", "grey", "red", "blue")
_EMPTY = Scene()
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
            for role, jpeg in (pictures or draw_pictures(plate, kind, at)).items()
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


def draw_pictures(plate: str, kind: str, at: datetime) -> dict[str, bytes]:
    """The scene at that moment and the crop of the plate; each passage has pictures of its own."""
    seed = time.perf_counter_ns() % 2**31
    # a plate that could not be read looks like any other, through a dirty lens
    text = plate.replace("?", "8") or "鲁H8B0D1"
    drawn_kind = PlateKind.SMALL if kind == "unknown" else PlateKind(kind)
    large = drawn_kind in {PlateKind.LARGE, PlateKind.TRAILER}
    vehicle = Vehicle(
        vehicle_id=str(seed),
        plate=text,
        kind=drawn_kind,
        body=Body.LORRY if large else (Body.SALOON, Body.SUV, Body.VAN)[seed % 3],
        color=BODY_COLORS_DRAWN[seed % len(BODY_COLORS_DRAWN)],
        seed=seed,
    )
    passing = _EMPTY.pass_seen_at(vehicle, lane=seed % 2, speed_kmh=48, seen_at=at)
    frame = render_frame(replace(_EMPTY, passes=(passing,), seed=seed), at)
    x, y, width, height = cv2.boundingRect(np.array(frame.truth[0].quad_px, np.float32))
    crop = frame.image[y - 2 : y + height + 2, x - 2 : x + width + 2]
    if plate != text:
        crop = cv2.GaussianBlur(crop, (0, 0), 3)
    return {"scene": _jpeg(frame.image), "plate": _jpeg(cv2.resize(crop, None, fx=2, fy=2))}


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
