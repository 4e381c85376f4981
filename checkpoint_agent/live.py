"""Live sources: network cameras (RTSP, MJPEG, snapshots) and local ones.

Frames come once and are stamped when they arrive. A camera that is lost is opened again for ever,
with growing pauses; meanwhile :attr:`Live.fault` says what is wrong.
"""

import logging
import os
import random
from collections.abc import Iterator
from contextlib import closing
from threading import Event
from typing import Protocol

import cv2
import httpx
import numpy as np

from anpr.types import Image
from checkpoint_agent.backoff import delay_s
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import CameraLost
from checkpoint_agent.frames import Frame, Idle
from checkpoint_agent.log import masked
from checkpoint_agent.recordings import decode

log = logging.getLogger(__name__)

_RETRY_FIRST_S, _RETRY_LIMIT_S = 1.0, 60.0
_OPEN_LIMIT_S = 10.0
_PICTURE_LIMIT_BYTES = 50_000_000


class _Stream(Protocol):
    """An opened camera."""

    def next(self, stop: Event) -> Image | None:
        """The next picture; ``None`` for a broken one. Raises :class:`CameraLost`."""

    def close(self) -> None:
        """Let go of the camera."""


class Live:
    """A camera whose frames come only once."""

    recorded = False

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Prepare to open the camera of this configuration."""
        self._config = config
        self._clock = clock
        self.broken = 0
        self.fault: str | None = None

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """Frames until ``stop``; never ends by itself, never raises for a lost camera."""
        number, failures = 0, 0
        while not stop.is_set():
            try:
                with closing(open_stream(self._config, self._clock)) as stream:
                    while not stop.is_set():
                        image = stream.next(stop)
                        at = self._clock.now()
                        if image is None:
                            self.broken += 1
                            continue
                        if self.fault:
                            log.info("camera is back", extra={"camera": self._config.id})
                        failures, self.fault = 0, None
                        yield Frame(image=image, captured_at=at, number=number, name=str(number))
                        number += 1
            except CameraLost as error:
                failures += 1
                yield from self._pause(error, failures, stop)

    def _pause(self, error: CameraLost, failures: int, stop: Event) -> Iterator[Idle]:
        """Wait before the next attempt; time passes for those who track vehicles."""
        level = logging.DEBUG if self.fault == str(error) else logging.WARNING
        self.fault = str(error)
        log.log(
            level, "camera lost: %s", error, extra={"camera": self._config.id, "failures": failures}
        )
        chance = random.random()  # noqa: S311 - jitter, no secret
        pause_s = delay_s(failures, first_s=_RETRY_FIRST_S, limit_s=_RETRY_LIMIT_S, chance=chance)
        until_s = self._clock.monotonic_s() + pause_s
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            yield Idle()
            self._clock.wait(stop, min(0.5, until_s - self._clock.monotonic_s()))


def open_stream(config: CameraConfig, clock: Clock) -> _Stream:
    """Open a live camera.

    Raises:
        CameraLost: if it does not answer.
    """
    if config.source.startswith("http") and _gives_snapshots(config.source):
        return _Snapshots(config, clock)
    return _Capture(config)


def _gives_snapshots(address: str) -> bool:
    """Whether an http camera answers with one picture at a time."""
    try:
        with httpx.stream("GET", address, timeout=_OPEN_LIMIT_S, trust_env=False) as response:
            media_type = str(response.headers.get("Content-Type", ""))
            if response.status_code != 200:
                raise CameraLost(f"{masked(address)}: answers {response.status_code}")
            return media_type.startswith("image/")
    except httpx.HTTPError as error:
        raise CameraLost(f"{masked(address)}: {masked(str(error))}") from error


class _Snapshots:
    """One picture a request."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._client = httpx.Client(timeout=config.lost_after_s, trust_env=False)
        self._next_s = clock.monotonic_s()

    def next(self, stop: Event) -> Image | None:
        self._clock.wait(stop, self._next_s - self._clock.monotonic_s())
        self._next_s = self._clock.monotonic_s() + self._config.snapshot_interval_s
        address = self._config.source
        try:
            response = self._client.get(address)
        except httpx.HTTPError as error:
            raise CameraLost(f"{masked(address)}: {masked(str(error))}") from error
        if response.status_code != 200:
            raise CameraLost(f"{masked(address)}: answers {response.status_code}")
        return decode(response.content) if len(response.content) < _PICTURE_LIMIT_BYTES else None

    def close(self) -> None:
        self._client.close()


class _Capture:
    """Whatever OpenCV opens: RTSP over TCP, MJPEG, local cameras."""

    def __init__(self, config: CameraConfig) -> None:
        self._address = masked(config.source)
        if config.source.isdigit():
            self._capture = cv2.VideoCapture(int(config.source))
        else:
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
            limits = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                round(_OPEN_LIMIT_S * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                round(config.lost_after_s * 1000),
            ]
            self._capture = cv2.VideoCapture(config.source, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraLost(f"{self._address}: cannot be opened")

    def next(self, stop: Event) -> Image | None:  # noqa: ARG002 - reading ends by its own limit
        known, image = self._capture.read()
        if not known or image is None:
            raise CameraLost(f"{self._address}: stopped sending")
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        self._capture.release()
