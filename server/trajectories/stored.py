"""Passages as a route takes them from the database: thousands are read, and few are looked at closely."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Text, type_coerce

from server.checkpoints.service import CheckpointPlace
from server.detail import unpack
from server.packed.sightings import COLUMNS as SEEN
from server.packed.sightings import Row as Seen
from server.passages.view import COLUMNS, PassageView, view_of
from server.tables import Passage

_FIRST: Final = (
    Passage.passage_id,
    Passage.plate,
    Passage.plate_color,
    Passage.plate_kind,
    Passage.plate_score,
    Passage.captured_at,
    Passage.vehicle_color,
)
_READY: Final = len(_FIRST)
_DETAIL: Final = Passage.__table__.c.detail
PACKED: Final = (
    *_FIRST,
    Passage.checkpoint_id,
    type_coerce(_DETAIL, Text).label("detail"),
    *(
        column
        for column in COLUMNS
        if column is not _DETAIL
        and column.name not in {one.key for one in (*_FIRST, Passage.checkpoint_id)}
    ),
)
"""What a statement selects whose rows become :class:`StoredPassage`: every column, details packed."""
_NAMES: Final = frozenset(field.name for field in fields(PassageView))
_SEEN: Final = {column.key: place for place, column in enumerate(SEEN) if column.key in _NAMES}
"""Where in a row of what was seen each of its fields stands."""


class StoredPassage(PassageView):
    """A passage whose pictures, characters and track are unpacked when somebody asks for them."""

    __slots__ = ("_row",)

    def __init__(self, row: Row[Any], place: CheckpointPlace) -> None:
        """``row`` of :data:`PACKED`."""
        passage_id, plate, plate_color, plate_kind, plate_score, captured_at, vehicle_color = row[
            :_READY
        ]
        keep = object.__setattr__
        keep(self, "_row", row)
        keep(self, "checkpoint", place)
        keep(self, "passage_id", passage_id)
        keep(self, "plate", plate)
        keep(self, "plate_color", plate_color)
        keep(self, "plate_kind", plate_kind)
        keep(self, "plate_score", plate_score)
        keep(self, "captured_at", captured_at)
        keep(self, "vehicle_color", vehicle_color)

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there yet: fill in everything."""
        if name not in _NAMES:
            raise AttributeError(name)
        row = self._row._asdict()
        row["detail"] = unpack(row["detail"])
        whole = view_of(SimpleNamespace(**row), self.checkpoint)  # type: ignore[arg-type]
        for one in _NAMES:
            object.__setattr__(self, one, getattr(whole, one))
        return getattr(whole, name)


class SeenPassage(PassageView):
    """A passage of which only that is known which a route is built of; nothing of its pictures."""

    __slots__ = ("_row",)

    def __init__(self, row: Seen, place: CheckpointPlace) -> None:
        """``row`` as :mod:`server.packed.sightings` reads it."""
        keep = object.__setattr__
        keep(self, "_row", row)
        keep(self, "checkpoint", place)
        keep(self, "captured_at", row[1])

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there yet, which is asked of few: fill it in."""
        if name not in _SEEN:
            raise AttributeError(name)
        value = self._row[_SEEN[name]]
        if name == "passage_id":
            value = UUID(bytes=value)
        object.__setattr__(self, name, value)
        return value
