"""Checkpoints (卡口), with the map's roads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from anpr.plate import PlateColor, parse
from server.auth.guards import Operator
from server.auth.sight import sight_of
from server.checkpoints.service import (
    AgentView,
    CameraView,
    CheckpointPlace,
    CheckpointView,
    list_agents,
    list_checkpoints,
)
from server.context import Context
from server.errors import NotFound
from server.web.rendering import language_of, render

router = APIRouter(include_in_schema=False)

AGENT_LATE_AFTER = timedelta(seconds=90)
"""An agent that has been silent for longer is shown as without heartbeat."""


def likely_color(plate: str) -> str:
    """The usual ground of a plate with this text, for its badge; ``other`` where none is usual."""
    form = parse(plate).form
    return next(iter(form.kinds)).value if form else PlateColor.OTHER.value


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as the page shows it; ``state`` is a key of the texts' ``agent_state``."""

    place: CheckpointPlace
    cameras: tuple[CameraView, ...]
    last_passage_at: datetime | None
    state: str
    tone: str
    heartbeat_at: datetime | None
    queue: int | None
    """Passages that its agents still hold; None if no agent has said."""
    dead_letters: int
    boxes: tuple["BoxRow", ...] = ()


@dataclass(frozen=True, slots=True)
class BoxRow:
    """An agent's box as its last heartbeat tells it; what it did not say is None."""

    agent_id: str
    version: str
    alarms: tuple[str, ...]
    """Codes; keys of the texts' ``alarm``."""
    temperature_c: float | None
    disk_free_share: float | None
    watchlist_revision: int | None
    clock_offset_ms: float | None


def checkpoint_row(
    checkpoint: CheckpointView, agents: Sequence[AgentView], now: datetime
) -> CheckpointRow:
    """Judge a checkpoint by the last word of the agents that speak for its cameras."""
    ours = {agent_id for camera in checkpoint.cameras for agent_id in camera.agent_ids}
    said_at = [a.heartbeat_at for a in agents if a.id in ours and a.heartbeat_at is not None]
    beats: list[Any] = [a.heartbeat for a in agents if a.id in ours and a.heartbeat]
    if not said_at:
        state, tone = "never", ""
    elif any(a.heartbeat_at is None or now - a.heartbeat_at > AGENT_LATE_AFTER
             for a in agents if a.id in ours):  # fmt: skip
        state, tone = "late", "bad"
    elif any(camera.fault or camera.connected is False for camera in checkpoint.cameras):
        state, tone = "faulty", "warn"
    elif any(beat.get("alarms") for beat in beats):
        state, tone = "alarmed", "warn"
    else:
        state, tone = "online", "ok"
    return CheckpointRow(
        place=checkpoint.place,
        cameras=checkpoint.cameras,
        last_passage_at=checkpoint.last_passage_at,
        state=state,
        tone=tone,
        heartbeat_at=max(said_at, default=None),
        queue=sum(beat["queue_passages"] for beat in beats) if beats else None,
        dead_letters=sum(beat["dead_letters"] for beat in beats),
        boxes=tuple(box_row(a.id, a.heartbeat) for a in agents if a.id in ours and a.heartbeat),
    )


def box_row(agent_id: str, beat: Mapping[str, Any]) -> BoxRow:
    """A box by its heartbeat, of whatever version of the agent."""
    free, total = beat.get("disk_free_bytes"), beat.get("disk_total_bytes")
    return BoxRow(
        agent_id=agent_id,
        version=beat.get("version", ""),
        alarms=tuple(beat.get("alarms", ())),
        temperature_c=beat.get("temperature_c"),
        disk_free_share=free / total if free is not None and total else None,
        watchlist_revision=beat.get("watchlist_revision"),
        clock_offset_ms=(beat.get("clock") or {}).get("offset_ms"),
    )


@router.get("/checkpoints")
def checkpoints(request: Request, context: Context, account: Operator) -> Response:
    """All checkpoints on the map and in a table."""
    now = context.clock()
    with context.database.read() as session:
        agents = list_agents(session)
        sight = sight_of(session, account, now, context.settings)
        rows = [
            checkpoint_row(one, agents, now)
            for one in list_checkpoints(session, now)
            if sight.covers(one.place.id)
        ]
    return render(
        request,
        "checkpoints.html",
        page="checkpoints",
        account=account,
        checkpoints=rows,
        geojson=checkpoints_geojson(rows, language_of(request)),
    )


def checkpoints_geojson(rows: Sequence[CheckpointRow], language: str) -> dict[str, Any]:
    """A FeatureCollection of points ``[lon, lat]``, WGS-84, with ``key``, ``name``, ``tone``."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [row.place.lon, row.place.lat]},
                "properties": {
                    "key": row.place.id,
                    "name": (row.place.name_en if language == "en" else "") or row.place.name,
                    "tone": row.tone,
                },
            }
            for row in rows
        ],
    }


@router.get("/map/roads.geojson")
def roads(context: Context, _account: Operator) -> Response:
    """The roads under the map, as the site provides them; none is an empty map."""
    file = context.settings.map.roads_file
    if file is None:
        return JSONResponse({"type": "FeatureCollection", "features": []})
    if not file.is_file():
        raise NotFound(f"map.roads_file: no such file: {file.name}")
    return FileResponse(
        file, media_type="application/geo+json", headers={"Cache-Control": "private, no-cache"}
    )
