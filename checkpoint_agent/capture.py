"""From a configured camera to a feed of frames that is read by a thread of its own.

Recordings wait for the reader, so that every frame is seen; of live cameras the newest frame
wins, so that what is seen is the present.
"""

import os
import queue
import threading
import time
from datetime import datetime
from pathlib import Path

from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import SourceError
from checkpoint_agent.frames import Frame, FrameSource, Idle
from checkpoint_agent.live import Live
from checkpoint_agent.recordings import Folder, Video, names_carry_times
from checkpoint_agent.sight import PictureQuality, Sight

_WAITING_FRAMES = 2
"""Decoded frames that wait for the reader: one in hand, one on its way. Of a live camera the oldest
is dropped for a newer one."""
_FRESH_S = 0.1
"""While frames of a live camera wait, one is replaced no more often than this."""


def open_source(
    config: CameraConfig,
    place: str | None,
    clock: Clock,
    *,
    idle_exit_s: float | None,
    known_until: datetime | None = None,
) -> FrameSource:
    """The source of a camera, not yet reading.

    Args:
        config: The camera.
        place: For a recording, from where it continues; ``None`` from the start.
        clock: Tells the time.
        idle_exit_s: A followed folder ends after so long without a new picture, if ever.
        known_until: What a recording shows up to then was read before, and is not waited for.

    Raises:
        SourceError: if a recording does not exist, or its kind does not fit its options.
    """
    if config.live:
        return Live(config, clock)
    path = Path(config.source)
    try:
        if path.is_dir():
            return Folder(config, place, clock, idle_exit_s=idle_exit_s, known_until=known_until)
        if config.follow:
            raise SourceError(f"{path}: follow needs a folder")
        if not path.is_file():
            raise SourceError(f"{path}: no such folder or video file")
        path.open("rb").close()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    return Video(config, place, clock, known_until=known_until)


def shows_stills(config: CameraConfig) -> bool:
    """Whether each picture of a camera stands for itself.

    Raises:
        SourceError: if the folder cannot be read.
    """
    if config.stills is not None:
        return config.stills
    path = Path(config.source)
    return not config.live and os.path.isdir(path) and not names_carry_times(path)  # noqa: PTH112


class Feed:
    """The frames of one source, brought by a thread of its own."""

    def __init__(self, camera_id: str, source: FrameSource, ready: threading.Event) -> None:
        """Prepare; ``ready`` is set whenever there is something to :meth:`take`."""
        self.source = source
        self._sight = Sight()
        self._dropped = 0
        self._offered_s = 0.0
        if isinstance(source, Live):
            source.wanted = self._wants_more
        self._ready = ready
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._queue: queue.Queue[Frame | Idle] = queue.Queue(_WAITING_FRAMES)
        self._thread = threading.Thread(target=self._run, name=f"feed {camera_id}", daemon=True)

    def start(self) -> None:
        """Begin to read the source."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the reading end soon, without waiting for it."""
        self._stop.set()

    def stop(self, timeout_s: float) -> None:
        """Stop reading; return when the thread has ended, at the latest after ``timeout_s``."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def take(self) -> Frame | Idle | None:
        """The next frame, or that time has passed without one, or ``None``: not now.

        Raises:
            SourceError: if the source cannot be used; other errors of the source as they are.
        """
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            if self._ended.is_set() and self._queue.empty() and self._error is not None:
                raise self._error from None
            return None

    @property
    def dropped(self) -> int:
        """Frames of a live camera that nobody had time for."""
        return self._dropped + (self.source.skipped if isinstance(self.source, Live) else 0)

    @property
    def picture(self) -> PictureQuality:
        """Whether a live camera still sees; unknown for a recording."""
        return self._sight.quality

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""
        return self._ended.is_set() and self._queue.empty() and self._error is None

    def _run(self) -> None:
        try:
            for item in self.source.frames(self._stop):
                self._look_at(item)
                self._offer(item)
                if self._stop.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - handed to whoever takes the frames
            self._error = error
        finally:
            self._ended.set()
            self._ready.set()

    def _look_at(self, item: Frame | Idle) -> None:
        """Keep an eye on a live camera's picture."""
        if self.source.recorded:
            return
        if isinstance(item, Frame):
            self._sight.see(item.image, item.captured_at)
        else:
            self._sight.interrupt()

    def _offer(self, item: Frame | Idle) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.0 if not self.source.recorded else 0.2)
            except queue.Full:
                if not self.source.recorded:
                    self._forget_oldest()
            else:
                self._offered_s = time.monotonic()
                self._ready.set()
                return

    def _wants_more(self) -> bool:
        """Whether a newer frame is worth unpacking: there is room, or what waits grows old."""
        return not self._queue.full() or time.monotonic() - self._offered_s >= _FRESH_S

    def _forget_oldest(self) -> None:
        try:
            if isinstance(self._queue.get_nowait(), Frame):
                self._dropped += 1
        except queue.Empty:
            pass
