"""What matching takes of a passage, as the wire spells passages: the same on box and server."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from anpr.plate import is_rubbish, normalise
from anpr.watch.judging import Seen
from anpr.watch.likeness import Glyph

MAX_PLATE_LENGTH = 16


class Alternative(Protocol):
    """A character that was considered."""

    @property
    def char(self) -> str:
        """The character."""

    @property
    def score(self) -> float:
        """Its probability."""


class Character(Protocol):
    """A character of a plate."""

    @property
    def char(self) -> str:
        """The character; ``?`` if nothing is claimed."""

    @property
    def score(self) -> float:
        """Its probability."""

    @property
    def alternatives(self) -> Sequence[Alternative]:
        """What else it may be."""


def seen_of(
    text: str,
    characters: Sequence[Character],
    *,
    plate_kind: str,
    plate_color: str,
    vehicle_color: str,
) -> Seen:
    """What was seen of a vehicle, its plate in the one spelling; rubbish is no plate.

    Characters that do not go with the text are left out: nothing is fuzzy about such a plate.
    """
    plate = _spelled(text)
    if not plate:
        return Seen("", (), plate_kind, plate_color, vehicle_color)
    glyphs: tuple[Glyph, ...] = ()
    if len(characters) == len(plate):
        glyphs = tuple(
            Glyph(char, one.score, tuple((a.char, a.score) for a in one.alternatives))
            for char, one in zip(plate, characters, strict=True)
            if one.char == char or _spelled_alone(one.char) == char
        )
    if len(glyphs) != len(plate):
        glyphs = ()
    return Seen(plate, glyphs, plate_kind, plate_color, vehicle_color)


@lru_cache(maxsize=100_000)
def _spelled(text: str) -> str:
    """The plate in its one spelling; '' if it is none."""
    plate = normalise(text)[:MAX_PLATE_LENGTH]
    return "" if is_rubbish(plate) else plate


@lru_cache(maxsize=1_000)
def _spelled_alone(char: str) -> str:
    """A character as a plate's serial spells it: there is no O and no I in one."""
    return {"O": "0", "I": "1"}.get(normalise(char), normalise(char))
