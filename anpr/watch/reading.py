"""What matching takes of a passage, as the wire spells passages: the same on box and server."""

import re
from collections.abc import Sequence
from functools import lru_cache

from anpr.plate import PROVINCES, is_rubbish, normalise
from anpr.watch.judging import Seen
from anpr.watch.likeness import Character, Glyph

MAX_PLATE_LENGTH = 16
_is_plain = re.compile(f"[{PROVINCES}][A-HJ-NP-Z][0-9A-HJ-NP-Z]{{5,6}}").fullmatch
"""What nearly every plate looks like: spelled as it is, whatever the rules say."""


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
    Those that do are taken as they are, not copied: this is asked for every passage of a city.
    """
    plate = text if _is_plain(text) else _spelled(text)
    if not characters or not plate:
        return Seen(plate, (), plate_kind, plate_color, vehicle_color)
    if "".join([one.char for one in characters]) != plate:
        characters = _spelled_as(plate, characters)
    return Seen(plate, characters, plate_kind, plate_color, vehicle_color)


def _spelled_as(plate: str, characters: Sequence[Character]) -> Sequence[Character]:
    """The characters under the names that the plate has for them; none if they are of another."""
    if len(characters) != len(plate):
        return ()
    if any(
        one.char != char and _spelled_alone(one.char) != char
        for char, one in zip(plate, characters, strict=True)
    ):
        return ()
    return tuple(
        Glyph(char, one.score, one.alternatives)
        for char, one in zip(plate, characters, strict=True)
    )


@lru_cache(maxsize=100_000)
def _spelled(text: str) -> str:
    """The plate in its one spelling; '' if it is none."""
    plate = normalise(text)[:MAX_PLATE_LENGTH]
    return "" if is_rubbish(plate) else plate


@lru_cache(maxsize=1_000)
def _spelled_alone(char: str) -> str:
    """A character as a plate's serial spells it: there is no O and no I in one."""
    return {"O": "0", "I": "1"}.get(normalise(char), normalise(char))
