"""How each camera is doing, and the heartbeat that tells the server."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from checkpoint_agent.capture import Feed
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.outbox import Outbox
from server.wire import CameraState, Heartbeat, Models
from server.wire import Clock as WireClock

_FAULT_LENGTH = 200


@dataclass(slots=True)
class CameraHealth:
    """Counters of one camera; written by the reading thread, read by the heartbeat."""

    camera_id: str
    feed: Feed
    frames: int = 0
    passages: int = 0
    last_frame_at: datetime | None = None
    done: bool = False
    """A recording that has been read to its end."""


class Health:
    """What the heartbeat says."""

    def __init__(self, config: AgentConfig, outbox: Outbox, models: Models, clock: Clock) -> None:
        """Begin to count."""
        self._config = config
        self._outbox = outbox
        self._models = models
        self._clock = clock
        self._started_at = clock.now()
        self._told_s = clock.monotonic_s()
        self._told_frames: dict[str, int] = {}
        self.cameras: list[CameraHealth] = []

    def heartbeat(self) -> Heartbeat:
        """The present state; frame rates are those since the last heartbeat."""
        now_s = self._clock.monotonic_s()
        span_s = max(now_s - self._told_s, 0.001)
        self._told_s = now_s
        state = self._outbox.state()
        return Heartbeat(
            agent_id=self._config.agent_id,
            sent_at=self._clock.now(),
            version=self._models.agent,
            models=self._models,
            started_at=self._started_at,
            clock=WireClock(synchronised=self._clock.state().synchronised),
            queue_passages=state.queued,
            dead_letters=state.dead,
            disk_free_bytes=_free_bytes(self._config.data_dir),
            cameras=tuple(self._camera(camera, span_s) for camera in self.cameras),
        )

    def _camera(self, camera: CameraHealth, span_s: float) -> CameraState:
        new = camera.frames - self._told_frames.get(camera.camera_id, 0)
        self._told_frames[camera.camera_id] = camera.frames
        fault = camera.feed.source.fault
        return CameraState(
            camera_id=camera.camera_id,
            connected=fault is None and not camera.done,
            frames_per_s=round(new / span_s, 2),
            last_frame_at=camera.last_frame_at,
            fault=fault[:_FAULT_LENGTH] if fault else None,
        )


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
