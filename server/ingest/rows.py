"""A passage as a row: the values in the order of the columns, and their two spellings.

Rows go past SQLAlchemy: PostgreSQL takes them as COPY text, SQLite as plain tuples. What is
written here must be what :mod:`server.tables` reads back; a test compares them.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from anpr.plate import PROVINCES, UNREAD, is_rubbish, normalise
from anpr.watch import Seen, seen_of
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
    at = message.captured_at
    return (
        spelled(message.plate.text)[0],
        at if at.tzinfo is UTC else at.astimezone(UTC),
        message.passage_id,
    )


def detail_of(message: PassageMessage) -> PassageDetail:
    """What is kept of a message besides the columns."""
    at, track, models = message.captured_at, message.track, message.models
    quad, match = message.plate_quad_px, message.local_match
    characters: list[tuple[str | float, ...]] = []
    for character in message.plate.characters:
        others = character.alternatives
        if len(others) == 2:  # what the recogniser ordinarily sends, without a loop
            one, two = others
            characters.append(
                (character.char, character.score, one.char, one.score, two.char, two.score)
            )
            continue
        place: list[str | float] = [character.char, character.score]
        for other in others:
            place += (other.char, other.score)
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
    arrived = arrival_of(0, message, key, checkpoint_id=checkpoint_id, agent_id=agent_id)
    return finished(arrived, clock_flag, delivery, received_at)


class Arrival(NamedTuple):
    """A message made ready before its transaction begins: all of its row that is known by then."""

    number: int
    """Its place in the batch."""
    key: Key
    columns: tuple[Any, ...]
    """Of the row, up to what the clock is judged by."""
    detail: str
    pictures: tuple[str, ...]
    message: PassageMessage
    seen: Seen
    """What matching takes of it."""
    ident: str
    """Its identifier, as it stands in the receipt."""
    is_plate: bool
    """Whether its plate can be matched and counted at all."""

    def is_sure(self, sure_score: float) -> bool:
        """Whether the plate was read whole and surely."""
        plate = self.message.plate
        return plate.state == "read" and plate.score >= sure_score and UNREAD not in self.key[0]


def arrival_of(
    number: int, message: PassageMessage, key: Key, *, checkpoint_id: str, agent_id: str
) -> Arrival:
    """Make a message ready."""
    plate, clock = message.plate, message.clock
    columns = (
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
        clock.synchronised,
        clock.offset_ms,
    )
    seen = seen_of(
        plate.text,
        plate.characters,
        plate_kind=plate.kind,
        plate_color=plate.color,
        vehicle_color=message.vehicle_color,
    )
    return Arrival(
        number,
        key,
        columns,
        pack(detail_of(message)),
        tuple([picture.sha256 for picture in message.evidence]),
        message,
        seen,
        str(key[2]),
        spelled(plate.text)[1],
    )


def finished(arrived: Arrival, clock_flag: str, delivery: str, received_at: datetime) -> Row:
    """The row, with what only its transaction knows."""
    return _as_row((*arrived.columns, clock_flag, delivery, received_at, arrived.detail))


_as_row: Callable[[tuple[Any, ...]], Row] = partial(tuple.__new__, Row)
"""Past the constructor with its names, which takes four times as long."""


def as_copy_line(row: Row) -> str:
    """The row as a line of PostgreSQL's COPY text format.

    Names, words and numbers hold nothing to escape; plate and detail may hold a backslash (a tab
    or a line end neither can: JSON escapes them, and a plate has none).
    """
    return copy_lines([row])


def copy_lines(rows: Sequence[Row]) -> str:
    """Rows as :func:`as_copy_line` spells them, a line each; the last has no end."""
    received: datetime | None = None
    lines = []
    for (
        plate, at, ident, camera, checkpoint, agent, state, color, kind, score, vehicle,
        direction, lane, speed, synchronised, offset, flag, delivery, received_at, detail,
    ) in rows:  # fmt: skip
        if received_at is not received:  # what is committed together has the same
            received, tail = received_at, received_at.isoformat()
        lines.append(
            f"{_escaped(plate)}\t{at.isoformat()}\t{ident.hex}\t{camera}\t{checkpoint}\t{agent}"
            f"\t{state}\t{color}\t{kind}\t{score!r}\t{vehicle}\t{direction}"
            f"\t{_NULL if lane is None else lane}\t{_NULL if speed is None else repr(speed)}"
            f"\t{_WORD[synchronised]}\t{_NULL if offset is None else repr(offset)}"
            f"\t{flag}\t{delivery}\t{tail}\t{_escaped(detail)}"
        )
    return "\n".join(lines)


_NULL = "\\N"
_WORD = {None: _NULL, True: "t", False: "f"}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\") if "\\" in text else text


def as_sqlite(row: Row) -> tuple[object, ...]:
    """The row as SQLite keeps it: instants as bare UTC text, identifiers as 32 hex digits."""
    plate, captured_at, passage_id, *others, received_at, detail = row
    return (plate, bare(captured_at), passage_id.hex, *others, bare(received_at), detail)


def bare(instant: datetime) -> str:
    """An instant as SQLAlchemy stores it on SQLite."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(" ", "microseconds")[:-6]  # without its +00:00
