"""Does the evidence store hold what the database says it holds, and is it what it was?"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db import Database
from server.ingest.evidence_store import PictureStore
from server.tables import Evidence

_AT_ONCE = 1_000
_SHOWN = 100


@dataclass(slots=True)
class Scrubbed:
    """What was found; lists hold the first hundred names of each."""

    checked: int = 0
    bytes_read: int = 0
    missing: int = 0
    damaged: int = 0
    orphaned: int = 0
    removed: int = 0
    missing_names: list[str] = field(default_factory=list)
    damaged_names: list[str] = field(default_factory=list)
    orphaned_names: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether every picture is there and is what it was. An orphan harms nobody."""
        return not (self.missing or self.damaged)


def scrub(
    database: Database,
    store: PictureStore,
    now: datetime,
    *,
    verify: bool = True,
    remove_orphans: bool = False,
) -> Scrubbed:
    """Look at every picture that the database or the store knows.

    A picture is stored before its row is written, so what has no row is only an orphan if it has
    none a while later; pictures that came while this ran are left out.

    Raises:
        Unavailable: the database is away.
        OSError: the storage is away.
    """
    found = Scrubbed()
    for names in _rows(database):
        for name in names:
            _look(store, name, found, verify=verify)
    pending: list[str] = []
    for name in store.names():
        pending.append(name)
        if len(pending) >= _AT_ONCE:
            _orphans(database, store, pending, found, now, remove=remove_orphans)
            pending.clear()
    _orphans(database, store, pending, found, now, remove=remove_orphans)
    return found


def _rows(database: Database) -> Iterator[list[str]]:
    last = ""
    while True:
        with database.read() as session:
            names = list(
                session.scalars(
                    select(Evidence.sha256)
                    .where(Evidence.sha256 > last)
                    .distinct()
                    .order_by(Evidence.sha256)
                    .limit(_AT_ONCE)
                )
            )
        if not names:
            return
        yield names
        last = names[-1]


def _look(store: PictureStore, name: str, found: Scrubbed, *, verify: bool) -> None:
    found.checked += 1
    if not verify:
        if not store.has(name):
            found.missing += 1
            _show(found.missing_names, name)
        return
    data = store.read(name)
    if data is None:
        found.missing += 1
        _show(found.missing_names, name)
        return
    found.bytes_read += len(data)
    if hashlib.sha256(data).hexdigest() != name:
        found.damaged += 1
        _show(found.damaged_names, name)


def _orphans(  # noqa: PLR0913 - what to look at, and what to do with it
    database: Database,
    store: PictureStore,
    names: list[str],
    found: Scrubbed,
    now: datetime,
    *,
    remove: bool,
) -> None:
    if not names:
        return
    with database.read() as session:
        known = _known(session, names)
    for name in names:
        if name in known or _is_young(store, name, now):
            continue
        found.orphaned += 1
        _show(found.orphaned_names, name)
        if remove:
            with database.write() as session:  # alone with this picture, and looked at again
                if not _known(session, [name]):
                    found.removed += store.remove(name)


def _known(session: Session, names: list[str]) -> set[str]:
    return set(session.scalars(select(Evidence.sha256).where(Evidence.sha256.in_(names))))


def _is_young(store: PictureStore, name: str, now: datetime) -> bool:
    stored_at = store.stored_at(name)
    return stored_at is None or now - stored_at < timedelta(hours=1)


def _show(names: list[str], name: str) -> None:
    if len(names) < _SHOWN:
        names.append(name)
