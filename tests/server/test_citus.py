"""Distributed over a Citus cluster: run against a coordinator that KAKOU_TEST_CITUS names.

``KAKOU_TEST_CITUS=postgresql+psycopg2://user@coordinator/empty_database`` with the extension
created and workers added; the tables of that database are dropped. Elsewhere only the refusals
are tested.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from server import citus, partitions, schema
from server.db import Database
from server.errors import SchemaError
from server.settings import Settings
from server.settings_storage import PartitionSettings
from tests.server.conftest import NOW, Site, SteppingClock, make_passage, prepare, serving

DSN = os.environ.get("KAKOU_TEST_CITUS", "")
on_citus = pytest.mark.skipif(
    not DSN, reason="needs a Citus coordinator: set KAKOU_TEST_CITUS to its address"
)


def test_without_citus_it_is_said_what_to_do(settings: Settings) -> None:
    database = Database(settings)
    with database.engine.connect() as connection, pytest.raises(SchemaError) as error:
        citus.require(connection)
    assert "database.distributed" in str(error.value)
    if not database.is_sqlite:
        assert "CREATE EXTENSION citus" in str(error.value)
    with database.engine.connect() as connection:
        assert citus.is_distributed(connection, "passage") is False
    database.close()


@pytest.fixture
def citus_site(tmp_path: Path) -> Iterator[Site]:
    settings = Settings(
        data_dir=tmp_path / "server",
        database={"url": DSN, "distributed": "citus", "shards": 8},
    )
    admin = create_engine(DSN, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).scalars().all():  # fmt: skip
            connection.execute(text(f'DROP TABLE IF EXISTS "{name}" CASCADE'))
        connection.execute(text("DROP FUNCTION IF EXISTS refuse_change CASCADE"))
    admin.dispose()
    prepare(settings)
    database = Database(settings)
    schema.distribute(database.engine, settings.database)
    database.close()
    with serving(settings, SteppingClock()) as site:
        yield site


@on_citus
def test_passages_are_distributed_by_plate_with_partitions_inside(citus_site: Site) -> None:
    engine = citus_site.context.database.engine
    partitions.keep_up(engine, PartitionSettings(width_days=7, ahead_days=7), NOW)
    with engine.connect() as connection:
        assert citus.is_distributed(connection, "passage")
        assert citus.is_distributed(connection, "checkpoint")
        shards = connection.execute(
            text("SELECT count(*) FROM citus_shards WHERE table_name = 'passage'::regclass")
        ).scalar_one()
        assert shards == 8
        mode = connection.execute(text("SHOW citus.multi_shard_modify_mode")).scalar_one()
        assert mode == "sequential"


@on_citus
def test_ingest_repeats_alerts_and_searches_work_as_on_one_machine(citus_site: Site) -> None:
    site = citus_site
    officer = site.as_role("officer")
    officer.watch("鲁A00007")
    passages = [
        make_passage(plate=f"鲁A{n:05}", captured_at=NOW - timedelta(minutes=n)) for n in range(50)
    ]
    assert site.outcomes(*passages) == ["accepted"] * 50
    assert site.outcomes(*passages, make_passage()) == [*["duplicate"] * 50, "accepted"]
    (alert,) = site.as_role("operator").alerts()
    assert alert["plate"] == "鲁A00007"
    why = {"purpose": "criminal_case", "case_number": "A1"}
    found = officer.get("/api/v1/passages", plate="鲁A00007", **why).json()["passages"]
    assert [p["plate"] for p in found] == ["鲁A00007"]
    assert officer.get("/api/v1/trajectories/鲁A00007", **why).status_code == 200
    assert len(officer.get("/api/v1/passages").json()["passages"]) == 50


def require_companions(site: Site) -> None:
    site.post(
        make_passage(plate="鲁A00001"),
        make_passage(plate="鲁A00002", captured_at=NOW + timedelta(seconds=20)),
        make_passage(plate="鲁A00003", captured_at=NOW + timedelta(minutes=20)),
    )
    given = {
        "plate": "鲁A00001",
        "since": NOW - timedelta(hours=1),
        "until": NOW + timedelta(hours=1),
        "near_s": 60,
        "least": 1,
    }
    with site.context.database.read() as session:
        rows = session.execute(text(citus.COMPANIONS), given).all()
    assert [(row.plate, row.places) for row in rows] == [("鲁A00002", 1)]


@on_citus
def test_companions_are_found_in_the_form_that_citus_accepts(citus_site: Site) -> None:
    require_companions(citus_site)


@pytest.mark.postgres
def test_the_same_statement_finds_companions_on_one_postgresql(postgres_settings: Settings) -> None:
    with serving(postgres_settings, SteppingClock()) as site:
        require_companions(site)


@on_citus
def test_migrating_again_changes_nothing(citus_site: Site) -> None:
    database = citus_site.context.database
    schema.upgrade(database.engine)
    assert schema.distribute(database.engine, citus_site.settings.database) == []
