"""Recordings as sources: folders of pictures and video files. Every frame counts.

A recording can be read again from a *place*, a string that its frames carry. Places are kept in
the outbox together with the passages, so that after a crash nothing is lost and nothing is new.
"""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from anpr.types import Image
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import SourceError
from checkpoint_agent.frames import Frame, Idle, from_microseconds, time_in_name, to_microseconds

log = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_SCAN_INTERVAL_S = 0.2
_SETTLE_S = 5.0
"""A picture that cannot be decoded may still be on its way for so long."""
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
"""How a picture of a kind begins, and what is near its end: cut off, it would show half a road."""


class Pace:
    """Holds frames back until their time has come."""

    def __init__(self, config: CameraConfig, clock: Clock, known_until: datetime | None) -> None:
        """Follow ``config.pace`` and ``config.speed``; what is known already is not waited for."""
        self._known_until = known_until
        self._speed = config.speed if config.pace == "recorded" else None
        self._clock = clock
        self._start: tuple[datetime, float] | None = None

    def wait(self, captured_at: datetime, stop: Event) -> None:
        """Return when a frame of this capture time is due, or when ``stop`` is set."""
        if self._speed is None or (self._known_until and captured_at <= self._known_until):
            return
        now_s = self._clock.monotonic_s()
        if self._start is None:
            self._start = (captured_at, now_s)
        first_at, first_s = self._start
        due_s = first_s + (captured_at - first_at).total_seconds() / self._speed
        self._clock.wait(stop, due_s - now_s)


@dataclass(frozen=True, slots=True, order=True)
class _Item:
    """A picture file; the order is that of capture."""

    taken_us: int
    name: str


class Folder:
    """A folder of pictures; with ``follow``, also those that appear later."""

    recorded = True

    def __init__(
        self,
        config: CameraConfig,
        place: str | None,
        clock: Clock,
        *,
        idle_exit_s: float | None,
        known_until: datetime | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            config: The camera.
            place: From where to continue; ``None`` from the start.
            clock: Tells the time.
            idle_exit_s: With ``follow``: ends after so long without a new picture, if ever.
            known_until: What was captured up to then was read before.
        """
        self._path = Path(config.source)
        self._config = config
        self._clock = clock
        self._idle_exit_s = idle_exit_s
        self._pace = Pace(config, clock, known_until)
        self._seen: set[str] = set()
        self._number = 0
        self._after: _Item | None = None
        self._shift_us: int | None = None if config.started_at else 0
        if place is not None:
            kept = json.loads(place)
            self._shift_us = kept["shift_us"]
            self._number = kept["number"]
            self._after = _Item(*kept["after"]) if kept["after"] else None
        self._resumed_after = self._after
        self.broken = 0
        self.fault: str | None = None

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """Every picture in order of capture; see :class:`~checkpoint_agent.frames.FrameSource`."""
        last_new_s = self._clock.monotonic_s()
        while not stop.is_set():
            found = False
            scanned_s = self._clock.monotonic_s()
            items = self._new_items()
            pause_s = max(_SCAN_INTERVAL_S, 10 * (self._clock.monotonic_s() - scanned_s))
            for item in items:
                if stop.is_set():
                    return
                try:
                    image = self._decoded(item)
                except _NotYetWhole:
                    break
                self._seen.add(item.name)
                found = True
                if image is not None:
                    frame = self._frame(item, image)
                    self._pace.wait(frame.captured_at, stop)
                    yield frame
            if not self._config.follow:
                return
            now_s = self._clock.monotonic_s()
            last_new_s = now_s if found else last_new_s
            if self._idle_exit_s is not None and now_s - last_new_s >= self._idle_exit_s:
                return
            if not found:
                yield Idle()
                self._clock.wait(stop, pause_s)  # a large folder is not looked through all the time

    def _frame(self, item: _Item, image: Image) -> Frame:
        if self._shift_us is None:
            wanted = self._config.started_at
            start = wanted if isinstance(wanted, datetime) else self._clock.now()
            self._shift_us = to_microseconds(start) - item.taken_us
        before = self._place(self._after, self._number)
        # A picture that came late does not move the place back.
        self._after = item if self._after is None else max(self._after, item)
        self._number += 1
        return Frame(
            image=image,
            captured_at=from_microseconds(item.taken_us + self._shift_us),
            number=self._number - 1,
            name=item.name,
            before=before,
            after=self._place(self._after, self._number),
        )

    def _place(self, after: _Item | None, number: int) -> str:
        last = None if after is None else [after.taken_us, after.name]
        return json.dumps({"after": last, "number": number, "shift_us": self._shift_us})

    def _new_items(self) -> list[_Item]:
        """Pictures not read yet, in order of capture.

        Raises:
            SourceError: if the folder cannot be read.
        """
        items = []
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if entry.name in self._seen or not is_picture(entry.name):
                        continue
                    item = _item(entry)
                    if item and (self._resumed_after is None or item > self._resumed_after):
                        items.append(item)
        except OSError as error:
            raise SourceError(f"{self._path}: folder cannot be read: {error}") from error
        return sorted(items)

    def _decoded(self, item: _Item) -> Image | None:
        """The picture; ``None``, counted, if it is broken.

        Raises:
            _NotYetWhole: if it may still be on its way.
        """
        path = self._path / item.name
        try:
            content = path.read_bytes()
            image = decode(content)
            age_s = self._clock.now().timestamp() - path.stat().st_mtime
        except FileNotFoundError:
            log.warning("picture vanished", extra={"camera": self._config.id, "file": item.name})
            self.broken += 1
            return None
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error}") from error
        if image is None:
            if self._config.follow and 0 <= age_s < _SETTLE_S:
                raise _NotYetWhole
            log.warning("picture broken", extra={"camera": self._config.id, "file": item.name})
            self.broken += 1
        return image


class _NotYetWhole(Exception):  # noqa: N818 - not an error
    """A picture is incomplete and young."""


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture that has arrived."""
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def _item(entry: os.DirEntry[str]) -> _Item | None:
    """A picture file with its capture time: from its name, else its date."""
    taken_at = time_in_name(entry.name)
    if taken_at is not None:
        return _Item(to_microseconds(taken_at), entry.name)
    try:
        return _Item(entry.stat().st_mtime_ns // 1000, entry.name)
    except FileNotFoundError:
        return None


def decode(content: bytes) -> Image | None:
    """The picture in a file's content; ``None`` if it is none, or cut off."""
    cut_off = any(content.startswith(a) and b not in content[-65536:] for a, b in _ENDS.items())
    if not content or cut_off:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # absurd dimensions
        return None
    return None if image is None or image.size == 0 else np.asarray(image, np.uint8)


def names_carry_times(folder: Path) -> bool:
    """Whether the first picture of a folder has a capture time in its name.

    Raises:
        SourceError: if the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if is_picture(name))  # noqa: PTH208
    except OSError as error:
        raise SourceError(f"{folder}: folder cannot be read: {error}") from error
    return not names or time_in_name(names[0]) is not None


class Video:
    """A video file."""

    recorded = True

    def __init__(
        self,
        config: CameraConfig,
        place: str | None,
        clock: Clock,
        *,
        known_until: datetime | None = None,
    ) -> None:
        """Prepare to read from a place; ``None`` from the start."""
        self._path = Path(config.source)
        self._config = config
        self._clock = clock
        self._pace = Pace(config, clock, known_until)
        self._done = 0
        self._started_us: int | None = None
        if place is not None:
            kept = json.loads(place)
            self._done, self._started_us = kept["frames_done"], kept["started_us"]
        self.broken = 0
        self.fault: str | None = None

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """Every frame; see :class:`~checkpoint_agent.frames.FrameSource`."""
        capture = cv2.VideoCapture(str(self._path))
        try:
            if not capture.isOpened():
                raise SourceError(f"{self._path}: no video that can be read")
            yield from self._read(capture, stop)
        finally:
            capture.release()

    def _read(self, capture: cv2.VideoCapture, stop: Event) -> Iterator[Frame]:
        started_us = self._start_us()
        interval_ms = 1000.0 / (capture.get(cv2.CAP_PROP_FPS) or 25.0)
        number, last_ms = 0, -interval_ms
        while not stop.is_set() and capture.grab():
            at_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
            # Some files have no times, or times that stand still.
            last_ms = at_ms if at_ms > last_ms else last_ms + interval_ms
            if number >= self._done:
                known, image = capture.retrieve()
                if known and image is not None:
                    captured_at = from_microseconds(started_us + round(last_ms * 1000))
                    self._pace.wait(captured_at, stop)
                    yield Frame(
                        image=np.asarray(image, np.uint8),
                        captured_at=captured_at,
                        number=number,
                        name=str(number),
                        before=self._place(number),
                        after=self._place(number + 1),
                    )
                else:
                    self.broken += 1
            number += 1
        if not number:
            raise SourceError(f"{self._path}: holds no frame that can be decoded")
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not stop.is_set() and number < promised - 1:
            log.warning(
                "video ends early",
                extra={"camera": self._config.id, "frames": number, "promised": promised},
            )

    def _place(self, frames_done: int) -> str:
        return json.dumps({"frames_done": frames_done, "started_us": self._started_us})

    def _start_us(self) -> int:
        if self._started_us is None:
            wanted = self._config.started_at
            if isinstance(wanted, datetime):
                start = wanted.astimezone(UTC)
            elif wanted == "now":
                start = self._clock.now()
            else:
                start = from_microseconds(self._path.stat().st_mtime_ns // 1000)
            self._started_us = to_microseconds(start)
        return self._started_us
