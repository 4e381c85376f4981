"""``python -m server``: serve, migrate, and keep users, agents and checkpoints."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from server import log, storage_commands
from server.auth.commands import account_for, add_commands
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.clock import utc_now
from server.db import Database
from server.errors import RequestError, ServerError
from server.roads import commands as road_commands
from server.seed import apply_seed, load_seed
from server.settings import Settings, load_settings
from server.wire_schema import write_schemas

EXIT_FAILED = 1
"""What was asked could not be done; the message says why."""
EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        settings = load_settings(args.config)
        log.configure(settings.log)
        command: Callable[[argparse.Namespace, Settings], int | None] = args.command
        return command(args, settings) or 0
    except RequestError as error:
        print(f"error: {error.detail}", file=sys.stderr)
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
    return EXIT_FAILED


def _serve(args: argparse.Namespace, settings: Settings) -> None:
    # the other commands need not wait for the web framework to load
    from server.serving import serve  # noqa: PLC0415

    given = {"host": args.host, "port": args.port}
    http = settings.http.model_copy(update={k: v for k, v in given.items() if v is not None})
    serve(settings.model_copy(update={"http": http}))


def _seed(args: argparse.Namespace, settings: Settings) -> None:
    seed = load_seed(args.file)
    with Database(settings).write() as session:
        apply_seed(session, seed, tokens_dir=args.tokens, settings=settings, now=utc_now())
    print(
        f"{len(seed.checkpoints)} checkpoints, {len(seed.agents)} agents, "
        f"{len(seed.users)} users, {len(seed.watchlist)} watchlist entries"
    )


def _checkpoint_add(args: argparse.Namespace, settings: Settings) -> None:
    now = utc_now()
    place = CheckpointPlace(
        args.id, args.name, args.name_en, args.lat, args.lon, args.road, args.direction
    )
    with Database(settings).write() as session:
        put_checkpoint(session, place, now)
        for camera_id in args.camera:
            put_camera(session, camera_id=camera_id, checkpoint_id=args.id, now=now)
        account_for(session, "checkpoint.put", args.id)


def _wire_schema(args: argparse.Namespace, _settings: Settings) -> None:
    write_schemas(args.folder)


class _Parser(argparse.ArgumentParser):
    """Takes --config before the command and after it; the later one counts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="server.toml (default: $KAKOU_CONFIG, or none)",
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m server", description=__doc__)
    parser.set_defaults(config=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C")
    command.add_argument("--host", help="instead of http.host")
    command.add_argument("--port", type=int, help="instead of http.port; 0 = any free one")
    command.set_defaults(command=_serve)

    command = commands.add_parser("seed-demo", help="apply a file of checkpoints, agents, users …")
    command.add_argument("file", type=Path, help="JSON or TOML")
    command.add_argument(
        "--tokens", type=Path, metavar="DIR", help="write <agent>.token files into this folder"
    )
    command.set_defaults(command=_seed)

    storage_commands.add_commands(commands)
    add_commands(commands)
    road_commands.add_commands(commands)
    _checkpoint_parser(commands.add_parser("checkpoint", help="the registry of checkpoints"))

    command = commands.add_parser(
        "wire-schema", help="write the JSON schemas of what agents and server say to each other"
    )
    command.add_argument("folder", type=Path)
    command.set_defaults(command=_wire_schema)
    return parser


def _checkpoint_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("add", help="add a checkpoint, or bring it up to date")
    add.add_argument("id")
    add.add_argument("--name", required=True)
    add.add_argument("--name-en", default="")
    add.add_argument("--lat", type=float, required=True, help="WGS-84, degrees")
    add.add_argument("--lon", type=float, required=True, help="WGS-84, degrees")
    add.add_argument("--road", default="")
    add.add_argument("--direction", default="")
    add.add_argument("--camera", action="append", default=[], help="identifier of a camera there")
    add.set_defaults(command=_checkpoint_add)
    load = verbs.add_parser("import", help="from a file of the form that seed-demo takes")
    load.add_argument("file", type=Path)
    load.set_defaults(command=_seed, tokens=None)


if __name__ == "__main__":
    sys.exit(main())
