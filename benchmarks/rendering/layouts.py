"""Where the characters stand on each kind of plate, in millimetres, after GA 36-2018.

Ordinary plates are 440x140 with characters of 45x90 in steps of 57 and a dot after the second;
new-energy plates 480x140 with 43x90 in steps of 52; two-row plates 440x220 with 80x60 above and
65x110 below; agricultural 300x165, motorcycles 220x140.
"""

from dataclasses import dataclass
from functools import cache

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import Series


@dataclass(frozen=True, slots=True)
class Slot:
    """The cell of one character."""

    x_mm: float
    y_mm: float
    w_mm: float
    h_mm: float
    series: Series
    accent: bool = False
    """In the accent colour (the red of police, military, consulate)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A plate's size and its characters' places in reading order."""

    width_mm: float
    height_mm: float
    rows: int
    slots: tuple[Slot, ...]
    dot_mm: tuple[float, float, float] | None
    """``(x, y, radius)``."""
    bolts_mm: tuple[tuple[float, float], ...]
    frame: bool = True


_STARTS = (15.5, 72.5, 151.5, 208.5, 265.5, 322.5, 379.5)
_DOT = (134.5, 70.0, 5.0)
_BOLTS = ((110.0, 12.5), (330.0, 12.5), (110.0, 127.5), (330.0, 127.5))
_BOLTS_TWO = ((90.0, 10.0), (350.0, 10.0), (90.0, 211.0), (350.0, 211.0))


def _row(
    starts: tuple[float, ...], accents: frozenset[int], w_mm: float = 45.0, y_mm: float = 25.0
) -> tuple[Slot, ...]:
    return tuple(
        Slot(x, y_mm, w_mm, 90.0, Series.ONE_ROW, i in accents) for i, x in enumerate(starts)
    )


def _one_row(
    accents: frozenset[int],
    starts: tuple[float, ...] = _STARTS,
    dot: tuple[float, float, float] | None = _DOT,
    w_mm: float = 45.0,
) -> Layout:
    return Layout(440, 140, 1, _row(starts, accents, w_mm), dot, _BOLTS)


def _new_energy() -> Layout:
    slots = [Slot(15.5, 25, 45, 90, Series.GREEN)]
    slots += [
        Slot(x, 25, 43, 90, Series.GREEN) for x in (69.5, 161.5, 213.5, 265.5, 317.5, 369.5, 421.5)
    ]
    return Layout(480, 140, 1, tuple(slots), None, ((122, 10), (358, 10), (122, 130), (358, 130)))


def _two_rows(accents: frozenset[int]) -> Layout:
    slots = [Slot(x, 15, 80, 60, Series.UPPER, i in accents) for i, x in enumerate((110, 250))]
    slots += [Slot(27.5 + 80 * i, 90, 65, 110, Series.LOWER, i + 2 in accents) for i in range(5)]
    return Layout(440, 220, 2, tuple(slots), None if accents else (220, 45, 6), _BOLTS_TWO)


def _motorcycle() -> Layout:
    slots = [Slot(x, 12, 42, 42, Series.UPPER) for x in (52, 126)]
    slots += [Slot(13 + 40 * i, 64, 33, 63, Series.LOWER) for i in range(5)]
    return Layout(220, 140, 2, tuple(slots), (110, 33, 4), ((32, 10), (188, 10)))


def _agricultural() -> Layout:
    slots = [Slot(x, 12, 44, 48, Series.UPPER) for x in (66, 142, 190)]
    slots += [Slot(21 + 54 * i, 72, 42, 80, Series.LOWER) for i in range(5)]
    return Layout(300, 165, 2, tuple(slots), (126, 36, 4), ((40, 10), (260, 10)))


def _civil_aviation() -> Layout:
    slots = [Slot(x, 12, 60, 50, Series.UPPER) for x in (130, 250)]
    slots += [Slot(27.5 + 80 * i, 84, 65, 110, Series.LOWER) for i in range(5)]
    return Layout(440, 220, 2, tuple(slots), None, _BOLTS_TWO)


def _armed_police(length: int) -> Layout:
    if length == 7:
        return _one_row(frozenset({0, 1}))
    starts = (14.0, 65.0, 123.0, 182.0, 233.0, 284.0, 335.0, 386.0)
    slots = list(_row(starts, frozenset({0, 1}), 42.0))
    slots[2] = Slot(117.0, 52.0, 40.0, 62.0, Series.ONE_ROW)
    return Layout(440, 140, 1, tuple(slots), (170, 70, 4), _BOLTS)


def _armed_police_two_rows(*, red_ends: bool) -> Layout:
    """With ``red_ends`` the province and the last character are red too, as on newer plates."""
    slots = [
        Slot(x, 15, 80, 60, Series.UPPER, i < 2 or red_ends) for i, x in enumerate((70, 165, 290))
    ]
    slots += [Slot(27.5 + 80 * i, 90, 65, 110, Series.LOWER, red_ends and i == 4) for i in range(5)]
    return Layout(440, 220, 2, tuple(slots), (267, 45, 6), _BOLTS_TWO)


def _emergency(*, stacked: bool) -> Layout:
    starts = (14.0, 66.0, 136.0, 187.0, 238.0, 289.0)
    slots = list(_row(starts, frozenset({0, 1}), 43.0))
    if stacked:
        slots += [Slot(357, y, 58, 42, Series.ONE_ROW, accent=True) for y in (25, 73)]
    else:
        slots += [Slot(x, 28, 38, 84, Series.ONE_ROW, accent=True) for x in (344, 388)]
    return Layout(440, 140, 1, tuple(slots), (122, 70, 5), _BOLTS)


def _embassy(text: str) -> Layout:
    if text.startswith("使"):
        starts = (15.5, 72.5, 129.5, 186.5, 265.5, 322.5, 379.5)
        return _one_row(frozenset({0}), starts, (248.5, 70, 5))
    starts = (15.5, 72.5, 129.5, 208.5, 265.5, 322.5, 379.5)
    return _one_row(frozenset({6}), starts, (191.5, 70, 5))


def rows_of(kind: PlateKind) -> tuple[int, ...]:
    """How many rows plates of this kind have; the first is the commoner."""
    if kind in {PlateKind.TRAILER, PlateKind.AGRICULTURAL, PlateKind.MOTORCYCLE}:
        return (2,)
    if kind in {PlateKind.LARGE, PlateKind.ARMED_POLICE, PlateKind.MILITARY}:
        return (1, 2)
    return (1,)


def layout_for(text: str, kind: PlateKind, rows: int, *, variant: int = 0) -> Layout | None:
    """The layout of a plate, or ``None`` where the text does not fit this kind and rows.

    ``variant`` 1 picks the second form of kinds that are seen in two.
    """
    return _layout(len(text), text[0] + text[-1], kind, rows, variant)


@cache
def _layout(  # noqa: PLR0911 - a table of kinds
    length: int, ends: str, kind: PlateKind, rows: int, variant: int
) -> Layout | None:
    if kind in {PlateKind.NEW_ENERGY_SMALL, PlateKind.NEW_ENERGY_LARGE}:
        return _new_energy() if (length, rows) == (8, 1) else None
    if kind is PlateKind.EMERGENCY:
        return _emergency(stacked=variant == 1) if (length, rows) == (8, 1) else None
    if kind is PlateKind.AGRICULTURAL:
        return _agricultural() if (length, rows) == (8, 2) else None
    if kind is PlateKind.ARMED_POLICE and length == 8:
        return _armed_police_two_rows(red_ends=variant == 1) if rows == 2 else _armed_police(8)
    if length != 7:
        return None
    if rows == 2:
        return _seven_in_two_rows(ends, kind)
    accents = {
        PlateKind.POLICE: frozenset({6}),
        PlateKind.CONSULATE: frozenset({6}),
        PlateKind.MILITARY: frozenset({0, 1}),
        PlateKind.ARMED_POLICE: frozenset({0, 1}),
        PlateKind.UNKNOWN: frozenset({0} if variant == 0 else ()),
    }.get(kind, frozenset())
    if kind is PlateKind.EMBASSY:
        return _embassy(ends)
    if kind is PlateKind.POLICE and variant == 0:
        starts = (15.5, 94.5, 151.5, 208.5, 265.5, 322.5, 379.5)
        return _one_row(accents, starts, (77.5, 70, 5))
    return _one_row(accents)


def _seven_in_two_rows(ends: str, kind: PlateKind) -> Layout:
    if kind is PlateKind.MOTORCYCLE:
        return _motorcycle()
    if ends[0] == "民":
        return _civil_aviation()
    red = kind in {PlateKind.MILITARY, PlateKind.ARMED_POLICE}
    return _two_rows(frozenset({0, 1} if red else ()))
