"""How many batches may be on their way in at a time: the rest is sent away, to come again.

A body that is let in may hold four megabytes until its commit. What is not let in is not read.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import Unavailable


class Gate:
    """Counts who is inside. Used on the event loop only, so it needs no lock."""

    def __init__(self, most: int, retry_after_s: int) -> None:
        """``most``: how many are let in at a time."""
        self._most = most
        self._retry_after_s = retry_after_s
        self.inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside.

        Raises:
            Unavailable: full.
        """
        if self.inside >= self._most:
            raise Unavailable(
                "more batches than can be taken in at a time; come again",
                retry_after_s=self._retry_after_s,
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
