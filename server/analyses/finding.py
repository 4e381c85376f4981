"""What an analysis answers with: findings, each with why it is one and what shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from server.analyses.sighting import Sighting

Fact = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A passage that shows what is said: the key by which it is found."""

    plate: str
    at: datetime
    passage_id: UUID
    checkpoint_id: str

    @classmethod
    def of(cls, sighting: Sighting) -> "Proof":
        """The key of a sighting."""
        return cls(sighting.plate, sighting.at, sighting.passage_id, sighting.checkpoint_id)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code that pages translate, with the figures of the sentence."""

    code: str
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an answer. ``score``: higher is more; its meaning is the analysis's own."""

    plate: str
    score: float
    reasons: tuple[Reason, ...]
    proofs: tuple[Proof, ...] = ()
    other_plate: str = ""
    plate_color: str = "unknown"
    other_color: str = "unknown"


def to_json(finding: Finding) -> dict[str, Any]:
    """As results of jobs are kept."""
    return {
        "reasons": [{"code": r.code, "facts": dict(r.facts)} for r in finding.reasons],
        "proofs": [
            [p.plate, p.at.isoformat(), str(p.passage_id), p.checkpoint_id] for p in finding.proofs
        ],
        "colors": [finding.plate_color, finding.other_color],
    }


def from_json(plate: str, other_plate: str, score: float, kept: Mapping[str, Any]) -> Finding:
    """What :func:`to_json` has written."""
    return Finding(
        plate=plate,
        other_plate=other_plate,
        score=score,
        reasons=tuple(Reason(one["code"], one["facts"]) for one in kept["reasons"]),
        proofs=tuple(
            Proof(p, datetime.fromisoformat(at), UUID(key), place)
            for p, at, key, place in kept["proofs"]
        ),
        plate_color=kept["colors"][0],
        other_color=kept["colors"][1],
    )
