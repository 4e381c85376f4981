"""Child processes of the demo: started with a log each, watched, and stopped without leftovers."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class ChildDiedError(RuntimeError):
    """A process that should run has ended; the message holds the end of its log."""


@dataclass(slots=True)
class Child:
    """One running process and the file that holds what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def check(self) -> None:
        """Raise :class:`ChildDiedError` if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ChildDiedError(f"{self.name} ended with code {code}; {self.log}:\n{self.tail()}")

    def wait_for_line(self, marker: str, timeout_s: float) -> str:
        """Wait until its log holds a line with ``marker`` and return that line.

        Raises:
            ChildDiedError: it ended before, or the time ran out.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if marker in line:
                    return line
            self.check()
            time.sleep(0.05)
        raise ChildDiedError(
            f"{self.name} said nothing of '{marker}' in {timeout_s:g} s:\n{self.tail()}"
        )

    def terminate(self) -> None:
        """Ask it to stop; returns at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None if it is still running after ``timeout_s``."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


def start(
    name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Child:
    """Start a process in its own session, so that Ctrl-C reaches us alone and we stop it in order."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Child(name, process, log)


def stop(children: Sequence[Child], timeout_s: float = 12.0) -> list[str]:
    """Stop all of them, in the order given; returns the names of those that had to be killed."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + timeout_s
    killed = []
    for child in children:
        if child.wait(max(0.1, deadline - time.monotonic())) is None:
            child.kill()
            killed.append(child.name)
    return killed
