"""The watchlist, for people: everybody may read it, officers apply, others approve."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session

from server import audit
from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Officer, Operator, Supervisor
from server.context import AppContext, Context
from server.errors import InvalidRequest
from server.http import RowId
from server.passages.lookup import in_utc
from server.protection import is_sought
from server.watchlists import exchange_routes, service
from server.watchlists.bodies import (
    ApplyBody,
    ApproveBody,
    EntryBody,
    ExtendBody,
    NoteBody,
    ReasonBody,
    UrgeBody,
    WithdrawBody,
)
from server.watchlists.entries import NewEntry
from server.watchlists.service import Doing
from server.watchlists.states import EntryState
from server.watchlists.view import EntryView, StepView, get_entry, history, list_entries

router = APIRouter(prefix="/api/v1/watchlist", tags=["watchlist"])
router.include_router(exchange_routes.router)  # its paths first: they look like entries' numbers


class EntryWithHistory(BaseModel):
    """An entry and its steps, oldest first."""

    entry: EntryView
    history: tuple[StepView, ...]


@router.get("")
def get_entries(  # noqa: PLR0913 - what may be asked
    account: Operator,
    context: Context,
    *,
    state: Annotated[list[EntryState], Query()] = [],  # noqa: B006 - copied by FastAPI
    overdue: bool = False,
    plate: Annotated[str, Query(max_length=16)] = "",
    case_number: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 500,
    before_id: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> tuple[EntryView, ...]:
    """List entries, newest first."""
    with context.database.read() as session:
        return list_entries(
            session,
            account,
            context.settings.watchlist,
            context.clock(),
            states=[one.value for one in state],
            overdue=overdue,
            text=plate,
            case_number=case_number,
            limit=limit,
            before_id=before_id,
        )


@router.get("/{entry_id}")
def get_one(entry_id: RowId, account: Operator, context: Context) -> EntryWithHistory:
    """Give one entry and its history."""
    with context.database.read() as session:
        entry = get_entry(session, entry_id, account, context.settings.watchlist, context.clock())
        return EntryWithHistory(entry=entry, history=history(session, entry_id))


@router.post("", status_code=201)
def post_entry(
    body: ApplyBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Apply for an entry; with ``urgent`` it is in force at once and waits for its approval."""
    doing = doing_of(context, account, address)
    entry = body.entry()
    try:
        with context.database.write() as session:
            return service.apply_for(session, entry, doing, urgent=body.urgent)
    except InvalidRequest:
        note_protected(context, entry, doing)
        raise


@router.put("/{entry_id}")
def put_entry(
    entry_id: RowId, body: EntryBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Write an entry anew that is a draft, was refused or has lapsed."""
    doing = doing_of(context, account, address)
    entry = body.entry()
    try:
        with context.database.write() as session:
            return service.revise_entry(session, entry_id, entry, doing)
    except InvalidRequest:
        note_protected(context, entry, doing)
        raise


@router.post("/{entry_id}/review")
def post_review(
    entry_id: RowId, body: NoteBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Say that an application is in order."""
    with context.database.write() as session:
        doing = doing_of(context, account, address)
        return service.review_entry(session, entry_id, doing, note=body.note)


@router.post("/{entry_id}/approve")
def post_approve(
    entry_id: RowId,
    body: ApproveBody,
    account: Supervisor,
    address: ClientAddress,
    context: Context,
) -> EntryView:
    """Approve an entry; with ``activate`` it is in force with that."""
    with context.database.write() as session:
        doing = doing_of(context, account, address)
        return service.approve_entry(
            session, entry_id, doing, note=body.note, activate=body.activate
        )


@router.post("/{entry_id}/refuse")
def post_refuse(
    entry_id: RowId, body: ReasonBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Send an application back."""
    with context.database.write() as session:
        doing = doing_of(context, account, address)
        return service.refuse_entry(session, entry_id, doing, reason=body.reason)


@router.post("/{entry_id}/activate")
def post_activate(
    entry_id: RowId, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Put an approved entry in force."""
    with context.database.write() as session:
        return service.activate_entry(session, entry_id, doing_of(context, account, address))


@router.post("/{entry_id}/urge")
def post_urge(
    entry_id: RowId, body: UrgeBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Put an entry in force that cannot wait for its approval."""
    with context.database.write() as session:
        doing = doing_of(context, account, address)
        return service.urge_entry(session, entry_id, doing, why=body.why)


@router.post("/{entry_id}/extend")
def post_extend(
    entry_id: RowId,
    body: ExtendBody,
    account: Supervisor,
    address: ClientAddress,
    context: Context,
) -> EntryView:
    """Give an entry more time."""
    with context.database.write() as session:
        return service.extend_entry(
            session,
            entry_id,
            doing_of(context, account, address),
            valid_to=in_utc("valid_to", body.valid_to),
            note=body.note,
        )


@router.post("/{entry_id}/withdraw")
def post_withdraw(
    entry_id: RowId, body: WithdrawBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Take an entry off the watchlist; it stays on record."""
    with context.database.write() as session:
        doing = doing_of(context, account, address)
        return service.withdraw_entry(session, entry_id, doing, reason=body.reason, code=body.code)


def doing_of(context: AppContext, account: Account, address: str) -> Doing:
    """Who does something, now and under this server's rules."""
    return Doing(account, address, context.clock(), context.settings)


def note_protected(context: AppContext, entry: NewEntry, doing: Doing) -> None:
    """Put a refused application for a protected plate on the audit log, for the custodian."""
    with context.database.write() as session:
        if entry.match in {"exact", "fuzzy"} and is_sought(session, entry.text):
            _note_protected(session, entry, doing)


def _note_protected(session: Session, entry: NewEntry, doing: Doing) -> None:
    audit.record(
        session,
        now=doing.now,
        user_name=doing.account.name,
        address=doing.address,
        action="watchlist.protected",
        detail={"plate": entry.text, "match": entry.match, "case_number": entry.case_number},
    )
