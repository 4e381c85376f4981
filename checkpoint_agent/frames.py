"""A frame, and what a capture time looks like in a file name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Protocol

from anpr.types import Image

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_IN_NAME = re.compile(
    r"(?<!\d)(?P<date>\d{8})[T_-]?(?P<time>\d{6})(?:[.,_-]?(?P<fraction>\d{3,6})(?!\d))?"
    r"(?P<zone>Z|[+-]\d{4})"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a camera."""

    image: Image
    captured_at: datetime
    """When it was taken, UTC."""
    number: int
    """Counts the frames of a source from 0; a recording counts the same each time it is read."""
    name: str
    """File name or frame number: what tells it from all others of a recording."""
    before: str = ""
    """For a recording: the place from which it continues with this frame."""
    after: str = ""
    """For a recording: the place from which it continues behind this frame."""


class Idle:
    """In place of a frame: there is none for now, and time has passed."""


class FrameSource(Protocol):
    """Where frames come from; a thread of its own iterates over it."""

    @property
    def recorded(self) -> bool:
        """Whether the same frames can be read again."""

    @property
    def broken(self) -> int:
        """Pictures that could not be decoded, so far."""

    @property
    def fault(self) -> str | None:
        """What keeps the source from giving frames, if anything does."""

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """The frames, in order, until the source ends or ``stop`` is set.

        Raises:
            SourceError: if the source cannot be used as configured.
        """


def time_in_name(name: str) -> datetime | None:
    """The capture time in a file name such as ``20261122T101500.120Z.jpg``.

    A time counts only with its zone (``Z`` or ``+0800``); digits without one may be anything.

    Returns:
        The instant in UTC, or ``None`` if the name holds none.
    """
    match = _TIME_IN_NAME.search(name)
    if match is None:
        return None
    try:
        second = datetime.strptime(
            match["date"] + match["time"] + match["zone"].replace("Z", "+0000"), "%Y%m%d%H%M%S%z"
        )
    except ValueError:
        return None
    microseconds = int((match["fraction"] or "").ljust(6, "0"))
    return second.astimezone(UTC) + timedelta(microseconds=microseconds)


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(us: int) -> datetime:
    """The instant so many microseconds after 1970, UTC."""
    return _EPOCH + timedelta(microseconds=us)
