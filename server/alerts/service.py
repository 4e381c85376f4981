"""Alerts as people have them: listed, counted, signed and closed.

Whatever raises or changes an alert first takes the next number of the ``alert`` counter. That
lock makes the changes of all processes follow one another, so that ``changed_seq`` grows in
commit order (the stream relies on it), two cameras of one checkpoint never raise two alerts for
one vehicle, and two operators never both sign.
"""

from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, select
from sqlalchemy.orm import Session

from server import audit
from server.alerts.states import AlertState, AlertStep, StepNotPossibleError, after_step
from server.auth.accounts import Account
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace, places
from server.db import next_number
from server.errors import Conflict, InvalidRequest, NotFound
from server.passages.pictures import EvidenceView, evidence_views
from server.tables import Alert, Counter, Passage, WatchlistEntry


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert as shown: the entry that was hit, the passage that hit it, who answers for it."""

    id: int
    changed_seq: int
    state: AlertState
    level: int
    plate: str
    reason: str
    case_number: str
    note: str
    entry_id: int
    checkpoint: CheckpointPlace
    camera_id: str
    passage_id: UUID
    captured_at: datetime
    plate_color: str
    plate_kind: str
    plate_score: float
    direction: str
    lane: int | None
    evidence: tuple[EvidenceView, ...]
    first_seen_at: datetime
    last_seen_at: datetime
    sightings: int
    raised_at: datetime
    delivery: str
    rings: bool
    """Whether the wall should sound it: raised from live passages and not signed yet."""
    signed_at: datetime | None
    signed_by: str | None
    badge_number: str | None
    unit: str | None
    closed_at: datetime | None
    closed_by: str | None
    outcome: str | None

    def picture(self, role: str) -> EvidenceView | None:
        """The first picture with that role (``scene``, ``vehicle``, ``plate``), or None."""
        return next((picture for picture in self.evidence if picture.role == role), None)


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Alerts newest first, and the number from which the stream goes on without a gap."""

    alerts: tuple[AlertView, ...]
    cursor: int


@dataclass(frozen=True, slots=True)
class AlertCounts:
    """How many alerts stand where; ``overdue`` are new ones older than the limit asked for."""

    new: int
    new_by_level: Mapping[int, int]
    """For each of the levels 1 to 4."""
    signed: int
    closed: int
    overdue: int


def list_alerts(  # noqa: PLR0913 - whose eyes, which, how many, in what order
    session: Session,
    sight: Sight,
    *,
    states: Sequence[AlertState] = (),
    limit: int = 100,
    before_id: int | None = None,
    gravest_first: bool = False,
) -> AlertPage:
    """Alerts newest first, or by level and newest first within it; ``before_id`` continues a page.

    The cursor is read first: what is raised while the list is read may come twice, never not.
    """
    cursor = latest_seq(session)
    by_level = (Alert.level,) if gravest_first else ()
    query = _joined(sight).order_by(*by_level, Alert.id.desc()).limit(limit)
    if states:
        query = query.where(Alert.state.in_([state.value for state in states]))
    if before_id is not None:
        query = query.where(Alert.id < before_id)
    return AlertPage(_views(session, query), cursor)


def count_alerts(
    session: Session, sight: Sight, now: datetime, overdue_s: float = 120.0
) -> AlertCounts:
    """Count alerts by state; overdue are live ones unsigned for longer than ``overdue_s``."""
    rows = session.execute(
        select(Alert.state, Alert.level, func.count().label("alerts"))
        .where(*sight.conditions(Alert))
        .group_by(Alert.state, Alert.level)
    ).all()
    by_state: Counted[str] = Counted()
    new_by_level = dict.fromkeys((1, 2, 3, 4), 0)
    for row in rows:
        by_state[row.state] += row.alerts
        if row.state == AlertState.NEW.value:
            new_by_level[row.level] = row.alerts
    overdue = session.scalar(
        select(func.count())
        .select_from(Alert)
        .where(
            Alert.state == AlertState.NEW.value,
            Alert.delivery == "live",
            Alert.raised_at < now - timedelta(seconds=overdue_s),
            *sight.conditions(Alert),
        )
    )
    return AlertCounts(
        new=by_state["new"],
        new_by_level=new_by_level,
        signed=by_state["signed"],
        closed=by_state["closed"],
        overdue=overdue or 0,
    )


def get_alert(session: Session, alert_id: int, sight: Sight) -> AlertView:
    """One alert.

    Raises:
        NotFound: no such alert, or none that he may see.
    """
    found = _views(session, _joined(sight).where(Alert.id == alert_id))
    if not found:
        raise NotFound(f"no alert {alert_id}")
    return found[0]


def latest_seq(session: Session) -> int:
    """The number of the latest change of any alert."""
    return session.execute(select(Counter.value).where(Counter.name == "alert")).scalar_one()


def changed_after(
    session: Session, seq: int, sight: Sight, limit: int = 200
) -> tuple[AlertView, ...]:
    """Alerts raised or changed after a number, in the order of their changes."""
    return _views(
        session,
        _joined(sight).where(Alert.changed_seq > seq).order_by(Alert.changed_seq).limit(limit),
    )


def sign_alert(  # noqa: PLR0913 - which, by whom, with what sign, from where, when
    session: Session,
    alert_id: int,
    *,
    sight: Sight,
    account: Account,
    badge_number: str,
    unit: str,
    address: str,
    now: datetime,
) -> AlertView:
    """Take an alert over (签收) with badge number (警号) and unit; the first signature counts.

    Raises:
        InvalidRequest: badge number or unit missing or too long.
        NotFound: no such alert.
        Conflict: signed or closed already.
    """
    badge_number, unit = badge_number.strip(), unit.strip()
    _require_text(badge_number, "badge_number", 32)
    _require_text(unit, "unit", 100)
    alert = _take(session, alert_id, AlertStep.SIGN, sight)
    alert.signed_at, alert.signed_by = now, account.name
    alert.badge_number, alert.unit = badge_number, unit
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="alert.sign",
        detail={
            "alert": alert.id,
            "plate": alert.plate,
            "badge_number": badge_number,
            "unit": unit,
        },
    )
    return get_alert(session, alert_id, sight)


def close_alert(  # noqa: PLR0913 - which, by whom, how it ended, from where, when
    session: Session,
    alert_id: int,
    *,
    sight: Sight,
    account: Account,
    outcome: str,
    address: str,
    now: datetime,
) -> AlertView:
    """Close a signed alert with its outcome.

    Raises:
        InvalidRequest: no outcome given.
        NotFound: no such alert.
        Conflict: not signed yet, or closed already.
    """
    outcome = outcome.strip()
    _require_text(outcome, "outcome", 2000)
    alert = _take(session, alert_id, AlertStep.CLOSE, sight)
    alert.closed_at, alert.closed_by, alert.outcome = now, account.name, outcome
    session.flush()
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action="alert.close",
        detail={"alert": alert.id, "plate": alert.plate, "outcome": outcome},
    )
    return get_alert(session, alert_id, sight)


def _take(session: Session, alert_id: int, step: AlertStep, sight: Sight) -> Alert:
    """Lock all alerts' changes, take this one through a step and number the change."""
    seq = next_number(session, "alert")
    alert = session.get(Alert, alert_id)
    if alert is None or not sight.shows(alert.plate, alert.checkpoint_id):
        raise NotFound(f"no alert {alert_id}")
    try:
        alert.state = after_step(AlertState(alert.state), step).value
    except StepNotPossibleError as error:
        raise Conflict(str(error)) from None
    alert.changed_seq = seq
    return alert


def _require_text(value: str, field: str, longest: int) -> None:
    if not value or len(value) > longest or "\0" in value:
        raise InvalidRequest(f"{field}: 1 to {longest} characters", field=field)


def _joined(sight: Sight) -> Select[Alert, WatchlistEntry, Passage]:
    # the passage may have been removed by retention; its alert stays
    return (
        select(Alert, WatchlistEntry, Passage)
        .join(WatchlistEntry, WatchlistEntry.id == Alert.entry_id)
        .outerjoin(
            Passage,
            and_(
                Passage.captured_at == Alert.captured_at,
                Passage.passage_id == Alert.passage_id,
                Passage.plate == Alert.plate,
            ),
        )
        .where(*sight.conditions(Alert))
    )


def _views(
    session: Session, query: Select[Alert, WatchlistEntry, Passage]
) -> tuple[AlertView, ...]:
    rows = session.execute(query).all()
    place_of = places(session, [row.Alert.checkpoint_id for row in rows])
    return tuple(_view(row, place_of) for row in rows)


def _view(
    row: Row[Alert, WatchlistEntry, Passage], place_of: dict[str, CheckpointPlace]
) -> AlertView:
    alert, entry, passage = row
    place = place_of.get(alert.checkpoint_id)
    return AlertView(
        id=alert.id,
        changed_seq=alert.changed_seq,
        state=AlertState(alert.state),
        level=alert.level,
        plate=alert.plate,
        reason=entry.reason,
        case_number=entry.case_number,
        note=entry.note,
        entry_id=entry.id,
        checkpoint=place
        or CheckpointPlace(alert.checkpoint_id, alert.checkpoint_id, "", 0.0, 0.0, "", ""),
        camera_id=alert.camera_id,
        passage_id=alert.passage_id,
        captured_at=alert.captured_at,
        plate_color=passage.plate_color if passage else "unknown",
        plate_kind=passage.plate_kind if passage else "unknown",
        plate_score=passage.plate_score if passage else 0.0,
        direction=passage.direction if passage else "unknown",
        lane=passage.lane if passage else None,
        evidence=evidence_views(passage) if passage else (),
        first_seen_at=alert.first_seen_at,
        last_seen_at=alert.last_seen_at,
        sightings=alert.sightings,
        raised_at=alert.raised_at,
        delivery=alert.delivery,
        rings=alert.delivery == "live" and alert.state == AlertState.NEW.value,
        signed_at=alert.signed_at,
        signed_by=alert.signed_by,
        badge_number=alert.badge_number,
        unit=alert.unit,
        closed_at=alert.closed_at,
        closed_by=alert.closed_by,
        outcome=alert.outcome,
    )
