"""Looks for jobs and starts a worker process for each; one thread beside the requests."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from server.analyses import ask, jobs
from server.clock import Clock
from server.db import Database
from server.errors import ServerError
from server.settings import Settings
from server.tables import AnalysisJob

_log = logging.getLogger(__name__)
_NIGHTLY_EVERY: Final = timedelta(minutes=5)
_NIGHT_H: Final = 3
"""Within so many hours after the set one; what was missed is made up for the next night."""
_MOST_BACK: Final = timedelta(days=7)
_OVERLAP: Final = timedelta(hours=6)
"""A second vehicle's trip over midnight is seen whole."""


class JobRunner:
    """The thread; :meth:`start` and :meth:`stop` it."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        """Nothing runs yet."""
        self._settings = settings
        self._database = database
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._looked_at: datetime | None = None

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="analysis jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a worker that is at work ends too, and its job is taken up again later."""
        self._stop.set()
        worker = self._worker
        if worker is not None:
            with contextlib.suppress(OSError):
                worker.kill()
        if self._thread is not None:
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(self._settings.analyses.poll_s):
            try:
                self._nightly()
                with self._database.read() as session:
                    wanted = jobs.anything_to_do(session, self._clock())
                if wanted:
                    self._work()
            except (ServerError, OSError) as error:
                _log.warning("analysis jobs: %s", error)
            except Exception:  # noqa: BLE001 - logged with its traceback; the server goes on
                _log.exception("analysis jobs")

    def _work(self) -> None:
        name = f"{socket.gethostname()[:60]}:{os.getpid()}"
        threads = str(self._settings.analyses.threads)
        worker = subprocess.Popen(
            [sys.executable, "-m", "server.analyses.worker", name],
            stdin=subprocess.PIPE,
            env={**os.environ, "POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads},
        )
        self._worker = worker
        try:
            if worker.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    worker.stdin.write(self._settings.model_dump_json().encode() + b"\n")
                    worker.stdin.flush()
            while worker.poll() is None and not self._stop.wait(0.1):
                pass
        finally:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            if worker.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    worker.stdin.close()
            self._worker = None

    def _nightly(self) -> None:
        """Once a night ask for the clones since the last one."""
        hour = self._settings.analyses.nightly_hour
        now = self._clock()
        if hour < 0 or (self._looked_at and now - self._looked_at < _NIGHTLY_EVERY):
            return
        self._looked_at = now
        zone = ZoneInfo(self._settings.display.time_zone)
        local = now.astimezone(zone)
        if not 0 <= local.hour - hour < _NIGHT_H:
            return
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        with self._database.write() as session:
            last = session.scalar(
                select(AnalysisJob)
                .where(AnalysisJob.user_name.is_(None))
                .order_by(AnalysisJob.id.desc())
                .limit(1)
            )
            since = midnight - timedelta(days=1)
            if last is not None:
                covered = datetime.fromisoformat(last.question["until"])
                if covered >= midnight:
                    return
                # a server that was off by night makes up for it
                since = max(midnight - _MOST_BACK, covered - _OVERLAP)
            question = ask.CityClones(since=since, until=midnight)
            jobs.add_job(
                session, question, now, user_name=None, purpose=jobs.NIGHTLY, case_number=""
            )
