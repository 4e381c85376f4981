"""From the body of a request to the receipt: let in, read, committed with others, answered."""

import logging
import time
from collections.abc import Sequence
from functools import partial

import anyio
import anyio.to_thread
import msgspec
from fastapi import Request

from server.auth.agents import AgentIdentity
from server.clock import Clock
from server.db import Database
from server.errors import NotAllowed, Unavailable
from server.ingest.gate import Gate
from server.ingest.parse import parse_batch
from server.ingest.pipeline import Batch, Ingested, ingest
from server.ingest.writer import Writer
from server.metrics import Metrics
from server.settings import Settings
from server.watchlists.matching import WatchlistCache

_log = logging.getLogger(__name__)

_THREADS = 16
"""Threads that read and wait; people's requests have others, so that neither starves the other."""
_BODY_S = 30
"""A body that takes longer to arrive is given up: it holds a place that others wait for."""


class Intake:
    """Takes batches in for a whole process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        watchlist: WatchlistCache,
        metrics: Metrics,
    ) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._database = database
        self._clock = clock
        self._watchlist = watchlist
        self._metrics = metrics
        self._writer = Writer(self._commit, settings.ingest.commit_passages)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self.gate = Gate(settings.ingest.max_waiting, settings.ingest.retry_after_s)

    async def body_of(self, request: Request) -> bytes:
        """The whole body, which has a limit already.

        Raises:
            Unavailable: it does not come.
        """
        try:
            with anyio.fail_after(_BODY_S):
                return b"".join([part async for part in request.stream()])
        except TimeoutError:
            raise Unavailable(
                "the body did not arrive in time", retry_after_s=self._settings.ingest.retry_after_s
            ) from None

    async def take_in(self, agent: AgentIdentity, body: bytes) -> Ingested:
        """Take a batch in; returns after its commit.

        Raises:
            Malformed, InvalidRequest, NotAllowed: the batch as a whole cannot be taken in.
            Unavailable: the database is locked or away; nothing was stored.
        """
        work = partial(self._take_in, agent, body)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def _take_in(self, agent: AgentIdentity, body: bytes) -> Ingested:
        envelope, items = parse_batch(body)
        if envelope.agent_id != agent.agent_id:
            raise NotAllowed(f"agent_id: the token is that of {agent.agent_id}", field="agent_id")
        batch = Batch(envelope, items, agent)
        batch.made_ready()  # here, where others may be committed meanwhile
        done = self._writer.take_in(batch)
        outcomes = [fate.outcome for fate in done.fates]
        self._metrics.receipt(outcomes, len(items) - len(outcomes), done.hits)
        for _, fate in batch.refused:
            _log.warning("agent %s: passage rejected: %s", agent.agent_id, fate.reason)
        return done

    def _commit(self, batches: Sequence[Batch]) -> list[Ingested]:
        began = time.monotonic()
        with self._database.write() as session:
            done = ingest(
                session,
                batches,
                now=self._clock(),
                settings=self._settings,
                watchlist=self._watchlist,
            )
        items = sum(len(batch.items) for batch in batches)
        self._metrics.committed(items, time.monotonic() - began)
        return done


def receipt_of(done: Ingested) -> bytes:
    """The receipt as JSON, as :class:`server.wire.Receipt` spells it."""
    return msgspec.json.encode(
        {
            "results": done.fates,
            "received_at": done.received_at,
            "missing_evidence": done.missing_evidence,
        }
    )
