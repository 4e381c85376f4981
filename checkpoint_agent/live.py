"""Live sources: network cameras (RTSP, MJPEG, snapshots) and local ones.

Frames come once; each is dated by the stream's own time stamps where it has them. A camera that is
lost is opened again for ever, with growing pauses; meanwhile :attr:`Live.fault` says what is wrong.
"""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from threading import Event

from checkpoint_agent.backoff import delay_s
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import CameraLost
from checkpoint_agent.frames import Frame, Idle
from checkpoint_agent.log import masked
from checkpoint_agent.stream_time import StreamTime
from checkpoint_agent.streams import Arrival, open_stream

log = logging.getLogger(__name__)

_RETRY_FIRST_S, _RETRY_LIMIT_S = 1.0, 30.0
_LOGIN_PAUSE_S = 60.0
"""Cameras lock an address out after a few wrong passwords."""
_BROKEN_LIMIT = 25
"""So many broken pictures in a row, and the camera is opened anew."""


class Live:
    """A camera whose frames come only once."""

    recorded = False

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Prepare to open the camera of this configuration."""
        self._config = config
        self._clock = clock
        self._number = 0
        self.wanted: Callable[[], bool] = lambda: True
        """Whether somebody would look at a further frame; others are not even unpacked."""
        self.skipped = 0
        """Frames that were not wanted."""
        self.broken = 0
        self.reconnects = 0
        """How often the camera came back."""
        self.fault: str | None = None

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """Frames until ``stop``; never ends by itself, never raises for a lost camera."""
        failures = 0
        while not stop.is_set():
            try:
                for frame in self._connection(stop):
                    if self.fault:
                        self.reconnects += failures > 0
                        log.info("camera is back", extra={"camera": self._config.id})
                    failures, self.fault = 0, None
                    yield frame
            except CameraLost as error:
                failures += 1
                yield from self._pause(error, failures, stop)

    def _connection(self, stop: Event) -> Iterator[Frame]:
        """The frames of one connection.

        Raises:
            CameraLost: when it ends, or cannot be made.
        """
        dates = StreamTime()
        with closing(open_stream(self._config, self._clock)) as stream:
            before, broken = self.skipped, 0
            while not stop.is_set():
                arrival = stream.next(stop, self.wanted)
                self.skipped = before + stream.skipped
                if arrival is not None:
                    broken = 0
                    yield self._frame(arrival, dates)
                    continue
                self.broken += 1
                broken += 1
                if broken >= _BROKEN_LIMIT:
                    shown = masked(self._config.source)
                    raise CameraLost(f"{shown}: what comes cannot be decoded", "stream")

    def _frame(self, arrival: Arrival, dates: StreamTime) -> Frame:
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        captured_s = dates.captured_s(arrival.stamp_s, now_s)
        number, self._number = self._number, self._number + 1
        return Frame(
            image=arrival.image,
            captured_at=now - timedelta(seconds=now_s - captured_s),
            number=number,
            name=str(number),
        )

    def _pause(self, error: CameraLost, failures: int, stop: Event) -> Iterator[Idle]:
        """Wait before the next attempt; time passes for those who track vehicles."""
        level = logging.DEBUG if self.fault == str(error) else logging.WARNING
        self.fault = str(error)
        log.log(
            level, "camera lost: %s", error, extra={"camera": self._config.id, "failures": failures}
        )
        chance = random.random()  # noqa: S311 - jitter, no secret
        pause_s = delay_s(failures, first_s=_RETRY_FIRST_S, limit_s=_RETRY_LIMIT_S, chance=chance)
        if error.fault == "login":
            pause_s = _LOGIN_PAUSE_S * (0.5 + 0.5 * chance)
        until_s = self._clock.monotonic_s() + pause_s
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            yield Idle()
            self._clock.wait(stop, min(0.5, until_s - self._clock.monotonic_s()))
