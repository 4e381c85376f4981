"""An analysis on somebody's behalf: purpose, what he may see, the answer, and its account.

The account is written in the transaction of the answer. The passages that show a finding are
looked up with the same eyes once more, so that a finding never shows what its reader may not see.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from server.analyses import ask, of_place, of_plate
from server.analyses.answering import Desk, Findings
from server.analyses.finding import Finding, Reason
from server.analyses.rows import views_of
from server.auth.sight import Sight
from server.context import AppContext
from server.passages.lookup import Inquiry, accounted_sight, record, stated
from server.passages.view import PassageView

_Worker = Callable[[Desk, Any], Findings]
_WORK: Mapping[str, _Worker] = {
    "companions": of_plate.companions,
    "clones": of_plate.clones,
    "nocturnal": of_plate.nights,
    "stays": of_plate.stays,
    "hidden": of_plate.hidden,
    "collision": of_place.collision,
    "first_entry": of_place.first_entry,
    "frequent": of_place.frequent,
    "counterfeit": of_place.counterfeit,
    "section_speed": of_place.section_speed,
    "flow": of_place.flows,
    "travel_times": of_place.travel_times,
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding with the passages that show it, in the order in which they say it."""

    plate: str
    other_plate: str
    plate_color: str
    other_color: str
    score: float
    reasons: tuple[Reason, ...]
    passages: tuple[PassageView, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an analysis."""

    kind: str
    findings: tuple[FindingView, ...]
    rows: tuple[Mapping[str, Any], ...]
    examined: int
    truncated: bool


def analyse(session: Session, question: ask.Ask, inquiry: Inquiry, context: AppContext) -> Answer:
    """Answer an analysis; needs a writing transaction.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: the question is not usable; the message names the field.
        ApprovalNeeded: it reaches further back than is open to him.
        Unavailable: a register that is asked does not answer.
    """
    purpose = stated(inquiry, context.settings)
    sight = accounted_sight(session, inquiry, context.settings, getattr(question, "plate", None))
    traffic = context.traffic.get(session)
    desk = Desk(session, sight, context.settings, inquiry.now, context.vehicles, traffic)
    found = _WORK[question.kind](desk, question)
    answer = Answer(
        kind=question.kind,
        findings=shown(session, found.findings, sight),
        rows=found.rows,
        examined=found.examined,
        truncated=found.truncated,
    )
    record(
        session, inquiry, "analysis.ask", purpose, asked(question),
        found=len(answer.findings) or len(answer.rows),
    )  # fmt: skip
    return answer


def shown(session: Session, findings: tuple[Finding, ...], sight: Sight) -> tuple[FindingView, ...]:
    """Findings with their passages; those of plates that one may not see are left out."""
    open_ones = [
        f
        for f in findings
        if f.plate not in sight.hidden_plates and f.other_plate not in sight.hidden_plates
    ]
    views = views_of(session, [p for f in open_ones for p in f.proofs], sight)
    return tuple(
        FindingView(
            f.plate, f.other_plate, f.plate_color, f.other_color, f.score, f.reasons,
            tuple(views[p.passage_id] for p in f.proofs if p.passage_id in views),
        )
        for f in open_ones
    )  # fmt: skip


def asked(question: ask.Ask | ask.AskCity) -> dict[str, Any]:
    """A question as the audit log keeps it: texts, whole numbers and lists of texts only."""
    given = question.model_dump(
        mode="json", exclude={"purpose", "case_number"}, exclude_defaults=True
    )
    given["kind"] = question.kind
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, list):
            flat[name] = [str(one) for one in value]
        elif isinstance(value, dict | float):
            flat[name] = str(value)
        else:
            flat[name] = value
    if "plate" in flat:
        flat["plate"] = str(flat["plate"]).upper()
    return flat
