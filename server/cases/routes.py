"""Case files, for programs; pages stand in :mod:`server.web.case_pages`."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Officer
from server.auth.sight import sight_of
from server.cases.figures import MonthFigures, month_figures
from server.cases.service import (
    MOST_CENTS,
    MOST_PEOPLE,
    CaseContents,
    Doer,
    FileView,
    Outcome,
    attach_alert,
    attach_query,
    case_contents,
    open_file,
    record_outcome,
)
from server.context import AppContext, Context
from server.http import no_content

router = APIRouter(prefix="/api/v1/cases", tags=["cases"])

_MAX_SEQ = 2**63 - 1
Year = Annotated[int, Query(ge=1971, le=9000)]
Month = Annotated[int, Query(ge=1, le=12)]
CaseNumber = Annotated[str, Query(min_length=1, max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    case_number: str = Field(min_length=1, max_length=64)


class FileBody(_Body):
    """A file for a case."""

    kind: str = Field(max_length=32)
    title: str = Field(max_length=200)


class AttachmentBody(_Body):
    """An alert, or the audit record of a search or route made under the case's number."""

    alert_id: int | None = Field(default=None, ge=1, le=_MAX_SEQ)
    audit_seq: int | None = Field(default=None, ge=1, le=_MAX_SEQ)
    note: str = Field(default="", max_length=500)


class OutcomeBody(_Body):
    """Something that came of a case; money in cents."""

    suspects: int = Field(default=0, ge=0, le=MOST_PEOPLE)
    vehicles: int = Field(default=0, ge=0, le=MOST_PEOPLE)
    property_cents: int = Field(default=0, ge=0, le=MOST_CENTS)
    loss_cents: int = Field(default=0, ge=0, le=MOST_CENTS)
    people_helped: int = Field(default=0, ge=0, le=MOST_PEOPLE)
    note: str = Field(max_length=2000)


@router.get("/contents")
def get_contents(case_number: CaseNumber, account: Officer, context: Context) -> CaseContents:
    """Give a case that one answers for, with everything in it."""
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        return case_contents(session, case_number, account, sight)


@router.post("/files", status_code=201)
def post_file(
    body: FileBody, account: Officer, address: ClientAddress, context: Context
) -> FileView:
    """Open a file for a case that one answers for."""
    with context.database.write() as session:
        doer = doer_of(session, context, account, address)
        return open_file(
            session,
            body.case_number,
            doer,
            kind=body.kind,
            title=body.title,
            settings=context.settings.cases,
        )


@router.post("/attachments", status_code=204)
def post_attachment(
    body: AttachmentBody, account: Officer, address: ClientAddress, context: Context
) -> Response:
    """Attach an alert, a search or a route."""
    with context.database.write() as session:
        doer = doer_of(session, context, account, address)
        if body.alert_id is not None:
            attach_alert(session, body.case_number, body.alert_id, doer, note=body.note)
        if body.audit_seq is not None:
            attach_query(session, body.case_number, body.audit_seq, doer, note=body.note)
    return no_content()


@router.post("/outcomes", status_code=204)
def post_outcome(
    body: OutcomeBody, account: Officer, address: ClientAddress, context: Context
) -> Response:
    """Record what came of a case."""
    outcome = Outcome(
        suspects=body.suspects,
        vehicles=body.vehicles,
        property_cents=body.property_cents,
        loss_cents=body.loss_cents,
        people_helped=body.people_helped,
        note=body.note,
    )
    with context.database.write() as session:
        doer = doer_of(session, context, account, address)
        record_outcome(session, body.case_number, doer, outcome)
    return no_content()


@router.get("/figures")
def get_figures(year: Year, month: Month, _account: Officer, context: Context) -> MonthFigures:
    """Give the figures of a month."""
    zone = ZoneInfo(context.settings.display.time_zone)
    with context.database.read() as session:
        return month_figures(session, year, month, zone, context.settings.alerts.overdue_s)


def doer_of(session: Session, context: AppContext, account: Account, address: str) -> Doer:
    """Somebody who is logged in, as of this transaction."""
    now = context.clock()
    return Doer(account, address, now, sight_of(session, account, now, context.settings))
