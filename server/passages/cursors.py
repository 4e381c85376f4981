"""Where a page ended, as a text that leads to the next."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from server.errors import InvalidRequest


def to_cursor(row: Row[Any]) -> str:
    """The cursor behind a row."""
    text = f"{row.captured_at.astimezone(UTC).isoformat()} {row.passage_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Instant and identifier of the row that a page ended with.

    Raises:
        InvalidRequest: not a cursor of ours.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, passage_id = text.split(" ")
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None or not 1900 < instant.year < 9000:
            raise InvalidRequest("cursor: not one of ours", field="cursor")
        return instant.astimezone(UTC), UUID(passage_id)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest("cursor: not one of ours", field="cursor") from None
