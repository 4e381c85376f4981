"""Which of the pictures that passages name are here."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

_LATELY_DAYS = 1
_EVER = date(1, 1, 1)


def here(session: Session, wanted: set[str], now: datetime) -> set[str]:
    """Those of the named pictures that are stored.

    Pictures come just before their passage, so the partitions of today and yesterday are asked
    first, and the older ones only for what is not in them.
    """
    if not wanted:
        return set()
    lately = now.astimezone(UTC).date() - timedelta(days=_LATELY_DAYS)
    found = _found(session, wanted, lately)
    if len(found) < len(wanted):
        found |= _found(session, wanted - found, _EVER)
    return found


def _found(session: Session, wanted: set[str], since: date) -> set[str]:
    # past the expression compiler and the driver's lists, which take longer over thousands of
    # names than the database
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT sha256 FROM evidence WHERE sha256 IN (SELECT value FROM json_each(?)) "
            "AND received_on >= ?",
            (names_for(session, wanted), since.isoformat()),
        )
    else:
        # for thousands of names PostgreSQL would rather read a whole partition than its index:
        # ten times the work while the table is small, and a stand-still on the day it is not
        found = connection.exec_driver_sql(
            "SET LOCAL enable_seqscan = off; SELECT sha256 FROM evidence "
            "WHERE sha256 = ANY(CAST(%s AS varchar[])) AND received_on >= %s",
            ("{" + ",".join(sorted(wanted)) + "}", since.isoformat()),
        )
    return {name for (name,) in found}


def is_among(session: Session) -> str:
    """The condition that ``sha256`` is one of ``:names``, however many they are."""
    if session.get_bind().dialect.name == "sqlite":
        return "sha256 IN (SELECT value FROM json_each(:names))"
    return "sha256 = ANY(:names)"


def names_for(session: Session, names: Iterable[str]) -> object:
    """The value of ``:names`` in :func:`is_among`."""
    ordered = sorted(names)
    return json.dumps(ordered) if session.get_bind().dialect.name == "sqlite" else ordered


def lock_pictures(session: Session, names: Iterable[str]) -> None:
    """Until this transaction ends, nobody else stores or removes the bytes of these pictures.

    On SQLite a writing transaction is alone anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        keys = sorted(int(name[:15], 16) for name in names)
        session.execute(
            text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key"),
            {"keys": keys},
        )
