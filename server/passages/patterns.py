"""Patterns of plates: ``?`` is any one character, ``*`` any run of them, the empty one too."""

from dataclasses import dataclass

from anpr.plate import normalise
from server.errors import InvalidRequest

ANY_ONE = "?"
ANY_RUN = "*"
MAX_PATTERN_LENGTH = 24


def is_pattern(text: str) -> bool:
    """Whether a text holds a wildcard."""
    return ANY_ONE in text or ANY_RUN in text


def normal_pattern(text: str) -> str:
    """One spelling of a plate or pattern: as stored plates are spelled, runs of ``*`` joined.

    Raises:
        InvalidRequest: empty, too long, or nothing but wildcards.
    """
    pattern = normalise(text)
    while ANY_RUN * 2 in pattern:
        pattern = pattern.replace(ANY_RUN * 2, ANY_RUN)
    if not pattern or len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidRequest(f"plate: 1 to {MAX_PATTERN_LENGTH} characters", field="plate")
    if not pattern.strip(ANY_ONE + ANY_RUN):
        raise InvalidRequest("plate: at least one character besides ? and *", field="plate")
    return pattern


def whole_plate(text: str) -> str:
    """A plate in its one spelling, as :func:`normal_pattern` gives it, without any wildcard.

    Raises:
        InvalidRequest: empty, too long, or with a wildcard.
    """
    plate = normal_pattern(text)
    if is_pattern(plate):
        raise InvalidRequest("plate: needs a whole plate, without ? or *", field="plate")
    return plate


@dataclass(frozen=True, slots=True)
class Shape:
    """A normal pattern taken apart: what a plate begins with, holds in this order, and ends with.

    Without a ``*`` everything is the beginning, and the plate is exactly as long.
    """

    beginning: str
    middles: tuple[str, ...]
    end: str
    fixed_length: bool

    @property
    def least_length(self) -> int:
        """Characters that a plate of this shape has at least."""
        return len(self.beginning) + sum(map(len, self.middles)) + len(self.end)

    def may_have_length(self, length: int) -> bool:
        """Whether a plate of so many characters can have this shape."""
        return length == self.least_length if self.fixed_length else length >= self.least_length


def shape_of(pattern: str) -> Shape:
    """Take a normal pattern apart."""
    parts = pattern.split(ANY_RUN)
    if len(parts) == 1:
        return Shape(pattern, (), "", fixed_length=True)
    middles = tuple(part for part in parts[1:-1] if part)
    return Shape(parts[0], middles, parts[-1], fixed_length=False)


def like_of(pattern: str) -> str:
    """The pattern in SQL's ``LIKE``; normal patterns hold nothing that needs escaping."""
    return pattern.replace(ANY_ONE, "_").replace(ANY_RUN, "%")


def fits(plate: str, shape: Shape) -> bool:
    """Whether one plate has a shape; the plain reading of what the dictionary finds at speed."""
    if not shape.may_have_length(len(plate)):
        return False
    stop = len(plate) - len(shape.end)
    if not (_is_at(plate, 0, shape.beginning) and _is_at(plate, stop, shape.end)):
        return False
    at = len(shape.beginning)
    for middle in shape.middles:  # the leftmost place leaves most room for what follows
        places = (n for n in range(at, stop - len(middle) + 1) if _is_at(plate, n, middle))
        place = next(places, None)
        if place is None:
            return False
        at = place + len(middle)
    return True


def _is_at(plate: str, start: int, part: str) -> bool:
    return all(a in {ANY_ONE, b} for a, b in zip(part, plate[start:], strict=False))
