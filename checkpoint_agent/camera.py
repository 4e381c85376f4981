"""One camera at work: its frames through its pipeline, and its settings changed between vehicles."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from checkpoint_agent.capture import Feed, open_source, shows_stills
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig, PassageConfig
from checkpoint_agent.errors import ConfigError, SourceError
from checkpoint_agent.frames import Frame, FrameSource, Idle
from checkpoint_agent.health import CameraHealth
from checkpoint_agent.keeping import Keeper
from checkpoint_agent.pipeline import Kept, Outcome, Pipeline, Reader
from checkpoint_agent.pipeline_values import marks_of
from checkpoint_agent.steady_time import SteadyTime
from server.wire import Models

log = logging.getLogger(__name__)

_PAST_LAG_S = 15.0
_PAST_PATIENCE = 4
_QUIET_WITHIN_S = 30.0
"""So long a change of settings waits for the road to be empty, if vehicles keep coming."""
_SCENE_KEYS = frozenset(
    {"region", "lane", "trip_line", "unplated", "min_vehicle_width", "calibration"}
)
"""What can be changed without opening the camera again."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all cameras share."""

    reader: Reader
    models: Models
    clock: Clock
    ready: threading.Event
    """Set when a camera has something to look at."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source, and what was kept of it."""

    source: FrameSource
    stills: bool
    kept: Kept | None


def open_camera(config: AgentConfig, index: int, kept: Kept | None, clock: Clock) -> Opened:
    """The source of a camera, where it was left; it does not read yet.

    Raises:
        ConfigError: naming the key, if a recording is not as configured.
    """
    camera = config.camera[index]
    idle_exit_s = config.idle_exit_s if config.exit_when_done else None
    place = kept.reads_from if kept else None
    try:
        source = open_source(
            camera, place, clock, idle_exit_s=idle_exit_s, known_until=kept.until if kept else None
        )
        return Opened(source, stills=shows_stills(camera), kept=kept)
    except SourceError as error:
        raise ConfigError(f"camera[{index}].source: {error}") from error


class Camera:
    """Owned by the thread that reads all cameras in turn."""

    def __init__(
        self, config: CameraConfig, rules: PassageConfig, opened: Opened, workshop: Workshop
    ) -> None:
        """Set up; frames come after :meth:`start`."""
        self.config = config
        self._rules = rules
        self._workshop = workshop
        self._clock = workshop.clock
        self._stills = opened.stills
        self.feed = Feed(config.id, opened.source, workshop.ready)
        self._pipeline = self._made(opened.kept)
        self.health = CameraHealth(config.id, self.feed)
        self._last_frame_s = self._clock.monotonic_s()
        self._steady = SteadyTime(self._clock.now(), self._clock.monotonic_s())
        self._leapt_s = 0.0
        self._started = opened.kept is not None
        self._flushed = True
        self._change: tuple[CameraConfig, PassageConfig, Callable[[Kept], Opened]] | None = None
        self._change_due_s = 0.0
        self.withdrawn = False
        """No longer configured; it works on until no vehicle is in view."""

    def start(self) -> None:
        """Let frames come."""
        self.feed.start()

    @property
    def is_quiet(self) -> bool:
        """Whether no vehicle is in view whose passage is still to come."""
        return self._flushed or self._pipeline.is_quiet

    def _made(self, kept: Kept | None) -> Pipeline:
        return Pipeline(
            self.config,
            self._rules,
            self._workshop.reader,
            models=self._workshop.models,
            clock_state=self._clock.state,
            stills=self._stills,
            kept=kept,
        )

    # ------------------------------------------------------------------ frames

    def turn(self, keeper: Keeper) -> bool:
        """Take one frame, if there is one; whether there was.

        Raises:
            OutboxError: if the outbox fails.
            SourceError: if a recording fails.
            anpr.AnprError: if a model fails.
        """
        self._follow_clock(keeper)
        self._change_if_quiet(keeper)
        item = self.feed.take()
        if isinstance(item, Frame):
            self._see(item, keeper)
            return True
        over = self.feed.ended and not self.health.done
        silent = (self.config.live or isinstance(item, Idle)) and self._is_silent()
        if over or (silent and not self._flushed):
            self.flush(keeper)
        if over:
            self._finish(keeper)
        return item is not None

    def flush(self, keeper: Keeper) -> None:
        """Nothing more will be seen of the vehicles in view: report them."""
        self._keep(self._pipeline.flush(), keeper)
        self._flushed = True

    def _finish(self, keeper: Keeper) -> None:
        self.health.done = True
        keeper.commit(within_s=0.0)
        log.info(
            "recording read to its end",
            extra={
                "camera": self.config.id,
                "frames": self.health.frames,
                "passages": self.health.passages,
                "broken": self.feed.source.broken + self._pipeline.unreadable,
            },
        )

    def _is_silent(self) -> bool:
        """Whether no frame came for so long that the vehicles in view must have gone.

        A folder that is being filled with the past, slower than it happened, is given more time.
        """
        last_at = self.health.last_frame_at
        lag_s = 0.0 if last_at is None else (self._clock.now() - last_at).total_seconds()
        patience = _PAST_PATIENCE if lag_s > _PAST_LAG_S and not self.config.live else 1
        idle_s = self._clock.monotonic_s() - self._last_frame_s
        return idle_s >= self._rules.close_after_s * patience

    def _see(self, frame: Frame, keeper: Keeper) -> None:
        now_s = self._clock.monotonic_s()
        if not self._started and self.feed.source.recorded:
            keeper.keep((), {self.config.id: self._pipeline.kept_before(frame)})
            keeper.commit(within_s=0.0)
        self._started, self._flushed = True, False
        self._last_frame_s = now_s
        self.health.note_frame(frame.captured_at, now_s)
        if self.config.live and self._steady.is_apart:
            frame = replace(frame, captured_at=self._steady.dated(frame.captured_at, now_s))
        self._keep(self._pipeline.see(frame), keeper)

    def _keep(self, outcome: Outcome, keeper: Keeper) -> None:
        positions = {} if outcome.kept is None else {self.config.id: outcome.kept}
        if outcome.marks is not None:
            positions[marks_of(self.config.id)] = outcome.marks
        keeper.keep(outcome.entries, positions)
        self.health.passages += len(outcome.entries)
        for entry in outcome.entries:
            log.info(
                "passage stored",
                extra={
                    "camera": self.config.id,
                    "passage": str(entry.passage.passage_id),
                    "state": entry.passage.plate.state,
                    "votes": entry.passage.track.votes,
                },
            )

    # ------------------------------------------------------------------ a clock that is set

    def _follow_clock(self, keeper: Keeper) -> None:
        """Notice that the wall clock was set; take its word when no vehicle is in view."""
        if not self.config.live:
            return  # a recording brings its own times
        now_s = self._clock.monotonic_s()
        leap = self._steady.follow(self._clock.now(), now_s)
        if leap is not None:
            self.health.clock_jumps += 1
            self._leapt_s = now_s
            extra = {"camera": self.config.id, "by_s": round(leap.total_seconds(), 1)}
            log.warning("the clock was set", extra=extra)
        if not self._steady.is_apart:
            return
        if not self.is_quiet and now_s - self._leapt_s < _QUIET_WITHIN_S:
            return
        self.flush(keeper)
        kept = self._pipeline.kept_for_successor(self._steady.settle())
        self._pipeline = self._made(kept)

    # ------------------------------------------------------------------ other settings

    def change(
        self,
        config: CameraConfig,
        rules: PassageConfig,
        opened: Callable[[Kept], Opened],
    ) -> None:
        """Take other settings over as soon as no vehicle is in view.

        Args:
            config: The camera's new settings.
            rules: When reads become a passage, from then on.
            opened: Opens the new source where the old one was left.
        """
        self._change = (config, rules, opened)
        self._change_due_s = self._clock.monotonic_s() + _QUIET_WITHIN_S

    def withdraw_change(self) -> None:
        """Stay with the settings that are in force."""
        self._change = None

    def withdraw(self) -> None:
        """Let the camera go as soon as no vehicle is in view; see :meth:`has_ended`."""
        if not self.withdrawn:
            self.withdrawn = True
            self._change_due_s = self._clock.monotonic_s() + _QUIET_WITHIN_S

    def has_ended(self, keeper: Keeper) -> bool:
        """End a camera that is withdrawn, if it is time; whether it is over."""
        overdue = self._clock.monotonic_s() >= self._change_due_s and self.config.live
        if not self.withdrawn or not (self.is_quiet or overdue or self.health.done):
            return False
        self.feed.stop(timeout_s=1.0)
        if self.config.live:
            self.flush(keeper)
        log.info("camera is no longer configured", extra={"camera": self.config.id})
        return True

    def is_set_to(self, config: CameraConfig, rules: PassageConfig) -> bool:
        """Whether these settings are in force."""
        return self.config == config and self._rules == rules

    def _change_if_quiet(self, keeper: Keeper) -> None:
        if self._change is None or self.health.done:
            return
        overdue = self._clock.monotonic_s() >= self._change_due_s and self.config.live
        if not self.is_quiet and not overdue:
            return
        config, rules, opened = self._change
        self._change = None
        if self.config.live:
            self.flush(keeper)
        kept = self._pipeline.kept_for_successor()
        same_feed = _same_stream(self.config, config) and self.config.live
        try:
            source = None if same_feed else opened(kept)
        except ConfigError as error:
            log.error("camera stays as it is: %s", error, extra={"camera": config.id})  # noqa: TRY400 - told in one line
            return
        self.config, self._rules = config, rules
        if source is None:
            self._pipeline = self._made(kept)
        else:
            self._put_in_place(source, keeper)
        log.info("camera takes new settings", extra={"camera": config.id})

    def _put_in_place(self, new: Opened, keeper: Keeper) -> None:
        keeper.commit(within_s=0.0)
        self.feed.stop(timeout_s=1.0)
        self._stills = new.stills
        self._started = new.kept is not None
        self.feed = Feed(self.config.id, new.source, self._workshop.ready)
        self.health.feed = self.feed
        self._pipeline = self._made(new.kept)
        self._last_frame_s = self._clock.monotonic_s()
        self.feed.start()


def _same_stream(old: CameraConfig, new: CameraConfig) -> bool:
    return old.model_dump(exclude=set(_SCENE_KEYS)) == new.model_dump(exclude=set(_SCENE_KEYS))
