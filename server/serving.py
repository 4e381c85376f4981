"""One server process: bind, say where, serve, and stop cleanly on SIGTERM or Ctrl-C."""

import gc
import signal
import socket
import sys
from types import FrameType

import uvicorn

from server import partitions, schema
from server.app import create_app
from server.context import AppContext
from server.errors import SettingsError
from server.settings import Settings
from server.upkeep import oldest_kept

_COLLECT_AFTER = 50_000
"""Objects made and not gone again before the collector looks for cycles among them."""
_TURN_S = 0.001
"""How long a thread may keep the interpreter while others wait for it."""


def serve(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        SchemaError: the database is not migrated, or distributed otherwise than the settings say.
        SettingsError: the address cannot be bound.
    """
    app = create_app(settings)
    context: AppContext = app.state.context
    app.state.upkeep_apart = not context.database.is_sqlite
    with context.database.read():
        schema.require_newest(context.database.engine)
        schema.require_placed(context.database.engine, settings.database)
    listener = _bind(settings.http.host, settings.http.port)
    now = context.clock()
    partitions.keep_up(
        context.database.engine, settings.partitions, now, oldest_kept(settings, now)
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.http.forwarded_allow_ips,
        timeout_graceful_shutdown=settings.http.shutdown_s,
    )
    settle()
    _Server(config, context).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where it listens, and ends the streams when asked to stop, else they would hold it."""

    def __init__(self, config: uvicorn.Config, context: AppContext) -> None:
        super().__init__(config)
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"listening on http://{shown}:{port}", flush=True)  # noqa: T201 - for the caller

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._context.stream.stop()


def settle() -> None:
    """Make the interpreter fit for much work by several threads; after the modules are loaded.

    What is there by now stays: the collector need not look at it again. A batch of passages makes
    thousands of objects that no cycle holds, so looking every 700 finds nothing. A thread that
    comes back from the database waits for the interpreter's lock for as long as others may keep
    it: 5 ms by default, several times a transaction.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    sys.setswitchinterval(_TURN_S)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(f"http: cannot listen on {host}:{port}: {error.strerror}") from None
    # an answer is written as head and body; without this the body waits for the client's
    # delayed acknowledgement of the head, 40 ms. Connections inherit it from the listener.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
