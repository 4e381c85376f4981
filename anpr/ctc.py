"""Reading a CTC lattice: pure numpy, no network, no grammar.

A lattice is what a CTC recogniser says of one plate: for each of T steps from left to right, the
probability of each character and of the blank that separates them (Graves et al. 2006). A text's
probability is the sum over all ways of laying it along the steps.
"""

from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
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
_ALTERNATIVES_FROM: Final = 0.001
_MOST_ALTERNATIVES: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Probabilities of one plate's characters along its width."""

    probabilities: NDArray[np.float32]
    """``(T, C)``, each row adds up to 1; class 0 is the blank."""
    alphabet: tuple[str, ...]
    """The C classes; ``alphabet[0]`` is the blank, written ""."""


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
    path = lattice.probabilities.argmax(axis=1)
    starts = np.ones(len(path), dtype=bool)
    starts[1:] = path[1:] != path[:-1]
    steps = np.flatnonzero(starts & (path != BLANK))
    return path[steps].tolist(), steps.tolist()


def hypotheses(lattice: Lattice, width: int = BEAM_WIDTH) -> list[Hypothesis]:
    """The most probable texts with their probabilities, best first (prefix beam search).

    At most ``width`` of them; "" is one if it is probable. The probabilities add up to at most 1.
    """
    settled = _only_hypothesis(lattice)
    if settled is not None:
        return [settled]
    # prefix -> (probability of ending in a blank, of ending in its last character)
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for row, options in zip(lattice.probabilities.tolist(), _options(lattice), strict=True):
        blank = row[BLANK]
        if not options:  # most steps, by far: between characters
            beams = {
                prefix: ((a + b) * blank, b * row[prefix[-1]] if prefix else 0.0)
                for prefix, (a, b) in beams.items()
            }
            continue
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (by_blank, by_char) in beams.items():
            both = by_blank + by_char
            last = prefix[-1] if prefix else BLANK
            stay_blank, stay_char = grown.get(prefix, (0.0, 0.0))
            repeated = by_char * row[last] if prefix else 0.0
            grown[prefix] = (stay_blank + both * blank, stay_char + repeated)
            for cls, p in options:
                longer = (*prefix, cls)
                grown_blank, grown_char = grown.get(longer, (0.0, 0.0))
                source = by_blank if cls == last else both
                grown[longer] = (grown_blank, grown_char + source * p)
        if len(grown) > width:
            best = sorted(grown.items(), key=_total, reverse=True)
            grown = dict(best[:width])
        beams = grown
    return _as_texts(beams, lattice.alphabet)


def _only_hypothesis(lattice: Lattice) -> Hypothesis | None:
    """The text of a lattice that considers nothing else; most plates in good light are such."""
    p = lattice.probabilities
    peaks = p.max(axis=1)
    if np.count_nonzero(p >= _CONSIDERED_FROM) > len(p) or peaks.min() < 1 - 2 * _CONSIDERED_FROM:
        return None
    classes, _ = _collapsed(lattice)
    text = "".join(lattice.alphabet[c] for c in classes)
    return Hypothesis(text, min(1.0, float(peaks.astype(np.float64).prod())))


def _options(lattice: Lattice) -> list[list[tuple[int, float]]]:
    """For each step the characters worth considering there."""
    considered: list[list[tuple[int, float]]] = [[] for _ in lattice.probabilities]
    steps, classes = np.nonzero(lattice.probabilities >= _CONSIDERED_FROM)
    values = lattice.probabilities[steps, classes]
    for t, c, p in zip(steps.tolist(), classes.tolist(), values.tolist(), strict=True):
        if c != BLANK:
            considered[t].append((c, p))
    return [
        options
        if len(options) <= _MOST_PER_STEP
        else sorted(options, key=itemgetter(1), reverse=True)[:_MOST_PER_STEP]
        for options in considered
    ]


def _total(beam: tuple[tuple[int, ...], tuple[float, float]]) -> float:
    """Probability of a prefix however it ends."""
    return beam[1][0] + beam[1][1]


def _as_texts(
    beams: dict[tuple[int, ...], tuple[float, float]], alphabet: tuple[str, ...]
) -> list[Hypothesis]:
    by_text: dict[str, float] = {}
    for prefix, (by_blank, by_char) in beams.items():
        text = "".join(alphabet[c] for c in prefix)
        by_text[text] = by_text.get(text, 0.0) + by_blank + by_char
    found = [Hypothesis(text, min(1.0, p)) for text, p in by_text.items() if p > 0]
    return sorted(found, key=lambda h: (-h.probability, h.text))


def spell(lattice: Lattice, text: str) -> tuple[Spelled, ...]:
    """Lay a text along the lattice and say what was considered for each of its characters.

    ``text`` is one of the hypotheses: made of the alphabet's characters and short enough to fit.

    Raises:
        ValueError: it cannot be laid along this lattice.
    """
    classes, _ = _collapsed(lattice)
    wanted = _classes_of(lattice, text)
    if not wanted:
        return ()
    spans = _greedy_spans(lattice) if classes == wanted else _aligned_spans(lattice, wanted)
    return tuple(_spelled(lattice, first, last) for first, last in spans)


def _classes_of(lattice: Lattice, text: str) -> list[int]:
    index = {char: i for i, char in enumerate(lattice.alphabet) if i != BLANK}
    try:
        return [index[char] for char in text]
    except KeyError as error:
        raise ValueError(f"{text!r}: {error} is not in the alphabet") from error


def _greedy_spans(lattice: Lattice) -> list[tuple[int, int]]:
    """First and last step of each run of one character in the best path."""
    path = lattice.probabilities.argmax(axis=1)
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    return [(int(a), int(b) - 1) for a, b in pairwise(edges) if path[a] != BLANK]


def _aligned_spans(lattice: Lattice, classes: list[int]) -> list[tuple[int, int]]:
    """First and last step of each character in the most probable alignment (Viterbi)."""
    states = np.zeros(2 * len(classes) + 1, dtype=np.int64)
    states[1::2] = classes
    # A character may follow another one directly only if they differ.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    log_p = np.log(np.maximum(lattice.probabilities[:, states], 1e-12))
    score = np.full(len(states), -np.inf)
    score[:2] = log_p[0, :2]
    came_from = np.zeros(log_p.shape, dtype=np.int8)
    for t in range(1, len(log_p)):
        one = np.concatenate(([-np.inf], score[:-1]))
        two = np.where(skips, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        choices = np.stack((score, one, two))
        came_from[t] = choices.argmax(axis=0)
        score = choices.max(axis=0) + log_p[t]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if not np.isfinite(score[state]):
        raise ValueError(f"{len(classes)} characters do not fit into {len(log_p)} steps")
    path = np.zeros(len(log_p), dtype=np.int64)
    for t in range(len(log_p) - 1, -1, -1):
        path[t] = state
        state -= int(came_from[t, state])
    return [
        (int(steps[0]), int(steps[-1]))
        for steps in (np.flatnonzero(path == s) for s in range(1, len(states), 2))
    ]


def _spelled(lattice: Lattice, first: int, last: int) -> Spelled:
    span = lattice.probabilities[first : last + 1]
    peaks = span.max(axis=0)
    peaks[BLANK] = 0.0
    order = np.argsort(-peaks, kind="stable")[: _MOST_ALTERNATIVES + 1]
    options = tuple(
        (lattice.alphabet[c], min(1.0, float(peaks[c])))
        for c in order
        if peaks[c] >= _ALTERNATIVES_FROM
    )
    weights = 1.0 - span[:, BLANK] + 1e-6
    centre = float((weights * (np.arange(first, last + 1) + 0.5)).sum() / weights.sum())
    return Spelled(centre / len(lattice.probabilities), options)
