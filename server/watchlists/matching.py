"""The compiled watchlist: a plate in, the entries that look for it out.

:class:`CompiledWatchlist` is pure. :class:`WatchlistCache` keeps the one compiled list of a
process up to date: ingest asks for it *inside its own transaction*, and the revision that this
transaction sees decides, so that several server processes agree. The revision's row is locked
for sharing until ingest commits; a change of the list waits for that. Hence the law: a passage
is either stored before a change of the list took effect, or matched against the changed list.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.tables import Counter, WatchlistEntry
from server.watchlists.states import IN_FORCE


@dataclass(frozen=True, slots=True)
class Target:
    """What matching needs of an active entry."""

    entry_id: int
    plate: str
    level: int
    valid_from: datetime
    valid_to: datetime | None

    def is_valid(self, at: datetime) -> bool:
        """Whether the entry holds at an instant; its end is exclusive."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class CompiledWatchlist:
    """All active entries of one revision, ready to be asked."""

    revision: int
    by_plate: Mapping[str, tuple[Target, ...]]

    def match(
        self, plate: str, captured_at: datetime, received_at: datetime | None = None
    ) -> tuple[Target, ...]:
        """Entries that look for a normalised plate.

        An entry counts if it held when the passage was captured or, for a passage that arrives
        live (``received_at`` given), when it arrived: an agent's clock that is slow must not
        hide a vehicle whose entry is minutes old.
        """
        return tuple(
            target
            for target in self.by_plate.get(plate, ())
            if target.is_valid(captured_at)
            or (received_at is not None and target.is_valid(received_at))
        )


def compile_watchlist(revision: int, targets: Iterable[Target]) -> CompiledWatchlist:
    """Compile entries; the graver level first, then the older entry."""
    by_plate: dict[str, list[Target]] = {}
    for target in targets:
        by_plate.setdefault(target.plate, []).append(target)
    return CompiledWatchlist(
        revision,
        {
            plate: tuple(sorted(found, key=lambda t: (t.level, t.entry_id)))
            for plate, found in by_plate.items()
        },
    )


class WatchlistCache:
    """The compiled list of this process, rebuilt when the revision has moved. Thread safe."""

    def __init__(self) -> None:
        """Start with nothing compiled."""
        self._lock = threading.Lock()
        self._compiled: CompiledWatchlist | None = None

    def current(self, session: Session) -> CompiledWatchlist:
        """The list that holds in this transaction."""
        revision = session.execute(
            select(Counter.value).where(Counter.name == "watchlist").with_for_update(read=True)
        ).scalar_one()
        compiled = self._compiled
        if compiled is not None and compiled.revision == revision:
            return compiled
        compiled = compile_watchlist(revision, _active_targets(session))
        with self._lock:
            # another thread may meanwhile have compiled a newer one: keep the newer
            if self._compiled is None or self._compiled.revision <= revision:
                self._compiled = compiled
        return compiled


def _active_targets(session: Session) -> Iterable[Target]:
    rows = session.execute(
        select(
            WatchlistEntry.id,
            WatchlistEntry.plate,
            WatchlistEntry.level,
            WatchlistEntry.valid_from,
            WatchlistEntry.valid_to,
            WatchlistEntry.lapses_at,
        ).where(WatchlistEntry.state.in_([state.value for state in IN_FORCE]))
    )
    return (
        Target(r.id, r.plate, r.level, r.valid_from, min(filter(None, r[4:]), default=None))
        for r in rows
    )
