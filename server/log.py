"""What the server writes to standard error: one line an event, as text or JSON, never a plate."""

import json
import logging
import sys
from datetime import UTC, datetime

from server.settings import LogSettings

_FIELDS = ("method", "route", "status", "took_ms")
"""What a request's line has besides its message, as fields of their own in JSON."""


class _Text(logging.Formatter):
    """``2026-11-22T10:15:00.123Z INFO server.http GET /wall 200 4 ms``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - the base's name
        del datefmt
        return _instant(record)


class _Json(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``logger``, ``message``, a request's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in _FIELDS if name in record.__dict__}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(settings: LogSettings) -> None:
    """Set up logging for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.getLogger("uvicorn.access").disabled = True  # its lines hold addresses as sent
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _instant(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
