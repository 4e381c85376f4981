"""The registry: where checkpoints and cameras are, what their agents last said of themselves."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from server.auth.agents import AgentIdentity
from server.db import among, among_given, is_sqlite
from server.errors import InvalidRequest, NotFound
from server.tables import Agent, AgentCamera, Camera, Checkpoint, Passage
from server.wire import Heartbeat

_LOOKS_BACK = (
    timedelta(minutes=10),
    timedelta(hours=2),
    timedelta(days=1),
    timedelta(days=12),
    timedelta(days=144),
    None,
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """A checkpoint, as passages, alerts and routes refer to it. Position WGS-84, degrees."""

    id: str
    name: str
    name_en: str
    lat: float
    lon: float
    road: str
    direction: str


@dataclass(frozen=True, slots=True)
class CameraView:
    """A camera and the last word of its agent about it."""

    id: str
    name: str
    bearing_deg: float | None
    connected: bool | None
    frames_per_s: float | None
    last_frame_at: datetime | None
    fault: str | None
    reported_at: datetime | None
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A checkpoint with its cameras and its latest passage."""

    place: CheckpointPlace
    cameras: tuple[CameraView, ...]
    last_passage_at: datetime | None


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent and its last heartbeat (as sent; None if it never sent one)."""

    id: str
    name: str
    heartbeat_at: datetime | None
    heartbeat: Mapping[str, Any] | None
    camera_ids: tuple[str, ...]


_PLACES = select(
    Checkpoint.id,
    Checkpoint.name,
    Checkpoint.name_en,
    Checkpoint.lat,
    Checkpoint.lon,
    Checkpoint.road,
    Checkpoint.direction,
)
"""In the order of :class:`CheckpointPlace`."""


def put_checkpoint(session: Session, place: CheckpointPlace, now: datetime) -> None:
    """Add a checkpoint, or bring a known one up to date.

    Raises:
        InvalidRequest: the identifier or the position is not possible.
    """
    _require_name(place.id, "checkpoint id")
    if not (-90 <= place.lat <= 90 and -180 <= place.lon <= 180):
        raise InvalidRequest(
            f"checkpoint {place.id}: lat is -90 to 90, lon -180 to 180 degrees", field="lat"
        )
    row = session.get(Checkpoint, place.id)
    if row is None:
        row = Checkpoint(id=place.id, created_at=now)
        session.add(row)
    row.name, row.name_en = place.name, place.name_en
    row.lat, row.lon = place.lat, place.lon
    row.road, row.direction = place.road, place.direction
    session.flush()


def put_camera(  # noqa: PLR0913 - the parts of a camera
    session: Session,
    *,
    camera_id: str,
    checkpoint_id: str,
    now: datetime,
    name: str = "",
    bearing_deg: float | None = None,
) -> None:
    """Add a camera to a checkpoint, or bring a known one up to date.

    Raises:
        InvalidRequest: the identifier or the bearing is not possible.
        NotFound: no such checkpoint.
    """
    _require_name(camera_id, "camera id")
    if bearing_deg is not None and not 0 <= bearing_deg <= 360:
        raise InvalidRequest(f"camera {camera_id}: bearing_deg is 0 to 360", field="bearing_deg")
    if session.get(Checkpoint, checkpoint_id) is None:
        raise NotFound(f"no checkpoint {checkpoint_id}")
    row = session.get(Camera, camera_id)
    if row is None:
        row = Camera(id=camera_id, created_at=now)
        session.add(row)
    row.checkpoint_id, row.name, row.bearing_deg = checkpoint_id, name, bearing_deg
    session.flush()


def places(session: Session, ids: Iterable[str] | None = None) -> dict[str, CheckpointPlace]:
    """These checkpoints, or all of them, by identifier."""
    session.flush()
    if ids is None:
        rows = session.connection().execute(_PLACES)
    elif wanted := sorted(set(ids)):
        statement = _places_given(sqlite=is_sqlite(session))
        rows = session.connection().execute(statement, {"ids": wanted})
    else:
        return {}
    return {row[0]: CheckpointPlace(*row) for row in rows}


@cache
def _places_given(*, sqlite: bool) -> Select[str, str, str, float, float, str, str]:
    """Made once: every search asks."""
    return _PLACES.where(among_given(Checkpoint.id, "ids", sqlite=sqlite))


def list_checkpoints(session: Session, now: datetime) -> tuple[CheckpointView, ...]:
    """All checkpoints with cameras and latest passage, by identifier."""
    agents: dict[str, list[str]] = {}
    for agent_id, camera_id in session.execute(
        select(AgentCamera.agent_id, AgentCamera.camera_id).order_by(AgentCamera.agent_id)
    ):
        agents.setdefault(camera_id, []).append(agent_id)
    cameras: dict[str, list[CameraView]] = {}
    for row in session.scalars(select(Camera).order_by(Camera.id)):
        cameras.setdefault(row.checkpoint_id, []).append(_camera(row, agents.get(row.id, [])))
    rows = session.scalars(select(Checkpoint).order_by(Checkpoint.id)).all()
    last_at = last_passages(session, [row.id for row in rows], now)
    return tuple(
        CheckpointView(place_of(row), tuple(cameras.get(row.id, ())), last_at.get(row.id))
        for row in rows
    )


def last_passages(
    session: Session, checkpoint_ids: Iterable[str], now: datetime
) -> dict[str, datetime]:
    """When somebody passed each of these checkpoints last; those that nobody ever did are left out.

    Most have seen somebody in the last minutes. Only for the others it is looked further back, so
    that no look goes through much: what is silent has few passages.
    """
    found: dict[str, datetime] = {}
    silent = set(checkpoint_ids)
    for back in _LOOKS_BACK:
        if not silent:
            break
        query = (
            select(Passage.checkpoint_id, func.max(Passage.captured_at))
            .where(among(session, Passage.checkpoint_id, sorted(silent)))
            .group_by(Passage.checkpoint_id)
        )
        if back is not None:
            query = query.where(Passage.captured_at >= now - back)
        found.update((row[0], row[1]) for row in session.execute(query))
        silent.difference_update(found)
    return found


def list_agents(session: Session) -> tuple[AgentView, ...]:
    """All agents by identifier."""
    cameras: dict[str, list[str]] = {}
    for agent_id, camera_id in session.execute(
        select(AgentCamera.agent_id, AgentCamera.camera_id).order_by(AgentCamera.camera_id)
    ):
        cameras.setdefault(agent_id, []).append(camera_id)
    return tuple(
        AgentView(
            id=row.id,
            name=row.name,
            heartbeat_at=row.heartbeat_at,
            heartbeat=row.heartbeat,
            camera_ids=tuple(cameras.get(row.id, ())),
        )
        for row in session.scalars(select(Agent).order_by(Agent.id))
    )


def keep_heartbeat(
    session: Session, agent: AgentIdentity, heartbeat: Heartbeat, now: datetime
) -> None:
    """Store the last word of an agent; what it says of cameras that are not its own is ignored."""
    session.execute(
        update(Agent)
        .where(Agent.id == agent.agent_id)
        .values(heartbeat_at=now, heartbeat=heartbeat.model_dump(mode="json"))
    )
    for camera in heartbeat.cameras:
        if camera.camera_id in agent.checkpoint_of_camera:
            session.execute(
                update(Camera)
                .where(Camera.id == camera.camera_id)
                .values(
                    connected=camera.connected,
                    frames_per_s=camera.frames_per_s,
                    last_frame_at=camera.last_frame_at,
                    fault=camera.fault,
                    reported_at=now,
                )
            )


def place_of(row: Checkpoint) -> CheckpointPlace:
    """The place of a checkpoint's row."""
    return CheckpointPlace(
        id=row.id,
        name=row.name,
        name_en=row.name_en,
        lat=row.lat,
        lon=row.lon,
        road=row.road,
        direction=row.direction,
    )


def _camera(row: Camera, agent_ids: list[str]) -> CameraView:
    return CameraView(
        id=row.id,
        name=row.name,
        bearing_deg=row.bearing_deg,
        connected=row.connected,
        frames_per_s=row.frames_per_s,
        last_frame_at=row.last_frame_at,
        fault=row.fault,
        reported_at=row.reported_at,
        agent_ids=tuple(agent_ids),
    )


def _require_name(value: str, what: str) -> None:
    if not _NAME.fullmatch(value):
        raise InvalidRequest(
            f"{what} {value!r}: 1 to 64 letters, digits, dots, underscores, hyphens", field="id"
        )
