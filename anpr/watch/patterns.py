"""Patterns of plates: ``?`` is any one character, ``*`` any run of them, the empty one too."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

ANY_ONE: Final = "?"
ANY_RUN: Final = "*"


@dataclass(frozen=True, slots=True)
class Shape:
    """A pattern taken apart: what a plate begins with, holds in this order, and ends with."""

    beginning: str
    middles: tuple[str, ...]
    end: str
    fixed_length: bool
    """Without a ``*`` everything is the beginning, and the plate is exactly as long."""


@lru_cache(maxsize=4096)
def shape_of(pattern: str) -> Shape:
    """Take a pattern apart."""
    parts = pattern.split(ANY_RUN)
    if len(parts) == 1:
        return Shape(pattern, (), "", fixed_length=True)
    return Shape(parts[0], tuple(filter(None, parts[1:-1])), parts[-1], fixed_length=False)


def is_shaped(plate: str, shape: Shape) -> bool:
    """Whether a plate has a shape; an unread place of the plate is no more than ``?`` fits."""
    stop = len(plate) - len(shape.end)
    at = len(shape.beginning)
    if at > stop or (shape.fixed_length and at != len(plate)):
        return False
    if not (_is_at(plate, 0, shape.beginning) and _is_at(plate, stop, shape.end)):
        return False
    for middle in shape.middles:  # the leftmost place leaves most room for what follows
        places = (n for n in range(at, stop - len(middle) + 1) if _is_at(plate, n, middle))
        place = next(places, None)
        if place is None:
            return False
        at = place + len(middle)
    return True


def _is_at(plate: str, start: int, part: str) -> bool:
    if ANY_ONE not in part:
        return plate.startswith(part, start)
    for a, b in zip(part, plate[start:], strict=False):  # noqa: SIM110 - all() takes twice as long
        if a not in (ANY_ONE, b):
            return False
    return True
