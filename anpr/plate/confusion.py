"""How alike characters look, and how far two plates are apart by that measure.

A cost of 0 means the same glyph, 1 means unrelated. The values are starting points collected from
reported misreads of plate readers, to be replaced by what operators correct.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, permutations
from typing import Final, Literal

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


@lru_cache(maxsize=1 << 14)
def substitution_cost(a: str, b: str) -> float:
    """Cost in [0, 1] of taking character ``a`` for ``b``; symmetric, 0 for the same glyph."""
    if a == b:
        return 0.0
    if UNREAD in {a, b}:
        return UNREAD_COST
    return COSTS.get(frozenset((a, b)), UNRELATED)


def look_alikes(text: str, most: float) -> tuple[str, ...]:
    """Every text that differs in one character which costs more than 0 and at most ``most``.

    ``most`` is under 1, the cost of what does not look alike: of those there is no end.
    """
    return tuple(
        text[:n] + other + text[n + 1 :]
        for n, char in enumerate(text)
        for other, cost in _likes().get(char, ())
        if 0 < cost <= most
    )


@cache
def _likes() -> dict[str, list[tuple[str, float]]]:
    """For each character those that look like it, with the cost."""
    found: dict[str, list[tuple[str, float]]] = {}
    for pair, cost in COSTS.items():
        for one, other in permutations(sorted(pair)):
            found.setdefault(one, []).append((other, cost))
    return found


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


DifferenceKind = Literal["unread", "alike", "wrong", "missing", "added"]
"""unread: one of the two is ``?``; alike: a pair that readers confuse; wrong: characters that do
not look alike; missing: only the wanted plate has it; added: only the plate that was read has it.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the plate that was read differs from the one that is wanted."""

    kind: DifferenceKind
    position: int
    """In the wanted plate, from 0; of an added character, the place it stands before."""
    wanted: str
    """The wanted character; '' if added."""
    read: str
    """The character that was read; '' if missing."""
    cost: float
    """In [0, 1]; see :func:`substitution_cost` and :data:`GAP_COST`."""

    @property
    def sign(self) -> str:
        """The difference in a few characters: ``8≈B``, ``7≠K``, ``-5`` (missing), ``+5``."""
        match self.kind:
            case "missing":
                return f"-{self.wanted}"
            case "added":
                return f"+{self.read}"
            case "wrong":
                return f"{self.wanted}≠{self.read}"
            case _:
                return f"{self.wanted}≈{self.read}"


def differences(wanted: str, read: str) -> tuple[Difference, ...]:
    """Why a plate that was read may be the wanted one: the cheapest way from one to the other.

    The costs add up to :func:`distance`. Among equally cheap ways the one with fewest differences
    is given. Both plates are normalised.
    """
    if len(wanted) == len(read):
        # two substitutions cost 2 at most, and any way that loses a character and finds another
        # at least 2: of plates that differ in so few places there is nothing to be searched
        apart = [n for n, (a, b) in enumerate(zip(wanted, read, strict=True)) if a != b]
        if len(apart) <= 2:
            found = (_substitution(n, wanted[n], read[n]) for n in apart)
            return tuple(one for one in found if one is not None)
    return _cheapest_way(wanted, read)


_SUBSTITUTED, _MISSING, _ADDED = 0, 1, 2
"""Steps from one plate to the other; of equally cheap ones the first is taken."""
_GAP_MILLIONTHS: Final = round(GAP_COST * 1_000_000)


def _cheapest_way(wanted: str, read: str) -> tuple[Difference, ...]:
    i, j = len(wanted), len(read)
    while i and j and wanted[i - 1] == read[j - 1]:  # a common end costs nothing in any way
        i, j = i - 1, j - 1
    # one cell: cost in millionths, whose sums are exact; number of differences; the last step
    before: list[tuple[int, int, int]] = [(n * _GAP_MILLIONTHS, n, _ADDED) for n in range(j + 1)]
    rows = [before]
    for at, char in enumerate(wanted[:i], start=1):
        row = [(at * _GAP_MILLIONTHS, at, _MISSING)]
        for place, other in enumerate(read[:j]):
            same, lost, more = before[place], before[place + 1], row[place]
            cost = _millionths(char, other)
            row.append(
                min(
                    (same[0] + cost, same[1] + (char != other), _SUBSTITUTED),
                    (lost[0] + _GAP_MILLIONTHS, lost[1] + 1, _MISSING),
                    (more[0] + _GAP_MILLIONTHS, more[1] + 1, _ADDED),
                )
            )
        rows.append(row)
        before = row
    found: list[Difference] = []
    while i or j:
        step = rows[i][j][2]
        if step == _ADDED:
            found.append(Difference("added", i, "", read[j - 1], GAP_COST))
        elif step == _MISSING:
            found.append(Difference("missing", i - 1, wanted[i - 1], "", GAP_COST))
        elif (change := _substitution(i - 1, wanted[i - 1], read[j - 1])) is not None:
            found.append(change)
        i -= step != _ADDED
        j -= step != _MISSING
    return tuple(reversed(found))


@lru_cache(maxsize=1 << 14)
def _millionths(wanted: str, read: str) -> int:
    return round(substitution_cost(wanted, read) * 1_000_000)


@lru_cache(maxsize=1 << 14)
def _substitution(position: int, wanted: str, read: str) -> Difference | None:
    if wanted == read:
        return None
    cost = substitution_cost(wanted, read)
    kind: DifferenceKind = "alike" if cost < UNRELATED else "wrong"
    if UNREAD in {wanted, read}:
        kind = "unread"
    return Difference(kind, position, wanted, read, cost)
