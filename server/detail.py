"""What a passage says besides the columns that are searched, packed into one short text.

Characters with their alternatives, track, models, corners and picture references are as large as
everything else of a passage together, three times over when they are kept as the wire spells
them, and nobody searches in them. They are kept without their field names, instants as
microseconds from the passage's own: about 0.6 KB instead of 1.8 KB a passage.

Nothing is rounded: what the wire said comes back.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

VERSION = 1
_MICROSECOND = timedelta(microseconds=1)


Picture = tuple[str, str, int, int, int, int]
"""Role, SHA-256, bytes, width and height in pixels, microseconds from the passage's instant."""


class PassageDetail(msgspec.Struct, frozen=True, array_like=True):
    """The packed form; fields are only ever added at the end."""

    version: int
    models_: tuple[str, str, str]
    """Agent, detector, recogniser."""
    track_: tuple[int, int, int, int, int]
    """First and last instant in microseconds from ``captured_at``; frames, reads, votes."""
    quad_px: tuple[float, ...] | None
    """x and y of tl, tr, br, bl."""
    box_px: tuple[float, ...] | None
    characters_: tuple[tuple[str | float, ...], ...]
    """Per place: character, score, then each alternative and its score."""
    evidence_: tuple[Picture, ...]
    local_match_: tuple[int, tuple[int, ...]] | None = None
    """Revision and entries of the watchlist copy by which the agent itself knew the plate."""

    def characters(self) -> list[dict[str, Any]]:
        """As the wire has them."""
        return [
            {
                "char": place[0],
                "score": place[1],
                "alternatives": [
                    {"char": place[at], "score": place[at + 1]} for at in range(2, len(place), 2)
                ]
                if len(place) > 2
                else [],
            }
            for place in self.characters_
        ]

    def track(self, captured_at: datetime) -> dict[str, Any]:
        """As the wire has it."""
        first, last, frames, reads, votes = self.track_
        first_at = instant_text(captured_at, first)
        return {
            "first_at": first_at,
            "last_at": first_at if first == last else instant_text(captured_at, last),
            "frames": frames,
            "reads": reads,
            "votes": votes,
        }

    def models(self) -> dict[str, str]:
        """As the wire has them."""
        agent, detector, recogniser = self.models_
        return {"agent": agent, "detector": detector, "recogniser": recogniser}

    def plate_quad_px(self) -> list[list[float]] | None:
        """Corners in reading order, or None."""
        if self.quad_px is None:
            return None
        return [list(self.quad_px[at : at + 2]) for at in range(0, 8, 2)]

    def vehicle_box_px(self) -> list[float] | None:
        """x1, y1, x2, y2, or None."""
        return None if self.box_px is None else list(self.box_px)

    def evidence(self, captured_at: datetime) -> list[dict[str, Any]]:
        """As the wire has it."""
        return [
            {
                "role": role,
                "sha256": sha256,
                "media_type": "image/jpeg",
                "size_bytes": size_bytes,
                "width_px": width_px,
                "height_px": height_px,
                "captured_at": instant_text(captured_at, offset_us),
            }
            for role, sha256, size_bytes, width_px, height_px, offset_us in self.evidence_
        ]

    def pictures(self) -> tuple[str, ...]:
        """SHA-256 of its pictures."""
        return tuple(picture[1] for picture in self.evidence_)


class _Pictures(msgspec.Struct, frozen=True, array_like=True):
    """The packed form up to its pictures, of which all before them is passed over."""

    version: int
    models_: msgspec.Raw
    track_: msgspec.Raw
    quad_px: msgspec.Raw
    box_px: msgspec.Raw
    characters_: msgspec.Raw
    evidence_: tuple[Picture, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PassageDetail)
_pictures = msgspec.json.Decoder(_Pictures)


def pack(detail: PassageDetail) -> str:
    """Write it; plain JSON, an array."""
    return _encoder.encode(detail).decode()


def unpack(text: str) -> PassageDetail:
    """Read it.

    Raises:
        msgspec.ValidationError: not something that :func:`pack` has written.
    """
    return _decoder.decode(text)


def unpack_pictures(text: str) -> tuple[Picture, ...]:
    """Read its pictures alone, in a third of the time.

    Raises:
        msgspec.ValidationError: not something that :func:`pack` has written.
    """
    return _pictures.decode(text).evidence_


def offset_us(instant: datetime, captured_at: datetime) -> int:
    """Microseconds from one instant to another; both aware."""
    return (instant - captured_at) // _MICROSECOND


def instant_text(captured_at: datetime, offset: int) -> str:
    """The instant so many microseconds from an aware one, as the wire spells it."""
    instant = captured_at if captured_at.tzinfo is UTC else captured_at.astimezone(UTC)
    if offset:
        instant += timedelta(microseconds=offset)
    return instant.isoformat()[:-6] + "Z"
