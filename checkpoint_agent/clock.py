"""The only place where the agent reads the time."""

import ctypes
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

_TIME_ERROR = 5
"""Return value of ``adjtimex(2)`` when no time service disciplines the clock."""
_TIMEX_BYTES = 256
"""More than ``sizeof(struct timex)`` on any Linux; all zero means: only report."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known about the wall clock of this box."""

    synchronised: bool | None
    """Whether a time service disciplines the clock; ``None`` if the system does not say."""


class Clock:
    """Wall time, a clock that never jumps, and waiting; tests put their own in its place."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that only ever grow; the origin means nothing."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set, at most so long; whether it is set."""
        return event.wait(max(0.0, timeout_s))

    def state(self) -> ClockState:
        """Whether the kernel considers the wall clock synchronised."""
        try:
            answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        except (AttributeError, OSError):  # not Linux
            return ClockState(synchronised=None)
        if answer < 0:
            return ClockState(synchronised=None)
        return ClockState(synchronised=answer != _TIME_ERROR)
