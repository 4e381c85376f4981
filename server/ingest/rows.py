"""A passage as a row: the values in the order of the columns, and their two spellings.

Rows go past SQLAlchemy: PostgreSQL takes them as COPY text, SQLite as plain tuples. What is
written here must be what :mod:`server.tables` reads back; a test compares them.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from anpr.plate import PROVINCES, is_rubbish, normalise
from server.detail import VERSION, PassageDetail, offset_us, pack
from server.ingest.message import PassageMessage

Key = tuple[str, datetime, UUID]
"""Plate, time, identifier: what makes a passage the same passage."""


class Row(NamedTuple):
    """The columns of ``passage``, in the order of :data:`COLUMNS`."""

    plate: str
    captured_at: datetime
    passage_id: UUID
    camera_id: str
    checkpoint_id: str
    agent_id: str
    plate_state: str
    plate_color: str
    plate_kind: str
    plate_score: float
    vehicle_color: str
    direction: str
    lane: int | None
    speed_kmh: float | None
    clock_synchronised: bool | None
    clock_offset_ms: float | None
    clock_flag: str
    delivery: str
    received_at: datetime
    detail: str

    @property
    def key(self) -> Key:
        """What recognises a repeat."""
        return self[:3]


COLUMNS = ", ".join(Row._fields)
_PLAIN = re.compile(f"[{PROVINCES}][A-HJ-NP-Z][0-9A-HJ-NP-Z]{{5,6}}").fullmatch
"""What nearly every plate looks like: spelled as it is stored, whatever the rules say."""


def spelled(text: str) -> tuple[str, bool]:
    """A plate as it is stored, and whether it can be matched and counted at all."""
    return (text, True) if _PLAIN(text) else _spelled(text)


@lru_cache(maxsize=100_000)
def _spelled(text: str) -> tuple[str, bool]:
    plate = normalise(text)[:16]
    return plate, not is_rubbish(plate)


def key_of(message: PassageMessage) -> Key:
    """The key under which a message will be stored."""
    return spelled(message.plate.text)[0], message.captured_at.astimezone(UTC), message.passage_id


def detail_of(message: PassageMessage) -> PassageDetail:
    """What is kept of a message besides the columns."""
    at, track, models = message.captured_at, message.track, message.models
    quad, match = message.plate_quad_px, message.local_match
    characters = []
    for character in message.plate.characters:
        place: list[str | float] = [character.char, character.score]
        for alternative in character.alternatives:
            place += (alternative.char, alternative.score)
        characters.append(tuple(place))
    return PassageDetail(
        VERSION,
        (models.agent, models.detector, models.recogniser),
        (
            offset_us(track.first_at, at),
            offset_us(track.last_at, at),
            track.frames,
            track.reads,
            track.votes,
        ),
        None if quad is None else (*quad[0], *quad[1], *quad[2], *quad[3]),
        message.vehicle_box_px,
        tuple(characters),
        tuple(
            (e.role, e.sha256, e.size_bytes, e.width_px, e.height_px, offset_us(e.captured_at, at))
            for e in message.evidence
        ),
        None if match is None else (match.revision, match.entry_ids),
    )


def row_of(  # noqa: PLR0913 - the message and what the server adds
    message: PassageMessage,
    key: Key,
    *,
    checkpoint_id: str,
    agent_id: str,
    clock_flag: str,
    delivery: str,
    received_at: datetime,
) -> Row:
    """The row of a message."""
    plate = message.plate
    return Row(
        *key,
        message.camera_id,
        checkpoint_id,
        agent_id,
        plate.state,
        plate.color,
        plate.kind,
        plate.score,
        message.vehicle_color,
        message.direction,
        message.lane,
        message.speed_kmh,
        message.clock.synchronised,
        message.clock.offset_ms,
        clock_flag,
        delivery,
        received_at,
        pack(detail_of(message)),
    )


def as_copy_line(row: Row) -> str:
    """The row as a line of PostgreSQL's COPY text format.

    Names, words and numbers hold nothing to escape; plate and detail may hold a backslash (a tab
    or a line end neither can: JSON escapes them, and a plate has none).
    """
    return "\t".join(
        (
            row.plate.replace("\\", "\\\\"),
            row.captured_at.isoformat(),
            str(row.passage_id),
            row.camera_id,
            row.checkpoint_id,
            row.agent_id,
            row.plate_state,
            row.plate_color,
            row.plate_kind,
            repr(row.plate_score),
            row.vehicle_color,
            row.direction,
            "\\N" if row.lane is None else str(row.lane),
            "\\N" if row.speed_kmh is None else repr(row.speed_kmh),
            "\\N" if row.clock_synchronised is None else "t" if row.clock_synchronised else "f",
            "\\N" if row.clock_offset_ms is None else repr(row.clock_offset_ms),
            row.clock_flag,
            row.delivery,
            row.received_at.isoformat(),
            row.detail.replace("\\", "\\\\"),
        )
    )


def as_sqlite(row: Row) -> tuple[object, ...]:
    """The row as SQLite keeps it: instants as bare UTC text, identifiers as 32 hex digits."""
    return (
        row.plate,
        bare(row.captured_at),
        row.passage_id.hex,
        *row[3:14],
        row.clock_synchronised,
        row.clock_offset_ms,
        row.clock_flag,
        row.delivery,
        bare(row.received_at),
        row.detail,
    )


def bare(instant: datetime) -> str:
    """An instant as SQLAlchemy stores it on SQLite."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
