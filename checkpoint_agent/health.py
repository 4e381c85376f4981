"""How the agent is: counters of each camera, one picture of everything, alarms, heartbeat."""

import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from checkpoint_agent.capture import Feed
from checkpoint_agent.clock import Clock, ClockState
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.hook import Hook
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.outbox_values import OutboxState
from checkpoint_agent.uploader import Uploader
from checkpoint_agent.vitals import Vitals, vitals_of
from checkpoint_agent.watchlist import LocalWatchlist
from checkpoint_agent.watchlist_pull import WatchlistPull
from server.wire import CameraState, Heartbeat, Models
from server.wire import Clock as WireClock

_FAULT_LENGTH = 200
_RATE_OVER_S = 10.0
_GROWTH_TOLD_S = 86_400.0
"""A loss is an alarm for a day."""
_WATCHLIST_STALE_S = 3600.0
_LOSSES = ("pictures_given_up", "passages_given_up")


@dataclass(slots=True)
class CameraHealth:
    """Counters of one camera; written by the reading thread, read by others."""

    camera_id: str
    feed: Feed
    frames: int = 0
    passages: int = 0
    last_frame_at: datetime | None = None
    done: bool = False
    """A recording that has been read to its end."""
    clock_jumps: int = 0
    _seen_s: deque[float] = field(default_factory=lambda: deque(maxlen=2000))

    def note_frame(self, captured_at: datetime, now_s: float) -> None:
        """Count a frame."""
        self.frames += 1
        self.last_frame_at = captured_at
        self._seen_s.append(now_s)

    def frames_per_s(self, now_s: float) -> float:
        """Over the last ten seconds."""
        return sum(now_s - s <= _RATE_OVER_S for s in tuple(self._seen_s)) / _RATE_OVER_S


@dataclass(frozen=True, slots=True)
class CameraLook:
    """One camera at one moment."""

    state: CameraState
    frames: int
    reconnects: int
    broken: int
    clock_jumps: int


@dataclass(frozen=True, slots=True)
class Look:
    """The whole agent at one moment."""

    agent_id: str
    at: datetime
    started_at: datetime
    models: Models
    clock: ClockState
    outbox: OutboxState
    unsaved: int
    """Passages in memory alone, because the disk takes nothing."""
    damaged_files: int
    vitals: Vitals
    cpu_share: float | None
    cameras: tuple[CameraLook, ...]
    link_fault: str | None
    watchlist_wanted: bool
    watchlist_revision: int | None
    watchlist_age_s: float | None
    """Since the server last confirmed the copy; ``None`` if it has not since the start."""
    up_s: float
    hook_runs: int
    hook_failures: int
    config_fault: str | None
    """Why the configuration on the disk was not taken over."""
    lately: frozenset[str]
    """Counters of losses that grew within a day."""


@dataclass(slots=True)
class Observed:
    """The parts that are looked at; the agent puts others in their place when it reloads."""

    config: AgentConfig
    hook: Hook
    uploader: Uploader | None = None
    watchlist: LocalWatchlist | None = None
    pull: WatchlistPull | None = None
    cameras: tuple[CameraHealth, ...] = ()
    unsaved: int = 0
    config_fault: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these something is an alarm."""

    min_free_bytes: int
    temperature_c: float
    clock_ms: float


def alarms(look: Look, limits: Limits) -> tuple[str, ...]:
    """What somebody should look at, the gravest first. Pure."""
    vitals, clock = look.vitals, look.clock
    free, hot = vitals.disk_free_bytes, vitals.temperature_c
    stale_s = look.up_s if look.watchlist_age_s is None else look.watchlist_age_s
    found = {
        "outbox_full": look.unsaved > 0,
        "passages_given_up": "passages_given_up" in look.lately,
        "camera_lost": any(c.state.fault for c in look.cameras),
        "picture_bad": any(c.state.picture not in {None, "good"} for c in look.cameras),
        "pictures_given_up": "pictures_given_up" in look.lately,
        "outbox_damaged": look.damaged_files > 0,
        "disk_low": free is not None and free < limits.min_free_bytes,
        "dead_letters": look.outbox.dead > 0,
        "link_down": look.link_fault is not None,
        "clock_off": clock.synchronised is False
        or (clock.offset_ms is not None and abs(clock.offset_ms) > limits.clock_ms),
        "hot": hot is not None and hot > limits.temperature_c,
        "watchlist_stale": look.watchlist_wanted and stale_s > _WATCHLIST_STALE_S,
        "hook_failed": look.hook_failures > 0,
        "config_rejected": look.config_fault is not None,
    }
    return tuple(code for code, is_so in found.items() if is_so)


class Health:
    """Looks at the agent when asked, from any thread."""

    def __init__(self, observed: Observed, outbox: Outbox, models: Models, clock: Clock) -> None:
        """Begin to count."""
        self._outbox = outbox
        self._models = models
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at = clock.now()
        self._started_s = clock.monotonic_s()
        self._cpu: tuple[float, float] | None = None
        self._cpu_share: float | None = None
        self._counted: Mapping[str, int] | None = None
        self._grew_s: dict[str, float] = {}
        self.observed = observed

    def look(self) -> Look:
        """Everything at this moment.

        Raises:
            OutboxError: if the outbox cannot be read.
        """
        now_s = self._clock.monotonic_s()
        outbox = self._outbox.state()
        seen = self.observed
        vitals = vitals_of(seen.config.data_dir)
        pull, watchlist = seen.pull, seen.watchlist
        confirmed_s = None if pull is None else pull.confirmed_s
        with self._lock:
            self._measure_cpu(vitals.cpu_s, now_s)
            lately = self._losses(outbox.counters, now_s)
        return Look(
            agent_id=seen.config.agent_id,
            at=self._clock.now(),
            started_at=self._started_at,
            models=self._models,
            clock=self._clock.state(),
            outbox=outbox,
            unsaved=seen.unsaved,
            damaged_files=len(self._outbox.damaged_files()),
            vitals=vitals,
            cpu_share=self._cpu_share,
            cameras=tuple(_camera(camera, now_s) for camera in tuple(seen.cameras)),
            link_fault=None if seen.uploader is None else seen.uploader.fault,
            watchlist_wanted=pull is not None,
            watchlist_revision=None if watchlist is None else watchlist.revision,
            watchlist_age_s=None if confirmed_s is None else now_s - confirmed_s,
            up_s=now_s - self._started_s,
            hook_runs=seen.hook.runs,
            hook_failures=seen.hook.failures,
            config_fault=seen.config_fault,
            lately=lately,
        )

    def alarms(self, look: Look) -> tuple[str, ...]:
        """What somebody should look at, by the configured limits."""
        seen = self.observed
        limits = Limits(
            min_free_bytes=seen.config.outbox.min_free_mb * 1_000_000,
            temperature_c=seen.config.health.temperature_limit_c,
            clock_ms=seen.config.health.clock_limit_ms,
        )
        return alarms(look, limits)

    def heartbeat(self) -> Heartbeat:
        """The agent's word about itself.

        Raises:
            OutboxError: if the outbox cannot be read.
        """
        return self.heartbeat_of(self.look())

    def heartbeat_of(self, look: Look) -> Heartbeat:
        """The same, of a look that was taken."""
        vitals = look.vitals
        return Heartbeat(
            agent_id=look.agent_id,
            sent_at=look.at,
            version=look.models.agent,
            models=look.models,
            started_at=look.started_at,
            clock=WireClock(synchronised=look.clock.synchronised, offset_ms=look.clock.offset_ms),
            queue_passages=look.outbox.queued,
            dead_letters=look.outbox.dead,
            disk_free_bytes=vitals.disk_free_bytes,
            cameras=tuple(camera.state for camera in look.cameras),
            queue_pictures_bytes=look.outbox.pictures_bytes,
            oldest_queued_at=look.outbox.oldest_at,
            counters=dict(look.outbox.counters),
            alarms=self.alarms(look),
            watchlist_revision=look.watchlist_revision,
            disk_total_bytes=vitals.disk_total_bytes,
            temperature_c=vitals.temperature_c,
            cpu_share=look.cpu_share,
            memory_bytes=vitals.memory_bytes,
        )

    def _measure_cpu(self, cpu_s: float | None, now_s: float) -> None:
        """The share of all cores, over at least a second."""
        if cpu_s is None:
            return
        if self._cpu is None:
            self._cpu = (cpu_s, now_s)
        elif now_s - self._cpu[1] >= 1.0:
            used_s, over_s = cpu_s - self._cpu[0], now_s - self._cpu[1]
            self._cpu_share = round(max(0.0, used_s) / over_s / (os.cpu_count() or 1), 3)
            self._cpu = (cpu_s, now_s)

    def _losses(self, counters: Mapping[str, int], now_s: float) -> frozenset[str]:
        """The losses that grew within a day of this run."""
        before = self._counted if self._counted is not None else counters
        for name in _LOSSES:
            if counters.get(name, 0) > before.get(name, 0):
                self._grew_s[name] = now_s
        self._counted = dict(counters)
        return frozenset(n for n, s in self._grew_s.items() if now_s - s < _GROWTH_TOLD_S)


def _camera(camera: CameraHealth, now_s: float) -> CameraLook:
    source = camera.feed.source
    fault, picture = source.fault, camera.feed.picture.state
    return CameraLook(
        state=CameraState(
            camera_id=camera.camera_id,
            connected=fault is None and not camera.done,
            frames_per_s=round(camera.frames_per_s(now_s), 2),
            last_frame_at=camera.last_frame_at,
            fault=fault[:_FAULT_LENGTH] if fault else None,
            frames_dropped=camera.feed.dropped,
            picture=None if picture == "unknown" else picture,
            passages=camera.passages,
        ),
        frames=camera.frames,
        reconnects=int(getattr(source, "reconnects", 0)),
        broken=source.broken,
        clock_jumps=camera.clock_jumps,
    )
