"""Where passages come from: checkpoints, cameras, agents and their tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Float, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, Base, JsonValue


class Checkpoint(Base):
    """A place on the road (卡口), watched by one or more cameras."""

    __tablename__ = "checkpoint"
    __table_args__ = (
        CheckConstraint("lat BETWEEN -90 AND 90", name="lat"),
        CheckConstraint("lon BETWEEN -180 AND 180", name="lon"),
    )

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100), default="")
    lat: Mapped[float] = mapped_column(Float, doc="WGS-84, degrees.")
    lon: Mapped[float] = mapped_column(Float, doc="WGS-84, degrees.")
    road: Mapped[str] = mapped_column(String(100), default="")
    direction: Mapped[str] = mapped_column(
        String(100), default="", doc="As said on the spot: 进城."
    )
    created_at: Mapped[datetime]


class Camera(Base):
    """One camera of a checkpoint; the name by which passages refer to it."""

    __tablename__ = "camera"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    bearing_deg: Mapped[float | None] = mapped_column(
        Float, doc="Where the lens looks, clockwise from north; null if unknown."
    )
    created_at: Mapped[datetime]
    # the last word of its agent
    connected: Mapped[bool | None]
    frames_per_s: Mapped[float | None] = mapped_column(Float)
    last_frame_at: Mapped[datetime | None]
    fault: Mapped[str | None] = mapped_column(String(200))
    reported_at: Mapped[datetime | None]


class Agent(Base):
    """An edge box, and its last heartbeat."""

    __tablename__ = "agent"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime | None] = mapped_column(doc="Server time of the last heartbeat.")
    heartbeat: Mapped[dict[str, Any] | None] = mapped_column(JsonValue, doc="As sent, wire v1.")


class AgentToken(Base):
    """A credential of an agent; only its SHA-256 is kept."""

    __tablename__ = "agent_token"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class AgentCamera(Base):
    """Which cameras an agent may speak for."""

    __tablename__ = "agent_camera"

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    camera_id: Mapped[str] = mapped_column(ForeignKey("camera.id"), primary_key=True, index=True)
