"""The audit log, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query

from server import audit
from server.audit import AuditView
from server.auth.guards import Administrator
from server.context import Context

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
def get_records(
    _account: Administrator,
    context: Context,
    *,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before_seq: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    user_name: str | None = None,
    case_number: str | None = None,
) -> tuple[AuditView, ...]:
    """List records, newest first."""
    with context.database.read() as session:
        return audit.recent(
            session,
            limit=limit,
            before_seq=before_seq,
            user_name=user_name,
            case_number=case_number,
        )
