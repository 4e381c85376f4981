"""Alerts as people see them: listed, counted, one by one. What is done to them: ``handling``.

Whatever raises or changes an alert first takes the next number of the ``alert`` counter. That
lock makes the changes of all processes follow one another, so that ``changed_seq`` grows in
commit order (the stream relies on it), two cameras of one checkpoint never raise two alerts for
one vehicle, and two operators never both sign.
"""

from collections import Counter as Counted
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from server.alerts.states import AlertState
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace, places
from server.errors import NotFound
from server.passages.pictures import EvidenceView, evidence_views
from server.tables import Alert, AlertOrder, AreaCheckpoint, Counter, Passage, User, WatchlistEntry


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
    intercept: bool
    """Stop it; else watch only."""
    secret: bool
    contact: str
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
    """Whether the wall should sound it: raised from live passages, its entry wants a bell, and
    not signed yet."""
    signed_at: datetime | None
    signed_by: str | None
    badge_number: str | None
    unit: str | None
    closed_at: datetime | None
    closed_by: str | None
    outcome: str | None
    match: Mapping[str, Any]
    """Why: ``kind``, ``wanted``, ``score``, ``differences``; empty of an exact hit."""
    rank: int
    """Levels above to which it has risen, unsigned."""
    risen_seq: int | None

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
    by_state: Mapping[AlertState, int]
    """Of every state; of closed ones those of the last day."""
    overdue: int

    @property
    def in_hand(self) -> int:
        """Signed, and not closed yet."""
        ended = self.by_state[AlertState.NEW] + self.by_state[AlertState.CLOSED]
        return sum(self.by_state.values()) - ended

    @property
    def closed(self) -> int:
        """Ended, within the last day."""
        return self.by_state[AlertState.CLOSED]


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts somebody wants to look at; nothing said means all."""

    levels: frozenset[int] = frozenset()
    area_id: str = ""
    """Only at the checkpoints of this area (辖区)."""
    unit: str = ""
    """Only those that this unit asked for (its people applied for the entry), has signed, or was
    sent to. New ones have nobody's signature: without the first its wall would be silent."""
    states: frozenset[AlertState] = frozenset()
    plate: str = ""
    """As read, normalised."""
    entry_id: int | None = None

    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """The same for a statement on the alert table."""
        found: list[ColumnElement[bool]] = []
        if self.levels:
            found.append(Alert.level.in_(self.levels))
        if self.states:
            found.append(Alert.state.in_([state.value for state in self.states]))
        if self.plate:
            found.append(Alert.plate == self.plate)
        if self.entry_id is not None:
            found.append(Alert.entry_id == self.entry_id)
        if self.area_id:
            inside = select(AreaCheckpoint.checkpoint_id).where(
                AreaCheckpoint.area_id == self.area_id
            )
            found.append(Alert.checkpoint_id.in_(inside))
        if self.unit:
            sent = select(AlertOrder.alert_id).where(AlertOrder.unit == self.unit)
            found.append(
                or_(Alert.unit == self.unit, Alert.id.in_(sent), _is_asked_for_by(self.unit))
            )
        return tuple(found)


EVERYTHING = AlertFilter()
CLOSED_LATELY = timedelta(days=1)


def list_alerts(  # noqa: PLR0913 - whose eyes, which, how many, in what order
    session: Session,
    sight: Sight,
    wanted: AlertFilter = EVERYTHING,
    *,
    limit: int = 100,
    before_id: int | None = None,
    gravest_first: bool = False,
) -> AlertPage:
    """Alerts newest first, or gravest first; ``before_id`` continues a page.

    Gravest first: what has risen furthest, then by level, then the newest.

    The cursor is read first: what is raised while the list is read may come twice, never not.
    """
    cursor = latest_seq(session)
    by_gravity = (Alert.rank.desc(), Alert.level) if gravest_first else ()
    query = _joined(sight).where(*wanted.conditions()).order_by(*by_gravity, Alert.id.desc())
    if before_id is not None:
        query = query.where(Alert.id < before_id)
    return AlertPage(_views(session, query.limit(limit)), cursor)


def count_alerts(
    session: Session,
    sight: Sight,
    now: datetime,
    overdue_s: float = 120.0,
    wanted: AlertFilter = EVERYTHING,
) -> AlertCounts:
    """Count alerts by state; overdue are live ones unsigned for longer than ``overdue_s``."""
    seen = (*sight.conditions(Alert), *wanted.conditions())
    # not over years of closed ones: the wall asks every few seconds
    lately = or_(Alert.state != AlertState.CLOSED.value, Alert.closed_at > now - CLOSED_LATELY)
    rows = session.execute(
        select(Alert.state, Alert.level, func.count().label("alerts"))
        .where(lately, *seen)
        .group_by(Alert.state, Alert.level)
    ).all()
    by_state: Counted[AlertState] = Counted(dict.fromkeys(AlertState, 0))
    new_by_level = dict.fromkeys((1, 2, 3, 4), 0)
    for row in rows:
        by_state[AlertState(row.state)] += row.alerts
        if row.state == AlertState.NEW.value:
            new_by_level[row.level] = row.alerts
    overdue = session.scalar(
        select(func.count())
        .select_from(Alert)
        .where(
            Alert.state == AlertState.NEW.value,
            Alert.delivery == "live",
            Alert.raised_at < now - timedelta(seconds=overdue_s),
            *seen,
        )
    )
    return AlertCounts(
        new=by_state[AlertState.NEW],
        new_by_level=new_by_level,
        by_state=dict(by_state),
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
    session: Session, seq: int, sight: Sight, wanted: AlertFilter = EVERYTHING, limit: int = 200
) -> tuple[AlertView, ...]:
    """Alerts raised or changed after a number, in the order of their changes."""
    changed = _joined(sight).where(Alert.changed_seq > seq, *wanted.conditions())
    return _views(session, changed.order_by(Alert.changed_seq).limit(limit))


def _is_asked_for_by(unit: str) -> ColumnElement[bool]:
    """Whether somebody of a unit applied for the entry of an alert.

    Asked of each alert by its entry's key: of a million entries most are of one unit.
    """
    entry, applicant = aliased(WatchlistEntry), aliased(User)
    return (
        exists()
        .where(
            entry.id == Alert.entry_id,
            applicant.name == entry.created_by,
            applicant.unit == unit,
        )
        .correlate(Alert)
    )


def _joined(sight: Sight) -> Select[Alert, WatchlistEntry]:
    return (
        select(Alert, WatchlistEntry)
        .join(WatchlistEntry, WatchlistEntry.id == Alert.entry_id)
        .where(*sight.conditions(Alert))
    )


def _views(session: Session, query: Select[Alert, WatchlistEntry]) -> tuple[AlertView, ...]:
    rows = session.execute(query).all()
    passages = _passages(session, [row.Alert for row in rows])
    place_of = places(session, [row.Alert.checkpoint_id for row in rows])
    return tuple(
        _view(
            row.Alert, row.WatchlistEntry, passages.get(row.Alert.passage_id),
            place_of.get(row.Alert.checkpoint_id),
        )
        for row in rows
    )  # fmt: skip


def _passages(session: Session, alerts: Iterable[Alert]) -> dict[UUID, Passage]:
    """The passages of alerts, by their keys; retention may have removed some.

    Not joined to them: where passages lie on other machines, a join would fetch them all.
    """
    keys = {(alert.plate, alert.captured_at, alert.passage_id) for alert in alerts}
    if not keys:
        return {}
    key = tuple_(Passage.plate, Passage.captured_at, Passage.passage_id)
    found = session.scalars(select(Passage).where(key.in_(sorted(keys))))
    return {passage.passage_id: passage for passage in found}


def _view(
    alert: Alert, entry: WatchlistEntry, passage: Passage | None, place: CheckpointPlace | None
) -> AlertView:
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
        intercept=entry.intercept,
        secret=entry.secret,
        contact=entry.contact,
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
        rings=alert.delivery == "live"
        and alert.state == AlertState.NEW.value
        and alert.echo_of is None
        and (not alert.silent or alert.rank > 0),
        signed_at=alert.signed_at,
        signed_by=alert.signed_by,
        badge_number=alert.badge_number,
        unit=alert.unit,
        closed_at=alert.closed_at,
        closed_by=alert.closed_by,
        outcome=alert.outcome,
        match=alert.match,
        rank=alert.rank,
        risen_seq=alert.risen_seq,
    )
