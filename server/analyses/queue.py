"""The queue of cloned plates (套牌): what the mining found, what officers say, what is learned.

One candidate per plate is open at a time; new evidence is added to it. An answer is kept for good
and teaches (:mod:`server.analyses.lessons`):

* ``confirmed``: later conflicts of the plate are added to the confirmed candidate;
* ``rejected`` as *misread*: these passages are no evidence any more; as *drivable*: these pairs
  can be driven in the time that was seen, for all plates;
* ``clock_fault``: the named checkpoint's clock was wrong over the time of the conflicts and a day
  around them; everybody's conflicts there are put down to it, and other open candidates that
  rest on that clock alone are closed with this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.analyses.clones import CloneVerdict
from server.analyses.finding import Finding, from_json, to_json
from server.analyses.of_plate import clone_finding
from server.analyses.service import FindingView, shown
from server.auth.sight import Sight
from server.context import AppContext
from server.errors import Conflict, InvalidRequest, NotFound
from server.passages.lookup import Inquiry, accounted_sight, record, stated
from server.tables import CloneCandidate, CloneLesson

CloneAnswer = Literal["confirmed", "misread", "drivable", "clock_fault"]
ANSWERS: Final = ("confirmed", "misread", "drivable", "clock_fault")
STATES: Final = ("open", "confirmed", "rejected", "clock_fault")
_AROUND: Final = timedelta(days=1)
_LISTED: Final = 100
_MAX_EVIDENCE: Final = 40


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A candidate as listed, with the passages that show it."""

    id: int
    plate: str
    cause: str
    score: float
    state: str
    found_at: datetime
    last_at: datetime
    conflicts: int
    finding: FindingView
    checkpoints: tuple[str, ...]
    """Those of its conflicts: one of them may have a wrong clock."""
    decided_at: datetime | None
    decided_by: str | None
    note: str | None


def enqueue(session: Session, verdicts: Sequence[CloneVerdict], now: datetime) -> int:
    """Put what the mining found on the queue; returns how many candidates are new.

    What was rejected before comes back only with conflicts that were not there when it was; or, of
    a plate that only jumps, when two vehicles have become twice as likely (in the logarithm).
    Verdicts of cause ``misread`` are no candidates: a single sighting that does not fit.
    """
    new = 0
    for verdict in verdicts:
        if verdict.cause == "misread":
            continue
        evidence = [_evidence(c) for c in verdict.evidence[-_MAX_EVIDENCE:]]
        known = session.scalars(
            select(CloneCandidate)
            .where(CloneCandidate.plate == verdict.plate)
            .order_by(CloneCandidate.id.desc())
        ).all()
        settled = {_key(e) for c in known if c.state in {"rejected", "clock_fault"}
                   for e in c.evidence}  # fmt: skip
        fresh = [e for e in evidence if _key(e) not in settled]
        if not fresh or _was_answered(verdict, known):
            continue
        living = next((c for c in known if c.state in {"open", "confirmed"}), None)
        if living is None:
            living = CloneCandidate(
                plate=verdict.plate, state="open", found_at=now, conflicts=0, evidence=[],
                cause=verdict.cause, score=0.0, changed_at=now, last_at=now, detail={},
            )  # fmt: skip
            session.add(living)
            new += 1
        have = {_key(e) for e in living.evidence}
        added = [e for e in fresh if _key(e) not in have]
        if not added and living.id is not None:
            continue
        living.evidence = [*living.evidence, *added][-_MAX_EVIDENCE:]
        living.conflicts += len(added)
        living.cause, living.score = verdict.cause, verdict.score
        living.changed_at = now
        living.last_at = max(c.end.at for c in verdict.evidence)
        living.detail = to_json(clone_finding(verdict))
        session.flush()
    return new


def _was_answered(verdict: CloneVerdict, known: Sequence[CloneCandidate]) -> bool:
    """Whether an officer has said no to as much: jumps go on, and alone they are no news."""
    if verdict.conflicts:
        return False
    return any(c.state == "rejected" and verdict.score < 2.0 * c.score for c in known)


def _evidence(conflict: Any) -> dict[str, Any]:
    return {
        "from": conflict.start.checkpoint_id,
        "to": conflict.end.checkpoint_id,
        "seconds": round(conflict.duration_s, 3),
        "at": conflict.end.at.isoformat(),
        "passages": [str(conflict.start.passage_id), str(conflict.end.passage_id)],
    }


def _key(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(evidence["passages"])


def look_at_queue(
    session: Session, inquiry: Inquiry, context: AppContext, *, state: str = "open"
) -> tuple[CandidateView, ...]:
    """The candidates in a state, most likely first; accounted for; needs a writing transaction.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: no such state.
    """
    purpose = stated(inquiry, context.settings)
    if state not in STATES:
        raise InvalidRequest(f"state: one of {', '.join(STATES)}", field="state")
    sight = accounted_sight(session, inquiry, context.settings, None)
    rows = session.scalars(
        select(CloneCandidate)
        .where(CloneCandidate.state == state)
        .order_by(CloneCandidate.score.desc(), CloneCandidate.id.desc())
        .limit(2 * _LISTED)
    ).all()
    views = _views(session, rows, sight)[:_LISTED]
    record(session, inquiry, "clone.look", purpose, {"state": state}, found=len(views))
    return views


def _views(
    session: Session, rows: Sequence[CloneCandidate], sight: Sight
) -> tuple[CandidateView, ...]:
    findings: dict[str, Finding] = {
        row.plate: from_json(row.plate, "", row.score, row.detail) for row in rows
    }
    views = {view.plate: view for view in shown(session, tuple(findings.values()), sight)}
    found = []
    for row in rows:
        places = sorted({place for e in row.evidence for place in (e["from"], e["to"])})
        finding = views.get(row.plate)
        # a conflict is shown to whoever sees both its ends
        if finding is None or not all(sight.covers(place) for place in places):
            continue
        found.append(
            CandidateView(
                row.id, row.plate, row.cause, row.score, row.state, row.found_at, row.last_at,
                row.conflicts, finding, tuple(places), row.decided_at, row.decided_by, row.note,
            )
        )  # fmt: skip
    return tuple(found)


def decide(  # noqa: PLR0913 - of which, by whom, what, whose clock, why
    session: Session,
    candidate_id: int,
    inquiry: Inquiry,
    context: AppContext,
    *,
    answer: str,
    checkpoint_id: str = "",
    note: str = "",
) -> str:
    """Say what a candidate is, and learn from it; returns its new state. A writing transaction.

    Raises:
        PurposeMissing: purpose or case number is missing.
        NotFound: no such candidate, or none that he may see.
        Conflict: somebody has answered already.
        InvalidRequest: no such answer, or the clock is of a checkpoint that it does not touch.
    """
    purpose = stated(inquiry, context.settings)
    if answer not in ANSWERS:
        raise InvalidRequest(f"answer: one of {', '.join(ANSWERS)}", field="answer")
    sight = accounted_sight(session, inquiry, context.settings, None)
    row = session.scalar(
        select(CloneCandidate).where(CloneCandidate.id == candidate_id).with_for_update()
    )
    if row is None or not _views(session, [row], sight):
        raise NotFound(f"no candidate {candidate_id}")
    if row.state != "open":
        raise Conflict("answer: somebody has answered already", field="answer")
    touched = {place for e in row.evidence for place in (e["from"], e["to"])}
    if answer == "clock_fault" and checkpoint_id not in touched:
        raise InvalidRequest("checkpoint: one of the conflicts", field="checkpoint")
    row.state = "rejected" if answer in {"misread", "drivable"} else answer
    row.decided_at, row.decided_by = inquiry.now, inquiry.account.name
    row.note = note.strip()[:1000] or None
    _learn(session, row, answer, checkpoint_id, inquiry)
    session.flush()
    also = _close_with_it(session, checkpoint_id, inquiry) if answer == "clock_fault" else 0
    record(
        session, inquiry, "clone.decide", purpose,
        {"candidate": row.id, "plate": row.plate, "answer": answer,
         "checkpoint": checkpoint_id or None, "also_closed": also},
    )  # fmt: skip
    return row.state


def _learn(
    session: Session, row: CloneCandidate, answer: str, checkpoint_id: str, inquiry: Inquiry
) -> None:
    at = [datetime.fromisoformat(e["at"]) for e in row.evidence]

    def lesson(kind: str, subject: str, value: float = 0.0, until: datetime | None = None) -> None:
        session.add(
            CloneLesson(
                kind=kind, subject=subject, value=value, since=min(at) - _AROUND, until=until,
                candidate_id=row.id, taught_at=inquiry.now, taught_by=inquiry.account.name,
            )
        )  # fmt: skip

    if answer == "clock_fault":
        lesson("clock", checkpoint_id, until=max(at) + _AROUND)
    elif answer == "drivable":
        for e in row.evidence:
            lesson("pair", f"{e['from']} {e['to']}", value=max(float(e["seconds"]), 1.0))
    elif answer == "misread":
        # which of the two was misread nobody said: the pair is not held together again
        for e in row.evidence:
            lesson("misread", e["passages"][1])


def _close_with_it(session: Session, checkpoint_id: str, inquiry: Inquiry) -> int:
    """Open candidates all of whose conflicts touch that clock within its time."""
    clock = session.scalars(
        select(CloneLesson)
        .where(CloneLesson.kind == "clock", CloneLesson.subject == checkpoint_id)
        .order_by(CloneLesson.id.desc())
    ).first()
    if clock is None or clock.until is None:
        return 0
    closed = 0
    for other in session.scalars(select(CloneCandidate).where(CloneCandidate.state == "open")):
        if all(
            checkpoint_id in {e["from"], e["to"]}
            and clock.since <= datetime.fromisoformat(e["at"]) <= clock.until
            for e in other.evidence
        ):
            other.state, other.decided_at = "clock_fault", inquiry.now
            other.decided_by = inquiry.account.name
            closed += 1
    session.flush()
    return closed
