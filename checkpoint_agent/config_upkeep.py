"""Configuration of keeping, sending and being looked after; see :mod:`checkpoint_agent.config`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from checkpoint_agent.config_base import FilePath, Section
from server.wire import MAX_BATCH_PASSAGES


class ServerConfig(Section):
    """Where passages are sent."""

    url: str = Field(
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Address of the server, such as https://kakou.example:8443",
    )
    token_file: FilePath | None = Field(
        default=None,
        description="File that holds the agent's token and nothing else; read before every "
        "request, so that a new token needs no restart. Without it client_cert_file is needed.",
    )
    ca_file: FilePath | None = Field(
        default=None, description="Certificate of the authority that signed the server's, PEM."
    )
    client_cert_file: FilePath | None = Field(
        default=None,
        description="The agent's own certificate, PEM, shown to a server that asks for one.",
    )
    client_key_file: FilePath | None = Field(
        default=None, description="Its key, PEM, unless it is in the same file."
    )
    timeout_s: float = Field(default=20.0, ge=1, le=300, description="Longest wait for an answer.")
    live_within_s: float = Field(
        default=120.0,
        ge=1,
        le=86_400,
        description="Passages younger than this go first and are marked live; older ones are "
        "backlog: stored by the server, ringing no bell.",
    )
    batch_passages: int = Field(
        default=20, ge=1, le=MAX_BATCH_PASSAGES, description="Most passages in one message."
    )
    retry_first_s: float = Field(
        default=1.0, ge=0.05, le=60, description="Wait after a first failure; doubles from there."
    )
    retry_limit_s: float = Field(
        default=60.0, ge=0.05, le=3600, description="Longest wait between two attempts."
    )
    heartbeat_s: float = Field(
        default=30.0, ge=1, le=3600, description="Time between two heartbeats."
    )

    @model_validator(mode="after")
    def _retry_order(self) -> Self:
        if self.retry_first_s > self.retry_limit_s:
            raise ValueError("retry_first_s must not exceed retry_limit_s")
        return self

    @model_validator(mode="after")
    def _credential(self) -> Self:
        if self.token_file is None and self.client_cert_file is None:
            raise ValueError(
                "token_file is missing; or client_cert_file, if the server asks for it"
            )
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self


class OutboxConfig(Section):
    """What is kept on the box until the server has it."""

    pictures_limit_mb: int = Field(
        default=16_000,
        ge=10,
        le=4_000_000,
        description="Space for pictures, in units of 1,000,000 bytes. Beyond it the oldest "
        "pictures are given up; their passages are still sent.",
    )
    passages_limit: int = Field(
        default=500_000,
        ge=100,
        le=100_000_000,
        description="Most passages kept; beyond it the oldest are given up, and counted.",
    )
    min_free_mb: int = Field(
        default=500,
        ge=0,
        le=1_000_000,
        description="Room on the disk that is left to others, in units of 1,000,000 bytes. While "
        "less is free, each new picture takes the place of the oldest ones.",
    )


class WatchlistConfig(Section):
    """The box's own copy of the watchlist, by which it recognises vehicles without the link."""

    pull: bool = Field(
        default=True, description="Keep a copy; false: only the server knows whom it looks for."
    )
    every_s: float = Field(
        default=30.0, ge=1, le=86_400, description="How often to ask whether the list has changed."
    )
    key_file: FilePath | None = Field(
        default=None,
        description="Key under which the copy is hashed on the disk, at least 32 bytes; unset: "
        "made in data_dir. On a TPM or in memory a thief does not find it beside the copy.",
    )
    hook: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        max_length=32,
        description="Command run at each hit, with its arguments: a relay, a sound, a light. It "
        "gets the hit as JSON on its standard input.",
    )
    hook_timeout_s: float = Field(
        default=5.0, ge=0.1, le=300, description="A command that takes longer is ended."
    )
    hook_level: int = Field(
        default=4, ge=1, le=4, description="Run it for this level and graver ones; 1 the gravest."
    )


class HealthConfig(Section):
    """The page and the figures that the box shows to itself."""

    listen: str = Field(
        default="127.0.0.1:9108",
        pattern=r"^((127\.0\.0\.1|localhost|\[::1\]):\d{1,5})?$",
        description="Address of the health page and the Prometheus metrics, on this box only, "
        "such as 127.0.0.1:9108; empty: none.",
    )
    temperature_limit_c: float = Field(
        default=85.0, ge=20, le=150, description="Hotter is an alarm."
    )
    clock_limit_ms: float = Field(
        default=2000.0, ge=1, le=86_400_000, description="A clock farther off is an alarm."
    )


class LogConfig(Section):
    """What is written to standard error, and to a file."""

    format: Literal["text", "json"] = Field(default="text", description="For people or machines.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important message still written."
    )
    file: FilePath | None = Field(
        default=None,
        description="Also write here, JSON lines; rotated. Unset: standard error alone, which "
        "systemd keeps in its journal.",
    )
    file_limit_mb: int = Field(
        default=10, ge=1, le=10_000, description="Size from which a new file is begun."
    )
    files: int = Field(default=5, ge=1, le=100, description="Files kept, the present one included.")
