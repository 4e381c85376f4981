"""The watchlist in force, ready to be asked: which entries look for a vehicle that was seen.

:class:`WatchlistCache` keeps the one index of a process up to date (:mod:`anpr.watch`). Ingest
asks it *inside its own transaction*, and the revision that this transaction sees decides, so that
several server processes agree: what changed since the index was made is read and added first,
a few rows. The revision's row is locked for sharing until ingest commits; a change of the list
waits for that. Hence the law: a passage is either stored before a change of the list took effect,
or matched against the changed list.

The index says which entries may be meant, and nothing of their state. These few are read from the
table in the same transaction and judged as they stand there. So nothing has ever to be taken out
of the index, and it holds no more of an entry than its plate and number.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Text, bindparam, cast, func, literal, select
from sqlalchemy.orm import Session

from anpr.watch import Indexed, Match, Seen, Watched, WatchIndex, judge
from anpr.watch.index import Builder
from server.passages.areas import Polygon, within
from server.protection import protected_plates
from server.tables import Counter, WatchlistEntry
from server.watchlists.entries import hours_of
from server.watchlists.states import IN_FORCE

_IN_FORCE = tuple(sorted(state.value for state in IN_FORCE))
_IDS_A_TEXT = 10_000
"""Entries read in one go."""
_AT_ONCE = 100
"""Patterns or descriptions between two pauses."""
_TURN_S = 0.001
_ASIDE_S = 0.0002
_MANY_LATE = 50_000
"""So many entries beside the sorted arrays, and the index is made anew in the background."""
_IDS_AT_ONCE = 500

Pause = Callable[[], None]


class _Courtesy:
    """Lets a thread that wants the interpreter have it: else it takes turns of milliseconds."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """Step aside for a moment, if it is some time since the last."""
        if time.perf_counter() - self._since > _TURN_S:
            time.sleep(_ASIDE_S)
            self._since = time.perf_counter()


class Sighting(NamedTuple):
    """A passage that was stored; ``key`` is its key."""

    key: tuple[str, datetime, UUID]
    seen: Seen
    checkpoint_id: str
    instants: tuple[datetime, ...]
    """When it was captured and, live, when it was received."""


class WatchlistCache:
    """The index of this process, brought up to the revision of whoever asks. Thread safe."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._adding = threading.Lock()
        self._index: WatchIndex | None = None
        self._revision = -1

    @property
    def index(self) -> WatchIndex:
        """The index as it is, of whatever revision; empty while there is none."""
        return WatchIndex() if self._index is None else self._index

    @property
    def revision(self) -> int:
        """Of the index; -1 while there is none."""
        return self._revision

    def current(self, session: Session) -> WatchIndex:
        """The index, holding all that is in force in this transaction; locks the revision."""
        revision = _revision(session, lock=True)
        if revision < self._revision:  # nobody may raise it meanwhile: the table was restored
            with self._adding:
                self._index, self._revision = _all(session, lambda: None), revision
        return self._upto(session, revision)

    def refresh(self, session: Session) -> None:
        """Take in what has changed, before somebody has to wait for it; make it anew if due."""
        held = self._revision
        revision = _revision(session, lock=False)  # raised since then by others, if at all
        index = self._index
        if index is None or revision < held or index.late >= _MANY_LATE:
            self.rebuild(session)
        else:
            self._upto(session, revision)

    def rebuild(self, session: Session) -> None:
        """Make the index anew beside the one in use, and put it in its place.

        Its revision is read first: what changes meanwhile is added by the next that asks. Others
        get the interpreter every few milliseconds.
        """
        revision = _revision(session, lock=False)
        made = _all(session, _Courtesy())
        with self._adding:
            self._index, self._revision = made, revision

    def _upto(self, session: Session, revision: int) -> WatchIndex:
        index = self._index
        if index is not None and self._revision == revision:
            return index
        with self._adding:
            index = self._index
            if index is not None and revision <= self._revision:  # somebody else was here
                return index
            if index is None:
                index = _all(session, lambda: None)
            else:
                for entry in _changed(session, self._revision):
                    index.add(entry)
            self._index, self._revision = index, revision
            return index


def matches(
    session: Session, index: WatchIndex, sightings: Sequence[Sighting], zone: ZoneInfo
) -> list[tuple[Sighting, Match]]:
    """Who is looked for among vehicles that were seen; the graver level first at each.

    ``zone`` is that of the checkpoints, for entries that hold at some hours of the day alone.
    """
    candidates = index.candidates_of([one.seen for one in sightings])
    meant = [(one, found) for one, found in zip(sightings, candidates, strict=True) if found]
    if not meant:
        return []
    entries = watched_by_id(session, {entry_id for _, found in meant for entry_id in found})
    protected: frozenset[str] | None = None
    hits: list[tuple[Sighting, Match]] = []
    for one, found in meant:
        judged = (
            judge(entries[entry_id], one.seen, one.checkpoint_id, one.instants, zone)
            for entry_id in dict.fromkeys(found)
            if entry_id in entries
        )
        for match in sorted(filter(None, judged), key=lambda m: (m.level, m.entry_id)):
            if match.kind != "exact":
                # nobody learns by a pattern where a protected vehicle is
                protected = protected_plates(session) if protected is None else protected
                if match.read in protected:
                    continue
            hits.append((one, match))
    return hits


def watched_by_id(session: Session, ids: Iterable[int]) -> Mapping[int, Watched]:
    """Entries that are in force, as they stand in the table."""
    wanted = sorted(ids)
    found: dict[int, Watched] = {}
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        rows = session.scalars(
            select(WatchlistEntry).where(
                WatchlistEntry.id.in_(wanted[start : start + _IDS_AT_ONCE]),
                WatchlistEntry.state.in_(_IN_FORCE),
            )
        )
        found |= {row.id: watched_of(session, row) for row in rows}
    return found


def watched_of(session: Session, row: WatchlistEntry) -> Watched:
    """An entry as matching needs it; its area becomes the checkpoints that stand in it."""
    described, scope = row.description or {}, row.scope or {}
    places: frozenset[str] | None = None
    if scope.get("area") or scope.get("checkpoints"):
        places = frozenset(scope.get("checkpoints", ()))
        if scope.get("area"):
            corners = tuple((float(lon), float(lat)) for lon, lat in scope["area"])
            places |= frozenset(within(session, polygon=Polygon(corners)))
    ends = [end for end in (row.valid_to, row.lapses_at) if end is not None]
    return Watched(
        entry_id=row.id,
        match=row.match,
        plate=row.plate,
        level=row.level,
        valid_from=row.valid_from,
        valid_to=min(ends, default=None),
        tolerance=row.tolerance or 0.0,
        plate_kinds=frozenset(described.get("plate_kinds", ())),
        plate_colors=frozenset(described.get("plate_colors", ())),
        vehicle_colors=frozenset(described.get("vehicle_colors", ())),
        places=places,
        hours=tuple(filter(None, map(hours_of, scope.get("hours", ())))),
    )


def _revision(session: Session, *, lock: bool) -> int:
    query = select(Counter.value).where(Counter.name == "watchlist")
    if lock:
        query = query.with_for_update(read=True)
    return session.execute(query).scalar_one()


_COLUMNS = (
    WatchlistEntry.id,
    WatchlistEntry.match,
    WatchlistEntry.plate,
    WatchlistEntry.tolerance,
    WatchlistEntry.description,
)


def _changed(session: Session, since: int) -> Iterator[Indexed]:
    """What came into force after a revision."""
    rows = session.execute(
        select(*_COLUMNS).where(
            WatchlistEntry.revision > since, WatchlistEntry.state.in_(_IN_FORCE)
        )
    )
    return map(_indexed, rows)


def _all(session: Session, pause: Pause) -> WatchIndex:
    """An index of everything in force.

    A row at a time, a million plates would take ten seconds and let nobody else work for a tenth
    of one now and then. So the database puts the whole plates of some thousand entries into one
    text.
    """
    builder = Builder()
    in_force = WatchlistEntry.state.in_(_IN_FORCE)
    line = cast(WatchlistEntry.id, Text) + literal(" ") + WatchlistEntry.plate
    plates = (
        select(
            WatchlistEntry.match,
            func.aggregate_strings(line, "\n"),
            func.max(WatchlistEntry.tolerance),
        )
        .where(
            WatchlistEntry.id.between(bindparam("first"), bindparam("last")),
            WatchlistEntry.match != "description",
            in_force,
        )
        .group_by(WatchlistEntry.match)
    )
    first, last = session.execute(
        select(func.min(WatchlistEntry.id), func.max(WatchlistEntry.id))
    ).one()
    for start in range(first or 0, (last or 0) + 1, _IDS_A_TEXT):
        span = {"first": start, "last": start + _IDS_A_TEXT - 1}
        for match, lines, widest in session.execute(plates, span).all():
            words = lines.split()  # no plate has a space: anpr.plate.normalise
            pause()
            texts, ids = words[1::2], map(int, words[::2])
            if match != "pattern":
                builder.add_plates(match, texts, ids, widest or 0.0)
            else:
                for number, (entry_id, text) in enumerate(zip(ids, texts, strict=True)):
                    builder.add(Indexed(entry_id, match, text))
                    if number % _AT_ONCE == 0:
                        pause()
            pause()
    descriptions = session.execute(
        select(*_COLUMNS)
        .where(in_force, WatchlistEntry.match == "description")
        .execution_options(yield_per=_AT_ONCE)
    )
    for some in descriptions.partitions():
        for row in some:
            builder.add(_indexed(row))
        pause()
    return builder.done(pause)


def _indexed(row: Row[int, str, str, float | None, dict[str, list[str]] | None]) -> Indexed:
    described = row.description or {}
    return Indexed(
        row.id,
        row.match,
        row.plate,
        row.tolerance or 0.0,
        frozenset(described.get("plate_kinds", ())),
        frozenset(described.get("plate_colors", ())),
        frozenset(described.get("vehicle_colors", ())),
    )
