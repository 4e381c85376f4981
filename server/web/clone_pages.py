"""The queue of cloned plates (套牌), and the vehicle register (机动车登记)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from server.analyses import queue
from server.auth.accounts import Account
from server.auth.guards import ClientAddress, Officer, Operator
from server.checkpoints.service import places
from server.context import AppContext, Context
from server.errors import RequestError
from server.http import RowId
from server.passages.lookup import Inquiry
from server.vehicles.register import RegisteredVehicle
from server.vehicles.service import look_up_vehicle
from server.web.analysis_pages import MENDED, lines_of
from server.web.forms import said
from server.web.rendering import language_of, render
from server.web.texts import load_texts

router = APIRouter(include_in_schema=False)
_Text = Annotated[str, Form(max_length=1000)]


@router.get("/clones")
def show(request: Request, context: Context, account: Operator) -> Response:
    """The form; nothing is shown without a purpose."""
    return _clones(request, context, account, {"state": "open"}, None)


@router.post("/clones")
def look(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    state: _Text = "open",
    purpose: _Text = "",
    case_number: _Text = "",
) -> Response:
    """The queue."""
    query = {"state": state, "purpose": purpose, "case_number": case_number}
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    return _clones(request, context, account, query, inquiry)


@router.post("/clones/{candidate_id}")
def decide(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    candidate_id: RowId,
    answer: _Text = "",
    checkpoint: _Text = "",
    note: _Text = "",
    state: _Text = "open",
    purpose: _Text = "",
    case_number: _Text = "",
) -> Response:
    """Say what a candidate is, and go on with the queue."""
    query = {"state": state, "purpose": purpose, "case_number": case_number}
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    try:
        with context.database.write() as session:
            queue.decide(
                session, candidate_id, inquiry, context,
                answer=answer, checkpoint_id=checkpoint, note=note,
            )  # fmt: skip
    except MENDED as error:
        return _clones(request, context, account, query, inquiry, error)
    return _clones(request, context, account, query, inquiry)


def _clones(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    query: Mapping[str, str],
    inquiry: Inquiry | None,
    error: RequestError | None = None,
) -> Response:
    found: list[dict[str, Any]] = []
    errors = {error.field or "query": said(request, error)} if error else {}
    with context.database.read() as session:
        all_places = places(session)
    asked = False
    if inquiry is not None:
        try:
            with context.database.write() as session:
                candidates = queue.look_at_queue(session, inquiry, context, state=query["state"])
            asked = True
            lines = lines_of(request, tuple(c.finding for c in candidates), all_places)
            found = [line | {"candidate": c} for line, c in zip(lines, candidates, strict=True)]
        except MENDED as failure:
            errors[failure.field or "query"] = said(request, failure)
    return render(
        request, "clones.html", page="analyses", account=account, found=found, asked=asked,
        errors=errors, states=queue.STATES, purposes=context.settings.search.purposes,
        place_of=all_places, query={"purpose": "", "case_number": ""} | dict(query),
    )  # fmt: skip


@router.get("/vehicles")
def show_vehicles(request: Request, context: Context, account: Officer) -> Response:
    """The form; nothing is looked up without a purpose."""
    return _vehicles(request, context, account, {}, None)


@router.post("/vehicles")
def look_up(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    plate: _Text = "",
    purpose: _Text = "",
    case_number: _Text = "",
) -> Response:
    """What a plate is registered for, and to whom."""
    query = {"plate": plate, "purpose": purpose, "case_number": case_number}
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    try:
        with context.database.write() as session:
            found = look_up_vehicle(session, plate, inquiry, context)
    except MENDED as error:
        return _vehicles(request, context, account, query, None, error)
    return _vehicles(request, context, account, query, found)


def _vehicles(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    query: Mapping[str, str],
    found: tuple[RegisteredVehicle, ...] | None,
    error: RequestError | None = None,
) -> Response:
    errors = {}
    if error is not None:
        t = load_texts(language_of(request))
        text = t("analyses.no_register") if error.field == "register" else said(request, error)
        errors[error.field or "query"] = text
    return render(
        request, "vehicles.html", page="analyses", account=account, asked=found is not None,
        vehicles=found or (), errors=errors, purposes=context.settings.search.purposes,
        query={"plate": "", "purpose": "", "case_number": ""} | dict(query),
    )  # fmt: skip
