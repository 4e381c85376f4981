"""What goes into a camera's pipeline besides frames, and what comes out of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from anpr import Detection, PlateRead
from anpr.types import Image
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.outbox_values import Entry


class Reader(Protocol):
    """What the agent needs of :class:`anpr.PlateReader`."""

    @property
    def detector_name(self) -> str:
        """Name and short hash of the detector."""

    @property
    def recogniser_name(self) -> str:
        """Name and short hash of the recogniser."""

    def detect(self, image: Image) -> list[Detection]:
        """The plates of an image, unread."""

    def read_detections(self, image: Image, detections: Sequence[Detection]) -> list[PlateRead]:
        """Read plates that were found; one that is none gives no read."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives the process for a recording, as one string."""

    source: str
    place: str
    repeats: str
    slot: int | None = None
    """The stretch of time in which the last frame lay; see :meth:`Pipeline._is_due`."""

    @classmethod
    def load(cls, text: str | None, camera: CameraConfig) -> "Kept | None":
        """What was kept for this camera; ``None`` if nothing, or of another source."""
        kept = cls(**json.loads(text)) if text else None
        return kept if kept and kept.source == fingerprint(camera) else None

    def dump(self) -> str:
        """As one string."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a frame led to."""

    entries: tuple[Entry, ...] = ()
    kept: str | None = None
    """To be kept together with ``entries``: all before this is finished. ``None``: not so."""


def fingerprint(camera: CameraConfig) -> str:
    """Changes when a camera is given another source."""
    return hashlib.sha256(camera.source.encode()).hexdigest()[:16]
