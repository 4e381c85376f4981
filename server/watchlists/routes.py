"""The watchlist, for people: everybody may read it, officers change it."""

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from server.auth.guards import ClientAddress, Officer, Operator
from server.context import Context
from server.http import RowId
from server.passages.lookup import in_utc
from server.watchlists.service import (
    EntryView,
    NewEntry,
    add_entry,
    list_entries,
    withdraw_entry,
)

router = APIRouter(prefix="/api/v1/watchlist", tags=["watchlist"])


class EntryBody(BaseModel):
    """A plate to be watched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plate: str = Field(max_length=64)
    reason: str = Field(max_length=32)
    level: int = Field(ge=1, le=4)
    case_number: str = Field(max_length=64)
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    note: str = Field(default="", max_length=2000)


class WithdrawBody(BaseModel):
    """Why an entry is withdrawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(max_length=2000)


@router.get("")
def get_entries(
    _account: Operator, context: Context, *, state: str | None = None
) -> tuple[EntryView, ...]:
    """List entries, newest first."""
    with context.database.read() as session:
        return list_entries(session, state=state)


@router.post("", status_code=201)
def post_entry(
    body: EntryBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Put a plate on the watchlist, at once in force."""
    entry = NewEntry(
        plate=body.plate,
        reason=body.reason,
        level=body.level,
        case_number=body.case_number,
        valid_from=in_utc("valid_from", body.valid_from),
        valid_to=in_utc("valid_to", body.valid_to),
        note=body.note,
    )
    with context.database.write() as session:
        return add_entry(
            session,
            entry,
            account=account,
            address=address,
            now=context.clock(),
            settings=context.settings.watchlist,
        )


@router.post("/{entry_id}/withdraw")
def post_withdraw(
    entry_id: RowId, body: WithdrawBody, account: Officer, address: ClientAddress, context: Context
) -> EntryView:
    """Take an entry off the watchlist; it stays on record."""
    with context.database.write() as session:
        return withdraw_entry(
            session,
            entry_id,
            reason=body.reason,
            account=account,
            address=address,
            now=context.clock(),
        )
