"""Wrong characters, drawn from what the reader was measured to confuse.

The measured counts are few, so they are joined with the general table of look-alikes as a prior
worth twenty characters a row.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anpr.plate.confusion import COSTS
from anpr.plate.vocabulary import RECOGNISER_ALPHABET
from benchmarks.simulation.fleet import BLANK, CODE, Codes

MEASURED = Path(__file__).resolve().parents[1] / "results" / "confusion.json"
_KAPPA = 20.0
_LIKELY = 0.01
"""Prior chance of taking a character for one that looks quite the same."""


def confusion_matrix(path: Path = MEASURED) -> NDArray[np.float64]:
    """P(claimed | shown) off the diagonal, (alphabet, alphabet); rows sum to the chance of an error."""
    size = len(RECOGNISER_ALPHABET)
    prior = np.zeros((size, size))
    for pair, cost in COSTS.items():
        if len(pair) == 2 and pair <= CODE.keys():
            a, b = (CODE[c] for c in sorted(pair))
            prior[a, b] = prior[b, a] = _LIKELY * (1 - cost)
    counts, shown = np.zeros((size, size)), np.zeros(size)
    for char, entry in json.loads(path.read_text(encoding="utf-8"))["characters"].items():
        row = CODE.get(char)
        if row is None:
            continue
        for source, n in entry["shown"].items():
            shown[row] += n
            for other, p in entry["believed"].get(source, {}).items():
                if other in CODE:
                    counts[row, CODE[other]] += n * p
    matrix: NDArray[np.float64] = (counts + _KAPPA * prior) / (shown + _KAPPA)[:, None]
    np.fill_diagonal(matrix, 0.0)
    return matrix


def misread(rng: np.random.Generator, codes: Codes, matrix: NDArray[np.float64]) -> Codes:
    """Each of these plates with one wrong character, where and what as the matrix says."""
    mass = np.concatenate([matrix.sum(axis=1), np.zeros(256 - len(matrix))])
    mass[BLANK] = 0.0
    reach = np.cumsum(mass[codes], axis=1)
    place = (reach < rng.random(len(codes))[:, None] * reach[:, -1:]).sum(axis=1)
    place = np.minimum(place, 7)
    rows = np.arange(len(codes))
    true = codes[rows, place].astype(np.int64)
    steps = np.cumsum(matrix, axis=1)
    wrong = (steps[true] <= rng.random(len(codes))[:, None] * steps[true, -1:]).sum(axis=1)
    found = codes.copy()
    found[rows, place] = np.minimum(wrong, len(matrix) - 1)
    return found
