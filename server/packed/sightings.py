"""The sightings of single plates, packed or not, as rows in order of time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from server.auth.sight import Sight
from server.db import among
from server.packed.form import Columns, Pack, columns_of
from server.packed.reading import BETWEEN, Found, Span, instants, microseconds, names_of
from server.tables import Passage

Row = tuple[str, datetime, bytes, str, str, str, str, str, int | None, float]
"""As :data:`COLUMNS`, with the identifier's 16 bytes: of thousands a few are ever shown as a UUID."""
COLUMNS: Final = (
    Passage.plate,
    Passage.captured_at,
    Passage.passage_id,
    Passage.checkpoint_id,
    Passage.plate_color,
    Passage.plate_kind,
    Passage.vehicle_color,
    Passage.direction,
    Passage.lane,
    Passage.plate_score,
)
_IN_ORDER: Final = itemgetter(1, 2)


def newest(  # noqa: PLR0913, PLR0917 - of what is found, whose, when, for whose eyes, how many
    session: Session, found: Found, plates: Sequence[str], when: Span, sight: Sight, limit: int
) -> list[Row]:
    """The newest so many sightings of some plates, in order of time.

    ``found`` is what is packed of at least these plates and this time.
    """
    plates = [plate for plate in plates if plate not in sight.hidden_plates]
    which = [
        and_(
            Passage.plate == given[0] if len(given) == 1 else among(session, Passage.plate, given),
            within(spans),
        )
        for given, spans in _unpacked(found, plates, when)
    ]
    rows: list[Any] = []
    if which:
        asked = (
            select(*COLUMNS)
            .where(or_(*which), *sight.conditions(Passage))
            .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
            .limit(limit)
        )
        unpacked = session.connection().execute(asked).all()
        rows = [(*row[:2], row[2].bytes, *row[3:]) for row in reversed(unpacked)]
    packed = [plate for plate in plates if plate in found.packs]
    for plate in packed:
        rows += _of_packs(session, plate, found.packs[plate], when, sight, limit)
    if packed:
        rows.sort(key=_IN_ORDER)
    return rows[-limit:]


def _unpacked(
    found: Found, plates: Sequence[str], when: Span
) -> list[tuple[Sequence[str], list[Span]]]:
    """Whose passages have to be read of what time."""
    asked: list[tuple[Sequence[str], Sequence[Span]]] = [(plates, found.rest)]
    asked += [([plate], found.changed[plate]) for plate in plates if plate in found.changed]
    cut = [(given, [cut for one in spans if (cut := _cut(one, when))]) for given, spans in asked]
    return [(given, spans) for given, spans in cut if given and spans]


def _cut(one: Span, to: Span) -> Span | None:
    since, until = max(one.since, to.since), min(one.until, to.until)
    return Span(since, until) if since < until else None


def _of_packs(  # noqa: PLR0913, PLR0917 - what of, when, for whose eyes, how many
    session: Session,
    plate: str,
    packs: Sequence[tuple[int, Pack]],
    when: Span,
    sight: Sight,
    limit: int,
) -> list[Row]:
    """The newest so many sightings in packs, in order of time."""
    columns = columns_of([pack for _, pack in packs], [start_us for start_us, _ in packs])
    highest = int(max(columns.place.max(), columns.look.max()))
    names = names_of(session).upto(session, highest)
    is_meant = inside(columns.at_us, when)
    if sight.checkpoint_ids is not None:
        is_meant &= seen_by(names, sight)[columns.place]
    return _rows(plate, columns, np.flatnonzero(is_meant)[-limit:], names)


def _rows(
    plate: str, columns: Columns, which: NDArray[np.int64], names: Sequence[str]
) -> list[Row]:
    look = columns.look[which]
    looks: Mapping[int, tuple[str, str, str, str, int | None]] = {
        number: _look(names[number]) for number in np.unique(look).tolist()
    }
    ids = columns.ids[which].tobytes()
    return [
        (plate, at, ids[n : n + 16], names[place], *looks[number], score)
        for n, at, place, number, score in zip(
            range(0, len(ids), 16), instants(columns.at_us[which]), columns.place[which].tolist(),
            look.tolist(), columns.score[which].tolist(), strict=True,
        )
    ]  # fmt: skip


def _look(name: str) -> tuple[str, str, str, str, int | None]:
    color, kind, vehicle, direction, lane = name.split(BETWEEN)
    return color, kind, vehicle, direction, int(lane) if lane else None


def within(spans: Sequence[Span]) -> ColumnElement[bool]:
    """The condition that a passage was at one of these times; there is at least one."""
    return or_(
        *(and_(Passage.captured_at >= since, Passage.captured_at < until) for since, until in spans)
    )


def inside(at_us: NDArray[np.int64], when: Span) -> NDArray[np.bool_]:
    """Which instants lie in a span."""
    found: NDArray[np.bool_] = (at_us >= microseconds(when.since)) & (
        at_us < microseconds(when.until)
    )
    return found


def seen_by(names: Sequence[str], sight: Sight) -> NDArray[np.bool_]:
    """By number, whether somebody sees the checkpoint of that name."""
    return np.array([sight.covers(name) for name in names], np.bool_)
