"""The process that works on one job: ``python -m server.analyses.worker``, started by the runner.

It reads the settings as JSON from its input, and ends when its input ends: with the server that
started it. It lives at low priority on few cores, so that ingest is not slowed. A second thread
gives the signs of life and ends the process as soon as the job is no longer its own: cancelled,
or taken by another worker after this one was thought lost.
"""

import contextlib
import logging
import os
import sys
import threading
from typing import Final

from sqlalchemy.orm import Session

from server import log
from server.analyses import jobs
from server.analyses.answering import Desk
from server.analyses.archive import archive, forget, frame_of
from server.analyses.city import Mined, mine
from server.analyses.queue import enqueue
from server.auth.accounts import Account, Role
from server.auth.sight import Sight, sight_of
from server.clock import utc_now
from server.db import Database
from server.errors import InvalidRequest, ServerError
from server.settings import Settings
from server.tables import AnalysisJob, User
from server.trajectories.traffic import TrafficCache

_log = logging.getLogger(__name__)
_BEAT_S: Final = 1.0
_NICE: Final = 10
NOTHING_TO_DO: Final = 3
"""Exit status: another worker has taken it."""


class Work:
    """One job in this process, and how far it is."""

    def __init__(self, settings: Settings, database: Database, runner: str) -> None:
        """Nothing is claimed yet."""
        self._settings = settings
        self._database = database
        self._runner = runner
        self._step, self._progress = "", 0.0
        self._over = threading.Event()

    def run(self) -> bool:
        """Claim a job and work on it; False if there was none."""
        with self._database.write() as session:
            job = jobs.claim(session, self._runner, utc_now())
            if job is None:
                return False
            session.expunge(job)
        beats = threading.Thread(target=self._beat, args=(job.id,), daemon=True)
        beats.start()
        try:
            self._answer(job)
        except ServerError as error:
            self._failed(job.id, str(error))
        except Exception as error:  # noqa: BLE001 - logged, and said to the owner
            _log.exception("job %d failed", job.id)
            self._failed(job.id, f"{type(error).__name__}: see the server's log")
        finally:
            self._over.set()
            beats.join(10)
        return True

    def _answer(self, job: AnalysisJob) -> None:
        question = jobs.QUESTION.validate_python(job.question)
        with self._database.read() as session:
            sight = self._sight(session, job)
        since = sight.reach(question.since) or question.since
        paths = archive(
            self._database, self._settings, since, question.until,
            lambda share: self._tell("archive", 0.3 * share),
        )  # fmt: skip
        frame = frame_of(paths, since, question.until, sight)
        with self._database.read() as session:
            traffic = TrafficCache(self._settings).get(session)
            desk = Desk(session, sight, self._settings, utc_now(), traffic=traffic)
            found = mine(
                desk, question, frame,
                lambda step, share: self._tell(step, 0.3 + 0.65 * share),
            )  # fmt: skip
        everything = sight.checkpoint_ids is None and not sight.hidden_plates
        self._keep(job, found, examined=frame.select("plate").collect().height, queued=everything)
        forget(self._settings, utc_now())

    def _sight(self, session: Session, job: AnalysisJob) -> Sight:
        """What the one who asked may see now; by night everything, which nobody is shown."""
        if job.user_name is None:
            return Sight("", None, frozenset(), None)
        user = session.get(User, job.user_name)
        now = utc_now()
        if user is None or user.disabled_at is not None:
            raise InvalidRequest("whoever asked for this is not a user any more")
        account = Account(
            name=user.name, display_name=user.display_name, role=Role(user.role),
            badge_number=user.badge_number, unit=user.unit, csrf_token="", expires_at=now,
            sees_everywhere=user.sees_everywhere,
            must_change_password=user.must_change_password,
        )  # fmt: skip
        # without the case: the pace of his queries was kept when he asked
        return sight_of(session, account, now, self._settings)

    def _keep(self, job: AnalysisJob, found: Mined, *, examined: int, queued: bool) -> None:
        """Commit what was found. Verdicts on a part of the city are nobody's but the asker's."""
        with self._database.write() as session:
            if found.verdicts and queued:
                enqueue(session, found.verdicts, utc_now())
            jobs.finish(
                session, job.id, self._runner, utc_now(),
                findings=() if job.user_name is None else found.findings, examined=examined,
            )  # fmt: skip
            jobs.forget_old(session, self._settings, utc_now())

    def _tell(self, step: str, progress: float) -> None:
        self._step, self._progress = step, progress

    def _failed(self, job_id: int, error: str) -> None:
        with self._database.write() as session:
            jobs.fail(session, job_id, self._runner, utc_now(), error)

    def _beat(self, job_id: int) -> None:
        while not self._over.wait(_BEAT_S):
            try:
                with self._database.write() as session:
                    mine_still = jobs.beat(
                        session, job_id, self._runner, utc_now(),
                        step=self._step, progress=self._progress,
                    )  # fmt: skip
            except ServerError:
                continue  # the database is busy; the next beat tries again
            if not mine_still and not self._over.is_set():
                os._exit(0)  # polars cannot be asked to stop


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    os._exit(0)


def main() -> int:
    """Work on one job."""
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    log.configure(settings.log)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)
    database = Database(settings)
    try:
        return 0 if Work(settings, database, sys.argv[1]).run() else NOTHING_TO_DO
    finally:
        database.close()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not waiting for the thread that reads the input
