"""The commands of ``python -m server`` about people, areas, agents' tokens and the audit log."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from server import audit
from server.audit_anchor import note_head, read_anchors
from server.auth.accounts import (
    Role,
    add_user,
    disable_user,
    enable_user,
    end_sessions,
    list_users,
    set_areas,
    set_password,
    set_role,
)
from server.auth.agents import bind_camera, issue_token, register_agent, revoke_tokens
from server.auth.areas import list_areas, put_area
from server.clock import utc_now
from server.db import Database
from server.errors import ServerError
from server.seed import write_token
from server.settings import Settings

ENV_PASSWORD = "KAKOU_PASSWORD"  # noqa: S105 - the name of a variable

EXIT_FAULTS = 1
"""The audit log is not whole."""


def add_commands(commands: Any) -> None:
    """Add them to the subparsers of the command line."""
    _user_parser(commands.add_parser("user", help="people who may log in"))
    _area_parser(commands.add_parser("area", help="which checkpoints belong together"))
    _token_parser(commands.add_parser("agent-token", help="agents' credentials"))
    _audit_parser(commands.add_parser("audit", help="the audit log"))


def account_for(session: Session, action: str, subject: str, **detail: Any) -> None:
    """Record what was done from the command line, in the name of the system's user."""
    audit.record(
        session,
        now=utc_now(),
        user_name=f"system:{system_user()}"[:64],
        address="command line",
        action=action,
        detail={"subject": subject} | detail,
    )


# ---- people


def _user_add(args: argparse.Namespace, settings: Settings) -> None:
    password = _password()
    with Database(settings).write() as session:
        if not args.area and not args.everywhere and list_areas(session):
            raise ServerError("there are areas: say --area ID (again and again), or --everywhere")
        add_user(
            session,
            name=args.name,
            password=password,
            role=Role(args.role),
            now=utc_now(),
            display_name=args.display_name,
            badge_number=args.badge_number,
            unit=args.unit,
            area_ids=args.area or None,
            must_change_password=args.must_change,
        )
        account_for(session, "user.add", args.name, role=args.role, areas=args.area)


def _user_password(args: argparse.Namespace, settings: Settings) -> None:
    password = _password()
    with Database(settings).write() as session:
        set_password(session, args.name, password, must_change_password=args.must_change)
        account_for(session, "user.password", args.name)


def _user_role(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        set_role(session, args.name, Role(args.role))
        account_for(session, "user.role", args.name, role=args.role)


def _user_areas(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        set_areas(session, args.name, None if args.everywhere else args.area)
        account_for(session, "user.areas", args.name, areas=None if args.everywhere else args.area)


def _user_disable(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        disable_user(session, args.name, utc_now())
        account_for(session, "user.disable", args.name)


def _user_enable(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        enable_user(session, args.name)
        account_for(session, "user.enable", args.name)


def _user_hand_over(args: argparse.Namespace, settings: Settings) -> None:
    # the other commands need not wait for the provider's library to load
    from server.auth.oidc import expect  # noqa: PLC0415

    with Database(settings).write() as session:
        expect(session, args.name)
        account_for(session, "user.hand_over", args.name)


def _user_end_sessions(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        ended = end_sessions(session, args.name)
        account_for(session, "user.end_sessions", args.name, ended=ended)
    print(f"{ended} ended")


def _user_list(_args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).read() as session:
        for user in list_users(session):
            state = "disabled" if user.disabled_at else "active"
            areas = "everywhere" if user.area_ids is None else ",".join(user.area_ids) or "nowhere"
            print(f"{user.name}\t{user.role}\t{state}\t{areas}\t{user.display_name}")


def _user_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    roles = [role.value for role in Role]
    add = verbs.add_parser(
        "add", help=f"the password comes from a prompt, standard input or ${ENV_PASSWORD}"
    )
    add.add_argument("name")
    add.add_argument("--role", choices=roles, required=True)
    add.add_argument("--display-name", default="")
    add.add_argument("--badge-number", default="")
    add.add_argument("--unit", default="")
    _area_options(add)
    add.set_defaults(command=_user_add)
    password = verbs.add_parser("password", help="set another password; open sessions end")
    password.add_argument("name")
    password.set_defaults(command=_user_password)
    for sub in (add, password):
        sub.add_argument(
            "--must-change", action="store_true", help="he has to choose another at his log-in"
        )
    role = verbs.add_parser("role", help="give another role; open sessions end")
    role.add_argument("name")
    role.add_argument("role", choices=roles)
    role.set_defaults(command=_user_role)
    areas = verbs.add_parser("areas", help="say which areas he sees")
    areas.add_argument("name")
    _area_options(areas, required=True)
    areas.set_defaults(command=_user_areas)
    verbs.add_parser("list", help="name, role, state, areas").set_defaults(command=_user_list)
    for verb, command, said in (
        ("disable", _user_disable, "lock out at once"),
        ("enable", _user_enable, "let in again"),
        ("end-sessions", _user_end_sessions, "log out everywhere"),
        ("hand-over", _user_hand_over, "his password ends; he logs in at the identity provider"),
    ):
        sub = verbs.add_parser(verb, help=said)
        sub.add_argument("name")
        sub.set_defaults(command=command)


def _area_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--area", action="append", default=[], metavar="ID", help="he sees this one")
    where.add_argument("--everywhere", action="store_true", help="he sees every checkpoint")


# ---- areas


def _area_put(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        put_area(session, args.id, args.name, args.checkpoint, utc_now())
        account_for(session, "area.put", args.id, checkpoints=sorted(set(args.checkpoint)))


def _area_list(_args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).read() as session:
        for area in list_areas(session):
            print(
                f"{area.id}\t{area.name}\t{len(area.checkpoint_ids)} checkpoints\t{area.users} users"
            )


def _area_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    put = verbs.add_parser("put", help="add an area, or make it have exactly these checkpoints")
    put.add_argument("id")
    put.add_argument("--name", required=True)
    put.add_argument("--checkpoint", action="append", default=[], metavar="ID")
    put.set_defaults(command=_area_put)
    verbs.add_parser("list", help="identifier, name, checkpoints, users").set_defaults(
        command=_area_list
    )


# ---- agents' tokens


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
        account_for(session, "agent_token.issue", args.agent)
    print(token if token is not None else f"token in {args.out}")


def _token_revoke(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        count = revoke_tokens(session, args.agent, utc_now())
        account_for(session, "agent_token.revoke", args.agent)
    print(f"{count} revoked")


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


# ---- the audit log


def _audit_verify(args: argparse.Namespace, settings: Settings) -> int:
    path = args.anchors or settings.audit_anchor_file
    known = path.is_file() or args.anchors is not None
    anchors = read_anchors(path) if known else ()
    with Database(settings).read() as session:
        faults = list(audit.verify(session, anchors))
    for fault in faults:
        print(fault)
    print(f"{len(anchors)} anchors in {path}" if known else f"no anchors: {path} is not there")
    print("the chain is broken" if faults else "the chain is whole")
    return EXIT_FAULTS if faults else 0


def _audit_head(_args: argparse.Namespace, settings: Settings) -> None:
    database = Database(settings)
    note_head(database, settings.audit_anchor_file, utc_now)
    with database.read() as session:
        head = audit.head(session, utc_now())
    print("empty" if head is None else f"{head.seq}\t{head.hash}")


def _audit_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verify = verbs.add_parser("verify", help="prove that no record was changed or removed")
    verify.add_argument(
        "--anchors", type=Path, metavar="FILE", help="a copy kept elsewhere, instead of ours"
    )
    verify.set_defaults(command=_audit_verify)
    verbs.add_parser(
        "head", help="note and print the newest record's number and hash, to be kept elsewhere"
    ).set_defaults(command=_audit_head)


def system_user() -> str:
    """Who sits at the command line, as the system calls him."""
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
