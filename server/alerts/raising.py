"""Raising alerts, inside the transaction that stores the passage.

See :mod:`server.alerts.service` for why every change first takes a number of the ``alert`` counter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.alerts.states import AlertState
from server.db import next_number
from server.tables import Alert, AlertSighting
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
            )
            session.add(alert)
            raised += 1
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
