"""The only place where the agent reads the time, and knows how right it is."""

import ctypes
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

_TIME_ERROR = 5
"""Return value of ``adjtimex(2)`` when no time service disciplines the clock."""
_STATUS_NANOSECONDS = 0x2000
"""``STA_NANO``: the kernel states its offset in ns, not in µs."""


class _Timex(ctypes.Structure):
    """``struct timex`` of ``adjtimex(2)``; all zero means: only report."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),  # more than follows on any Linux
    )


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known about the wall clock of this box."""

    synchronised: bool | None
    """Whether a time service disciplines the clock; ``None`` if the system does not say."""
    offset_ms: float | None = None
    """This clock minus its reference; ``None`` if it was never compared with one."""
    uncertainty_ms: float | None = None
    """``offset_ms`` is right to so much either way."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference clock, held against the clock that never jumps.

    What is kept are bounds of *reference time minus monotonic time*. The wall clock is not part
    of it, so that a wall clock that is set, forward or back, is seen at once and by how much.
    """

    low_s: float
    high_s: float
    measured_s: float
    """When the bounds were right, on the monotonic clock."""

    @classmethod
    def heard(
        cls, stated_at: datetime, *, asked_s: float, answered_s: float, resolution_s: float
    ) -> Self:
        """What one answer says.

        The reference read its clock somewhere between question and answer, and its reading stood
        for any instant from ``stated_at`` to ``resolution_s`` later (1 s for HTTP's ``Date``).
        """
        stated_s = stated_at.timestamp()
        return cls(stated_s - answered_s, stated_s + resolution_s - asked_s, answered_s)

    def narrowed(self, newer: Self) -> Self:
        """Both together: what both allow, or the newer alone where they contradict each other."""
        known = self.at(newer.measured_s)
        low_s, high_s = max(known.low_s, newer.low_s), min(known.high_s, newer.high_s)
        return replace(newer, low_s=low_s, high_s=high_s) if low_s <= high_s else newer

    def at(self, monotonic_s: float) -> Self:
        """The bounds later: as much wider as two clocks may have drifted apart."""
        drift_s = max(0.0, monotonic_s - self.measured_s) * _DRIFT
        return replace(
            self,
            low_s=self.low_s - drift_s,
            high_s=self.high_s + drift_s,
            measured_s=max(self.measured_s, monotonic_s),
        )

    def state_of(self, now: datetime, monotonic_s: float) -> tuple[float, float]:
        """By how much a wall clock is ahead of the reference, and how sure that is, both in ms."""
        bounds = self.at(monotonic_s)
        middle_s = (bounds.low_s + bounds.high_s) / 2
        ahead_s = now.timestamp() - monotonic_s - middle_s
        return ahead_s * 1000, (bounds.high_s - bounds.low_s) * 500


_DRIFT = 200e-6
"""By so much two clocks drift apart, of the time that passes: twice what a poor quartz does."""
_UNCERTAINTY_LIMIT_MS = 2_000.0
"""An offset less sure than this is not stated."""


class Clock:
    """Wall time, a clock that never jumps, and waiting; tests put their own in its place."""

    _reference: Reference | None = None

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that only ever grow; the origin means nothing."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set, at most so long; whether it is set."""
        return event.wait(max(0.0, timeout_s))

    def heard(self, stated_at: datetime, *, asked_s: float, resolution_s: float) -> None:
        """Take in what the server said the time was; called by one thread, after its answer.

        Args:
            stated_at: The server's time, aware.
            asked_s: When the question was sent, on this clock's monotonic scale.
            resolution_s: The server rounded down to such steps; 1 for HTTP's ``Date``.
        """
        answer = Reference.heard(
            stated_at,
            asked_s=asked_s,
            answered_s=self.monotonic_s(),
            resolution_s=resolution_s,
        )
        known = self._reference
        self._reference = answer if known is None else known.narrowed(answer)

    def heard_date(self, date: str | None, *, asked_s: float) -> None:
        """Take in the ``Date`` of an HTTP answer; anything that is no date is passed over."""
        try:
            stated_at = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if stated_at.tzinfo is not None:
            self.heard(stated_at, asked_s=asked_s, resolution_s=1.0)

    def state(self) -> ClockState:
        """Whether the wall clock is synchronised, and how far it is from what it is held against.

        Held against the server's clock, or against what the box's time service last told the
        kernel, whichever is known more surely.
        """
        kernel = _kernel_state()
        known = self._reference
        if known is None:
            return kernel
        offset_ms, uncertainty_ms = known.state_of(self.now(), self.monotonic_s())
        surer = kernel.uncertainty_ms is None or uncertainty_ms < kernel.uncertainty_ms
        if not surer or uncertainty_ms > _UNCERTAINTY_LIMIT_MS:
            return kernel
        return ClockState(kernel.synchronised, round(offset_ms, 1), round(uncertainty_ms, 1))


def _kernel_state() -> ClockState:
    """What the kernel knows from the time service of this box."""
    report = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(report))
    except (AttributeError, OSError):  # not Linux
        return ClockState(synchronised=None)
    if answer < 0:
        return ClockState(synchronised=None)
    if answer == _TIME_ERROR:
        return ClockState(synchronised=False)
    step_ms = 1e-6 if report.status & _STATUS_NANOSECONDS else 1e-3
    uncertainty_ms = report.maxerror / 1000  # always in µs
    if uncertainty_ms > _UNCERTAINTY_LIMIT_MS:
        return ClockState(synchronised=True)
    # The kernel's offset is what has still to be added to the clock.
    return ClockState(True, round(0.0 - report.offset * step_ms, 1), round(uncertainty_ms, 1))
