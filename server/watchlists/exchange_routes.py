"""Trying an entry before it counts, and entries from and to files."""

import io
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from server import audit
from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Officer
from server.auth.sight import sight_of
from server.context import AppContext, Context
from server.errors import InvalidRequest
from server.http import RawBody, RowId
from server.watchlists.bodies import EntryBody
from server.watchlists.entries import NewEntry, require_valid
from server.watchlists.exchange import (
    AT_ONCE,
    ImportedRow,
    ImportReport,
    look_at,
    read_rows,
    report_of,
    take_in,
    write_entries,
)
from server.watchlists.preview import Preview, preview
from server.watchlists.service import Doing
from server.watchlists.states import EntryState
from server.watchlists.view import EntryView, get_entry, list_entries

router = APIRouter()

Ending = Literal["csv", "xlsx"]
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@router.post("/preview")
def post_preview(
    body: EntryBody, account: Officer, address: ClientAddress, context: Context
) -> Preview:
    """Say which misreads an entry would accept, and what it would have raised of late."""
    return try_entry(context, account, address, body.entry())


@router.get("/{entry_id}/preview")
def get_preview(
    entry_id: RowId, account: Officer, address: ClientAddress, context: Context
) -> Preview:
    """Say the same of an entry that was applied for."""
    with context.database.read() as session:
        entry = get_entry(session, entry_id, account, context.settings.watchlist, context.clock())
    return try_entry(context, account, address, as_new(entry), checked=True)


@router.post("/import")
def post_import(  # noqa: PLR0913, PLR0917 - the file, how it is read, by whom
    content: RawBody,
    account: Officer,
    address: ClientAddress,
    context: Context,
    ending: Annotated[Ending, Query()] = "csv",
    dry_run: Annotated[bool, Query()] = True,  # noqa: FBT002 - a query parameter
) -> ImportReport:
    """Apply for all entries of a file; a dry run says what would become of each row."""
    return import_file(context, account, address, content, ending, dry_run=dry_run)


@router.get("/export.{ending}")
def get_export(
    ending: Ending,
    account: Officer,
    address: ClientAddress,
    context: Context,
    state: Annotated[list[EntryState], Query()] = [],  # noqa: B006 - copied by FastAPI
) -> Response:
    """Give the entries as a file that can be read in again."""
    content = export_file(context, account, address, ending, state)
    name = f'attachment; filename="watchlist.{ending}"'
    return Response(content, media_type=_TYPES[ending], headers={"Content-Disposition": name})


def try_entry(
    context: AppContext,
    account: Account,
    address: str,
    entry: NewEntry,
    *,
    checked: bool = False,
) -> Preview:
    """Preview an entry; it tells where vehicles were, so it is on the audit log.

    Raises:
        InvalidRequest: a field is wrong.
        TooManyRequests: he has made too many accounted queries within the hour.
    """
    now, settings = context.clock(), context.settings
    with context.database.write() as session:
        if not checked:
            require_valid(session, entry, account.name, now, settings)
        case_number = entry.case_number.strip()
        sight = sight_of(session, account, now, settings, case_number=case_number, plate=entry.text)
        found = preview(session, entry, sight, context.plates, now=now, settings=settings)
        audit.record(
            session,
            now=now,
            user_name=account.name,
            address=address,
            action="watchlist.preview",
            purpose=audit.Purpose("watchlist", case_number),
            detail={
                "plate": entry.text,
                "match": entry.match,
                "days": found.days,
                "passages": found.passages,
                "alerts": found.alerts,
            },
        )
        return found


def import_file(  # noqa: PLR0913 - the file, how it is read, by whom
    context: AppContext,
    account: Account,
    address: str,
    content: bytes,
    ending: str,
    *,
    dry_run: bool,
) -> ImportReport:
    """Read a file in, some rows a transaction; a dry run only looks.

    Raises:
        InvalidRequest: not such a file.
    """
    rows = read_rows(content, ending, context.settings.watchlist.max_import_rows)
    doing = Doing(account, address, context.clock(), context.settings)
    found: list[ImportedRow] = []
    if dry_run:
        with context.database.read() as session:
            found += look_at(session, rows, doing)
        return report_of(found, dry_run=True)
    for start in range(0, len(rows), AT_ONCE):
        with context.database.write() as session:
            some = list(take_in(session, rows[start : start + AT_ONCE], doing))
            report = report_of(some, dry_run=False)
            audit.record(
                session,
                now=doing.now,
                user_name=account.name,
                address=address,
                action="watchlist.import",
                detail={
                    "from_line": some[0].line,
                    "to_line": some[-1].line,
                    "new": report.new,
                    "unchanged": report.unchanged,
                    "refused": report.refused,
                },
            )
        found += some
    return report_of(found, dry_run=False)


def export_file(
    context: AppContext, account: Account, address: str, ending: str, states: list[EntryState]
) -> bytes:
    """The entries that somebody may see, as a file; accounted for.

    Raises:
        InvalidRequest: more than a file may hold.
    """
    settings, most = context.settings.watchlist, context.settings.export.max_rows
    names = [state.value for state in states]
    file = io.BytesIO()
    with context.database.write() as session:
        entries = list_entries(
            session, account, settings, context.clock(), states=names, limit=most + 1
        )
        if len(entries) > most:
            raise InvalidRequest(f"state: more than {most} entries", field="state")
        count = write_entries(file, entries, ending)
        audit.record(
            session,
            now=context.clock(),
            user_name=account.name,
            address=address,
            action="watchlist.export",
            detail={"ending": ending, "states": names, "entries": count},
        )
    return file.getvalue()


def as_new(entry: EntryView) -> NewEntry:
    """What was applied for."""
    return NewEntry(
        plate=entry.plate,
        reason=entry.reason,
        level=entry.level,
        case_number=entry.case_number,
        note=entry.note,
        match=entry.match,
        tolerance=entry.tolerance,
        plate_kinds=entry.plate_kinds,
        plate_colors=entry.plate_colors,
        vehicle_colors=entry.vehicle_colors,
        intercept=entry.intercept,
        contact=entry.contact,
        tell=entry.tell,
        area=entry.area,
        checkpoints=entry.checkpoints,
        hours=entry.hours,
    )
