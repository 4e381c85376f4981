"""The watchlist (布控): all entries, one with its history and steps, the form, what awaits a step."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server.alerts.service import AlertFilter, list_alerts
from server.auth.accounts import Account, Role
from server.auth.guards import ClientAddress, Officer, Operator
from server.auth.sight import sight_of
from server.checkpoints.service import places
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest, NotAllowed, RequestError
from server.http import RowId
from server.watchlists.exchange_routes import try_entry
from server.watchlists.preview import Preview
from server.watchlists.routes import note_protected
from server.watchlists.service import (
    WITHDRAW_CODES,
    Doing,
    activate_entry,
    apply_for,
    approve_entry,
    current_revision,
    extend_entry,
    refuse_entry,
    review_entry,
    revise_entry,
    urge_entry,
    withdraw_entry,
)
from server.watchlists.states import WAITING, EntryState, Step
from server.watchlists.view import get_entry, history, list_entries
from server.web.entry_form import CHOICES, MATCHES, EntryForm, entry_of, form_of, receivers
from server.web.forms import local_instant, said
from server.web.register_pages import likely_color
from server.web.rendering import language_of, render, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.watchlists.entries import NewEntry

router = APIRouter(include_in_schema=False)

LIST_PAGE = 200
_MAX_SEQ = 2**63 - 1
QUEUE = (*sorted(WAITING), EntryState.APPROVED)
"""States in which somebody's step is awaited."""


@router.get("/watchlist")
def watchlist(  # noqa: PLR0913, PLR0917 - the filter's parts
    request: Request,
    context: Context,
    account: Operator,
    state: Annotated[str, Query(max_length=16)] = "",
    plate: Annotated[str, Query(max_length=64)] = "",
    case_number: Annotated[str, Query(max_length=64)] = "",
    before: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
) -> Response:
    """Entries, newest first."""
    query = {"state": state, "plate": normalise(plate), "case_number": case_number.strip()}
    now, settings = context.clock(), context.settings.watchlist
    with context.database.read() as session:
        entries = list_entries(
            session,
            account,
            settings,
            now,
            states=(state,) if state in set(EntryState) else (),
            text=query["plate"],
            case_number=query["case_number"],
            limit=LIST_PAGE,
            before_id=before,
        )
        revision = current_revision(session)
        waiting = list_entries(session, account, settings, now, states=QUEUE, limit=LIST_PAGE)
    return render(
        request,
        "watchlist.html",
        page="watchlist",
        account=account,
        entries=[(entry, likely_color(entry.plate)) for entry in entries],
        revision=revision,
        waiting=len(waiting),
        overdue=sum(entry.overdue for entry in waiting),
        may_edit=account.role.covers(Role.OFFICER),
        states=tuple(EntryState),
        query=query,
        older=entries[-1].id if len(entries) == LIST_PAGE else None,
    )


@router.get("/watchlist/queue")
def queue(request: Request, context: Context, account: Officer) -> Response:
    """What awaits review, approval or activation: what waits longest comes first."""
    with context.database.read() as session:
        entries = list_entries(
            session,
            account,
            context.settings.watchlist,
            context.clock(),
            states=QUEUE,
            limit=LIST_PAGE,
        )
    entries = tuple(sorted(entries, key=lambda entry: entry.state_at))
    return render(
        request,
        "entry_queue.html",
        page="watchlist",
        account=account,
        entries=[(entry, likely_color(entry.plate)) for entry in entries],
        overdue_s=context.settings.watchlist.overdue_s,
        withdraw_codes=WITHDRAW_CODES,
        step=Step,
    )


@router.get("/watchlist/new")
def new_entry(
    request: Request,
    context: Context,
    account: Officer,
    plate: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The form, empty."""
    return _form(request, context, account, EntryForm(plate=plate))


@router.post("/watchlist")
def apply(
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    form: Annotated[EntryForm, Form()],
) -> Response:
    """Apply for an entry, urgently or not; or see first what it would do."""
    return _keep(request, context, account, address, form, None)


@router.get("/watchlist/{entry_id}/edit")
def edit_entry(request: Request, context: Context, account: Officer, entry_id: RowId) -> Response:
    """The form with what the applicant has typed, to be typed anew."""
    now, settings = context.clock(), context.settings.watchlist
    with context.database.read() as session:
        entry = get_entry(session, entry_id, account, settings, now)
    return _form(request, context, account, form_of(entry, zone_of(request)), entry_id=entry_id)


@router.post("/watchlist/{entry_id}")
def revise(  # noqa: PLR0913, PLR0917 - the form's parts
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    entry_id: RowId,
    form: Annotated[EntryForm, Form()],
) -> Response:
    """Apply anew for an entry that is not in force."""
    return _keep(request, context, account, address, form, entry_id)


@router.get("/watchlist/{entry_id}")
def entry(request: Request, context: Context, account: Operator, entry_id: RowId) -> Response:
    """One entry with its history and what may be done next."""
    return _entry(request, context, account, entry_id)


@router.post("/watchlist/{entry_id}/steps")
def take_step(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    entry_id: RowId,
    step: Annotated[str, Form(max_length=16)] = "",
    note: Annotated[str, Form(max_length=4000)] = "",
    code: Annotated[str, Form(max_length=16)] = "",
    valid_to: Annotated[str, Form(max_length=32)] = "",
    back: Annotated[str, Form(max_length=8)] = "",
) -> Response:
    """Review, approve, refuse, put in force, extend or withdraw an entry."""
    doing = Doing(account, address, context.clock(), context.settings)

    def extended(session: Session) -> object:
        until = local_instant(valid_to, zone_of(request), "valid_to")
        return extend_entry(session, entry_id, doing, valid_to=until, note=note)

    def unknown(_session: Session) -> object:
        raise InvalidRequest("step: none that there is", field="step")

    does: Mapping[str, Callable[[Session], object]] = {
        Step.REVIEW: lambda session: review_entry(session, entry_id, doing, note=note),
        Step.APPROVE: lambda session: approve_entry(
            session, entry_id, doing, note=note, activate=True
        ),
        Step.REFUSE: lambda session: refuse_entry(session, entry_id, doing, reason=note),
        Step.ACTIVATE: lambda session: activate_entry(session, entry_id, doing),
        Step.URGE: lambda session: urge_entry(session, entry_id, doing, why=note),
        Step.EXTEND: extended,
        Step.WITHDRAW: lambda session: withdraw_entry(
            session, entry_id, doing, reason=note, code=code or "other"
        ),
    }
    try:
        with context.database.write() as session:
            does.get(step, unknown)(session)
    except (Conflict, InvalidRequest, NotAllowed) as error:
        return _entry(request, context, account, entry_id, error)
    return RedirectResponse(
        "/watchlist/queue" if back == "queue" else f"/watchlist/{entry_id}", status_code=303
    )


def _keep(  # noqa: PLR0913, PLR0917 - who types what
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    form: EntryForm,
    entry_id: int | None,
) -> Response:
    doing = Doing(account, address, context.clock(), context.settings)
    wanted: NewEntry | None = None
    try:
        wanted = entry_of(form, zone_of(request))
        if form.act == "preview":
            seen = try_entry(context, account, address, wanted)
            return _form(request, context, account, form, entry_id=entry_id, seen=seen)
        urgent = _urgent(form)
        with context.database.write() as session:
            if entry_id is None:
                kept = apply_for(session, wanted, doing, urgent=urgent)
            else:
                kept = revise_entry(session, entry_id, wanted, doing)
                if urgent:
                    kept = urge_entry(session, entry_id, doing, why=urgent)
    except (InvalidRequest, Conflict, NotAllowed) as error:
        if wanted is not None and isinstance(error, InvalidRequest):
            note_protected(context, wanted, doing)
        return _form(request, context, account, form, entry_id=entry_id, error=error)
    return RedirectResponse(f"/watchlist/{kept.id}", status_code=303)


def _urgent(form: EntryForm) -> str:
    """Why it cannot wait, if the button says so; '' else."""
    if form.act != "urgent":
        return ""
    if not form.urgent.strip():
        raise InvalidRequest("urgent: say why it cannot wait", field="urgent")
    return form.urgent


def _form(  # noqa: PLR0913 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    form: EntryForm,
    *,
    entry_id: int | None = None,
    error: RequestError | None = None,
    seen: Preview | None = None,
) -> Response:
    errors = {}
    if error is not None:
        errors[error.field or "entry"] = said(request, error)
    language = language_of(request)
    with context.database.read() as session:
        sight = sight_of(session, account, context.clock(), context.settings)
        stand = [place for place in places(session).values() if sight.covers(place.id)]
    return render(
        request,
        "entry_form.html",
        page="watchlist",
        account=account,
        status=error.status if error else 200,
        form=form,
        entry_id=entry_id,
        errors=errors,
        seen=seen,
        place_of={place.id: place for place in stand},
        reasons=context.settings.watchlist.reasons,
        max_tolerance=context.settings.watchlist.max_tolerance,
        matches=MATCHES,
        choices=CHOICES,
        webhooks=receivers(context.settings),
        can_tell=context.settings.notices.sms is not None
        or context.settings.notices.mail is not None,
        places=sorted(stand, key=lambda place: place.id),
        geojson={
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {"type": "Point", "coordinates": [place.lon, place.lat]},
                    "properties": {
                        "key": place.id,
                        "name": (place.name_en if language == "en" else "") or place.name,
                    },
                }
                for place in stand
            ],
        },
    )


def _entry(
    request: Request,
    context: AppContext,
    account: Account,
    entry_id: int,
    error: RequestError | None = None,
) -> Response:
    now, settings = context.clock(), context.settings.watchlist
    with context.database.read() as session:
        view = get_entry(session, entry_id, account, settings, now)
        steps = history(session, entry_id)
        place_of = places(session, list(view.checkpoints))
        sight = sight_of(session, account, now, context.settings)
        alerts = list_alerts(session, sight, AlertFilter(entry_id=entry_id), limit=20).alerts
    return render(
        request,
        "entry.html",
        page="watchlist",
        account=account,
        status=error.status if error else 200,
        e=view,
        color=likely_color(view.plate),
        steps=steps,
        step=Step,
        places=[place_of[one] for one in view.checkpoints if one in place_of],
        alerts=alerts,
        withdraw_codes=WITHDRAW_CODES,
        overdue_s=settings.overdue_s,
        errors={error.field or "step": said(request, error)} if error else {},
    )
