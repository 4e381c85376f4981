"""server.toml, the sections of who gets in, how fast, how far back, and how that is accounted for."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from server.settings_section import Section

RoleName = Literal["operator", "officer", "supervisor", "custodian", "administrator"]


class SessionSettings(Section):
    """Log-in of people."""

    lifetime_s: int = Field(
        default=12 * 3600, ge=60, le=7 * 86_400, description="A session ends after, used or not."
    )
    idle_s: int = Field(
        default=1_800,
        ge=60,
        le=86_400,
        description="A session that nobody uses ends after; a wall that is only watched goes on.",
    )
    max_failures: int = Field(
        default=5, ge=1, le=100, description="Failed log-ins per name and address before a pause."
    )
    max_failures_per_name: int = Field(
        default=50, ge=1, le=10_000, description="The same per name, from anywhere."
    )
    max_failures_per_address: int = Field(
        default=100, ge=1, le=10_000, description="The same per address, for any name."
    )
    failure_window_s: int = Field(
        default=900, ge=10, le=86_400, description="Time over which failures are counted."
    )
    passwords: Literal["everybody", "administrators", "nobody"] = Field(
        default="everybody",
        description="Who may log in with a password kept here; with [oidc] set, perhaps fewer.",
    )


class OidcSettings(Section):
    """Log-in at an OpenID Connect provider (authorisation code with PKCE)."""

    issuer: str = Field(
        default="", description="https address of the provider; empty = log in here alone."
    )
    client_id: str = Field(default="", description="As registered there.")
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Better in KAKOU_OIDC__CLIENT_SECRET than in a file."
    )
    client_secret_file: Path | None = Field(
        default=None, description="A file that holds the secret, instead."
    )
    public_url: str = Field(
        default="",
        description="How browsers reach this server, https://…; "
        "'/login/oidc/return' below it is registered as the redirect address.",
    )
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile"), min_length=1, description="What is asked for."
    )
    name_claim: str = Field(
        default="preferred_username", min_length=1, description="Claim that gives the user's name."
    )
    role_claim: str = Field(
        default="roles", min_length=1, description="Claim that lists roles or groups."
    )
    roles: dict[str, RoleName] = Field(
        default={},
        description="Which of these means which role here; who has none does not get in.",
    )
    areas_claim: str = Field(
        default="",
        description="Claim that lists the areas a person sees; empty = kept here.",
    )
    badge_claim: str = Field(default="", description="Claim that gives the badge number (警号).")
    unit_claim: str = Field(default="", description="Claim that gives the unit.")
    timeout_s: float = Field(
        default=10.0, gt=0, le=60, description="How long the provider may take to answer."
    )

    @model_validator(mode="after")
    def _whole(self) -> "OidcSettings":
        if not self.issuer:
            return self
        for name in ("client_id", "public_url"):
            if not getattr(self, name):
                raise ValueError(f"{name} is needed with an issuer")
        for name in ("issuer", "public_url"):
            if not _is_safe(getattr(self, name)):
                raise ValueError(f"{name}: https, or http on the loopback")
        return self


class LimitSettings(Section):
    """How much one person may ask; 0 = no limit."""

    requests_per_minute: int = Field(
        default=1_200, ge=0, le=1_000_000, description="Requests of any kind, per server process."
    )
    searches_per_hour: int = Field(
        default=600,
        ge=0,
        le=1_000_000,
        description="Accounted queries, counted in the audit log over all server processes.",
    )


class ApprovalSettings(Section):
    """Looking further back than everybody may."""

    after_days: int = Field(
        default=90,
        ge=0,
        le=3_650,
        description="What is older needs another person's approval; 0 = never needed.",
    )
    longest_hours: int = Field(
        default=72, ge=1, le=24 * 90, description="An approval holds at most so long."
    )


class AuditSettings(Section):
    """The audit log's anchors: copies of its head outside the database."""

    anchor_file: Path | None = Field(
        default=None,
        description="Where the head is noted; none = audit-anchors.jsonl in the data folder. "
        "Best on a disk that the database's administrator cannot write.",
    )
    anchor_every_s: int = Field(
        default=300, ge=1, le=86_400, description="How often, while records are added."
    )


def _is_safe(address: str) -> bool:
    loopback = ("http://127.0.0.1", "http://localhost", "http://[::1]")
    return address.startswith("https://") or address.startswith(loopback)
