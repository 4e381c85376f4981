"""The audit log's anchors: its head noted outside the database, one JSON line each.

A hash chain tells every edit inside it, but not that its newest part was cut off or computed
anew: for that somebody else must remember the head. The server notes it in a file from time to
time and writes it to its log (which a collector takes elsewhere); `server audit head` prints it,
to be copied onto paper or another machine. `server audit verify` holds the log against them.
"""

import json
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from server import audit
from server.audit import Anchor
from server.clock import Clock
from server.db import Database
from server.errors import SettingsError

_log = logging.getLogger(__name__)


def note_head(database: Database, path: Path, clock: Clock) -> Anchor | None:
    """Note the head if it is not the one noted last; gives it if so.

    Raises:
        Unavailable: the database is away.
        OSError: the file cannot be written.
    """
    with database.read() as session:
        head = audit.head(session, clock())
    if head is None:
        return None
    known = read_anchors(path) if path.is_file() else ()
    if known and (known[-1].seq, known[-1].hash) == (head.seq, head.hash):
        return None
    line = json.dumps(
        {"seq": head.seq, "hash": head.hash, "at": head.at.astimezone(UTC).isoformat()}
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    _log.info("audit log: head is record %d, hash %s", head.seq, head.hash)
    return head


def read_anchors(path: Path) -> Sequence[Anchor]:
    """Read a file of anchors.

    Raises:
        SettingsError: it cannot be read, or a line is not an anchor; the message says which.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            raw = json.loads(line)
            at = datetime.fromisoformat(raw["at"])
            found.append(Anchor(int(raw["seq"]), str(raw["hash"]), at))
        except (ValueError, TypeError, KeyError):
            raise SettingsError(f"{path}: line {number} is not an anchor") from None
    return found
