"""Reading a CTC lattice: pure numpy, no network, no grammar.

A lattice is what a CTC recogniser says of one plate: for each of T steps from left to right, the
probability of each character and of the blank that separates them (Graves et al. 2006). A text's
probability is the sum over all ways of laying it along the steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anpr.plate import Hypothesis

BLANK: Final = 0
BEAM_WIDTH: Final = 12
"""Hypotheses kept while going along the lattice, and returned at most."""
_CONSIDERED_FROM: Final = 0.002
"""A character less probable than this in a step starts no hypothesis there."""
_MOST_PER_STEP: Final = 6
_FEW: Final = 3
"""Beams that are not worth choosing among."""
_HOPELESS: Final = 1e-5
"""A hypothesis so much less probable than the best is given up: the prior, which weighs texts 1 to
50, cannot save it."""
_ALTERNATIVES_FROM: Final = 0.001
"""A probability below this, less than what starts a hypothesis, is never looked at."""
_MOST_ALTERNATIVES: Final = 5


Beams = dict[str, tuple[float, float]]
"""Prefix, of classes, to its probabilities of ending in a blank and in its last character."""
Row = dict[str, float]
"""Of one step the probability of each class worth a thought; a class is the character of its number."""
_BLANK_CLASS: Final = chr(BLANK)
_NEVER: Final = (0.0, 0.0)
_NOTHING_YET: Final[Beams] = {"": (1.0, 0.0)}


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Probabilities of one plate's characters along its width."""

    probabilities: NDArray[np.float32]
    """``(T, C)``, each row adds up to 1; class 0 is the blank."""
    alphabet: tuple[str, ...]
    """The C classes; ``alphabet[0]`` is the blank, written ""."""
    entries: list[tuple[int, int, float]] = field(init=False, repr=False)
    """Step, class and probability of whatever is worth a thought, step by step: of some 4,000
    probabilities a hundred. Gathered once, because right after a network has run a call of numpy
    costs as much as a hundred of Python's own steps."""

    def __post_init__(self) -> None:
        """Gather the entries."""
        flat = self.probabilities.ravel()
        places = (flat >= _ALTERNATIVES_FROM).nonzero()[0]
        values, classes = flat.take(places).tolist(), self.probabilities.shape[1]
        entries = [
            (place // classes, place % classes, value)
            for place, value in zip(places.tolist(), values, strict=True)
        ]
        object.__setattr__(self, "entries", entries)


def in_a_row(lattices: Sequence[Lattice]) -> Lattice:
    """The lattices of a plate's rows as one, a blank between: the same letter may stand on both."""
    if len(lattices) == 1:
        return lattices[0]
    between = np.zeros((1, lattices[0].probabilities.shape[1]), np.float32)
    between[0, BLANK] = 1.0
    parts = [between] * (2 * len(lattices) - 1)
    parts[::2] = [lattice.probabilities for lattice in lattices]
    return Lattice(np.concatenate(parts), lattices[0].alphabet)


class Spelled(NamedTuple):
    """One character of a text laid along a lattice."""

    position: float
    """Where along the picture its centre is, 0 at the left edge and 1 at the right one."""
    options: tuple[tuple[str, float], ...]
    """Characters considered there with their highest probabilities, best first."""


def best_path(lattice: Lattice) -> tuple[str, float]:
    """The text of the most probable classes, step by step, and the mean of their probabilities.

    This is what PaddleOCR's ``CTCLabelDecode`` returns as text and score; 0 for an empty text.
    """
    classes, steps = _collapsed(lattice)
    if not classes:
        return "", 0.0
    scores = lattice.probabilities[steps].max(axis=1)
    return "".join(lattice.alphabet[c] for c in classes), float(scores.mean())


def _collapsed(lattice: Lattice) -> tuple[list[int], list[int]]:
    """Classes of the best path without blanks and repetitions, and the step each starts at."""
    spans = _greedy_spans(lattice)
    return [cls for cls, _, _ in spans], [first for _, first, _ in spans]


def _greedy_spans(lattice: Lattice) -> list[tuple[int, int, int]]:
    """Class, first and last step of each run of one character in the best path."""
    spans: list[tuple[int, int, int]] = []
    before, first = BLANK, 0
    best = _best_classes(lattice)
    for step, cls in enumerate(best):
        if cls != before:
            if before != BLANK:
                spans.append((before, first, step - 1))
            before, first = cls, step
    if before != BLANK:
        spans.append((before, first, len(best) - 1))
    return spans


def _best_classes(lattice: Lattice) -> list[int]:
    """The most probable class of each step; of equals the first."""
    steps = len(lattice.probabilities)
    best, highest = [BLANK] * steps, [0.0] * steps
    for step, cls, value in lattice.entries:
        if value > highest[step]:
            best[step], highest[step] = cls, value
    if min(highest) == 0.0:  # of very many classes none need be worth an entry
        return [int(cls) for cls in lattice.probabilities.argmax(axis=1)]
    return best


def hypotheses(lattice: Lattice, width: int = BEAM_WIDTH) -> list[Hypothesis]:
    """The most probable texts with their probabilities, best first (prefix beam search).

    At most ``width`` of them; "" is one if it is probable. The probabilities add up to at most 1.

    A step that considers nothing is a blank, and what is on either side of a blank does not know of
    the other. So each run of steps between two blanks is searched by itself, where there is hardly
    ever more than one character to consider, and the runs' texts are strung together.
    """
    settled = _only_hypothesis(lattice)
    if settled is not None:
        return [settled]
    # From here on a prefix is a string of classes, not of characters: strings are joined and looked
    # up faster than tuples.
    rows, options = _considered(lattice)
    blanks = [row.get(_BLANK_CLASS, 0.0) for row in rows]
    between = 1.0
    for step, blank in enumerate(blanks):
        if step not in options and step - 1 not in options:
            between *= blank
    texts = {"": between}
    beams: Beams = {}
    for step, begun in options.items():
        after = step + 1
        if beams or len(begun) > 1 or after in options:
            beams = _grown(beams or _NOTHING_YET, rows[step], blanks[step], begun)
            beams = _strongest(beams, width)
        else:  # most runs take one step, and one character is considered
            beams = {"": (blanks[step], 0.0), begun[0]: (0.0, rows[step][begun[0]])}
        if after == len(blanks):
            ended = {prefix: a + b for prefix, (a, b) in beams.items()}
        elif after in options:
            continue
        else:
            ended = _ended(beams, rows[after], blanks[after])
        texts, beams = _strung(texts, ended, width), {}
    return _as_texts(texts, lattice.alphabet)


def _ended(beams: Beams, row: Row, blank: float) -> dict[str, float]:
    """The probability of each prefix after the step in which nothing begins any more."""
    return {
        prefix: (a + b) * blank + b * row.get(prefix[-1:], 0.0) if prefix else a * blank
        for prefix, (a, b) in beams.items()
    }


def _strung(texts: dict[str, float], run: dict[str, float], width: int) -> dict[str, float]:
    """Each text with each of a run's behind it, at most ``width`` of them and none hopeless."""
    hopeless = max(texts.values()) * max(run.values()) * _HOPELESS
    longer: dict[str, float] = {}
    for more, q in run.items():
        for text, p in texts.items():
            if p * q >= hopeless:
                whole = text + more
                longer[whole] = longer.get(whole, 0.0) + p * q
    if len(longer) <= width:
        return longer
    best = sorted([(p, text) for text, p in longer.items()], reverse=True)
    return {text: p for p, text in best[:width]}


def _grown(beams: Beams, row: Row, blank: float, options: list[str]) -> Beams:
    """The beams after one more step, in which ``options`` may begin."""
    grown: Beams = {}
    found = grown.get
    new = [(char, row[char]) for char in options]
    for prefix, (by_blank, by_char) in beams.items():
        both = by_blank + by_char
        last = prefix[-1:]
        stay_blank, stay_char = found(prefix, _NEVER)
        repeated = by_char * row.get(last, 0.0) if last else 0.0
        grown[prefix] = (stay_blank + both * blank, stay_char + repeated)
        for char, value in new:
            longer = prefix + char
            grown_blank, grown_char = found(longer, _NEVER)
            source = by_blank if char == last else both
            grown[longer] = (grown_blank, grown_char + source * value)
    return grown


def _strongest(beams: Beams, width: int) -> Beams:
    """At most so many beams, and none that is hopeless beside the best."""
    if len(beams) <= _FEW:
        return beams
    hopeless = max([a + b for a, b in beams.values()]) * _HOPELESS
    kept = {prefix: both for prefix, both in beams.items() if both[0] + both[1] > hopeless}
    if len(kept) <= width:
        return kept
    best = sorted([(a + b, prefix) for prefix, (a, b) in kept.items()], reverse=True)
    return {prefix: kept[prefix] for _, prefix in best[:width]}


def _only_hypothesis(lattice: Lattice) -> Hypothesis | None:
    """The text of a lattice that considers nothing else; most plates in good light are such."""
    steps = len(lattice.probabilities)
    peaks = [value for _, _, value in lattice.entries if value >= 1 - 2 * _CONSIDERED_FROM]
    if len(peaks) < steps:
        return None
    if sum(value >= _CONSIDERED_FROM for _, _, value in lattice.entries) > steps:
        return None
    text = "".join([lattice.alphabet[cls] for cls, _, _ in _greedy_spans(lattice)])
    return Hypothesis(text, min(1.0, math.prod(peaks)))


def _considered(lattice: Lattice) -> tuple[list[Row], dict[int, list[str]]]:
    """Each step's probabilities, and what may begin in each that has such, the likeliest first."""
    rows: list[Row] = [{} for _ in lattice.probabilities]
    found: dict[int, list[str]] = {}
    for step, cls, value in lattice.entries:
        rows[step][chr(cls)] = value
        if value >= _CONSIDERED_FROM and cls != BLANK:
            found.setdefault(step, []).append(chr(cls))
    for step, some in found.items():
        if len(some) > 1:
            found[step] = sorted(some, key=rows[step].__getitem__, reverse=True)[:_MOST_PER_STEP]
    return rows, found


def _as_texts(texts: dict[str, float], alphabet: Sequence[str]) -> list[Hypothesis]:
    by_text: dict[str, float] = {}
    for classes, p in texts.items():
        text = "".join([alphabet[ord(c)] for c in classes])
        by_text[text] = by_text.get(text, 0.0) + p
    found = [Hypothesis(text, min(1.0, p)) for text, p in by_text.items() if p > 0]
    return sorted(found, key=lambda h: (-h.probability, h.text))


def spell(lattice: Lattice, text: str) -> tuple[Spelled, ...]:
    """Lay a text along the lattice and say what was considered for each of its characters.

    ``text`` is one of the hypotheses: made of the alphabet's characters and short enough to fit.

    Raises:
        ValueError: it cannot be laid along this lattice.
    """
    wanted = _classes_of(lattice, text)
    if not wanted:
        return ()
    best = _greedy_spans(lattice)
    if [cls for cls, _, _ in best] == wanted:
        return _spelled(lattice, [(first, last) for _, first, last in best])
    return _spelled(lattice, _aligned_spans(lattice, wanted))


@lru_cache(maxsize=8)
def _index(alphabet: tuple[str, ...]) -> dict[str, int]:
    """The class of each character."""
    return {char: i for i, char in enumerate(alphabet) if i != BLANK}


def _classes_of(lattice: Lattice, text: str) -> list[int]:
    index = _index(lattice.alphabet)
    try:
        return [index[char] for char in text]
    except KeyError as error:
        raise ValueError(f"{text!r}: {error} is not in the alphabet") from error


def _aligned_spans(lattice: Lattice, classes: list[int]) -> list[tuple[int, int]]:
    """First and last step of each character in the most probable alignment (Viterbi)."""
    states = np.zeros(2 * len(classes) + 1, dtype=np.int64)
    states[1::2] = classes
    # A character may follow another one directly only if they differ.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    log_p = np.log(np.maximum(lattice.probabilities[:, states], 1e-12))
    penalty = np.where(skips, 0.0, -np.inf)
    # Two places more on the left: nothing comes from there.
    score = np.full((len(log_p), len(states) + 2), -np.inf)
    score[0, 2:4] = log_p[0, :2]
    for before, now, step in zip(score, score[1:, 2:], log_p[1:], strict=False):
        np.add(before[:-2], penalty, out=now)
        np.maximum(now, before[1:-1], out=now)
        np.maximum(now, before[2:], out=now)
        np.add(now, step, out=now)
    state = len(states) - 1 if score[-1, -1] >= score[-1, -2] else len(states) - 2
    if not np.isfinite(score[-1, state + 2]):
        raise ValueError(f"{len(classes)} characters do not fit into {len(log_p)} steps")
    return _traced_back(score, skips, state)


def _traced_back(
    score: NDArray[np.float64], skips: NDArray[np.bool_], state: int
) -> list[tuple[int, int]]:
    """First and last step of each character on the best way that ends in ``state``."""
    spans: dict[int, tuple[int, int]] = {}
    for t in range(len(score) - 1, -1, -1):
        if state % 2:
            spans[state] = (t, spans.get(state, (t, t))[1])
        if t == 0:
            break
        two, one, same = score[t - 1, state : state + 3].tolist()
        if one > same and (not skips[state] or one >= two):
            state -= 1
        elif skips[state] and two > same:
            state -= 2
    return [spans[s] for s in sorted(spans)]


def _spelled(lattice: Lattice, spans: Sequence[tuple[int, int]]) -> tuple[Spelled, ...]:
    """What was considered in each span of steps, ``(first, last)``, none beside another's."""
    steps = len(lattice.probabilities)
    inside = [-1] * steps
    for i, (first, last) in enumerate(spans):
        inside[first : last + 1] = [i] * (last + 1 - first)
    highest: list[dict[int, float]] = [{} for _ in spans]
    for step, cls, value in lattice.entries:
        if cls != BLANK and inside[step] >= 0:
            here = highest[inside[step]]
            if value > here.get(cls, 0.0):
                here[cls] = value
    blanks = lattice.probabilities[:, BLANK].tolist()
    return tuple(
        [
            Spelled(_centre(blanks, first, last) / steps, _as_options(lattice.alphabet, some))
            for (first, last), some in zip(spans, highest, strict=True)
        ]
    )


def _centre(blanks: list[float], first: int, last: int) -> float:
    """Where between two steps a character lies, in steps: the mean, weighed by its presence."""
    if first == last:
        return first + 0.5
    weights = [1.0 - blank + 1e-6 for blank in blanks[first : last + 1]]
    return sum([w * (first + i + 0.5) for i, w in enumerate(weights)]) / sum(weights)


def _as_options(alphabet: tuple[str, ...], some: dict[int, float]) -> tuple[tuple[str, float], ...]:
    """The most probable of them, best first."""
    ordered = sorted(some.items(), key=_less_probable)[: _MOST_ALTERNATIVES + 1]
    return tuple([(alphabet[cls], min(1.0, value)) for cls, value in ordered])


def _less_probable(option: tuple[int, float]) -> float:
    return -option[1]
