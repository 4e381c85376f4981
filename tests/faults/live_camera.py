"""A live camera over HTTP whose road is known, and which can be cut, hung or made to lie."""

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.e2e.road import wait_for
from tests.faults.truth import Drive, picture, signs

STEP_S = 0.12
"""Time on the road from one picture to the next."""


class LiveCamera:
    """Answers each request with the next picture.

    Time on its road advances with the pictures that were handed out, and only as far as
    :meth:`go_on` lets it: however slow the machine, no vehicle passes unseen.
    """

    def __init__(self, drives: Sequence[Drive], story: Callable[[], str]) -> None:
        self._drives = drives
        self._story = story
        self._colors = signs()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._until_s = -1.0
        self._fault = ""
        self.t_s = -1.0
        """The moment on the road; before 0 it is empty."""
        self.requests = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/snapshot"

    def go_on(self, until_s: float) -> None:
        """Let time advance to a moment; return when the picture of it was handed out."""
        self._until_s = until_s
        wait_for(lambda: self.t_s >= until_s, 90, self._story)

    def fail(self, fault: str) -> None:
        """Fail once: ``"500"``, ``"cut"`` (no answer), ``"garbage"`` or ``"hang"``."""
        self._fault = fault
        wait_for(lambda: not self._fault, 90, self._story)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take_fault(self) -> str:
        with self._lock:
            self.requests += 1
            fault, self._fault = self._fault, ""
            return fault

    def _advance(self, shown_s: float) -> None:
        """A picture was handed out whole."""
        with self._lock:
            self.t_s = max(self.t_s, min(self._until_s, shown_s + STEP_S))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                fault = owner._take_fault()
                if fault == "hang":
                    owner._closing.wait(1.5)
                if fault in {"cut", "hang"}:
                    self.close_connection = True
                    return
                t_s = owner.t_s
                image = picture(owner._drives, t_s, owner._colors)
                body = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
                if fault == "garbage":
                    body = body[: len(body) // 3]
                try:
                    self.send_response(500 if fault == "500" else 200)
                    self.send_header("Content-Type", "image/png")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:  # the agent was stopped, or has given this picture up
                    self.close_connection = True
                    return
                if not fault:
                    owner._advance(t_s)

        return Handler
