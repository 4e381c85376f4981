"""Which of the pictures that passages name are here."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.ingest.message import PassageMessage
from server.ingest.parse import Item
from server.tables import Evidence

_LATELY_DAYS = 1
_AT_ONCE = 5_000


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
        found |= _found(session, wanted - found, None)
    return found


def _found(session: Session, wanted: set[str], since: date | None) -> set[str]:
    names = sorted(wanted)
    found: set[str] = set()
    for start in range(0, len(names), _AT_ONCE):
        query = select(Evidence.sha256).where(Evidence.sha256.in_(names[start : start + _AT_ONCE]))
        if since is not None:
            query = query.where(Evidence.received_on >= since)
        found.update(session.scalars(query))
    return found
