"""Entering a state: the one place where an entry's state changes, and never without its record."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from server import audit
from server.db import next_number
from server.tables import WatchlistEntry, WatchlistStep
from server.watchlists.states import IN_FORCE, Actor, EntryState, Parties, Step, after_step

SERVER = Actor("server", None)
"""Ends what has run out."""


@dataclass(frozen=True, slots=True)
class By:
    """Who made a step, from where, when."""

    name: str
    address: str
    now: datetime


def enter(  # noqa: PLR0913, PLR0917 - the parts of a step
    session: Session,
    row: WatchlistEntry,
    step: Step,
    state: EntryState,
    by: By,
    note: str,
) -> None:
    """Put an entry in a state and say so: in its history, and on the audit log."""
    row.state, row.state_at = state.value, by.now
    session.flush()
    seq = audit.record(
        session,
        now=by.now,
        user_name=by.name,
        address=by.address,
        action=f"watchlist.{step.value}",
        detail={
            "entry": row.id,
            "plate": row.plate,
            "match": row.match,
            "state": state.value,
            "reason": row.reason,
            "level": row.level,
            "intercept": row.intercept,
            "secret": row.secret,
            "case_number": row.case_number,
            "revision": row.revision,
            "note": note,
        },
    )
    session.add(
        WatchlistStep(
            entry_id=row.id,
            step=step.value,
            state=state.value,
            at=by.now,
            by=by.name,
            note=note,
            audit_seq=seq,
        )
    )
    session.flush()


def end_what_ran_out(session: Session, now: datetime, limit: int = 500) -> int:
    """Expire what is past its time and lapse what nobody has approved; how many.

    Matching goes by the times and not by this: an entry is out of force at its instant, and its
    state follows.
    """
    rows = session.scalars(
        select(WatchlistEntry)
        .where(
            WatchlistEntry.state.in_([*(s.value for s in IN_FORCE), EntryState.APPROVED.value]),
            or_(WatchlistEntry.valid_to <= now, WatchlistEntry.lapses_at <= now),
        )
        .order_by(WatchlistEntry.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    revision = next_number(session, "watchlist") if rows else 0
    for row in rows:
        step = Step.LAPSE if has_lapsed(row, now) else Step.EXPIRE
        after = after_step(EntryState(row.state), step, SERVER, parties_of(row))
        row.revision = revision
        enter(session, row, step, after, By(SERVER.name, "", now), "")
    return len(rows)


def has_lapsed(row: WatchlistEntry, now: datetime) -> bool:
    """Whether nobody has approved an urgent entry in time."""
    return (
        row.state == EntryState.URGENT.value and row.lapses_at is not None and row.lapses_at <= now
    )


def parties_of(row: WatchlistEntry) -> Parties:
    """Whose entry it is."""
    return Parties(row.created_by, row.urgent_by)
