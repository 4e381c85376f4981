"""The agent: cameras in, passages out. Builds the stages in order, owns the threads, ends cleanly.

Threads: one a camera brings frames; the one that calls :meth:`Agent.run` reads them all in turn
(it alone owns the pipelines, so no camera waits long and nothing needs a lock); one sends; one
asks for the watchlist. What is lost in a crash is only what was not yet in the outbox, and
recordings are read again from there.
"""

import fcntl
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

import cv2
import httpx

from anpr import load_reader
from checkpoint_agent.camera import Camera, Opened, Workshop, open_camera
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.health import Health, Observed
from checkpoint_agent.health_page import HealthPage
from checkpoint_agent.hook import Hook
from checkpoint_agent.keeping import Keeper
from checkpoint_agent.notify import Notifier
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.pipeline import Kept, Reader
from checkpoint_agent.pipeline_values import marks_of
from checkpoint_agent.sending import Sending
from checkpoint_agent.watchlist import LocalWatchlist
from server.wire import Models

log = logging.getLogger(__name__)

DONE = 0
LEFT_UNDELIVERED = 3
"""Exit code: everything was read, and not everything delivered in time."""

_STOP_LIMIT_S = 5.0
"""So long a stop waits for the server; the rest of ten seconds is for a box that is busy."""
_FEEDS_LIMIT_S = 1.0
_COMMIT_EVERY_S = 5.0
_TURN_S = 0.2
_FIXED_KEYS = (
    *("agent_id", "data_dir", "exit_when_done", "idle_exit_s", "drain_limit_s", "reader"),
)
"""What takes a restart to change."""


class Agent:
    """One checkpoint box."""

    def __init__(  # noqa: PLR0913 - what tests put their own in place of, by name
        self,
        config: AgentConfig,
        *,
        reader: Reader | None = None,
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
        reread: Callable[[], AgentConfig] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: The whole configuration.
            reader: Takes the place of the models in tests.
            clock: Takes the place of the system's clock in tests.
            transport: Takes the place of the network in tests.
            reread: Reads the configuration again, for :meth:`reload`.
            notifier: Tells the service manager how it goes.
        """
        self._config = config
        self._reader = reader
        self._clock = clock or Clock()
        self._transport = transport
        self._reread = reread
        self._notifier = notifier or Notifier({})
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._reload = threading.Event()
        self._told_s = 0.0

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called from a signal handler."""
        self._stop.set()
        self._ready.set()

    def reload(self) -> None:
        """Ask :meth:`run` to take the changed configuration over; from a signal handler, too."""
        self._reload.set()
        self._ready.set()

    def run(self) -> int:
        """Work until stopped, or until everything is done; the exit code.

        Raises:
            ConfigError: naming the key, if a recording, a certificate or a key is not as said.
            AgentError: if the outbox or a recording fails.
            anpr.AnprError: if a model cannot be loaded or fails: a broken reader is no empty road.
        """
        config, clock = self._config, self._clock
        with _locked(config), self._opened_outbox() as outbox:
            opened = [
                open_camera(config, n, _kept_of(outbox, camera), clock)
                for n, camera in enumerate(config.camera)
            ]
            watchlist = LocalWatchlist(config.data_dir, config.watchlist.key_file)
            workshop = self._workshop()
            observed = Observed(config=config, hook=_hook(config), watchlist=watchlist)
            health = Health(observed, outbox, workshop.models, clock)
            sending = Sending(outbox, watchlist, observed, health, clock, self._transport)
            keeper = Keeper(
                outbox, clock, stored=sending.wake, watchlist=watchlist, hook=observed.hook
            )
            cameras = [
                Camera(camera, config.passage, source, workshop)
                for camera, source in zip(config.camera, opened, strict=True)
            ]
            sending.start(config)
            page = HealthPage(config.health.listen, health)
            log.info("agent started", extra={"agent": config.agent_id, "cameras": len(cameras)})
            try:
                return self._work(_Site(cameras, outbox, keeper, sending, observed, workshop))
            finally:
                page.close()
                observed.hook.stop()

    # ------------------------------------------------------------------ setting up

    @contextmanager
    def _opened_outbox(self) -> Iterator[Outbox]:
        limits = self._config.outbox
        outbox = Outbox(
            self._config.data_dir / "outbox.sqlite3",
            pictures_limit_bytes=limits.pictures_limit_mb * 1_000_000,
            passages_limit=limits.passages_limit,
            min_free_bytes=limits.min_free_mb * 1_000_000,
            now=self._clock.now,
        )
        try:
            yield outbox
        finally:
            outbox.close()

    def _workshop(self) -> Workshop:
        """The models, after all that is quickly found to be wrong: they take seconds."""
        wanted = self._config.reader
        cv2.setNumThreads(wanted.threads)
        reader = self._reader or load_reader(
            wanted.models_dir, recogniser=wanted.recogniser, threads=wanted.threads
        )
        models = Models(
            agent=version("kakou"),
            detector=reader.detector_name,
            recogniser=reader.recogniser_name,
        )
        return Workshop(reader, models, self._clock, self._ready)

    # ------------------------------------------------------------------ working

    def _work(self, site: "_Site") -> int:
        self._notifier.say("READY=1")
        try:
            for camera in site.cameras:
                camera.start()
            while not self._stop.is_set() and not self._is_done(site):
                self._ready.clear()
                if self._reload.is_set():
                    self._reload.clear()
                    self._take_over(site)
                busy = [camera.turn(site.keeper) for camera in site.cameras]
                site.end_withdrawn()
                site.keeper.commit(within_s=_COMMIT_EVERY_S)
                site.observed.unsaved = site.keeper.unsaved
                self._tell(site)
                if not any(busy):
                    self._clock.wait(self._ready, _TURN_S)
            limit_s = _STOP_LIMIT_S if self._stop.is_set() else self._config.drain_limit_s
            ends_s = self._clock.monotonic_s() + limit_s
            self._notifier.say("STOPPING=1")
            self._end_cameras(site)
            return self._drain(site, ends_s)
        finally:
            for camera in site.cameras:
                camera.feed.ask_to_stop()
            site.sending.stop()

    def _is_done(self, site: "_Site") -> bool:
        return self._config.exit_when_done and all(camera.health.done for camera in site.cameras)

    def _tell(self, site: "_Site") -> None:
        """Raise what ended a thread; else give the service manager its sign of life."""
        site.sending.check()
        due_s = self._notifier.watchdog_s
        now_s = self._clock.monotonic_s()
        if due_s is not None and now_s - self._told_s >= due_s / 4 and site.sending.is_alive(now_s):
            self._told_s = now_s
            self._notifier.say("WATCHDOG=1")

    def _end_cameras(self, site: "_Site") -> None:
        """No more frames; what is in view of live cameras is reported now or never."""
        for camera in site.cameras:
            camera.feed.ask_to_stop()
        ends_s = self._clock.monotonic_s() + _FEEDS_LIMIT_S
        for camera in site.cameras:
            camera.feed.stop(timeout_s=max(0.0, ends_s - self._clock.monotonic_s()))
            if camera.config.live:
                camera.flush(site.keeper)
        site.keeper.commit(within_s=0.0)

    def _drain(self, site: "_Site", ends_s: float) -> int:
        """Wait for the server to take what is left; the exit code."""
        stopped = self._stop.is_set()
        site.sending.wake()
        queued = site.outbox.state().queued
        while queued and self._clock.monotonic_s() < ends_s:
            if self._stop.is_set() and (not stopped or site.sending.fault):
                break  # stopped while waiting, or there is nobody to wait for
            self._tell(site)
            self._clock.wait(threading.Event(), 0.05)
            queued = site.outbox.state().queued
        state = site.outbox.state()
        extra = {"queued": state.queued, "dead_letters": state.dead, **state.counters}
        if not state.queued:
            log.info("agent ends: everything delivered", extra=extra)
            return DONE
        reason = site.sending.fault or "the server is slow"
        log.warning("agent ends: passages are left in the outbox: %s", reason, extra=extra)
        return DONE if stopped else LEFT_UNDELIVERED

    # ------------------------------------------------------------------ other settings

    def _take_over(self, site: "_Site") -> None:
        """Put the changed configuration in force; a faulty one changes nothing."""
        if self._reread is None:
            return
        self._notifier.say("RELOADING=1")
        try:
            new = self._reread()
            fixed = [key for key in _FIXED_KEYS if getattr(new, key) != getattr(self._config, key)]
            new = new.model_copy(update={key: getattr(self._config, key) for key in fixed})
            added = self._added_cameras(site, new)
            site.sending.restart(new)
        except ConfigError as error:
            log.error("the configuration on the disk is not taken over: %s", error)  # noqa: TRY400 - told in one line
            site.observed.config_fault = str(error)
        else:
            self._put_in_force(site, new, added)
            note = f"takes a restart: {', '.join(fixed)}" if fixed else None
            site.observed.config_fault = note
            log.info("configuration taken over", extra={"restart_for": fixed} if fixed else None)
        self._notifier.say("READY=1")

    def _added_cameras(self, site: "_Site", new: AgentConfig) -> list[Camera]:
        """The cameras that are new, opened; and every changed recording can be."""
        known = {camera.config.id for camera in site.cameras if not camera.withdrawn}
        added = []
        for n, config in enumerate(new.camera):
            opened = open_camera(new, n, _kept_of(site.outbox, config), self._clock)
            if config.id not in known:
                added.append(Camera(config, new.passage, opened, site.workshop))
        return added

    def _put_in_force(self, site: "_Site", new: AgentConfig, added: list[Camera]) -> None:
        self._config = new
        wanted = {camera.id: n for n, camera in enumerate(new.camera)}
        for camera in site.cameras:
            number = wanted.get(camera.config.id)
            if number is None:
                camera.withdraw()
            elif not camera.withdrawn:
                self._change(camera, new.camera[number], number)
        limits = new.outbox
        site.outbox.set_limits(
            limits.pictures_limit_mb * 1_000_000,
            limits.passages_limit,
            limits.min_free_mb * 1_000_000,
        )
        if site.observed.config.watchlist != new.watchlist:
            site.observed.hook.stop()
            site.observed.hook = site.keeper.hook = _hook(new)
        site.observed.config = new
        for camera in added:
            site.add(camera)
            camera.start()

    def _change(self, camera: Camera, config: CameraConfig, number: int) -> None:
        new = self._config
        if camera.is_set_to(config, new.passage):
            camera.withdraw_change()
            return
        camera.change(config, new.passage, partial(_reopened, new, number, self._clock))


class _Site:
    """Everything at work, for the thread that runs the agent."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts
        self,
        cameras: list[Camera],
        outbox: Outbox,
        keeper: Keeper,
        sending: Sending,
        observed: Observed,
        workshop: Workshop,
    ) -> None:
        self.cameras = cameras
        self.outbox = outbox
        self.keeper = keeper
        self.sending = sending
        self.observed = observed
        self.workshop = workshop
        self._observe()

    def add(self, camera: Camera) -> None:
        """A camera that was added to the configuration."""
        self.cameras.append(camera)
        self._observe()

    def end_withdrawn(self) -> None:
        """Let cameras go that are no longer configured, once no vehicle is in their view."""
        gone = [camera for camera in self.cameras if camera.has_ended(self.keeper)]
        if gone:
            self.cameras = [camera for camera in self.cameras if camera not in gone]
            self._observe()

    def _observe(self) -> None:
        self.observed.cameras = tuple(camera.health for camera in self.cameras)


def _kept_of(outbox: Outbox, camera: CameraConfig) -> Kept | None:
    """What the outbox knows of a camera that is a recording."""
    return Kept.load(outbox.position(camera.id), camera, outbox.position(marks_of(camera.id)))


def _reopened(config: AgentConfig, number: int, clock: Clock, kept: Kept) -> Opened:
    """A camera's changed source, from where the former one was left if it is the same."""
    known = Kept.load(kept.dump(), config.camera[number], kept.marks)
    return open_camera(config, number, known, clock)


def _hook(config: AgentConfig) -> Hook:
    wanted = config.watchlist
    return Hook(wanted.hook, timeout_s=wanted.hook_timeout_s, level=wanted.hook_level)


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
