"""A passage as it is shown: what was sent, where that was, what the server noted.

Alone with all of it, in a list without what fills the most room and nobody compares: characters
with their alternatives, track, models and corners.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, type_coerce

from server.checkpoints.service import CheckpointPlace
from server.passages.pictures import EvidenceView, Pictures, evidence_views
from server.shown import Shown
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


class PassageSummary(Shown, frozen=True):
    """One passage of a list; what is left out of it :class:`PassageView` has."""

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
    evidence: Pictures

    def picture(self, role: str) -> EvidenceView | None:
        """The first picture with that role (``scene``, ``vehicle``, ``plate``), or None."""
        return next((picture for picture in self.evidence if picture.role == role), None)


_HEAD = PassageSummary.__struct_fields__.index("checkpoint")
_TAIL = len(PassageSummary.__struct_fields__) - 2
SUMMARY: tuple[ColumnElement[Any], ...] = (
    *(
        Passage.__table__.c[name]
        for name in PassageSummary.__struct_fields__
        if name not in {"checkpoint", "evidence"}
    ),
    Passage.__table__.c.checkpoint_id,
    type_coerce(Passage.__table__.c.detail, Text).label("detail"),
)
"""What a statement selects whose rows are listed: in the order of the summary, details packed."""


def summary_of(row: Row[Any], place: CheckpointPlace | None) -> PassageSummary:
    """Build what a list shows of a row of :data:`SUMMARY`."""
    if place is None:
        place = _unregistered(row.checkpoint_id)
    values: tuple[Any, ...] = (*row[:_HEAD], place, *row[_HEAD:_TAIL], Pictures(row))
    return PassageSummary(*values)


def _unregistered(checkpoint_id: str) -> CheckpointPlace:
    return CheckpointPlace(checkpoint_id, checkpoint_id, "", 0.0, 0.0, "", "")


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
        place = _unregistered(row.checkpoint_id)
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
