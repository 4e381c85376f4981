"""The agent's command line: ``python -m checkpoint_agent run agent.toml``.

Exit codes: 0 done, 1 failed (models, disk, recording), 2 wrong configuration or arguments,
3 everything was read but not everything delivered in time.
"""

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path

from anpr import AnprError
from checkpoint_agent.agent import Agent
from checkpoint_agent.check import faults
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.config_file import load_config
from checkpoint_agent.errors import AgentError, ConfigError
from checkpoint_agent.installer import add_commands
from checkpoint_agent.log import LogFile, set_up
from checkpoint_agent.notify import Notifier
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.streams import hush_libraries

log = logging.getLogger("checkpoint_agent.main")

FAILED, MISCONFIGURED = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    chosen = _parser().parse_args(arguments)
    hush_libraries()
    try:
        return int(chosen.command(chosen))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return MISCONFIGURED
    except (AgentError, AnprError) as error:
        sys.stderr.write(f"checkpoint_agent: {type(error).__name__}: {error}\n")
        return FAILED
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="checkpoint_agent", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="read the cameras and send passages until stopped")
    run.add_argument("config", type=Path, metavar="agent.toml")
    run.add_argument("--once", action="store_true", help="end when all recordings are delivered")
    run.set_defaults(command=_run)

    check = commands.add_parser("check-config", help="say what is wrong with a configuration")
    check.add_argument("config", type=Path, metavar="agent.toml")
    check.add_argument("--offline", action="store_true", help="do not open network cameras")
    check.set_defaults(command=_check)

    add_commands(commands)

    outbox = commands.add_parser("outbox", help="look after what has not been delivered")
    outbox.add_argument("action", choices=("status", "requeue", "export"))
    outbox.add_argument("config", type=Path, metavar="agent.toml")
    outbox.add_argument("--to", type=Path, metavar="DIR", help="export: folder to write into")
    outbox.set_defaults(command=_outbox)
    return parser


def _run(chosen: argparse.Namespace) -> int:
    config = load_config(chosen.config)
    if chosen.once:
        if any(camera.live for camera in config.camera):
            raise ConfigError(f"{chosen.config}: --once is for recordings; a camera here is live")
        config = config.model_copy(update={"exit_when_done": True})
    _set_up_logs(config)

    def reread() -> AgentConfig:
        new = load_config(chosen.config)
        _set_up_logs(new)
        return new

    agent = Agent(config, reread=reread, notifier=Notifier())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    signal.signal(signal.SIGHUP, lambda *_: agent.reload())
    try:
        return agent.run()
    except ConfigError as error:
        raise ConfigError(f"{chosen.config}: {error}") from error
    except (AgentError, AnprError) as error:
        log.critical("agent stops: %s: %s", type(error).__name__, error)
        return FAILED


def _set_up_logs(config: AgentConfig) -> None:
    wanted = config.log
    file = None
    if wanted.file is not None:
        file = LogFile(wanted.file, wanted.file_limit_mb * 1_000_000, wanted.files)
    try:
        set_up(wanted.format, wanted.level, sys.stderr, file)
    except OSError as error:
        log.warning("log.file: %s cannot be written: %s", wanted.file, error)


def _check(chosen: argparse.Namespace) -> int:
    config = load_config(chosen.config)
    found = [
        f"{chosen.config}: {fault}" for fault in faults(config, Clock(), connect=not chosen.offline)
    ]
    if found:
        raise ConfigError("\n".join(found))
    sys.stdout.write(f"{chosen.config}: good, {len(config.camera)} cameras\n")
    return 0


def _outbox(chosen: argparse.Namespace) -> int:
    config = load_config(chosen.config)
    path = config.data_dir / "outbox.sqlite3"
    if not path.is_file():
        raise ConfigError(f"{chosen.config}: data_dir: {path} does not exist yet")
    limits = config.outbox
    outbox = Outbox(
        path,
        pictures_limit_bytes=limits.pictures_limit_mb * 1_000_000,
        passages_limit=limits.passages_limit,
        now=Clock().now,
        min_free_bytes=limits.min_free_mb * 1_000_000,
        may_set_aside=False,  # the agent may be at work in it
    )
    try:
        if chosen.action == "export":
            return _export(outbox, chosen.to)
        if chosen.action == "requeue":
            sys.stdout.write(f"{outbox.requeue_dead_letters()} passages are sent again\n")
            return 0
        state = outbox.state()
        figures = {
            "queued": state.queued,
            "dead_letters": state.dead,
            "pictures": state.pictures,
            "pictures_bytes": state.pictures_bytes,
            "oldest_queued_at": state.oldest_at and state.oldest_at.isoformat(),
            "damaged_files": [str(path) for path in outbox.damaged_files()],
            **state.counters,
        }
        reasons = [{"passage": d.passage_id, "reason": d.reason} for d in outbox.dead_letters()]
        sys.stdout.write(json.dumps({**figures, "rejections": reasons}, ensure_ascii=False) + "\n")
        return 0
    finally:
        outbox.close()


def _export(outbox: Outbox, folder: Path | None) -> int:
    """Write everything undelivered as JSON lines and pictures."""
    if folder is None:
        raise ConfigError("outbox export needs --to DIR")
    folder.mkdir(parents=True, exist_ok=True)
    entries = outbox.entries()
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as lines:
        for state, body, pictures in entries:
            row = {"state": state, "passage": json.loads(body)}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            for name in pictures:
                content = outbox.picture(name)
                if content is not None:
                    (folder / f"{name}.jpg").write_bytes(content)
    sys.stdout.write(f"{len(entries)} passages written to {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
