"""The passage message as structs, for reading it fast; the contract is :mod:`server.wire`.

Reading through pydantic costs more than storing. So an item is first read with these structs,
which are *stricter* than the contract wherever the two could differ: what they accept, the
contract accepts and means the same (a test holds them against each other). What they refuse is
given to the contract, which accepts it after all or says why not.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from server.wire import (
    MAX_BATCH_PASSAGES,
    Delivery,
    Direction,
    EvidenceRole,
    Passage,
    PlateColor,
    PlateKind,
    PlateState,
    VehicleColor,
)

_Instant = Annotated[datetime, Meta(tz=True)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Score = Annotated[float, Meta(ge=0.0, le=1.0)]
_Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
_Char = Annotated[str, Meta(min_length=1, max_length=1)]
_Version = Annotated[str, Meta(max_length=64)]
_Count = Annotated[int, Meta(ge=0)]
_Size = Annotated[int, Meta(ge=1)]
_Point = tuple[float, float]


class _Clock(Struct, frozen=True, gc=False):
    synchronised: bool | None = None
    offset_ms: float | None = None


class _Alternative(Struct, frozen=True, gc=False):
    char: _Char
    score: _Score


class _Character(Struct, frozen=True, gc=False):
    char: _Char
    score: _Score
    alternatives: Annotated[tuple[_Alternative, ...], Meta(max_length=8)] = ()


class _Plate(Struct, frozen=True, gc=False):
    state: PlateState
    text: Annotated[str, Meta(max_length=16)] = ""
    color: PlateColor = "unknown"
    kind: PlateKind = "unknown"
    score: _Score = 0.0
    characters: Annotated[tuple[_Character, ...], Meta(max_length=16)] = ()


class _Track(Struct, frozen=True, gc=False):
    first_at: _Instant
    last_at: _Instant
    frames: _Size
    reads: _Count
    votes: _Count


class _Evidence(Struct, frozen=True, gc=False):
    role: EvidenceRole
    sha256: _Sha256
    size_bytes: _Size
    width_px: _Size
    height_px: _Size
    captured_at: _Instant
    media_type: Literal["image/jpeg"] = "image/jpeg"


class _Models(Struct, frozen=True, gc=False):
    agent: _Version
    detector: _Version
    recogniser: _Version


class _LocalMatch(Struct, frozen=True, gc=False):
    revision: _Count
    entry_ids: Annotated[tuple[int, ...], Meta(min_length=1, max_length=32)]


class PassageMessage(Struct, frozen=True, gc=False):
    """One passage as sent; the fields mean what :class:`server.wire.Passage` says."""

    passage_id: UUID
    camera_id: _Name
    captured_at: _Instant
    plate: _Plate
    track: _Track
    models: _Models
    schema: Literal["passage/1"] = "passage/1"
    schema_: Literal["passage/1"] = "passage/1"
    clock: _Clock = _Clock()
    plate_quad_px: tuple[_Point, _Point, _Point, _Point] | None = None
    vehicle_box_px: tuple[float, float, float, float] | None = None
    vehicle_color: VehicleColor = "unknown"
    direction: Direction = "unknown"
    lane: Annotated[int, Meta(ge=1, le=32)] | None = None
    speed_kmh: Annotated[float, Meta(ge=0, le=400)] | None = None
    evidence: Annotated[tuple[_Evidence, ...], Meta(max_length=8)] = ()
    local_match: _LocalMatch | None = None


class Envelope(Struct, frozen=True, gc=False):
    """A batch with its items left as they are."""

    agent_id: Annotated[str, Meta(max_length=64)]
    sent_at: _Instant
    passages: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_BATCH_PASSAGES)]
    delivery: Delivery = "live"


class _Whole(Struct, frozen=True, gc=False):
    """A batch with all its items, if nothing is wrong with any of them."""

    agent_id: Annotated[str, Meta(max_length=64)]
    sent_at: _Instant
    passages: Annotated[list[PassageMessage], Meta(min_length=1, max_length=MAX_BATCH_PASSAGES)]
    delivery: Delivery = "live"


_wholes = msgspec.json.Decoder(_Whole)
_envelopes = msgspec.json.Decoder(Envelope)
_passages = msgspec.json.Decoder(PassageMessage)
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_FIRST_YEAR, _LAST_YEAR = 2, 9998


def read_envelope(body: bytes) -> Envelope | None:
    """The batch, or None if it has to be looked at closely."""
    try:
        return _envelopes.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def read_whole(body: bytes) -> tuple[Envelope, list[PassageMessage]] | None:
    """The batch with its items in one go, or None if it has to be looked at item by item.

    Nothing of a JSON text is a cycle, so the structs need not be looked through for any.
    """
    if is_suspicious(body):
        return None
    try:
        whole = _wholes.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
    for message in whole.passages:
        if not _on_the_calendar(message):
            return None
    return Envelope(whole.agent_id, whole.sent_at, [], whole.delivery), whole.passages


def is_suspicious(body: bytes) -> bool:
    """Whether a body may bring what cannot be stored.

    JSON can do so only by an escape, which agents hardly ever write, or as a bare DEL: without
    either there is nothing to look for, item by item.
    """
    return b"\\" in body or b"\x7f" in body


def read_passage(raw: msgspec.Raw, *, suspicious: bool = True) -> PassageMessage | None:
    """The item, or None if it has to be looked at closely."""
    try:
        message = _passages.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
    if suspicious and not _storable(message):
        return None
    return message if _on_the_calendar(message) else None


def message_of(passage: Passage) -> PassageMessage:
    """The same passage, read through the contract, as a struct."""
    return msgspec.convert(_plain(passage), PassageMessage, strict=False)


def _plain(passage: Passage) -> dict[str, Any]:
    plain: dict[str, Any] = passage.model_dump(exclude={"schema_"})
    return plain


def _storable(message: PassageMessage) -> bool:
    """Whether the texts that are kept hold no control character nor half a surrogate pair."""
    plate, models = message.plate, message.models
    texts = [plate.text, models.agent, models.detector, models.recogniser]
    for character in plate.characters:
        texts.append(character.char)
        texts += [alternative.char for alternative in character.alternatives]
    return _UNSTORABLE.search("".join(texts)) is None


def _on_the_calendar(message: PassageMessage) -> bool:
    """Whether every instant can be written in UTC, whatever its offset."""
    track = message.track
    if (
        _FIRST_YEAR <= message.captured_at.year <= _LAST_YEAR
        and _FIRST_YEAR <= track.first_at.year <= _LAST_YEAR
        and _FIRST_YEAR <= track.last_at.year <= _LAST_YEAR
    ):
        for picture in message.evidence:
            if not _FIRST_YEAR <= picture.captured_at.year <= _LAST_YEAR:
                return False
        return True
    return False
