"""When a live frame was taken: the camera's own spacing, laid against the time of arrival. Pure.

A frame arrives late, never early: the network, the camera's encoder and our decoder all add to
its time, now more, now less. The frame that came fastest of late shows how the stream's time
stamps relate to our clock; the others are dated by their stamps from there. So a burst after a
stall is spread over the time it shows, and speeds and headways do not depend on the network.
What remains is the delay that all frames share, which a stream does not tell.
"""

_WINDOW_S = 10.0
"""The fastest frame of the last one or two windows counts; clocks hardly drift in that time."""
_LATE_LIMIT_S = 3.0
"""A frame later than this, with no stall to explain it, shows that stamps run wrong."""
_STEP_S = 1e-4
"""Two frames are never of the same instant."""
_RESTARTS_LIMIT = 3
"""Stamps that went wrong so often are not looked at any more."""


class StreamTime:
    """Dates the frames of one connection; all times in seconds on one monotonic clock."""

    def __init__(self) -> None:
        """Nothing has arrived yet."""
        self._leads_s: tuple[float, float] | None = None
        self._window_ends_s = 0.0
        self._gaps_s = (0.0, 0.0)
        self._last: tuple[float, float] | None = None
        self._last_captured_s = float("-inf")
        self._restarts = 0

    @property
    def trusted(self) -> bool:
        """Whether the stamps are of use; otherwise frames are dated by their arrival."""
        return self._restarts < _RESTARTS_LIMIT

    def captured_s(self, stamp_s: float | None, arrived_s: float) -> float:
        """When a frame was taken, at the latest when it arrived, and after the one before.

        Args:
            stamp_s: The frame's time stamp in the stream, from any origin; ``None`` without one.
            arrived_s: When it was there, decoded.
        """
        captured_s = arrived_s
        if stamp_s is not None and self.trusted:
            captured_s = stamp_s + self._lead_s(stamp_s, arrived_s)
        captured_s = max(captured_s, self._last_captured_s + _STEP_S)
        self._last_captured_s = captured_s
        return captured_s

    def _lead_s(self, stamp_s: float, arrived_s: float) -> float:
        """What is added to a stamp for its time on our clock, with this frame taken in."""
        lead_s = arrived_s - stamp_s
        last, self._last = self._last, (stamp_s, arrived_s)
        if self._leads_s is None or last is None:
            return self._restart(lead_s, arrived_s)
        gap_s = arrived_s - last[1]
        if arrived_s >= self._window_ends_s:
            self._window_ends_s = arrived_s + _WINDOW_S
            self._leads_s, self._gaps_s = (lead_s, self._leads_s[0]), (gap_s, self._gaps_s[0])
        self._leads_s = (min(self._leads_s[0], lead_s), self._leads_s[1])
        self._gaps_s = (max(self._gaps_s[0], gap_s), self._gaps_s[1])
        fastest_s = min(self._leads_s)
        if stamp_s <= last[0]:  # the stream began anew, or has no stamps
            return self._restart(lead_s, arrived_s)
        if lead_s - fastest_s > _LATE_LIMIT_S + max(self._gaps_s):
            self._restarts += 1
            return self._restart(lead_s, arrived_s)
        return fastest_s

    def _restart(self, lead_s: float, arrived_s: float) -> float:
        self._leads_s, self._gaps_s = (lead_s, lead_s), (0.0, 0.0)
        self._window_ends_s = arrived_s + _WINDOW_S
        return lead_s
