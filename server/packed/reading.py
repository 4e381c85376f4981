"""Reading packed sightings: what is packed of some plates, and what has to be read of ``passage``.

:func:`look` asks once, so that all of it is as of one instant: which periods are packed, what the
plates have in them, and whose pack a late passage or a deletion has overtaken since. What is not
packed is said as spans of time: newer days, gaps, and of single plates the periods overtaken. A
passage never moves from one period to another, so spans may be read a moment later.

On SQLite and on Citus nothing is packed, and one span is everything.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.orm import Session

from server import citus
from server.db import is_sqlite
from server.packed.copying import copied
from server.packed.form import Numbers, Pack

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_DAY_US: Final = 86_400_000_000
BETWEEN: Final = "\x1f"
"""Between the words of a look: in none of them."""
# by the periods one after the other, each by the key: no plan that somebody's statistics could spoil
_LOOK: Final = """
SELECT p.started_on - date '1970-01-01', p.ended_on - date '1970-01-01',
  coalesce(t.plate, ''), coalesce(t.moments, ''){looks}
FROM packed_period p LEFT JOIN LATERAL (
  SELECT plate, moments, looks FROM packed_plate
  WHERE started_on = p.started_on AND plate = ANY(%(plates)s) OFFSET 0
) t ON true
WHERE p.started_on < %(until)s AND p.ended_on > %(since)s
UNION ALL
SELECT started_on - date '1970-01-01', {overtaken}, plate, ''{nothing}
FROM packed_change WHERE plate = ANY(%(plates)s)
"""
_OVERTAKEN: Final = -(2**31)
"""Stands for the end of a period of which only that is said."""
_MOMENTS: Final = _LOOK.format(looks="", nothing="", overtaken=_OVERTAKEN)
_WHOLE: Final = _LOOK.format(looks=", coalesce(t.looks, '')", nothing=", ''", overtaken=_OVERTAKEN)


class Span(NamedTuple):
    """From ``since``, inclusive, to ``until``, exclusive; aware."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What is packed of the plates asked for, and what is not."""

    span: Span
    """The time asked for."""
    packs: Mapping[str, Sequence[tuple[int, Pack]]]
    """By plate, with the beginning of each period, microseconds since 1970, in order of time."""
    rest: tuple[Span, ...]
    """Where nothing is packed."""
    changed: Mapping[str, Sequence[Span]]
    """By plate: where its pack does not hold any more."""


def look(
    session: Session,
    plates: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    *,
    looks: bool = True,
) -> Found:
    """Look for packed sightings of some plates in periods that overlap the time asked for.

    Without ``looks`` the packs hold moments alone. What lies outside of the time is not cut off.
    """
    low, high = since or _FIRST, until or _LAST
    whole = Span(low, high)
    if is_sqlite(session) or citus.is_used(session):
        return Found(whole, {}, (whole,), {})
    given = {"plates": list(plates), "since": low, "until": high}
    rows = list(copied(session, _WHOLE if looks else _MOMENTS, given))
    ends = {row.started: row.ended for row in rows if row.ended != _OVERTAKEN}
    periods = {day: Span(_midnight(day), _midnight(end)) for day, end in ends.items()}
    overtaken = {
        (row.plate, row.started) for row in rows if row.ended == _OVERTAKEN and row.started in ends
    }
    packs: dict[str, list[tuple[int, Pack]]] = defaultdict(list)
    for started, ended, plate, moments, of_looks in rows:
        if plate and ended != _OVERTAKEN and (plate, started) not in overtaken:
            packs[plate].append((started * _DAY_US, Pack(moments, of_looks)))
    for those in packs.values():
        those.sort(key=_start_of)
    changed: dict[str, list[Span]] = defaultdict(list)
    overtaken |= {(plate, day) for plate in plates if not is_packable(plate) for day in periods}
    for plate, started in sorted(overtaken):
        period = periods[started]
        changed[plate].append(Span(max(low, period.since), min(high, period.until)))
    return Found(whole, packs, tuple(gaps(whole, periods.values())), changed)


def is_packable(plate: str) -> bool:
    """Whether sightings of such a plate are packed at all."""
    return plate != "" and "?" not in plate


def gaps(whole: Span, taken: Any) -> list[Span]:
    """What of a span no other span covers, oldest first. Pure."""
    left: list[Span] = []
    at = whole.since
    for since, until in sorted(taken):
        if since > at:
            left.append(Span(at, min(since, whole.until)))
        at = max(at, until)
        if at >= whole.until:
            return left
    return [*left, Span(at, whole.until)] if at < whole.until else left


def microseconds(at: datetime) -> int:
    """Since 1970; aware."""
    return (at - EPOCH) // _US


def instants(at_us: Numbers) -> list[datetime]:
    """Microseconds since 1970 as aware UTC."""
    # ten times as fast as to make instants that know no zone, and then of each one that does
    return list(map(EPOCH.__add__, at_us.astype("m8[us]").tolist()))


def midnight(day: date) -> datetime:
    """The beginning of a UTC day."""
    return datetime.combine(day, time(), UTC)


def _midnight(day: int) -> datetime:
    return EPOCH + timedelta(days=day)


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _start_of(one: tuple[int, Pack]) -> int:
    return one[0]


# ---- names


class Names:
    """What the numbers in packs stand for. A number never changes, so what is known stays known."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._texts: list[str] = [""]

    def upto(self, session: Session, number: int) -> Sequence[str]:
        """The names, by number; at least up to this one."""
        if number >= len(self._texts):
            with self._lock:
                self._read(session)
        return self._texts

    def _read(self, session: Session) -> None:
        rows = session.connection().execute(_NAMES, {"known": len(self._texts) - 1})
        for number, name in rows:
            if number != len(self._texts):  # pragma: no cover - the packer leaves no gap
                raise LookupError(f"packed_name: {number} follows {len(self._texts) - 1}")
            self._texts.append(name)


_NAMES: Final = text("SELECT number, name FROM packed_name WHERE number > :known ORDER BY number")
_OF: WeakKeyDictionary[Any, Names] = WeakKeyDictionary()


def names_of(session: Session) -> Names:
    """The names of the database that a session talks to; a process's copy."""
    return _OF.setdefault(session.get_bind().engine, Names())
