"""Passages as they come (过车), one passage, and the search for a plate with its route (车辆查询)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.auth.accounts import Account, Role
from server.auth.guards import ClientAddress, Operator
from server.cases.service import attachable
from server.checkpoints.service import places
from server.context import AppContext, Context
from server.errors import ApprovalNeeded, InvalidRequest, PurposeMissing
from server.passages.lookup import Inquiry, look_up_passages, look_up_plates, open_passage
from server.passages.patterns import ANY_ONE, is_pattern
from server.passages.plates import DifferenceView, PlateQuery, PlatesFound
from server.passages.search import PassageQuery
from server.passages.view import PassageSummary, PassageView
from server.trajectories.drawing import geojson
from server.trajectories.route import Trajectory
from server.trajectories.service import look_up_trajectory
from server.web.forms import local_instant, said
from server.web.register_pages import likely_color
from server.web.rendering import language_of, render, wants_fragment, zone_of
from server.web.story_pages import FIELDS
from server.web.texts import load_texts

router = APIRouter(include_in_schema=False)

TILES = 48
"""Passages on one page of the thumbnail wall."""
MAX_GROUPS = 100
"""Plates listed of a pattern or of likely misreads."""


@dataclass(frozen=True, slots=True)
class PlateGroup:
    """One plate among those that were found, and how it differs from what was asked."""

    plate: str
    color: str
    count: int
    first_at: datetime
    last_at: datetime
    differences: tuple[DifferenceView, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every character was read, so that it has a route."""
        return bool(self.plate) and ANY_ONE not in self.plate


@router.get("/passages")
@router.get("/passages/tiles")
def passages(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    checkpoint: str = "",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    cursor: str = "",
) -> Response:
    """The newest passages as thumbnails."""
    errors: dict[str, str] = {}
    found: Sequence[PassageSummary] = ()
    older = ""
    settings = context.settings.search
    # without a plate and a purpose nothing is recorded, so a reading session suffices
    with context.database.read() as session:
        place_of = places(session)
        try:
            query = PassageQuery(
                since=local_instant(since, zone_of(request), "from"),
                until=local_instant(until, zone_of(request), "to"),
                checkpoint_ids=(checkpoint,) if checkpoint else (),
                limit=min(TILES, settings.max_page),
                cursor=cursor or None,
            )
            inquiry = Inquiry(account, address, context.clock())
            page = look_up_passages(session, query, inquiry, context.settings, context.plates)
        except PurposeMissing:
            t = load_texts(language_of(request))
            errors["from"] = t("passages.too_far", hours=f"{settings.browse_hours:g}")
        except InvalidRequest as error:
            errors[error.field or "query"] = said(request, error)
        else:
            found = page.passages
            if page.next_cursor:
                here = {"checkpoint": checkpoint, "from": since, "to": until}
                older = urlencode(here | {"cursor": page.next_cursor})
    return render(
        request,
        "_tiles.html" if wants_fragment(request) else "passages.html",
        page="passages",
        account=account,
        passages=found,
        older=older,
        errors=errors,
        checkpoints=sorted(place_of.values(), key=lambda place: place.id),
        query={"checkpoint": checkpoint, "from": since, "to": until},
        browse_hours=f"{context.settings.search.browse_hours:g}",
    )


@router.get("/passages/{passage_id}")
def passage(
    request: Request, context: Context, account: Operator, address: ClientAddress, passage_id: UUID
) -> Response:
    """One passage, with everything that is known of it; looking is recorded."""
    inquiry = Inquiry(account, address, context.clock())
    with context.database.write() as session:
        view = open_passage(session, passage_id, inquiry, context.settings)
    return render(request, "passage.html", page="passages", account=account, p=view, raw=_raw(view))


@router.get("/search")
def show_search(
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    passage: UUID | None = None,
) -> Response:
    """The form, empty or with the plate of a passage; nothing is looked up without a purpose."""
    plate = ""
    if passage is not None:
        inquiry = Inquiry(account, address, context.clock())
        with context.database.write() as session:
            plate = open_passage(session, passage, inquiry, context.settings).plate
    query = {"plate": plate, "changes": "", "from": "", "to": "", "purpose": "", "case_number": ""}
    return _answer(request, context, account, query, {"asked": False})


@router.post("/search")
def search(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Operator,
    address: ClientAddress,
    plate: Annotated[str, Form()] = "",
    changes: Annotated[str, Form(max_length=2)] = "",
    since: Annotated[str, Form(alias="from")] = "",
    until: Annotated[str, Form(alias="to")] = "",
    purpose: Annotated[str, Form()] = "",
    case_number: Annotated[str, Form()] = "",
    other: Annotated[str, Form(max_length=16)] = "",
) -> Response:
    """Look a plate up. A form is posted so that no plate stands in an address or a proxy's log."""
    query = {
        "plate": plate,
        "changes": changes,
        "from": since,
        "to": until,
        "purpose": purpose,
        "case_number": case_number,
    }
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    try:
        wanted = PassageQuery(
            plate=plate,
            changes=int(changes) if changes in {"1", "2"} else 0,
            since=local_instant(since, zone_of(request), "from"),
            until=local_instant(until, zone_of(request), "to"),
            limit=min(TILES, context.settings.search.max_page),
        )
        with context.database.write() as session:
            values = _look_up(session, context, wanted, inquiry, other.strip())
    except (InvalidRequest, PurposeMissing, ApprovalNeeded) as error:
        errors = {error.field or "query": said(request, error)}
        return _answer(request, context, account, query, {"asked": False}, errors)
    return _answer(request, context, account, query, values)


def _look_up(
    session: Session, context: AppContext, wanted: PassageQuery, inquiry: Inquiry, other: str
) -> dict[str, Any]:
    """What the answer shows: the plates that a pattern found, or the route of one whole plate."""
    plate = wanted.plate or ""
    if wanted.changes or is_pattern(plate):
        limit = min(MAX_GROUPS, context.settings.search.max_page)
        asked = PlateQuery(plate, wanted.changes, wanted.since, wanted.until, limit)
        found = look_up_plates(session, asked, inquiry, context.settings, context.plates)
        groups = groups_of(found)
        if wanted.changes or len(groups) != 1 or not groups[0].is_whole or found.truncated:
            page = look_up_passages(session, wanted, inquiry, context.settings, context.plates)
            return {
                "asked": True,
                "groups": groups,
                "passages": page.passages,
                "found": sum(group.count for group in groups),
                "truncated": found.truncated,
                "route": None,
                "attach_seq": attachable(session, inquiry.account, inquiry.case_number),
            }
        plate = groups[0].plate
    route = _route(session, context, plate, wanted, inquiry)
    attach_seq = attachable(session, inquiry.account, inquiry.case_number)
    stops = route.stops
    duration_s = (stops[-1].last_seen_at - stops[0].first_seen_at).total_seconds() if stops else 0.0
    beside = _route(session, context, other, wanted, inquiry, details=False) if other else None
    met = {stop.place.id for stop in beside.stops} if beside is not None else set()
    return {
        "asked": True,
        "groups": group_by_plate([stop.passage for stop in reversed(stops) if not stop.read_as]),
        "passages": [stop.passage for stop in stops],
        "found": sum(stop.passages for stop in stops),
        "truncated": route.truncated,
        "route": route,
        "attach_seq": attach_seq,
        "route_geojson": geojson(route),
        "route_duration_s": duration_s,
        "leg_to": {leg.to_number: leg for leg in route.legs if leg.vehicle},
        "conflict_to": {leg.to_number: leg for leg in route.legs if not leg.vehicle},
        "other": beside,
        "other_color": likely_color(beside.plate) if beside is not None else "",
        "other_geojson": geojson(beside) if beside is not None else None,
        "shared": list({s.place.id: s.place for s in stops if s.place.id in met}.values()),
    }


def _route(  # noqa: PLR0913 - of what, asked how, with its pictures or without
    session: Session,
    context: AppContext,
    plate: str,
    wanted: PassageQuery,
    inquiry: Inquiry,
    *,
    details: bool = True,
) -> Trajectory:
    return look_up_trajectory(
        session,
        plate,
        inquiry,
        since=wanted.since,
        until=wanted.until,
        settings=context.settings,
        traffic=context.traffic.get(session),
        known=context.plates,
        details=details,
    )


def groups_of(found: PlatesFound) -> tuple[PlateGroup, ...]:
    """The plates found, with the colour that such a plate most likely has."""
    return tuple(
        PlateGroup(
            one.plate,
            likely_color(one.plate),
            one.passages,
            one.first_seen_at,
            one.last_seen_at,
            one.differences,
        )
        for one in found.plates
    )


def group_by_plate(passages: Sequence[PassageView]) -> tuple[PlateGroup, ...]:
    """Group passages (newest first) by plate; the plate seen last comes first.

    The colour is that of the best-read passage of the plate.
    """
    by_plate: dict[str, list[PassageView]] = {}
    for one in passages:
        by_plate.setdefault(one.plate, []).append(one)
    return tuple(
        PlateGroup(
            plate,
            max(group, key=lambda p: p.plate_score).plate_color,
            len(group),
            group[-1].captured_at,
            group[0].captured_at,
        )
        for plate, group in by_plate.items()
    )


def _answer(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    query: dict[str, str],
    values: dict[str, Any],
    errors: dict[str, str] | None = None,
) -> Response:
    return render(
        request,
        "search.html",
        page="search",
        account=account,
        query=query,
        errors=errors or {},
        purposes=context.settings.search.purposes,
        fields=FIELDS,
        may_export=account.role.covers(Role.OFFICER),
        **values,
    )


def _raw(view: PassageView) -> str:
    return json.dumps(asdict(view), ensure_ascii=False, indent=2, default=str)
