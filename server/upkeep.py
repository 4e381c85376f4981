"""What a running server does by itself: partitions ahead, retention, the register of plates.

One thread, beside the requests. Several servers on one database may all run it: each step is safe
to do twice and takes a lock that lets one in. A step that fails is logged, counted and tried again
in its next turn; it never stops the server.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from server import partitions, register, retention
from server.clock import Clock
from server.db import Database
from server.errors import ServerError
from server.ingest.evidence_store import PictureStore
from server.packed.making import keep_packed
from server.settings import Settings
from server.trajectories import learning
from server.watchlists.history import end_what_ran_out

_log = logging.getLogger(__name__)

_FIRST_S = 5.0
"""After the start: first serve, then tidy up."""

_WATCHLIST_S = 30.0
"""What has run out is out of force at its instant; its state may say so a little later."""


class Upkeep:
    """The thread; :meth:`start` and :meth:`stop` it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: PictureStore,
        clock: Clock,
        failed: Callable[[str], None] = lambda _step: None,
    ) -> None:
        """``failed`` is told the name of a step that failed."""
        self._settings = settings
        self._database = database
        self._store = store
        self._clock = clock
        self._failed = failed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._packing: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the step that is under way."""
        self._stop.set()
        for thread in (self._thread, self._packing):
            if thread is not None:
                thread.join(30)

    def _run(self) -> None:
        turns = {
            "plates": (self._settings.plates.count_every_s, self.count_plates),
            "watchlist": (_WATCHLIST_S, self.end_entries),
            "partitions": (min(900.0, self._settings.retention.every_s), self.keep_partitions),
            "packing": (min(900.0, self._settings.retention.every_s), self.begin_packing),
            "traffic": (self._settings.trajectory.learn_every_s, self.learn_traffic),
            "retention": (float(self._settings.retention.every_s), self.retain),
        }
        due = dict.fromkeys(turns, time.monotonic() + _FIRST_S)
        while not self._stop.wait(max(0.05, min(due.values()) - time.monotonic())):
            for name, (every_s, step) in turns.items():
                if time.monotonic() >= due[name] and not self._stop.is_set():
                    self._try(name, step)
                    due[name] = time.monotonic() + every_s

    def _try(self, name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except (ServerError, OSError) as error:
            _log.warning("upkeep: %s: %s", name, error)
            self._failed(name)
        except Exception:  # noqa: BLE001 - logged with its traceback; the server goes on
            _log.exception("upkeep: %s", name)
            self._failed(name)

    def count_plates(self) -> int:
        """Empty the journal into the register, some lines a transaction."""
        total = 0
        while not self._stop.is_set():
            began = time.monotonic()
            with self._database.write() as session:
                counted = register.count(session, self._clock())
            if not counted:
                break
            total += counted
            # SQLite has one writer: who is taken in meanwhile gets as long as this took
            self._stop.wait(time.monotonic() - began)
        return total

    def learn_traffic(self) -> int:
        """Learn travel times and turns from what has settled, a span at a time."""
        total = 0
        while not self._stop.is_set():
            looked_at = learning.learn(self._database, self._settings, self._clock())
            total += looked_at
            if not looked_at:
                break
        return total

    def end_entries(self) -> int:
        """Give entries of the watchlist that have run out the state that says so."""
        total = 0
        while not self._stop.is_set():
            with self._database.write() as session:
                ended = end_what_ran_out(session, self._clock())
            total += ended
            if not ended:
                break
        return total

    def keep_partitions(self) -> list[str]:
        """Make partitions ahead, and those that a backlog wants."""
        now = self._clock()
        return partitions.keep_up(
            self._database.engine, self._settings.partitions, now, oldest_kept(self._settings, now)
        )

    def begin_packing(self) -> None:
        """Pack the sightings of partitions that are over, beside everything else: it takes minutes."""
        if self._packing is None or not self._packing.is_alive():
            work = threading.Thread(
                target=self._try, args=("packing", self.pack_partitions), name="packing",
                daemon=True,
            )  # fmt: skip
            self._packing = work
            work.start()

    def pack_partitions(self) -> list[str]:
        """Pack every partition that is over, and anew what has changed since."""
        packed: list[str] = []
        while not self._stop.is_set():
            name = keep_packed(
                self._database.engine, self._settings.partitions, self._clock(),
                lambda: not self._stop.is_set(),
            )  # fmt: skip
            if name is None:
                break
            packed.append(name)
        return packed

    def retain(self) -> None:
        """Delete what is too old, if the settings let the server do so by itself."""
        if not self._settings.retention.enabled:
            return
        for done in retention.run(self._database, self._store, self._settings, self._clock()):
            if not done.is_empty:
                _log.info(
                    "retention: %s before %s: %d passages, %d pictures, %d plates, %d partitions; "
                    "%d held",
                    done.rule, done.before, done.passages, done.pictures, done.plates,
                    len(done.partitions), done.held,
                )  # fmt: skip


def oldest_kept(settings: Settings, now: datetime) -> datetime:
    """The oldest day for which a partition is made: not what retention would drop again at once."""
    days = settings.partitions.backlog_days
    if settings.retention.passages_days:
        days = min(days, settings.retention.passages_days - settings.partitions.width_days)
    return now - timedelta(days=max(0, days))
