"""Passages by plate, time, place and looks, newest first, in keyset pages.

There are two ways into the table: the key (plate, time) and (checkpoint, time). A pattern or a
likeness first becomes plates, by the dictionary. Whatever cannot follow one index downwards in
time is looked for in windows of time, the newest first and each longer than the one before, so
that a page costs what a page holds and not what the table holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, literal, select, tuple_
from sqlalchemy.orm import Session

from server.auth.sight import Sight
from server.checkpoints.service import places
from server.db import among, is_sqlite
from server.errors import InvalidRequest, NotFound
from server.passages.areas import Circle, Polygon, within
from server.passages.cursors import from_cursor, to_cursor
from server.passages.dictionary import MAX_CHANGES
from server.passages.known import KnownPlates
from server.passages.patterns import is_pattern, like_of, normal_pattern, whole_plate
from server.passages.statements import By, passages_of, passages_of_plates, registered
from server.passages.view import SUMMARY, PassageSummary, PassageView, summary_of, view_of
from server.tables import Checkpoint, Passage

MAX_PLATES = 5_000
"""A pattern that more plates fit is looked for among the passages themselves."""
MAX_NEAR = 2_000
"""So many plates at most are taken for misreads of one: more than a dense register of three
million holds at two changes, so that none is left out that is near."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEAR = timedelta(minutes=10)
"""An identifier is minted when the vehicle has passed."""
_LAST_MS = 200_000_000_000_000
"""Beyond: no UUIDv7 of our time (year 8307)."""
_FIRST_WINDOW = timedelta(minutes=2)
_LEAST_GROWTH, _MOST_GROWTH = 2, 8
_LONGEST_WINDOW = timedelta(days=3 * 365)
_FIRST_YEAR = 1990
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PassageQuery:
    """What to look for; every condition given must hold, of a list any one value.

    ``plate`` may hold ``?`` (one character) and ``*`` (any run); with ``changes`` it is a whole
    plate, and its likely misreads with so many wrong, missing or added characters are found too.
    ``since`` is inclusive, ``until`` exclusive, both aware. ``cursor`` is the ``next_cursor`` of
    the page before.
    """

    plate: str | None = None
    changes: int = 0
    since: datetime | None = None
    until: datetime | None = None
    checkpoint_ids: tuple[str, ...] = ()
    circle: Circle | None = None
    polygon: Polygon | None = None
    road: str = ""
    plate_states: tuple[str, ...] = ()
    plate_kinds: tuple[str, ...] = ()
    plate_colors: tuple[str, ...] = ()
    vehicle_colors: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    lanes: tuple[int, ...] = ()
    min_speed_kmh: float | None = None
    max_speed_kmh: float | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PassagePage:
    """One page, newest first; ``next_cursor`` is None on the last."""

    passages: tuple[PassageSummary, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Way:
    """How to find: conditions on every row, and whether one index gives them in order."""

    conditions: tuple[ColumnElement[bool], ...]
    in_order: bool
    nothing: bool = False
    plates: tuple[str, ...] = ()
    """The plates, if there are several."""
    of: tuple[By, str] | None = None
    """The one plate, or the one checkpoint, if that is all there is to find by."""


def search_passages(
    session: Session, query: PassageQuery, sight: Sight, known: KnownPlates, now: datetime
) -> PassagePage:
    """Find one page of passages, of what one may see.

    Raises:
        InvalidRequest: the pattern, the period or the cursor is not usable; the message says which.
        ApprovalNeeded: it goes further back than is open to him.
    """
    require_usable(query)
    rows = list(_rows(session, query, sight, known, now, query.limit + 1))
    page = rows[: query.limit]
    place_of = places(session, {row.checkpoint_id for row in page})
    more = len(rows) > query.limit
    return PassagePage(
        tuple([summary_of(row, place_of.get(row.checkpoint_id)) for row in page]),
        to_cursor(page[-1]) if more else None,
    )


def require_usable(query: PassageQuery) -> None:
    """Refuse what cannot be meant.

    Raises:
        InvalidRequest: naming the field.
    """
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise InvalidRequest("until: must be after since", field="until")
    if not 0 <= query.changes <= MAX_CHANGES:
        raise InvalidRequest(f"changes: 0 to {MAX_CHANGES}", field="changes")
    low, high = query.min_speed_kmh, query.max_speed_kmh
    if low is not None and high is not None and low > high:
        raise InvalidRequest(
            "max_speed_kmh: must not be below min_speed_kmh", field="max_speed_kmh"
        )
    if query.plate is not None:
        (whole_plate if query.changes else normal_pattern)(query.plate)
    elif query.changes:
        raise InvalidRequest("plate: say whose misreads are looked for", field="plate")


def get_passage(session: Session, passage_id: UUID, sight: Sight) -> PassageView:
    """One passage by its identifier, a UUIDv7: its own time and the checkpoints lead to it.

    Raises:
        NotFound: no such passage, or none that one may see.
    """
    minted_ms = passage_id.int >> 80
    row = None
    if minted_ms < _LAST_MS:
        minted_at = _EPOCH + timedelta(milliseconds=minted_ms)
        row = session.scalar(
            select(Passage)
            .join(Checkpoint, Checkpoint.id == Passage.checkpoint_id)
            .where(
                Passage.captured_at.between(minted_at - _NEAR, minted_at + _NEAR),
                Passage.passage_id == passage_id,
                *sight.conditions(Passage),
            )
            .limit(1)
        )
    if row is None or (sight.floor is not None and row.captured_at < sight.floor):
        raise NotFound(f"no passage {passage_id}")
    return view_of(row, places(session, [row.checkpoint_id]).get(row.checkpoint_id))


def _rows(  # noqa: PLR0913, PLR0917 - of search_passages, and how many
    session: Session,
    query: PassageQuery,
    sight: Sight,
    known: KnownPlates,
    now: datetime,
    wanted: int,
) -> Iterator[Row[Any]]:
    since = sight.reach(query.since)
    way = _way(session, query, sight, known, now)
    if way.nothing:
        return
    if way.plates and _is_plain(query, sight):
        newest = _newest_of(session, way.plates, since, known, wanted)
        if newest is not None:
            yield from newest
            return
    looks = tuple(_looks(query))
    if way.of is not None and not looks and sight.checkpoint_ids is None:
        yield from _of_one(session, way.of, query, since, wanted, hides=bool(sight.hidden_plates))
        return
    statement = (
        select(*SUMMARY)
        .where(*way.conditions, *looks, *sight.conditions(Passage))
        .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
    )
    until = query.until
    if query.cursor is not None:
        at, passage_id = from_cursor(query.cursor)
        after = tuple_(Passage.captured_at, Passage.passage_id) < tuple_(
            literal(at, Passage.captured_at.type), literal(passage_id, Passage.passage_id.type)
        )
        statement = statement.where(after, Passage.captured_at <= at)
        until = min(until or at + _MICROSECOND, at + _MICROSECOND)
    windows = _Windows(since, until, now)
    spans = [(since, until)] if way.in_order else windows
    for low, high in spans:
        part = statement
        if low is not None:
            part = part.where(Passage.captured_at >= low)
        if high is not None:
            part = part.where(Passage.captured_at < high)
        found = session.connection().execute(part.limit(wanted)).all()
        yield from found
        wanted -= len(found)
        if wanted <= 0:
            return
        windows.found(len(found), wanted)


def _of_one(  # noqa: PLR0913 - of what, since when, how many, for whose eyes
    session: Session,
    of: tuple[By, str],
    query: PassageQuery,
    since: datetime | None,
    wanted: int,
    *,
    hides: bool,
) -> Sequence[Row[Any]]:
    """Passages of one plate or of one checkpoint, whatever they look like."""
    by, value = of
    at, passage_id = (None, None) if query.cursor is None else from_cursor(query.cursor)
    statement = passages_of(
        by,
        hides=hides,
        since=since is not None,
        until=query.until is not None,
        after=at is not None,
    )
    asked = {
        "by": value,
        "since": since,
        "until": query.until,
        "at": at,
        "passage_id": passage_id,
        "limit": wanted,
    }
    return session.connection().execute(statement, _given(asked)).all()


class _Windows:
    """Spans of time from the newest backwards, each longer; together exactly the period.

    How much longer, what was found so far says: twice what the rest of the page should take.
    """

    def __init__(self, since: datetime | None, until: datetime | None, now: datetime) -> None:
        self._since, self._until, self._now = since, until, now
        self._growth = float(_MOST_GROWTH)

    def found(self, rows: int, wanted: int) -> None:
        """Take note of how many rows the last span had, and how many are still wanted."""
        if rows:
            self._growth = max(_LEAST_GROWTH, min(_MOST_GROWTH, 2 * wanted / rows))

    def __iter__(self) -> Iterator[tuple[datetime | None, datetime | None]]:
        since, high, now = self._since, self._until, self._now
        length = _FIRST_WINDOW
        while True:
            top = now if high is None else min(high, now)
            low = top - length if top.year >= _FIRST_YEAR else _EPOCH
            if (since is not None and low <= since) or (
                length > _LONGEST_WINDOW or low.year < _FIRST_YEAR
            ):
                yield since, high
                return
            yield low, high
            high, length = low, length * self._growth


def _is_plain(query: PassageQuery, sight: Sight) -> bool:
    """Whether nothing but plates and a beginning is asked for, by somebody who sees everywhere."""
    plain = PassageQuery(
        plate=query.plate, changes=query.changes, since=query.since, limit=query.limit
    )
    return query == plain and sight.checkpoint_ids is None


def _newest_of(
    session: Session,
    plates: Sequence[str],
    since: datetime | None,
    known: KnownPlates,
    wanted: int,
) -> list[Row[Any]] | None:
    """The newest passages of many plates, by when each was seen last; None if that cannot tell.

    The ``wanted`` newest passages are of no more plates, and a plate that was seen last before so
    many others were has none of them. The register says when each was seen last; those that it has not
    counted yet come along. Where retention has deleted what the register still knows, the
    passages found may not reach back to where it was cut: then it cannot tell.
    """
    lately = known.uncounted(plates)
    sqlite, ask = is_sqlite(session), session.connection().execute
    rows = ask(registered(sqlite=sqlite), {"plates": plates, "limit": wanted + 1}).all()
    cut = rows[wanted].last_seen_at if len(rows) > wanted else None  # of the first left out
    newest = lately.union(row.plate for row in rows[:wanted])
    statement = passages_of_plates(sqlite=sqlite, since=since is not None, after=cut is not None)
    asked = {"plates": sorted(newest), "since": since, "cut": cut, "limit": wanted}
    found = list(ask(statement, _given(asked)))
    is_whole = cut is None or (since is not None and since > cut)
    return found if is_whole or len(found) == wanted else None


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _way(
    session: Session, query: PassageQuery, sight: Sight, known: KnownPlates, now: datetime
) -> _Way:
    places_asked = _places_asked(session, query)
    here: tuple[ColumnElement[bool], ...] = ()
    if places_asked is not None:
        if not places_asked:
            return _Way((), in_order=False, nothing=True)
        here = (
            Passage.checkpoint_id == places_asked[0]
            if len(places_asked) == 1
            else among(session, Passage.checkpoint_id, places_asked),
        )
    if query.plate is None:
        if places_asked is None:
            here = (Passage.checkpoint_id.in_(select(Checkpoint.id)),)
        of = _the_only(None, places_asked)
        return _Way(here, in_order=of is not None, of=of)
    if not query.changes and not is_pattern(plate := normal_pattern(query.plate)):
        of = _the_only(plate, places_asked)
        return _Way((Passage.plate == plate, *here), in_order=True, of=of)
    plates = _plates_meant(session, query, known, now)
    if plates is None:  # so many that they are met everywhere
        pattern = normal_pattern(query.plate)
        fits: tuple[ColumnElement[bool], ...] = (Passage.plate.like(like_of(pattern)),)
        if not here:
            here = (Passage.checkpoint_id.in_(select(Checkpoint.id)),)
        return _Way((*fits, *here), in_order=False)
    seen = [plate for plate in plates if plate not in sight.hidden_plates]
    if not seen:
        return _Way((), in_order=False, nothing=True)
    return _Way((among(session, Passage.plate, seen), *here), in_order=False, plates=tuple(seen))


def _the_only(plate: str | None, places_asked: Sequence[str] | None) -> tuple[By, str] | None:
    """What there is to find by, if it is one plate or one checkpoint."""
    if plate is not None:
        return None if places_asked is not None else ("plate", plate)
    if places_asked is None or len(places_asked) > 1:
        return None
    return "checkpoint_id", places_asked[0]


def _plates_meant(
    session: Session, query: PassageQuery, known: KnownPlates, now: datetime
) -> tuple[str, ...] | None:
    """The plates that the query's plate stands for; None if there are too many to name."""
    text = query.plate or ""
    if query.changes:
        near = known.near(session, now, whole_plate(text), query.changes, MAX_NEAR)
        return tuple(one.plate for one in near)
    fitting = known.fitting(session, now, normal_pattern(text), MAX_PLATES)
    return None if fitting.truncated else fitting.plates


def _places_asked(session: Session, query: PassageQuery) -> tuple[str, ...] | None:
    """Checkpoints that the query names in any way; None if it names none."""
    if query.circle is None and query.polygon is None and not query.road.strip():
        return query.checkpoint_ids or None
    found = within(session, circle=query.circle, polygon=query.polygon, road=query.road)
    if query.checkpoint_ids:
        return tuple(one for one in query.checkpoint_ids if one in set(found))
    return found


def _looks(query: PassageQuery) -> Iterator[ColumnElement[bool]]:
    for attribute, values in (
        (Passage.plate_state, query.plate_states),
        (Passage.plate_kind, query.plate_kinds),
        (Passage.plate_color, query.plate_colors),
        (Passage.vehicle_color, query.vehicle_colors),
        (Passage.direction, query.directions),
        (Passage.lane, query.lanes),
    ):
        if values:
            yield attribute.in_(values)
    if query.min_speed_kmh is not None:
        yield Passage.speed_kmh >= query.min_speed_kmh
    if query.max_speed_kmh is not None:
        yield Passage.speed_kmh <= query.max_speed_kmh
