"""Packs as PostgreSQL copies them out: the documented form, and errors as of any other statement."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from server.db import Database
from server.errors import Unavailable
from server.packed.copying import Copied, copied, rows_of
from server.settings import Settings

DAYS = st.integers(-(2**31), 2**31 - 1)
ROWS = st.lists(
    st.builds(
        Copied, DAYS, DAYS, st.text(max_size=9), st.binary(max_size=40), st.binary(max_size=9)
    )
)


def _field(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _written(rows: list[Copied], *, looks: bool, more: bytes = b"") -> bytes:
    """As PostgreSQL's documentation has it: signature, flags, header extension, rows, -1."""
    lines = [
        struct.pack(">h", 4 + looks)
        + b"".join(_field(struct.pack(">i", day)) for day in (row.started, row.ended))
        + _field(row.plate.encode()) + _field(row.moments) + (_field(row.looks) if looks else b"")
        for row in rows
    ]  # fmt: skip
    head = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, len(more)) + more
    return head + b"".join(lines) + struct.pack(">h", -1)


@given(ROWS, st.booleans(), st.binary(max_size=5))
def test_what_is_read_is_what_was_copied(rows: list[Copied], looks: bool, more: bytes) -> None:
    wanted = rows if looks else [row._replace(looks=b"") for row in rows]
    assert list(rows_of(_written(rows, looks=looks, more=more))) == wanted


@given(ROWS, st.data())
def test_a_copy_cut_off_is_never_taken_for_a_short_one(
    rows: list[Copied], data: st.DataObject
) -> None:
    whole = _written(rows, looks=True)
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        found = list(rows_of(whole[:cut]))
    except (ValueError, struct.error):
        return
    pytest.fail(f"{len(found)} rows of {len(rows)}")


def test_a_form_that_is_not_known_is_refused() -> None:
    body = bytearray(_written([], looks=False))
    body[11:15] = struct.pack(">I", 1 << 16)
    with pytest.raises(ValueError, match="flags"):
        list(rows_of(bytes(body)))


@pytest.fixture
def database(postgres_settings: Settings) -> Database:
    return Database(postgres_settings)


def test_postgresql_copies_what_it_would_select(database: Database) -> None:
    query = "SELECT n - 2, %(ended)s, coalesce('鲁H' || nullif(n, 2), ''), decode(md5(n::text), 'hex') FROM generate_series(1, 3) n"
    with database.read() as session:
        rows = list(copied(session, query, {"ended": -(2**31)}))
        plain = session.execute(
            text("SELECT decode(md5(n::text), 'hex') FROM generate_series(1, 3) n")
        )
        assert rows == [
            Copied(n - 2, -(2**31), "" if n == 2 else f"鲁H{n}", bytes(moments), b"")
            for n, (moments,) in enumerate(plain, 1)
        ]


def test_a_copy_that_fails_fails_as_any_statement(database: Database) -> None:
    """Who waits too long, or loses the connection, is told so; the next one finds it working."""

    def ask(condition: str) -> list[str]:
        with database.read() as session:
            session.execute(text("SET LOCAL statement_timeout = 200"))
            query = f"SELECT 1, 2, 'x', ''::bytea WHERE {condition}"
            return [row.plate for row in copied(session, query, {})]

    for fails in ("pg_sleep(5) IS NOT NULL", "pg_terminate_backend(pg_backend_pid())"):
        with pytest.raises(Unavailable):
            ask(fails)
        assert ask("true") == ["x"]
