"""An opened live camera: RTSP and MJPEG through OpenCV, HTTP snapshots, local devices.

Nothing here waits and tries again, that is :mod:`checkpoint_agent.live`; but everything that fails
says why, in words an installer can act on, and never with the camera's user or password.
"""

import os
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

import cv2
import httpx
import numpy as np

from anpr.types import Image
from checkpoint_agent import rtsp
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.errors import CameraFault, CameraLost
from checkpoint_agent.log import masked
from checkpoint_agent.recordings import decode

_OPEN_LIMIT_S = 10.0
_ASK_LIMIT_S = 5.0
_PICTURE_LIMIT_BYTES = 50_000_000
_NO_PICTURES = ("text/", "application/json", "application/xml")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A picture as it came."""

    image: Image
    stamp_s: float | None
    """Its time in the stream, from any origin; ``None`` if the stream has no times of its own."""


class Stream(Protocol):
    """An opened camera."""

    skipped: int
    """Pictures that nobody wanted, so far; they were never unpacked."""

    def next(self, stop: Event, wanted: Callable[[], bool]) -> Arrival | None:
        """The next picture that is wanted; ``None`` for a broken one.

        Raises:
            CameraLost: if there will be no more.
        """

    def close(self) -> None:
        """Let go of the camera."""


def open_stream(config: CameraConfig, clock: Clock) -> Stream:
    """Open a live camera.

    Raises:
        CameraLost: if it cannot be opened, and why.
    """
    if config.source.startswith("http") and _gives_snapshots(config.source):
        return Snapshots(config, clock)
    return Capture(config)


def hush_libraries() -> None:
    """Keep OpenCV and FFmpeg from writing addresses to standard error; once, at the start."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


# ---------------------------------------------------------------------- HTTP


class Login(httpx.Auth):
    """Answers a camera's challenge, digest or basic, with the login in its address."""

    def __init__(self, user: str, word: str) -> None:
        """Hold what was in the address."""
        self._user, self._word = user, word

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask without a login first: the answer says which sort the camera wants."""
        response = yield request
        offers = " ".join(response.headers.get_list("WWW-Authenticate")).lower()
        if response.status_code != 401 or not self._user:
            return
        way: httpx.Auth = (
            httpx.DigestAuth(self._user, self._word)
            if "digest" in offers
            else httpx.BasicAuth(self._user, self._word)
        )
        yield from way.auth_flow(request)


def _address(source: str) -> tuple[httpx.URL, Login]:
    """An address without its login, and the login.

    Raises:
        CameraLost: if it is none.
    """
    try:
        url = httpx.URL(source)
        return url.copy_with(username=None, password=None), Login(url.username, url.password)
    except (httpx.InvalidURL, ValueError) as error:
        raise CameraLost(f"{masked(source)}: no address: {masked(str(error))}", "address") from None


def _checked(response: httpx.Response, source: str) -> None:
    """Raise :class:`CameraLost` unless the answer is a picture or a stream of them."""
    status = response.status_code
    if status in {401, 403}:
        raise CameraLost(f"{masked(source)}: answers {status}: user or password is wrong", "login")
    if status != 200:
        fault: CameraFault = "path" if status == 404 else "stream"
        raise CameraLost(f"{masked(source)}: answers {status}", fault)
    media_type = str(response.headers.get("Content-Type", ""))
    if media_type.startswith(_NO_PICTURES):
        raise CameraLost(f"{masked(source)}: answers {media_type}, no picture", "path")


def _lost(source: str, error: Exception) -> CameraLost:
    """What a failed request means."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    said, fault = masked(str(error)) or type(error).__name__, _fault_of(causes)
    return CameraLost(f"{masked(source)}: {said}", fault)


def _fault_of(causes: list[BaseException]) -> CameraFault:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return "address"
        if isinstance(cause, ConnectionRefusedError):
            return "refused"
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return "silent"
    return "unreachable"


def _gives_snapshots(source: str) -> bool:
    """Whether an http camera answers with one picture at a time."""
    address, login = _address(source)
    try:
        with (
            httpx.Client(auth=login, timeout=_OPEN_LIMIT_S, trust_env=False) as client,
            client.stream("GET", address) as response,
        ):
            _checked(response, source)
            return str(response.headers.get("Content-Type", "")).startswith("image/")
    except httpx.HTTPError as error:
        raise _lost(source, error) from error


_WANTED_EVERY_S = 0.01


class Snapshots:
    """One picture a request."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Prepare to ask; nothing is asked yet."""
        self._config = config
        self._clock = clock
        self._address, login = _address(config.source)
        self._client = httpx.Client(auth=login, timeout=config.lost_after_s, trust_env=False)
        self._next_s = clock.monotonic_s()
        self.skipped = 0

    def next(self, stop: Event, wanted: Callable[[], bool]) -> Arrival | None:
        """Ask for the next picture when it is due and wanted; see :class:`Stream`."""
        self._clock.wait(stop, self._next_s - self._clock.monotonic_s())
        while not wanted() and not stop.is_set():
            self._clock.wait(stop, _WANTED_EVERY_S)
        self._next_s = self._clock.monotonic_s() + self._config.snapshot_interval_s
        content = b""
        try:
            with self._client.stream("GET", self._address) as response:
                _checked(response, self._config.source)
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _PICTURE_LIMIT_BYTES:
                        return None
        except httpx.HTTPError as error:
            raise _lost(self._config.source, error) from error
        image = decode(content)
        return None if image is None else Arrival(image, None)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


# ---------------------------------------------------------------------- OpenCV


class Capture:
    """Whatever OpenCV opens: RTSP over TCP, MJPEG, local cameras.

    One thread decodes: more of them only hold frames back, and cameras share the cores anyway.
    """

    def __init__(self, config: CameraConfig) -> None:
        """Open it.

        Raises:
            CameraLost: if that fails.
        """
        self._source = config.source
        # MJPEG over HTTP has no times; the library makes them up.
        self._has_times = not config.source.startswith("http")
        self.skipped = 0
        if "://" in config.source:
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
            settings = {
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: _OPEN_LIMIT_S * 1000,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC: config.lost_after_s * 1000,
                cv2.CAP_PROP_N_THREADS: 1,
            }
            flat = [round(value) for pair in settings.items() for value in pair]
            self._capture = cv2.VideoCapture(config.source, cv2.CAP_FFMPEG, flat)
        else:
            device = int(config.source) if config.source.isdigit() else config.source
            self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)  # type: ignore[call-overload,unused-ignore]
        if not self._capture.isOpened():
            self._capture.release()
            raise _unopened(config.source)

    def next(self, stop: Event, wanted: Callable[[], bool]) -> Arrival | None:
        """The next picture; see :class:`Stream`."""
        try:
            while self._capture.grab():
                if not wanted():
                    self.skipped += 1
                    if not stop.is_set():
                        continue
                known, image = self._capture.retrieve()
                if not known or image is None or image.size == 0:
                    return None
                stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                return Arrival(np.asarray(image, np.uint8), stamp_s if self._has_times else None)
        except cv2.error as error:
            raise CameraLost(f"{masked(self._source)}: {error.err}", "stream") from None
        raise CameraLost(f"{masked(self._source)}: stopped sending", "silent")

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


def _unopened(source: str) -> CameraLost:
    """Why OpenCV could not open a camera, as far as the camera itself can be asked."""
    shown = masked(source)
    if "://" not in source:
        return _no_device(source)
    if not source.startswith("rtsp"):
        return CameraLost(f"{shown}: cannot be opened", "stream")
    try:
        answer = rtsp.describe(source, _ASK_LIMIT_S)
    except ValueError:
        said = "no address; what is special in a password is written as %40 for @, %2F for /"
        return CameraLost(f"{shown}: {said}", "address")
    except OSError as error:
        said = masked(error.strerror or str(error)) or type(error).__name__
        return CameraLost(f"{shown}: cannot be opened: {said}", _fault_of([error]))
    said, fault = _in_words(answer)
    return CameraLost(f"{shown}: cannot be opened: {said}", fault)


def _no_device(source: str) -> CameraLost:
    """Why a local camera cannot be opened."""
    path = Path(f"/dev/video{source}" if source.isdigit() else source)
    if not path.exists():
        return CameraLost(f"{path}: no such device", "address")
    if not os.access(path, os.R_OK | os.W_OK):
        return CameraLost(
            f"{path}: no permission; the agent's user belongs into group video", "login"
        )
    return CameraLost(f"{path}: cannot be opened: in use, or no camera", "stream")


def _in_words(answer: rtsp.Described) -> tuple[str, CameraFault]:
    """What an RTSP camera's answer means to an installer."""
    if answer.status == 401:
        return "user or password is wrong (401)", "login"
    if answer.status in {404, 454}:
        return f"no such stream ({answer.status})", "path"
    if answer.status != 200:
        return f"answers {answer.status} {answer.reason}", "stream"
    return f"it describes {', '.join(answer.codecs) or 'no video'}, and sends none", "stream"
