"""Sessions of people: log-in, throttled; log-out; who holds a token.

Session tokens are 256 random bits of which only the SHA-256 is kept, so that a stolen database
opens no session. A session ends after its lifetime, and earlier when nobody uses it; the wall,
which is watched and not used, goes on until the lifetime ends.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from server import audit
from server.auth.accounts import Account, Role, is_password_of, token_hash
from server.db import Database
from server.errors import NotAuthenticated, TooManyAttempts
from server.settings_security import SessionSettings
from server.tables import LoginFailure, LoginSession, User

_OF_HOLDER: tuple[InstrumentedAttribute[Any], ...] = (
    User.name,
    User.display_name,
    User.role,
    User.badge_number,
    User.unit,
    User.sees_everywhere,
    User.must_change_password,
    User.disabled_at,
    LoginSession.csrf_token,
    LoginSession.created_at,
    LoginSession.expires_at,
    LoginSession.last_used_at,
)
_HOLDER = (  # made once, and of columns alone: every request asks
    select(*_OF_HOLDER)
    .join(LoginSession, LoginSession.user_name == User.name)
    .where(LoginSession.token_sha256 == bindparam("token"))
)
TOUCH_EVERY = timedelta(seconds=60)
"""Use is noted once in so long: not every look at a page shall write."""


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
        NotAuthenticated: unknown name or wrong password (the same answer, in the same time), or
            passwords are not for him.
        TooManyAttempts: too many failures of this name or from this address lately.
    """
    name, address = name[:64].replace("\0", "?"), address[:64]
    since = now - timedelta(seconds=settings.failure_window_s)
    with database.read() as session:
        _require_patience(session, settings, name, address, since)
        user = session.get(User, name)
    right = is_password_of(user, password)
    if user is None or not right or user.disabled_at or not _may_use_password(user, settings):
        with database.write() as session:
            session.execute(delete(LoginFailure).where(LoginFailure.at <= since))
            session.add(LoginFailure(user_name=name, address=address, at=now))
            audit.record(
                session, now=now, user_name=name, address=address, action="login.fail", detail={}
            )
        raise NotAuthenticated("name or password is wrong")
    with database.write() as session:
        return open_session(session, settings, user=user, address=address, now=now)


def open_session(
    session: Session, settings: SessionSettings, *, user: User, address: str, now: datetime
) -> tuple[Account, str]:
    """Open a session for somebody who has shown who he is; gives its token, shown this once."""
    token = secrets.token_urlsafe(32)
    opened = LoginSession(
        token_sha256=token_hash(token),
        user_name=user.name,
        csrf_token=secrets.token_urlsafe(32),
        created_at=now,
        expires_at=now + timedelta(seconds=settings.lifetime_s),
        address=address[:64],
    )
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
    session.add(opened)
    session.flush()
    audit.record(
        session, now=now, user_name=user.name, address=address, action="login.open", detail={}
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


def account_of(
    session: Session, token: str, now: datetime, idle_s: float | None = None
) -> Account | None:
    """Who holds this session token, if the session is still open and its user not disabled.

    With ``idle_s``, a session that nobody has used for so long is over too.
    """
    session.flush()
    row = session.connection().execute(_HOLDER, {"token": token_hash(token)}).one_or_none()
    if row is None or row.disabled_at is not None or row.expires_at <= now:
        return None
    if idle_s is not None and now - _last_used(row) >= timedelta(seconds=idle_s):
        return None
    return _account(row, row)


def is_due(account: Account, now: datetime) -> bool:
    """Whether it is time to note that a session was used."""
    return account.last_used_at is not None and now - account.last_used_at >= TOUCH_EVERY


def touch(session: Session, token: str, now: datetime) -> None:
    """Note that a session was used."""
    opened = session.get(LoginSession, token_hash(token))
    if opened is not None:
        opened.last_used_at = now


def csrf_matches(account: Account, token: str | None) -> bool:
    """Whether a request carries the token of its session, compared in constant time."""
    return hmac.compare_digest(account.csrf_token.encode(), (token or "").encode())


def _last_used(opened: LoginSession | Row[Any]) -> datetime:
    at: datetime = opened.last_used_at or opened.created_at
    return at


def _may_use_password(user: User, settings: SessionSettings) -> bool:
    if settings.passwords == "administrators":
        return user.role == Role.ADMINISTRATOR.value
    return settings.passwords == "everybody"


def _require_patience(
    session: Session, settings: SessionSettings, name: str, address: str, since: datetime
) -> None:
    """One address guessing one name waits soon; many names, or many addresses, later."""
    here = LoginFailure.address == address
    him = LoginFailure.user_name == name
    both, by_name, by_address = session.execute(
        select(
            func.count().filter(here & him), func.count().filter(him), func.count().filter(here)
        ).where(LoginFailure.at > since, or_(here, him))
    ).one()
    if (
        both >= settings.max_failures
        or by_name >= settings.max_failures_per_name
        or by_address >= settings.max_failures_per_address
    ):
        raise TooManyAttempts(
            "too many failed log-ins; wait", retry_after_s=settings.failure_window_s
        )


def _account(user: User | Row[Any], opened: LoginSession | Row[Any]) -> Account:
    return Account(
        name=user.name,
        display_name=user.display_name or user.name,
        role=Role(user.role),
        badge_number=user.badge_number,
        unit=user.unit,
        csrf_token=opened.csrf_token,
        expires_at=opened.expires_at,
        sees_everywhere=user.sees_everywhere,
        must_change_password=user.must_change_password,
        last_used_at=_last_used(opened),
    )
