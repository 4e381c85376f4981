"""Brings a demo up and down: database, server, agents, in that order, and says what it does."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo.processes import Child, ChildDiedError, start, stop
from demo.stage import Stage

_START_LIMIT_S = 60.0
_BOUND = re.compile(r"listening on (http://\S+)")


@dataclass(slots=True)
class Show:
    """The running processes of one demo."""

    stage: Stage
    say: Callable[[str], None] = print
    server: Child | None = None
    agents: list[Child] = field(default_factory=list)
    url: str = ""

    def prepare(self) -> None:
        """Bring the database to the newest schema and to what the seed file says.

        Raises:
            ChildDiedError: with what the command said.
        """
        config = str(self.stage.server_file)
        self.say("· 数据库 database")
        self._once("migrate", ["--config", config, "migrate"])
        seed = ["seed-demo", str(self.stage.seed_file), "--tokens", str(self.stage.tokens_dir)]
        self._once("seed", ["--config", config, *seed])

    def start_server(self) -> None:
        """Start the server and wait until it tells its address."""
        self.say("· 服务器 server")
        argv = [sys.executable, "-m", "server", "--config", str(self.stage.server_file), "serve"]
        self.server = start("server", argv, self.stage.log_file("server"))
        line = self.server.wait_for_line("listening on", _START_LIMIT_S)
        found = _BOUND.search(line)
        if found is None:
            raise ChildDiedError(f"the server told no address: {line}")
        self.url = found.group(1)

    def start_agent(self, agent_id: str, config: Path) -> Child:
        """Start one agent; it reads and sends from here on."""
        self.say(f"· 卡口 agent {agent_id}")
        argv = [sys.executable, "-m", "checkpoint_agent", "run", str(config)]
        child = start(agent_id, argv, self.stage.log_file(agent_id))
        self.agents.append(child)
        return child

    def check(self) -> None:
        """Raise :class:`ChildDiedError` if a process has ended that should run."""
        for child in (self.server, *self.agents):
            if child is not None:
                child.check()

    def end(self) -> list[str]:
        """Stop the agents, then the server; the names of those that did not stop by themselves."""
        killed = stop(self.agents)
        if self.server is not None:
            killed += stop([self.server])
        self.agents, self.server = [], None
        return killed

    def _once(self, name: str, arguments: list[str]) -> None:
        child = start(name, [sys.executable, "-m", "server", *arguments], self.stage.log_file(name))
        code = child.wait(_START_LIMIT_S)
        if code != 0:
            child.kill()
            raise ChildDiedError(f"server {name} failed (code {code}):\n{child.tail()}")
