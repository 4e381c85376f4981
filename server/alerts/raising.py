"""Raising alerts, inside the transaction that stores the passage.

See :mod:`server.alerts.service` for why every change first takes a number of the ``alert`` counter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.alerts.states import AlertState
from server.db import next_number
from server.notices.channels import SOUND
from server.notices.queue import RAISED, queue_notices
from server.tables import Alert, AlertSighting, WatchlistEntry
from server.watchlists.matching import Target


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored passage that an entry looks for."""

    target: Target
    passage_id: UUID
    plate: str
    captured_at: datetime
    checkpoint_id: str
    camera_id: str
    explanation: Mapping[str, Any] = field(default_factory=dict)
    """Why, of what is not simply the plate: ``kind`` (``pattern``, ``fuzzy``, ``features``),
    ``wanted`` (the entry's text), ``score`` (0 to 1, of that reading as a whole) and
    ``differences``: ``place`` (in ``wanted``, from 0), ``read``, ``wanted``, ``score`` each."""


def raise_alerts(
    session: Session, hits: Sequence[Hit], *, now: datetime, delivery: str, repeat_s: float
) -> int:
    """Raise an alert for each hit, or add the sighting to the vehicle's alert at that place.

    Returns:
        How many alerts were newly raised.
    """
    raised = 0
    for hit in sorted(hits, key=lambda h: (h.captured_at, h.target.level, h.target.entry_id)):
        seq = next_number(session, "alert")
        alert = _open_alert(session, hit, timedelta(seconds=repeat_s), delivery)
        if alert is None:
            alert = Alert(
                id=seq,
                changed_seq=seq,
                entry_id=hit.target.entry_id,
                level=hit.target.level,
                plate=hit.plate,
                checkpoint_id=hit.checkpoint_id,
                camera_id=hit.camera_id,
                passage_id=hit.passage_id,
                captured_at=hit.captured_at,
                first_seen_at=hit.captured_at,
                last_seen_at=hit.captured_at,
                sightings=1,
                raised_at=now,
                delivery=delivery,
                state=AlertState.NEW.value,
                match=dict(hit.explanation),
            )
            session.add(alert)
            raised += 1
            if delivery == "live":
                _tell(session, alert, now)
        else:
            alert.changed_seq = seq
            alert.sightings += 1
            alert.first_seen_at = min(alert.first_seen_at, hit.captured_at)
            alert.last_seen_at = max(alert.last_seen_at, hit.captured_at)
        session.flush()
        session.add(
            AlertSighting(
                alert_id=alert.id,
                passage_id=hit.passage_id,
                captured_at=hit.captured_at,
                camera_id=hit.camera_id,
            )
        )
        session.flush()
    return raised


def _tell(session: Session, alert: Alert, now: datetime) -> None:
    """Have told whom the entry names, in this transaction: no alert without its notices."""
    entry = session.get_one(WatchlistEntry, alert.entry_id)
    if not entry.tell:
        return  # as most entries are: the wall, with its bell
    alert.silent = SOUND not in entry.tell
    session.flush()
    queue_notices(session, alert, entry, event=RAISED, channels=entry.tell, now=now)


def _open_alert(session: Session, hit: Hit, within: timedelta, delivery: str) -> Alert | None:
    """The alert this sighting belongs to: same entry and place, not closed, close in time.

    A live sighting never disappears in an alert that rang no bell.
    """
    query = (
        select(Alert)
        .where(
            Alert.entry_id == hit.target.entry_id,
            Alert.checkpoint_id == hit.checkpoint_id,
            Alert.last_seen_at >= hit.captured_at - within,
            Alert.first_seen_at <= hit.captured_at + within,
            Alert.state != AlertState.CLOSED.value,
        )
        .order_by(Alert.last_seen_at.desc())
        .limit(1)
    )
    if delivery == "live":
        query = query.where(Alert.delivery == "live")
    return session.scalar(query)
