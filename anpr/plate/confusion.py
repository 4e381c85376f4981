"""How alike characters look, and how far two plates are apart by that measure.

A cost of 0 means the same glyph, 1 means unrelated. The values are starting points collected from
reported misreads of plate readers, to be replaced by what operators correct.
"""

from itertools import combinations
from typing import Final

from anpr.plate.vocabulary import UNREAD

UNRELATED: Final = 1.0
UNREAD_COST: Final = 0.2
"""Of a ``?`` against any character: it contradicts nothing, but it confirms nothing either."""
GAP_COST: Final = 1.0
"""Of a character that only one of two plates has."""


def _pairs(cost: float, pairs: str) -> dict[frozenset[str], float]:
    return {frozenset(pair): cost for pair in pairs.split()}


def _groups(cost: float, groups: str) -> dict[frozenset[str], float]:
    return {frozenset(pair): cost for group in groups.split() for pair in combinations(group, 2)}


COSTS: Final[dict[frozenset[str], float]] = {
    # Later lines win: the closest pairs stand last.
    **_groups(0.45, "津浙沪渝 鲁晋青吉 苏鄂赣 闽贵皖 豫渝 粤新 京宁 川辽 黑冀 桂湘陕"),
    **_groups(0.4, "港澳 挂桂"),
    **_pairs(0.4, "68 89 08 06 0C 35 MN MW NH KX XY VY PF PR A4 9P J1 HM"),
    **_pairs(0.3, "DQ 6G CG UV 7T 17 EF 38 BD"),
    **_pairs(0.2, "0D 0Q 8B 2Z 5S 1L 1T"),
    **_pairs(0.0, "0O 1I"),
}
"""Cost of reading one character of the pair for the other."""


def substitution_cost(a: str, b: str) -> float:
    """Cost in [0, 1] of taking character ``a`` for ``b``; symmetric, 0 for the same glyph."""
    if a == b:
        return 0.0
    if UNREAD in {a, b}:
        return UNREAD_COST
    return COSTS.get(frozenset((a, b)), UNRELATED)


def distance(a: str, b: str) -> float:
    """Weighted edit distance of two normalised plates; 0 for equal ones, symmetric.

    A lost or added character costs 1, a substitution what the two characters cost. Under about
    0.5 two reads may well be one plate; from 2 on they are two.
    """
    if a == b:
        return 0.0
    previous = [j * GAP_COST for j in range(len(b) + 1)]
    for i, char_a in enumerate(a, start=1):
        current = [i * GAP_COST]
        for j, char_b in enumerate(b, start=1):
            current.append(
                min(
                    previous[j - 1] + substitution_cost(char_a, char_b),
                    previous[j] + GAP_COST,
                    current[j - 1] + GAP_COST,
                )
            )
        previous = current
    return previous[-1]
