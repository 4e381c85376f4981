"""The plates that this process knows, kept equal to what the database has seen.

Three things together are every plate that ever passed and is still kept: the register
(``plate``), the doubtful ones (``plate_candidate``) and the journal that the register has not
counted yet. Before each search the dictionary is brought up to date with the searching
transaction, so a plate whose passage was acknowledged before the search is found by it.

What there is, is looked at as of one instant. A line of the journal that the register counts
before it is read is then in its tables, which are looked at again after it. Tables are read from
the newest row known: counts come one after the other, and each is later than all before it
(:mod:`server.register`).
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db import is_sqlite
from server.passages.dictionary import Fitting, Near, PlateDictionary
from server.tables import Plate, PlateCandidate, PlateJournal

_Table = type[Plate] | type[PlateCandidate]
_Line = tuple[int, str]
_TABLES: tuple[_Table, ...] = (Plate, PlateCandidate)
_NEWEST = {table: select(func.max(table.added_at)) for table in _TABLES}
_LINES = select(PlateJournal.id)
_AT_ONE_GLANCE = select(
    func.array(_LINES.scalar_subquery()),
    *(newest.scalar_subquery() for newest in _NEWEST.values()),
)
"""The journal's lines and the newest of each table, as of one instant; PostgreSQL's."""
_AT_ONCE = 100_000
_RELOAD_AFTER = timedelta(hours=24)
"""What was aged out of the register leaves the memory so much later at most."""
_decoder = msgspec.json.Decoder(list[tuple[str, int, int, int, int]])


class KnownPlates:
    """The dictionary of one server process. Thread safe."""

    def __init__(self) -> None:
        """Start with nothing; the first search, or :meth:`refresh`, reads the register."""
        self._lock = threading.Lock()
        self._counted = PlateDictionary()
        self._newest: dict[_Table, datetime | None] = {}
        """How far each table has been read."""
        self._loaded_at: datetime | None = None
        self._uncounted = PlateDictionary()
        self._lines: set[_Line] = set()
        """Lines of the journal that ``_uncounted`` holds …"""
        self._lately: set[str] = set()
        """… and their plates."""
        self._listing: threading.Thread | None = None

    def __len__(self) -> int:
        """Count the plates; one that stands in the journal and the register counts twice."""
        return len(self._counted) + len(self._uncounted)

    def refresh(self, session: Session, now: datetime) -> None:
        """Take in what the database has and this process has not."""
        with self._lock:
            self._take_in(session, now)
            # beside the searches, which find the same without: a second for three million plates
            if self._counted.wants_lists and not (self._listing and self._listing.is_alive()):
                self._listing = threading.Thread(target=self._counted.make_lists, daemon=True)
                self._listing.start()

    def _take_in(self, session: Session, now: datetime) -> None:
        seen = _glance(session)
        is_whole = self._read_journal(session, seen.lines)
        stale = self._loaded_at is not None and now - self._loaded_at > _RELOAD_AFTER
        if self._loaded_at is None or stale:
            fresh = PlateDictionary()
            newest = {
                table: _read_table(session, table, None, _newest_of(session, table), fresh)
                for table in _TABLES
            }
            self._counted, self._newest, self._loaded_at = fresh, newest, now
            return
        for table in _TABLES:
            # as of the glance if every line of it could be read, else the tables have it by now
            newest_at = seen.newest.get(table) if is_whole else _newest_of(session, table)
            self._newest[table] = _read_table(
                session, table, self._newest[table], newest_at, self._counted
            )

    def fitting(self, session: Session, now: datetime, pattern: str, limit: int) -> Fitting:
        """At most ``limit`` plates that fit a normal pattern."""
        self.refresh(session, now)
        new, old = (part.fitting(pattern, limit) for part in (self._uncounted, self._counted))
        both = tuple(dict.fromkeys(new.plates + old.plates))
        return Fitting(both[:limit], new.truncated or old.truncated or len(both) > limit)

    def near(
        self, session: Session, now: datetime, plate: str, changes: int, limit: int
    ) -> tuple[Near, ...]:
        """The plates most likely to be misreads of a whole plate, likeliest first."""
        self.refresh(session, now)
        new = self._uncounted.near(plate, changes, limit)
        old = self._counted.near(plate, changes, limit)
        if not new:
            return old
        found = {one.plate: one for one in (*old, *new)}
        return tuple(sorted(found.values(), key=lambda n: (round(n.cost, 6), n.plate))[:limit])

    def seen(self, session: Session, now: datetime, plates: Sequence[str]) -> tuple[str, ...]:
        """Which of a few plates have been seen, counted or not."""
        self.refresh(session, now)
        found = {
            plate
            for table in _TABLES
            for plate in session.scalars(select(table.plate).where(table.plate.in_(plates)))
        }
        return tuple(plate for plate in plates if plate in found or plate in self._lately)

    def uncounted(self, plates: Iterable[str]) -> frozenset[str]:
        """Which of these the register had not counted yet at the last refresh."""
        return frozenset(plates) & self._lately

    def _read_journal(self, session: Session, lines: Mapping[_Line, str | None]) -> bool:
        """Take new lines in, and let go of lines that have been counted since.

        False if a new line was counted before it could be read.
        """
        gone = self._lines - lines.keys()
        if gone == self._lines:
            # all that is held has been counted, and is read from the tables next
            self._uncounted, self._lines, self._lately = PlateDictionary(), set(), set()
        new = {line: lines[line] for line in lines.keys() - self._lines}
        unread = sorted(number for (number, _), text in new.items() if text is None)
        for part in _parts(unread, 500):
            query = select(PlateJournal.id, PlateJournal.seen).where(PlateJournal.id.in_(part))
            new |= {(line.id, ""): line.seen for line in session.execute(query)}
        for line, text in new.items():
            if text is None:
                continue
            plates = list(dict.fromkeys(seen[0] for seen in _decoder.decode(text)))
            self._uncounted.add([plate for plate in plates if plate not in self._lately])
            self._lately |= set(plates)
            self._lines.add(line)
        return None not in new.values()


@dataclass(frozen=True, slots=True)
class _Glance:
    """What there is, as of one instant."""

    lines: Mapping[_Line, str | None]
    """The journal's, with what they say as far as that came along."""
    newest: Mapping[_Table, datetime | None]
    """When the newest plate of each table was added."""


def _glance(session: Session) -> _Glance:
    """Look what there is: on PostgreSQL by one question, as each is a journey."""
    if is_sqlite(session):
        # SQLite gives the number of a deleted line away again, so a line is known by its text
        rows = session.execute(select(PlateJournal.id, PlateJournal.seen))
        lines: dict[_Line, str | None] = {(row.id, row.seen): row.seen for row in rows}
        return _Glance(lines, {table: _newest_of(session, table) for table in _TABLES})
    ids, *newest = session.connection().execute(_AT_ONE_GLANCE).one()
    return _Glance({(one, ""): None for one in ids}, dict(zip(_TABLES, newest, strict=True)))


def _newest_of(session: Session, table: _Table) -> datetime | None:
    newest: datetime | None = session.connection().scalar(_NEWEST[table])
    return newest


def _read_table(
    session: Session,
    table: _Table,
    since: datetime | None,
    newest: datetime | None,
    dictionary: PlateDictionary,
) -> datetime | None:
    """Take in what was added since, up to the newest; how far that went."""
    if newest is None or (since is not None and newest <= since):
        return since
    query = select(table.plate).where(table.added_at <= newest)
    if since is not None:
        query = query.where(table.added_at > since)
    # in parts, so that not all of them are in memory as texts
    rows = session.execute(query, execution_options={"yield_per": _AT_ONCE}).scalars()
    for part in rows.partitions():
        dictionary.add(part)
    return newest


def _parts(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
