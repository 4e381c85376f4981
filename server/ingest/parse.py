"""A posted batch, item by item: what is a passage, and what is not and why.

The envelope is parsed with its items left as they are, then each item alone, so that one
poisoned item never blocks its batch.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic import Field as PydanticField
from pydantic_core import from_json, to_json

from server.errors import InvalidRequest, Malformed
from server.ingest.message import (
    Envelope,
    PassageMessage,
    is_suspicious,
    message_of,
    read_envelope,
    read_passage,
    read_whole,
)
from server.wire import MAX_BATCH_PASSAGES, Delivery, Heartbeat, Passage

_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters and halves of surrogate pairs: no plate has them, PostgreSQL refuses them."""


class _Contract(BaseModel):
    """The envelope as the contract has it, for what the fast reader would not take."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent_id: str = PydanticField(max_length=64)
    sent_at: AwareDatetime
    delivery: Delivery = "live"
    passages: list[Any] = PydanticField(min_length=1, max_length=MAX_BATCH_PASSAGES)


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that is no passage: its identifier as sent ('' if none) and the field at fault."""

    passage_id: str
    reason: str


Item = PassageMessage | Refused


def parse_batch(body: bytes) -> tuple[Envelope, Sequence[Item]]:
    """Parse a batch.

    Raises:
        Malformed: not JSON, or nested too deep.
        InvalidRequest: the envelope is wrong; the message names the field.
    """
    whole = read_whole(body)
    if whole is not None:  # as nearly all are
        return whole
    envelope = read_envelope(body) or _envelope(_json(body))
    suspicious = is_suspicious(body)
    return envelope, [
        read_passage(raw, suspicious=suspicious) or _closely(raw) for raw in envelope.passages
    ]


def parse_heartbeat(body: bytes) -> Heartbeat:
    """Parse a heartbeat.

    Raises:
        Malformed: not JSON.
        InvalidRequest: a field is wrong; the message names it.
    """
    raw = _json(body)
    try:
        heartbeat = Heartbeat.model_validate(raw)
        heartbeat.model_dump_json()
        _require_storable(raw)
    except ValidationError as error:
        raise InvalidRequest(_said(error), field=_first_field(error)) from None
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return heartbeat


def _json(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from None


def _envelope(raw: Any) -> Envelope:
    """The envelope through the contract, which takes more, and says what it does not take."""
    try:
        read = _Contract.model_validate(raw)
        items = [msgspec.Raw(to_json(item)) for item in read.passages]
    except ValidationError as error:
        raise InvalidRequest(_said(error), field=_first_field(error)) from None
    except ValueError as error:  # half a surrogate pair somewhere
        raise InvalidRequest(f"passages: {error}", field="passages") from None
    return Envelope(read.agent_id, read.sent_at, items, read.delivery)


def _closely(item: msgspec.Raw) -> Item:
    """An item through the contract: accepted after all, or refused with the field at fault."""
    raw = from_json(bytes(item), allow_inf_nan=False)
    passage_id = raw.get("passage_id") if isinstance(raw, dict) else None
    shown = passage_id[:64] if isinstance(passage_id, str) else ""
    try:
        passage = Passage.model_validate(raw)
        _require_storable(raw)
        _require_times(passage)
        return message_of(passage)
    except ValidationError as error:
        return Refused(_UNSTORABLE.sub("?", shown), _said(error))
    except ValueError as error:
        return Refused(_UNSTORABLE.sub("?", shown), str(error))


def _require_storable(raw: Any, where: str = "") -> None:
    """Refuse text that cannot be stored, anywhere in the message."""
    if isinstance(raw, str):
        if _UNSTORABLE.search(raw):
            msg = f"{where or 'message'}: holds a control character"
            raise ValueError(msg)
    elif isinstance(raw, dict):
        for key, value in raw.items():
            _require_storable(value, f"{where}.{key}" if where else str(key))
    elif isinstance(raw, list):
        for number, value in enumerate(raw):
            _require_storable(value, f"{where}.{number}")


def _require_times(passage: Passage) -> None:
    """Refuse instants that fall off the calendar when written in UTC."""
    times = {
        "captured_at": passage.captured_at,
        "track.first_at": passage.track.first_at,
        "track.last_at": passage.track.last_at,
    }
    for number, picture in enumerate(passage.evidence):
        times[f"evidence.{number}.captured_at"] = picture.captured_at
    for field, instant in times.items():
        try:
            instant.astimezone(UTC)
        except OverflowError:
            msg = f"{field}: off the calendar in UTC"
            raise ValueError(msg) from None


def _said(error: ValidationError) -> str:
    """Every fault with its field, as one line; the values themselves are not repeated."""
    faults = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{_field(fault['loc']) or 'item'}: {fault['msg']}" for fault in faults[:5])


def _first_field(error: ValidationError) -> str | None:
    return _field(error.errors(include_url=False, include_input=False)[0]["loc"]) or None


def _field(loc: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in loc)
