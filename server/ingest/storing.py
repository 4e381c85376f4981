"""Putting rows into ``passage``, each key once: COPY on PostgreSQL, one prepared INSERT on SQLite.

Repeats are rare, so rows are first stored as if there were none. If the key says otherwise, that
attempt alone is taken back (a savepoint), and the rows are stored again past those that are there.
"""

import io
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import psycopg2
from psycopg2.errors import CheckViolation, InternalError_, UniqueViolation
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from server.ingest.rows import COLUMNS, Key, Row, as_sqlite, bare, copy_lines

_COPY = f"COPY passage ({COLUMNS}) FROM STDIN"
_PLACES = f"({', '.join('?' * len(Row._fields))})"
_ROUTINGS = 3
"""How often a COPY is begun again because partitions were made meanwhile."""
_STATEMENTS = (100, 10, 1)
"""Rows in a statement; each is compiled once a connection."""
_KEYS_AT_ONCE = 5_000
"""Three parameters each, of the 32,766 that SQLite takes."""


def store(session: Session, rows: Sequence[Row]) -> set[Key]:
    """Insert what is not there yet and return the keys of what was: the repeats.

    In key order, so that two transactions with the same passages wait for each other instead of
    deadlocking. No key stands in ``rows`` twice.
    """
    if not rows:
        return set()
    rows = sorted(rows)  # a row begins with its key
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return _store(connection, rows, _insert, _insert_new)
    return _store(connection, rows, _copy, _copy_new)


def _store(
    connection: Connection,
    rows: Sequence[Row],
    all_of_them: Callable[[Connection, Sequence[Row]], None],
    the_new_ones: Callable[[Connection, Sequence[Row]], set[Key]],
) -> set[Key]:
    for _ in range(_ROUTINGS):
        try:
            with connection.begin_nested():
                all_of_them(connection, rows)
        except IntegrityError:
            break
        except _RoutedElsewhereError:
            continue
        return set()
    return {row.key for row in rows} - the_new_ones(connection, rows)


class _RoutedElsewhereError(Exception):
    """A row was on its way into the catch-all while a partition was made for it."""


def _driver(connection: Connection) -> Any:
    """The driver's own connection, of the transaction that is under way."""
    return connection.connection.driver_connection


# ---- PostgreSQL


def _copy(connection: Connection, rows: Sequence[Row]) -> None:
    _copy_into(connection, _COPY, rows)


def _copy_new(connection: Connection, rows: Sequence[Row]) -> set[Key]:
    """By way of a table of our own, as COPY knows no ON CONFLICT."""
    connection.exec_driver_sql(
        "CREATE TEMP TABLE IF NOT EXISTS arriving (LIKE passage) ON COMMIT DELETE ROWS"
    )
    connection.exec_driver_sql("DELETE FROM arriving")
    _copy_into(connection, _COPY.replace("COPY passage", "COPY arriving"), rows)
    stored = connection.exec_driver_sql(
        f"INSERT INTO passage ({COLUMNS}) SELECT {COLUMNS} FROM arriving "  # noqa: S608 - names of ours
        "ORDER BY plate, captured_at, passage_id "
        "ON CONFLICT DO NOTHING RETURNING plate, captured_at, passage_id"
    )
    by_text = {(row.plate, row.captured_at, str(row.passage_id)): row.key for row in rows}
    return {by_text[plate, at, str(passage_id)] for plate, at, passage_id in stored}


def _copy_into(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    lines = copy_lines(rows).encode()
    driver = _driver(connection)
    try:
        with driver.cursor() as cursor:
            # in one piece: after each the thread has to queue for the interpreter again
            cursor.copy_expert(statement, io.BytesIO(lines), size=len(lines) + 1)
    except CheckViolation:
        raise _RoutedElsewhereError from None
    except psycopg2.Error as error:
        # what the database says in detail shows the row, and errors are logged
        said = Exception(error.diag.message_primary or type(error).__name__)
        # Citus passes on what a worker says of a repeat as an internal error without its code; if
        # it is something else, storing past the repeats fails by it, too
        if isinstance(error, UniqueViolation | InternalError_):
            raise IntegrityError(statement, {}, said) from None
        if driver.closed or isinstance(error, psycopg2.OperationalError):
            raise OperationalError(statement, {}, said) from None
        raise DatabaseError(statement, {}, said) from None


# ---- SQLite


def _insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Many rows a statement: after each the thread has to queue for the interpreter again."""
    cursor = _driver(connection).cursor()
    start = 0
    try:
        for size in _STATEMENTS:
            statement = _insert_of(size)
            while len(rows) - start >= size:
                some = map(as_sqlite, rows[start : start + size])
                cursor.execute(statement, tuple(chain.from_iterable(some)))
                start += size
    except sqlite3.IntegrityError as error:
        raise IntegrityError(_insert_of(1), {}, error) from None
    except sqlite3.OperationalError as error:
        raise OperationalError(_insert_of(1), {}, error) from None


@cache
def _insert_of(size: int) -> str:
    return f"INSERT INTO passage ({COLUMNS}) VALUES {', '.join([_PLACES] * size)}"  # noqa: S608 - names of ours


def _insert_new(connection: Connection, rows: Sequence[Row]) -> set[Key]:
    """The transaction holds the write lock: what is not there now will not come meanwhile."""
    there: set[tuple[str, str, str]] = set()
    for start in range(0, len(rows), _KEYS_AT_ONCE):
        part = rows[start : start + _KEYS_AT_ONCE]
        values = ", ".join(["(?, ?, ?)"] * len(part))
        found = connection.exec_driver_sql(
            "SELECT plate, captured_at, passage_id FROM passage "  # noqa: S608 - question marks only
            f"WHERE (plate, captured_at, passage_id) IN (VALUES {values})",
            tuple(part_of for row in part for part_of in _as_stored(row)),
        )
        there.update((*row,) for row in found)
    new = [row for row in rows if _as_stored(row) not in there]
    _insert(connection, new)
    return {row.key for row in new}


def _as_stored(row: Row) -> tuple[str, str, str]:
    return row.plate, bare(row.captured_at), row.passage_id.hex
