"""The way to the server: HTTP with TLS, a token or a certificate, limits and clear failures."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from checkpoint_agent.clock import Clock
from checkpoint_agent.config_upkeep import ServerConfig
from checkpoint_agent.errors import AccessRefused, ConfigError, ServerUnavailable
from server.wire import AUTHORIZATION_SCHEME

UNFIT = frozenset({400, 413, 415, 422})
"""Answers that call what was sent unfit; sending it again as it is would not help."""
_ANSWER_LIMIT_BYTES = 64_000_000
_RETRY_AFTER_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: 2xx, 304, or that what was sent is unfit."""

    status: int
    body: bytes
    tag: str | None = None
    """Its ``ETag``."""


class Link:
    """Connections to the server; each thread has a link of its own."""

    def __init__(
        self, config: ServerConfig, clock: Clock, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            config: The server's address, credentials and limits.
            clock: Tells the time, and is told the server's.
            transport: Takes the place of the network in tests.

        Raises:
            ConfigError: naming the key, if a certificate cannot be used.
        """
        self._config = config
        self._clock = clock
        self._client = httpx.Client(
            base_url=config.url.rstrip("/"),
            timeout=config.timeout_s,
            verify=trust(config) if _needs_trust(config) else False,
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        media_type: str | None = None,
        known_tag: str | None = None,
    ) -> Answer:
        """Ask and get an answer.

        Args:
            method: Such as ``POST``.
            path: From the server's address on.
            body: What is sent.
            media_type: Of the body.
            known_tag: ``ETag`` of what is here already; 304 says that it still holds.

        Raises:
            ServerUnavailable: for anything that is not in :class:`Answer`.
        """
        headers = self._authorization()
        if media_type is not None:
            headers["Content-Type"] = media_type
        if known_tag is not None:
            headers["If-None-Match"] = known_tag
        asked_s = self._clock.monotonic_s()
        try:
            with self._client.stream(method, path, content=body, headers=headers) as response:
                self._clock.heard_date(response.headers.get("Date"), asked_s=asked_s)
                answer = bytearray()
                for chunk in response.iter_bytes():
                    answer += chunk
                    late = self._clock.monotonic_s() - asked_s > 3 * self._config.timeout_s
                    if late or len(answer) > _ANSWER_LIMIT_BYTES:
                        raise ServerUnavailable(f"{method} {path}: the answer does not end")
        except httpx.HTTPError as error:
            raise ServerUnavailable(f"{self._config.url}: {_said(error)}") from error
        status = response.status_code
        if status // 100 == 2 or status in UNFIT or (status == 304 and known_tag is not None):
            return Answer(status, bytes(answer), response.headers.get("ETag"))
        if status in {401, 403}:
            raise AccessRefused(f"{self._config.url}: {self._refusal(status)}")
        raise ServerUnavailable(
            f"{self._config.url}: {method} {path.rpartition('/')[0] or path} answered {status}",
            retry_after_s=_retry_after_s(response),
            answered=status >= 500 and status != 503,
        )

    def _refusal(self, status: int) -> str:
        if self._config.token_file is None:
            return (
                f"certificate refused ({status}); the administrator issues a new one"
                f" into {self._config.client_cert_file}"
            )
        return (
            f"token refused ({status}); the administrator issues a new one"
            f" into {self._config.token_file}"
        )

    def _authorization(self) -> dict[str, str]:
        token_file = self._config.token_file
        if token_file is None:
            return {}  # the client certificate says who we are
        try:
            token = token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccessRefused(f"{token_file}: no token: {error}") from error
        if not token.isprintable() or not token or " " in token:
            raise AccessRefused(f"{token_file}: holds no token")
        return {"Authorization": f"{AUTHORIZATION_SCHEME} {token}"}


def trust(config: ServerConfig) -> ssl.SSLContext:
    """Which certificates are believed, and which one is shown.

    Raises:
        ConfigError: naming the key, if a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=_text(config.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"server.ca_file: {config.ca_file} cannot be used: {error}") from error
    if config.client_cert_file is not None:
        try:
            context.load_cert_chain(config.client_cert_file, config.client_key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"server.client_cert_file: {config.client_cert_file} cannot be used: {error}"
            ) from error
    return context


def _needs_trust(config: ServerConfig) -> bool:
    """Whether certificates matter: without TLS their loading would only delay the start."""
    return config.url.startswith("https:") or bool(config.ca_file or config.client_cert_file)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _said(error: httpx.HTTPError) -> str:
    """What went wrong; some errors of the library have no text."""
    return str(error) or type(error).__name__


def _retry_after_s(response: httpx.Response) -> float | None:
    """The server's ``Retry-After`` in seconds, if it is a sensible number."""
    try:
        asked_s = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return asked_s if 0 < asked_s <= _RETRY_AFTER_LIMIT_S else None
