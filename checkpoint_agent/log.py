"""Structured logs: one line an occurrence, as text for people or JSON for machines.

Logs never hold a plate: who was where is in the passages, which are protected; logs are not.
"""

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_USER_INFO = re.compile(
    # The second form: a password with a slash that should have been written %2F.
    r"(?P<before>[a-zA-Z][a-zA-Z0-9+.-]*://)(?:[^/\s]*@|[^/\s:@]+:[^\s\"'<>]*@)"
)
_SECRET_PARAMETER = re.compile(
    r"(?P<before>[?&](?:user|username|usr|pass|password|passwd|pwd|token|auth|key|secret)=)[^&\s]*",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """The text with user names, passwords and tokens in addresses replaced by ``***``."""
    return _SECRET_PARAMETER.sub(r"\g<before>***", _USER_INFO.sub(r"\g<before>***@", text))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {
        key: masked(value) if isinstance(value, str) else value
        for key, value in vars(record).items()
        if key not in _STANDARD
    }


def _instant(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """``2026-11-22T10:15:00.120Z INFO agent: passage stored camera=gate-1``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on its own lines."""
        part = record.name.removeprefix("checkpoint_agent.")
        fields = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{_instant(record)} {record.levelname} {part}: {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return masked(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; extra fields beside ``at``, ``level``, ``part`` and ``message``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("checkpoint_agent."),
            "message": masked(record.getMessage()),
            **_extras(record),
        }
        if record.exc_info:
            line["traceback"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to write to as well, JSON lines, rotated."""

    path: Path
    limit_bytes: int
    """Size from which a new file is begun."""
    files: int
    """Files kept, the present one included."""


def set_up(log_format: LogFormat, level: str, stream: TextIO, file: LogFile | None = None) -> None:
    """Send this process's logs to a stream, and to a file; called by the command line only.

    Raises:
        OSError: if the file cannot be opened; the stream is in use then.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for former in root.handlers:
        former.close()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries speak when something is wrong
    logging.getLogger("checkpoint_agent").setLevel(level.upper())
    if file is not None:
        root.addHandler(_rotated(file))


def _rotated(file: LogFile) -> logging.Handler:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        file.path, maxBytes=file.limit_bytes, backupCount=max(1, file.files - 1), encoding="utf-8"
    )
    handler.setFormatter(JsonFormatter())
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # noqa: ARG005 - a full disk: the stream still has it
    return handler
