"""Where single plates were: their sightings, and how often they were where and when.

Over months these are thousands of rows of a plate, and hundreds of thousands of all who were near
it. What is packed (:mod:`server.packed`) is read packed; the rest, on SQLite all, from ``passage``.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, Select, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from server.analyses.companions import Cell, CellCounts
from server.analyses.rows import Period, plain_rows
from server.analyses.sighting import Sighting
from server.auth.sight import Sight
from server.db import among, is_sqlite
from server.packed.form import moments_of
from server.packed.reading import BETWEEN, Found, Span, look, names_of
from server.packed.sightings import inside, newest, seen_by, within
from server.tables import Passage

_HOUR_US: Final = 3_600_000_000
_MIDNIGHT: Final = ord("A")


def sightings_of_plate(
    session: Session, plate: str, period: Period, sight: Sight, limit: int
) -> tuple[Sighting, ...]:
    """The newest so many sightings of a plate, in order of time."""
    found = look(session, [plate], period.since, period.until)
    span = Span(period.since, period.until)
    return tuple(Sighting(*row) for row in newest(session, found, [plate], span, sight, limit))


def cells_of_plates(
    session: Session,
    plates: Sequence[str],
    cells: Collection[Cell],
    period: Period,
    sight: Sight,
) -> CellCounts:
    """How often each of these plates was in each of these cells.

    One that was at none of their checkpoints is left out.
    """
    rows = {plate: n for n, plate in enumerate(plates) if plate not in sight.hidden_plates}
    columns = {cell: n for n, cell in enumerate(sorted(cells))}
    counted = _Counted(rows, columns, np.zeros((len(plates), len(columns)), np.int64), set())
    if rows:
        found = look(session, list(rows), period.since, period.until, looks=False)
        if found.rest:
            which = and_(among(session, Passage.plate, list(rows)), within(found.rest))
            _count(session, which, sight, counted)
        if found.changed:
            late = found.changed.items()
            which = or_(*(and_(Passage.plate == plate, within(spans)) for plate, spans in late))
            _count(session, which, sight, counted)
        if found.packs:
            _count_packed(session, found, period, sight, counted)
    there = {plate: n for plate, n in rows.items() if n in counted.there}
    return CellCounts(there, columns, counted.counts)


class _Counted(NamedTuple):
    """What has been counted so far."""

    rows: Mapping[str, int]
    columns: Mapping[Cell, int]
    counts: NDArray[np.int64]
    there: set[int]
    """Rows of who was at one of the checkpoints."""


def _count(session: Session, which: ColumnElement[bool], sight: Sight, counted: _Counted) -> None:
    """Count passages."""
    rows, columns, counts, there = counted
    theirs = (which, *sight.conditions(Passage))
    hour = _hour_of_day(session)
    places_meant = {place for place, _ in columns}
    if is_sqlite(session):
        by_cell = (
            select(Passage.plate, Passage.checkpoint_id, hour, func.count())
            .where(*theirs)
            .group_by(Passage.plate, Passage.checkpoint_id, hour)
        )
        for plate, place, at, count in session.execute(by_cell):
            if place in places_meant:
                there.add(rows[plate])
                if (place, at) in columns:
                    counts[rows[plate], columns[place, at]] += count
        return
    # PostgreSQL takes several times as long to tell texts apart as to string them together, and
    # that is all that is done there
    cell = func.chr(hour + _MIDNIGHT).concat(Passage.checkpoint_id)
    strung: Select[Any] = (
        select(Passage.plate, func.string_agg(cell, literal(BETWEEN)))
        .where(*theirs)
        .group_by(Passage.plate)
    )
    for plate, texts in plain_rows(session, strung):
        for one, count in Counter(texts.split(BETWEEN)).items():
            if one[1:] in places_meant:
                there.add(rows[plate])
                column = columns.get((one[1:], ord(one[0]) - _MIDNIGHT))
                if column is not None:
                    counts[rows[plate], column] += count


def _count_packed(
    session: Session, found: Found, period: Period, sight: Sight, counted: _Counted
) -> None:
    """Count what is packed."""
    rows, columns, counts, there = counted
    # plate by plate: what is worked out of all at once goes through memory instead of the cache
    moments = {
        plate: moments_of([one.moments for _, one in packs], [start for start, _ in packs])
        for plate, packs in found.packs.items()
    }
    highest = max(int(place.max()) for _, place in moments.values())
    names = names_of(session).upto(session, highest)
    numbers = {name: number for number, name in enumerate(names)}
    column_at = np.full((len(names), 24), -1, np.int64)
    is_place = np.zeros(len(names), np.bool_)
    for (name, hour), column in columns.items():
        number = numbers.get(name)
        if number is not None:
            column_at[number, hour] = column
            is_place[number] = True
    if sight.checkpoint_ids is not None:
        is_place &= seen_by(names, sight)
    span, column_of = Span(period.since, period.until), column_at.ravel()
    for plate, (at_us, place) in moments.items():
        meant = np.flatnonzero(is_place[place] & inside(at_us, span))
        if not len(meant):
            continue
        there.add(rows[plate])
        which = column_of.take(place.take(meant) * 24 + at_us.take(meant) // _HOUR_US % 24)
        counts[rows[plate]] += np.bincount(which[which >= 0], minlength=len(columns))


def _hour_of_day(session: Session) -> ColumnElement[int]:
    if is_sqlite(session):
        return cast(func.strftime("%H", Passage.captured_at), Integer)
    return cast(func.date_part("hour", Passage.captured_at), Integer)
