"""A whole agent process with the fake reader: ``python -m tests.checkpoint_agent.box agent.toml``."""

import signal
import sys
from pathlib import Path

from checkpoint_agent.agent import Agent
from checkpoint_agent.config_file import load_config
from checkpoint_agent.log import set_up
from tests.checkpoint_agent.fakes import ILLEGIBLE, FakeReader, Signs

CARS = ["京A12345", "沪B77777", "粤C88D66", "苏D24680", "浙E13579", "皖F86420"]


def signs() -> Signs:
    """What the plates of the fake road look like."""
    return Signs([*CARS, ILLEGIBLE])


def main(path: str) -> int:
    """Run until done or stopped."""
    config = load_config(Path(path))
    set_up(config.log.format, config.log.level, sys.stderr)
    agent = Agent(config, reader=FakeReader(signs()))
    signal.signal(signal.SIGTERM, lambda *_: agent.stop())
    return agent.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
