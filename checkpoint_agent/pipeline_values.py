"""What goes into a camera's pipeline besides frames, and what comes out of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Protocol

from anpr import Detection, PlateRead
from anpr.types import Image
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.frames import from_microseconds
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
    """The stretch of time in which the last frame lay; see :class:`~checkpoint_agent.attention.Looks`."""
    scale: tuple[float, ...] = ()
    """How wide plates are; see :class:`~checkpoint_agent.plate_scale.PlateScale`."""
    learns_from: str = ""
    """An earlier place, from which the empty road is learned again."""
    until_us: int | None = None
    """Capture time of the last frame before ``place``: up to it there is only to learn."""
    marks: str | None = None
    """Vehicles without a plate that were reported; kept by itself, with each of them."""

    @classmethod
    def load(
        cls, text: str | None, camera: CameraConfig, marks: str | None = None
    ) -> "Kept | None":
        """What was kept for this camera; ``None`` if nothing, or of another source."""
        kept = cls(**json.loads(text)) if text else None
        if kept is None or kept.source != fingerprint(camera):
            return None
        return replace(kept, marks=marks)

    @property
    def reads_from(self) -> str | None:
        """The place from which the recording is to be read."""
        return self.learns_from or self.place or None

    @property
    def until(self) -> datetime | None:
        """Capture time of the last frame that was finished."""
        return None if self.until_us is None else from_microseconds(self.until_us)

    def dump(self) -> str:
        """As one string."""
        return json.dumps(asdict(replace(self, marks=None)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a frame led to."""

    entries: tuple[Entry, ...] = ()
    kept: str | None = None
    """To be kept together with ``entries``: all before this is finished. ``None``: not so."""
    marks: str | None = None
    """To be kept together with ``entries``, too; see :attr:`Kept.marks`."""


def marks_of(camera_id: str) -> str:
    """Under which name a camera's marks are kept: no camera can be called so."""
    return f"{camera_id}#line"


def fingerprint(camera: CameraConfig) -> str:
    """Changes when a camera is given another source."""
    return hashlib.sha256(camera.source.encode()).hexdigest()[:16]
