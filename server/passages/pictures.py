"""Pictures of passages: shown to whoever may see the passage that names them.

A picture's name is the hash of its content, which says nothing of whose it is, so its address
says which passage it belongs to: by checkpoint, time and identifier, one step down an index, and
without the plate, which has no business in an address. The passage is looked up each time as for
any other look at it: what is protected, out of one's area or too old by now is not shown by an
address that was given out before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server import holds
from server.auth.sight import Sight
from server.detail import PassageDetail, Picture, instant_text, unpack_pictures
from server.shown import ShownLater
from server.tables import Passage, PassageHold


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """A picture of a passage; its bytes are at ``url``."""

    role: str
    sha256: str
    url: str
    width_px: int
    height_px: int
    captured_at: str


@dataclass(frozen=True, slots=True)
class PictureOf:
    """The passage that a picture's address names."""

    checkpoint_id: str
    captured_at: datetime
    passage_id: UUID


_quoted = lru_cache(4096)(quote)


def evidence_views(row: Passage | Row[Any]) -> tuple[EvidenceView, ...]:
    """The pictures of a passage, or of a row of its columns."""
    detail: PassageDetail = row.detail
    return _views(detail.evidence_, row.captured_at, row.checkpoint_id, row.passage_id)


def _views(
    pictures: Iterable[Picture], captured_at: datetime, checkpoint_id: str, passage_id: UUID
) -> tuple[EvidenceView, ...]:
    at = instant_text(captured_at, 0)
    # an instant and a UUID hold nothing that an address would have to escape
    of = f"?checkpoint_id={_quoted(checkpoint_id)}&captured_at={at}&passage_id={passage_id}"
    return tuple(
        [
            EvidenceView(
                role,
                sha256,
                f"/evidence/{sha256}{of}",
                width_px,
                height_px,
                instant_text(captured_at, offset_us) if offset_us else at,
            )
            for role, sha256, _, width_px, height_px, offset_us in pictures
        ]
    )


class Pictures(ShownLater[EvidenceView]):
    """The pictures of a passage in a list; taken out of what is packed when somebody looks."""

    __slots__ = ("_row", "_views")

    def __init__(self, row: Row[Any]) -> None:
        """``row`` holds ``captured_at``, ``checkpoint_id``, ``passage_id`` and the packed ``detail``."""
        self._row = row
        self._views: tuple[EvidenceView, ...] | None = None

    def all(self) -> tuple[EvidenceView, ...]:
        """Give all of them."""
        if self._views is None:
            row = self._row
            pictures = unpack_pictures(row.detail)
            self._views = _views(pictures, row.captured_at, row.checkpoint_id, row.passage_id)
        return self._views

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        """In the OpenAPI document: a list."""
        return handler.generate_schema(tuple[EvidenceView, ...])


def may_see_picture(session: Session, sha256: str, of: PictureOf, sight: Sight) -> bool:
    """Whether a passage names a picture, and is one that the asker may see.

    What an alert holds may be seen at any age, as the alert may.
    """
    row = session.scalar(
        select(Passage).where(
            Passage.checkpoint_id == of.checkpoint_id,
            Passage.captured_at == of.captured_at,
            Passage.passage_id == of.passage_id,
            *sight.conditions(Passage),
        )
    )
    if row is None or sha256 not in row.detail.pictures():
        return False
    if sight.floor is None or row.captured_at >= sight.floor:
        return True
    key = (row.plate, row.captured_at, row.passage_id, holds.FOR_ALERT)
    return session.get(PassageHold, key) is not None
