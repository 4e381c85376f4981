"""Entries of the watchlist taken through their life; each step with its record, none deleted.

What a step may do is decided in :mod:`server.watchlists.states`; here it is done: the row, its
history and the audit record change in one transaction. Whatever changes what is matched takes a
new revision in the same transaction; matching follows the revision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from server.auth.accounts import Account
from server.db import next_number
from server.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from server.settings import Settings
from server.tables import Counter, WatchlistEntry, WatchlistPerson
from server.watchlists.entries import NewEntry, require_valid
from server.watchlists.history import By, enter, has_lapsed, parties_of
from server.watchlists.states import (
    IN_FORCE,
    Actor,
    EntryState,
    NotHisStepError,
    Parties,
    Step,
    StepNotPossibleError,
    after_step,
)
from server.watchlists.view import EntryView, named_or_open, views_of

WITHDRAW_CODES = ("expired", "handled", "void", "error", "not_approved", "other")
"""Why an entry is withdrawn (撤控原因): 过期、已处理、无效、错误、未通过、其它."""
MAX_NOTE = 2000
LAPSED_SHUTS_S = 7 * 86_400.0
"""For so long nobody puts in force urgently what has lapsed for want of an approval."""


@dataclass(frozen=True, slots=True)
class Doing:
    """Who does something, from where, when, under which rules."""

    account: Account
    address: str
    now: datetime
    settings: Settings

    @property
    def actor(self) -> Actor:
        """As the state machine sees him."""
        return Actor(self.account.name, self.account.role)


def apply_for(session: Session, entry: NewEntry, doing: Doing, *, urgent: str = "") -> EntryView:
    """Apply for an entry (布控申请); with a word why it cannot wait it is in force at once.

    Raises:
        InvalidRequest: a field is wrong; the message names it.
        Conflict: the same is watched already, or waits to be, under the same case number.
    """
    revision = next_number(session, "watchlist") if urgent.strip() else 0
    row = _applied(session, entry, doing)
    if revision:
        _urge(session, row, urgent, doing, revision)
    return _shown(session, row, doing)


def add_entry(session: Session, entry: NewEntry, doing: Doing) -> EntryView:
    """Put an entry in force that was approved elsewhere: for the operator of the machine alone.

    Raises:
        InvalidRequest: a field is wrong; the message names it.
        Conflict: the same is watched already, or waits to be, under the same case number.
    """
    revision = next_number(session, "watchlist")
    row = _applied(session, entry, doing)
    row.revision = revision
    _to(session, row, Step.ACTIVATE, EntryState.ACTIVE, doing, "approved elsewhere")
    return _shown(session, row, doing)


def revise_entry(session: Session, entry_id: int, entry: NewEntry, doing: Doing) -> EntryView:
    """Write an entry anew that is a draft, was refused or has lapsed; it is a draft again.

    Raises:
        NotFound, NotAllowed, Conflict, InvalidRequest: see :func:`review_entry`, :func:`apply_for`.
    """
    row = _locked(session, entry_id, doing)
    after = _permitted(row, Step.REVISE, doing)
    require_valid(session, entry, row.created_by, doing.now, doing.settings)
    _require_no_twin(session, entry, besides=row.id)
    _write(session, row, entry, doing)
    row.reviewed_by = row.approved_by = row.lapses_at = None
    _to(session, row, Step.REVISE, after, doing, "")
    return _shown(session, row, doing)


def review_entry(session: Session, entry_id: int, doing: Doing, *, note: str = "") -> EntryView:
    """Say that an application is in order (审核).

    Raises:
        NotFound: no such entry, or a secret one on which he is not named.
        NotAllowed: not for him: the role, or four eyes.
        Conflict: not in that state.
    """

    def change(row: WatchlistEntry) -> None:
        row.reviewed_by = doing.account.name

    return _step(session, entry_id, Step.REVIEW, doing, note, change)


def approve_entry(
    session: Session, entry_id: int, doing: Doing, *, note: str = "", activate: bool = False
) -> EntryView:
    """Approve what was reviewed, or afterwards what is in force urgently (审批).

    With ``activate`` what was reviewed is in force with that.

    Raises:
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """
    note = _short(note)
    row = _locked(session, entry_id, doing)
    if has_lapsed(row, doing.now):
        raise Conflict(f"entry {row.id} has lapsed meanwhile; it must be applied for anew")
    after = _permitted(row, Step.APPROVE, doing)
    if activate or after in IN_FORCE:  # taken before any record is written: counters in order
        row.revision = next_number(session, "watchlist")
    row.approved_by, row.lapses_at = doing.account.name, None
    _to(session, row, Step.APPROVE, after, doing, note)
    if activate and after is EntryState.APPROVED:
        _to(session, row, Step.ACTIVATE, _permitted(row, Step.ACTIVATE, doing), doing, "")
    return _shown(session, row, doing)


def refuse_entry(session: Session, entry_id: int, doing: Doing, *, reason: str) -> EntryView:
    """Send an application back with a reason (退回).

    Raises:
        InvalidRequest: no reason given.
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """
    return _step(session, entry_id, Step.REFUSE, doing, _required(reason, "reason"))


def activate_entry(session: Session, entry_id: int, doing: Doing) -> EntryView:
    """Put an approved entry in force (生效).

    Raises:
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """
    return _step(session, entry_id, Step.ACTIVATE, doing, "")


def urge_entry(session: Session, entry_id: int, doing: Doing, *, why: str) -> EntryView:
    """Put an entry in force that cannot wait (紧急布控); unless approved in time it lapses.

    Raises:
        InvalidRequest: no word why.
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """
    row = _locked(session, entry_id, doing)
    _urge(session, row, why, doing, next_number(session, "watchlist"))
    return _shown(session, row, doing)


def extend_entry(
    session: Session, entry_id: int, doing: Doing, *, valid_to: datetime | None, note: str = ""
) -> EntryView:
    """Give an entry more time (续控); None = until withdrawn.

    Raises:
        InvalidRequest: not later than now, or than before.
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """

    def change(row: WatchlistEntry) -> None:
        if row.valid_to is not None and row.valid_to <= doing.now:
            raise Conflict(f"entry {row.id} has run out; it must be applied for anew")
        if row.valid_to is None or (valid_to is not None and valid_to <= row.valid_to):
            raise InvalidRequest("valid_to: later than it is now", field="valid_to")
        row.valid_to = valid_to

    return _step(session, entry_id, Step.EXTEND, doing, note, change)


def withdraw_entry(
    session: Session, entry_id: int, doing: Doing, *, reason: str, code: str = "other"
) -> EntryView:
    """Take an entry off the watchlist (撤控); it stays on record.

    Raises:
        InvalidRequest: no reason given, or an unknown code.
        NotFound, NotAllowed, Conflict: see :func:`review_entry`.
    """
    reason = _required(reason, "reason")
    if code not in WITHDRAW_CODES:
        raise InvalidRequest(f"code: one of {', '.join(WITHDRAW_CODES)}", field="code")

    def change(row: WatchlistEntry) -> None:
        row.withdrawn_at, row.withdrawn_by = doing.now, doing.account.name
        row.withdrawn_reason, row.withdrawn_code = reason, code

    return _step(session, entry_id, Step.WITHDRAW, doing, reason, change)


def current_revision(session: Session) -> int:
    """The number of the latest change of the watchlist."""
    return session.execute(select(Counter.value).where(Counter.name == "watchlist")).scalar_one()


# ---- how it is done


def _applied(session: Session, entry: NewEntry, doing: Doing) -> WatchlistEntry:
    _after(None, Step.APPLY, doing.actor, Parties(doing.account.name))
    require_valid(session, entry, doing.account.name, doing.now, doing.settings)
    next_number(session, "application")  # they follow one another, so that a twin is seen
    _require_no_twin(session, entry)
    row = WatchlistEntry(
        state=EntryState.DRAFT.value,
        state_at=doing.now,
        created_at=doing.now,
        created_by=doing.account.name,
        unit=doing.account.unit,
    )
    _write(session, row, entry, doing)
    _to(session, row, Step.APPLY, EntryState.DRAFT, doing, "")
    return row


def _write(session: Session, row: WatchlistEntry, entry: NewEntry, doing: Doing) -> None:
    """Put what the applicant decides on into the row, and who is named on it."""
    for name, value in entry.columns().items():
        setattr(row, name, value)
    row.valid_from, row.valid_to = entry.valid_from or doing.now, entry.valid_to
    session.add(row)
    session.flush()
    session.execute(delete(WatchlistPerson).where(WatchlistPerson.entry_id == row.id))
    if entry.secret:
        for name in sorted({row.created_by, *entry.people}):
            session.add(WatchlistPerson(entry_id=row.id, user_name=name))
        session.flush()


def _urge(session: Session, row: WatchlistEntry, why: str, doing: Doing, revision: int) -> None:
    after = _permitted(row, Step.URGE, doing)
    why = _required(why, "urgent")
    lapsed = select(WatchlistEntry.id).where(
        WatchlistEntry.plate == row.plate,
        WatchlistEntry.match == row.match,
        WatchlistEntry.urgent_by.is_not(None),
        WatchlistEntry.approved_by.is_(None),
        WatchlistEntry.lapses_at <= doing.now,
        WatchlistEntry.lapses_at > doing.now - timedelta(seconds=LAPSED_SHUTS_S),
    )
    if row.urgent_by is not None or session.scalar(lapsed.limit(1)) is not None:
        raise Conflict("urgent: it was in force urgently and nobody approved it", field="urgent")
    row.urgent_why, row.urgent_by = why, doing.account.name
    row.lapses_at = doing.now + timedelta(seconds=doing.settings.watchlist.urgent_s)
    row.revision = revision
    _to(session, row, Step.URGE, after, doing, why)


def _step(  # noqa: PLR0913, PLR0917 - which entry, which step, by whom, and what changes
    session: Session,
    entry_id: int,
    step: Step,
    doing: Doing,
    note: str,
    change: Callable[[WatchlistEntry], None] = lambda _row: None,
) -> EntryView:
    note = _short(note)
    row = _locked(session, entry_id, doing)
    before, after = EntryState(row.state), _permitted(row, step, doing)
    change(row)
    if before in IN_FORCE or after in IN_FORCE:
        row.revision = next_number(session, "watchlist")
    _to(session, row, step, after, doing, note)
    return _shown(session, row, doing)


def _locked(session: Session, entry_id: int, doing: Doing) -> WatchlistEntry:
    """The entry, so that nobody else takes it through a step meanwhile."""
    row = session.scalar(
        select(WatchlistEntry)
        .where(WatchlistEntry.id == entry_id, named_or_open(doing.account))
        .with_for_update()
    )
    if row is None:
        raise NotFound(f"no watchlist entry {entry_id}")
    return row


def _permitted(row: WatchlistEntry, step: Step, doing: Doing) -> EntryState:
    return _after(EntryState(row.state), step, doing.actor, parties_of(row))


def _after(state: EntryState | None, step: Step, actor: Actor, parties: Parties) -> EntryState:
    try:
        return after_step(state, step, actor, parties)
    except StepNotPossibleError as error:
        raise Conflict(str(error)) from None
    except NotHisStepError as error:
        raise NotAllowed(str(error)) from None


def _to(  # noqa: PLR0913, PLR0917 - the parts of a step
    session: Session,
    row: WatchlistEntry,
    step: Step,
    after: EntryState,
    doing: Doing,
    note: str,
) -> None:
    by = By(doing.account.name, doing.address, doing.now)
    enter(session, row, step, after, by, note)


def twin_of(session: Session, entry: NewEntry, besides: int | None = None) -> int | None:
    """The entry that looks for the same under the same case and has not ended; None if none."""
    ended = (EntryState.WITHDRAWN, EntryState.EXPIRED, EntryState.LAPSED, EntryState.REFUSED)
    twins = select(WatchlistEntry.id).where(
        WatchlistEntry.plate == entry.text,
        WatchlistEntry.match == entry.match,
        WatchlistEntry.case_number == entry.case_number.strip(),
        WatchlistEntry.state.not_in([state.value for state in ended]),
    )
    if entry.match == "description":  # many may have no part of a plate
        twins = twins.where(WatchlistEntry.note == entry.note.strip())
    if besides is not None:
        twins = twins.where(WatchlistEntry.id != besides)
    return session.scalar(twins.limit(1))


def _require_no_twin(session: Session, entry: NewEntry, besides: int | None = None) -> None:
    twin = twin_of(session, entry, besides)
    if twin is not None:
        raise Conflict(f"plate: watched already under this case (entry {twin})", field="plate")


def _short(note: str) -> str:
    if len(note) > MAX_NOTE or "\0" in note:
        raise InvalidRequest(f"note: at most {MAX_NOTE} characters", field="note")
    return note.strip()


def _required(text: str, field: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_NOTE or "\0" in text:
        raise InvalidRequest(f"{field}: say why, in up to {MAX_NOTE} characters", field=field)
    return text


def _shown(session: Session, row: WatchlistEntry, doing: Doing) -> EntryView:
    return views_of(session, [row], doing.account, doing.settings.watchlist, doing.now)[0]
