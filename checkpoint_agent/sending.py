"""The threads that talk to the server: one sends, one asks for the watchlist.

Both can be put in motion anew with other settings; what they work on, the outbox and the copy of
the watchlist, stays where it is.
"""

import threading
from collections.abc import Callable

import httpx

from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.health import Health, Observed
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.uploader import Uploader
from checkpoint_agent.watchlist import LocalWatchlist
from checkpoint_agent.watchlist_pull import WatchlistPull

_JOIN_S = 1.0


class Sending:
    """Owns uploader and watchlist pull, and their threads."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it connects
        self,
        outbox: Outbox,
        watchlist: LocalWatchlist,
        observed: Observed,
        health: Health,
        clock: Clock,
        transport: httpx.BaseTransport | None,
    ) -> None:
        """Prepare; nothing runs yet."""
        self._outbox = outbox
        self._watchlist = watchlist
        self._observed = observed
        self._health = health
        self._clock = clock
        self._transport = transport
        self._uploader: Uploader | None = None
        self._pull: WatchlistPull | None = None
        self._threads: list[threading.Thread] = []
        self._settings: tuple[object, ...] = ()
        self._error: Exception | None = None

    def start(self, config: AgentConfig) -> None:
        """Begin to send.

        Raises:
            ConfigError: if a certificate cannot be used; then nothing was changed.
        """
        uploader = Uploader(
            self._outbox,
            config.server,
            config.agent_id,
            self._clock,
            heartbeat=self._health.heartbeat,
            transport=self._transport,
        )
        pull = self._new_pull(config)
        self.ask_to_stop()
        before, self._threads = self._threads, []
        self._uploader, self._pull = uploader, pull
        self._observed.uploader, self._observed.pull = uploader, pull
        self._settings = _settings(config)
        self._launch("send", uploader.run, before)
        if pull is None:
            self._watchlist.forget()
        else:
            self._launch("watchlist", pull.run, before)

    def restart(self, config: AgentConfig) -> None:
        """Go on with other settings, if they differ.

        Raises:
            ConfigError: if a certificate cannot be used; then nothing was changed.
        """
        if _settings(config) != self._settings:
            self.start(config)

    @property
    def fault(self) -> str | None:
        """Why the server was not reached last."""
        return None if self._uploader is None else self._uploader.fault

    def wake(self) -> None:
        """Something new is in the outbox."""
        if self._uploader is not None:
            self._uploader.wake()

    def check(self) -> None:
        """Raise what ended a thread, if anything did."""
        if self._error is not None:
            raise self._error

    def is_alive(self, now_s: float) -> bool:
        """Whether the sending thread goes on."""
        return self._uploader is not None and now_s < self._uploader.sign_due_s

    def ask_to_stop(self) -> None:
        """Let both threads end as soon as the requests under way have their answers."""
        if self._uploader is not None:
            self._uploader.stop()
        if self._pull is not None:
            self._pull.stop()

    def stop(self) -> None:
        """End both threads, waiting a moment for them."""
        self.ask_to_stop()
        ends_s = self._clock.monotonic_s() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, ends_s - self._clock.monotonic_s()))

    def _new_pull(self, config: AgentConfig) -> WatchlistPull | None:
        if not config.watchlist.pull:
            return None
        return WatchlistPull(
            self._watchlist,
            config.watchlist,
            config.server,
            self._clock,
            transport=self._transport,
        )

    def _launch(self, name: str, body: Callable[[], None], before: list[threading.Thread]) -> None:
        """Run a thread after those that it takes over from; its failure ends the agent."""

        def run() -> None:
            for thread in before:
                thread.join()
            try:
                body()
            except Exception as error:  # noqa: BLE001 - raised again by the thread that runs the agent
                self._error = error

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def _settings(config: AgentConfig) -> tuple[object, ...]:
    return (config.server, config.watchlist.pull, config.watchlist.every_s)
