"""Cases (案件): those one answers for, what belongs to one, what came of it, the month's figures."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from server.auth.accounts import Account
from server.auth.cases import add_member, case_log, list_cases
from server.auth.guards import ClientAddress, Officer
from server.auth.sight import sight_of
from server.cases.figures import CaseFigures, MonthFigures, month_figures
from server.cases.routes import doer_of
from server.cases.service import (
    CaseContents,
    Doer,
    Outcome,
    attach_alert,
    attach_query,
    case_contents,
    files_of,
    open_file,
    record_outcome,
)
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest, NotFound
from server.web.forms import said
from server.web.rendering import language_of, render, zone_of
from server.web.texts import Texts, load_texts

if TYPE_CHECKING:
    from server.audit import AuditView

router = APIRouter(include_in_schema=False)

AUDIT_PAGE = 100
_MAX_SEQ = 2**63 - 1
BeforeSeq = Annotated[int | None, Query(ge=0, le=_MAX_SEQ)]
FIGURES = ("cases", "alerts", "searches", "routes", "suspects", "vehicles", "property_cents",
           "loss_cents", "people_helped")  # fmt: skip
Do = Callable[[Session, Doer], object]


@router.get("/cases")
def cases(
    request: Request,
    context: Context,
    account: Officer,
    case_number: Annotated[str, Query(max_length=64)] = "",
    before: BeforeSeq = None,
) -> Response:
    """The cases that one answers for, and one of them with everything in it."""
    return _cases(request, context, account, case_number.strip(), before)


@router.post("/cases/members")
def put_member(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    case_number: Annotated[str, Form()] = "",
    user_name: Annotated[str, Form()] = "",
) -> Response:
    """Let another officer answer for a case too."""

    def do(session: Session, doer: Doer) -> None:
        add_member(
            session,
            case_number,
            user_name.strip(),
            account=account,
            address=address,
            now=doer.now,
        )

    return _do(request, context, account, address, case_number, do)


@router.post("/cases/files")
def put_file(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    case_number: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "",
    title: Annotated[str, Form()] = "",
) -> Response:
    """Open a file for a case."""

    def do(session: Session, doer: Doer) -> object:
        settings = context.settings.cases
        return open_file(session, case_number, doer, kind=kind, title=title, settings=settings)

    return _do(request, context, account, address, case_number, do)


@router.post("/cases/attachments")
def put_attachment(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    case_number: Annotated[str, Form()] = "",
    alert_id: Annotated[int | None, Form(ge=1, le=_MAX_SEQ)] = None,
    audit_seq: Annotated[int | None, Form(ge=1, le=_MAX_SEQ)] = None,
    note: Annotated[str, Form()] = "",
) -> Response:
    """Attach an alert, a search or a route to a case."""

    def do(session: Session, doer: Doer) -> None:
        if alert_id is not None:
            attach_alert(session, case_number, alert_id, doer, note=note)
        if audit_seq is not None:
            attach_query(session, case_number, audit_seq, doer, note=note)

    return _do(request, context, account, address, case_number, do)


@router.post("/cases/outcomes")
def put_outcome(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    case_number: Annotated[str, Form()] = "",
    suspects: Annotated[str, Form(max_length=12)] = "",
    vehicles: Annotated[str, Form(max_length=12)] = "",
    people_helped: Annotated[str, Form(max_length=12)] = "",
    property_yuan: Annotated[str, Form(max_length=20)] = "",
    loss_yuan: Annotated[str, Form(max_length=20)] = "",
    outcome_note: Annotated[str, Form()] = "",
) -> Response:
    """Record what came of a case."""

    def do(session: Session, doer: Doer) -> None:
        outcome = Outcome(
            suspects=_whole(suspects, "suspects"),
            vehicles=_whole(vehicles, "vehicles"),
            people_helped=_whole(people_helped, "people_helped"),
            property_cents=_cents(property_yuan, "property_cents"),
            loss_cents=_cents(loss_yuan, "loss_cents"),
            note=outcome_note,
        )
        record_outcome(session, case_number, doer, outcome)

    return _do(request, context, account, address, case_number, do)


@router.get("/cases/figures")
def figures(
    request: Request,
    context: Context,
    account: Officer,
    month: Annotated[str, Query(max_length=7)] = "",
) -> Response:
    """The figures of a month (月报)."""
    found = _figures(request, context, month)
    return render(
        request,
        "figures.html",
        page="cases",
        account=account,
        found=found,
        columns=FIGURES,
        month=f"{found.year:04}-{found.month:02}",
    )


@router.get("/cases/figures.csv")
def figures_csv(
    request: Request,
    context: Context,
    _account: Officer,
    month: Annotated[str, Query(max_length=7)] = "",
) -> Response:
    """The same as a file for a spreadsheet."""
    found = _figures(request, context, month)
    t = load_texts(language_of(request))
    name = f"kakou-{found.year:04}-{found.month:02}.csv"
    return Response(
        "\ufeff" + _table(found, t),  # the mark by which spreadsheets know UTF-8
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"',
                 "Cache-Control": "no-store"},
    )  # fmt: skip


def _table(found: MonthFigures, t: Texts) -> str:
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow([t("figures.kind"), *(t(f"figures.{name}") for name in FIGURES)])
    for kind, row in found.by_kind.items():
        out.writerow([_plain(t.code("case_kind", kind)), *_values(row)])
    out.writerow([t("figures.whole"), *_values(found.whole)])
    out.writerow([])
    for name in ("raised", "live", "signed_in_time", "intercepted", "false_hits"):
        out.writerow([t(f"figures.{name}"), getattr(found.alerts, name)])
    return text.getvalue()


def _values(row: CaseFigures) -> list[str]:
    return [
        f"{Decimal(value) / 100:.2f}" if name.endswith("_cents") else str(value)
        for name in FIGURES
        for value in (getattr(row, name),)
    ]


def _plain(text: str) -> str:
    """A site's own kind must not become a spreadsheet's formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _figures(request: Request, context: AppContext, month: str) -> MonthFigures:
    zone = zone_of(request)
    begin = context.clock().astimezone(zone)
    if month:
        try:
            begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
        except ValueError:
            raise InvalidRequest("month: like 2026-11", field="month") from None
    if not 1971 <= begin.year <= 9000:
        raise InvalidRequest("month: of our time", field="month")
    with context.database.read() as session:
        overdue_s = context.settings.alerts.overdue_s
        return month_figures(session, begin.year, begin.month, zone, overdue_s)


def _whole(text: str, field: str) -> int:
    text = text.strip() or "0"
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequest(f"{field}: a whole number", field=field)
    return int(text)


def _cents(text: str, field: str) -> int:
    try:
        cents = Decimal(text.strip() or "0") * 100
    except InvalidOperation:
        cents = Decimal(-1)
    if not cents.is_finite() or cents < 0 or cents != cents.to_integral_value():
        raise InvalidRequest(f"{field}: an amount like 1200.50", field=field)
    return int(cents)


def _do(  # noqa: PLR0913, PLR0917 - who does what to which case
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    case_number: str,
    do: Do,
) -> Response:
    try:
        with context.database.write() as session:
            do(session, doer_of(session, context, account, address))
    except (Conflict, InvalidRequest) as error:
        errors = {error.field or "case": said(request, error)}
        return _cases(request, context, account, case_number, None, errors, error.status)
    target = request.url_for("cases").include_query_params(case_number=case_number.strip())
    return RedirectResponse(f"{target.path}?{target.query}", status_code=303)


def _cases(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    case_number: str,
    before: int | None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    errors = errors or {}
    records: tuple[AuditView, ...] = ()
    contents: CaseContents | None = None
    with context.database.read() as session:
        mine = list_cases(session, account)
        files = files_of(session, [one.case_number for one in mine])
        if case_number:
            sight = sight_of(session, account, context.clock(), context.settings)
            try:
                contents = case_contents(session, case_number, account, sight)
                records = case_log(
                    session, case_number, account, limit=AUDIT_PAGE, before_seq=before
                )
            except NotFound:
                errors["not_yours"] = "unknown"
    return render(
        request,
        "cases.html",
        page="cases",
        account=account,
        status=status,
        cases=mine,
        files=files,
        case_number=case_number,
        contents=contents,
        kinds=context.settings.cases.kinds,
        attached={(one.kind, one.reference) for one in contents.attachments} if contents else set(),
        records=records,
        older=records[-1].seq if len(records) == AUDIT_PAGE else None,
        errors=errors,
    )
