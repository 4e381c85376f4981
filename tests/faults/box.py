"""A whole agent process with the fake reader: ``python -m tests.faults.box agent.toml [OFFSET]``.

OFFSET is a file that holds by how many seconds the wall clock is set forward or back, so that a
test can set the clock of this process alone.
"""

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checkpoint_agent.agent import Agent
from checkpoint_agent.clock import Clock
from checkpoint_agent.config_file import load_config
from checkpoint_agent.log import set_up
from tests.checkpoint_agent.fakes import FakeReader
from tests.faults.truth import signs


class SetClock(Clock):
    """A wall clock that somebody sets."""

    def __init__(self, offset: Path) -> None:
        self._offset = offset

    def now(self) -> datetime:
        try:
            apart_s = float(self._offset.read_text() or 0)
        except (FileNotFoundError, ValueError):
            apart_s = 0.0
        return datetime.now(UTC) + timedelta(seconds=apart_s)


def main(path: str, offset: str | None = None) -> int:
    """Run until done or stopped."""
    config = load_config(Path(path))
    set_up(config.log.format, config.log.level, sys.stderr)
    clock = Clock() if offset is None else SetClock(Path(offset))
    agent = Agent(
        config,
        reader=FakeReader(signs()),
        clock=clock,
        reread=lambda: load_config(Path(path)),
    )
    signal.signal(signal.SIGTERM, lambda *_: agent.stop())
    signal.signal(signal.SIGHUP, lambda *_: agent.reload())
    return agent.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
