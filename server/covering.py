"""Where each plate was, in an index of its own: for partitions whose days are over, on PostgreSQL.

How often somebody is where he is (companions of a year) is counted of hundreds of thousands of
passages. The key of ``passage`` leads to each of them on a page of its own; an index that holds the
checkpoint, too, answers by itself. Partitions that still grow go without it: there every passage
would pay for it as it comes in, here it is made once, of rows that lie still, and what comes late
pays alone. Nobody waits: it is made ``CONCURRENTLY``, a partition at a time.

Not on Citus, whose shards are too many to be gone through from here.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, text

from server import citus
from server.partitions import PASSAGE, existing
from server.settings_storage import PartitionSettings

_log = logging.getLogger(__name__)

_ADVISORY_KEY: Final = 7_135_406_522
"""Any number that no other program uses on the same database."""


def cover(engine: Engine, settings: PartitionSettings, now: datetime) -> str | None:
    """Give the newest partition that is over and has none its index; its name, None if none is left.

    One that was interrupted is made anew. None, too, while another process is at it.
    """
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if citus.is_distributed(connection, PASSAGE.table) or not _alone(connection):
            return None
        try:
            # to be made it waits for everybody who was reading when it began
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = 0"))
            return _cover_one(connection, settings, now)
        finally:
            connection.execute(text("RESET statement_timeout"))
            connection.execute(text("RESET lock_timeout"))
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})


def _alone(connection: Connection) -> bool:
    asked = text("SELECT pg_try_advisory_lock(:key)")
    return bool(connection.execute(asked, {"key": _ADVISORY_KEY}).scalar())


def _cover_one(connection: Connection, settings: PartitionSettings, now: datetime) -> str | None:
    over = now.astimezone(UTC).date() - timedelta(days=settings.cover_after_days)
    for partition in reversed(existing(connection, PASSAGE)):
        name = f"ix_{partition.name}_where"
        if partition.days.end > over:
            continue
        is_valid = connection.execute(
            text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
            {"name": name},
        ).scalar()
        if is_valid:
            continue
        if is_valid is not None:
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        connection.execute(
            text(
                f"CREATE INDEX CONCURRENTLY {name} ON {partition.name} (plate, captured_at)"
                " INCLUDE (checkpoint_id)"
            )
        )
        # an index answers by itself only for pages that are known to hold nothing unsettled
        connection.execute(text(f"VACUUM (ANALYZE) {partition.name}"))
        _log.info("partition %s: is over, and has an index of where plates were", partition.name)
        return partition.name
    return None
