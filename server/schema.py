"""Where the schema of a database stands, and bringing it up to date (Alembic, `migrations/`).

Migrations run on live systems: on PostgreSQL a step that cannot get its lock
gives up instead of holding up the passages behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from server import citus
from server.db import BEGIN_WRITING
from server.errors import SchemaError
from server.settings_storage import DatabaseSettings

LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 15 * 60_000
_ADVISORY_KEY = 7_135_406_518
"""Any number that no other program uses on the same database."""


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision; doing so again is harmless."""
    config = _config()
    with engine.execution_options(**BEGIN_WRITING).connect() as connection, _alone(connection):
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def distribute(engine: Engine, settings: DatabaseSettings) -> list[str]:
    """Distribute the tables over a Citus cluster if the settings say so; names of those it was.

    Raises:
        SchemaError: it cannot be done with this database.
    """
    if settings.distributed != "citus":
        return []
    with engine.execution_options(**BEGIN_WRITING).connect() as connection, _alone(connection):
        # rows that are there move to the workers, which takes as long as it takes
        connection.execute(text("SET statement_timeout = 0"))
        done = citus.distribute(connection, settings.shards)
        connection.commit()
    return done


def newest() -> str:
    """The revision that this version of the server needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:  # pragma: no cover - would be a broken installation
        raise SchemaError("no migrations are installed")
    return head


def current(engine: Engine) -> str | None:
    """The revision that the database has; None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def require_newest(engine: Engine) -> None:
    """Refuse to work on a schema that is not ours.

    Raises:
        SchemaError: the database is older or newer than this version.
    """
    have, need = current(engine), newest()
    if have != need:
        raise SchemaError(
            f"the database is at revision {have or 'none'}, this version needs {need}: "
            "run `python -m server migrate`"
        )


def require_placed(engine: Engine, settings: DatabaseSettings) -> None:
    """Refuse to work where tables do not lie where the settings say.

    Raises:
        SchemaError: something is not distributed yet, or is and the settings do not know.
    """
    with engine.connect() as connection:
        if citus.version(connection) is None and settings.distributed == "no":
            return
        apart = [
            name for name in citus.DISTRIBUTED_TABLES if citus.is_distributed(connection, name)
        ]
    if settings.distributed == "citus" and len(apart) < len(citus.DISTRIBUTED_TABLES):
        left = ", ".join(sorted(citus.DISTRIBUTED_TABLES.keys() - apart))
        raise SchemaError(f"not distributed yet: {left}: run `python -m server migrate`")
    if settings.distributed == "no" and apart:
        raise SchemaError(
            f"database.distributed: {', '.join(apart)} lies on the workers of a Citus cluster; "
            'say distributed = "citus"'
        )


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Let one migration run at a time. On SQLite its transaction holds the write lock anyway."""
    if connection.dialect.name != "postgresql":
        yield
        return
    # another's migration may take minutes; it is in nobody's way who waits for it
    connection.execute(text("SET lock_timeout = 0"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_KEY})
    _reset_timeouts(connection)
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})
        _reset_timeouts(connection)


def _reset_timeouts(connection: Connection) -> None:
    connection.execute(text("RESET lock_timeout"))
    connection.execute(text("RESET statement_timeout"))
    connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
