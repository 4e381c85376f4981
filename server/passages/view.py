"""A passage as it is shown: what was sent, where that was, what the server noted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
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


_BEFORE_THE_PLACE = attrgetter(
    "passage_id",
    "plate",
    "plate_state",
    "plate_color",
    "plate_kind",
    "plate_score",
    "captured_at",
    "received_at",
)
_BEHIND_THE_PLACE = attrgetter(
    "camera_id",
    "agent_id",
    "direction",
    "lane",
    "speed_kmh",
    "vehicle_color",
    "clock_flag",
    "clock_offset_ms",
    "delivery",
)
"""What a view has of a row as it is, in the order of its fields; fetched in one go each."""


def view_of(row: Passage | Row[Any], place: CheckpointPlace | None) -> PassageView:
    """Build the view of a passage, or of a row of its columns (:data:`COLUMNS`).

    A checkpoint that is no longer registered shows its identifier.
    """
    detail = row.detail
    if place is None:
        place = CheckpointPlace(row.checkpoint_id, row.checkpoint_id, "", 0.0, 0.0, "", "")
    quad = detail.quad_px
    values: tuple[Any, ...] = (
        *_BEFORE_THE_PLACE(row),
        place,
        *_BEHIND_THE_PLACE(row),
        tuple(detail.characters()),
        detail.track(row.captured_at),
        detail.models(),
        evidence_views(row),
        None if quad is None else (quad[0:2], quad[2:4], quad[4:6], quad[6:8]),
        detail.box_px,
    )
    return PassageView(*values)
