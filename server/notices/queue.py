"""The queue: notices put in, claimed by a sender, settled, and the dead ones put in again.

A notice that is being sent is claimed for some time by moving ``due_at`` ahead; a sender that dies
leaves it to be claimed again when that time is over. So none is lost, and a receiver may see one
twice, under the same identifier.
"""

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server import audit
from server.auth.accounts import Account
from server.errors import Conflict, InvalidRequest, NotFound
from server.notices.channels import AT_THE_WALL, Channel, parse_channel
from server.protection import protected_plates
from server.settings_notices import NoticeSettings
from server.tables import Alert, Checkpoint, Notice, WatchlistEntry

_log = logging.getLogger(__name__)

RAISED = "alert.raised"
RISEN = "alert.escalated"
AT_ONCE = 20
_LONGEST_FAULT = 300


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice that this sender is to send."""

    id: int
    event: str
    channel: str
    receiver: str
    body: Mapping[str, Any]
    tries: int
    """Of which this is the last."""
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of sending: nothing said means it was taken."""

    fault: str = ""
    final: bool = False
    """Whether trying again cannot help: the receiver refused it, or there is none."""


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice as listed."""

    id: int
    alert_id: int
    event: str
    channel: str
    receiver: str
    state: str
    tries: int
    queued_at: datetime
    due_at: datetime
    settled_at: datetime | None
    fault: str | None


def queue_notices(  # noqa: PLR0913 - of which alert, what happened, to whom
    session: Session,
    alert: Alert,
    entry: WatchlistEntry,
    *,
    event: str,
    channels: Iterable[str],
    now: datetime,
) -> int:
    """Queue a notice per channel, in the transaction of what it tells of; how many there were.

    Nothing leaves this server about a protected plate (红名单).
    """
    told = [channel for text in channels if (channel := _channel(alert, text))]
    if not told or alert.plate in protected_plates(session):
        return 0
    body = _body(alert, entry, session.get(Checkpoint, alert.checkpoint_id), event)
    for channel in told:
        session.add(
            Notice(
                alert_id=alert.id,
                event=event,
                channel=channel.kind,
                receiver=channel.to,
                body=body,
                state="waiting",
                tries=0,
                due_at=now,
                queued_at=now,
            )
        )
    session.flush()
    return len(told)


def _channel(alert: Alert, text: str) -> Channel | None:
    """The channel to send on; None for the wall, and for what an older version let in.

    A list that is wrong must not keep a passage from being stored; its alert is on the wall.
    """
    try:
        channel = parse_channel(text)
    except InvalidRequest:
        _log.error("entry %d names %r, which is no way to tell anybody", alert.entry_id, text[:40])
        return None
    return None if channel.kind in AT_THE_WALL else channel


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to send now: a look that takes no lock."""
    due = select(Notice.id).where(Notice.state == "waiting", Notice.due_at <= now).limit(1)
    return session.scalar(due) is not None


def claim(session: Session, now: datetime, claim_s: float) -> Sequence[Claimed]:
    """Take what is due, for so long."""
    rows = session.scalars(
        select(Notice)
        .where(Notice.state == "waiting", Notice.due_at <= now)
        .order_by(Notice.due_at, Notice.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.tries += 1
        row.due_at = now + timedelta(seconds=claim_s)
    session.flush()
    return [
        Claimed(row.id, row.event, row.channel, row.receiver, row.body, row.tries, row.queued_at)
        for row in rows
    ]


def settle(
    session: Session, claimed: Claimed, delivery: Delivery, now: datetime, settings: NoticeSettings
) -> str:
    """Write down what came of a try; gives the state that follows."""
    row = session.get(Notice, claimed.id, with_for_update=True)
    if row is None or row.state != "waiting":
        return "" if row is None else row.state
    row.fault = delivery.fault[:_LONGEST_FAULT] or None
    if not delivery.fault:
        row.state, row.settled_at = "sent", now
    elif delivery.final or claimed.tries >= settings.tries:
        row.state, row.settled_at = "dead", now
    else:
        pause_s = retry_pause_s(claimed.tries, settings, random.random())  # noqa: S311 - jitter
        row.due_at = now + timedelta(seconds=pause_s)
    session.flush()
    return row.state


def retry_pause_s(tries: int, settings: NoticeSettings, chance: float) -> float:
    """How long to wait after ``tries`` failures: doubled each time, and up to a quarter less.

    ``chance`` in [0, 1) spreads the senders, so that a receiver that comes back is not overrun.
    """
    whole_s = min(settings.longest_retry_s, settings.first_retry_s * 2.0 ** min(tries - 1, 30))
    return whole_s * (1.0 - 0.25 * chance)


def list_notices(
    session: Session, state: str, *, limit: int = 200, before_id: int | None = None
) -> tuple[NoticeView, ...]:
    """Notices of a state, newest first."""
    query = select(Notice).where(Notice.state == state).order_by(Notice.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Notice.id < before_id)
    return tuple(_view(row) for row in session.scalars(query))


def count_notices(session: Session) -> Mapping[str, int]:
    """How many wait, and how many are dead."""
    rows = session.execute(
        select(Notice.state, func.count())
        .where(Notice.state.in_(("waiting", "dead")))
        .group_by(Notice.state)
    ).all()
    return {"waiting": 0, "dead": 0} | dict(rows)


def requeue(
    session: Session, notice_id: int, *, account: Account, address: str, now: datetime
) -> NoticeView:
    """Send a dead letter again.

    Raises:
        NotFound: no such notice.
        Conflict: it is not dead.
    """
    row = session.get(Notice, notice_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no notice {notice_id}")
    if row.state != "dead":
        raise Conflict(f"notice {notice_id} is {row.state}")
    row.state, row.tries, row.due_at, row.settled_at = "waiting", 0, now, None
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="notice.requeue",
        detail={
            "notice": row.id,
            "alert": row.alert_id,
            "channel": row.channel,
            "receiver": row.receiver,
        },
    )
    return _view(row)


def _view(row: Notice) -> NoticeView:
    return NoticeView(
        id=row.id,
        alert_id=row.alert_id,
        event=row.event,
        channel=row.channel,
        receiver=row.receiver,
        state=row.state,
        tries=row.tries,
        queued_at=row.queued_at,
        due_at=row.due_at,
        settled_at=row.settled_at,
        fault=row.fault,
    )


def _body(
    alert: Alert, entry: WatchlistEntry, place: Checkpoint | None, event: str
) -> dict[str, Any]:
    return {
        "type": event,
        "alert": {
            "id": alert.id,
            "level": alert.level,
            "rank": alert.rank,
            "plate": alert.plate,
            "match": alert.match,
            "captured_at": _iso(alert.captured_at),
            "raised_at": _iso(alert.raised_at),
        },
        "entry": {
            "id": entry.id,
            "plate": entry.plate,
            "reason": entry.reason,
            "case_number": entry.case_number,
        },
        "checkpoint": {
            "id": alert.checkpoint_id,
            "name": place.name if place else alert.checkpoint_id,
            "lat": place.lat if place else None,
            "lon": place.lon if place else None,
        },
    }


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
