"""What goes into the outbox and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from server.wire import Delivery, Passage


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and its name."""

    sha256: str
    """SHA-256 of ``content``, lower-case hex."""
    content: bytes
    """A JPEG file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage with the pictures that it names."""

    passage: Passage
    pictures: tuple[Picture, ...]
    watched: bool = False
    """Recognised by the box itself as looked for: it goes out first and is given up last."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Passages to send together, all live or all backlog."""

    delivery: Delivery
    passages: tuple[Passage, ...]
    unsent_pictures: tuple[str, ...]
    """Names of the pictures that the server must have first."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A passage that the server rejected."""

    passage_id: str
    reason: str
    body: str
    """The passage as JSON, as it was sent."""


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How full the outbox is, and what became of everything since it was created."""

    queued: int
    dead: int
    pictures: int
    pictures_bytes: int
    oldest_at: datetime | None
    """Capture time of the oldest passage that waits."""
    counters: Mapping[str, int]
