"""Analyses, jobs and the queue of clones, for programs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from server.analyses import ask, jobs, queue
from server.analyses.service import Answer, analyse
from server.auth.guards import ClientAddress, Officer, Operator
from server.context import Context
from server.http import RowId
from server.passages.lookup import Inquiry

router = APIRouter(prefix="/api/v1/analyses", tags=["analyses"])


@router.post("")
def post_analysis(
    question: Annotated[ask.Ask, Body()],
    account: Operator,
    address: ClientAddress,
    context: Context,
) -> Answer:
    """Answer an analysis at once. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), question.purpose, question.case_number)
    with context.database.write() as session:
        return analyse(session, question, inquiry, context)


@dataclass(frozen=True, slots=True)
class JobsFound:
    """Jobs, newest first."""

    jobs: tuple[jobs.JobView, ...]


@router.post("/jobs", status_code=202)
def post_job(
    question: Annotated[ask.AskCity, Body()],
    account: Officer,
    address: ClientAddress,
    context: Context,
) -> jobs.JobView:
    """Ask a question over the whole city; it is worked on by and by. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), question.purpose, question.case_number)
    with context.database.write() as session:
        return jobs.request_job(session, question, inquiry, context)


@router.get("/jobs")
def get_jobs(account: Officer, context: Context) -> JobsFound:
    """Give one's own jobs and those of one's cases, and how far they are."""
    with context.database.read() as session:
        return JobsFound(jobs.list_jobs(session, account))


@router.get("/jobs/{job_id}")
def get_job(  # noqa: PLR0913, PLR0917 - which, who, from where, from where on
    job_id: RowId,
    account: Officer,
    address: ClientAddress,
    context: Context,
    after_rank: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> jobs.JobAnswer:
    """Give a job and a page of what it found; recorded under the job's purpose and case."""
    inquiry = Inquiry(account, address, context.clock())
    with context.database.write() as session:
        return jobs.open_job(session, job_id, inquiry, context, after_rank=after_rank, limit=limit)


@router.post("/jobs/{job_id}/cancel")
def post_cancel(
    job_id: RowId, account: Officer, address: ClientAddress, context: Context
) -> jobs.JobView:
    """Stop a job, or take it off the list."""
    inquiry = Inquiry(account, address, context.clock())
    with context.database.write() as session:
        return jobs.cancel_job(session, job_id, inquiry)


@dataclass(frozen=True, slots=True)
class CandidatesFound:
    """Candidates, the most likely first."""

    candidates: tuple[queue.CandidateView, ...]


class Decision(BaseModel):
    """What a candidate is, and why it was looked at."""

    model_config = ConfigDict(extra="forbid")

    answer: queue.CloneAnswer
    checkpoint_id: str = Field(default="", max_length=64, description="Of clock_fault: whose.")
    note: str = Field(default="", max_length=1000)
    purpose: str | None = Field(default=None, max_length=200)
    case_number: str | None = Field(default=None, max_length=64)


@router.get("/clones")
def get_clones(  # noqa: PLR0913, PLR0917 - who, from where, which, why
    account: Operator,
    address: ClientAddress,
    context: Context,
    state: Annotated[str, Query(max_length=16)] = "open",
    purpose: str | None = None,
    case_number: str | None = None,
) -> CandidatesFound:
    """Give the queue of cloned plates. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    with context.database.write() as session:
        return CandidatesFound(queue.look_at_queue(session, inquiry, context, state=state))


@dataclass(frozen=True, slots=True)
class Decided:
    """The new state of a candidate."""

    state: str


@router.post("/clones/{candidate_id}/decision")
def post_decision(
    candidate_id: RowId,
    decision: Decision,
    account: Operator,
    address: ClientAddress,
    context: Context,
) -> Decided:
    """Say what a candidate is; the search learns from it. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), decision.purpose, decision.case_number)
    with context.database.write() as session:
        return Decided(
            queue.decide(
                session, candidate_id, inquiry, context,
                answer=decision.answer, checkpoint_id=decision.checkpoint_id, note=decision.note,
            )
        )  # fmt: skip
