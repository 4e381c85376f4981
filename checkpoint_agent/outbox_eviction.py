"""What is given up when there is no room: the oldest pictures first, passages last, all counted.

Functions over the outbox's tables; each is called inside a transaction of
:class:`checkpoint_agent.outbox.Outbox`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Literal

Counter = Literal[
    "stored",
    "accepted",
    "duplicate",
    "rejected",
    "local_hits",
    "pictures_given_up",
    "passages_given_up",
    "databases_set_aside",
    "salvaged",
]


def count(db: sqlite3.Connection, name: Counter, by: int) -> None:
    """Add to a counter; counters are kept in the database and only ever grow."""
    if by:
        db.execute(
            "INSERT INTO counter VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )


def pictures_bytes(db: sqlite3.Connection) -> int:
    """How much all pictures take."""
    (total,) = db.execute("SELECT coalesce(sum(size_bytes), 0) FROM picture").fetchone()
    return int(total)


def inside_bytes(db: sqlite3.Connection) -> int:
    """Room inside the file: pages that hold nothing any more."""
    (pages,) = db.execute("PRAGMA freelist_count").fetchone()
    (size_bytes,) = db.execute("PRAGMA page_size").fetchone()
    return int(pages * size_bytes)


def give_up_pictures(db: sqlite3.Connection, excess_bytes: int) -> None:
    """The oldest pictures until so many bytes are free; their passages stay."""
    if excess_bytes <= 0:
        return
    doomed = []
    for sequence, size_bytes in db.execute(
        "SELECT sequence, size_bytes FROM picture ORDER BY sequence"
    ):
        if excess_bytes <= 0:
            break
        doomed.append((sequence,))
        excess_bytes -= size_bytes
    db.executemany("DELETE FROM picture WHERE sequence = ?", doomed)
    count(db, "pictures_given_up", len(doomed))


def give_up_passages(db: sqlite3.Connection, excess: int) -> None:
    """So many passages: dead letters before waiting ones, watched vehicles last, oldest first."""
    if excess <= 0:
        return
    doomed = db.execute(
        "SELECT passage_id FROM passage ORDER BY state, priority, sequence LIMIT ?", (excess,)
    ).fetchall()
    delete(db, [passage_id for (passage_id,) in doomed])
    count(db, "passages_given_up", len(doomed))


def delete(db: sqlite3.Connection, passage_ids: Sequence[str]) -> None:
    """Delete passages and the pictures that nobody shows any more."""
    for passage_id in passage_ids:
        pictures = db.execute(
            "SELECT sha256 FROM shows WHERE passage_id = ?", (passage_id,)
        ).fetchall()
        db.execute("DELETE FROM passage WHERE passage_id = ?", (passage_id,))
        db.executemany(
            "DELETE FROM picture WHERE sha256 = ?1"
            " AND NOT EXISTS (SELECT 1 FROM shows WHERE sha256 = ?1)",
            pictures,
        )
