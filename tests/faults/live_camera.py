"""A live camera over HTTP whose road is known, and which can be cut, hung or made to lie."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.faults.truth import Drive, picture, signs


class LiveCamera:
    """Answers each request with the picture of the moment; time begins with :meth:`begin`."""

    def __init__(self, drives: Sequence[Drive]) -> None:
        self._drives = drives
        self._colors = signs()
        self._began_s: float | None = None
        self.fault = ""
        """``"500"``, ``"cut"`` (closed without an answer), ``"garbage"``, ``"hang"``, or none."""
        self.requests = 0
        self.shown: Counter[str] = Counter()
        """Plate → whole pictures of it that were handed out."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/snapshot"

    @property
    def t_s(self) -> float:
        """The moment on the road; before it begins the road is empty."""
        return -1.0 if self._began_s is None else time.monotonic() - self._began_s

    def begin(self) -> None:
        self._began_s = time.monotonic()

    def wait_until(self, t_s: float) -> None:
        time.sleep(max(0.0, t_s - self.t_s))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                owner.requests += 1
                fault = owner.fault
                if fault == "cut":
                    self.close_connection = True
                    return
                if fault == "hang":
                    time.sleep(1.5)
                    self.close_connection = True
                    return
                t_s = owner.t_s
                image = picture(owner._drives, t_s, owner._colors)
                body = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
                if fault == "garbage":
                    body = body[: len(body) // 3]
                self.send_response(500 if fault == "500" else 200)
                self.send_header("Content-Type", "image/png")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if not fault:
                    owner.shown.update(d.plate for d in owner._drives if d.patch(t_s) is not None)

        return Handler
