"""Exports through the API: a file as a stream, its hash in ``X-Content-SHA256``."""

from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from server.auth.guards import ClientAddress, Officer
from server.context import Context
from server.exports.service import (
    MAX_PASSAGES,
    ExportedFile,
    export_package,
    export_passages,
)
from server.exports.trajectory import export_trajectory
from server.passages.lookup import Inquiry
from server.passages.routes import AskedPassages

router = APIRouter(prefix="/api/v1/exports", tags=["exports"])


@router.get("/passages.{ending}", response_class=StreamingResponse)
def get_passages(  # noqa: PLR0913 - what, who, from where, why, as what
    ending: Literal["csv", "xlsx", "geojson"],
    query: AskedPassages,
    account: Officer,
    address: ClientAddress,
    context: Context,
    *,
    purpose: str | None = None,
    case_number: str | None = None,
) -> StreamingResponse:
    """Give what a search finds as a file. Needs purpose and case number; limit and cursor are ignored."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    return answer(export_passages(context, query, inquiry, ending))


@router.get("/evidence.pdf", response_class=StreamingResponse)
def get_package(  # noqa: PLR0913 - what, who, from where, why
    passage_id: Annotated[list[UUID], Query(min_length=1, max_length=MAX_PASSAGES)],
    account: Officer,
    address: ClientAddress,
    context: Context,
    *,
    purpose: str | None = None,
    case_number: str | None = None,
) -> StreamingResponse:
    """Give an evidence package; the passages are held for the case. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    return answer(export_package(context, tuple(passage_id), inquiry))


@router.get("/trajectory.{ending}", response_class=StreamingResponse)
def get_trajectory(  # noqa: PLR0913 - what, who, from where, why, as what
    ending: Literal["geojson", "gpx", "kml", "pdf"],
    plate: str,
    account: Officer,
    address: ClientAddress,
    context: Context,
    *,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    purpose: str | None = None,
    case_number: str | None = None,
) -> StreamingResponse:
    """Give the route of a whole plate as a file. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), purpose, case_number)
    return answer(export_trajectory(context, plate, inquiry, ending, since=since, until=until))


def answer(made: ExportedFile) -> StreamingResponse:
    """The file as an answer that browsers save."""
    return StreamingResponse(
        made.chunks(),
        media_type=made.media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(made.name)}",
            "Content-Length": str(made.size_bytes),
            "Cache-Control": "no-store",
            "X-Content-SHA256": made.sha256,
        },
    )
