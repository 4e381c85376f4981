"""Passages and their pictures, for people."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from pydantic import AwareDatetime

from server.auth.guards import ClientAddress, Operator
from server.context import Context
from server.errors import NotFound
from server.passages.lookup import Inquiry, is_running_picture, look_up_passages, open_passage
from server.passages.search import PassagePage, PassageQuery
from server.passages.view import PassageView

router = APIRouter(tags=["passages"])


@router.get("/api/v1/passages")
def get_passages(  # noqa: PLR0913 - a query's parameters
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    plate: Annotated[str | None, Query(max_length=64, description="May hold ? and *.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Inclusive.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Exclusive.")] = None,
    checkpoint_id: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006 - copied by FastAPI
    limit: int = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    purpose: str | None = None,
    case_number: str | None = None,
) -> PassagePage:
    """Search, newest first. Naming a plate, or going far back, needs purpose and case number."""
    query = PassageQuery(
        plate=plate,
        since=since,
        until=until,
        checkpoint_ids=tuple(checkpoint_id),
        limit=limit,
        cursor=cursor,
    )
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    search = context.settings.search
    running = is_running_picture(query, inquiry.now, search)
    with context.database.read() if running else context.database.write() as session:
        return look_up_passages(session, query, inquiry, search)


@router.get("/api/v1/passages/{passage_id}")
def get_passage(  # noqa: PLR0913 - who, from where, which, why
    passage_id: UUID,
    account: Operator,
    address: ClientAddress,
    context: Context,
    *,
    purpose: str | None = None,
    case_number: str | None = None,
) -> PassageView:
    """Give one passage with everything known of it; recorded."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    with context.database.write() as session:
        return open_passage(session, passage_id, inquiry, context.settings.search)


@router.get("/evidence/{sha256}", response_class=FileResponse)
def get_evidence(sha256: str, _account: Operator, context: Context) -> FileResponse:
    """Give a picture. Its name is its content, so a browser may keep it."""
    try:
        path = context.evidence.path(sha256)
    except ValueError:
        raise NotFound("no such picture") from None
    if not path.is_file():
        raise NotFound("no such picture")
    return FileResponse(
        path,
        media_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=86400, immutable"},
    )
