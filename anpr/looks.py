"""Deciding for one plate from one or several looks at it.

A look is the lattice of one cut. Corners are never exact, and a cut that touches a character at
the edge costs it; a second, wider cut errs differently. Looks are pooled as a mixture: a text's
probability is the mean of what the looks give it, so a text that only one cut supports ends up
doubtful and one that all support stays sure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from anpr.color import ColorRead
from anpr.ctc import Lattice, Spelled, hypotheses, spell
from anpr.plate import Decoded, Hypothesis, decode, with_doubt, with_lost_characters


class Look(NamedTuple):
    """The lattice of one cut, and how much of the plate's width it had added at each side."""

    lattice: Lattice
    margin_u: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was decided for one plate."""

    decoded: Decoded
    spelled: tuple[Spelled, ...]
    """The characters of ``decoded.source`` as they lie along the look that supports it best."""
    rows: int


def decide(looks: Sequence[Look], ground: ColorRead, rows: int) -> Reading:
    """Decide from at least one look at a plate of so many rows on this ground."""
    considered = [hypotheses(look.lattice) for look in looks]
    decoded = decode(pooled(considered), ground.colors)
    best = 0
    if len(looks) > 1:
        best = max(range(len(looks)), key=lambda i: _support(considered[i], decoded.source))
    spelled = spell(looks[best].lattice, decoded.source)
    if rows == 1:
        margin = looks[best].margin_u
        positions = [s.position * (1 + 2 * margin) - margin for s in spelled]
        decoded = with_lost_characters(decoded, positions, ground.colors)
    return Reading(with_doubt(decoded), spelled, rows)


def pooled(considered: Sequence[Sequence[Hypothesis]]) -> list[Hypothesis]:
    """The mixture of several lists of hypotheses, each list weighing the same."""
    if len(considered) == 1:
        return list(considered[0])
    totals: dict[str, float] = {}
    for hypotheses_of_look in considered:
        for h in hypotheses_of_look:
            totals[h.text] = totals.get(h.text, 0.0) + h.probability / len(considered)
    return [Hypothesis(text, min(1.0, p)) for text, p in totals.items()]


def _support(considered: Sequence[Hypothesis], text: str) -> float:
    return next((h.probability for h in considered if h.text == text), -1.0)
