"""Agents: bearer tokens, kept hashed, revocable, bound to cameras."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from server.auth.accounts import token_hash
from server.errors import InvalidRequest, NotFound
from server.tables import Agent, AgentCamera, AgentToken, Camera

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """An agent that has shown a valid token."""

    agent_id: str
    checkpoint_of_camera: Mapping[str, str]
    """Cameras it may speak for, each with its checkpoint."""


def register_agent(session: Session, agent_id: str, now: datetime, name: str = "") -> None:
    """Make an agent known; doing so again is harmless.

    Raises:
        InvalidRequest: the identifier is not of the required form.
    """
    if not _NAME.fullmatch(agent_id):
        raise InvalidRequest(
            "agent: 1 to 64 letters, digits, dots, underscores, hyphens", field="agent"
        )
    agent = session.get(Agent, agent_id)
    if agent is None:
        session.add(Agent(id=agent_id, name=name, created_at=now))
        session.flush()
    elif name:
        agent.name = name


def bind_camera(session: Session, agent_id: str, camera_id: str) -> None:
    """Let an agent speak for a camera; doing so again is harmless.

    Raises:
        NotFound: no such agent or camera.
    """
    if session.get(Agent, agent_id) is None:
        raise NotFound(f"no agent {agent_id}")
    if session.get(Camera, camera_id) is None:
        raise NotFound(f"no camera {camera_id}")
    if session.get(AgentCamera, (agent_id, camera_id)) is None:
        session.add(AgentCamera(agent_id=agent_id, camera_id=camera_id))
        session.flush()


def issue_token(session: Session, agent_id: str, now: datetime) -> str:
    """Make a token and return it, which is shown this once; older ones stay valid until revoked.

    Raises:
        NotFound: no such agent.
    """
    if session.get(Agent, agent_id) is None:
        raise NotFound(f"no agent {agent_id}")
    token = secrets.token_urlsafe(32)
    session.add(AgentToken(agent_id=agent_id, token_sha256=token_hash(token), created_at=now))
    session.flush()
    return token


def revoke_tokens(session: Session, agent_id: str, now: datetime) -> int:
    """Revoke all tokens of an agent and return how many there were.

    Raises:
        NotFound: no such agent.
    """
    if session.get(Agent, agent_id) is None:
        raise NotFound(f"no agent {agent_id}")
    revoked = session.execute(
        update(AgentToken)
        .where(AgentToken.agent_id == agent_id, AgentToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(AgentToken.id)
    ).all()
    return len(revoked)


def is_valid_token(session: Session, agent_id: str, token: str) -> bool:
    """Whether a token is that agent's and not revoked."""
    found = session.scalar(
        select(AgentToken.id).where(
            AgentToken.agent_id == agent_id,
            AgentToken.token_sha256 == token_hash(token),
            AgentToken.revoked_at.is_(None),
        )
    )
    return found is not None


def identity_of(session: Session, token: str) -> AgentIdentity | None:
    """Which agent holds this token, if it is not revoked."""
    agent_id = session.scalar(
        select(AgentToken.agent_id).where(
            AgentToken.token_sha256 == token_hash(token), AgentToken.revoked_at.is_(None)
        )
    )
    if agent_id is None:
        return None
    bound = session.execute(
        select(Camera.id, Camera.checkpoint_id)
        .join(AgentCamera, AgentCamera.camera_id == Camera.id)
        .where(AgentCamera.agent_id == agent_id)
    )
    return AgentIdentity(agent_id, {row.id: row.checkpoint_id for row in bound})
