"""A passage as it is shown: what was sent, where that was, what the server noted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from server.checkpoints.service import CheckpointPlace
from server.passages.pictures import EvidenceView, evidence_views
from server.tables import Passage

COLUMNS = tuple(Passage.__table__.columns)
"""What a statement selects whose rows are only shown: whole objects, which the session watches for
changes, take as long again to make as PostgreSQL takes to find them."""


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


def view_of(row: Passage | Row[Any], place: CheckpointPlace | None) -> PassageView:
    """Build the view of a passage, or of a row of its columns (:data:`COLUMNS`).

    A checkpoint that is no longer registered shows its identifier.
    """
    detail, at = row.detail, row.captured_at
    quad, box = detail.plate_quad_px(), detail.box_px
    return PassageView(
        row.passage_id,
        row.plate,
        row.plate_state,
        row.plate_color,
        row.plate_kind,
        row.plate_score,
        at,
        row.received_at,
        place or CheckpointPlace(row.checkpoint_id, row.checkpoint_id, "", 0.0, 0.0, "", ""),
        row.camera_id,
        row.agent_id,
        row.direction,
        row.lane,
        row.speed_kmh,
        row.vehicle_color,
        row.clock_flag,
        row.clock_offset_ms,
        row.delivery,
        tuple(detail.characters()),
        detail.track(at),
        detail.models(),
        evidence_views(row),
        tuple((x, y) for x, y in quad) if quad is not None else None,
        None if box is None else tuple(box),
    )
