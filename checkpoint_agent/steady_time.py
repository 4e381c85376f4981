"""A time that does not leap while a vehicle is in view, although the wall clock is set. Pure.

Live frames are dated by the wall clock. If it is set, by an hour or a day, a vehicle in view would
be torn in two. So frames are dated on a steady scale, which takes the wall clock's word again when
no vehicle is in view.
"""

from datetime import datetime, timedelta

_LEAP = timedelta(seconds=1)
"""Less is followed at once, as clocks are slewed."""
_OLDEST = timedelta(seconds=60)
_NEWEST = timedelta(seconds=-1)
"""A frame is as old as this when it is looked at, on the scale that it was dated by."""


class SteadyTime:
    """The steady scale of one camera."""

    def __init__(self, now: datetime, monotonic_s: float) -> None:
        """Begin with the wall clock's word.

        Args:
            now: The wall clock.
            monotonic_s: The clock that never leaps, at the same moment.
        """
        self._began_at = now
        self._began_s = monotonic_s
        self._leapt = timedelta(0)

    def now(self, monotonic_s: float) -> datetime:
        """The present moment on the steady scale."""
        return self._began_at + timedelta(seconds=monotonic_s - self._began_s)

    def follow(self, now: datetime, monotonic_s: float) -> timedelta | None:
        """Compare with the wall clock; by how much it was set since, if it was."""
        apart = now - self.now(monotonic_s)
        news = apart - self._leapt
        if abs(news) <= _LEAP:
            self._began_at += news  # slewed: both go on together, as far apart as they were
            return None
        self._leapt = apart
        return news

    @property
    def is_apart(self) -> bool:
        """Whether the wall clock was set and its word was not taken yet."""
        return bool(self._leapt)

    def settle(self) -> timedelta:
        """Take the wall clock's word; what must be added to times of the scale so far."""
        leapt, self._leapt = self._leapt, timedelta(0)
        self._began_at += leapt
        return leapt

    def dated(self, captured_at: datetime, monotonic_s: float) -> datetime:
        """When a frame was captured, on the steady scale.

        Args:
            captured_at: By the wall clock, before it was set or after.
            monotonic_s: The present moment.
        """
        now = self.now(monotonic_s)
        for age in (now + self._leapt - captured_at, now - captured_at):
            if _NEWEST <= age <= _OLDEST:
                return now - age
        return now
