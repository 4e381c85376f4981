"""Passage ids: UUIDv7 (RFC 9562 §5.7), minted once and never again for the same passage."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 74


def _uuid7(at: datetime, bits: int) -> UUID:
    """A UUIDv7 of an instant and 74 bits."""
    unix_ms = (at - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"{at.isoformat()} does not fit into a UUIDv7")
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return UUID(int=unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def mint(at: datetime) -> UUID:
    """A new id for a passage of a live camera, whose frames come only once."""
    return _uuid7(at, secrets.randbits(_RANDOM_BITS))


def derive(at: datetime, *origin: str) -> UUID:
    """The id of a passage of a recording: the same footage read again gives the same id.

    Args:
        at: Capture time of the first frame that showed the vehicle.
        origin: What tells this passage from all others, such as camera, frame and place in it.
    """
    digest = hashlib.sha256("\x1f".join(origin).encode()).digest()
    return _uuid7(at, int.from_bytes(digest, "big") >> (256 - _RANDOM_BITS))
