"""How far a capture time can be trusted. Pure; a doubtful time is kept and flagged."""

from datetime import datetime, timedelta
from enum import StrEnum

OLDEST_BELIEVABLE = timedelta(days=400)
"""A box that was away for longer than a year is likelier to have lost its clock."""


class ClockFlag(StrEnum):
    """What is doubtful about a capture time."""

    OK = "ok"
    FUTURE = "future"
    """Later than the server's clock by more than the tolerance."""
    TOO_OLD = "too_old"
    """Older than :data:`OLDEST_BELIEVABLE`."""
    OFFSET = "offset"
    """The agent itself measured that its clock is off."""
    UNSYNCHRONISED = "unsynchronised"
    """The agent says that nothing disciplines its clock."""


class ClockJudge:
    """Judges many capture times at one instant; most are beyond doubt."""

    def __init__(
        self, received_at: datetime, *, future_tolerance_s: float, max_offset_ms: float
    ) -> None:
        """The server's clock, and the limits of :func:`judge_clock`."""
        self._received_at = received_at
        self._tolerance_s, self._max_offset_ms = future_tolerance_s, max_offset_ms
        self._latest = received_at + timedelta(seconds=future_tolerance_s)
        self._oldest = received_at - OLDEST_BELIEVABLE

    def of(
        self, captured_at: datetime, *, synchronised: bool | None, offset_ms: float | None
    ) -> ClockFlag:
        """As :func:`judge_clock`."""
        if (
            synchronised is not False
            and self._oldest <= captured_at <= self._latest
            and (offset_ms is None or -self._max_offset_ms <= offset_ms <= self._max_offset_ms)
        ):
            return ClockFlag.OK
        return judge_clock(
            captured_at,
            self._received_at,
            synchronised=synchronised,
            offset_ms=offset_ms,
            future_tolerance_s=self._tolerance_s,
            max_offset_ms=self._max_offset_ms,
        )


def judge_clock(  # noqa: PLR0913 - what the agent says, what the server sees, the limits
    captured_at: datetime,
    received_at: datetime,
    *,
    synchronised: bool | None,
    offset_ms: float | None,
    future_tolerance_s: float,
    max_offset_ms: float,
) -> ClockFlag:
    """Judge a capture time by the server's clock and by what the agent says of its own.

    ``synchronised`` and ``offset_ms`` are those of :class:`server.wire.Clock`.
    """
    if captured_at - received_at > timedelta(seconds=future_tolerance_s):
        return ClockFlag.FUTURE
    if received_at - captured_at > OLDEST_BELIEVABLE:
        return ClockFlag.TOO_OLD
    if offset_ms is not None and abs(offset_ms) > max_offset_ms:
        return ClockFlag.OFFSET
    if synchronised is False:
        return ClockFlag.UNSYNCHRONISED
    return ClockFlag.OK
