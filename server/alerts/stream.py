"""The live stream of alerts (server-sent events), resumable: the table is the truth.

A listener holds a number; it is sent every alert whose ``changed_seq`` is higher, in order, each
with that number as its event id. A browser that reconnects sends the last id it has seen in
``Last-Event-ID`` and so misses nothing. Nothing is queued in memory: a commit, or the poll that
finds what other processes have committed, only wakes the listeners, and they read the table.

Events: ``alert`` (one the listener has not seen before), ``alert-risen`` (unsigned for too long)
and ``alert-changed`` (a step was taken, or the vehicle was seen again). Their data is one line of JSON. ``still-here`` comes while nothing happens: an
event and not a comment, because a page must be able to tell a quiet line from a dead one.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from server.errors import Unavailable

_log = logging.getLogger(__name__)

RECONNECT_MS = 2_000
"""How long a browser waits before it connects again."""

_STILL_HERE = b"event: still-here\ndata: {}\n\n"

Fetch = Callable[[int], Awaitable[list["StreamEvent"]]]
Permitted = Callable[[], Awaitable[bool]]
Latest = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: the number a listener resumes from, its name, its data in one line."""

    seq: int
    name: str
    data: str

    def encode(self) -> bytes:
        """The event as it is written to the stream."""
        return f"id: {self.seq}\nevent: {self.name}\ndata: {self.data}\n\n".encode()


class AlertStream:
    """Wakes the listeners of one process. All of it runs on the event loop but :meth:`wake`."""

    def __init__(self, poll_s: float, keepalive_s: float) -> None:
        """Set how often other processes' alerts are sought and how often idle streams speak."""
        self._poll_s = poll_s
        self._keepalive_s = keepalive_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Say, from any thread, that alerts were committed. Harmless before the start."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    @property
    def stopping(self) -> bool:
        """Whether the server is on its way out: other streams end then, too."""
        return self._stopping

    def stop(self) -> None:
        """End all streams, from any thread, so that the server can shut down."""
        self._stopping = True
        self.wake()

    async def watch(self, latest: Latest) -> None:
        """Look for new numbers until cancelled; one task per process, not one per listener."""
        self._loop = asyncio.get_running_loop()
        seen = -1
        while not self._stopping:
            try:
                number = await latest()
            except Unavailable:
                _log.warning("alert stream: the database is away; trying again")
            except Exception:  # noqa: BLE001 - a defect here must not silence the walls of this process
                _log.exception("alert stream: cannot look for changes; trying again")
            else:
                if number != seen:
                    seen = number
                    self._wake()
            await asyncio.sleep(self._poll_s)

    async def listen(self, after: int, fetch: Fetch, permitted: Permitted) -> AsyncIterator[bytes]:
        """Give the stream of one listener, until it may no longer listen or the server stops."""
        yield f"retry: {RECONNECT_MS}\nid: {after}\n\n".encode()
        loop = asyncio.get_running_loop()
        permitted_until = loop.time() + self._keepalive_s
        while not self._stopping:
            changed = self._changed
            try:
                if loop.time() >= permitted_until:
                    if not await permitted():
                        return
                    permitted_until = loop.time() + self._keepalive_s
                    yield _STILL_HERE
                events = await fetch(after)
            except Unavailable:
                return  # the browser reconnects with its last id; meanwhile it shows "lost"
            for event in events:
                yield event.encode()
                after = event.seq
            if not events:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(permitted_until):
                        await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
