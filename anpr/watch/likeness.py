r"""What else a character may be that was read: how much the read speaks against it.

The cost of taking a character that was read as ``a`` for ``b`` is the logarithm of how much
likelier ``a`` is than ``b``:

    cost = log10(p(a) / p(b)) / 3,  limited to [0, 1]

so that 0 is "as likely", 0.33 "ten times less", 1 "a thousand times less" and no match at all.
p(a) is the score of the read. p(b) is what the reader itself gave ``b`` as an alternative, or, if
that is more, the part of its remaining doubt that falls to a look-alike:
``(1 - p(a)) * 10 ** (-2.5 * substitution_cost)`` after the table of confusions. A character that
was read surely and looks like nothing else therefore has no "instead" at all: uncertain *and*
confusable, never any one character. Only of an unsure province every other one may stand there, for
that is how readers err; costs are divided by 5 instead of 3 in that place. Scores are taken to be sure to 99.5 % at most, since readers
are at times surely wrong (association matrices after Oliveira-Neto et al., TR-C 21, 2012).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log10
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character as read: what was chosen, how surely in [0, 1], and what else was considered."""

    char: str
    score: float
    alternatives: tuple[tuple[str, float], ...] = ()


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


def _like() -> dict[str, tuple[tuple[str, float], ...]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for pair, cost in COSTS.items():
        if not cost:  # one spelling of the two is never read: anpr.plate.normalise
            continue
        a, b = sorted(pair)
        for one, other in ((a, b), (b, a)):
            found.setdefault(one, []).append((other, 10 ** (-SHARPNESS * cost)))
    return {one: tuple(sorted(others, key=lambda o: -o[1])) for one, others in found.items()}


_LIKE: Final = _like()
_LIKE_FIRST: Final = {
    one: tuple(
        (other, max(ANY_PROVINCE, dict(_LIKE.get(one, ())).get(other, 0.0)))
        for other in PROVINCES
        if other != one
    )
    for one in PROVINCES
}
_CLOSEST: Final = max(share for others in _LIKE.values() for _, share in others)


def likely_instead(glyph: Glyph, place: int, limit: float) -> tuple[tuple[str, float], ...]:
    """Which characters may stand where one was read, each with its cost, cheapest first.

    Args:
        glyph: The character as read.
        place: Where, from 0; the first place of a plate has provinces alone.
        limit: Costs above are left out.
    """
    if glyph.char == UNREAD:
        return _unread(glyph, place, limit)
    decades = PROVINCE_DECADES if place == 0 else DECADES
    sure = min(max(glyph.score, LEAST_SURE), SUREST)
    floor = sure * 10 ** (-decades * limit)
    likely = {char: score for char, score in glyph.alternatives if score >= floor}
    if (1 - sure) * _CLOSEST >= floor:
        for char, share in (_LIKE_FIRST if place == 0 else _LIKE).get(glyph.char, ()):
            likely[char] = max(likely.get(char, 0.0), (1 - sure) * share)
    costs = (
        (char, min(1.0, max(0.0, log10(sure / score) / decades)))
        for char, score in likely.items()
        if score > 0 and char not in {glyph.char, UNREAD}
    )
    return tuple(
        sorted((one for one in costs if one[1] <= limit), key=lambda one: (one[1], one[0]))
    )


def _unread(glyph: Glyph, place: int, limit: float) -> tuple[tuple[str, float], ...]:
    """What may stand in an unread place: what was considered and not claimed, else anything."""
    if limit < UNREAD_COST:
        return ()
    if not glyph.alternatives:
        if limit < ANYTHING_COST:
            return ()
        return tuple((char, ANYTHING_COST) for char in (PROVINCES if place == 0 else _SERIAL))
    best = max(score for _, score in glyph.alternatives)
    return tuple(
        (char, cost)
        for char, score in sorted(glyph.alternatives, key=lambda one: (-one[1], one[0]))
        if score > 0
        and char != UNREAD
        and (cost := UNREAD_COST + log10(best / score) / DECADES) <= min(limit, 1.0)
    )


def differences(
    wanted: str, read: Sequence[Glyph], tolerance: float
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


def plates_meant(read: Sequence[Glyph], tolerance: float) -> Iterator[str]:
    """Every plate that :func:`differences` accepts for a read, the read's own text first."""
    text = "".join(glyph.char for glyph in read)
    unread = text.count(UNREAD)
    if unread > MAX_UNREAD:
        return
    if not unread:
        yield text
    share = 10 ** (-DECADES * tolerance)
    first = 10 ** (-PROVINCE_DECADES * tolerance)
    choices = [
        (place, likely)
        for place, glyph in enumerate(read)
        if _is_doubtful(glyph, share if place else first)
        and (likely := likely_instead(glyph, place, tolerance))
    ]
    for n, (place, likely) in enumerate(choices):
        before, after = text[:place], text[place + 1 :]
        for char, cost in likely:
            one = before + char + after
            if UNREAD not in one:
                yield one
            left = tolerance + 1e-9 - cost
            for other_place, others in choices[n + 1 :]:
                if others[0][1] <= left:
                    yield from _also(one, other_place, others, left)


def _is_doubtful(glyph: Glyph, share: float) -> bool:
    """Whether anything may be as likely as that share of what was read; most often nothing is."""
    score = glyph.score
    sure = SUREST if score > SUREST else max(LEAST_SURE, score)
    floor = sure * share
    if (1 - sure) * _CLOSEST >= floor or glyph.char == UNREAD:
        return True
    for _, other in glyph.alternatives:  # noqa: SIM110 - a generator takes twice as long
        if other >= floor:
            return True
    return False


def _also(text: str, place: int, likely: Iterable[tuple[str, float]], left: float) -> Iterator[str]:
    """The text with a second place changed, as far as the tolerance that is left goes."""
    before, after = text[:place], text[place + 1 :]
    if UNREAD in before or UNREAD in after:
        return
    for char, cost in likely:
        if cost > left:
            return
        yield before + char + after


def misreads_of(plate: str, tolerance: float, score: float = 0.6) -> list[tuple[str, float]]:
    """The misreads of a plate that a tolerance accepts, if the reader is as unsure as ``score``.

    What a preview shows: reads in which one place shows a look-alike, cheapest first.
    """
    found: list[tuple[str, float]] = []
    for place, char in enumerate(plate):
        for other, _ in _LIKE.get(char, ()):
            back = likely_instead(Glyph(other, score), place, tolerance)
            cost = next((cost for meant, cost in back if meant == char), None)
            if cost is not None:
                found.append((plate[:place] + other + plate[place + 1 :], cost))
    return sorted(found, key=lambda one: (one[1], one[0]))
