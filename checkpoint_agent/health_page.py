"""What the box shows to itself: a page, its figures as JSON, and Prometheus metrics.

Loopback only, read only, and never a plate in it.
"""

import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from checkpoint_agent.errors import OutboxError
from checkpoint_agent.health import Health
from checkpoint_agent.metrics import CONTENT_TYPE, exposition

log = logging.getLogger(__name__)

_PAGES = Path(__file__).parent / "pages"
_FILES = {
    "/": ("health.html", "text/html; charset=utf-8"),
    "/health.js": ("health.js", "text/javascript; charset=utf-8"),
}
_OUR_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""A page of another site must not read this one under a name of its own."""


class HealthPage:
    """Serves in threads of its own until closed."""

    def __init__(self, listen: str, health: Health) -> None:
        """Begin to serve; an address that is taken is said in the log and ends nothing.

        Args:
            listen: ``host:port``, on the loopback; empty: nothing is served.
            health: Looked at for each answer.
        """
        self._server: ThreadingHTTPServer | None = None
        if not listen:
            return
        host, _, port = listen.rpartition(":")
        try:
            self._server = _Server((host.strip("[]"), int(port)), _handler(health))
        except (OSError, OverflowError) as error:
            log.warning("no health page at %s: %s", listen, error)
            return
        threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="health page", daemon=True
        ).start()

    @property
    def port(self) -> int | None:
        """Where it listens, if it does."""
        return None if self._server is None else self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


def figures(health: Health) -> dict[str, Any]:
    """What ``/health`` says: the heartbeat, and what only the box itself can know.

    Raises:
        OutboxError: if the outbox cannot be read.
    """
    look = health.look()
    alarms = health.alarms(look)
    return {
        "ok": not alarms,
        **json.loads(health.heartbeat_of(look).model_dump_json()),
        "link_fault": look.link_fault,
        "config_fault": look.config_fault,
        "unsaved": look.unsaved,
    }


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def log_message(self, *_: object) -> None:
            """The health page is looked at every few seconds; that is no news."""

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")
            if (host[0] or host[2]) not in _OUR_NAMES:
                self._answer(403, b"not here\n", "text/plain")
                return
            try:
                self._serve(self.path.partition("?")[0])
            except OutboxError as error:
                self._answer(503, f"{error}\n".encode(), "text/plain; charset=utf-8")

        def _serve(self, path: str) -> None:
            if path in _FILES:
                name, media_type = _FILES[path]
                self._answer(200, (_PAGES / name).read_bytes(), media_type)
            elif path == "/metrics":
                look = health.look()
                self._answer(200, exposition(look, health.alarms(look)), CONTENT_TYPE)
            elif path == "/health":
                said = figures(health)
                body = json.dumps(said, ensure_ascii=False).encode()
                self._answer(200 if said["ok"] else 503, body, "application/json")
            else:
                self._answer(404, b"no such page\n", "text/plain")

        def _answer(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header(
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; connect-src 'self'; "
                "style-src 'unsafe-inline'",
            )
            self.end_headers()
            self.wfile.write(body)

    return Handler
