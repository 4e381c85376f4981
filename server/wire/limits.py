"""Paths and limits of the wire contract: what both sides must agree on besides the messages."""

INGEST_PATH = "/api/v1/passages"
"""``POST`` a :class:`~server.wire.v1.PassageBatch`, get a :class:`~server.wire.v1.Receipt`."""

EVIDENCE_PATH = "/api/v1/evidence/{sha256}"
"""``PUT`` the bytes of one picture before any passage that names it; repeating it is harmless."""

HEARTBEAT_PATH = "/api/v1/heartbeats"
"""``POST`` a :class:`~server.wire.v1.Heartbeat`; the answer is 204 without a body."""

WATCHLIST_PATH = "/api/v1/agent/watchlist"
"""``GET`` the :class:`~server.wire.v1.WatchlistCopy`; its ``ETag`` names the revision, and
``If-None-Match`` with it is answered 304 while nothing has changed."""

MAX_BATCH_PASSAGES = 200
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_EVIDENCE_BYTES = 8 * 1024 * 1024
EVIDENCE_MEDIA_TYPES = ("image/jpeg",)

AUTHORIZATION_SCHEME = "Bearer"
"""Agents send ``Authorization: Bearer <token>``."""
