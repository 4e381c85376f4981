"""Migrations on a database that is in use: what was there stays, and passages go on coming in."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from alembic import command
from sqlalchemy import text

from server import schema
from server.db import BEGIN_WRITING, Database
from server.errors import Unavailable
from server.ingest.message import read_passage
from server.ingest.rows import Row, bare, key_of, row_of
from server.ingest.storing import store
from server.settings import Settings
from server.tables import Base
from tests.server.conftest import NOW, make_passage

BEFORE = "0003_passages"
"""The last revision without the watchlist's steps, the handling of alerts and what came after."""
LATER = NOW + timedelta(minutes=5)
ALERT_STATES = ("new", "signed", "closed")


def at_revision(settings: Settings, revision: str) -> Database:
    """A database as an older version left it, empty."""
    database = Database(settings)
    Base.metadata.drop_all(database.engine)
    with database.write() as session:
        session.execute(text("DROP TABLE alembic_version"))
        if not database.is_sqlite:
            session.execute(text("DROP FUNCTION refuse_change"))
    config = schema._config()
    with database.engine.execution_options(**BEGIN_WRITING).connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return database


def row(plate: str, captured_at: datetime) -> Row:
    message = read_passage(
        msgspec.Raw(json.dumps(make_passage(plate=plate, captured_at=captured_at)).encode())
    )
    assert message is not None
    return row_of(
        message, key_of(message), checkpoint_id="kk-west", agent_id="box", clock_flag="ok",
        delivery="live", received_at=captured_at,
    )  # fmt: skip


def insert(session: Any, table: str, **values: Any) -> None:
    if session.get_bind().dialect.name == "sqlite":
        values = {k: bare(v) if isinstance(v, datetime) else v for k, v in values.items()}
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)  # noqa: S608


def fill(database: Database) -> None:
    with database.write() as session:
        insert(session, "user_account", name="chief", password_hash="x", role="officer",
               badge_number="", unit="", display_name="", sees_everywhere=True,
               must_change_password=False, created_at=NOW)  # fmt: skip
        insert(session, "checkpoint", id="kk-west", name="西卡口", name_en="", lat=35.4, lon=116.5,
               road="", direction="", created_at=NOW)  # fmt: skip
        for number, state in enumerate(("active", "withdrawn"), 1):
            gone = {"withdrawn_at": LATER, "withdrawn_by": "chief", "withdrawn_reason": "found"}
            insert(session, "watchlist_entry", id=number, plate=f"鲁H0000{number}", reason="stolen",
                   level=1, case_number="A1", note="", valid_from=NOW, state=state, created_at=NOW,
                   created_by="chief", **(gone if state == "withdrawn" else {}))  # fmt: skip
        for number, state in enumerate(ALERT_STATES, 1):
            signed = {"signed_at": LATER, "signed_by": "chief"} if state != "new" else {}
            closed = (
                {"closed_at": LATER, "closed_by": "chief", "outcome": "caught"}
                if state == "closed"
                else {}
            )
            insert(session, "alert", id=number, changed_seq=number, entry_id=1, level=1,
                   plate="鲁H00001", checkpoint_id="kk-west", camera_id="west-1",
                   passage_id=uuid4().hex, captured_at=NOW, first_seen_at=NOW, last_seen_at=NOW,
                   sightings=1, raised_at=NOW, delivery="live", state=state,
                   **signed, **closed)  # fmt: skip
        store(session, [row(f"鲁H1{n:04}", NOW + timedelta(seconds=n)) for n in range(500)])


def test_a_filled_database_in_use_is_brought_up_to_date_and_loses_nothing(
    settings: Settings,
) -> None:
    """Rows of an older version keep their meaning; what is acknowledged meanwhile is there."""
    database = at_revision(settings, BEFORE)
    fill(database)
    done, begun = threading.Event(), threading.Event()
    acknowledged: list[str] = []

    def send() -> None:
        while not done.is_set():
            plate = f"鲁H2{len(acknowledged):04}"
            try:
                with database.write() as session:
                    store(session, [row(plate, datetime.now(UTC))])
            except Unavailable:  # the agent would come again
                continue
            acknowledged.append(plate)
            begun.set()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert begun.wait(60)
        schema.upgrade(database.engine)
        schema.upgrade(database.engine)
    finally:
        done.set()
        sender.join(60)
    schema.require_newest(database.engine)
    with database.read() as session:
        stored = set(session.scalars(text("SELECT plate FROM passage")))
        assert stored == {f"鲁H1{n:04}" for n in range(500)} | set(acknowledged)
        states = session.execute(text("SELECT id, state FROM watchlist_entry ORDER BY id")).all()
        assert [(*one,) for one in states] == [(1, "active"), (2, "withdrawn")]
        alerts = session.execute(text("SELECT id, state FROM alert ORDER BY id")).all()
        assert [(*one,) for one in alerts] == list(enumerate(ALERT_STATES, 1))
    database.close()
