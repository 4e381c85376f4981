"""A passage as it is shown: what was sent, where that was, what the server noted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from server.checkpoints.service import CheckpointPlace
from server.passages.pictures import EvidenceView, evidence_views
from server.tables import Passage


@dataclass(frozen=True, slots=True)
class PassageView:
    """One passage. ``plate`` is '' if unread; '?' stands for one unread place."""

    passage_id: UUID
    plate: str
    plate_state: str
    plate_color: str
    plate_kind: str
    plate_score: float
    captured_at: datetime
    received_at: datetime
    checkpoint: CheckpointPlace
    camera_id: str
    agent_id: str
    direction: str
    lane: int | None
    speed_kmh: float | None
    vehicle_color: str
    clock_flag: str
    clock_offset_ms: float | None
    delivery: str
    characters: tuple[Mapping[str, Any], ...]
    track: Mapping[str, Any]
    models: Mapping[str, Any]
    evidence: tuple[EvidenceView, ...]
    plate_quad_px: tuple[tuple[float, float], ...] | None
    vehicle_box_px: tuple[float, ...] | None

    def picture(self, role: str) -> EvidenceView | None:
        """The first picture with that role (``scene``, ``vehicle``, ``plate``), or None."""
        return next((picture for picture in self.evidence if picture.role == role), None)


def view_of(row: Passage, place: CheckpointPlace | None) -> PassageView:
    """Build the view; a checkpoint that is no longer registered shows its identifier."""
    quad, box = row.plate_quad_px, row.vehicle_box_px
    return PassageView(
        passage_id=row.passage_id,
        plate=row.plate,
        plate_state=row.plate_state,
        plate_color=row.plate_color,
        plate_kind=row.plate_kind,
        plate_score=row.plate_score,
        captured_at=row.captured_at,
        received_at=row.received_at,
        checkpoint=place
        or CheckpointPlace(row.checkpoint_id, row.checkpoint_id, "", 0.0, 0.0, "", ""),
        camera_id=row.camera_id,
        agent_id=row.agent_id,
        direction=row.direction,
        lane=row.lane,
        speed_kmh=row.speed_kmh,
        vehicle_color=row.vehicle_color,
        clock_flag=row.clock_flag,
        clock_offset_ms=row.clock_offset_ms,
        delivery=row.delivery,
        characters=tuple(row.characters),
        track=row.track,
        models=row.models,
        evidence=evidence_views(row),
        plate_quad_px=tuple((x, y) for x, y in quad) if quad is not None else None,
        vehicle_box_px=tuple(box) if box is not None else None,
    )
