"""Checkpoints and agents, for people."""

from fastapi import APIRouter

from server.auth.guards import Operator
from server.auth.sight import sight_of
from server.checkpoints.service import AgentView, CheckpointView, list_agents, list_checkpoints
from server.context import Context

router = APIRouter(prefix="/api/v1", tags=["checkpoints"])


@router.get("/checkpoints")
def get_checkpoints(account: Operator, context: Context) -> tuple[CheckpointView, ...]:
    """List the checkpoints of one's areas with cameras, their state and the latest passage."""
    now = context.clock()
    with context.database.read() as session:
        sight = sight_of(session, account, now, context.settings)
        return tuple(c for c in list_checkpoints(session, now) if sight.covers(c.place.id))


@router.get("/agents")
def get_agents(_account: Operator, context: Context) -> tuple[AgentView, ...]:
    """List agents with their last heartbeat."""
    with context.database.read() as session:
        return list_agents(session)
