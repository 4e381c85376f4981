"""What answers to clone candidates taught: wrong clocks, pairs that can be driven, misreads."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.tables import CloneLesson

PAIR_MARGIN = 0.95
"""A pair that was driven in so many seconds can be driven in a little less."""


def pair_limits(session: Session) -> dict[tuple[str, str], float]:
    """Pairs of checkpoints of which an officer said that they were driven: least seconds, with margin."""
    rows = session.execute(
        select(CloneLesson.subject, func.min(CloneLesson.value))
        .where(CloneLesson.kind == "pair")
        .group_by(CloneLesson.subject)
    )
    found: dict[tuple[str, str], float] = {}
    for subject, seconds in rows:
        start, _, end = subject.partition(" ")
        found[start, end] = seconds * PAIR_MARGIN
    return found


def wrong_clocks(session: Session, since: datetime, until: datetime) -> frozenset[str]:
    """Checkpoints whose clocks were said to be wrong at some time of a period."""
    return frozenset(
        session.scalars(
            select(CloneLesson.subject).where(
                CloneLesson.kind == "clock",
                CloneLesson.since < until,
                (CloneLesson.until.is_(None)) | (CloneLesson.until > since),
            )
        )
    )


def misread_passages(session: Session) -> frozenset[str]:
    """Passages of which an officer said that the plate was misread; identifiers."""
    return frozenset(
        session.scalars(select(CloneLesson.subject).where(CloneLesson.kind == "misread"))
    )
