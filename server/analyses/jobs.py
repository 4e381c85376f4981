"""Jobs over the whole city: asked for, worked on one at a time, their results kept.

The table is the truth. A worker claims the oldest waiting job, or one whose worker has not
given a sign of life for :data:`LOST_AFTER`; so a job survives servers that restart or die, and of
several servers one works at a time. What a job found is written in one transaction with its
being done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import TypeAdapter
from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from server.analyses import ask
from server.analyses.answering import require_days
from server.analyses.finding import Finding, from_json, to_json
from server.analyses.service import FindingView, asked, shown
from server.auth.accounts import Account, Role
from server.context import AppContext
from server.errors import Conflict, NotFound
from server.passages.lookup import Inquiry, accounted_sight, record, stated
from server.settings import Settings
from server.tables import AnalysisFinding, AnalysisJob, CaseMember

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
LOST_AFTER: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 3
MAX_WAITING: Final = 20
NIGHTLY: Final = "nightly"
_ONE_RUNNER: Final = 7_135_406_533
"""Of the advisory lock under which jobs are claimed."""
QUESTION: TypeAdapter[ask.AskCity] = TypeAdapter(ask.AskCity)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as listed. ``progress`` 0 to 1."""

    id: int
    kind: str
    state: JobState
    user_name: str
    purpose: str
    case_number: str
    since: datetime
    until: datetime
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    step: str
    progress: float
    found: int
    examined: int
    error: str


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """A job and a page of what it found."""

    job: JobView
    findings: tuple[FindingView, ...]
    next_rank: int | None


def request_job(
    session: Session, question: ask.AskCity, inquiry: Inquiry, context: AppContext
) -> JobView:
    """Put a question on the list; needs a writing transaction.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: the period is too long.
        ApprovalNeeded: it reaches further back than is open to him.
        Conflict: he has too many waiting.
    """
    purpose = stated(inquiry, context.settings)
    require_days(question, context.settings.analyses.max_days)
    accounted_sight(session, inquiry, context.settings, None).reach(question.since)
    waiting = session.scalar(
        select(func.count())
        .select_from(AnalysisJob)
        .where(
            AnalysisJob.user_name == inquiry.account.name,
            AnalysisJob.state.in_(("waiting", "running")),
        )
    )
    if (waiting or 0) >= MAX_WAITING:
        raise Conflict(f"kind: {MAX_WAITING} jobs are waiting already", field="kind")
    job = add_job(
        session, question, inquiry.now,
        user_name=inquiry.account.name, purpose=purpose.purpose, case_number=purpose.case_number,
    )  # fmt: skip
    record(session, inquiry, "analysis.start", purpose, asked(question), job=job.id)
    return view_of_job(job)


def add_job(  # noqa: PLR0913 - what, when, who, why
    session: Session,
    question: ask.AskCity,
    now: datetime,
    *,
    user_name: str | None,
    purpose: str,
    case_number: str,
) -> AnalysisJob:
    """Add a row, without asking who or why."""
    job = AnalysisJob(
        kind=question.kind,
        question=question.model_dump(mode="json", exclude={"purpose", "case_number"}),
        user_name=user_name,
        purpose=purpose,
        case_number=case_number,
        state="waiting",
        requested_at=now,
        runner="",
        attempts=0,
        step="",
        progress=0.0,
        found=0,
        examined=0,
        error="",
    )
    session.add(job)
    session.flush()
    return job


def list_jobs(session: Session, account: Account, *, limit: int = 100) -> tuple[JobView, ...]:
    """The jobs that one may see, newest first: his own and those of his cases."""
    cases = select(CaseMember.case_number).where(CaseMember.user_name == account.name)
    rows = session.scalars(
        select(AnalysisJob)
        .where(
            AnalysisJob.user_name.is_not(None),
            or_(AnalysisJob.user_name == account.name, AnalysisJob.case_number.in_(cases)),
        )
        .order_by(AnalysisJob.id.desc())
        .limit(limit)
    )
    return tuple(view_of_job(row) for row in rows)


def open_job(  # noqa: PLR0913 - which, from where on, how many, for whom
    session: Session,
    job_id: int,
    inquiry: Inquiry,
    context: AppContext,
    *,
    after_rank: int = 0,
    limit: int = 50,
) -> JobAnswer:
    """A job and what it found, with present eyes; accounted for; needs a writing transaction.

    Raises:
        NotFound: no such job of his or of his cases.
    """
    job = _mine(session, job_id, inquiry.account)
    rows = session.scalars(
        select(AnalysisFinding)
        .where(AnalysisFinding.job_id == job.id, AnalysisFinding.rank > after_rank)
        .order_by(AnalysisFinding.rank)
        .limit(limit + 1)
    ).all()
    own = Inquiry(inquiry.account, inquiry.address, inquiry.now, job.purpose, job.case_number)
    purpose = stated(own, context.settings)
    sight = accounted_sight(session, own, context.settings, None)
    findings = tuple(
        from_json(row.plate, row.other_plate, row.score, row.detail) for row in rows[:limit]
    )
    views = shown(session, findings, sight)
    if sight.checkpoint_ids is not None:
        # whoever sees a part of the city is not told what was found in the others
        views = tuple(view for view in views if view.passages)
    record(
        session, own, "analysis.open", purpose,
        {"job": job.id, "kind": job.kind, "after": after_rank}, found=len(views),
    )  # fmt: skip
    more = rows[limit - 1].rank if len(rows) > limit else None
    return JobAnswer(view_of_job(job), views, more)


def cancel_job(session: Session, job_id: int, inquiry: Inquiry) -> JobView:
    """Stop a job, or take it off the list; needs a writing transaction.

    Raises:
        NotFound: no such job of his or of his cases.
        Conflict: it is finished.
    """
    job = _mine(session, job_id, inquiry.account, lock=True)
    if job.state not in {"waiting", "running"}:
        raise Conflict("job: is finished already", field="job")
    job.state, job.finished_at = "cancelled", inquiry.now
    session.flush()
    record(
        session, inquiry, "analysis.cancel", None,
        {"job": job.id, "kind": job.kind, "case_number": job.case_number},
    )  # fmt: skip
    return view_of_job(job)


def _mine(session: Session, job_id: int, account: Account, *, lock: bool = False) -> AnalysisJob:
    query = select(AnalysisJob).where(AnalysisJob.id == job_id)
    job = session.scalar(query.with_for_update() if lock else query)
    if job is None or job.user_name is None:
        raise NotFound(f"no job {job_id} of yours")
    if job.user_name != account.name:
        member = session.get(CaseMember, (job.case_number, account.name))
        if member is None or not account.role.covers(Role.OFFICER):
            raise NotFound(f"no job {job_id} of yours")
    return job


# ---- the worker's side


def anything_to_do(session: Session, now: datetime) -> bool:
    """Whether a job waits or has lost its worker, and none is being worked on."""
    alive = AnalysisJob.beat_at > now - LOST_AFTER
    running = select(AnalysisJob.id).where(AnalysisJob.state == "running")
    if session.scalar(running.where(alive).limit(1)) is not None:
        return False
    return (
        session.scalar(
            select(AnalysisJob.id).where(AnalysisJob.state.in_(("waiting", "running"))).limit(1)
        )
        is not None
    )


def claim(session: Session, runner: str, now: datetime) -> AnalysisJob | None:
    """Take the oldest job that is to be done; None while another worker has one.

    A job that has lost its worker too often is given up. Needs a writing transaction.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_RUNNER})
    if not anything_to_do(session, now):
        return None
    for job in session.scalars(
        select(AnalysisJob)
        .where(AnalysisJob.state.in_(("running", "waiting")))
        .order_by(AnalysisJob.state, AnalysisJob.id)
        .with_for_update()
    ):
        if job.attempts >= MAX_ATTEMPTS:
            job.state, job.finished_at = "failed", now
            job.error = f"its worker was lost {MAX_ATTEMPTS} times"
            continue
        job.state, job.runner, job.attempts = "running", runner, job.attempts + 1
        job.started_at = job.started_at or now
        job.beat_at, job.step, job.progress = now, "", 0.0
        session.flush()
        return job
    return None


def beat(  # noqa: PLR0913 - of which job, by whom, when, how far
    session: Session, job_id: int, runner: str, now: datetime, *, step: str, progress: float
) -> bool:
    """Give a sign of life; False if the job is no longer this worker's."""
    done = session.execute(
        update(AnalysisJob)
        .where(
            AnalysisJob.id == job_id,
            AnalysisJob.runner == runner,
            AnalysisJob.state == "running",
        )
        .values(beat_at=now, step=step, progress=min(1.0, max(0.0, progress)))
        .returning(AnalysisJob.id)
    )
    return done.first() is not None


def finish(  # noqa: PLR0913 - which job, by whom, when, what
    session: Session,
    job_id: int,
    runner: str,
    now: datetime,
    *,
    findings: Sequence[Finding],
    examined: int,
) -> bool:
    """Keep what was found and call the job done; False if it is no longer this worker's."""
    if not beat(session, job_id, runner, now, step="", progress=1.0):
        return False
    session.execute(delete(AnalysisFinding).where(AnalysisFinding.job_id == job_id))
    for rank, one in enumerate(findings, start=1):
        session.add(
            AnalysisFinding(
                job_id=job_id, rank=rank, plate=one.plate, other_plate=one.other_plate,
                score=one.score, detail=to_json(one),
            )
        )  # fmt: skip
    session.execute(
        update(AnalysisJob)
        .where(AnalysisJob.id == job_id)
        .values(state="done", finished_at=now, found=len(findings), examined=examined)
    )
    return True


def fail(session: Session, job_id: int, runner: str, now: datetime, error: str) -> None:
    """Call a job failed, with what went wrong in words for its owner."""
    session.execute(
        update(AnalysisJob)
        .where(
            AnalysisJob.id == job_id,
            AnalysisJob.runner == runner,
            AnalysisJob.state == "running",
        )
        .values(state="failed", finished_at=now, error=error[:1000])
    )


def forget_old(session: Session, settings: Settings, now: datetime) -> int:
    """Delete jobs that finished too long ago, with what they found."""
    old = select(AnalysisJob.id).where(
        AnalysisJob.finished_at < now - timedelta(days=settings.analyses.jobs_days)
    )
    session.execute(delete(AnalysisFinding).where(AnalysisFinding.job_id.in_(old)))
    gone = session.execute(
        delete(AnalysisJob).where(AnalysisJob.id.in_(old)).returning(AnalysisJob.id)
    )
    return len(gone.all())


def view_of_job(job: AnalysisJob) -> JobView:
    """A row as listed."""
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,  # type: ignore[arg-type]  # the table's CHECK
        user_name=job.user_name or "",
        purpose=job.purpose,
        case_number=job.case_number,
        since=datetime.fromisoformat(job.question["since"]),
        until=datetime.fromisoformat(job.question["until"]),
        requested_at=job.requested_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        step=job.step,
        progress=job.progress,
        found=job.found,
        examined=job.examined,
        error=job.error,
    )
