"""Analyses: jobs and what they found, the queue of clones and what it taught.

The rules of :mod:`server.tables` hold here too.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import PLATE_TEXT, Base, JsonValue

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class AnalysisJob(Base):
    """A question about the whole city, worked on beside everything else, and how far it is."""

    __tablename__ = "analysis_job"
    __table_args__ = (
        Index(None, "state", "id"),
        CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"
        ),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    question: Mapped[dict[str, Any]] = mapped_column(JsonValue, doc="As asked.")
    user_name: Mapped[str | None] = mapped_column(
        ForeignKey("user_account.name"), index=True, doc="Null: the server itself, by night."
    )
    purpose: Mapped[str] = mapped_column(String(200))
    case_number: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    requested_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    beat_at: Mapped[datetime | None] = mapped_column(doc="Last sign of life of its worker.")
    runner: Mapped[str] = mapped_column(String(100), default="", doc="Which worker has it.")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    step: Mapped[str] = mapped_column(String(32), default="")
    progress: Mapped[float] = mapped_column(Float, default=0.0, doc="0 to 1.")
    found: Mapped[int] = mapped_column(Integer, default=0)
    examined: Mapped[int] = mapped_column(BigInteger, default=0, doc="Passages looked at.")
    error: Mapped[str] = mapped_column(Text, default="")


class AnalysisFinding(Base):
    """One line of what a job found."""

    __tablename__ = "analysis_finding"

    job_id: Mapped[int] = mapped_column(ForeignKey("analysis_job.id"), primary_key=True)
    rank: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    plate: Mapped[str] = mapped_column(PLATE_TEXT)
    other_plate: Mapped[str] = mapped_column(PLATE_TEXT, default="")
    score: Mapped[float] = mapped_column(Float)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonValue)


class CloneCandidate(Base):
    """A plate that may be on two vehicles (套牌), and what an officer said of it."""

    __tablename__ = "clone_candidate"
    __table_args__ = (
        Index(None, "state", "score"),
        CheckConstraint("state IN ('open', 'confirmed', 'rejected', 'clock_fault')", name="state"),
        CheckConstraint("cause IN ('clone', 'clock', 'misread', 'doubtful')", name="cause"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    plate: Mapped[str] = mapped_column(PLATE_TEXT, index=True)
    cause: Mapped[str] = mapped_column(String(16), doc="What the evidence says it likely is.")
    score: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    found_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(doc="Of its newest conflict.")
    conflicts: Mapped[int] = mapped_column(Integer)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonValue, doc="Reasons and proofs.")
    evidence: Mapped[list[Any]] = mapped_column(JsonValue, doc="Conflicts, as compared later.")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    note: Mapped[str | None] = mapped_column(String(1000))


class CloneLesson(Base):
    """What an answer taught the search for clones."""

    __tablename__ = "clone_lesson"
    __table_args__ = (
        Index(None, "kind", "subject"),
        CheckConstraint("kind IN ('clock', 'pair', 'misread')", name="kind"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    kind: Mapped[str] = mapped_column(
        String(8), doc="A wrong clock; a pair that can be driven; passages that are misreads."
    )
    subject: Mapped[str] = mapped_column(
        String(140), doc="Checkpoint; 'from to'; or the passage's identifier."
    )
    value: Mapped[float] = mapped_column(Float, doc="Of a pair: seconds in which it was driven.")
    since: Mapped[datetime]
    until: Mapped[datetime | None] = mapped_column(doc="Of a clock: until it is believed again.")
    candidate_id: Mapped[int] = mapped_column(ForeignKey("clone_candidate.id"), index=True)
    taught_at: Mapped[datetime]
    taught_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
