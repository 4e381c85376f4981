"""What migrations build is what the code expects, on both engines."""

import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from server import partitions, schema
from server.db import Database, next_number
from server.errors import SchemaError, SettingsError, Unavailable
from server.settings import Settings
from server.tables import Base, Evidence, UtcDateTime
from tests.server.conftest import NOW


def test_migrations_build_exactly_the_tables_of_the_code(settings: Settings) -> None:
    database = Database(settings)
    with database.engine.connect() as connection:
        cut = partitions.is_partition(connection)
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "include_name": lambda name, *_rest: name not in cut},
        )
        assert compare_metadata(context, Base.metadata) == []
    schema.require_newest(database.engine)
    database.close()


def test_a_foreign_revision_is_refused(settings: Settings) -> None:
    database = Database(settings)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="9999"):
        schema.require_newest(database.engine)
    database.close()


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_an_instant_comes_back_the_same_and_in_utc(instant: datetime) -> None:
    column = UtcDateTime()
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        back = column.process_result_value(column.process_bind_param(instant, dialect), dialect)
        assert back == instant
        assert back is not None
        assert back.tzinfo is UTC


def test_a_bare_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())  # noqa: DTZ001


def test_counters_give_each_number_once_and_in_commit_order(settings: Settings) -> None:
    """Whoever sees a number committed sees every lower number committed."""
    database = Database(settings)
    committed: list[int] = []
    lock = threading.Lock()

    def take() -> None:
        for _ in range(10):
            with database.write() as session:
                number = next_number(session, "alert")
            with lock:
                committed.append(number)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(committed) == list(range(1, 61))
    database.close()


def test_a_number_that_was_rolled_back_is_given_again(settings: Settings) -> None:
    """Otherwise the audit chain would show a gap where nothing was removed."""
    database = Database(settings)
    with pytest.raises(ZeroDivisionError), database.write() as session:
        assert 1 // (next_number(session, "audit") - 1)
    with database.write() as session:
        assert next_number(session, "audit") == 1
    database.close()


def test_a_reader_leaves_nothing_behind(settings: Settings) -> None:
    database = Database(settings)
    statement = text("UPDATE counter SET value = 7")
    if database.is_sqlite:  # rolls back
        with database.read() as session:
            session.execute(statement)
    else:  # refuses
        with pytest.raises(DBAPIError, match="read-only"), database.read() as session:
            session.execute(statement)
    with database.read() as session:
        assert set(session.execute(text("SELECT value FROM counter")).scalars()) == {0}
    database.close()


def test_a_locked_database_is_unavailable_not_a_crash(settings: Settings) -> None:
    quick = settings.model_copy(
        update={"database": settings.database.model_copy(update={"busy_timeout_ms": 200})}
    )
    one, other = Database(quick), Database(quick)
    with one.write() as session:
        next_number(session, "alert")
        with pytest.raises(Unavailable) as error, other.write() as second:
            next_number(second, "alert")
    assert error.value.retry_after_s == quick.ingest.retry_after_s
    one.close()
    other.close()


@pytest.mark.postgres
def test_whoever_reads_while_a_partition_is_made_misses_nothing(
    postgres_settings: Settings,
) -> None:
    """What lay in the catch-all is seen there or in the partition that it is moved to."""
    database = Database(postgres_settings)
    day = date(2031, 3, 4)
    with database.write() as session:
        for number in range(3):
            session.add(
                Evidence(sha256=f"{number:064}", received_on=day, size_bytes=1, width_px=1,
                         height_px=1, media_type="image/jpeg", received_at=NOW, agent_id="box")
            )  # fmt: skip
    seen: list[int] = []

    def look() -> None:
        with database.read() as session:
            seen.append(session.scalar(text("SELECT count(*) FROM evidence")) or 0)

    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND query LIKE '%FROM evidence' AND datname = current_database()"
    )
    with database.engine.connect() as maker, database.engine.connect() as watch:
        week = partitions.Days(day - timedelta(days=1), day + timedelta(days=6))
        partitions.make(maker, partitions.EVIDENCE, "evidence_p20310303", week)
        looking = threading.Thread(target=look)
        looking.start()
        until = time.monotonic() + 60
        while not watch.execute(waiting).scalar() and time.monotonic() < until:
            watch.rollback()
            time.sleep(0.01)
        maker.commit()
        looking.join(60)
    assert seen == [3]
    database.close()


@pytest.mark.postgres
def test_a_migration_waits_for_another_longer_than_for_any_lock(
    postgres_settings: Settings,
) -> None:
    """One that distributes, or changes a large table, takes more time than a lock may."""
    quick = {"busy_timeout_ms": 50, "statement_timeout_ms": 100}
    changed = {"database": postgres_settings.database.model_copy(update=quick)}
    one, other = Database(postgres_settings), Database(postgres_settings.model_copy(update=changed))
    migrated = threading.Event()

    def migrate() -> None:
        schema.upgrade(other.engine)
        migrated.set()

    with one.engine.connect() as connection, schema._alone(connection):
        second = threading.Thread(target=migrate)
        second.start()
        assert not migrated.wait(1)
    second.join(60)
    assert migrated.is_set()
    one.close()
    other.close()


def test_a_database_that_is_away_is_unavailable() -> None:
    url = "postgresql+psycopg2://kakou@127.0.0.1:1/none"
    database = Database(Settings(database={"url": url}))
    with pytest.raises(Unavailable), database.read() as session:
        session.execute(text("SELECT 1"))
    database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"database\.url"):
        Database(Settings(database={"url": url}))
