"""Whether scores mean what they say: reliability, expected calibration error, and a better mapping.

A read counts as right if every character that it claims is right; a ``?`` claims nothing. Expected
calibration error (Naeini et al. 2015): the mean over reads of the distance between score and share
right of the bin they fall into.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Edges of the bins; finer where most reads are."""
_FOLDS = 5
_RIDGE = 1.0
"""Pull of the fit towards slope 1 and offset 0, in reads: few reads are wrong."""
_NEAREST_TO_SURE = 1e-6

Scored = Sequence[tuple[float, bool]]
"""Score of each read, and whether it is right."""


def claims_are_right(read: str, truth: str) -> bool:
    """Whether every claimed character of a read is right."""
    return len(read) == len(truth) and all(a in {b, "?"} for a, b in zip(read, truth, strict=True))


def reliability(scored: Scored) -> list[dict[str, float]]:
    """Per bin: its edges, how many reads, their mean score and the share that is right."""
    scores = np.array([s for s, _ in scored])
    right = np.array([r for _, r in scored], float)
    which = np.clip(np.searchsorted(BINS, scores, "right") - 1, 0, len(BINS) - 2)
    return [
        {
            "from": BINS[k],
            "to": BINS[k + 1],
            "reads": int((which == k).sum()),
            "mean_score": round(float(scores[which == k].mean()), 4),
            "right": round(float(right[which == k].mean()), 4),
        }
        for k in range(len(BINS) - 1)
        if (which == k).any()
    ]


def expected_calibration_error(scored: Scored) -> float:
    """Mean distance between score and share right, over the bins, weighed by reads."""
    bins = reliability(scored)
    total = sum(b["reads"] for b in bins)
    return sum(b["reads"] * abs(b["mean_score"] - b["right"]) for b in bins) / total


def fitted(scored: Scored) -> tuple[float, float]:
    """Slope and offset of Platt scaling on the log-odds (Newton's method on the log loss)."""
    x, y = _log_odds(scored), np.array([r for _, r in scored], float)
    at = np.array([1.0, 0.0])
    design = np.column_stack((x, np.ones_like(x)))
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ at))
        gradient = design.T @ (p - y) + _RIDGE * (at - (1.0, 0.0))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        at = at - step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(at[0]), float(at[1])


def mapped(scored: Scored, calibration: tuple[float, float]) -> list[tuple[float, bool]]:
    """The same reads with their scores mapped by slope and offset."""
    odds = _log_odds(scored) * calibration[0] + calibration[1]
    return [(1 / (1 + math.exp(-o)), r) for o, (_, r) in zip(odds.tolist(), scored, strict=True)]


def _log_odds(scored: Scored) -> NDArray[np.float64]:
    p = np.array([s for s, _ in scored]).clip(_NEAREST_TO_SURE, 1 - _NEAREST_TO_SURE)
    return np.asarray(np.log(p / (1 - p)))


def log_loss(scored: Scored) -> float:
    """Mean negative logarithm of the probability given to what turned out to be so."""
    return sum(-math.log(max(1e-9, s if r else 1 - s)) for s, r in scored) / len(scored)


def cross_validated(scored: Scored) -> list[tuple[float, bool]]:
    """Each read's score mapped by what was fitted on the reads of the other folds."""
    order = np.random.default_rng(0).permutation(len(scored))
    found: list[tuple[float, bool]] = []
    for fold in range(_FOLDS):
        inside = [scored[i] for n, i in enumerate(order) if n % _FOLDS == fold]
        outside = [scored[i] for n, i in enumerate(order) if n % _FOLDS != fold]
        found += mapped(inside, fitted(outside)) if inside else []
    return found


def report(scored: Scored, present: tuple[float, float]) -> dict[str, Any]:
    """Reliability as it is, and the mapping proposed in place of the ``present`` one.

    ``scored`` are scores as the reader gives them, so already mapped by ``present``. Without any,
    as on frames of foreign plates alone, there is nothing to report but that.
    """
    slope, offset = present
    if not scored:
        return {"reads": 0, "wrong": 0, "present": [slope, offset]}
    raw = mapped(mapped(scored, (1.0, -offset)), (1 / slope, 0.0))
    proposal = fitted(raw)
    crossed = cross_validated(raw)
    return {
        "reads": len(scored),
        "wrong": sum(not right for _, right in scored),
        "present": [slope, offset],
        "expected_calibration_error": round(expected_calibration_error(scored), 4),
        "log_loss": round(log_loss(scored), 4),
        "bins": reliability(scored),
        "proposed": {
            "calibration": [round(v, 3) for v in proposal],
            "cross_validated": {
                "expected_calibration_error": round(expected_calibration_error(crossed), 4),
                "log_loss": round(log_loss(crossed), 4),
            },
            "from_0.95": _from(crossed, 0.95),
        },
    }


def _from(scored: Scored, least: float) -> dict[str, Any]:
    chosen = [r for s, r in scored if s >= least]
    return {"reads": len(chosen), "right": round(sum(chosen) / len(chosen), 4) if chosen else None}
