"""The database of a Citus cluster, emptied and filled again for each test that asks for it.

``KAKOU_TEST_CITUS=postgresql+psycopg2://user@coordinator/empty_database`` names it: an extension
created, workers added, a superuser. **All its tables are dropped.** With it, whatever is tested on
each engine is tested on the cluster, too: ``pytest tests/server -k citus``.
"""

import os
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from server import citus, schema
from server.db import Database
from server.settings import Settings

DSN = os.environ.get("KAKOU_TEST_CITUS", "")
SHARDS = 4
_SAVED = "prepared"
"""Schema that keeps the rows of a prepared database."""


def settings_of(data_dir: Path, shards: int = SHARDS) -> Settings:
    return Settings(
        data_dir=data_dir, database={"url": DSN, "distributed": "citus", "shards": shards}
    )


def drop_all() -> None:
    """Leave the database as empty as it was given to us."""
    admin = create_engine(DSN, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        _end_others(connection)
        connection.execute(text(f"DROP SCHEMA IF EXISTS {_SAVED} CASCADE"))
        for name in _tables(connection):
            connection.execute(text(f'DROP TABLE IF EXISTS "{name}" CASCADE'))
        for name in _functions(connection):
            connection.execute(text(f"DROP FUNCTION {name} CASCADE"))
    admin.dispose()


class Prepared:
    """A database that is prepared and distributed once, and given back as it was then."""

    def __init__(self, settings: Settings) -> None:
        """Take in what :func:`drop_all`, migrating and preparing have left."""
        database = Database(settings)
        schema.distribute(database.engine, settings.database)
        database.close()
        self._engine = create_engine(DSN)
        with self._engine.begin() as connection:
            self._tables = _tables(connection)
            self._sequences = dict(
                connection.execute(
                    text("SELECT sequencename, last_value FROM pg_sequences "
                         "WHERE schemaname = 'public'")
                ).all()
            )  # fmt: skip
            self._guards = _guards(connection)
            self._identity = _identity(connection)
            connection.execute(text(f"CREATE SCHEMA {_SAVED}"))
            self._kept = [
                name
                for name in self._tables
                if name != "alembic_version" and not name.startswith(("passage_", "evidence_"))
            ]
            for name in self._kept:
                connection.execute(text(f"CREATE TABLE {_SAVED}.{name} AS TABLE public.{name}"))
            self._filled = [
                name
                for name in self._kept
                if connection.execute(text(f"SELECT count(*) FROM {_SAVED}.{name}")).scalar()  # noqa: S608
            ]

    def give(self, data_dir: Path) -> Settings | None:
        """Put the database back to what it was; settings of it. None if it is not ours any more."""
        with self._engine.connect() as connection:
            _end_others(connection)
            connection.commit()
            if not self._is_there(connection):
                return None
            for name in set(_tables(connection)) - set(self._tables):
                connection.execute(text(f'DROP TABLE IF EXISTS "{name}"'))
            connection.commit()
            connection.execute(text("TRUNCATE passage, passage_hold"))
            connection.commit()
            connection.execute(text(f"SET LOCAL {citus.SEQUENTIAL}"))
            # neither the guards of the audit log nor the order of foreign keys matter here
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for name in self._kept:
                connection.execute(text(f"DELETE FROM public.{name}"))  # noqa: S608
            for name in self._filled:
                connection.execute(
                    text(f"INSERT INTO public.{name} SELECT * FROM {_SAVED}.{name}")  # noqa: S608
                )
            for name, last in self._sequences.items():
                connection.execute(
                    text("SELECT setval(CAST(:n AS regclass), :v, :called)"),
                    {"n": name, "v": last or 1, "called": last is not None},
                )
            for name, made_by in self._guards.items():  # that a test has got around
                if name not in _guards(connection):
                    connection.execute(text(made_by))
            connection.commit()
        return settings_of(data_dir)

    def _is_there(self, connection: Connection) -> bool:
        """Whether nobody has dropped anything since.

        A test that makes tables of the same names anew leaves others behind, which nobody has
        distributed, or over another number of shards.
        """
        found = connection.execute(text("SELECT to_regnamespace(:n)"), {"n": _SAVED})
        return found.scalar() is not None and _identity(connection) == self._identity


def _tables(connection: Connection) -> list[str]:
    return list(
        connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ).scalars()
    )


def _identity(connection: Connection) -> dict[str, int]:
    """The tables that are no partitions, by their numbers, which no other table ever has."""
    return dict(
        connection.execute(
            text("SELECT relname, oid FROM pg_class WHERE relkind IN ('r', 'p') "
                 "AND NOT relispartition AND relnamespace = 'public'::regnamespace")
        ).all()
    )  # fmt: skip


def _functions(connection: Connection) -> list[str]:
    """Functions of ours, with what they take."""
    return list(
        connection.execute(
            text("SELECT CAST(CAST(p.oid AS regprocedure) AS text) FROM pg_proc p "
                 "WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend "
                 "WHERE objid = p.oid AND classid = 'pg_proc'::regclass AND deptype = 'e')")
        ).scalars()
    )  # fmt: skip


def _guards(connection: Connection) -> dict[str, str]:
    """Triggers of ours on tables of the coordinator: name and definition."""
    return dict(
        connection.execute(
            text("SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger "
                 "WHERE tgrelid = to_regclass('public.audit_log') AND NOT tgisinternal")
        ).all()
    )  # fmt: skip


def _end_others(connection: Connection) -> None:
    """Nobody else is at this database: what a test before has left open would be waited for."""
    connection.execute(
        text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
             "WHERE datname = current_database() AND pid <> pg_backend_pid() "
             "AND application_name = 'kakou'")
    )  # fmt: skip
