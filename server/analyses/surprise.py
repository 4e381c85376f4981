"""How surprising a count is: minus the decimal logarithm of its chance. Pure.

6 means one in a million. Counts may be fractions, where some of what was counted weighs less.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TERMS = 400
_LN10 = math.log(10.0)
_ln_factorial = np.vectorize(lambda n: math.lgamma(n + 1.0), otypes=[np.float64])


def poisson_surprise(count: Floats, expected: Floats) -> Floats:
    """-log10 P(Poisson(expected) >= count), elementwise; at least 0.

    For counts that are no whole numbers the regularised incomplete gamma function P(count,
    expected) stands for the tail (Abramowitz & Stegun 6.5.13, 6.5.29), with which it agrees at
    whole numbers. Its series is summed by terms; where it would be long, beyond the expected
    value, nothing is surprising.
    """
    n = np.asarray(count, np.float64)
    mean = np.maximum(np.asarray(expected, np.float64), 1e-12)
    n, mean = np.broadcast_arrays(n, mean)
    result = np.zeros(n.shape, np.float64)
    rare = n > mean
    if not rare.any():
        return result
    n, mean = n[rare], mean[rare]
    term, total = np.ones_like(n), np.ones_like(n)
    for i in range(1, _TERMS):
        term = term * mean / (n + i)
        total += term
        if term.max() < 1e-12:
            break
    ln_chance = n * np.log(mean) - mean - _ln_factorial(n) + np.log(total)
    result[rare] = np.maximum(-ln_chance / _LN10, 0.0)
    return result


def uneven_surprise(count: Floats, expected: Floats) -> Floats:
    """-log10 P(N >= count) where the rate itself is uncertain, elementwise; at least 0.

    Two who drive at the same hours by two timetables meet twice as often as their numbers say, or
    never. So the rate is thought to be uneven, by a gamma distribution of shape 2 (seven tenths of
    it up or down), and N is negative binomial (Greenwood and Yule 1920), whose tail is
    ``p^n (1 + n (1 - p))`` with ``p = expected / (expected + 2)``. A few where hardly one was to be expected
    are nearly as surprising as by Poisson's tail, three times as many as many were hardly at all.
    """
    n = np.maximum(np.asarray(count, np.float64), 0.0)
    mean = np.maximum(np.asarray(expected, np.float64), 1e-12)
    p = mean / (mean + 2.0)
    found: Floats = -(n * np.log(p) + np.log1p(n * (1.0 - p))) / _LN10
    return np.where(n > mean, np.maximum(found, 0.0), 0.0)


def binomial_surprise(hits: int, trials: int, chance: float) -> float:
    """-log10 of the chance of at least so many hits in so many independent trials; at least 0."""
    if hits <= 0 or chance >= 1.0:
        return 0.0
    if chance <= 0.0:
        return math.inf
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(chance) + (trials - k) * math.log1p(-chance)
        for k in range(hits, trials + 1)
    ]  # fmt: skip
    most = max(logs)
    ln_tail = most + math.log(sum(math.exp(one - most) for one in logs))
    return max(0.0, -ln_tail / _LN10)
