"""Backup and restore as docs/operations.md has it: what was backed up is what is restored."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from server import audit, partitions, schema
from server.db import Database
from server.ingest.evidence_store import EvidenceStore
from server.scrub import scrub
from server.settings import Settings
from tests.server import cluster
from tests.server.conftest import (
    NOW,
    PURPOSE,
    SteppingClock,
    _postgres_binaries,
    jpeg,
    make_passage,
    prepare,
    serving,
    sha256,
)
from tests.server.test_citus import on_citus


def fill(settings: Settings) -> None:
    with serving(settings, SteppingClock()) as site:
        officer = site.as_role("officer")
        officer.watch("鲁H12345")
        data = jpeg("scene")
        site.put(data)
        assert (
            site.outcomes(make_passage(pictures=[data]), make_passage(plate="鲁A00001"))
            == ["accepted"] * 2
        )
        officer.get("/api/v1/passages", plate="鲁H12345", **PURPOSE)


def require_whole(settings: Settings) -> None:
    database = Database(settings)
    schema.require_newest(database.engine)
    store = EvidenceStore(settings.evidence_dir)
    assert scrub(database, store, NOW).is_well
    with database.read() as session:
        assert list(audit.verify(session)) == []
        counts = [
            session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
            for table in ("passage", "alert", "evidence", "passage_hold")
        ]
    assert counts == [2, 1, 1, 1]
    database.close()
    with serving(settings, SteppingClock()) as site:
        assert site.outcomes(make_passage(plate="鲁A00002")) == ["accepted"]
        found = site.as_role("officer").get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
        (passage,) = found.json()["passages"]
        assert passage["evidence"][0]["sha256"] == sha256(jpeg("scene"))


def test_sqlite_is_backed_up_while_it_is_written_to(
    sqlite_settings: Settings, tmp_path: Path
) -> None:
    fill(sqlite_settings)
    copy = tmp_path / "restored"
    copy.mkdir()
    database = Database(sqlite_settings)
    with (
        sqlite3.connect(sqlite_settings.data_dir / "kakou.sqlite3") as source,
        sqlite3.connect(copy / "kakou.sqlite3") as target,
        database.write() as session,
    ):
        session.execute(text("UPDATE counter SET value = value + 0"))  # a writer is under way
        source.backup(target)  # what the shell's .backup does
    source.close()
    target.close()
    database.close()
    shutil.copytree(sqlite_settings.evidence_dir, copy / "evidence")
    shutil.rmtree(sqlite_settings.data_dir)
    require_whole(Settings(data_dir=copy))


def run(program: str, *args: str | Path) -> None:
    done = subprocess.run(
        [_postgres_binaries() / program, *args], capture_output=True, text=True, check=False,
        env=os.environ | {"PGUSER": "kakou"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.postgres
def test_postgresql_is_restored_from_a_dump(postgres_settings: Settings, tmp_path: Path) -> None:
    fill(postgres_settings)
    url = postgres_settings.database.url.replace("+psycopg2", "")
    dump = tmp_path / "kakou.dump"
    restored = f"{url.rpartition('/')[2]}_restored"
    base = url.rpartition("/")[0]
    run("pg_dump", "--format=custom", "--file", dump, url)
    run("createdb", "--maintenance-db", f"{base}/postgres", restored)
    try:
        run("pg_restore", "--exit-on-error", "--dbname", f"{base}/{restored}", dump)
        there = postgres_settings.database.url.rpartition("/")[0]
        require_whole(
            Settings(data_dir=postgres_settings.data_dir, database={"url": f"{there}/{restored}"})
        )
    finally:
        run("dropdb", "--force", "--maintenance-db", f"{base}/postgres", restored)


@on_citus
def test_a_cluster_is_restored_from_a_dump_of_its_coordinator(tmp_path: Path) -> None:
    """Into a database that is prepared on each node as for a new one; ``migrate`` distributes."""
    cluster.drop_all()
    settings, dump = cluster.settings_of(tmp_path / "server"), tmp_path / "kakou.dump"
    prepare(settings)
    with closing(Database(settings)) as database:
        schema.distribute(database.engine, settings.database)
        with database.read() as session:
            nodes = session.execute(
                text("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid > 0")
            ).all()
    fill(settings)
    url = make_url(cluster.DSN).set(drivername="postgresql")
    restored = url.set(database=f"{url.database}_restored")
    run("pg_dump", "--format=custom", "--file", dump, as_text(url))
    everywhere = [restored, *(restored.set(host=host, port=port) for host, port in nodes)]
    try:
        for node in everywhere:
            at = as_text(node.set(database="postgres"))
            run("createdb", "--maintenance-db", at, str(node.database))
            run("psql", "--command", "CREATE EXTENSION citus", as_text(node))
        joined = [f"SELECT citus_set_coordinator_host('{url.host}', {url.port or 5432})"]
        joined += [f"SELECT citus_add_node('{host}', {port})" for host, port in nodes]
        for statement in joined:
            run("psql", "--command", statement, as_text(restored))
        run("pg_restore", "--exit-on-error", "--dbname", as_text(restored), dump)
        there = restored.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
        again = settings.model_copy(
            update={"database": settings.database.model_copy(update={"url": there})}
        )
        with closing(Database(again)) as database:
            schema.distribute(database.engine, again.database)
            partitions.keep_up(database.engine, again.partitions, NOW)
            schema.require_placed(database.engine, again.database)
        require_whole(again)
    finally:
        for node in everywhere:
            at = as_text(node.set(database="postgres"))
            run("dropdb", "--force", "--if-exists", "--maintenance-db", at, str(node.database))
        cluster.drop_all()


def as_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
