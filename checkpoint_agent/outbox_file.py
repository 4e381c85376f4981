"""The outbox's database file: its tables, sound opening, transactions and faults."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from checkpoint_agent.errors import OutboxError, OutboxFull

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE passage (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    passage_id TEXT NOT NULL UNIQUE,
    captured_us INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'dead')),
    reason TEXT,
    body TEXT NOT NULL
);
CREATE INDEX passage_by_age ON passage (state, captured_us);
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
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CHECKED_WHOLE_BYTES = 256_000_000
"""A larger database is not read through at start: it would delay the start by minutes."""


class Database:
    """One SQLite file, used by any thread of one process, one at a time."""

    def __init__(self, path: Path, now: datetime, *, may_set_aside: bool = True) -> None:
        """Open the file, creating it, or setting a damaged one aside and starting anew.

        Args:
            path: The database file; its folder must exist.
            now: Names a damaged file that is set aside.
            may_set_aside: Whether a damaged file may be.

        Raises:
            OutboxError: naming the file, if it can neither be used nor replaced.
        """
        self._path = path
        self._lock = threading.Lock()
        self._suspect = path.with_name(path.name + ".suspect")
        self.set_aside: Path | None = None
        """Where a damaged database was moved when this one was opened, if it was."""
        try:
            if self._suspect.exists() and may_set_aside:
                self._move_aside(now)
            try:
                self._connection = _open(path)
            except sqlite3.DatabaseError as error:
                if not may_set_aside or error.sqlite_errorcode & 0xFF not in _CORRUPT:
                    raise
                self._move_aside(now)
                self._connection = _open(path)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"{path}: cannot be opened: {error}") from error

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
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._fail(error)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for changes: all of them or none, on disk when it ends.

        Raises:
            OutboxFull: if the disk is full; nothing was changed.
            OutboxError: if the file fails; nothing was changed.
        """
        with self._lock:
            db = self._connection
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                self._fail(error)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OutboxFull(f"{self._path}: the disk is full") from error
        if code in _CORRUPT:
            self._suspect.touch()
            raise OutboxError(f"{self._path}: damaged; set aside at the next start") from error
        raise OutboxError(f"{self._path}: {error}") from error

    def _move_aside(self, now: datetime) -> None:
        """Rename the database and its companions, so that a new one can be made."""
        stamp = now.strftime("%Y%m%dT%H%M%S")
        target = self._path.with_name(f"{self._path.stem}.damaged-{stamp}{self._path.suffix}")
        for suffix in ("-wal", "-shm", ""):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
        self._suspect.unlink(missing_ok=True)
        self.set_aside = target


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
    if version not in {0, _SCHEMA_VERSION}:
        raise sqlite3.OperationalError(f"made by another version of the agent ({version})")
