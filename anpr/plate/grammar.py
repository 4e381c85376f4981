"""Which strings are plates, of what kind, and what contradicts what.

A *form* says for each place which characters may stand there; the same table serves matching,
decoding of lattices and random generation in tests. Forms follow GA 36-2018 as implemented by
public readers, with the older forms that are still on the road.

The colour of the ground belongs to the grammar: blue and yellow plates share one form and differ
only in colour, and a colour that no kind of a form has is the cheapest sign of a misread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final

from anpr.plate.vocabulary import PROVINCES, RETIRED, SERIAL, UNREAD, PlateColor, PlateKind

DIGITS: Final = "0123456789"
AUTHORITY: Final = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
"""Second place: the issuing authority; no I. O is the old series of the provincial police."""
NEW_ENERGY_LETTERS: Final = "DABCEFGHJK"
"""D A B C E: purely electric; F G H J K: not."""
MOST_SERIAL_LETTERS: Final = 2
"""A serial is of digits, or has one letter or two (GA 36-2007, 5.9.1): of some 9,400 plates that people
labelled none has more, though more than half have two; of 1,300 labelled by machines one has four."""
_ARMY_FIRST: Final = "VKHBSLJNGCE"
_ARMY_SECOND: Final = "ABCDJKLMNOPRSTVY"
_ARMED_POLICE_LAST: Final = DIGITS + "TDSHBXJ"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of plate: the characters allowed in each place, and its kind by colour."""

    name: str
    places: tuple[str, ...]
    kinds: Mapping[PlateColor, PlateKind]
    """Colours on which the form is issued; any other colour contradicts it."""
    needs_color: bool = False
    """The letters alone prove nothing (a military plate looks like one that lost its province)."""

    def serial_letters(self, text: str) -> int:
        """How many letters stand where a digit might, in a text of this form."""
        return sum(
            char not in DIGITS + UNREAD
            for char, allowed in zip(text, self.places, strict=True)
            if allowed == SERIAL
        )

    def matches(self, text: str) -> bool:
        """Whether ``text`` has this form; ``?`` fits every place."""
        return len(text) == len(self.places) and all(
            char == UNREAD or char in allowed
            for char, allowed in zip(text, self.places, strict=True)
        )


_P, _L, _S, _D = PROVINCES, AUTHORITY, SERIAL, DIGITS
_BLUE, _YELLOW, _WHITE, _BLACK = (
    PlateColor.BLUE,
    PlateColor.YELLOW,
    PlateColor.WHITE,
    PlateColor.BLACK,
)
_GREEN, _TWO_TONE = PlateColor.GREEN, PlateColor.YELLOW_GREEN


def _form(
    name: str, kinds: dict[PlateColor, PlateKind], *places: str, needs_color: bool = False
) -> Form:
    return Form(name, places, MappingProxyType(kinds), needs_color)


FORMS: Final[tuple[Form, ...]] = (
    _form(
        "new_energy_small",
        {_GREEN: PlateKind.NEW_ENERGY_SMALL},
        _P, _L, NEW_ENERGY_LETTERS, _S, _D, _D, _D, _D,
    ),
    _form(
        "new_energy_large",
        {_TWO_TONE: PlateKind.NEW_ENERGY_LARGE, _GREEN: PlateKind.NEW_ENERGY_LARGE},
        _P, _L, _D, _D, _D, _D, _D, NEW_ENERGY_LETTERS,
    ),
    _form("trailer", {_YELLOW: PlateKind.TRAILER}, _P, _L, _S, _S, _S, _S, "挂"),
    _form("coach", {_YELLOW: PlateKind.COACH}, _P, _L, _S, _S, _S, _S, "学"),
    _form("police", {_WHITE: PlateKind.POLICE}, _P, _L, _S, _S, _S, _S, "警"),
    _form("hong_kong", {_BLACK: PlateKind.HONG_KONG}, "粤", "Z", _S, _S, _S, _S, "港"),
    _form("macao", {_BLACK: PlateKind.MACAO}, "粤", "Z", _S, _S, _S, _S, "澳"),
    _form("embassy", {_BLACK: PlateKind.EMBASSY}, "使", _D, _D, _D, _D, _D, _D),
    _form("embassy_old", {_BLACK: PlateKind.EMBASSY}, _D, _D, _D, _D, _D, _D, "使"),
    _form("consulate", {_BLACK: PlateKind.CONSULATE}, _P, _L, _S, _S, _S, _S, "领"),
    _form("emergency", {_WHITE: PlateKind.EMERGENCY}, _P, "XS", _S, _S, _S, _S, "应", "急"),
    _form(
        "armed_police",
        {_WHITE: PlateKind.ARMED_POLICE},
        "W", "J", _P, _D, _D, _D, _D, _ARMED_POLICE_LAST,
    ),
    _form(
        "armed_police_headquarters",
        {_WHITE: PlateKind.ARMED_POLICE},
        "W", "J", _D, _D, _D, _D, _ARMED_POLICE_LAST,
    ),
    _form(
        "military",
        {_WHITE: PlateKind.MILITARY},
        _ARMY_FIRST, _ARMY_SECOND, _D, _D, _D, _D, _D,
        needs_color=True,
    ),
    _form("agricultural", {_GREEN: PlateKind.AGRICULTURAL}, _P, _D, _D, _S, _S, _S, _S, _S),
    # Airside vehicles; no kind of the standard is theirs.
    _form("civil_aviation", {_GREEN: PlateKind.UNKNOWN}, "民", "航", _S, _S, _S, _S, _S),
    _form(
        "standard",
        # Black plates of this form were given to foreigners until 2007.
        {_BLUE: PlateKind.SMALL, _YELLOW: PlateKind.LARGE, _BLACK: PlateKind.UNKNOWN},
        _P, _L, _S, _S, _S, _S, _S,
    ),
)  # fmt: skip
"""Every form, the particular before the general."""

_OF_MOST_VEHICLES: Final = tuple(
    form for form in FORMS if form.name in {"standard", "new_energy_small", "new_energy_large"}
)


class Contradiction(StrEnum):
    """What does not go together in a read; each is a reason to doubt it."""

    GREEN_LOST_A_CHARACTER = "green_lost_a_character"
    """A green plate with the 7 characters of an ordinary one: the eighth was not seen."""
    TOO_LONG_FOR_COLOR = "too_long_for_color"
    """8 characters of a new-energy plate on a blue or yellow ground."""
    COLOR_OF_ANOTHER_KIND = "color_of_another_kind"
    """A legal form on a ground on which it is not issued."""
    NO_SUCH_FORM = "no_such_form"
    """A Chinese beginning or suffix, but no form fits."""


@dataclass(frozen=True, slots=True)
class PlateNumber:
    """A plate's text with what the grammar says about it."""

    text: str
    kind: PlateKind
    color: PlateColor
    form: Form | None
    contradictions: tuple[Contradiction, ...]

    @property
    def is_legal(self) -> bool:
        """Whether a form fits and nothing contradicts it."""
        return self.form is not None and not self.contradictions


def is_chinese_character(char: str) -> bool:
    """Whether the character is a Han character (CJK unified ideograph)."""
    return "一" <= char <= "鿿"


@lru_cache(maxsize=4096)
def parse(text: str, color: PlateColor = PlateColor.UNKNOWN) -> PlateNumber:
    """What kind of plate a normalised text on a ground of this colour is.

    ``?`` in the text fits every place. Where the colour is unknown, a form that exists on several
    grounds stays of unknown kind. A text without any Han character that is no Chinese form is
    ``FOREIGN``; one of the retired series is ``UNKNOWN``, never somebody's province.
    """
    fitting = _fitting(text)
    form = next((f for f in fitting if color in f.kinds), None)
    if form is not None:
        return PlateNumber(text, form.kinds[color], color, form, ())
    form = next((f for f in fitting if not f.needs_color), None)
    if form is None:
        return _of_no_form(text, color)
    kinds = set(form.kinds.values())
    kind = kinds.pop() if len(kinds) == 1 else PlateKind.UNKNOWN
    if color in {PlateColor.UNKNOWN, PlateColor.OTHER}:
        return PlateNumber(text, kind, color, form, ())
    return PlateNumber(text, kind, color, form, (_contradiction(form, color),))


@lru_cache(maxsize=4096)
def _fitting(text: str) -> tuple[Form, ...]:
    """The forms of a text; it is asked on every colour, and for many frames of a vehicle."""
    return tuple(form for form in forms_of_length(len(text)) if form.matches(text))


def _contradiction(form: Form, color: PlateColor) -> Contradiction:
    if form.name == "standard" and color in {_GREEN, _TWO_TONE}:
        return Contradiction.GREEN_LOST_A_CHARACTER
    if form.name.startswith("new_energy") and color in {_BLUE, _YELLOW}:
        return Contradiction.TOO_LONG_FOR_COLOR
    return Contradiction.COLOR_OF_ANOTHER_KIND


def _of_no_form(text: str, color: PlateColor) -> PlateNumber:
    known = text.replace(UNREAD, "")
    if not known:
        return PlateNumber(text, PlateKind.UNKNOWN, color, None, ())
    if not any(is_chinese_character(char) for char in known):
        foreign = UNREAD not in text and not _looks_headless(text, color)
        kind = PlateKind.FOREIGN if foreign else PlateKind.UNKNOWN
        return PlateNumber(text, kind, color, None, ())
    if text[0] in RETIRED:
        return PlateNumber(text, PlateKind.UNKNOWN, color, None, ())
    return PlateNumber(text, PlateKind.UNKNOWN, color, None, (Contradiction.NO_SUCH_FORM,))


def _looks_headless(text: str, color: PlateColor) -> bool:
    """Whether it may be an ordinary plate, on its own ground, whose province was not seen."""
    return any(f in _OF_MOST_VEHICLES and color in f.kinds for f in _fitting(UNREAD + text))


@cache
def forms_of_length(length: int) -> tuple[Form, ...]:
    """The forms with so many characters, the particular before the general."""
    return tuple(form for form in FORMS if len(form.places) == length)
