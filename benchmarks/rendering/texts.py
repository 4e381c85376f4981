"""Plate texts of every kind, as they are issued, or with all characters drawn evenly."""

import numpy as np

from anpr.plate import (
    FORMS,
    MOST_SERIAL_LETTERS,
    PROVINCES,
    RETIRED,
    SERIAL,
    Form,
    PlateColor,
    PlateKind,
)

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RETIRED_PART = 0.75
_STILL_MET = "军海空"
"""Series that photographs still show."""

# Shapes of foreign plates: L a letter, D a digit, X either; spaces and dashes are printed.
_FOREIGN_SHAPES = (
    "LLL DDDD", "LLL-DDDD", "LLLDDDD", "LLL-DDD", "DLLLDDD", "DDDLLL", "LL-DDD-LL", "LLDD LLL",
    "DLD DDDD", "L-LL DDDD", "LL LL DDD", "DDDD LLL", "LLL DLDD", "LLLDLDD", "DD-LL-DD", "LL DDDDD",
    "DDD-LLL", "LL DDD L", "LDDDLL", "LLDDDDLL", "XXX XXXX", "XXXXXX", "XXXXXXX", "LL-DDDD", "DDDD",
    "LLD LDL", "LLD-LDL", "LL DDDLL", "DLLLDDD", "LDDDDDD", "DDDDDLD", "XXXXXX", "XXXXXXX",
)  # fmt: skip


def _pick(rng: np.random.Generator, characters: str) -> str:
    return characters[int(rng.integers(len(characters)))]


_SERIAL_LETTERS = SERIAL.strip(_DIGITS)


def _fill(form: Form, rng: np.random.Generator, province: str | None, *, evenly: bool) -> str:
    places = list(form.places)
    if not evenly:
        serial = [i for i, place in enumerate(places) if place == SERIAL]
        count = int(rng.integers(MOST_SERIAL_LETTERS + 1))
        letters = set(rng.permutation(serial)[:count].tolist())
        for i in serial:
            places[i] = _SERIAL_LETTERS if i in letters else _DIGITS
    return "".join(
        province if province is not None and place == PROVINCES else _pick(rng, place)
        for place in places
    )


def _forms_of(kind: PlateKind) -> tuple[Form, ...]:
    if kind is PlateKind.MOTORCYCLE:
        kind = PlateKind.LARGE
    return tuple(form for form in FORMS if kind in form.kinds.values())


_FORMS_OF = {kind: _forms_of(kind) for kind in PlateKind}


def foreign_print(rng: np.random.Generator) -> str:
    """What stands on a foreign plate, with its gaps and dashes."""
    shape = _FOREIGN_SHAPES[int(rng.integers(len(_FOREIGN_SHAPES)))]
    pools = {"L": _LETTERS, "D": _DIGITS, "X": _LETTERS + _DIGITS}
    return "".join(_pick(rng, pools[c]) if c in pools else c for c in shape)


def _unknown(rng: np.random.Generator) -> str:
    """Withdrawn military series, civil aviation and temporary plates: no kind of today's."""
    if rng.random() < _RETIRED_PART:
        return (
            _pick(rng, _STILL_MET + RETIRED)
            + _pick(rng, _LETTERS)
            + "".join(_pick(rng, _DIGITS) for _ in range(5))
        )
    if rng.random() < 0.5:
        return "民航" + "".join(_pick(rng, SERIAL) for _ in range(5))
    tail = _pick(rng, "临试超")
    head = _pick(rng, PROVINCES) + _pick(rng, _LETTERS.replace("I", "").replace("O", ""))
    return head + "".join(_pick(rng, SERIAL) for _ in range(4)) + tail


def random_plate(
    kind: PlateKind, rng: np.random.Generator, province: str | None = None, *, evenly: bool = False
) -> str:
    """A legal text for a plate of this kind, as the reader writes it: without separators.

    Every place is drawn evenly from what may stand there, but a serial has no letter, one or two,
    each as often; ``evenly`` draws its places evenly, too, so that no letter stays rare in
    training: most of such serials are never issued. ``province`` fixes the province where the kind
    has one. ``UNKNOWN`` gives what no current kind covers (withdrawn military series, civil
    aviation, temporary plates).
    """
    if kind is PlateKind.FOREIGN:
        return "".join(c for c in foreign_print(rng) if c.isalnum())
    if kind is PlateKind.UNKNOWN:
        return _unknown(rng)
    forms = _FORMS_OF[kind]
    return _fill(forms[int(rng.integers(len(forms)))], rng, province, evenly=evenly)


COLOR_OF: dict[PlateKind, PlateColor] = {
    PlateKind.SMALL: PlateColor.BLUE,
    PlateKind.LARGE: PlateColor.YELLOW,
    PlateKind.TRAILER: PlateColor.YELLOW,
    PlateKind.COACH: PlateColor.YELLOW,
    PlateKind.POLICE: PlateColor.WHITE,
    PlateKind.NEW_ENERGY_SMALL: PlateColor.GREEN,
    PlateKind.NEW_ENERGY_LARGE: PlateColor.YELLOW_GREEN,
    PlateKind.EMBASSY: PlateColor.BLACK,
    PlateKind.CONSULATE: PlateColor.BLACK,
    PlateKind.HONG_KONG: PlateColor.BLACK,
    PlateKind.MACAO: PlateColor.BLACK,
    PlateKind.ARMED_POLICE: PlateColor.WHITE,
    PlateKind.MILITARY: PlateColor.WHITE,
    PlateKind.EMERGENCY: PlateColor.WHITE,
    PlateKind.AGRICULTURAL: PlateColor.GREEN,
    PlateKind.MOTORCYCLE: PlateColor.YELLOW,
    PlateKind.FOREIGN: PlateColor.OTHER,
    PlateKind.UNKNOWN: PlateColor.WHITE,
}
"""The ground colour a kind is issued on."""
