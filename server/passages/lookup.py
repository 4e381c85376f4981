"""Looking passages up and answering for it: what needs a purpose, and what is recorded.

* Naming a plate or a pattern always needs a purpose (查询事由) and a case number (案件编号).
* Looking through what passed lately, without naming a plate, does not: that is the running
  picture of the road (``search.browse_hours``). Going further back does.
* A single passage may be opened by whoever may search; that is recorded, with the purpose if one
  is given.

Each account is written in the transaction of its answer.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from server import audit
from server.auth.accounts import Account
from server.errors import InvalidRequest
from server.passages.search import (
    PassagePage,
    PassageQuery,
    get_passage,
    normal_pattern,
    search_passages,
)
from server.passages.view import PassageView
from server.settings import SearchSettings


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Who asks, from where, when, and with what reason; unchecked as yet."""

    account: Account
    address: str
    now: datetime
    purpose: str | None = None
    case_number: str | None = None


def is_running_picture(query: PassageQuery, now: datetime, settings: SearchSettings) -> bool:
    """Whether a query only looks at what passed lately: no purpose, no account, read-only."""
    floor = now - timedelta(hours=settings.browse_hours)
    return query.plate is None and (query.since is None or query.since >= floor)


def look_up_passages(
    session: Session, query: PassageQuery, inquiry: Inquiry, settings: SearchSettings
) -> PassagePage:
    """Search on somebody's behalf; accounted for, unless it is the running picture.

    The account needs a writing transaction.

    Raises:
        PurposeMissing: the query needs a purpose and a case number.
        InvalidRequest: the query is not usable.
    """
    if not 1 <= query.limit <= settings.max_page:
        raise InvalidRequest(f"limit: 1 to {settings.max_page}", field="limit")
    query = replace(query, since=in_utc("since", query.since), until=in_utc("until", query.until))
    if is_running_picture(query, inquiry.now, settings):
        floor = inquiry.now - timedelta(hours=settings.browse_hours)
        return search_passages(session, replace(query, since=query.since or floor))
    purpose = audit.stated_purpose(inquiry.purpose, inquiry.case_number, settings.purposes)
    page = search_passages(session, query)
    audit.record(
        session,
        now=inquiry.now,
        user_name=inquiry.account.name,
        address=inquiry.address,
        action="passage.search",
        purpose=purpose,
        detail={
            "plate": normal_pattern(query.plate) if query.plate is not None else None,
            "since": query.since.isoformat() if query.since else None,
            "until": query.until.isoformat() if query.until else None,
            "checkpoints": list(query.checkpoint_ids),
            "further_page": query.cursor is not None,
            "found": len(page.passages),
        },
    )
    return page


def open_passage(
    session: Session, passage_id: UUID, inquiry: Inquiry, settings: SearchSettings
) -> PassageView:
    """Open one passage on somebody's behalf; needs a writing transaction.

    Raises:
        NotFound: no such passage.
        InvalidRequest: a purpose is given that is not on the list.
    """
    given = inquiry.purpose or inquiry.case_number
    purpose = (
        audit.stated_purpose(inquiry.purpose, inquiry.case_number, settings.purposes)
        if given
        else None
    )
    passage = get_passage(session, passage_id)
    audit.record(
        session,
        now=inquiry.now,
        user_name=inquiry.account.name,
        address=inquiry.address,
        action="passage.open",
        purpose=purpose,
        detail={"passage": str(passage_id), "plate": passage.plate},
    )
    return passage


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
