"""Which of the pictures that passages name are here."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from server.ingest.message import PassageMessage
from server.ingest.parse import Item

_LATELY_DAYS = 1
_EVER = date(1, 1, 1)


def here(session: Session, items: Iterable[Item], now: datetime) -> set[str]:
    """Those of the named pictures that are stored.

    Pictures come just before their passage, so the partitions of today and yesterday are asked
    first, and the older ones only for what is not in them.
    """
    wanted = {
        picture.sha256
        for item in items
        if isinstance(item, PassageMessage)
        for picture in item.evidence
    }
    if not wanted:
        return set()
    lately = now.astimezone(UTC).date() - timedelta(days=_LATELY_DAYS)
    found = _found(session, wanted, lately)
    if len(found) < len(wanted):
        found |= _found(session, wanted - found, _EVER)
    return found


def _found(session: Session, wanted: set[str], since: date) -> set[str]:
    # past the expression compiler, which takes longer over thousands of names than the database
    query = f"SELECT sha256 FROM evidence WHERE received_on >= :since AND {is_among(session)}"  # noqa: S608 - ours
    given = {"since": since.isoformat(), "names": names_for(session, wanted)}
    return set(session.scalars(text(query), given))


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
