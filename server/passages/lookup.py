"""Looking passages up and answering for it: what needs a purpose, and what is recorded.

* Naming a plate or a pattern always needs a purpose (查询事由) and a case number (案件编号).
* Looking through what passed lately, by checkpoint and time alone, does not: that is the running
  picture of the road (``search.browse_hours``). Going further back does, and so does asking for a
  kind of vehicle, a road or an area.
* A single passage may be opened by whoever may search; that is recorded, with the purpose if one
  is given.

Each account is written in the transaction of its answer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from server import audit
from server.audit import Purpose
from server.auth.accounts import Account
from server.auth.sight import Sight, sight_of
from server.errors import InvalidRequest
from server.passages.known import KnownPlates
from server.passages.patterns import normal_pattern
from server.passages.plates import PlateQuery, PlatesFound, find_plates
from server.passages.search import (
    PassagePage,
    PassageQuery,
    get_passage,
    require_usable,
    search_passages,
)
from server.passages.view import PassageView
from server.settings import SearchSettings, Settings


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Who asks, from where, when, and with what reason; unchecked as yet."""

    account: Account
    address: str
    now: datetime
    purpose: str | None = None
    case_number: str | None = None


def is_running_picture(query: PassageQuery, now: datetime, settings: SearchSettings) -> bool:
    """Whether a query only looks at what passed lately: no purpose, no account, read-only.

    Of conditions it may have checkpoint and time alone: whoever asks for more is looking for
    somebody.
    """
    plain = PassageQuery(
        since=query.since,
        until=query.until,
        checkpoint_ids=query.checkpoint_ids,
        limit=query.limit,
        cursor=query.cursor,
    )
    floor = now - timedelta(hours=settings.browse_hours)
    return query == plain and (query.since is None or query.since >= floor)


def look_up_passages(  # noqa: PLR0913 - who asks what, of whom
    session: Session,
    query: PassageQuery,
    inquiry: Inquiry,
    settings: Settings,
    known: KnownPlates,
    *,
    always: bool = False,
) -> PassagePage:
    """Search on somebody's behalf; accounted for, unless it is the running picture.

    With ``always`` the running picture is accounted for too. The account needs a writing
    transaction.

    Raises:
        PurposeMissing: the query needs a purpose and a case number.
        InvalidRequest: the query is not usable.
        ApprovalNeeded: it goes further back than is open to him.
    """
    search = settings.search
    require_page(query.limit, search)
    query = replace(query, since=in_utc("since", query.since), until=in_utc("until", query.until))
    if not always and is_running_picture(query, inquiry.now, search):
        floor = inquiry.now - timedelta(hours=search.browse_hours)
        sight = sight_of(session, inquiry.account, inquiry.now, settings)
        query = replace(query, since=query.since or floor)
        return search_passages(session, query, sight, known, inquiry.now)
    purpose = stated(inquiry, settings)
    require_usable(query)
    sight = accounted_sight(session, inquiry, settings, query.plate)
    page = search_passages(session, query, sight, known, inquiry.now)
    record(session, inquiry, "passage.search", purpose, asked(query), found=len(page.passages))
    return page


def look_up_plates(
    session: Session,
    query: PlateQuery,
    inquiry: Inquiry,
    settings: Settings,
    known: KnownPlates,
) -> PlatesFound:
    """Find plates on somebody's behalf, always accounted for; needs a writing transaction.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: the query is not usable.
        ApprovalNeeded: it goes further back than is open to him.
    """
    require_page(query.limit, settings.search)
    query = replace(query, since=in_utc("since", query.since), until=in_utc("until", query.until))
    purpose = stated(inquiry, settings)
    pattern = normal_pattern(query.plate)
    sight = accounted_sight(session, inquiry, settings, pattern)
    found = find_plates(session, query, sight, known, inquiry.now)
    detail = {
        "plate": pattern,
        "changes": query.changes,
        "since": query.since.isoformat() if query.since else None,
        "until": query.until.isoformat() if query.until else None,
    }
    record(session, inquiry, "passage.plates", purpose, detail, found=len(found.plates))
    return found


def open_passage(
    session: Session, passage_id: UUID, inquiry: Inquiry, settings: Settings
) -> PassageView:
    """Open one passage on somebody's behalf; needs a writing transaction.

    Raises:
        NotFound: no such passage, or none that he may see.
        InvalidRequest: a purpose is given that is not on the list.
    """
    given = inquiry.purpose or inquiry.case_number
    purpose = stated(inquiry, settings) if given else None
    sight = accounted_sight(session, inquiry, settings, None)
    passage = get_passage(session, passage_id, sight)
    detail = {"passage": str(passage_id), "plate": passage.plate}
    record(session, inquiry, "passage.open", purpose, detail)
    return passage


def require_page(limit: int, settings: SearchSettings) -> None:
    """Refuse a page of no length, or of too much.

    Raises:
        InvalidRequest: so.
    """
    if not 1 <= limit <= settings.max_page:
        raise InvalidRequest(f"limit: 1 to {settings.max_page}", field="limit")


def stated(inquiry: Inquiry, settings: Settings) -> Purpose:
    """The purpose and the case of an inquiry.

    Raises:
        PurposeMissing: one of them is missing.
        InvalidRequest: the purpose is not on the list.
    """
    return audit.stated_purpose(inquiry.purpose, inquiry.case_number, settings.search.purposes)


def accounted_sight(
    session: Session, inquiry: Inquiry, settings: Settings, plate: str | None
) -> Sight:
    """What he may see who asks, for this case and this plate or pattern."""
    return sight_of(
        session,
        inquiry.account,
        inquiry.now,
        settings,
        case_number=inquiry.case_number,
        plate=normal_pattern(plate) if plate is not None else None,
    )


def record(
    session: Session,
    inquiry: Inquiry,
    action: str,
    purpose: Purpose | None,
    detail: Mapping[str, Any],
    **more: Any,
) -> None:
    """Put an act on the audit log, last in the transaction of its answer."""
    audit.record(
        session,
        now=inquiry.now,
        user_name=inquiry.account.name,
        address=inquiry.address,
        action=action,
        purpose=purpose,
        detail={**detail, **more},
    )


def asked(query: PassageQuery) -> dict[str, Any]:
    """A query as the audit log keeps it: plate, period, checkpoints, and whatever else was given."""
    detail: dict[str, Any] = {
        "plate": normal_pattern(query.plate) if query.plate is not None else None,
        "since": query.since.isoformat() if query.since else None,
        "until": query.until.isoformat() if query.until else None,
        "checkpoints": list(query.checkpoint_ids),
        "further_page": query.cursor is not None,
    }
    if query.circle is not None:
        circle = query.circle
        detail["circle"] = f"{circle.lon:.6f},{circle.lat:.6f},{circle.radius_m:.0f}"
    if query.polygon is not None:
        detail["polygon"] = [f"{lon:.6f},{lat:.6f}" for lon, lat in query.polygon.corners]
    said_already = {
        "plate",
        "since",
        "until",
        "checkpoint_ids",
        "circle",
        "polygon",
        "limit",
        "cursor",
    }
    for name, value in asdict(query).items():
        if name not in said_already and value not in (None, (), "", 0):
            # the log holds no fractions, so that its hash is the same everywhere
            if isinstance(value, tuple):
                detail[name] = list(value)
            else:
                detail[name] = f"{value:g}" if isinstance(value, float) else value
    return detail


def in_utc(field: str, instant: datetime | None) -> datetime | None:
    """An instant in UTC.

    Raises:
        InvalidRequest: it has no offset, or falls off the calendar.
    """
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise InvalidRequest(f"{field}: needs an offset, such as +08:00", field=field)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(f"{field}: off the calendar", field=field) from None
