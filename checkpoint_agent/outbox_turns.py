"""What of the outbox is sent next: watched vehicles first, the present before the past."""

import sqlite3
from collections.abc import Collection, Sequence

from pydantic import ValidationError

from checkpoint_agent.outbox_values import Batch
from server.wire import MAX_BATCH_BYTES, Delivery, Passage

_TURNS: tuple[tuple[int, Delivery], ...] = (
    (1, "live"),
    (1, "backlog"),
    (0, "live"),
    (0, "backlog"),
)
"""Priority and age, in the order in which they are sent."""


def next_batch(
    db: sqlite3.Connection, limit: int, live_since_us: int, deferred: Collection[str]
) -> tuple[Batch | None, dict[str, str]]:
    """The next batch, if anything waits, and what this version cannot read, with the reason.

    Args:
        db: The outbox's database.
        limit: Most passages.
        live_since_us: Passages captured from then on are live; µs since 1970.
        deferred: Ids of passages to leave for later.
    """
    unreadable: dict[str, str] = {}
    marks = ",".join("?" * len(deferred))
    for priority, delivery in _TURNS:
        side = ">=" if delivery == "live" else "<"
        rows = db.execute(
            "SELECT passage_id, body FROM passage WHERE state = 'queued' AND priority = ?"  # noqa: S608
            f" AND captured_us {side} ? AND passage_id NOT IN ({marks})"
            " ORDER BY captured_us, sequence LIMIT ?",
            (priority, live_since_us, *deferred, limit),
        ).fetchall()
        if rows:
            return _batch(db, delivery, rows, unreadable), unreadable
    return None, unreadable


def _batch(
    db: sqlite3.Connection,
    delivery: Delivery,
    rows: Sequence[tuple[str, str]],
    unreadable: dict[str, str],
) -> Batch:
    """The rows as a batch, as far as they fit; what this version cannot read apart."""
    passages: list[Passage] = []
    unsent: dict[str, None] = {}
    size_bytes = 0
    for passage_id, body in rows:
        try:
            passage = Passage.model_validate_json(body)
        except ValidationError as error:
            unreadable[passage_id] = f"unreadable by this agent: {error.error_count()} faults"
            continue
        size_bytes += len(body.encode())
        if passages and size_bytes > MAX_BATCH_BYTES // 2:
            break
        evidence = []
        for item in passage.evidence:
            kept = db.execute(
                "SELECT sent FROM picture WHERE sha256 = ?", (item.sha256,)
            ).fetchone()
            if kept is None:
                continue  # given up for space: the passage goes without it
            evidence.append(item)
            if not kept[0]:
                unsent[item.sha256] = None
        passages.append(passage.model_copy(update={"evidence": tuple(evidence)}))
    return Batch(delivery, tuple(passages), tuple(unsent))
