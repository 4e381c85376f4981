"""Alerts that nobody signs in time rise to the level above (预警签收超时).

How far each should have risen is worked out from the time it was raised, so it does not matter who
looks, how often, or how long the server was down. Several servers may look at once: the number of
the change is taken first, and what another has done meanwhile is seen after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.orm import Session

from server import audit
from server.alerts.states import AlertState, rank_due
from server.db import Database, next_number
from server.notices.queue import RISEN, queue_notices
from server.settings import Settings
from server.tables import Alert, WatchlistEntry

SERVER = "server"
"""Who is named in the audit record: no person did it."""
AT_ONCE = 100
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Risen:
    """An alert that has risen to a level above."""

    alert_id: int
    level: int
    rank: int


def raise_overdue(database: Database, settings: Settings, now: datetime) -> Sequence[Risen]:
    """Let every alert that is overdue rise as far as it should have."""
    risen: list[Risen] = []
    while True:
        with database.read() as session:
            due = session.scalar(select(Alert.id).where(*_due(settings, now)).limit(1))
        if due is None:
            return risen
        with database.write() as session:
            some = _rise(session, settings, now)
        if not some:
            return risen
        risen += some


def count_overdue(database: Database, settings: Settings, now: datetime) -> int:
    """How many live alerts are overdue to be signed."""
    since = now - timedelta(seconds=settings.alerts.overdue_s)
    waiting = (
        select(func.count())
        .select_from(Alert)
        .where(
            Alert.state == AlertState.NEW.value, Alert.delivery == "live", Alert.raised_at <= since
        )
    )
    with database.read() as session:
        return session.scalar(waiting) or 0


def _rise(session: Session, settings: Settings, now: datetime) -> list[Risen]:
    risen = []
    seq = next_number(session, "alert")
    alerts = session.scalars(
        select(Alert).where(*_due(settings, now)).order_by(Alert.id).limit(AT_ONCE)
    ).all()
    for number, alert in enumerate(alerts):
        # each change has a number of its own; the first was taken for the lock
        alert.changed_seq = alert.risen_seq = seq if number == 0 else next_number(session, "alert")
        alert.rank = rank_due(
            alert.raised_at, now, settings.alerts.overdue_s, settings.alerts.highest_rank
        )
        session.flush()
        risen.append(Risen(alert.id, alert.level, alert.rank))
        _tell(session, alert, settings, now)
        audit.record(
            session,
            now=now,
            user_name=SERVER,
            address="",
            action="alert.escalate",
            detail={"alert": alert.id, "plate": alert.plate, "rank": alert.rank},
        )
    return risen


def _tell(session: Session, alert: Alert, settings: Settings, now: datetime) -> None:
    entry = session.get(WatchlistEntry, alert.entry_id)
    if entry is not None:
        channels = dict.fromkeys((*(entry.tell or ()), *settings.notices.overdue))
        queue_notices(session, alert, entry, event=RISEN, channels=channels, now=now)


def _due(settings: Settings, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """New, live, and below the rank that its age asks for."""
    step = timedelta(seconds=settings.alerts.overdue_s)
    ranks = range(settings.alerts.highest_rank)
    below = [(Alert.rank == rank) & (Alert.raised_at <= now - step * (rank + 1)) for rank in ranks]
    return (
        Alert.state == AlertState.NEW.value,
        Alert.delivery == "live",
        or_(false(), *below),
    )
