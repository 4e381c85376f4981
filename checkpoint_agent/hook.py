"""The local hook: a command of the site (relay, sound, light) that is run at a hit."""

import json
import logging
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress

from checkpoint_agent.watchlist import Hit
from server.wire import Passage

log = logging.getLogger(__name__)

_WAITING_HITS = 16


class Hook:
    """Runs the command for one hit after the other, in a thread of its own; never blocks."""

    def __init__(self, command: Sequence[str], *, timeout_s: float, level: int) -> None:
        """Prepare.

        Args:
            command: Program and arguments; no shell is involved. Empty: nothing is ever run.
            timeout_s: A command that takes longer is ended, with all its children.
            level: Run for hits of this level and graver (lower) ones.
        """
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._level = level
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING_HITS)
        self._thread: threading.Thread | None = None
        self.runs = 0
        self.failures = 0
        """Commands that could not be run, failed or took too long, and hits that found no room."""

    def ring(self, passage: Passage, hit: Hit) -> None:
        """Have the command run for a hit; returns at once. One thread rings."""
        if not self._command or hit.level > self._level:
            return
        message = {
            "camera_id": passage.camera_id,
            "passage_id": str(passage.passage_id),
            "captured_at": passage.captured_at.isoformat(),
            "plate": passage.plate.text,
            "level": hit.level,
            "entry_ids": hit.match.entry_ids,
            "lane": passage.lane,
            "direction": passage.direction,
        }
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hook", daemon=True)
            self._thread.start()
        if self._waiting.full():
            self.failures += 1
            log.error("hook: too many hits at once, one is passed over")
            return
        self._waiting.put(json.dumps(message, ensure_ascii=False).encode())

    def stop(self) -> None:
        """Let the hits that wait be the last."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._waiting.put_nowait(None)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            self.runs += 1
            fault = self._call(message)
            if fault:
                self.failures += 1
                log.error("hook: %s", fault)

    def _call(self, message: bytes) -> str | None:
        """Run the command once; what went wrong."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return f"{self._command[0]}: {error.strerror}"
        with process:
            try:
                process.communicate(message, timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return f"{self._command[0]}: ended after {self._timeout_s:g} s"
        code = process.returncode
        return f"{self._command[0]}: exit code {code}" if code else None
