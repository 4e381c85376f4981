"""From the outbox to the server: pictures first, then passages, then the receipt is obeyed.

One thread owns an :class:`Uploader`. A passage leaves the outbox only for an explicit *accepted*
or *duplicate*; *rejected* ones are set aside; anything else (no answer, a server error, garbage,
an item missing from the receipt) keeps them. An item that alone spoils its batch is put off, so
that it holds up nothing behind it.
"""

import logging
import random
import threading
from collections.abc import Callable, Collection
from datetime import timedelta

import httpx

from checkpoint_agent.backoff import delay_s
from checkpoint_agent.clock import Clock
from checkpoint_agent.config_upkeep import ServerConfig
from checkpoint_agent.errors import (
    AccessRefused,
    OutboxDamaged,
    OutboxFull,
    ServerUnavailable,
)
from checkpoint_agent.link import UNFIT, Answer, Link
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.outbox_values import Batch
from checkpoint_agent.receipts import Verdict, judge
from server.wire import (
    EVIDENCE_PATH,
    HEARTBEAT_PATH,
    INGEST_PATH,
    Heartbeat,
    Passage,
    PassageBatch,
)

log = logging.getLogger(__name__)

_OUTBOX_PAUSE_S = 1.0
_SIGN_MARGIN_S = 300.0
"""So much longer than expected a step may take: disks are slow, too."""
_REFUSALS_BEFORE_GIVING_UP = 5
"""A picture that the server refuses so often as unfit is given up; its passage goes without."""


class Uploader:
    """Sends what the outbox holds, and a heartbeat now and then."""

    def __init__(  # noqa: PLR0913 - what it needs, handed in by name
        self,
        outbox: Outbox,
        config: ServerConfig,
        agent_id: str,
        clock: Clock,
        *,
        heartbeat: Callable[[], Heartbeat] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare to send; nothing is sent yet.

        Args:
            outbox: Where passages wait.
            config: The server's address, token file and limits.
            agent_id: Name of this agent.
            clock: Tells the time.
            heartbeat: Makes the next heartbeat; none is sent without it.
            transport: Takes the place of the network in tests.

        Raises:
            ConfigError: if a certificate cannot be used.
        """
        self._outbox = outbox
        self._config = config
        self._agent_id = agent_id
        self._clock = clock
        self._heartbeat = heartbeat
        self._link = Link(config, clock, transport=transport)
        self._limit = config.batch_passages
        self._put_off: dict[str, tuple[int, float]] = {}
        self._refusals: dict[str, int] = {}
        self._next_heartbeat_s = clock.monotonic_s()
        self._reached = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.fault: str | None = None
        """Why the last attempt failed; ``None`` while the link is well."""
        self.sign_due_s = 0.0
        """By then the thread has gone on, or it hangs; monotonic, for the watchdog."""
        self._alive_for(0.0)

    # ------------------------------------------------------------------ the thread

    def run(self) -> None:
        """Send until :meth:`stop`; the body of the uploader's thread."""
        failures = 0
        while not self._stop.is_set():
            try:
                self._beat()
                busy = self.send_next()
            except ServerUnavailable as error:
                failures, self._reached = failures + 1, False
                self._note_failure(error, failures)
                pause_s = self._pause_s(error, failures)
                self._alive_for(pause_s)
                self._clock.wait(self._stop, pause_s)
                continue
            except (OutboxDamaged, OutboxFull) as error:
                log.error("outbox: %s", error)  # noqa: TRY400 - known, and it goes on
                self._clock.wait(self._stop, _OUTBOX_PAUSE_S)
                continue
            if self._reached:
                if failures:
                    log.info("server reached again", extra={"failures": failures})
                failures, self.fault, self._reached = 0, None, False
            if not busy:
                self._alive_for(self._config.heartbeat_s)
                self._clock.wait(self._wake, min(1.0, self._config.heartbeat_s))
                self._wake.clear()
        self._link.close()

    def wake(self) -> None:
        """Something new is in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run` as soon as the request under way has its answer."""
        self._stop.set()
        self._wake.set()

    def close(self) -> None:
        """Close the connections of an uploader that did not :meth:`run`."""
        self._link.close()

    def _alive_for(self, seconds: float) -> None:
        self.sign_due_s = self._clock.monotonic_s() + seconds + _SIGN_MARGIN_S

    def _note_failure(self, error: ServerUnavailable, failures: int) -> None:
        level = logging.ERROR if isinstance(error, AccessRefused) else logging.WARNING
        if str(error) == self.fault and failures & (failures - 1):
            level = logging.DEBUG  # a long outage is told at 1, 2, 4, 8 … failures
        self.fault = str(error)
        log.log(level, "not delivered, kept: %s", error, extra={"failures": failures})

    def _pause_s(self, error: ServerUnavailable, failures: int) -> float:
        if error.retry_after_s is not None:
            return error.retry_after_s
        chance = random.random()  # noqa: S311 - jitter, no secret
        first_s, limit_s = self._config.retry_first_s, self._config.retry_limit_s
        return delay_s(failures, first_s=first_s, limit_s=limit_s, chance=chance)

    # ------------------------------------------------------------------ passages

    def send_next(self) -> bool:
        """Send one batch, if there is one; whether there was.

        Raises:
            ServerUnavailable: if the server did not take it; everything is kept.
            OutboxError: if the outbox fails.
        """
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        deferred = [name for name, (_, until_s) in self._put_off.items() if until_s > now_s]
        batch = self._outbox.next_batch(
            self._limit,
            live_since=now - timedelta(seconds=self._config.live_within_s),
            deferred=deferred,
        )
        if batch is None:
            return False
        try:
            refused = self._send_pictures(batch)
            ready, waiting = _split(batch.passages, refused)
            self._defer(_ids(waiting))
            if ready:
                self._send_passages(batch, ready)
        except ServerUnavailable as error:
            if error.answered:
                self._narrow(_ids(batch.passages))
            raise
        return True

    def _send_pictures(self, batch: Batch) -> set[str]:
        """Bring the batch's pictures to the server; the names of those it finds unfit."""
        refused: set[str] = set()
        for name in batch.unsent_pictures:
            content = self._outbox.picture(name)
            if content is None:
                refused.add(name)  # given up meanwhile: the next batch knows it
                continue
            path = EVIDENCE_PATH.format(sha256=name)
            answer = self._request("PUT", path, content, "image/jpeg")
            if answer.status in UNFIT:
                refused.add(name)
                self._count_refusal(name, answer.status)
            else:
                self._outbox.picture_sent(name)
        return refused

    def _count_refusal(self, name: str, status: int) -> None:
        self._refusals[name] = self._refusals.get(name, 0) + 1
        log.warning("picture refused", extra={"status": status, "times": self._refusals[name]})
        if self._refusals[name] >= _REFUSALS_BEFORE_GIVING_UP:
            del self._refusals[name]
            self._outbox.picture_refused(name)
            log.error("picture given up: the server does not take it", extra={"status": status})

    def _send_passages(self, batch: Batch, passages: tuple[Passage, ...]) -> None:
        message = PassageBatch(
            agent_id=self._agent_id,
            sent_at=self._clock.now(),
            delivery=batch.delivery,
            passages=passages,
        )
        body = message.model_dump_json(by_alias=True).encode()
        sent = _ids(passages)
        answer = self._request("POST", INGEST_PATH, body, "application/json")
        if answer.status in UNFIT:
            extra = {"status": answer.status, "passages": len(sent)}
            log.warning("batch refused", extra=extra)
            self._narrow(sent)
            return
        self._settle(judge(answer.body, sent))

    def _narrow(self, sent: list[str]) -> None:
        """The server fails on a batch as a whole: find the passage that spoils it, pass it by."""
        if len(sent) > 1:
            self._limit = len(sent) // 2
        else:
            self._defer(sent)
            self._limit = self._config.batch_passages

    def _settle(self, verdict: Verdict) -> None:
        self._outbox.settle(
            accepted=verdict.accepted,
            duplicate=verdict.duplicate,
            rejected=verdict.rejected,
            kept=verdict.kept,
        )
        for name in (*verdict.accepted, *verdict.duplicate, *verdict.rejected):
            self._put_off.pop(name, None)
        self._defer(verdict.kept)
        self._limit = min(self._config.batch_passages, self._limit * 2)
        counts = {key: len(names) for key, names in verdict.by_name().items() if names}
        level = logging.WARNING if verdict.rejected or verdict.kept else logging.INFO
        log.log(level, "batch answered", extra=counts)
        for name, reason in verdict.rejected.items():
            log.error("passage rejected", extra={"passage": name, "reason": reason})

    def _defer(self, names: Collection[str]) -> None:
        """Leave passages for later, each time longer, so that they hold up nothing."""
        now_s = self._clock.monotonic_s()
        for name in names:
            failures = self._put_off.get(name, (0, 0.0))[0] + 1
            pause_s = delay_s(
                failures,
                first_s=self._config.retry_first_s,
                limit_s=self._config.retry_limit_s,
                chance=1.0,
            )
            self._put_off[name] = (failures, now_s + pause_s)

    # ------------------------------------------------------------------ heartbeat

    def _beat(self) -> None:
        """Send a heartbeat if one is due; one that fails is not sent again."""
        if self._heartbeat is None or self._clock.monotonic_s() < self._next_heartbeat_s:
            return
        self._next_heartbeat_s = self._clock.monotonic_s() + self._config.heartbeat_s
        body = self._heartbeat().model_dump_json(by_alias=True).encode()
        answer = self._request("POST", HEARTBEAT_PATH, body, "application/json")
        if answer.status in UNFIT:
            log.warning("heartbeat refused", extra={"status": answer.status})

    # ------------------------------------------------------------------ HTTP

    def _request(self, method: str, path: str, body: bytes, media_type: str) -> Answer:
        """Ask the server.

        Raises:
            ServerUnavailable: for anything but 2xx or an answer that calls the body unfit.
        """
        self._alive_for(4 * self._config.timeout_s)
        answer = self._link.request(method, path, body, media_type=media_type)
        self._reached = True
        return answer


def _split(
    passages: tuple[Passage, ...], refused: Collection[str]
) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    """Passages whose pictures the server has, and those that wait for one."""
    waiting = tuple(p for p in passages if any(item.sha256 in refused for item in p.evidence))
    return tuple(p for p in passages if p not in waiting), waiting


def _ids(passages: tuple[Passage, ...]) -> list[str]:
    return [str(passage.passage_id) for passage in passages]
