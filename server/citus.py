"""Passages distributed by plate over several machines, with the Citus extension of PostgreSQL.

Citus is reached over PostgreSQL's own protocol; nothing of it runs in this process. Whether it is
used, the settings say (``database.distributed``); whether it is there, is asked before anything is
changed, with an answer that says what to do.

The passage table goes to the workers by ``plate`` (a route is one shard; partitions by time are
inside), and with it, shard beside shard, the table of passages that are held; nothing else does:
registry, watchlist and accounts stay on the coordinator, where every other statement works as on
one machine. Checkpoints become a reference table, so that passages can be joined to them on the
workers.

What Citus refuses or does dearly, no statement of ours does, on whatever engine: none asks for
passages in a subquery for each row of another table, names them by where they lie (``ctid``; each
shard has a row there), or joins them with a table of the coordinator, for which all of them would
be fetched.
"""

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from server.errors import SchemaError

MINIMUM = (11, 0)
"""Partitions of distributed tables and sequential mode as used here."""

SEQUENTIAL = "citus.multi_shard_modify_mode=sequential"
"""One connection per worker instead of one per shard: 4 to 21 times faster small COPYs, and what
distributed DDL after distributed reads in one transaction needs. Set on every connection."""

REFERENCE_TABLES = ("checkpoint",)
DISTRIBUTED_TABLES = {"passage": "plate", "passage_hold": "plate"}
"""By which column; shards of the same plates lie together."""

_IS_USED: Final = "kakou_citus"
ENGINE_OPTIONS: Final = {_IS_USED: True}
"""Execution options of an engine on a cluster; see :func:`is_used`."""

COMPANIONS = """
SELECT b.plate, count(DISTINCT b.checkpoint_id) AS places, count(*) AS times
FROM (SELECT checkpoint_id, captured_at FROM passage
      WHERE plate = :plate AND captured_at >= :since AND captured_at < :until OFFSET 0) a
JOIN passage b ON b.checkpoint_id = a.checkpoint_id
  AND b.captured_at BETWEEN a.captured_at - make_interval(secs => :near_s)
                        AND a.captured_at + make_interval(secs => :near_s)
WHERE b.plate <> :plate AND b.plate <> ''
  AND b.captured_at >= CAST(:since AS timestamptz) - make_interval(secs => :near_s)
  AND b.captured_at < CAST(:until AS timestamptz) + make_interval(secs => :near_s)
GROUP BY b.plate HAVING count(DISTINCT b.checkpoint_id) >= :least
ORDER BY places DESC, times DESC, b.plate
"""
"""Who passed where a plate passed, shortly before or after, at how many places.

``OFFSET 0`` makes the plate's own passages an intermediate result, which Citus sends to all
workers; as a plain self-join it would refuse. The same statement is right on one PostgreSQL.
"""


def version(connection: Connection) -> tuple[int, ...] | None:
    """The version of the extension in this database; None without it."""
    if connection.dialect.name != "postgresql":
        return None
    found = connection.execute(
        text("SELECT extversion FROM pg_extension WHERE extname = 'citus'")
    ).scalar()
    return tuple(int(part) for part in str(found).split("-")[0].split(".")) if found else None


def is_used(session: Session) -> bool:
    """Whether the settings say that passages are distributed; asks no database."""
    return bool(session.get_bind().get_execution_options().get(_IS_USED))


def is_distributed(connection: Connection, table: str) -> bool:
    """Whether a table lies on the workers."""
    if version(connection) is None:
        return False
    return bool(
        connection.execute(
            text("SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = to_regclass(:t)"),
            {"t": table},
        ).scalar()
    )


def require(connection: Connection) -> None:
    """Refuse to distribute where it cannot be done.

    Raises:
        SchemaError: no extension, too old, or no worker; the message says what to do.
    """
    if connection.dialect.name != "postgresql":
        raise SchemaError("database.distributed: needs PostgreSQL with Citus, not SQLite")
    have = version(connection)
    if have is None:
        raise SchemaError(
            "database.distributed: this database has no Citus; install it, add 'citus' to "
            "shared_preload_libraries, and run CREATE EXTENSION citus as a superuser"
        )
    if have < MINIMUM:
        raise SchemaError(
            f"database.distributed: Citus {'.'.join(map(str, have))} is too old; "
            f"{'.'.join(map(str, MINIMUM))} is the least"
        )
    workers = connection.execute(
        text("SELECT count(*) FROM pg_dist_node WHERE isactive AND shouldhaveshards")
    ).scalar_one()
    if not workers:
        raise SchemaError(
            "database.distributed: Citus knows no worker; run citus_set_coordinator_host and "
            "citus_add_node on the coordinator"
        )


def distribute(connection: Connection, shards: int) -> list[str]:
    """Distribute what is not distributed yet and return the names of those tables.

    Rows that are there already go along. Doing so again is harmless.

    Raises:
        SchemaError: it cannot be done here.
    """
    require(connection)
    done = []
    connection.execute(text(f"SET {SEQUENTIAL}"))
    connection.execute(text(f"SET citus.shard_count TO {shards:d}"))
    for table in REFERENCE_TABLES:
        if not is_distributed(connection, table):
            connection.execute(text("SELECT create_reference_table(:t)"), {"t": table})
            done.append(table)
    for table, column in DISTRIBUTED_TABLES.items():
        if not is_distributed(connection, table):
            beside = "default" if table == "passage" else "passage"
            connection.execute(
                text("SELECT create_distributed_table(:t, :c, colocate_with => :b)"),
                {"t": table, "c": column, "b": beside},
            )
            done.append(table)
        _leave_nothing_behind(connection, table)
    return done


def _leave_nothing_behind(connection: Connection, table: str) -> None:
    """Remove what the coordinator still has of rows that have gone to the workers.

    Nobody sees it any more but PostgreSQL, which makes no partition for days of which the
    coordinator's own catch-all holds rows.
    """
    left = connection.execute(
        text("SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(to_regclass(:t))"),
        {"t": table},
    ).scalar()
    if left:
        connection.execute(
            text("SELECT truncate_local_data_after_distributing_table(to_regclass(:t))"),
            {"t": table},
        )
