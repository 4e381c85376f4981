"""server.toml, the section of who outside the command centre is told of alerts, and by what way."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from server.settings_section import Section


class Webhook(Section):
    """A program that is told by HTTP POST, each message signed."""

    url: str = Field(description="Its address; its host must stand in notices.hosts.")
    secret: SecretStr = Field(
        default=SecretStr(""), description="Key of the signature, 16 characters or more."
    )
    secret_file: Path | None = Field(default=None, description="A file that holds it, instead.")

    @property
    def host(self) -> str:
        """Host, with the port where the address names one."""
        parts = urlsplit(self.url)
        name = (parts.hostname or "").lower()
        return f"{name}:{parts.port}" if parts.port else name

    def key(self) -> bytes:
        """The key of the signature.

        Raises:
            OSError: the file cannot be read.
        """
        if self.secret_file is not None:
            return self.secret_file.read_text(encoding="utf-8").strip().encode()
        return self.secret.get_secret_value().encode()

    @model_validator(mode="after")
    def _whole(self) -> "Webhook":
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url: http:// or https:// and a host")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("url: without user, password or fragment")
        if self.secret_file is None and len(self.secret.get_secret_value()) < 16:
            raise ValueError("secret: 16 characters or more, or a secret_file")
        return self


class MailRelay(Section):
    """The relay that takes our e-mail."""

    host: str = Field(min_length=1, description="Its name or address.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none only inside a network of one's own."
    )
    user: str = Field(default="", description="Name to log in with; empty = no log-in.")
    password: SecretStr = Field(default=SecretStr(""), description="Better in a file.")
    password_file: Path | None = Field(default=None, description="A file that holds it, instead.")
    sender: str = Field(min_length=3, description="From: kakou@police.example.")

    def secret(self) -> str:
        """The password.

        Raises:
            OSError: the file cannot be read.
        """
        if self.password_file is not None:
            return self.password_file.read_text(encoding="utf-8").strip()
        return self.password.get_secret_value()


class NoticeSettings(Section):
    """Telling others of alerts: webhooks, an SMS gateway, e-mail. Nothing is sent by default."""

    hosts: tuple[str, ...] = Field(
        default=(),
        description="The only hosts ('host' or 'host:port') that webhooks and the SMS gateway may "
        "name; the server connects to no other.",
    )
    allow_http: bool = Field(
        default=False,
        description="Whether a webhook may go by http; messages hold plates, so https is better.",
    )
    webhooks: dict[str, Webhook] = Field(
        default={}, description="By the name that entries give: [notices.webhooks.NAME]."
    )
    sms: Webhook | None = Field(
        default=None, description="A gateway that takes {to, text} like a webhook: [notices.sms]."
    )
    mail: MailRelay | None = Field(default=None, description="The mail relay: [notices.mail].")
    overdue: tuple[str, ...] = Field(
        default=(),
        description="Who is told when an alert rises unsigned, besides those whom its entry names: "
        "'webhook:NAME', 'sms:NUMBER', 'mail:ADDRESS'.",
    )
    page_url: str = Field(
        default="", description="How people reach this server, for links in messages; empty = none."
    )
    tries: int = Field(default=8, ge=1, le=50, description="Then a message is a dead letter.")
    first_retry_s: float = Field(
        default=5.0, gt=0, le=3600, description="Pause after the first failure; it doubles."
    )
    longest_retry_s: float = Field(default=900.0, gt=0, le=86_400, description="It grows to this.")
    timeout_s: float = Field(
        default=10.0, gt=0, le=60, description="How long a receiver may take to answer."
    )

    @field_validator("hosts")
    @classmethod
    def _plain(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not host or "/" in host or "*" in host or host.strip() != host:
                raise ValueError(f"{host!r}: a host, or host:port; no pattern, no address")
        return tuple(host.lower() for host in value)

    @model_validator(mode="after")
    def _listed(self) -> "NoticeSettings":
        receivers = {f"webhooks.{name}": hook for name, hook in self.webhooks.items()}
        if self.sms is not None:
            receivers["sms"] = self.sms
        for name, hook in receivers.items():
            if hook.host not in self.hosts:
                raise ValueError(f"{name}.url: {hook.host} does not stand in notices.hosts")
            loopback = hook.host.partition(":")[0] in {"127.0.0.1", "localhost"}
            if hook.url.startswith("http://") and not (self.allow_http or loopback):
                raise ValueError(f"{name}.url: https, or set notices.allow_http")
        return self
