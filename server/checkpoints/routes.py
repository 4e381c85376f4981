"""Checkpoints and agents, for people."""

from fastapi import APIRouter

from server.auth.guards import Operator
from server.checkpoints.service import AgentView, CheckpointView, list_agents, list_checkpoints
from server.context import Context

router = APIRouter(prefix="/api/v1", tags=["checkpoints"])


@router.get("/checkpoints")
def get_checkpoints(_account: Operator, context: Context) -> tuple[CheckpointView, ...]:
    """List checkpoints with cameras, their state and the latest passage."""
    with context.database.read() as session:
        return list_checkpoints(session)


@router.get("/agents")
def get_agents(_account: Operator, context: Context) -> tuple[AgentView, ...]:
    """List agents with their last heartbeat."""
    with context.database.read() as session:
        return list_agents(session)
