"""People: passwords, roles, sessions, throttled log-in.

Passwords are kept as argon2id; session tokens are 256 random bits of which only the SHA-256 is
kept, so that a stolen database opens no session.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from server import audit
from server.db import Database
from server.errors import Conflict, InvalidRequest, NotAuthenticated, NotFound, TooManyAttempts
from server.settings import SessionSettings
from server.tables import LoginFailure, LoginSession, User

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_hasher = PasswordHasher()


class Role(StrEnum):
    """What a person is here for; each includes the ones before it."""

    OPERATOR = "operator"
    """Command centre: watches the wall, signs alerts, looks plates up with a purpose."""
    OFFICER = "officer"
    """Also puts plates on the watchlist and takes them off."""
    ADMINISTRATOR = "administrator"
    """Also reads the audit log and keeps users and checkpoints."""

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what ``needed`` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Account:
    """A person who is logged in."""

    name: str
    display_name: str
    role: Role
    badge_number: str
    unit: str
    csrf_token: str
    """Every request that changes something repeats it in ``X-CSRF-Token`` or a form field."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as listed."""

    name: str
    display_name: str
    role: Role
    badge_number: str
    unit: str
    created_at: datetime
    disabled_at: datetime | None


def add_user(  # noqa: PLR0913 - the parts of a user
    session: Session,
    *,
    name: str,
    password: str,
    role: Role,
    now: datetime,
    display_name: str = "",
    badge_number: str = "",
    unit: str = "",
) -> None:
    """Create a user.

    Raises:
        InvalidRequest: name or password are not of the required form.
        Conflict: the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "name: 1 to 64 letters, digits, dots, underscores, hyphens", field="name"
        )
    _require_length(password)
    if session.get(User, name) is not None:
        raise Conflict(f"name: user {name} exists already", field="name")
    session.add(
        User(
            name=name,
            display_name=display_name,
            badge_number=badge_number,
            unit=unit,
            role=role.value,
            password_hash=_hasher.hash(password),
            created_at=now,
        )
    )
    session.flush()


def set_password(session: Session, name: str, password: str) -> None:
    """Give a user another password; if it is another, his open sessions end.

    Raises:
        InvalidRequest: the password is not of the required length.
        NotFound: no such user.
    """
    _require_length(password)
    user = session.get(User, name)
    if user is None:
        raise NotFound(f"no user {name}")
    if not _matches(user.password_hash, password):
        user.password_hash = _hasher.hash(password)
        session.execute(delete(LoginSession).where(LoginSession.user_name == name))
    session.flush()


def disable_user(session: Session, name: str, now: datetime) -> None:
    """Lock a user out at once; open sessions end.

    Raises:
        NotFound: no such user.
    """
    user = session.get(User, name)
    if user is None:
        raise NotFound(f"no user {name}")
    user.disabled_at = user.disabled_at or now
    session.execute(delete(LoginSession).where(LoginSession.user_name == name))


def list_users(session: Session) -> tuple[UserView, ...]:
    """All users by name."""
    return tuple(
        UserView(
            name=user.name,
            display_name=user.display_name,
            role=Role(user.role),
            badge_number=user.badge_number,
            unit=user.unit,
            created_at=user.created_at,
            disabled_at=user.disabled_at,
        )
        for user in session.scalars(select(User).order_by(User.name))
    )


def log_in(  # noqa: PLR0913 - who, with what, from where, when, under which rules
    database: Database,
    settings: SessionSettings,
    *,
    name: str,
    password: str,
    address: str,
    now: datetime,
) -> tuple[Account, str]:
    """Open a session and return it with its token, which is shown this once.

    The password is checked between two transactions, since argon2 is slow on purpose.

    Raises:
        NotAuthenticated: unknown name or wrong password (the same answer, in the same time).
        TooManyAttempts: too many failures of this name from this address lately.
    """
    name, address = name[:64], address[:64]
    since = now - timedelta(seconds=settings.failure_window_s)
    with database.read() as session:
        failures = session.scalar(
            select(func.count())
            .select_from(LoginFailure)
            .where(
                LoginFailure.user_name == name,
                LoginFailure.address == address,
                LoginFailure.at > since,
            )
        )
        user = session.get(User, name)
    if (failures or 0) >= settings.max_failures:
        raise TooManyAttempts(
            "too many failed log-ins; wait", retry_after_s=settings.failure_window_s
        )
    right = _matches(user.password_hash if user else _nobodys_hash(), password)
    if user is None or not right or user.disabled_at is not None:
        with database.write() as session:
            session.execute(delete(LoginFailure).where(LoginFailure.at <= since))
            session.add(LoginFailure(user_name=name, address=address, at=now))
            audit.record(
                session, now=now, user_name=name, address=address, action="login.fail", detail={}
            )
        raise NotAuthenticated("name or password is wrong")
    token = secrets.token_urlsafe(32)
    opened = LoginSession(
        token_sha256=token_hash(token),
        user_name=user.name,
        csrf_token=secrets.token_urlsafe(32),
        created_at=now,
        expires_at=now + timedelta(seconds=settings.lifetime_s),
    )
    with database.write() as session:
        session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
        session.add(opened)
        audit.record(
            session, now=now, user_name=name, address=address, action="login.open", detail={}
        )
    return _account(user, opened), token


def log_out(session: Session, token: str, now: datetime, address: str) -> None:
    """End a session; ending one that is not there is no error."""
    row = session.get(LoginSession, token_hash(token))
    if row is not None:
        name = row.user_name
        session.delete(row)
        audit.record(
            session, now=now, user_name=name, address=address, action="login.close", detail={}
        )


def account_of(session: Session, token: str, now: datetime) -> Account | None:
    """Who holds this session token, if the session is still open and its user not disabled."""
    row = session.execute(
        select(User, LoginSession)
        .join(LoginSession, LoginSession.user_name == User.name)
        .where(LoginSession.token_sha256 == token_hash(token))
    ).one_or_none()
    if row is None:
        return None
    user, opened = row
    if user.disabled_at is not None or opened.expires_at <= now:
        return None
    return _account(user, opened)


def csrf_matches(account: Account, token: str | None) -> bool:
    """Whether a request carries the token of its session, compared in constant time."""
    return hmac.compare_digest(account.csrf_token.encode(), (token or "").encode())


def token_hash(token: str) -> str:
    """How a token is kept: it has 256 random bits, so a plain hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


def _account(user: User, opened: LoginSession) -> Account:
    return Account(
        name=user.name,
        display_name=user.display_name or user.name,
        role=Role(user.role),
        badge_number=user.badge_number,
        unit=user.unit,
        csrf_token=opened.csrf_token,
        expires_at=opened.expires_at,
    )


def _require_length(password: str) -> None:
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidRequest(
            f"password: {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters",
            field="password",
        )


@cache
def _nobodys_hash() -> str:
    """A hash that no password has, so that an unknown name takes as long as a wrong password."""
    return _hasher.hash(secrets.token_urlsafe(32))


def _matches(password_hash: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD_LENGTH:
        return False
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
