"""What is particular to a Citus cluster; run against the coordinator that KAKOU_TEST_CITUS names.

See :mod:`tests.server.cluster`: with it, everything that is tested on each engine is tested there,
too. Elsewhere only the refusals are tested.
"""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from server import citus, partitions, schema
from server.alerts.service import list_alerts
from server.auth.sight import Sight
from server.db import Database
from server.errors import SchemaError
from server.partitions import missing
from server.settings import Settings
from server.settings_storage import DatabaseSettings, PartitionSettings
from tests.server import cluster
from tests.server.conftest import NOW, Site, SteppingClock, make_passage, prepare, serving

on_citus = pytest.mark.skipif(
    not cluster.DSN, reason="needs a Citus coordinator: set KAKOU_TEST_CITUS to its address"
)


@pytest.mark.parametrize(
    "settings",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
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
    schema.require_placed(database.engine, settings.database)
    with pytest.raises(SchemaError, match="passage"):
        schema.require_placed(database.engine, DatabaseSettings(distributed="citus"))
    database.close()


@pytest.fixture
def citus_site(tmp_path: Path) -> Iterator[Site]:
    """Distributed from the start by ``migrate``'s own way, not given back from a copy."""
    settings = cluster.settings_of(tmp_path / "server", shards=8)
    cluster.drop_all()
    prepare(settings)
    database = Database(settings)
    schema.distribute(database.engine, settings.database)
    database.close()
    with serving(settings, SteppingClock()) as site:
        yield site
    cluster.drop_all()


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


@on_citus
def test_a_cluster_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Tables that came later refer to some that Citus knows by now, and holds go to the workers."""
    cluster.drop_all()
    settings = cluster.settings_of(tmp_path / "server")
    database = Database(settings)
    with database.engine.connect() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0004_watchlist")
    with database.engine.begin() as connection:
        connection.execute(text(f"SET LOCAL {citus.SEQUENTIAL}"))
        connection.execute(text("SELECT create_reference_table('checkpoint')"))
        connection.execute(text("SELECT create_distributed_table('passage', 'plate')"))
    schema.upgrade(database.engine)
    schema.require_newest(database.engine)
    with pytest.raises(SchemaError, match="passage_hold: run"):
        schema.require_placed(database.engine, settings.database)
    assert schema.distribute(database.engine, settings.database) == ["passage_hold"]
    schema.require_placed(database.engine, settings.database)
    with pytest.raises(SchemaError, match="distributed = "):
        schema.require_placed(database.engine, DatabaseSettings(url=cluster.DSN))
    database.close()
    cluster.drop_all()


@on_citus
def test_rows_that_are_there_already_go_to_the_workers_and_nothing_stays(tmp_path: Path) -> None:
    cluster.drop_all()
    settings = cluster.settings_of(tmp_path / "server")
    alone = settings.model_copy(update={"database": DatabaseSettings(url=cluster.DSN)})
    prepare(alone)
    with serving(alone, SteppingClock()) as site:
        assert (
            site.outcomes(*(make_passage(plate=f"鲁A{n:05}") for n in range(9))) == ["accepted"] * 9
        )
        site.as_role("officer").watch("鲁A00007")
        site.post(make_passage(plate="鲁A00007"))
    database = Database(settings)
    schema.distribute(database.engine, settings.database)
    partitions.keep_up(database.engine, settings.partitions, NOW)
    assert missing_of(database, settings) == []
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM passage")) == 10
        assert session.scalar(text("SELECT count(*) FROM passage_hold")) == 1
        assert session.scalar(text("SELECT count(*) FROM passage_default")) == 0
    database.close()
    cluster.drop_all()


def missing_of(database: Database, settings: Settings) -> list[partitions.Days]:
    """Days for which there should be a partition, and is none."""
    rules = settings.partitions
    with database.engine.connect() as connection:
        there = [part.days for part in partitions.existing(connection, partitions.PASSAGE)]
    return missing(there, partitions.days_ahead(NOW, rules), rules.width_days)


@on_citus
def test_nobody_who_searches_is_in_the_way_of_partitions_that_are_made(citus_site: Site) -> None:
    """Both take locks on the table and on what it consists of, and in the same order."""
    database, done, failed = citus_site.context.database, threading.Event(), []

    def search() -> None:
        while not done.is_set():
            try:
                with database.read() as session:
                    session.execute(text("SELECT * FROM passage WHERE plate = '鲁A00001'")).all()
            except Exception as error:  # noqa: BLE001 - counted
                failed.append(error)

    searching = [threading.Thread(target=search) for _ in range(3)]
    for thread in searching:
        thread.start()
    rules = PartitionSettings(width_days=1, ahead_days=10)
    for _ in range(5):
        partitions.keep_up(database.engine, rules, NOW)
    done.set()
    for thread in searching:
        thread.join(60)
    assert failed == []
    partitions.keep_up(database.engine, rules, NOW)  # what was put off, for somebody was reading
    with database.engine.connect() as connection:
        there = [part.days for part in partitions.existing(connection, partitions.PASSAGE)]
    assert not missing(there, partitions.days_ahead(NOW, rules), rules.width_days)


@on_citus
def test_no_passages_are_fetched_for_an_alert_but_its_own(
    citus_site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A join of alerts with passages would bring all of them to the coordinator."""
    officer = citus_site.as_role("officer")
    officer.watch("鲁A00007")
    citus_site.post(make_passage(plate="鲁A00007"))
    with citus_site.context.database.read() as session:
        session.execute(text("SET LOCAL client_min_messages = debug2"))
        with caplog.at_level(logging.INFO, "sqlalchemy.dialects.postgresql"):
            (alert,) = list_alerts(session, Sight("operator", None, frozenset(), None)).alerts
    assert alert.plate_kind == "small"
    said = caplog.messages
    assert said, "nothing was said of how it was done"
    assert not [line for line in said if "subplan" in line and "passage" in line]
