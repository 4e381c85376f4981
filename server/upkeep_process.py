"""The upkeep in a process of its own, so that it never holds the interpreter that serves requests.

Counting plates and learning travel times keep an interpreter busy for seconds; a request that
meanwhile wants one for a hundred short steps waits at each of them. On PostgreSQL, where writers
do not wait for each other, ``serve`` therefore runs the upkeep beside itself, at lower priority.
Should the process end, it is started again; should the server end, however, it ends itself.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from server import log
from server.clock import utc_now
from server.db import Database
from server.ingest.evidence_s3 import picture_store
from server.settings import Settings
from server.upkeep import Upkeep

_log = logging.getLogger(__name__)

_AGAIN_S = 5.0
_LOOK_S = 0.25
_POLITE = 5
"""Added to the process's nice value: whoever waits for an answer goes first."""


class UpkeepProcess:
    """Starts the process, hears of failed steps, and starts it again when it has ended."""

    def __init__(self, settings: Settings, failed: Callable[[str], None]) -> None:
        """``failed`` is told the name of a step that failed, or ``process``."""
        self._settings = settings
        self._failed = failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep process", daemon=True)
        self._hold, self._held = multiprocessing.Pipe()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the step that is under way, as a thread's stop does."""
        self._stop.set()
        self._hold.close()
        self._thread.join(35)

    def _run(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        while not self._stop.is_set():
            heard, tells = spawn.Pipe(duplex=False)
            process = spawn.Process(
                target=_keep_up, args=(self._settings, tells), name="upkeep", daemon=True
            )
            process.start()
            tells.close()
            self._listen(heard, process.sentinel)
            if self._stop.is_set():
                process.terminate()
                process.join(30)
                return
            process.join(5)
            _log.error("upkeep: its process ended with %s; starting it again", process.exitcode)
            self._failed("process")
            self._stop.wait(_AGAIN_S)

    def _listen(self, heard: Connection, ended: int) -> None:
        """Until the process ends or this is stopped."""
        while True:
            ready = wait([heard, ended, self._held])
            if self._held in ready:
                return
            if heard not in ready:
                return
            try:
                self._failed(heard.recv())
            except EOFError:
                return


def _keep_up(settings: Settings, tells: Connection) -> None:
    """The process."""
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which then says so
    os.nice(_POLITE)
    log.configure(settings.log)
    server = multiprocessing.parent_process()
    if server is None:  # pragma: no cover - it has one, it was spawned
        raise AssertionError
    upkeep = Upkeep(settings, Database(settings), picture_store(settings), utc_now, tells.send)
    upkeep.start()
    while not done.is_set():
        if wait([server.sentinel], _LOOK_S):
            os._exit(0)  # what was under way is rolled back, and done by the next server
    upkeep.stop()
