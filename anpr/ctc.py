"""Reading a CTC lattice: pure numpy, no network, no grammar.

A lattice is what a CTC recogniser says of one plate: for each of T steps from left to right, the
probability of each character and of the blank that separates them (Graves et al. 2006). A text's
probability is the sum over all ways of laying it along the steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anpr.plate import Hypothesis

BLANK: Final = 0
BEAM_WIDTH: Final = 12
"""Hypotheses kept while going along the lattice, and returned at most."""
_CONSIDERED_FROM: Final = 0.002
"""A character less probable than this in a step starts no hypothesis there."""
_MOST_PER_STEP: Final = 6
_HOPELESS: Final = 1e-5
"""A hypothesis so much less probable than the best is given up: the prior, which weighs texts 1 to
50, cannot save it."""
_ALTERNATIVES_FROM: Final = 0.001
"""A probability below this, less than what starts a hypothesis, is never looked at."""
_MOST_ALTERNATIVES: Final = 5


Beams = dict[tuple[int, ...], tuple[float, float]]
_NEVER: Final = (0.0, 0.0)


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
        steps, classes = np.nonzero(self.probabilities >= _ALTERNATIVES_FROM)
        values = self.probabilities[steps, classes].tolist()
        entries = list(zip(steps.tolist(), classes.tolist(), values, strict=True))
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


@dataclass(frozen=True, slots=True)
class Spelled:
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
    spans = []
    step = 0
    for cls, run in groupby(lattice.probabilities.argmax(axis=1).tolist()):
        first, step = step, step + sum(1 for _ in run)
        if cls != BLANK:
            spans.append((cls, first, step - 1))
    return spans


def hypotheses(lattice: Lattice, width: int = BEAM_WIDTH) -> list[Hypothesis]:
    """The most probable texts with their probabilities, best first (prefix beam search).

    At most ``width`` of them; "" is one if it is probable. The probabilities add up to at most 1.
    """
    settled = _only_hypothesis(lattice)
    if settled is not None:
        return [settled]
    options = _options(lattice)
    # From here on a character is its column among those considered anywhere.
    classes = sorted({cls for some in options for cls, _ in some})
    column = {cls: i for i, cls in enumerate(classes)}
    columns = [
        [column[cls] for cls, _ in sorted(some, key=_less_probable)[:_MOST_PER_STEP]]
        for some in options
    ]
    table = lattice.probabilities[:, classes].tolist()
    blanks = lattice.probabilities[:, BLANK].tolist()
    # prefix -> (probability of ending in a blank, of ending in its last character)
    beams: Beams = {(): (1.0, 0.0)}
    step = 0
    for nothing, run in groupby(columns, key=_is_empty):
        if nothing:  # most steps, by far: between characters
            first, step = step, step + sum(1 for _ in run)
            beams = _unchanged(beams, table[first:step], blanks[first:step])
            continue
        for some in run:
            beams = _strongest(_grown(beams, table[step], blanks[step], some), width)
            step += 1
    return _as_texts(beams, [lattice.alphabet[c] for c in classes])


def _is_empty(some: list[int]) -> bool:
    return not some


def _unchanged(beams: Beams, rows: list[list[float]], blanks: list[float]) -> Beams:
    """The beams after steps in which nothing begins."""
    after: Beams = {}
    for prefix, (by_blank, by_char) in beams.items():
        last = prefix[-1] if prefix else 0
        for row, blank in zip(rows, blanks, strict=True):
            by_blank = (by_blank + by_char) * blank  # noqa: PLW2901 - step by step
            by_char *= row[last] if prefix else 0.0  # noqa: PLW2901
        after[prefix] = (by_blank, by_char)
    return after


def _grown(beams: Beams, row: list[float], blank: float, options: list[int]) -> Beams:
    """The beams after one more step, in which ``options`` may begin."""
    grown: Beams = {}
    for prefix, (by_blank, by_char) in beams.items():
        both = by_blank + by_char
        last = prefix[-1] if prefix else -1
        stay_blank, stay_char = grown.get(prefix, _NEVER)
        repeated = by_char * row[last] if prefix else 0.0
        grown[prefix] = (stay_blank + both * blank, stay_char + repeated)
        for cls in options:
            longer = (*prefix, cls)
            grown_blank, grown_char = grown.get(longer, _NEVER)
            source = by_blank if cls == last else both
            grown[longer] = (grown_blank, grown_char + source * row[cls])
    return grown


def _strongest(beams: Beams, width: int) -> Beams:
    """At most so many beams, and none that is hopeless beside the best."""
    if len(beams) == 1:
        return beams
    totals = [(a + b, prefix) for prefix, (a, b) in beams.items()]
    hopeless = max(totals)[0] * _HOPELESS
    kept = [one for one in totals if one[0] > hopeless]
    if len(kept) > width:
        kept = sorted(kept, reverse=True)[:width]
    return {prefix: beams[prefix] for _, prefix in kept}


def _only_hypothesis(lattice: Lattice) -> Hypothesis | None:
    """The text of a lattice that considers nothing else; most plates in good light are such."""
    sure = [entry for entry in lattice.entries if entry[2] >= _CONSIDERED_FROM]
    peaks = [value for _, _, value in sure if value >= 1 - 2 * _CONSIDERED_FROM]
    if len(sure) > len(lattice.probabilities) or len(peaks) < len(lattice.probabilities):
        return None
    classes, _ = _collapsed(lattice)
    text = "".join(lattice.alphabet[c] for c in classes)
    return Hypothesis(text, min(1.0, math.prod(peaks)))


def _options(lattice: Lattice) -> list[list[tuple[int, float]]]:
    """For each step the characters worth considering there, with their probabilities."""
    options: list[list[tuple[int, float]]] = [[] for _ in lattice.probabilities]
    for step, cls, value in lattice.entries:
        if cls != BLANK and value >= _CONSIDERED_FROM:
            options[step].append((cls, value))
    return options


def _as_texts(beams: Beams, characters: Sequence[str]) -> list[Hypothesis]:
    by_text: dict[str, float] = {}
    for prefix, (by_blank, by_char) in beams.items():
        text = "".join([characters[c] for c in prefix])
        by_text[text] = by_text.get(text, 0.0) + by_blank + by_char
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
            here[cls] = max(here.get(cls, 0.0), value)
    weights = [1.0 - blank + 1e-6 for blank in lattice.probabilities[:, BLANK].tolist()]
    return tuple(
        Spelled(
            sum(weights[t] * (t + 0.5) for t in range(first, last + 1))
            / sum(weights[first : last + 1])
            / steps,
            tuple(
                (lattice.alphabet[cls], min(1.0, value))
                for cls, value in sorted(some.items(), key=_less_probable)[: _MOST_ALTERNATIVES + 1]
            ),
        )
        for (first, last), some in zip(spans, highest, strict=True)
    )


def _less_probable(option: tuple[int, float]) -> float:
    return -option[1]
