"""How far a capture time can be trusted. Pure; a doubtful time is kept and flagged."""

from datetime import datetime, timedelta
from enum import StrEnum

from server.wire import Clock

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


def judge_clock(
    captured_at: datetime,
    clock: Clock,
    received_at: datetime,
    *,
    future_tolerance_s: float,
    max_offset_ms: float,
) -> ClockFlag:
    """Judge a capture time by the server's clock and by what the agent says of its own."""
    if captured_at - received_at > timedelta(seconds=future_tolerance_s):
        return ClockFlag.FUTURE
    if received_at - captured_at > OLDEST_BELIEVABLE:
        return ClockFlag.TOO_OLD
    if clock.offset_ms is not None and abs(clock.offset_ms) > max_offset_ms:
        return ClockFlag.OFFSET
    if clock.synchronised is False:
        return ClockFlag.UNSYNCHRONISED
    return ClockFlag.OK
