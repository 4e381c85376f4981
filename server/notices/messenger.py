"""The thread of a server process that empties the queue of notices.

Several processes on one database share the work: each claims what it sends
(:mod:`server.notices.queue`). One slow receiver holds up only the notices claimed with it.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from server.clock import Clock
from server.db import Database
from server.errors import Unavailable
from server.notices.queue import AT_ONCE, Claimed, claim, is_due, settle
from server.notices.sending import send
from server.settings import Settings

_log = logging.getLogger(__name__)

POLL_S = 1.0
_SENDERS = 8

Told = Callable[[str, str], None]


class Messenger:
    """The thread; :meth:`start` and :meth:`stop` it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        told: Told = lambda _channel, _state: None,
    ) -> None:
        """``told`` hears of each try: the channel, and the state that followed."""
        self._settings = settings
        self._database = database
        self._clock = clock
        self._told = told
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is being sent is finished, or claimed again later."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._settings.notices.timeout_s + 5)

    def send_due(self) -> int:
        """Send what is due once, some at a time, and return how many there were."""
        # a claim outlasts its sending: connecting, sending and answering each have the timeout
        claim_s = self._settings.notices.timeout_s * 4 + 30
        with self._database.read() as session:
            if not is_due(session, self._clock()):
                return 0
        with self._database.write() as session:
            claimed = claim(session, self._clock(), claim_s)
        with ThreadPoolExecutor(min(_SENDERS, AT_ONCE), "notice") as senders:
            list(senders.map(self._send, claimed))
        return len(claimed)

    def _send(self, one: Claimed) -> None:
        delivery = send(one, self._settings, self._clock())
        with self._database.write() as session:
            state = settle(session, one, delivery, self._clock(), self._settings.notices)
        if delivery.fault:
            _log.warning("notice %d by %s: %s (%s)", one.id, one.channel, delivery.fault, state)
        self._told(one.channel, state)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.send_due()
            except Unavailable:
                _log.warning("notices: the database is away; trying again")
                sent = 0
            except Exception:  # noqa: BLE001 - a defect must not end the telling of later alerts
                _log.exception("notices: cannot be sent; trying again")
                sent = 0
            if not sent:
                self._stop.wait(POLL_S)
