"""Raising alerts, inside the transaction that stores the passage.

See :mod:`server.alerts.service` for why every change first takes a number of the ``alert`` counter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from anpr.plate import distance
from anpr.watch import Match
from server.alerts.states import AlertState
from server.db import next_number
from server.notices.channels import SOUND
from server.notices.queue import RAISED, queue_notices
from server.tables import Alert, AlertSighting, WatchlistEntry

_SAME_PLATE = 0.5
"""Two reads no further apart (:func:`anpr.plate.distance`) may be one vehicle's."""
_BESIDE = timedelta(seconds=3)
"""Vehicles without a plate that two lanes see within this are one."""
_MANY = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored passage that an entry looks for."""

    match: Match
    passage_id: UUID
    plate: str
    captured_at: datetime
    checkpoint_id: str
    camera_id: str
    explanation: Mapping[str, Any] = field(default_factory=dict)
    """Why, of what is not simply the plate: ``kind`` (``exact``, ``fuzzy``, ``pattern``, ``description``),
    ``wanted`` (the entry's text), ``score`` (0 to 1, of that reading as a whole) and
    ``differences``: ``place`` (in ``wanted``, from 0), ``read``, ``wanted``, ``score`` each."""


def raise_alerts(
    session: Session, hits: Sequence[Hit], *, now: datetime, delivery: str, repeat_s: float
) -> int:
    """Raise an alert for each hit, or add the sighting to the vehicle's alert at that place.

    Returns:
        How many alerts were newly raised.
    """
    raised, within = 0, timedelta(seconds=repeat_s)
    for hit in sorted(hits, key=lambda h: (h.captured_at, h.match.level, h.match.entry_id)):
        seq = next_number(session, "alert")
        alert = _open_alert(session, hit, within, delivery)
        if alert is None:
            alert = Alert(
                id=seq,
                changed_seq=seq,
                entry_id=hit.match.entry_id,
                level=hit.match.level,
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
            alert.echo_of = _rung_already(session, alert, hit, within)
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
    """The alert this sighting belongs to: same entry, place and vehicle, open, close in time.

    Neighbouring lanes are one place. A live sighting never disappears in an alert that rang no
    bell.
    """
    query = select(Alert).where(Alert.entry_id == hit.match.entry_id, *_near(hit, within))
    if delivery == "live":
        query = query.where(Alert.delivery == "live")
    open_ones = session.scalars(query.order_by(Alert.last_seen_at.desc()).limit(_MANY))
    return next((alert for alert in open_ones if _is_same_vehicle(alert, hit)), None)


def _rung_already(session: Session, alert: Alert, hit: Hit, within: timedelta) -> int | None:
    """The alert whose bell rings for this vehicle here, by another entry; None if none does.

    It must be one that everybody sees, that nobody has signed yet and that is no less grave.
    """
    if alert.delivery != "live":
        return None
    ringing = session.scalars(
        select(Alert)
        .join(WatchlistEntry, WatchlistEntry.id == Alert.entry_id)
        .where(
            Alert.entry_id != alert.entry_id,
            Alert.delivery == "live",
            Alert.state == AlertState.NEW.value,
            Alert.echo_of.is_(None),
            Alert.level <= alert.level,
            WatchlistEntry.secret.is_(False),
            *_near(hit, within),
        )
        .order_by(Alert.id)
        .limit(_MANY)
    )
    return next((one.id for one in ringing if _looks_same(one, hit)), None)


def _near(hit: Hit, within: timedelta) -> tuple[ColumnElement[bool], ...]:
    return (
        Alert.checkpoint_id == hit.checkpoint_id,
        Alert.last_seen_at >= hit.captured_at - within,
        Alert.first_seen_at <= hit.captured_at + within,
        Alert.state != AlertState.CLOSED.value,
    )


def _is_same_vehicle(alert: Alert, hit: Hit) -> bool:
    """Whether a further hit of one entry is of one vehicle: a pattern may mean many."""
    return hit.match.kind in {"exact", "fuzzy"} or _looks_same(alert, hit)


def _looks_same(alert: Alert, hit: Hit) -> bool:
    """Whether a vehicle that was seen is that of an alert, by its plate; without one, by lanes."""
    if alert.plate and hit.plate:
        return alert.plate == hit.plate or distance(alert.plate, hit.plate) <= _SAME_PLATE
    beside = alert.camera_id != hit.camera_id
    return beside and abs(alert.captured_at - hit.captured_at) <= _BESIDE
