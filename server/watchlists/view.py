"""Entries as people have them: listed, one with its history, and what may be done with it next.

A secret entry does not exist for whoever is not named on it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from server.auth.accounts import Account
from server.errors import NotFound
from server.settings_watchlist import WatchlistSettings
from server.tables import Alert, WatchlistEntry, WatchlistPerson, WatchlistStep
from server.watchlists.states import WAITING, Actor, EntryState, Parties, Step, steps_for


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as shown."""

    id: int
    match: str
    plate: str
    tolerance: float | None
    plate_kinds: tuple[str, ...]
    plate_colors: tuple[str, ...]
    vehicle_colors: tuple[str, ...]
    reason: str
    level: int
    intercept: bool
    secret: bool
    people: tuple[str, ...]
    case_number: str
    note: str
    contact: str
    unit: str
    tell: tuple[str, ...]
    area: tuple[tuple[float, float], ...]
    checkpoints: tuple[str, ...]
    hours: tuple[str, ...]
    valid_from: datetime
    valid_to: datetime | None
    state: EntryState
    state_at: datetime
    overdue: bool
    """Waits for somebody's review or approval for longer than it should."""
    may: tuple[Step, ...]
    """What whoever asks may do next."""
    created_at: datetime
    created_by: str
    urgent_why: str | None
    urgent_by: str | None
    lapses_at: datetime | None
    reviewed_by: str | None
    approved_by: str | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdrawn_reason: str | None
    withdrawn_code: str | None
    alerts: int


@dataclass(frozen=True, slots=True)
class StepView:
    """One step in the life of an entry."""

    step: Step
    state: EntryState
    at: datetime
    by: str
    note: str
    audit_seq: int


def named_or_open(account: Account) -> ColumnElement[bool]:
    """For statements on ``watchlist_entry``: what exists for a person."""
    named = select(WatchlistPerson.entry_id).where(WatchlistPerson.user_name == account.name)
    return or_(WatchlistEntry.secret.is_(False), WatchlistEntry.id.in_(named))


def list_entries(  # noqa: PLR0913 - whose eyes, when, which, how many
    session: Session,
    account: Account,
    settings: WatchlistSettings,
    now: datetime,
    *,
    states: Collection[str] = (),
    overdue: bool = False,
    text: str = "",
    case_number: str = "",
    limit: int = 500,
    before_id: int | None = None,
) -> tuple[EntryView, ...]:
    """Entries newest first, each with the number of its alerts; ``before_id`` continues a page.

    ``overdue`` leaves only those that wait too long for a step, ``text`` those whose plate or
    pattern begins with it.
    """
    query = select(WatchlistEntry).where(named_or_open(account))
    if states:
        query = query.where(WatchlistEntry.state.in_(states))
    if overdue:
        query = query.where(
            WatchlistEntry.state.in_([state.value for state in WAITING]),
            WatchlistEntry.state_at < now - timedelta(seconds=settings.overdue_s),
        )
    if text:
        query = query.where(WatchlistEntry.plate.startswith(text, autoescape=True))
    if case_number:
        query = query.where(WatchlistEntry.case_number == case_number)
    if before_id is not None:
        query = query.where(WatchlistEntry.id < before_id)
    rows = session.scalars(query.order_by(WatchlistEntry.id.desc()).limit(limit)).all()
    return views_of(session, rows, account, settings, now)


def get_entry(
    session: Session, entry_id: int, account: Account, settings: WatchlistSettings, now: datetime
) -> EntryView:
    """One entry.

    Raises:
        NotFound: no such entry, or a secret one on which he is not named.
    """
    row = session.scalar(
        select(WatchlistEntry).where(WatchlistEntry.id == entry_id, named_or_open(account))
    )
    if row is None:
        raise NotFound(f"no watchlist entry {entry_id}")
    return views_of(session, [row], account, settings, now)[0]


def history(session: Session, entry_id: int) -> tuple[StepView, ...]:
    """The steps of an entry, oldest first; who may see the entry, the caller has asked."""
    rows = session.scalars(
        select(WatchlistStep).where(WatchlistStep.entry_id == entry_id).order_by(WatchlistStep.id)
    )
    return tuple(
        StepView(Step(r.step), EntryState(r.state), r.at, r.by, r.note, r.audit_seq) for r in rows
    )


def views_of(
    session: Session,
    rows: Sequence[WatchlistEntry],
    account: Account,
    settings: WatchlistSettings,
    now: datetime,
) -> tuple[EntryView, ...]:
    """Entries as a person sees them."""
    ids = [row.id for row in rows]
    counted = select(Alert.entry_id, func.count().label("alerts")).where(Alert.entry_id.in_(ids))
    counts = session.execute(counted.group_by(Alert.entry_id))
    alerts = {row.entry_id: row.alerts for row in counts}
    people: dict[int, list[str]] = {}
    secret = [row.id for row in rows if row.secret]
    if secret:
        for person in session.scalars(
            select(WatchlistPerson)
            .where(WatchlistPerson.entry_id.in_(secret))
            .order_by(WatchlistPerson.user_name)
        ):
            people.setdefault(person.entry_id, []).append(person.user_name)
    actor = Actor(account.name, account.role)
    late = now - timedelta(seconds=settings.overdue_s)
    return tuple(
        _view(row, tuple(people.get(row.id, ())), alerts.get(row.id, 0), actor, late)
        for row in rows
    )


def _view(
    row: WatchlistEntry, people: tuple[str, ...], alerts: int, actor: Actor, late: datetime
) -> EntryView:
    state = EntryState(row.state)
    described, scope = row.description or {}, row.scope or {}
    return EntryView(
        id=row.id,
        match=row.match,
        plate=row.plate,
        tolerance=row.tolerance,
        plate_kinds=tuple(described.get("plate_kinds", ())),
        plate_colors=tuple(described.get("plate_colors", ())),
        vehicle_colors=tuple(described.get("vehicle_colors", ())),
        reason=row.reason,
        level=row.level,
        intercept=row.intercept,
        secret=row.secret,
        people=people,
        case_number=row.case_number,
        note=row.note,
        contact=row.contact,
        unit=row.unit,
        tell=tuple(row.tell or ()),
        area=tuple((lon, lat) for lon, lat in scope.get("area", ())),
        checkpoints=tuple(scope.get("checkpoints", ())),
        hours=tuple(scope.get("hours", ())),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        state=state,
        state_at=row.state_at,
        overdue=state in WAITING and row.state_at < late,
        may=steps_for(state, actor, Parties(row.created_by, row.urgent_by)),
        created_at=row.created_at,
        created_by=row.created_by,
        urgent_why=row.urgent_why,
        urgent_by=row.urgent_by,
        lapses_at=row.lapses_at,
        reviewed_by=row.reviewed_by,
        approved_by=row.approved_by,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
        withdrawn_reason=row.withdrawn_reason,
        withdrawn_code=row.withdrawn_code,
        alerts=alerts,
    )
