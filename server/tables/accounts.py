"""People, the areas they answer for, and how they are logged in."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, false, true
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, Base


class User(Base):
    """A person who may log in."""

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint(
            "role IN ('operator', 'officer', 'supervisor', 'custodian', 'administrator')",
            name="role",
        ),
    )

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    display_name: Mapped[str] = mapped_column(String(100), default="")
    badge_number: Mapped[str] = mapped_column(String(32), default="")
    unit: Mapped[str] = mapped_column(String(100), default="")
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(
        String(200), doc="argon2id, encoded form; '' = none, logs in elsewhere."
    )
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    sees_everywhere: Mapped[bool] = mapped_column(
        server_default=true(), default=True, doc="Else only the checkpoints of his areas."
    )
    must_change_password: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Somebody else has set the password."
    )
    oidc_subject: Mapped[str | None] = mapped_column(
        String(600),
        index=True,
        unique=True,
        doc="Issuer and subject of whoever logs in by OpenID Connect.",
    )


class Area(Base):
    """A part of the country that somebody answers for (辖区); checkpoints belong to it."""

    __tablename__ = "area"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]


class AreaCheckpoint(Base):
    """A checkpoint of an area; one may belong to several."""

    __tablename__ = "area_checkpoint"

    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoint.id"), primary_key=True, index=True
    )


class UserArea(Base):
    """An area that a user sees."""

    __tablename__ = "user_area"

    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"), primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"), primary_key=True)


class OidcLogin(Base):
    """A log-in that has been sent to the identity provider and not come back yet."""

    __tablename__ = "oidc_login"

    state_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128), doc="PKCE, RFC 7636.")
    next_path: Mapped[str] = mapped_column(String(500))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class LoginSession(Base):
    """A logged-in browser or script; only the SHA-256 of its token is kept."""

    __tablename__ = "login_session"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(doc="To the minute; null = never since.")
    address: Mapped[str] = mapped_column(String(64), server_default="", default="")


class LoginFailure(Base):
    """A failed log-in, for throttling."""

    __tablename__ = "login_failure"
    __table_args__ = (Index(None, "user_name", "address", "at"), Index(None, "address", "at"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_name: Mapped[str] = mapped_column(NAME)
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
