"""Why a vehicle is taken for one that is looked for: as alerts keep it, and in a line."""

from collections.abc import Mapping
from typing import Any

from anpr.watch import Match


def explanation_of(match: Match) -> dict[str, Any]:
    """What an alert keeps of a match: the kind, what was wanted, and each place that differs."""
    return {
        "kind": match.kind,
        "wanted": match.wanted,
        "score": round(match.cost, 4),
        "differences": [
            {"place": d.place, "read": d.read, "wanted": d.wanted, "score": round(d.cost, 4)}
            for d in match.differences
        ],
    }


def said(plate: str, explanation: Mapping[str, Any]) -> str:
    """In a line: ``read 鲁H8234B, matched 鲁H82348: B≈8 (0.31)``.

    Args:
        plate: As it was read.
        explanation: As :func:`explanation_of` gives it; {} of an alert from before there was any.
    """
    why = " ".join(
        f"{d['read']}≈{d['wanted']} ({d['score']:.2f})" for d in explanation.get("differences", ())
    )
    wanted = explanation.get("wanted") or plate
    return f"read {plate or '-'}, matched {wanted or '-'}" + (f": {why}" if why else "")
