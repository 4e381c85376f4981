"""``python -m server roads import FILE``."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
from pathlib import Path
from typing import Any

from server.auth.commands import account_for
from server.db import Database
from server.settings import Settings


def add_commands(commands: Any) -> None:
    """Add them to the program's."""
    parser = commands.add_parser("roads", help="the road network that routes and pursuits drive on")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    command = verbs.add_parser(
        "import", help="put the checkpoints on the roads of a file (.osm, .osm.pbf, .geojson)"
    )
    command.add_argument("file", type=Path)
    command.set_defaults(command=_import)


def _import(args: argparse.Namespace, settings: Settings) -> None:
    # the other commands need not wait for these to load
    from server.roads.files import read_roads  # noqa: PLC0415
    from server.roads.service import take_in  # noqa: PLC0415

    network = read_roads(args.file)
    with Database(settings).write() as session:
        done = take_in(session, network)
        account_for(session, "roads.import", args.file.name)
    print(
        f"{len(network.start)} pieces of road; {done.links} links between "
        f"{done.checkpoints - len(done.astray)} of {done.checkpoints} checkpoints"
    )
    if done.astray:
        print(f"on no road: {', '.join(done.astray)}")
