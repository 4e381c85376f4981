"""The section of analyses (研判): a form per analysis, answers with their reasons and pictures."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from server.analyses import jobs
from server.analyses.finding import Reason
from server.analyses.service import FindingView, analyse
from server.auth.accounts import Account, Role
from server.auth.guards import ClientAddress, Officer, Operator
from server.checkpoints.service import CheckpointPlace, places
from server.context import AppContext, Context
from server.errors import (
    ApprovalNeeded,
    Conflict,
    InvalidRequest,
    NotFound,
    PurposeMissing,
    RequestError,
    Unavailable,
)
from server.http import RowId
from server.passages.lookup import Inquiry
from server.web.analysis_forms import (
    CITY_FORMS,
    CONDITIONS,
    FORMS,
    FormField,
    city_question_of,
    field_names,
    question_of,
)
from server.web.forms import said
from server.web.rendering import language_of, render, wants_fragment, zone_of
from server.web.story_pages import points_of
from server.web.texts import Texts, load_texts

router = APIRouter(include_in_schema=False)
PAGE = 50
_PLACES = ("checkpoint", "from", "to")
_COLORS = ("color", "other_color")
MENDED = (InvalidRequest, PurposeMissing, ApprovalNeeded, Unavailable, Conflict)


@router.get("/analyses")
def index(request: Request, account: Operator) -> Response:
    """What there is to ask."""
    return render(
        request, "analyses.html", page="analyses", account=account,
        kinds=tuple(FORMS), city_kinds=tuple(CITY_FORMS),
        is_officer=account.role.covers(Role.OFFICER),
    )  # fmt: skip


@router.get("/analyses/jobs")
def list_jobs(request: Request, context: Context, account: Officer) -> Response:
    """The jobs and how far they are."""
    with context.database.read() as session:
        found = jobs.list_jobs(session, account)
    return render(
        request, "analysis_jobs.html", page="analyses", account=account, jobs=found,
        at_work=any(job.state in {"waiting", "running"} for job in found),
    )  # fmt: skip


@router.get("/analyses/jobs/{job_id}")
def show_job(  # noqa: PLR0913, PLR0917 - which, for whom, from where on
    request: Request,
    context: Context,
    account: Officer,
    address: ClientAddress,
    job_id: RowId,
    after: int = 0,
) -> Response:
    """A job and what it found."""
    inquiry = Inquiry(account, address, context.clock())
    with context.database.write() as session:
        answer = jobs.open_job(
            session, job_id, inquiry, context, after_rank=max(0, after), limit=PAGE
        )
        all_places = places(session)
    return render(
        request, "analysis_job.html", page="analyses", account=account, job=answer.job,
        found=lines_of(request, answer.findings, all_places), next_rank=answer.next_rank,
    )  # fmt: skip


@router.post("/analyses/jobs/{job_id}/cancel")
def cancel_job(
    context: Context, account: Officer, address: ClientAddress, job_id: RowId
) -> Response:
    """Stop a job."""
    with context.database.write() as session:
        jobs.cancel_job(session, job_id, Inquiry(account, address, context.clock()))
    return RedirectResponse("/analyses/jobs", status_code=303)


@router.get("/analyses/city/{kind}")
def show_city(request: Request, context: Context, account: Officer, kind: str) -> Response:
    """The form of a city-wide analysis."""
    form = _form(CITY_FORMS, kind)
    return _page(request, context, account, kind, form, _lately(request, context), city=True)


@router.post("/analyses/city/{kind}")
async def city(
    request: Request, context: Context, account: Officer, address: ClientAddress, kind: str
) -> Response:
    """Put a city-wide analysis on the list."""
    form = _form(CITY_FORMS, kind)
    fields = await _fields(request, form, kind)
    return await _threaded(_start, request, context, account, address, kind, form, fields)


@router.get("/analyses/{kind}")
def show(
    request: Request, context: Context, account: Operator, kind: str, plate: str = ""
) -> Response:
    """The form of an analysis."""
    form = _form(FORMS, kind)
    asked = {"plate": plate[:16], **_lately(request, context)}
    return _page(request, context, account, kind, form, asked)


@router.post("/analyses/{kind}")
async def answer(
    request: Request, context: Context, account: Operator, address: ClientAddress, kind: str
) -> Response:
    """Its answer."""
    form = _form(FORMS, kind)
    fields = await _fields(request, form, kind)
    return await _threaded(_answer, request, context, account, address, kind, form, fields)


async def _threaded(work: Any, *arguments: Any) -> Response:
    found: Response = await run_in_threadpool(work, *arguments)
    return found


def _form(forms: Mapping[str, tuple[FormField, ...]], kind: str) -> tuple[FormField, ...]:
    if kind not in forms:
        raise NotFound("no such analysis")
    return forms[kind]


async def _fields(request: Request, form: tuple[FormField, ...], kind: str) -> dict[str, str]:
    given = await request.form()
    return {name: str(given.get(name) or "").strip()[:20_000] for name in field_names(form, kind)}


def _answer(  # noqa: PLR0913, PLR0917 - who asks, from where, what
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    kind: str,
    form: tuple[FormField, ...],
    fields: dict[str, str],
) -> Response:
    inquiry = Inquiry(account, address, context.clock(), fields["purpose"], fields["case_number"])
    try:
        with context.database.write() as session:
            all_places = places(session)
            question = question_of(kind, fields, zone_of(request), all_places)
            found = analyse(session, question, inquiry, context)
    except MENDED as error:
        return _page(request, context, account, kind, form, fields, error=error)
    values = {
        "asked": True,
        "found": lines_of(request, found.findings, all_places),
        "rows": [_shown(row) for row in found.rows],
        "peak": max((row.get("vehicles", 0) for row in found.rows), default=0),
        "examined": found.examined,
        "truncated": found.truncated,
    }
    return _page(request, context, account, kind, form, fields, values)


def _start(  # noqa: PLR0913, PLR0917 - who asks, from where, what
    request: Request,
    context: AppContext,
    account: Account,
    address: str,
    kind: str,
    form: tuple[FormField, ...],
    fields: dict[str, str],
) -> Response:
    inquiry = Inquiry(account, address, context.clock(), fields["purpose"], fields["case_number"])
    try:
        with context.database.write() as session:
            question = city_question_of(kind, fields, zone_of(request), places(session))
            jobs.request_job(session, question, inquiry, context)
    except MENDED as error:
        return _page(request, context, account, kind, form, fields, error=error, city=True)
    return RedirectResponse("/analyses/jobs", status_code=303)


def _lately(request: Request, context: AppContext) -> dict[str, str]:
    """The last week, as a form begins with: to the minute that is over."""
    now = context.clock().astimezone(zone_of(request))
    return {"from": f"{now - timedelta(days=7):%Y-%m-%dT%H:%M}", "to": f"{now:%Y-%m-%dT%H:%M}"}


def _page(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    kind: str,
    form: tuple[FormField, ...],
    fields: Mapping[str, str],
    values: Mapping[str, Any] | None = None,
    *,
    error: RequestError | None = None,
    city: bool = False,
) -> Response:
    with context.database.read() as session:
        all_places = sorted(places(session).values(), key=lambda place: place.id)
    query = dict.fromkeys(field_names(form, kind), "")
    query |= {one.name: one.default for one in form}
    query |= {name: value for name, value in fields.items() if name in query}
    blank: dict[str, Any] = {
        "asked": False, "found": (), "rows": (), "peak": 0, "examined": 0, "truncated": False,
    }  # fmt: skip
    return render(
        request,
        "_analysis.html" if wants_fragment(request) else "analysis.html",
        page="analyses",
        account=account,
        kind=kind,
        city=city,
        form=form,
        conditions=range(1, CONDITIONS + 1) if kind == "collision" else (),
        query=query,
        errors={error.field or "query": _said(request, error)} if error else {},
        purposes=context.settings.search.purposes,
        places=all_places,
        checkpoints=points_of(all_places),
        place_of={place.id: place for place in all_places},
        roads=sorted({place.road for place in all_places if place.road}),
        has_register=context.vehicles is not None,
        **(blank | dict(values or {})),
    )


def _said(request: Request, error: RequestError) -> str:
    t = load_texts(language_of(request))
    if error.field == "register":
        return t("analyses.no_register")
    field = (error.field or "").rstrip("_1234")
    label = t.by_key.get(f"analysis_field.{field}")
    if isinstance(error, InvalidRequest) and label:
        _, _, detail = error.detail.partition(": ")
        return t("error.invalid", field=label, detail=detail)
    return said(request, error)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of figures with its instant as one."""
    hour_at = row.get("hour_at")
    return dict(row) | ({"hour_at": datetime.fromisoformat(hour_at)} if hour_at else {})


def lines_of(
    request: Request, findings: tuple[FindingView, ...], all_places: Mapping[str, CheckpointPlace]
) -> list[dict[str, Any]]:
    """Findings as templates show them: with their reasons as sentences."""
    t = load_texts(language_of(request))
    return [
        {"view": one, "reasons": [_sentence(t, reason, all_places) for reason in one.reasons]}
        for one in findings
    ]


def _sentence(t: Texts, reason: Reason, all_places: Mapping[str, CheckpointPlace]) -> str:
    facts: dict[str, Any] = dict(reason.facts)
    for name in _PLACES:
        if name in facts:
            place = all_places.get(str(facts[name]))
            english = place.name_en if place and t.language == "en" else ""
            facts[name] = english or (place.name if place else facts[name])
    for name in _COLORS:
        if name in facts:
            facts[name] = t(f"vehicle_color.{facts[name]}")
    return t(f"analysis_reason.{reason.code}", **facts)
