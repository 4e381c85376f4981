"""The agent: cameras in, passages out. Builds the stages in order, owns the threads, ends cleanly.

Threads: one a camera brings frames; the one that calls :meth:`Agent.run` reads them all in turn
(it alone owns the pipelines, so no camera waits long and nothing needs a lock); one sends. What
is lost in a crash is only what was not yet in the outbox, and recordings are read again from there.
"""

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import cv2
import httpx

from anpr import load_reader
from checkpoint_agent.capture import Feed, open_source, shows_stills
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.errors import ConfigError, SourceError
from checkpoint_agent.frames import Frame, FrameSource, Idle
from checkpoint_agent.health import CameraHealth, Health
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.pipeline import Kept, Outcome, Pipeline, Reader
from checkpoint_agent.uploader import Uploader
from server.wire import Models

log = logging.getLogger(__name__)

DONE = 0
LEFT_UNDELIVERED = 3
"""Exit code: everything was read, and not everything delivered in time."""

_STOP_LIMIT_S = 10.0
_COMMIT_EVERY_S = 5.0
_TURN_S = 0.2
_PAST_LAG_S = 15.0
_PAST_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source, and what was kept of it."""

    source: FrameSource
    stills: bool
    kept: Kept | None


@dataclass(slots=True)
class _Camera:
    """One camera at work."""

    config: CameraConfig
    feed: Feed
    pipeline: Pipeline
    health: CameraHealth
    last_frame_s: float
    started: bool
    """Whether the outbox knows where a recording began."""
    flushed: bool = True
    """Whether no vehicle can be in view."""


class Agent:
    """One checkpoint box."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        reader: Reader | None = None,
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: The whole configuration.
            reader: Takes the place of the models in tests.
            clock: Takes the place of the system's clock in tests.
            transport: Takes the place of the network in tests.
        """
        self._config = config
        self._reader = reader
        self._clock = clock or Clock()
        self._transport = transport
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._uploader_error: Exception | None = None
        self._pending: dict[str, str] = {}
        self._committed_s = 0.0

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called from a signal handler."""
        self._stop.set()
        self._ready.set()

    def run(self) -> int:
        """Work until stopped, or until everything is done; the exit code.

        Raises:
            ConfigError: naming the key, if a recording or certificate is not as configured.
            AgentError: if the outbox or a recording fails.
            anpr.AnprError: if a model cannot be loaded or fails: a broken reader is no empty road.
        """
        config, clock = self._config, self._clock
        with _locked(config), self._opened_outbox() as outbox:
            sources = [self._open(index, outbox) for index in range(len(config.camera))]
            cv2.setNumThreads(config.reader.threads)
            reader = self._reader or load_reader(
                config.reader.models_dir,
                recogniser=config.reader.recogniser,
                threads=config.reader.threads,
            )
            models = Models(
                agent=version("kakou"),
                detector=reader.detector_name,
                recogniser=reader.recogniser_name,
            )
            health = Health(config, outbox, models, clock)
            cameras = [
                self._set_up(camera, opened, reader, models)
                for camera, opened in zip(config.camera, sources, strict=True)
            ]
            health.cameras = [camera.health for camera in cameras]
            uploader = Uploader(
                outbox,
                config.server,
                config.agent_id,
                clock,
                heartbeat=health.heartbeat,
                transport=self._transport,
            )
            log.info("agent started", extra={"agent": config.agent_id, "cameras": len(cameras)})
            return self._work(cameras, outbox, uploader)

    # ------------------------------------------------------------------ setting up

    @contextmanager
    def _opened_outbox(self) -> Iterator[Outbox]:
        limits = self._config.outbox
        outbox = Outbox(
            self._config.data_dir / "outbox.sqlite3",
            pictures_limit_bytes=limits.pictures_limit_mb * 1_000_000,
            passages_limit=limits.passages_limit,
            now=self._clock.now,
            min_free_bytes=limits.min_free_mb * 1_000_000,
        )
        try:
            yield outbox
        finally:
            outbox.close()

    def _open(self, index: int, outbox: Outbox) -> _Opened:
        """The source of a camera, where it was left; before the models, which take seconds."""
        camera = self._config.camera[index]
        kept = Kept.load(outbox.position(camera.id), camera)
        idle_exit_s = self._config.idle_exit_s if self._config.exit_when_done else None
        try:
            source = open_source(
                camera, kept.place if kept else None, self._clock, idle_exit_s=idle_exit_s
            )
            return _Opened(source, stills=shows_stills(camera), kept=kept)
        except SourceError as error:
            raise ConfigError(f"camera[{index}].source: {error}") from error

    def _set_up(
        self, camera: CameraConfig, opened: _Opened, reader: Reader, models: Models
    ) -> _Camera:
        pipeline = Pipeline(
            camera,
            self._config.passage,
            reader,
            models=models,
            clock_state=self._clock.state,
            stills=opened.stills,
            kept=opened.kept,
        )
        feed = Feed(camera.id, opened.source, self._ready)
        return _Camera(
            config=camera,
            feed=feed,
            pipeline=pipeline,
            health=CameraHealth(camera.id, feed),
            last_frame_s=self._clock.monotonic_s(),
            started=opened.kept is not None,
        )

    # ------------------------------------------------------------------ working

    def _work(self, cameras: list[_Camera], outbox: Outbox, uploader: Uploader) -> int:
        sender = threading.Thread(target=self._send, args=(uploader,), name="send", daemon=True)
        sender.start()
        try:
            for camera in cameras:
                camera.feed.start()
            while not self._stop.is_set() and not self._is_done(cameras):
                self._ready.clear()
                busy = [self._turn(camera, outbox, uploader) for camera in cameras]
                self._check_sender()
                self._commit(outbox, within_s=_COMMIT_EVERY_S)
                if not any(busy):
                    self._clock.wait(self._ready, _TURN_S)
            limit_s = _STOP_LIMIT_S if self._stop.is_set() else self._config.drain_limit_s
            ends_s = self._clock.monotonic_s() + limit_s
            for camera in cameras:
                camera.feed.stop(timeout_s=1.0)
                if camera.config.live:
                    self._keep(camera, camera.pipeline.flush(), outbox, uploader)
            self._commit(outbox, within_s=0.0)
            return self._drain(outbox, uploader, ends_s)
        finally:
            for camera in cameras:
                camera.feed.stop(timeout_s=1.0)
            uploader.stop()
            sender.join(timeout=2.0)

    def _is_done(self, cameras: list[_Camera]) -> bool:
        return self._config.exit_when_done and all(camera.health.done for camera in cameras)

    def _turn(self, camera: _Camera, outbox: Outbox, uploader: Uploader) -> bool:
        """Take one frame of a camera, if there is one; whether there was."""
        item = camera.feed.take()
        if isinstance(item, Frame):
            self._see(camera, item, outbox, uploader)
            return True
        over = camera.feed.ended and not camera.health.done
        silent = (camera.config.live or isinstance(item, Idle)) and self._is_silent(camera)
        if over or (silent and not camera.flushed):
            self._keep(camera, camera.pipeline.flush(), outbox, uploader)
            camera.flushed = True
        if over:
            camera.health.done = True
            self._commit(outbox, within_s=0.0)
            log.info(
                "recording read to its end",
                extra={
                    "camera": camera.config.id,
                    "frames": camera.health.frames,
                    "passages": camera.health.passages,
                    "broken": camera.feed.source.broken + camera.pipeline.unreadable,
                },
            )
        return item is not None

    def _is_silent(self, camera: _Camera) -> bool:
        """Whether no frame came for so long that the vehicles in view must have gone.

        A folder that is being filled with the past, slower than it happened, is given more time.
        """
        last_at = camera.health.last_frame_at
        lag_s = 0.0 if last_at is None else (self._clock.now() - last_at).total_seconds()
        patience = _PAST_PATIENCE if lag_s > _PAST_LAG_S and not camera.config.live else 1
        idle_s = self._clock.monotonic_s() - camera.last_frame_s
        return idle_s >= self._config.passage.close_after_s * patience

    def _see(self, camera: _Camera, frame: Frame, outbox: Outbox, uploader: Uploader) -> None:
        if not camera.started and camera.feed.source.recorded:
            outbox.put([], {camera.config.id: camera.pipeline.kept_before(frame)})
        camera.started, camera.flushed = True, False
        camera.last_frame_s = self._clock.monotonic_s()
        camera.health.frames += 1
        camera.health.last_frame_at = frame.captured_at
        self._keep(camera, camera.pipeline.see(frame), outbox, uploader)

    def _keep(self, camera: _Camera, outcome: Outcome, outbox: Outbox, uploader: Uploader) -> None:
        """Passages go into the outbox at once, the position with them or a little later."""
        if outcome.kept is not None:
            self._pending[camera.config.id] = outcome.kept
        if not outcome.entries:
            return
        outbox.put(outcome.entries, self._pending)
        self._pending.clear()
        self._committed_s = self._clock.monotonic_s()
        camera.health.passages += len(outcome.entries)
        uploader.wake()
        for entry in outcome.entries:
            log.info(
                "passage stored",
                extra={
                    "camera": camera.config.id,
                    "passage": str(entry.passage.passage_id),
                    "state": entry.passage.plate.state,
                    "votes": entry.passage.track.votes,
                },
            )

    def _commit(self, outbox: Outbox, *, within_s: float) -> None:
        """Write positions that no passage has carried along."""
        now_s = self._clock.monotonic_s()
        if self._pending and now_s - self._committed_s >= within_s:
            outbox.put([], self._pending)
            self._pending.clear()
            self._committed_s = now_s

    # ------------------------------------------------------------------ sending

    def _send(self, uploader: Uploader) -> None:
        """The body of the sending thread; its failure ends the agent."""
        try:
            uploader.run()
            uploader.close()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that runs the agent
            self._uploader_error = error
            self._ready.set()

    def _check_sender(self) -> None:
        if self._uploader_error is not None:
            raise self._uploader_error

    def _drain(self, outbox: Outbox, uploader: Uploader, ends_s: float) -> int:
        """Wait for the server to take what is left; the exit code."""
        stopped = self._stop.is_set()
        uploader.wake()
        queued = outbox.state().queued
        while queued and self._clock.monotonic_s() < ends_s:
            if self._stop.is_set() and (not stopped or uploader.fault):
                break  # stopped while waiting, or there is nobody to wait for
            self._check_sender()
            self._clock.wait(threading.Event(), 0.05)
            queued = outbox.state().queued
        state = outbox.state()
        extra = {"queued": state.queued, "dead_letters": state.dead, **state.counters}
        if not state.queued:
            log.info("agent ends: everything delivered", extra=extra)
            return DONE
        reason = uploader.fault or "the server is slow"
        log.warning("agent ends: passages are left in the outbox: %s", reason, extra=extra)
        return DONE if stopped else LEFT_UNDELIVERED


@contextmanager
def _locked(config: AgentConfig) -> Iterator[None]:
    """Hold the data folder, so that two agents never share it.

    Raises:
        ConfigError: if the folder cannot be used, or another agent uses it.
    """
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        handle = (config.data_dir / "agent.lock").open("a")
    except OSError as error:
        raise ConfigError(f"data_dir: {config.data_dir} cannot be used: {error}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"data_dir: {config.data_dir} is used by another agent") from error
        yield
