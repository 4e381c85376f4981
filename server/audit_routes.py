"""The audit log, for administrators. That somebody searches it is on the log too."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from server.audit import AuditView
from server.audit_search import AuditQuery, look_up_audit
from server.auth.guards import Administrator, ClientAddress
from server.context import Context
from server.passages.lookup import in_utc

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

Word = Annotated[str | None, Query(max_length=200)]


@router.get("")
def get_records(  # noqa: PLR0913 - a query's parameters
    account: Administrator,
    address: ClientAddress,
    context: Context,
    *,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before_seq: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    user_name: Word = None,
    case_number: Word = None,
    action: Annotated[
        str | None, Query(max_length=40, description="passage.search, or passage for all of them.")
    ] = None,
    purpose: Word = None,
    plate: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[AwareDatetime | None, Query(description="Inclusive.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Exclusive.")] = None,
) -> tuple[AuditView, ...]:
    """Search the log, newest first."""
    query = AuditQuery(
        user_name=user_name,
        case_number=case_number,
        action=action,
        purpose=purpose,
        plate=plate,
        since=in_utc("since", since),
        until=in_utc("until", until),
        before_seq=before_seq,
        limit=limit,
    )
    with context.database.write() as session:
        return look_up_audit(session, query, account, address, context.clock())
