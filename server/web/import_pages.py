"""Entries of the watchlist from a file (批量导入): what it would change, row by row; then so be it."""

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Officer
from server.context import AppContext, Context
from server.errors import InvalidRequest
from server.watchlists.exchange import ImportedRow, ImportReport
from server.watchlists.exchange_routes import import_file
from server.web.forms import said
from server.web.rendering import render

router = APIRouter(include_in_schema=False)

MOST_SHOWN = 1_000
"""Rows of an import that are shown; those refused come first."""


@router.get("/watchlist/import")
def import_form(request: Request, context: Context, account: Officer) -> Response:
    """The form to read entries in from a file."""
    return _import(request, context, account)


@router.post("/watchlist/import")
def import_entries(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    file: Annotated[UploadFile | None, File()] = None,
    kept: Annotated[str, Form()] = "",
    ending: Annotated[Literal["csv", "xlsx"], Form()] = "csv",
    act: Annotated[str, Form(max_length=8)] = "look",
) -> Response:
    """Say what a file would change, row by row; then, the same file again, do so."""
    content = file.file.read() if file is not None and file.filename else _unkept(kept)
    if file is not None and (file.filename or "").lower().endswith(".xlsx"):
        ending = "xlsx"
    try:
        report = import_file(context, account, address, content, ending, dry_run=act != "import")
    except InvalidRequest as error:
        return _import(request, context, account, error=error)
    again = base64.b64encode(content).decode() if report.dry_run else ""
    return _import(request, context, account, report=report, kept=again, ending=ending)


def _refused_first(row: ImportedRow) -> tuple[bool, int]:
    return (row.outcome != "refused", row.line)


def _unkept(text: str) -> bytes:
    """The file that the page has kept since the dry run."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _import(  # noqa: PLR0913 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    *,
    report: ImportReport | None = None,
    kept: str = "",
    ending: str = "csv",
    error: InvalidRequest | None = None,
) -> Response:
    return render(
        request,
        "entry_import.html",
        page="watchlist",
        account=account,
        status=error.status if error else 200,
        report=report,
        shown=sorted(report.rows, key=_refused_first)[:MOST_SHOWN] if report else (),
        kept=kept,
        ending=ending,
        most=context.settings.watchlist.max_import_rows,
        error=said(request, error) if error else "",
    )
