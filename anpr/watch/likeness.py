r"""What else a character may be that was read: how much the read speaks against it.

The cost of taking a character that was read as ``a`` for ``b`` is the logarithm of how much
likelier ``a`` is than ``b``:

    cost = log10(p(a) / p(b)) / 3,  limited to [0, 1]

so that 0 is "as likely", 0.33 "ten times less", 1 "a thousand times less" and no match at all.
p(a) is the score of the read. p(b) is what the reader itself gave ``b`` as an alternative (no more
than p(a) leaves), or, if that is more, the part of its remaining doubt that falls to a look-alike:
``(1 - p(a)) * 10 ** (-2.5 * substitution_cost)`` after the table of confusions. A character that
was read surely and looks like nothing else therefore has no "instead" at all: uncertain *and*
confusable, never any one character. Only of an unsure province every other one may stand there, for
that is how readers err; costs are divided by 5 instead of 3 in that place. Scores are taken to be sure to 99.5 % at most, since readers
are at times surely wrong (association matrices after Oliveira-Neto et al., TR-C 21, 2012).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, log10
from typing import Final, NamedTuple, Protocol

from anpr.plate import PROVINCES, UNREAD
from anpr.plate.confusion import COSTS

MAX_DIFFERENT: Final = 2
"""Places in which a plate as read and the wanted one may differ."""
MAX_UNREAD: Final = 1
UNREAD_COST: Final = 0.2
"""Of the likeliest character of an unread place: nothing was sure enough to be claimed."""
ANYTHING_COST: Final = 0.5
"""Of any character in a place that nothing is told of: nothing contradicts, nothing confirms."""
SUREST: Final = 0.995
LEAST_SURE: Final = 0.3
DECADES: Final = 3.0
PROVINCE_DECADES: Final = 5.0
"""For the first place, instead of 3: provinces are the characters misread most, and of plates that
differ in nothing else hardly ever two are in one place."""
SHARPNESS: Final = 2.5
ANY_PROVINCE: Final = 0.03
"""The part of the doubt about a province that falls to each other one: measured, readers that are
unsure of a province are unsure among all of them, and the true one is often not among the five that
they name."""

_SERIAL = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class Considered(Protocol):
    """A character that the reader considered instead."""

    @property
    def char(self) -> str:
        """The character."""

    @property
    def score(self) -> float:
        """Its probability, in [0, 1]."""


class Character(Protocol):
    """A character as read; a wire message's is one, and so is a :class:`Glyph`."""

    @property
    def char(self) -> str:
        """What was chosen; ``?`` if nothing is claimed."""

    @property
    def score(self) -> float:
        """How surely, in [0, 1]."""

    @property
    def alternatives(self) -> Sequence[Considered]:
        """What else was considered."""


class Alternative(NamedTuple):
    """A character that was considered, and its probability."""

    char: str
    score: float


class Glyph(NamedTuple):
    """A character as read: what was chosen, how surely in [0, 1], and what else was considered."""

    char: str
    score: float
    alternatives: Sequence[Considered] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a plate as read differs from the wanted one."""

    place: int
    """From 0."""
    read: str
    wanted: str
    cost: float
    """In [0, 1]: how much the read speaks against the wanted character."""

    def __str__(self) -> str:
        """Write it as people read it: ``B≈8 (0.31)``."""
        return f"{self.read}≈{self.wanted} ({self.cost:.2f})"


def _shares() -> dict[str, dict[str, float]]:
    """The part of the doubt about a character that falls to each of its look-alikes."""
    found: dict[str, dict[str, float]] = {}
    for pair, cost in COSTS.items():
        if not cost:  # one spelling of the two is never read: anpr.plate.normalise
            continue
        a, b = sorted(pair)
        found.setdefault(a, {})[b] = found.setdefault(b, {})[a] = 10 ** (-SHARPNESS * cost)
    return found


_Table = dict[str, tuple[tuple[str, float], ...]]


def _surcharges(shares: dict[str, dict[str, float]], decades: float) -> _Table:
    """What a look-alike costs beyond an even share of all the doubt; the cheapest first."""
    return {
        char: tuple(
            sorted(
                ((other, -log10(share) / decades) for other, share in others.items()),
                key=lambda one: (one[1], one[0]),
            )
        )
        for char, others in shares.items()
    }


_SHARES: Final = _shares()
_SHARES_FIRST: Final = {
    one: {
        other: max(ANY_PROVINCE, _SHARES.get(one, {}).get(other, 0.0))
        for other in PROVINCES
        if other != one
    }
    for one in PROVINCES
}
_LIKE: Final = _surcharges(_SHARES, DECADES)
_LIKE_FIRST: Final = _surcharges(_SHARES_FIRST, PROVINCE_DECADES)


def _closest(shares: dict[str, dict[str, float]]) -> float:
    return max(share for others in shares.values() for share in others.values())


_LATER: Final = (DECADES, _LIKE, _closest(_SHARES))
_FIRST: Final = (PROVINCE_DECADES, _LIKE_FIRST, _closest(_SHARES_FIRST))
"""Of the first place and of the later ones: the scale of costs, what looks alike, the closest."""


def likely_instead(glyph: Character, place: int, limit: float) -> tuple[tuple[str, float], ...]:
    """Which characters may stand where one was read, each with its cost, cheapest first.

    Args:
        glyph: The character as read.
        place: Where, from 0; the first place of a plate has provinces alone.
        limit: Costs above are left out.
    """
    read, score = glyph.char, glyph.score
    if read == UNREAD:
        return _unread(glyph, place, limit)
    decades, like, closest = _LATER if place else _FIRST
    sure = min(max(score, LEAST_SURE), SUREST)
    costs: dict[str, float] = {}
    floor, left = sure * 10 ** (-decades * limit) * (1 - 1e-9), 1.0 - score
    for one in glyph.alternatives:
        other = min(one.score, left)
        if other >= floor and other > 0 and one.char not in {read, UNREAD}:
            cost = max(0.0, log10(sure / other) / decades)
            if cost <= limit and cost < costs.get(one.char, inf):
                costs[one.char] = cost
    if (1.0 - sure) * closest >= floor:
        even = log10(sure / (1.0 - sure)) / decades
        for char, more in like.get(read, ()):
            cost = max(0.0, even + more)
            if cost > limit:
                break
            if cost < costs.get(char, inf):
                costs[char] = cost
    if len(costs) < 2:
        return tuple(costs.items())
    return tuple(sorted(costs.items(), key=lambda one: (one[1], one[0])))


@lru_cache(maxsize=1_000)
def sure_above(tolerance: float, place: int) -> float:
    """The score above which a character that was read has no "instead", whatever was considered.

    Infinite if there is none: a tolerance so wide takes sure reads for others, too.
    """
    decades, _, closest = _LATER if place else _FIRST
    share = 10 ** (-decades * tolerance)
    if closest / (closest + share) > SUREST - 1e-6:
        return inf
    considered = 1 / (1 + share) if 1 / (1 + share) < SUREST else 1 - SUREST * share
    return max(considered, closest / (closest + share)) + 1e-9


def _unread(glyph: Character, place: int, limit: float) -> tuple[tuple[str, float], ...]:
    """What may stand in an unread place: what was considered and not claimed, else anything."""
    if limit < UNREAD_COST:
        return ()
    if not glyph.alternatives:
        if limit < ANYTHING_COST:
            return ()
        return tuple((char, ANYTHING_COST) for char in (PROVINCES if place == 0 else _SERIAL))
    best = max(one.score for one in glyph.alternatives)
    return tuple(
        (one.char, cost)
        for one in sorted(glyph.alternatives, key=lambda one: (-one.score, one.char))
        if one.score > 0
        and one.char != UNREAD
        and (cost := UNREAD_COST + log10(best / one.score) / DECADES) <= min(limit, 1.0)
    )


def differences(
    wanted: str, read: Sequence[Character], tolerance: float
) -> tuple[Difference, ...] | None:
    """In what a read differs from a wanted plate; None if by too much.

    Both have one length, differ in at most :data:`MAX_DIFFERENT` places of which at most
    :data:`MAX_UNREAD` is unread, and the costs add up to no more than the tolerance.
    """
    if len(wanted) != len(read):
        return None
    found: list[Difference] = []
    total, unread = 0.0, 0
    for place, (char, glyph) in enumerate(zip(wanted, read, strict=True)):
        if glyph.char == char:
            continue
        costs = likely_instead(glyph, place, tolerance)
        cost = next((cost for other, cost in costs if other == char), None)
        unread += glyph.char == UNREAD
        if cost is None or len(found) == MAX_DIFFERENT or unread > MAX_UNREAD:
            return None
        total += cost
        found.append(Difference(place, glyph.char, char, cost))
    return tuple(found) if total <= tolerance + 1e-9 else None


def plates_meant(read: Sequence[Character], tolerance: float) -> Iterator[str]:
    """Every plate that :func:`differences` accepts for a read, the read's own text first."""
    text = "".join([glyph.char for glyph in read])
    if UNREAD not in text:
        yield text
    yield from others_meant(text, read, tolerance)


def others_meant(text: str, read: Sequence[Character], tolerance: float) -> list[str]:
    """The plates besides its own text that a read may mean, as :func:`differences` accepts them.

    Args:
        text: The characters of ``read``.
        read: The read.
        tolerance: The bound of the summed costs.
    """
    unread = text.count(UNREAD)
    if unread > MAX_UNREAD:
        return []
    first, later = sure_above(tolerance, 0), sure_above(tolerance, 1)
    choices = [
        (place, likely)
        for place, glyph in enumerate(read)
        if (glyph.score <= (later if place else first) or glyph.char == UNREAD)
        and (likely := likely_instead(glyph, place, tolerance))
    ]
    found: list[str] = []
    for n, (place, likely) in enumerate(choices):
        before, after = text[:place], text[place + 1 :]
        for char, cost in likely:
            one = before + char + after
            if not unread or UNREAD not in one:
                found.append(one)
            left = tolerance + 1e-9 - cost
            for other_place, others in choices[n + 1 :]:
                if others[0][1] <= left:
                    _change(one, other_place, others, left, found)
    return found


def _change(
    text: str, place: int, likely: Sequence[tuple[str, float]], left: float, found: list[str]
) -> None:
    """Append the text with a second place changed, as far as the tolerance that is left goes."""
    before, after = text[:place], text[place + 1 :]
    if UNREAD in before or UNREAD in after:
        return
    for char, cost in likely:
        if cost > left:
            return
        found.append(before + char + after)


def misreads_of(plate: str, tolerance: float, score: float = 0.6) -> list[tuple[str, float]]:
    """The misreads of a plate that a tolerance accepts, if the reader is as unsure as ``score``.

    What a preview shows: reads in which one place shows a look-alike, cheapest first.
    """
    found: list[tuple[str, float]] = []
    for place, char in enumerate(plate):
        for other in _SHARES.get(char, ()):
            back = likely_instead(Glyph(other, score), place, tolerance)
            cost = next((cost for meant, cost in back if meant == char), None)
            if cost is not None:
                found.append((plate[:place] + other + plate[place + 1 :], cost))
    return sorted(found, key=lambda one: (one[1], one[0]))
