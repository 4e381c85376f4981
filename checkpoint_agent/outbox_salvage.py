"""What can still be read of a damaged outbox, passage by passage."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from checkpoint_agent.outbox_values import Entry, Picture
from server.wire import Passage

_WHOLE_BYTES = 256_000_000
"""From a larger database only passages are taken over: its pictures would take minutes."""
_MOST_PASSAGES = 2_000_000


def salvage(damaged: Path) -> Iterator[Entry]:
    """The passages of a damaged database that can be read, with those pictures that can.

    What is unreadable is passed over; a picture counts only if its content has its name.

    Args:
        damaged: A database that nobody uses; it is only read.
    """
    with_pictures = damaged.stat().st_size <= _WHOLE_BYTES
    try:
        connection = sqlite3.connect(damaged, isolation_level=None, timeout=1.0)
    except sqlite3.Error:
        return
    with closing(connection) as db:
        db.text_factory = lambda raw: raw.decode(errors="replace")
        for sequence in range(1, _last_sequence(db) + 1):
            passage = _passage(db, sequence)
            if passage is not None:
                pictures = tuple(_pictures(db, passage)) if with_pictures else ()
                yield Entry(passage, pictures, watched=passage.local_match is not None)


def _last_sequence(db: sqlite3.Connection) -> int:
    """The highest number that a passage may have."""
    for query in (
        "SELECT seq FROM sqlite_sequence WHERE name = 'passage'",
        "SELECT max(sequence) FROM passage",
    ):
        try:
            row = db.execute(query).fetchone()
        except sqlite3.Error:
            continue
        if row and isinstance(row[0], int):
            return min(row[0], _MOST_PASSAGES)
    return 0


def _passage(db: sqlite3.Connection, sequence: int) -> Passage | None:
    try:
        row = db.execute("SELECT body FROM passage WHERE sequence = ?", (sequence,)).fetchone()
        return None if row is None else Passage.model_validate_json(row[0])
    except (sqlite3.Error, ValidationError, TypeError):
        return None


def _pictures(db: sqlite3.Connection, passage: Passage) -> Iterator[Picture]:
    for item in passage.evidence:
        try:
            row = db.execute(
                "SELECT bytes FROM content WHERE sha256 = ?", (item.sha256,)
            ).fetchone()
        except sqlite3.Error:
            continue
        if row and isinstance(row[0], bytes) and hashlib.sha256(row[0]).hexdigest() == item.sha256:
            yield Picture(item.sha256, row[0])
