"""``python -m server migrate | retention | hold | evidence | partitions``: keeping what is stored."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from anpr.plate import normalise
from server import holds, partitions, register, retention, schema, upkeep
from server.auth.commands import account_for, system_user
from server.clock import utc_now
from server.db import Database
from server.errors import InvalidRequest, ServerError
from server.ingest.evidence_s3 import picture_store
from server.retention_list import delete_listed, read_list
from server.scrub import scrub
from server.settings import Settings
from server.tables import Deletion, Passage

FAILED = 1


def add_commands(commands: Any) -> None:
    """Add these commands to the command line's own."""
    command = commands.add_parser(
        "migrate", help="bring the database to the newest schema; safe while servers run"
    )
    command.set_defaults(command=_migrate)

    command = commands.add_parser("partitions", help="make those that are wanted, and list all")
    command.set_defaults(command=_partitions)

    command = commands.add_parser("plates", help="the register of plates seen")
    verbs = command.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("count", help="bring it up to date now").set_defaults(command=_count)

    _retention_parser(commands.add_parser("retention", help="what is deleted, and the account"))
    _hold_parser(commands.add_parser("hold", help="passages that must not be deleted"))

    command = commands.add_parser("evidence", help="the pictures")
    verbs = command.add_subparsers(required=True, metavar="VERB")
    check = verbs.add_parser("scrub", help="is every picture there, and what it was?")
    check.add_argument("--quick", action="store_true", help="only whether it is there")
    check.add_argument("--remove-orphans", action="store_true", help="pictures nobody refers to")
    check.set_defaults(command=_scrub)


def _migrate(_args: argparse.Namespace, settings: Settings) -> None:
    database = Database(settings)
    with database.read():  # a database that is away is said so, in words
        before = schema.current(database.engine)
    schema.upgrade(database.engine)
    print(f"{before or 'empty'} -> {schema.current(database.engine)}")
    for table in schema.distribute(database.engine, settings.database):
        print(f"distributed {table}")
    for name in _keep_partitions(database, settings):
        print(f"made {name}")


def _partitions(_args: argparse.Namespace, settings: Settings) -> None:
    database = Database(settings)
    _keep_partitions(database, settings)
    if database.is_sqlite:
        print("SQLite has no partitions")
        return
    with database.engine.connect() as connection:
        for of in partitions.PARTITIONED:
            for part in partitions.existing(connection, of):
                print(f"{part.name}\t{part.days.start}\t{part.days.end}")


def _keep_partitions(database: Database, settings: Settings) -> list[str]:
    now = utc_now()
    return partitions.keep_up(
        database.engine, settings.partitions, now, upkeep.oldest_kept(settings, now)
    )


def _count(_args: argparse.Namespace, settings: Settings) -> None:
    database, total = Database(settings), 0
    while True:
        with database.write() as session:
            counted = register.count(session, utc_now())
        if not counted:
            break
        total += counted
    print(f"{total} counted")


def _retention_run(args: argparse.Namespace, settings: Settings) -> None:
    done = retention.run(
        Database(settings),
        picture_store(settings),
        settings,
        utc_now(),
        ordered_by=system_user(),
        dry_run=args.dry_run,
    )
    _report([asdict(one) for one in done], args.report)


def _retention_delete(args: argparse.Namespace, settings: Settings) -> None:
    try:
        lines = args.list.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"{args.list}: cannot be read: {error}") from None
    done = delete_listed(
        Database(settings),
        picture_store(settings),
        read_list(lines),
        reason=args.reason,
        ordered_by=system_user(),
        now=utc_now(),
    )
    _report([asdict(one) for one in done], args.report)


def _retention_report(args: argparse.Namespace, settings: Settings) -> None:
    query = select(Deletion).order_by(Deletion.id.desc()).limit(args.last)
    with Database(settings).read() as session:
        for row in session.scalars(query):
            line = {
                "id": row.id,
                "at": row.at.isoformat(),
                "rule": row.rule,
                "ordered_by": row.ordered_by,
                "reason": row.reason,
                "report": row.report,
            }
            print(json.dumps(line, ensure_ascii=False))


def _hold_add(args: argparse.Namespace, settings: Settings) -> None:
    now = utc_now()
    query = select(Passage.plate, Passage.captured_at, Passage.passage_id).where(
        Passage.plate == normalise(args.plate),
        Passage.captured_at >= _instant(args.since, "since"),
        Passage.captured_at < _instant(args.until, "until"),
    )
    with Database(settings).write() as session:
        keys: list[Any] = [(*row,) for row in session.execute(query)]
        held = holds.hold_passages(session, keys, args.case, now)
        account_for(session, "hold.add", args.case)
    print(f"{held} held")


def _hold_release(args: argparse.Namespace, settings: Settings) -> None:
    with Database(settings).write() as session:
        released = holds.release_case(session, args.case)
        account_for(session, "hold.release", args.case)
    print(f"{released} released")


def _scrub(args: argparse.Namespace, settings: Settings) -> int:
    found = scrub(
        Database(settings),
        picture_store(settings),
        utc_now(),
        verify=not args.quick,
        remove_orphans=args.remove_orphans,
    )
    print(json.dumps(asdict(found), indent=2))
    return 0 if found.is_well else FAILED


def _report(lines: list[dict[str, Any]], file: Path | None) -> None:
    text = json.dumps(lines, ensure_ascii=False, indent=2)
    if file is None:
        sys.stdout.write(text + "\n")
    else:
        file.write_text(text + "\n", encoding="utf-8")


def _instant(given: str, field: str) -> datetime:
    try:
        instant = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidRequest(f"{field}: ISO 8601 with an offset") from None
    if instant.tzinfo is None:
        raise InvalidRequest(f"{field}: needs an offset, such as +08:00")
    return instant.astimezone(UTC)


def _retention_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = verbs.add_parser("run", help="delete by rule, as the server does by itself")
    run.add_argument("--dry-run", action="store_true", help="only say what would go")
    run.add_argument("--report", type=Path, metavar="FILE", help="into this file")
    run.set_defaults(command=_retention_run)
    listed = verbs.add_parser("delete", help="delete by list: lines of plate,since,until")
    listed.add_argument("--list", type=Path, required=True, metavar="FILE")
    listed.add_argument("--reason", required=True, help="stands in the report and the audit log")
    listed.add_argument("--report", type=Path, metavar="FILE", help="into this file")
    listed.set_defaults(command=_retention_delete)
    report = verbs.add_parser("report", help="what was deleted, by which rule, and why")
    report.add_argument("--last", type=int, default=50, metavar="N")
    report.set_defaults(command=_retention_report)


def _hold_parser(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("add", help="hold the passages of a plate for a case")
    add.add_argument("--case", required=True, metavar="NUMBER")
    add.add_argument("--plate", required=True)
    add.add_argument("--since", required=True, metavar="TIME", help="inclusive")
    add.add_argument("--until", required=True, metavar="TIME", help="exclusive")
    add.set_defaults(command=_hold_add)
    release = verbs.add_parser("release", help="end the holds of a case")
    release.add_argument("--case", required=True, metavar="NUMBER")
    release.set_defaults(command=_hold_release)
