"""The durable queue between reading and sending, on SQLite.

What is put here survives ``kill -9`` and power cuts: passages, their pictures and the position
of the recording they came from are written in one transaction, synced before :meth:`Outbox.put`
returns. Sending has three outcomes for each passage: *accepted* (deleted), *rejected* (set aside
as a dead letter, where people see it) and *kept*, which is everything else.

One process writes (the agent holds a lock on its data folder); within it any thread may call.
"""

import itertools
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkpoint_agent.errors import OutboxDamaged, OutboxFull
from checkpoint_agent.outbox_eviction import (
    count,
    delete,
    give_up_passages,
    give_up_pictures,
    inside_bytes,
    pictures_bytes,
)
from checkpoint_agent.outbox_file import Database, damaged_files
from checkpoint_agent.outbox_room import free_bytes, shortage_bytes
from checkpoint_agent.outbox_salvage import salvage
from checkpoint_agent.outbox_turns import next_batch
from checkpoint_agent.outbox_values import Batch, DeadLetter, Entry, OutboxState
from server.wire import Passage

log = logging.getLogger(__name__)

_PICTURES_ROOM_BYTES = 20_000_000
"""Pictures given up at once when the disk is full."""
_PASSAGES_ROOM = 100
"""Passages given up at once when no picture is left to give up."""
_PASSAGE_BYTES = 8192
"""Room for a passage without its pictures, indexes included."""
_SALVAGED_AT_ONCE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Outbox:
    """Passages on their way to the server."""

    def __init__(  # noqa: PLR0913 - the limits, by name
        self,
        path: Path,
        *,
        pictures_limit_bytes: int,
        passages_limit: int,
        now: Callable[[], datetime],
        min_free_bytes: int = 0,
        may_set_aside: bool = True,
    ) -> None:
        """Open the outbox, creating it, or setting a damaged one aside and starting anew.

        Args:
            path: The database file; its folder must exist.
            pictures_limit_bytes: Beyond it the oldest pictures are given up.
            passages_limit: Beyond it the oldest passages are given up.
            now: Tells the time, which names a damaged file that is set aside.
            min_free_bytes: While the disk has less room left, pictures do not grow.
            may_set_aside: Whether a damaged file may be; not while another process uses it.

        Raises:
            OutboxError: if it can neither be used nor replaced; the message names the file.
        """
        self._path = path
        self._database = Database(path, now, may_set_aside=may_set_aside)
        self._salvaged: Path | None = None
        self._salvaging = threading.Lock()
        self.set_limits(pictures_limit_bytes, passages_limit, min_free_bytes)
        self._take_over()
        if may_set_aside:
            self._database.reserve.keep(min_free_bytes)

    def set_limits(
        self, pictures_limit_bytes: int, passages_limit: int, min_free_bytes: int
    ) -> None:
        """Change the limits; they hold from the next passage on."""
        self._pictures_limit_bytes = pictures_limit_bytes
        self._passages_limit = passages_limit
        self._min_free_bytes = min_free_bytes

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database was moved by this process, if one was."""
        return self._database.set_aside

    def damaged_files(self) -> list[Path]:
        """All damaged databases that lie beside this one, oldest first."""
        return damaged_files(self._path)

    def close(self) -> None:
        """Close the database; nothing is lost without it."""
        self._database.close()

    # ------------------------------------------------------------------ writing

    def put(self, entries: Sequence[Entry], positions: Mapping[str, str] | None = None) -> int:
        """Keep passages, their pictures and the positions of recordings, all or nothing.

        A passage that is already here is not stored twice. On a full disk the oldest pictures
        are given up, then the pictures of ``entries``, then the oldest passages.

        Args:
            entries: What was seen.
            positions: For each camera that is a recording, from where it can be read again.

        Returns:
            How many passages were new.

        Raises:
            OutboxFull: if the disk holds no more whatever is given up.
            OutboxError: if the database fails; the message names it.
        """
        positions = positions or {}
        try:
            new = self._put(entries, positions)
        except OutboxDamaged:
            self._take_over()
            return self._put(entries, positions)
        except OutboxFull:
            return self._put_on_full_disk(entries, positions)
        if new:
            self._database.reserve.keep(self._min_free_bytes)
        return new

    def _put_on_full_disk(self, entries: Sequence[Entry], positions: Mapping[str, str]) -> int:
        self._database.reserve.release()
        self._database.checkpoint()
        bare = [replace(entry, pictures=()) for entry in entries]
        for stored, passages_room in ((entries, 0), (bare, 0), (bare, _PASSAGES_ROOM)):
            try:
                with self._database.transaction() as db:
                    give_up_pictures(db, _PICTURES_ROOM_BYTES)
                    give_up_passages(db, passages_room)
                new = self._put(stored, positions)
                if stored is bare:
                    with self._database.transaction() as db:
                        count(db, "pictures_given_up", sum(len(e.pictures) for e in entries))
            except OutboxFull:
                continue
            finally:
                self._database.checkpoint()
            return new
        raise OutboxFull(f"{self._path}: the disk is full")

    def _put(self, entries: Sequence[Entry], positions: Mapping[str, str]) -> int:
        new = 0
        with self._database.transaction() as db:
            if entries:
                self._make_room(db, entries)
            for entry in entries:
                new += self._insert(db, entry)
            for camera_id, place in positions.items():
                db.execute(
                    "INSERT INTO position VALUES (?, ?)"
                    " ON CONFLICT (camera_id) DO UPDATE SET place = excluded.place",
                    (camera_id, place),
                )
            if new:
                count(db, "stored", new)
                give_up_pictures(db, pictures_bytes(db) - self._pictures_limit_bytes)
                (total,) = db.execute("SELECT count(*) FROM passage").fetchone()
                give_up_passages(db, total - self._passages_limit)
        return new

    def _make_room(self, db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Give up what is beyond the limits once the entries are there, before they are."""
        pictures = sum(len(picture.content) for entry in entries for picture in entry.pictures)
        give_up_pictures(
            db,
            max(
                pictures_bytes(db) + pictures - self._pictures_limit_bytes,
                shortage_bytes(
                    pictures + _PASSAGE_BYTES * len(entries),
                    inside_bytes=inside_bytes(db),
                    free=free_bytes(self._path.parent),
                    kept=self._min_free_bytes,
                ),
            ),
        )

    def _insert(self, db: sqlite3.Connection, entry: Entry) -> int:
        passage = entry.passage
        passage_id = str(passage.passage_id)
        at_us = _microseconds(passage.captured_at)
        inserted = db.execute(
            "INSERT OR IGNORE INTO passage (passage_id, captured_us, body, priority)"
            " VALUES (?, ?, ?, ?)",
            (passage_id, at_us, _body(passage), int(entry.watched)),
        ).rowcount
        if not inserted:
            return 0
        count(db, "local_hits", int(entry.watched))
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

    def _take_over(self) -> None:
        """If a damaged database was set aside, move into the new one what can be read of it."""
        damaged = self._database.set_aside
        if damaged == self._salvaged or not self._salvaging.acquire(blocking=False):
            return
        try:
            self._salvaged = damaged
            if damaged is None:
                return
            taken = 0
            entries = salvage(damaged)
            while some := list(itertools.islice(entries, _SALVAGED_AT_ONCE)):
                taken += self._put(some, {})
            with self._database.transaction() as db:
                count(db, "databases_set_aside", 1)
                count(db, "salvaged", taken)
            log.error(
                "the outbox was damaged and set aside; what could be read was taken over",
                extra={"file": str(damaged), "passages": taken},
            )
        finally:
            self._salvaging.release()

    # ------------------------------------------------------------------ sending

    def next_batch(
        self, limit: int, *, live_since: datetime, deferred: Collection[str] = ()
    ) -> Batch | None:
        """What to send next: watched vehicles first, live before backlog, each oldest first.

        The rows stay where they are until :meth:`settle`; whoever sends is the only sender.

        Args:
            limit: Most passages.
            live_since: Passages captured from then on are live.
            deferred: Ids of passages to leave for later.
        """
        self._take_over()
        while True:
            with self._database.reading() as db:
                batch, unreadable = next_batch(db, limit, _microseconds(live_since), deferred)
            if not unreadable:
                return batch
            self.settle(rejected=unreadable)

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
            count(db, "pictures_given_up", 1)

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
        try:
            self._settle(accepted, duplicate, rejected or {}, kept)
        except OutboxFull:
            self._database.reserve.release()
            self._database.checkpoint()
            self._settle(accepted, duplicate, rejected or {}, kept)

    def _settle(
        self,
        accepted: Collection[str],
        duplicate: Collection[str],
        rejected: Mapping[str, str],
        kept: Collection[str],
    ) -> None:
        with self._database.transaction() as db:
            delete(db, [*accepted, *duplicate])
            db.executemany(
                "UPDATE passage SET state = 'dead', reason = ? WHERE passage_id = ?",
                [(reason, passage_id) for passage_id, reason in rejected.items()],
            )
            db.executemany(
                "UPDATE picture SET sent = 0 WHERE sha256 IN"
                " (SELECT sha256 FROM shows WHERE passage_id = ?)",
                [(passage_id,) for passage_id in kept],
            )
            count(db, "accepted", len(accepted))
            count(db, "duplicate", len(duplicate))
            count(db, "rejected", len(rejected))

    # ------------------------------------------------------------------ looking

    def position(self, camera_id: str) -> str | None:
        """From where a recording is to be read again, as :meth:`put` got it."""
        self._take_over()
        with self._database.reading() as db:
            row = db.execute(
                "SELECT place FROM position WHERE camera_id = ?", (camera_id,)
            ).fetchone()
        return None if row is None else str(row[0])

    def state(self) -> OutboxState:
        """How full the outbox is."""
        self._take_over()
        with self._database.reading() as db:
            by_state = dict(db.execute("SELECT state, count(*) FROM passage GROUP BY state"))
            (pictures,) = db.execute("SELECT count(*) FROM picture").fetchone()
            (oldest_us,) = db.execute(
                "SELECT min(captured_us) FROM passage WHERE state = 'queued'"
            ).fetchone()
            size_bytes = pictures_bytes(db)
            counters = dict(db.execute("SELECT name, value FROM counter ORDER BY name"))
        return OutboxState(
            queued=by_state.get("queued", 0),
            dead=by_state.get("dead", 0),
            pictures=pictures,
            pictures_bytes=size_bytes,
            oldest_at=None if oldest_us is None else _EPOCH + timedelta(microseconds=oldest_us),
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


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _body(passage: Passage) -> str:
    return passage.model_dump_json(by_alias=True)
