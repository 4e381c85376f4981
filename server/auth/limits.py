"""How fast one person may ask: a bucket of tokens per name, refilled steadily.

Kept in memory, per process: it protects the server from a script gone wild. How many *accounted
queries* a person makes is counted in the audit log instead, over all processes and restarts
(:func:`server.audit.require_pace`).
"""

import math
import threading
from datetime import datetime

from server.errors import TooManyRequests

_MOST_NAMES = 10_000


class RateLimiter:
    """A bucket per name that holds a minute's worth. Thread safe."""

    def __init__(self, per_minute: int) -> None:
        """Set the pace; 0 = no limit."""
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, datetime]] = {}

    def take(self, name: str, now: datetime) -> None:
        """Take one token.

        Raises:
            TooManyRequests: there is none left.
        """
        if self._per_minute == 0:
            return
        per_s = self._per_minute / 60
        with self._lock:
            left, at = self._buckets.get(name, (float(self._per_minute), now))
            # a clock that is set back must not lock anybody out
            left = min(self._per_minute, left + max(0.0, (now - at).total_seconds()) * per_s)
            if left >= 1:
                self._buckets[name] = (left - 1, now)
                if len(self._buckets) > _MOST_NAMES:
                    self._forget(now)
                return
            self._buckets[name] = (left, now)
        raise TooManyRequests(
            f"more than {self._per_minute} requests a minute (limits.requests_per_minute)",
            retry_after_s=max(1, math.ceil((1 - left) / per_s)),
        )

    def _forget(self, now: datetime) -> None:
        """Drop the names that have not asked for a minute: their buckets are full again."""
        self._buckets = {
            name: (left, at)
            for name, (left, at) in self._buckets.items()
            if (now - at).total_seconds() < 60
        }
