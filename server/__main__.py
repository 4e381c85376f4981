"""``python -m server``: serve, migrate, and keep users, agents and checkpoints."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from server import audit, log, schema
from server.auth.accounts import Role, add_user, disable_user, list_users, set_password
from server.auth.agents import bind_camera, issue_token, register_agent, revoke_tokens
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.clock import utc_now
from server.db import Database
from server.errors import RequestError, ServerError
from server.seed import apply_seed, load_seed, write_token
from server.settings import Settings, load_settings
from server.wire_schema import write_schemas

ENV_PASSWORD = "KAKOU_PASSWORD"  # noqa: S105 - the name of a variable

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


def _migrate(_args: argparse.Namespace, settings: Settings) -> None:
    database = Database(settings)
    with database.read():  # a database that is away is said so, in words
        before = schema.current(database.engine)
    schema.upgrade(database.engine)
    print(f"{before or 'empty'} -> {schema.current(database.engine)}")


def _seed(args: argparse.Namespace, settings: Settings) -> None:
    seed = load_seed(args.file)
    with Database(settings).write() as session:
        apply_seed(session, seed, tokens_dir=args.tokens, settings=settings, now=utc_now())
    print(
        f"{len(seed.checkpoints)} checkpoints, {len(seed.agents)} agents, "
        f"{len(seed.users)} users, {len(seed.watchlist)} watchlist entries"
    )


def _user_add(args: argparse.Namespace, settings: Settings) -> None:
    password = _password()
    with Database(settings).write() as session:
        add_user(
            session,
            name=args.name,
            password=password,
            role=Role(args.role),
            now=utc_now(),
            display_name=args.display_name,
            badge_number=args.badge_number,
            unit=args.unit,
        )
        _account_for(session, "user.add", args.name)


def _user_password(args: argparse.Namespace, settings: Settings) -> None:
    password = _password()
    with Database(settings).write() as session:
        set_password(session, args.name, password)
        _account_for(session, "user.password", args.name)


def _user_disable(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        disable_user(session, args.name, utc_now())
        _account_for(session, "user.disable", args.name)


def _user_list(_args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).read() as session:
        for user in list_users(session):
            state = "disabled" if user.disabled_at else "active"
            print(f"{user.name}\t{user.role}\t{state}\t{user.display_name}")


def _token_issue(args: argparse.Namespace, settings: Settings) -> None:
    now = utc_now()
    with Database(settings).write() as session:
        register_agent(session, args.agent, now)
        for camera_id in args.camera:
            bind_camera(session, args.agent, camera_id)
        token = None
        if args.out is None:
            token = issue_token(session, args.agent, now)
        else:
            write_token(session, args.agent, args.out, now)
        _account_for(session, "agent_token.issue", args.agent)
    print(token if token is not None else f"token in {args.out}")


def _token_revoke(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        count = revoke_tokens(session, args.agent, utc_now())
        _account_for(session, "agent_token.revoke", args.agent)
    print(f"{count} revoked")


def _checkpoint_add(args: argparse.Namespace, settings: Settings) -> None:
    now = utc_now()
    place = CheckpointPlace(
        args.id, args.name, args.name_en, args.lat, args.lon, args.road, args.direction
    )
    with Database(settings).write() as session:
        put_checkpoint(session, place, now)
        for camera_id in args.camera:
            put_camera(session, camera_id=camera_id, checkpoint_id=args.id, now=now)
        _account_for(session, "checkpoint.put", args.id)


def _audit_verify(_args: argparse.Namespace, settings: Settings) -> int:
    with Database(settings).read() as session:
        faults = list(audit.verify(session))
    for fault in faults:
        print(fault)
    print("the chain is broken" if faults else "the chain is whole")
    return EXIT_FAILED if faults else 0


def _wire_schema(args: argparse.Namespace, _settings: Settings) -> None:
    write_schemas(args.folder)


def _account_for(session: Session, action: str, subject: str) -> None:
    """Record what was done from the command line, in the name of the system's user."""
    audit.record(
        session,
        now=utc_now(),
        user_name=f"system:{_system_user()}"[:64],
        address="command line",
        action=action,
        detail={"subject": subject},
    )


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return str(os.getuid())


def _password() -> str:
    """From KAKOU_PASSWORD, from standard input if that is no terminal, else asked for twice."""
    if ENV_PASSWORD in os.environ:
        return os.environ[ENV_PASSWORD]
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise ServerError("the two passwords differ")
    return password


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

    command = commands.add_parser("migrate", help="bring the database to the newest schema")
    command.set_defaults(command=_migrate)

    command = commands.add_parser("seed-demo", help="apply a file of checkpoints, agents, users …")
    command.add_argument("file", type=Path, help="JSON or TOML")
    command.add_argument(
        "--tokens", type=Path, metavar="DIR", help="write <agent>.token files into this folder"
    )
    command.set_defaults(command=_seed)

    _user_parser(commands.add_parser("user", help="people who may log in"))
    _token_parser(commands.add_parser("agent-token", help="agents' credentials"))
    _checkpoint_parser(commands.add_parser("checkpoint", help="the registry of checkpoints"))

    command = commands.add_parser("audit", help="the audit log")
    verbs = command.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("verify", help="prove that no record was changed or removed").set_defaults(
        command=_audit_verify
    )

    command = commands.add_parser(
        "wire-schema", help="write the JSON schemas of what agents and server say to each other"
    )
    command.add_argument("folder", type=Path)
    command.set_defaults(command=_wire_schema)
    return parser


def _user_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser(
        "add", help=f"the password comes from a prompt, standard input or ${ENV_PASSWORD}"
    )
    add.add_argument("name")
    add.add_argument("--role", choices=[role.value for role in Role], required=True)
    add.add_argument("--display-name", default="")
    add.add_argument("--badge-number", default="")
    add.add_argument("--unit", default="")
    add.set_defaults(command=_user_add)
    verbs.add_parser("list", help="name, role, state").set_defaults(command=_user_list)
    for verb, command, said in (
        ("password", _user_password, "set another password; open sessions end"),
        ("disable", _user_disable, "lock out at once"),
    ):
        sub = verbs.add_parser(verb, help=said)
        sub.add_argument("name")
        sub.set_defaults(command=command)


def _token_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    issue = verbs.add_parser("issue", help="make the agent known if need be and give it a token")
    issue.add_argument("agent")
    issue.add_argument("--camera", action="append", default=[], help="may speak for this camera")
    issue.add_argument("--out", type=Path, metavar="FILE", help="into this file, not to the screen")
    issue.set_defaults(command=_token_issue)
    revoke = verbs.add_parser("revoke", help="all tokens of an agent")
    revoke.add_argument("agent")
    revoke.set_defaults(command=_token_revoke)


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
