"""An annotated video of a replay: what was found and read in each frame, and what was reported."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import dist
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from anpr import Detection, PlateRead
from anpr.picture import annotated, font_file
from anpr.types import Box, Image
from checkpoint_agent.calibrate import scene_drawn
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.frames import Frame
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.pipeline_values import Reader
from server.wire import Passage

WIDTH_PX = 1280
"""Films are made this wide at most."""
_LINES = 4
_FPS_RANGE = (1.0, 60.0)
_FOUND_BGR = (0, 220, 255)


class WatchedReader:
    """A reader that is looked over the shoulder: remembers what it found in the last frame."""

    def __init__(self, reader: Reader) -> None:
        """Pass everything on to this reader."""
        self._reader = reader
        self.asked = False
        self.detections: list[Detection] = []
        self.reads: list[PlateRead] = []

    @property
    def detector_name(self) -> str:
        """As the reader's."""
        return self._reader.detector_name

    @property
    def recogniser_name(self) -> str:
        """As the reader's."""
        return self._reader.recogniser_name

    def detect(self, image: Image) -> list[Detection]:
        """As the reader, remembered."""
        self.asked = True
        self.detections = self._reader.detect(image)
        return self.detections

    def read_detections(self, image: Image, detections: Sequence[Detection]) -> list[PlateRead]:
        """As the reader, remembered."""
        self.reads = self._reader.read_detections(image, detections)
        return self.reads

    def forget(self) -> None:
        """The next frame begins."""
        self.asked = False
        self.detections, self.reads = [], []


class Film:
    """Writes an MP4 (MPEG-4), a frame for each frame of the recording."""

    def __init__(self, path: Path, camera: CameraConfig, reader: WatchedReader) -> None:
        """Begin; the file is made with the second frame, when the rate is known.

        Args:
            path: Where to; an existing file is replaced.
            camera: Whose region, lanes and trip line are drawn.
            reader: Tells what was seen.
        """
        self._path = path
        self._camera = camera
        self._reader = reader
        self._reported: deque[str] = deque(maxlen=_LINES)
        self._first: tuple[Frame, Image] | None = None
        self._writer: cv2.VideoWriter | None = None
        self._known: list[PlateRead] = []
        self._size = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._first is not None and self._writer is None:
            self._open(25.0)
        if self._writer is not None:
            self._writer.release()

    def add(self, frame: Frame, entries: Sequence[Entry]) -> None:
        """Draw what the pipeline made of this frame.

        Raises:
            ConfigError: if the file cannot be written.
        """
        self._reported.extend(_line(entry.passage) for entry in entries)
        if self._reader.asked:  # not every frame is searched
            self._known = _followed(self._reader.detections, [*self._reader.reads, *self._known])
        image = annotated(scene_drawn(frame.image, self._camera), self._known)
        named = {plate.quad for plate in self._known}
        for detection in self._reader.detections:
            if detection.quad not in named:
                corners = np.array(detection.quad.as_tuple()).round().astype(np.int32)
                cv2.polylines(image, [corners], isClosed=True, color=_FOUND_BGR, thickness=1)
        image = _with_lines(_shrunk(image), list(self._reported))
        self._reader.forget()
        if self._first is None:
            self._first = (frame, image)
            return
        if self._writer is None:
            step = (frame.captured_at - self._first[0].captured_at) / timedelta(seconds=1)
            self._open(1 / step if step > 0 else 25.0)
        self._write(image)

    def _open(self, fps: float) -> None:
        """Make the file, and write the first frame."""
        assert self._first is not None  # noqa: S101 - called behind the first frame
        image = self._first[1]
        self._size = (image.shape[1], image.shape[0])
        rate = min(max(fps, _FPS_RANGE[0]), _FPS_RANGE[1])
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._path), codec, rate, self._size)
        if not self._writer.isOpened():
            raise ConfigError(f"{self._path}: the video cannot be written")
        self._write(image)

    def _write(self, image: Image) -> None:
        if self._writer is not None:
            same = (image.shape[1], image.shape[0]) == self._size
            self._writer.write(image if same else cv2.resize(image, self._size))


def _followed(detections: Sequence[Detection], reads: Sequence[PlateRead]) -> list[PlateRead]:
    """What was read, at the places where the plates are now; newest reads first.

    Not every frame is read: a plate keeps its label until it has moved on by two of its widths.
    """
    followed: list[PlateRead] = []
    left = list(reads)
    for detection in detections:
        here = detection.quad.box()
        near = [read for read in left if _apart_px(here, read.box) < 2 * here.width_px]
        if near:
            same = min(near, key=lambda read: _apart_px(here, read.box))
            left.remove(same)
            followed.append(replace(same, quad=detection.quad))
    return followed


def _apart_px(one: Box, other: Box) -> float:
    return dist(
        ((one.x1 + one.x2) / 2, (one.y1 + one.y2) / 2),
        ((other.x1 + other.x2) / 2, (other.y1 + other.y2) / 2),
    )


def _line(passage: Passage) -> str:
    """A passage in a few words."""
    lane = f"  lane {passage.lane}" if passage.lane else ""
    return (
        f"{passage.captured_at:%H:%M:%S}  {passage.plate.text or passage.plate.state}"
        f"  {passage.plate.score:.2f}  {passage.direction}{lane}"
    )


def _shrunk(image: Image) -> Image:
    height_px, width_px = image.shape[:2]
    scale = min(1.0, WIDTH_PX / width_px)
    # Video wants even sides.
    size = (max(2, int(width_px * scale) // 2 * 2), max(2, int(height_px * scale) // 2 * 2))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _with_lines(image: Image, lines: list[str]) -> Image:
    """The picture with what was reported written at its lower left."""
    if not lines:
        return image
    size_px = max(14, image.shape[0] // 30)
    top = image.shape[0] - round(1.4 * size_px * len(lines)) - 8
    image[max(0, top) :] //= 2
    file = font_file()
    try:
        from PIL import Image as Pillow  # noqa: PLC0415 - optional, for Chinese characters
        from PIL import ImageDraw, ImageFont  # noqa: PLC0415
    except ImportError:
        file = None
    if file is None:
        for n, line in enumerate(lines):
            said = "".join(c for c in line if c.isascii())
            at = (8, top + round(1.4 * size_px * (n + 1)))
            cv2.putText(image, said, at, cv2.FONT_HERSHEY_SIMPLEX, size_px / 30, (255,) * 3, 1)
        return image
    canvas = Pillow.fromarray(image[..., ::-1])
    draw, font = ImageDraw.Draw(canvas), ImageFont.truetype(file, size_px)
    for n, line in enumerate(lines):
        draw.text((8, top + round(1.4 * size_px * n)), line, font=font, fill=(255, 255, 255))
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])
