"""The durable queue between reading and sending, on SQLite.

What is put here survives ``kill -9`` and power cuts: passages, their pictures and the position
of the recording they came from are written in one transaction, synced before :meth:`Outbox.put`
returns. Sending has three outcomes for each passage: *accepted* (deleted), *rejected* (set aside
as a dead letter, where people see it) and *kept*, which is everything else.

One process writes (the agent holds a lock on its data folder); within it any thread may call.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from checkpoint_agent.errors import OutboxFull
from checkpoint_agent.outbox_file import Database
from checkpoint_agent.outbox_values import Batch, DeadLetter, Entry, OutboxState
from server.wire import MAX_BATCH_BYTES, Delivery, Passage

_PASSAGE_ROOM_BYTES = 20_000_000
"""Pictures given up at once when the disk is full."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Counter = Literal[
    "stored", "accepted", "duplicate", "rejected", "pictures_given_up", "passages_given_up"
]


class Outbox:
    """Passages on their way to the server."""

    def __init__(
        self,
        path: Path,
        *,
        pictures_limit_bytes: int,
        passages_limit: int,
        now: datetime,
        may_set_aside: bool = True,
    ) -> None:
        """Open the outbox, creating it, or setting a damaged one aside and starting anew.

        Args:
            path: The database file; its folder must exist.
            pictures_limit_bytes: Beyond it the oldest pictures are given up.
            passages_limit: Beyond it the oldest passages are given up.
            now: Names a damaged file that is set aside.
            may_set_aside: Whether a damaged file may be; not while another process uses it.

        Raises:
            OutboxError: naming the file, if it can neither be used nor replaced.
        """
        self._database = Database(path, now, may_set_aside=may_set_aside)
        self._pictures_limit_bytes = pictures_limit_bytes
        self._passages_limit = passages_limit

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database was moved when this one was opened, if it was."""
        return self._database.set_aside

    def close(self) -> None:
        """Close the database; nothing is lost without it."""
        self._database.close()

    # ------------------------------------------------------------------ writing

    def put(self, entries: Sequence[Entry], positions: Mapping[str, str] | None = None) -> int:
        """Keep passages, their pictures and the positions of recordings, all or nothing.

        A passage that is already here is not stored twice.

        Args:
            entries: What was seen.
            positions: For each camera that is a recording, from where it can be read again.

        Returns:
            How many passages were new.

        Raises:
            OutboxFull: if the disk holds no more even after pictures were given up.
            OutboxError: if the database fails; the message names it.
        """
        try:
            return self._put(entries, positions or {})
        except OutboxFull:
            with self._database.transaction() as db:
                self._give_up_pictures(db, self._pictures_bytes(db) - _PASSAGE_ROOM_BYTES)
            return self._put(entries, positions or {})

    def _put(self, entries: Sequence[Entry], positions: Mapping[str, str]) -> int:
        new = 0
        with self._database.transaction() as db:
            for entry in entries:
                new += self._insert(db, entry)
            for camera_id, place in positions.items():
                db.execute(
                    "INSERT INTO position VALUES (?, ?)"
                    " ON CONFLICT (camera_id) DO UPDATE SET place = excluded.place",
                    (camera_id, place),
                )
            if new:
                _count(db, "stored", new)
                self._give_up_pictures(db, self._pictures_limit_bytes)
                self._give_up_passages(db)
        return new

    def _insert(self, db: sqlite3.Connection, entry: Entry) -> int:
        passage = entry.passage
        passage_id = str(passage.passage_id)
        row = (passage_id, _microseconds(passage.captured_at), _body(passage))
        inserted = db.execute(
            "INSERT OR IGNORE INTO passage (passage_id, captured_us, body) VALUES (?, ?, ?)", row
        ).rowcount
        if not inserted:
            return 0
        for picture in entry.pictures:
            name, content = picture.sha256, picture.content
            is_new = db.execute(
                "INSERT OR IGNORE INTO picture (sha256, size_bytes) VALUES (?, ?)",
                (name, len(content)),
            ).rowcount
            if is_new:
                db.execute("INSERT INTO content VALUES (?, ?)", (name, content))
            db.execute("INSERT OR IGNORE INTO shows VALUES (?, ?)", (passage_id, name))
        return 1

    def _give_up_pictures(self, db: sqlite3.Connection, limit_bytes: int) -> None:
        """Oldest pictures first, until the rest fits; their passages stay."""
        excess = self._pictures_bytes(db) - limit_bytes
        if excess <= 0:
            return
        doomed = []
        for sequence, size_bytes in db.execute(
            "SELECT sequence, size_bytes FROM picture ORDER BY sequence"
        ):
            if excess <= 0:
                break
            doomed.append((sequence,))
            excess -= size_bytes
        db.executemany("DELETE FROM picture WHERE sequence = ?", doomed)
        _count(db, "pictures_given_up", len(doomed))

    def _give_up_passages(self, db: sqlite3.Connection) -> None:
        """Oldest passages first, dead letters before live ones, until the rest fits."""
        (total,) = db.execute("SELECT count(*) FROM passage").fetchone()
        excess = total - self._passages_limit
        if excess > 0:
            doomed = db.execute(
                "SELECT passage_id FROM passage ORDER BY state, captured_us LIMIT ?", (excess,)
            ).fetchall()
            _delete(db, [passage_id for (passage_id,) in doomed])
            _count(db, "passages_given_up", excess)

    @staticmethod
    def _pictures_bytes(db: sqlite3.Connection) -> int:
        (total,) = db.execute("SELECT coalesce(sum(size_bytes), 0) FROM picture").fetchone()
        return int(total)

    # ------------------------------------------------------------------ sending

    def next_batch(
        self, limit: int, *, live_since: datetime, deferred: Collection[str] = ()
    ) -> Batch | None:
        """What to send next: live passages before the backlog, each oldest first.

        The rows stay where they are until :meth:`settle`; whoever sends is the only sender.

        Args:
            limit: Most passages.
            live_since: Passages captured from then on are live.
            deferred: Ids of passages to leave for later.
        """
        while True:
            unreadable: dict[str, str] = {}
            with self._database.reading() as db:
                batch = None
                for delivery in ("live", "backlog"):
                    rows = self._queued(db, delivery, live_since, limit, deferred)
                    if rows:
                        batch = self._batch(db, delivery, rows, unreadable)
                        break
            if not unreadable:
                return batch
            self.settle(rejected=unreadable)

    @staticmethod
    def _queued(
        db: sqlite3.Connection,
        delivery: Delivery,
        live_since: datetime,
        limit: int,
        deferred: Collection[str],
    ) -> list[tuple[str, str]]:
        side = ">=" if delivery == "live" else "<"
        marks = ",".join("?" * len(deferred))
        return db.execute(
            "SELECT passage_id, body FROM passage WHERE state = 'queued'"  # noqa: S608
            f" AND captured_us {side} ? AND passage_id NOT IN ({marks})"
            " ORDER BY captured_us, sequence LIMIT ?",
            (_microseconds(live_since), *deferred, limit),
        ).fetchall()

    @staticmethod
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

    def picture(self, sha256: str) -> bytes | None:
        """The content of a picture; ``None`` if it was given up meanwhile."""
        with self._database.reading() as db:
            row = db.execute("SELECT bytes FROM content WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])

    def picture_sent(self, sha256: str) -> None:
        """Remember that the server has a picture."""
        with self._database.transaction() as db:
            db.execute("UPDATE picture SET sent = 1 WHERE sha256 = ?", (sha256,))

    def picture_refused(self, sha256: str) -> None:
        """Give a picture up that the server will never take; its passages go without it."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM picture WHERE sha256 = ?", (sha256,))
            _count(db, "pictures_given_up", 1)

    def settle(
        self,
        *,
        accepted: Collection[str] = (),
        duplicate: Collection[str] = (),
        rejected: Mapping[str, str] | None = None,
        kept: Collection[str] = (),
    ) -> None:
        """Write down the fate of passages that were sent.

        Args:
            accepted: Ids that the server has stored: deleted here.
            duplicate: Ids that the server already had: deleted here.
            rejected: Id → reason: set aside for people to see.
            kept: Ids without an answer: sent again, pictures included.
        """
        rejected = rejected or {}
        with self._database.transaction() as db:
            _delete(db, [*accepted, *duplicate])
            db.executemany(
                "UPDATE passage SET state = 'dead', reason = ? WHERE passage_id = ?",
                [(reason, passage_id) for passage_id, reason in rejected.items()],
            )
            db.executemany(
                "UPDATE picture SET sent = 0 WHERE sha256 IN"
                " (SELECT sha256 FROM shows WHERE passage_id = ?)",
                [(passage_id,) for passage_id in kept],
            )
            _count(db, "accepted", len(accepted))
            _count(db, "duplicate", len(duplicate))
            _count(db, "rejected", len(rejected))

    # ------------------------------------------------------------------ looking

    def position(self, camera_id: str) -> str | None:
        """From where a recording is to be read again, as :meth:`put` got it."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT place FROM position WHERE camera_id = ?", (camera_id,)
            ).fetchone()
        return None if row is None else str(row[0])

    def state(self) -> OutboxState:
        """How full the outbox is."""
        with self._database.reading() as db:
            by_state = dict(db.execute("SELECT state, count(*) FROM passage GROUP BY state"))
            (pictures,) = db.execute("SELECT count(*) FROM picture").fetchone()
            size_bytes = self._pictures_bytes(db)
            counters = dict(db.execute("SELECT name, value FROM counter ORDER BY name"))
        return OutboxState(
            queued=by_state.get("queued", 0),
            dead=by_state.get("dead", 0),
            pictures=pictures,
            pictures_bytes=size_bytes,
            counters=counters,
        )

    def dead_letters(self) -> list[DeadLetter]:
        """What the server rejected, oldest first."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT passage_id, coalesce(reason, ''), body FROM passage"
                " WHERE state = 'dead' ORDER BY sequence"
            ).fetchall()
        return [DeadLetter(*row) for row in rows]

    def requeue_dead_letters(self) -> int:
        """Send everything again that was rejected; how many that are."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE picture SET sent = 0 WHERE sha256 IN (SELECT sha256 FROM shows JOIN"
                " passage USING (passage_id) WHERE state = 'dead')"
            )
            return db.execute(
                "UPDATE passage SET state = 'queued', reason = NULL WHERE state = 'dead'"
            ).rowcount

    def entries(self) -> list[tuple[str, str, list[str]]]:
        """Everything still here, oldest first: state, passage as JSON, names of its pictures."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT state, body, coalesce((SELECT group_concat(sha256) FROM shows JOIN picture"
                " USING (sha256) WHERE shows.passage_id = passage.passage_id), '')"
                " FROM passage ORDER BY sequence"
            ).fetchall()
        return [
            (state, body, pictures.split(",") if pictures else []) for state, body, pictures in rows
        ]


def _delete(db: sqlite3.Connection, passage_ids: Sequence[str]) -> None:
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


def _count(db: sqlite3.Connection, name: Counter, by: int) -> None:
    if by:
        db.execute(
            "INSERT INTO counter VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _body(passage: Passage) -> str:
    return passage.model_dump_json(by_alias=True)
