"""From passages to the outbox: watched ones are marked, and none is lost while the disk is full.

Owned by the thread that reads the cameras.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from checkpoint_agent.clock import Clock
from checkpoint_agent.errors import OutboxFull
from checkpoint_agent.hook import Hook
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.watchlist import Hit, LocalWatchlist

log = logging.getLogger(__name__)

_TOGETHER = 20
"""Passages put in one transaction."""
_UNSAVED_LIMIT = 20_000
"""Passages held in memory while the disk takes nothing, some 40 MB."""
_RETRY_S = 1.0


class Keeper:
    """Puts passages, and the places of recordings, into the outbox."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        stored: Callable[[], None],
        watchlist: LocalWatchlist | None,
        hook: Hook,
    ) -> None:
        """Prepare.

        Args:
            outbox: Where everything goes.
            clock: Tells the time.
            stored: Called when something new is in the outbox.
            watchlist: The box's own copy, if it is to have one.
            hook: What the site wants done at a hit.
        """
        self._outbox = outbox
        self._clock = clock
        self._stored = stored
        self.watchlist = watchlist
        self.hook = hook
        self.live_within = timedelta(seconds=120)
        """An older passage rings no bell."""
        self._positions: dict[str, str] = {}
        self._unsaved: list[Entry] = []
        self._committed_s = clock.monotonic_s()
        self._tried_s = clock.monotonic_s()

    @property
    def unsaved(self) -> int:
        """Passages in memory alone, because the disk takes nothing."""
        return len(self._unsaved)

    def keep(self, entries: Sequence[Entry], positions: dict[str, str]) -> None:
        """Keep passages at once, positions with them or a little later.

        Raises:
            OutboxError: if the outbox fails for another reason than a full disk.
        """
        self._positions.update(positions)
        if not entries:
            return
        marked = [self._marked(entry) for entry in entries]
        self._unsaved += [entry for entry, _ in marked]
        self._save()
        for entry, hit in marked:
            if hit is not None and self._is_live(entry):
                self.hook.ring(entry.passage, hit)

    def commit(self, *, within_s: float) -> None:
        """Write what has waited for longer, and try again what the disk did not take.

        Raises:
            OutboxError: if the outbox fails for another reason than a full disk.
        """
        now_s = self._clock.monotonic_s()
        if (self._unsaved and (within_s <= 0 or now_s - self._tried_s >= _RETRY_S)) or (
            self._positions and not self._unsaved and now_s - self._committed_s >= within_s
        ):
            self._save()

    def _marked(self, entry: Entry) -> tuple[Entry, Hit | None]:
        passage = entry.passage
        if self.watchlist is None:
            return entry, None
        hit = self.watchlist.match(passage, self._clock.now())
        if hit is None:
            return entry, None
        extra = {"passage": str(passage.passage_id), "level": hit.level}
        log.warning("a watched vehicle", extra=extra)
        known = passage.model_copy(update={"local_match": hit.match})
        return replace(entry, passage=known, watched=True), hit

    def _is_live(self, entry: Entry) -> bool:
        return self._clock.now() - entry.passage.captured_at <= self.live_within

    def _save(self) -> None:
        """All that waits goes into the outbox, the places only after the last passage."""
        self._tried_s = self._clock.monotonic_s()
        had = len(self._unsaved)
        try:
            while len(self._unsaved) > _TOGETHER:
                self._outbox.put(self._unsaved[:_TOGETHER])
                del self._unsaved[:_TOGETHER]
            self._outbox.put(self._unsaved, self._positions)
        except OutboxFull as error:
            log.error("held in memory: %s", error, extra={"passages": len(self._unsaved)})  # noqa: TRY400 - known, and it goes on
            self._unsaved = [replace(entry, pictures=()) for entry in self._unsaved]
            excess = len(self._unsaved) - _UNSAVED_LIMIT
            if excess > 0:
                log.critical("passages given up: no disk, no memory", extra={"passages": excess})
                del self._unsaved[:excess]
            return
        self._unsaved.clear()
        self._positions.clear()
        self._committed_s = self._tried_s
        if had:
            self._stored()
