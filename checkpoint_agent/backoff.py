"""How long to wait before trying again: exponential, with jitter, as a pure function."""


def delay_s(failures: int, *, first_s: float, limit_s: float, chance: float) -> float:
    """Seconds to wait after so many failures in a row.

    The schedule doubles from ``first_s`` up to ``limit_s``; the upper half of each step is
    spread by ``chance``, so that a hundred boxes do not return in the same second.

    Args:
        failures: Failures in a row, at least 1.
        first_s: Longest wait after the first failure, > 0.
        limit_s: Longest wait ever, at least ``first_s``.
        chance: A random number in [0, 1].

    Raises:
        ValueError: if an argument is outside its range.
    """
    if failures < 1 or not 0.0 < first_s <= limit_s or not 0.0 <= chance <= 1.0:
        raise ValueError(f"{failures=} {first_s=} {limit_s=} {chance=} out of range")
    doublings = min(failures - 1, 60)
    return float(min(limit_s, first_s * 2.0**doublings) * (0.5 + 0.5 * chance))
