"""Keeps the box's copy of the watchlist up to date, by revision. One thread owns it."""

import logging
import os
import random
import threading

import httpx

from checkpoint_agent.clock import Clock
from checkpoint_agent.config_upkeep import ServerConfig, WatchlistConfig
from checkpoint_agent.errors import ServerUnavailable
from checkpoint_agent.link import Link
from checkpoint_agent.watchlist import LocalWatchlist
from server.wire import WATCHLIST_PATH, WatchlistCopy

log = logging.getLogger(__name__)

_NICENESS = 15
"""Hashing a long list takes minutes and has time."""


class WatchlistPull:
    """Asks the server for a newer copy now and then."""

    def __init__(
        self,
        watchlist: LocalWatchlist,
        config: WatchlistConfig,
        server: ServerConfig,
        clock: Clock,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Raises:
            ConfigError: if a certificate cannot be used.
        """
        self._watchlist = watchlist
        self._config = config
        self._clock = clock
        self._link = Link(server, clock, transport=transport)
        self._stop = threading.Event()
        self.confirmed_s: float | None = None
        """When the server last said that the copy in force is the current one; monotonic."""
        self.fault: str | None = None
        """Why the last question failed; ``None`` if it did not."""

    def run(self) -> None:
        """Ask until :meth:`stop`; the body of the thread."""
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        except OSError:
            log.debug("the thread's priority cannot be lowered")
        while not self._stop.is_set():
            self.pull()
            chance = random.random()  # noqa: S311 - jitter, no secret
            self._clock.wait(self._stop, self._config.every_s * (0.9 + 0.2 * chance))
        self._link.close()

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._stop.set()

    def pull(self) -> None:
        """Ask once; a failure leaves the copy in force as it is."""
        try:
            path = WATCHLIST_PATH
            if self._watchlist.takes_differences:
                path += "?differences=true"
            answer = self._link.request("GET", path, known_tag=self._watchlist.tag)
            if answer.status == 200:
                copy = WatchlistCopy.model_validate_json(answer.body)
                self._watchlist.take(copy, answer.tag)
                extra = {"revision": copy.revision, "entries": len(copy.entries)}
                log.info("watchlist taken over", extra=extra)
            self.confirmed_s, self.fault = self._clock.monotonic_s(), None
        except (ServerUnavailable, ValueError) as error:
            fault = str(error) if isinstance(error, ServerUnavailable) else "no watchlist"
            if fault != self.fault:
                log.warning("watchlist not renewed: %s", fault)
            self.fault = fault
            return
        try:
            self._watchlist.seal(self._stop)
        except OSError as error:
            log.warning("the copy of the watchlist cannot be written: %s", error)
