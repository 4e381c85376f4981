"""Batches that wait together are committed together.

A commit costs the same for one passage as for two thousand. Whoever comes while a transaction is
under way waits; whoever then goes first takes everybody who waits along. So there is one writer at
a time in a process, with as much in each commit as there is to do, and nothing is ever delayed for
company.

Nobody is answered before the commit in which his batch is. If a transaction fails that held
several batches, each is tried alone, so that one that cannot be taken in fails for itself.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.errors import Unavailable
from server.ingest.pipeline import Batch, Ingested

Commit = Callable[[Sequence[Batch]], list[Ingested]]
"""Takes batches in, in one transaction of its own, and returns after its commit."""


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    result: Ingested | None = None
    error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.result is not None or self.error is not None


class Writer:
    """Shared by the threads of a process."""

    def __init__(self, commit: Commit, most_passages: int) -> None:
        """``most_passages``: a transaction takes no further batch once it has so many."""
        self._commit = commit
        self._most = most_passages
        self._queue: deque[_Waiting] = deque()
        self._turn = threading.Lock()

    def take_in(self, batch: Batch) -> Ingested:
        """Take a batch in; returns when it is committed.

        Raises:
            Unavailable: the database is locked or away; nothing of the batch was stored.
        """
        mine = _Waiting(batch)
        self._queue.append(mine)
        with self._turn:
            while not mine.is_done:  # else somebody took it along
                self._go(self._together())
        if mine.error is not None:
            raise mine.error
        if mine.result is None:  # pragma: no cover - done means one of the two
            raise AssertionError
        return mine.result

    def _together(self) -> list[_Waiting]:
        together: list[_Waiting] = []
        passages = 0
        while self._queue and (not together or passages < self._most):
            together.append(self._queue.popleft())
            passages += len(together[-1].batch.items)
        return together

    def _go(self, together: list[_Waiting]) -> None:
        try:
            results = self._commit([one.batch for one in together])
        except BaseException as error:  # noqa: BLE001 - handed to those whom it concerns
            if len(together) == 1 or isinstance(error, Unavailable):
                for one in together:
                    one.error = error
                return
            for one in together:
                self._go([one])
            return
        for one, result in zip(together, results, strict=True):
            one.result = result
