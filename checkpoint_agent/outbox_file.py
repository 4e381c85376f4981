"""The outbox's database file: its tables, sound opening, transactions and faults."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from checkpoint_agent.errors import OutboxDamaged, OutboxError, OutboxFull
from checkpoint_agent.outbox_room import Reserve, free_bytes

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE passage (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    passage_id TEXT NOT NULL UNIQUE,
    captured_us INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'dead')),
    reason TEXT,
    body TEXT NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX passage_by_turn ON passage (state, priority, captured_us);
CREATE TABLE picture (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX picture_by_size ON picture (size_bytes);
-- apart, so that marking a picture as sent does not write its content again
CREATE TABLE content (
    sha256 TEXT PRIMARY KEY REFERENCES picture (sha256) ON DELETE CASCADE,
    bytes BLOB NOT NULL
);
CREATE TABLE shows (
    passage_id TEXT NOT NULL REFERENCES passage (passage_id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (passage_id, sha256)
) WITHOUT ROWID;
CREATE INDEX shown_in ON shows (sha256);
CREATE TABLE position (camera_id TEXT PRIMARY KEY, place TEXT NOT NULL);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
_UPGRADE = {
    1: """
ALTER TABLE passage ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
DROP INDEX passage_by_age;
CREATE INDEX passage_by_turn ON passage (state, priority, captured_us);
""",
}
"""From each older version to the next: boxes are updated with passages waiting."""
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""How SQLite says that a disk is full: plainly, or as a file that cannot grow."""
_BALLAST_BYTES = 4_000_000
"""So much room a new database has inside itself and in its journal."""
_NO_ROOM_BYTES = 1_000_000
_DAMAGED_KEPT = 2
"""So many damaged databases are kept for people to look at; they may be large."""
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CHECKED_WHOLE_BYTES = 256_000_000
"""A larger database is not read through at start: it would delay the start by minutes."""


class Database:
    """One SQLite file, used by any thread of one process, one at a time."""

    def __init__(
        self, path: Path, now: Callable[[], datetime], *, may_set_aside: bool = True
    ) -> None:
        """Open the file, creating it, or setting a damaged one aside and starting anew.

        Args:
            path: The database file; its folder must exist.
            now: Tells the time, which names a damaged file that is set aside.
            may_set_aside: Whether a damaged file may be; not by those who only look.

        Raises:
            OutboxError: naming the file, if it can neither be used nor replaced.
        """
        self._path = path
        self._now = now
        self._may_set_aside = may_set_aside
        self._lock = threading.Lock()
        self._suspect = path.with_name(path.name + ".suspect")
        self.reserve = Reserve(path.with_name(path.name + ".reserve"))
        self.set_aside: Path | None = None
        """Where a damaged database was moved last by this process, if one was."""
        self._connection = self._opened()
        if may_set_aside:
            self._make_ballast()

    def _make_ballast(self) -> None:
        """Let file and journal grow while there is room.

        A journal that is large already is written over from its beginning, and free pages of the
        file are used again: on a full disk that is all the room there is, to delete as well.
        """
        free = free_bytes(self._path.parent)
        if free is None or free < 8 * _BALLAST_BYTES:
            return
        with suppress(OutboxError):
            with self.transaction() as db:
                db.execute("CREATE TABLE IF NOT EXISTS ballast (bytes BLOB)")
                db.execute("INSERT INTO ballast VALUES (zeroblob(?))", (_BALLAST_BYTES,))
            with self.transaction() as db:
                db.execute("DELETE FROM ballast")
        self.checkpoint()

    def checkpoint(self) -> bool:
        """Move the journal into the file and begin the journal anew; whether that was possible."""
        with self._lock:
            try:
                (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            except sqlite3.Error:
                return False
        return not busy

    def _opened(self) -> sqlite3.Connection:
        try:
            if self._suspect.exists() and self._may_set_aside:
                self._move_aside()
            try:
                return _open(self._path)
            except sqlite3.DatabaseError as error:
                code = error.sqlite_errorcode & 0xFF
                if code in _CORRUPT and self._may_set_aside:
                    self._move_aside()
                elif not (code in _FULL and self.reserve.release()):
                    raise
                return _open(self._path)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"{self._path}: cannot be opened: {error}") from error

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for a look.

        Raises:
            OutboxError: if the file fails.
        """
        with self._lock:
            self._renew_if_damaged()
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._fail(error)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for changes: all of them or none, on disk when it ends.

        Raises:
            OutboxFull: if the disk is full; nothing was changed.
            OutboxDamaged: if the file is damaged; the next use finds a new one in its place.
            OutboxError: if the file fails; nothing was changed.
        """
        with self._lock:
            self._renew_if_damaged()
            db = self._connection
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                self._fail(error)
            finally:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")

    def free_page_bytes(self) -> int:
        """Room inside the file: pages that hold nothing any more."""
        with self.reading() as db:
            (pages,) = db.execute("PRAGMA freelist_count").fetchone()
            (size_bytes,) = db.execute("PRAGMA page_size").fetchone()
        return int(pages * size_bytes)

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        no_room = code in _FULL and (free_bytes(self._path.parent) or 0) < _NO_ROOM_BYTES
        if code == sqlite3.SQLITE_FULL or no_room:
            raise OutboxFull(f"{self._path}: the disk is full") from error
        if code in _CORRUPT:
            with suppress(OSError):  # a full disk: then this process alone remembers
                self._suspect.touch()
            self._damaged = True
            raise OutboxDamaged(f"{self._path}: damaged; it is set aside") from error
        raise OutboxError(f"{self._path}: {error}") from error

    _damaged = False

    def _renew_if_damaged(self) -> None:
        """Put a new database in the place of one that turned out to be damaged."""
        if self._damaged and self._may_set_aside:
            with suppress(sqlite3.Error):
                self._connection.close()
            with suppress(OSError):
                self._suspect.touch()
            self._connection = self._opened()
            self._damaged = False

    def _move_aside(self) -> None:
        """Rename the database and its companions, so that a new one can be made."""
        older = damaged_files(self._path)[: 1 - _DAMAGED_KEPT]
        for gone in older:
            for suffix in ("-wal", "-shm", ""):
                gone.with_name(gone.name + suffix).unlink(missing_ok=True)
        stamp = self._now().strftime("%Y%m%dT%H%M%S%f")
        target = self._path.with_name(f"{self._path.stem}.damaged-{stamp}{self._path.suffix}")
        for suffix in ("-wal", "-shm", ""):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
        self._suspect.unlink(missing_ok=True)
        self.set_aside = target


def damaged_files(path: Path) -> list[Path]:
    """The damaged databases that were set aside in the place of this one, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a sound database with our schema."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        _check(db, path)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {_SCHEMA_VERSION};COMMIT;")
        while version in _UPGRADE:
            step = _UPGRADE[version]
            version += 1
            db.executescript(f"BEGIN IMMEDIATE;{step}PRAGMA user_version = {version};COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a damaged file, as far as a quick look shows it, and one of another version."""
    if path.stat().st_size <= _CHECKED_WHOLE_BYTES:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            damage = sqlite3.DatabaseError(verdict)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in {0, _SCHEMA_VERSION, *_UPGRADE}:
        raise sqlite3.OperationalError(f"made by another version of the agent ({version})")
