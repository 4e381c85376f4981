"""From what the network considered to the plate that is claimed.

The recogniser offers hypotheses: whole texts with probabilities. The grammar and the colour of the
ground are the prior: each hypothesis is weighed by how plausible its form is on each colour, and
colour and text are decided together. So a green plate whose eighth character was weakly seen keeps
it, and a blue ground that the colour network took for green does not cost a character.

Nothing is invented. A text is one that the network proposed, except that the letters O and I,
which do not exist in a Chinese serial, become 0 and 1, and that a foreign text may have one for the
other where its order of letters and digits demands it. A place that no form allows, a place that
is not sure, and a place where a character must have been lost become ``?``. A foreign text is
never bent into a Chinese one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from anpr.plate.foreign import respelled
from anpr.plate.grammar import (
    AUTHORITY,
    MOST_SERIAL_LETTERS,
    Contradiction,
    Form,
    PlateNumber,
    forms_of_length,
    is_chinese_character,
    parse,
)
from anpr.plate.normalise import normalise
from anpr.plate.regions import CITIES
from anpr.plate.vocabulary import PROVINCES, RETIRED, SERIAL, UNREAD, PlateColor, PlateKind

UNSURE_BELOW: Final = 0.4
"""A character less probable than this is not claimed."""
FEWEST_CLAIMED: Final = 4
MOST_UNREAD: Final = 2
"""A plate with fewer claimed characters, or more unread places, counts as unread altogether."""

LEAST_BELIEF: Final = 0.1
"""A plate believed less than this is unread too: of such reads hardly one was right."""

# Weights of hypotheses. They say how much less often a text of this look turns out to be right,
# compared with a legal plate on its own ground; tens, not units, matter.
_CONTRADICTED: Final = 0.02
_ILLEGAL: Final = 0.02
_RARE: Final = 0.5
_UNKNOWN_PREFIX: Final = 0.3
"""Of a province with a letter that no authority of it is known to use; the list has gaps."""
_TOO_MANY_LETTERS: Final = 0.001
"""A serial of three letters: fewer than one plate in three thousand may have one."""
_RETIRED: Final = 0.5
_RETIRED_ON_COLOR: Final = 0.03
"""The withdrawn military series stood on white; on a civil ground another character is likelier."""
_CIVIL_GROUNDS: Final = frozenset(
    {PlateColor.BLUE, PlateColor.YELLOW, PlateColor.GREEN, PlateColor.YELLOW_GREEN}
)
_FOREIGN_ON: Final = {
    PlateColor.OTHER: 1.0,
    PlateColor.WHITE: 0.5,
    PlateColor.YELLOW: 0.3,
    PlateColor.BLACK: 0.3,
    PlateColor.UNKNOWN: 0.3,
}
_FOREIGN_ELSEWHERE: Final = 0.1
_MISSING: Final = 0.1
"""Weight of whatever the network considered beyond the hypotheses given."""
_RARE_FORMS: Final = frozenset({"military", "agricultural", "civil_aviation", "emergency"})

_CONTRADICTION_LEAVES: Final = 0.3
"""Of the probability of a text that contradicts itself or its ground: it was the best on offer, but
the right one was probably not considered."""

_COLOR_DOUBT: Final = 0.03
"""Part of the colour's probability spread over all colours: colour networks are too sure."""
_GROUNDS: Final = tuple(c for c in PlateColor if c is not PlateColor.UNKNOWN)

_STANDARD: Final = tuple(x / 440 for x in (38, 95, 174, 231, 288, 345, 402))
"""Centres of the characters of a one-row plate 440 mm wide, in parts of its width (GA 36)."""
_NEW_ENERGY: Final = tuple(x / 480 for x in (38, 91, 183, 235, 287, 339, 391, 443))
"""The same for the 480 mm wide new-energy plate."""
_LAYOUT_TOLERANCE: Final = 0.035
"""Root mean square of deviations up to which positions fit a layout, in parts of the width."""
_SURELY_GREEN: Final = 0.8
_SURELY_YELLOW: Final = 0.8


class Hypothesis(NamedTuple):
    """A whole text with its probability by the network alone, in [0, 1]."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """The plate that is claimed."""

    number: PlateNumber
    probability: float
    """Posterior of the whole text, [0, 1]; not yet calibrated."""
    scores: tuple[float, ...]
    """Posterior of each character of ``number.text``; 0 for a lost one."""
    source: str
    """The hypothesis it came from, as the network wrote it; "" if there was none."""
    places: tuple[int | None, ...]
    """For each character of ``number.text`` its place in ``source``; None for a lost one."""

    @property
    def belief(self) -> float:
        """Probability that everything claimed is right, [0, 1]; unread places claim nothing."""
        if UNREAD not in self.number.text:
            return self.probability
        pairs = zip(self.number.text, self.scores, strict=True)
        return math.prod(score for char, score in pairs if char != UNREAD)


def decode(hypotheses: Sequence[Hypothesis], colors: Mapping[PlateColor, float]) -> Decoded:
    """The most probable plate given what the network considered and the colour of the ground.

    ``hypotheses`` are distinct texts; their probabilities add up to at most 1, and what is missing
    from 1 counts against every decision. ``colors`` is a distribution; an empty one means that the
    colour is not known. All characters are claimed here: see :func:`with_doubt`.
    """
    ground = _doubted(colors)
    found = _by_text(hypotheses, ground)
    nothing = sum([h.probability for h in hypotheses if not _spelling(h.text)])
    if nothing >= max((weight for weight, _ in found.values()), default=0.0):
        color = max(ground, key=lambda c: ground[c])
        return Decoded(parse("", color), 0.0, (), "", ())
    missing = max(0.0, 1.0 - sum([h.probability for h in hypotheses])) * _MISSING
    total = sum([weight for weight, _ in found.values()]) + nothing + missing
    text = max(found, key=lambda t: (found[t][0], t))
    weight, source = found[text]
    worth = _worth(text)
    color = max(ground, key=lambda c: ground[c] * worth[c])
    as_long = [(t, w) for t, (w, _) in found.items() if len(t) == len(text)]
    scores = tuple(
        [
            min(1.0, sum([w for t, w in as_long if t[i] == char]) / total)
            for i, char in enumerate(text)
        ]
    )
    number = parse(text, color)
    probability = min(1.0, weight / total)
    if number.contradictions:
        probability *= _CONTRADICTION_LEAVES
    return Decoded(number, probability, scores, source, _places(source, text))


def _by_text(
    hypotheses: Sequence[Hypothesis], ground: Mapping[PlateColor, float]
) -> dict[str, tuple[float, str]]:
    """Normalised text to its weight and to the strongest hypothesis behind it."""
    found: dict[str, tuple[float, str]] = {}
    for h in sorted(hypotheses, key=lambda h: -h.probability):
        text = _spelling(h.text)
        worth = _worth(text)
        weight = h.probability * sum([p * worth[c] for c, p in ground.items()])
        if text and weight > 0:
            so_far, source = found.get(text, (0.0, h.text))
            found[text] = (so_far + weight, source)
    return found


@lru_cache(maxsize=4096)
def _spelling(text: str) -> str:
    """:func:`normalise`, remembered: a vehicle shows the same texts for many frames."""
    return normalise(text)


def _places(source: str, text: str) -> tuple[int | None, ...]:
    """Where each character of the normalised text stands in the source (separators fall out)."""
    if source == text:
        return tuple(range(len(text)))
    kept = [i for i, char in enumerate(source) if normalise(char)]
    offset = len(kept) - len(text)  # a leading colour word is dropped as a whole
    if offset < 0:
        return (None,) * len(text)
    return tuple(kept[offset:])


def _doubted(colors: Mapping[PlateColor, float]) -> dict[PlateColor, float]:
    total = sum(colors.values())
    if total <= 0:
        return {PlateColor.UNKNOWN: 1.0}
    known, doubt = (1 - _COLOR_DOUBT) / total, _COLOR_DOUBT / len(_GROUNDS)
    return {c: known * colors.get(c, 0.0) + doubt for c in _GROUNDS}


def plausibility(text: str, color: PlateColor) -> float:
    """How much a text of this look on this ground is worth, in (0, 1]; 1 for a legal plate."""
    return _worth(text)[color]


@lru_cache(maxsize=4096)
def _worth(text: str) -> Mapping[PlateColor, float]:
    """:func:`plausibility` on every ground; a vehicle shows the same texts for many frames."""
    return MappingProxyType({color: _worth_of(parse(text, color)) for color in PlateColor})


def _worth_of(number: PlateNumber) -> float:
    text = number.text
    if number.form is not None:
        if number.contradictions:
            return _CONTRADICTED
        worth = _RARE if number.form.name in _RARE_FORMS else 1.0
        if number.form.serial_letters(text) > MOST_SERIAL_LETTERS:
            worth *= _TOO_MANY_LETTERS
        return worth * (_UNKNOWN_PREFIX if _has_unknown_prefix(number.form, text) else 1.0)
    if not any(is_chinese_character(char) for char in text):
        return _FOREIGN_ON.get(number.color, _FOREIGN_ELSEWHERE)
    if text[0] in RETIRED and text[1:].isalnum() and text[1:].isascii():
        return _RETIRED_ON_COLOR if number.color in _CIVIL_GROUNDS else _RETIRED
    return _ILLEGAL


def _has_unknown_prefix(form: Form, text: str) -> bool:
    return form.places[:2] == (PROVINCES, AUTHORITY) and text[:2] not in CITIES


def with_lost_characters(
    decoded: Decoded, positions: Sequence[float], colors: Mapping[PlateColor, float]
) -> Decoded:
    """Put a ``?`` where the layout of a one-row plate shows that a character was lost.

    ``positions`` are the centres of the characters of ``decoded.source`` along the plate, 0 at its
    left and 1 at its right edge. Two losses are known: one of the eight characters of a green
    plate (with seven it contradicts its colour), and the province of an ordinary plate. In both
    cases the characters that are there must stand where they stand on such a plate, and closer
    than on any other: a foreign plate is not completed into a Chinese one.
    """
    text = decoded.number.text
    if len(positions) != len(decoded.source) or any(p is None for p in decoded.places):
        return decoded
    at = [positions[p] for p in decoded.places if p is not None]
    form = decoded.number.form
    if form is not None and form.name == "standard" and _is_green(colors):
        misfits = [_misfit(at, _NEW_ENERGY[:k] + _NEW_ENERGY[k + 1 :]) for k in range(8)]
        k = min(range(8), key=lambda i: misfits[i])
        if misfits[k] <= min(_LAYOUT_TOLERANCE, _misfit(at, _STANDARD)):
            greens = (PlateColor.GREEN, PlateColor.YELLOW_GREEN)
            return _inserted(decoded, k, max(greens, key=lambda c: colors.get(c, 0.0)))
    if (
        len(text) == len(_STANDARD) - 1
        and text[0] in AUTHORITY
        and all(char in SERIAL for char in text[1:])
        and decoded.number.color in {PlateColor.BLUE, PlateColor.YELLOW}
        and _misfit(at, _STANDARD[1:]) <= _LAYOUT_TOLERANCE
    ):
        return _inserted(decoded, 0, decoded.number.color)
    return decoded


def _is_green(colors: Mapping[PlateColor, float]) -> bool:
    green = colors.get(PlateColor.GREEN, 0.0) + colors.get(PlateColor.YELLOW_GREEN, 0.0)
    return green >= _SURELY_GREEN


def _misfit(at: Sequence[float], layout: Sequence[float]) -> float:
    if len(at) != len(layout):
        return 1.0
    return float((sum((a - b) ** 2 for a, b in zip(at, layout, strict=True)) / len(at)) ** 0.5)


def _inserted(decoded: Decoded, k: int, color: PlateColor) -> Decoded:
    text, scores, places = decoded.number.text, decoded.scores, decoded.places
    return replace(
        decoded,
        number=parse(text[:k] + UNREAD + text[k:], color),
        scores=(*scores[:k], 0.0, *scores[k:]),
        places=(*places[:k], None, *places[k:]),
    )


def with_lost_upper_row(decoded: Decoded, colors: Mapping[PlateColor, float]) -> Decoded:
    """Put ``??`` before five characters that are the lower row of a yellow plate of two rows.

    For a plate known to have two rows of which only the lower one could be read. Other texts, and
    other grounds, stay as they are.
    """
    text = decoded.number.text
    yellow = colors.get(PlateColor.YELLOW, 0.0) >= _SURELY_YELLOW
    if len(text) != len(_STANDARD) - 2 or not yellow or any(c not in SERIAL for c in text):
        return decoded
    return _inserted(_inserted(decoded, 0, PlateColor.YELLOW), 0, PlateColor.YELLOW)


def claims_too_little(text: str) -> bool:
    """Whether so few places of a text are claimed that it counts as unread altogether."""
    unread = text.count(UNREAD)
    return unread > MOST_UNREAD or len(text) - unread < FEWEST_CLAIMED


def with_doubt(decoded: Decoded) -> Decoded:
    """Take back what is not sure: ``?`` for each doubtful place, "" if too little is left.

    Doubtful is a character less probable than ``UNSURE_BELOW``, and the one place that keeps an
    otherwise Chinese text from having any legal form.
    """
    decoded = _in_its_order(decoded)
    text = decoded.number.text
    offending = _offending_place(decoded.number)
    marked = text
    if offending is not None or min(decoded.scores, default=1.0) < UNSURE_BELOW:
        marked = "".join(
            UNREAD if score < UNSURE_BELOW or i == offending else char
            for i, (char, score) in enumerate(zip(text, decoded.scores, strict=True))
        )
    doubted = decoded
    if marked != text:
        number = parse(marked, decoded.number.color)
        if decoded.number.kind is PlateKind.FOREIGN:
            number = replace(number, kind=PlateKind.FOREIGN)
        doubted = replace(decoded, number=number)
    if claims_too_little(marked) or doubted.belief < LEAST_BELIEF:
        return Decoded(parse("", decoded.number.color), 0.0, (), "", ())
    return doubted


def _in_its_order(decoded: Decoded) -> Decoded:
    """A foreign plate with O and 0, I and 1 as its order of letters and digits has them."""
    number = decoded.number
    text = respelled(number.text) if number.kind is PlateKind.FOREIGN else number.text
    return decoded if text == number.text else replace(decoded, number=parse(text, number.color))


def _offending_place(number: PlateNumber) -> int | None:
    """The only place that contradicts the one form nearest to the text, if there is just one."""
    if Contradiction.NO_SUCH_FORM not in number.contradictions:
        return None
    misses = [(form, _violations(form, number.text)) for form in forms_of_length(len(number.text))]
    near = {places[0] for form, places in misses if len(places) == 1 and number.color in form.kinds}
    return near.pop() if len(near) == 1 else None


def _violations(form: Form, text: str) -> list[int]:
    return [
        i for i, (c, ok) in enumerate(zip(text, form.places, strict=True)) if c not in ok + UNREAD
    ]
