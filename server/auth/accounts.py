"""People: names, passwords, roles, areas. Their sessions stand in :mod:`server.auth.sessions`.

Passwords are kept as argon2id. Every change is put on the audit log by whoever asks for it: the
command line, or an administrator.
"""

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from server.errors import Conflict, InvalidRequest, NotFound
from server.tables import Area, LoginSession, User, UserArea

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
_LENGTHS = f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_hasher = PasswordHasher()


class Role(StrEnum):
    """What a person is here for. Each includes operator; what else, :meth:`covers` says."""

    OPERATOR = "operator"
    """Command centre: watches the wall, signs alerts, looks plates up with a purpose."""
    OFFICER = "officer"
    """Also puts plates on the watchlist and takes them off, and answers for cases."""
    SUPERVISOR = "supervisor"
    """Also approves what others ask for; never what he asked for himself."""
    CUSTODIAN = "custodian"
    """An officer who keeps the protected plates (红名单): he alone sees them in answers."""
    ADMINISTRATOR = "administrator"
    """Also reads the audit log and keeps users and checkpoints; sees no protected plate."""

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what ``needed`` may."""
        return needed is self or needed in _INCLUDES[self]


_INCLUDES: Mapping[Role, frozenset[Role]] = {
    Role.OPERATOR: frozenset(),
    Role.OFFICER: frozenset({Role.OPERATOR}),
    Role.SUPERVISOR: frozenset({Role.OPERATOR, Role.OFFICER}),
    Role.CUSTODIAN: frozenset({Role.OPERATOR, Role.OFFICER}),
    Role.ADMINISTRATOR: frozenset({Role.OPERATOR, Role.OFFICER, Role.SUPERVISOR}),
}


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
    sees_everywhere: bool = True
    """Else only the checkpoints of his areas; see :mod:`server.auth.sight`."""
    must_change_password: bool = False
    last_used_at: datetime | None = None
    """When the session was last noted to be used."""


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
    area_ids: tuple[str, ...] | None
    """The areas he sees; None = everywhere."""
    logs_in_elsewhere: bool
    """At the identity provider; he has no password here."""
    must_change_password: bool
    sessions: int


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
    area_ids: Collection[str] | None = None,
    must_change_password: bool = False,
) -> None:
    """Create a user; without ``area_ids`` he sees everywhere.

    Raises:
        InvalidRequest: name or password are not of the required form.
        Conflict: the name is taken.
        NotFound: no such area.
    """
    require_user_name(name)
    _require_password(name, password)
    if session.get(User, name) is not None:
        raise Conflict(f"name: user {name} exists already", field="name")
    for field, value, longest in (
        ("display_name", display_name, 100),
        ("badge_number", badge_number, 32),
        ("unit", unit, 100),
    ):
        if len(value) > longest or (value and not value.isprintable()):
            raise InvalidRequest(f"{field}: at most {longest} printable characters", field=field)
    session.add(
        User(
            name=name,
            display_name=display_name,
            badge_number=badge_number,
            unit=unit,
            role=role.value,
            password_hash=_hasher.hash(password),
            created_at=now,
            must_change_password=must_change_password,
        )
    )
    session.flush()
    if area_ids is not None:
        set_areas(session, name, area_ids)


def set_password(
    session: Session, name: str, password: str, *, must_change_password: bool = False
) -> None:
    """Give a user another password; if it is another, his open sessions end.

    Raises:
        InvalidRequest: the password is not of the required form.
        NotFound: no such user.
        Conflict: he logs in at the identity provider.
    """
    user = _user(session, name)
    _require_password(name, password)
    if user.oidc_subject is not None:
        raise Conflict(f"{name} logs in elsewhere and has no password here")
    if not is_password_of(user, password):
        user.password_hash = _hasher.hash(password)
        end_sessions(session, name)
    user.must_change_password = must_change_password
    session.flush()


def change_own_password(session: Session, name: str, old: str, new: str) -> None:
    """Let a user choose another password himself; his open sessions end.

    Raises:
        InvalidRequest: the old one is wrong, or the new one not of the required form or the same.
        NotFound: no such user.
    """
    user = _user(session, name)
    if not is_password_of(user, old):
        raise InvalidRequest("old: not the present password", field="old")
    if old == new:
        raise InvalidRequest("new: must be another", field="new")
    if not MIN_PASSWORD_LENGTH <= len(new) <= MAX_PASSWORD_LENGTH:
        raise InvalidRequest(f"new: {_LENGTHS}", field="new")
    set_password(session, name, new)


def set_role(session: Session, name: str, role: Role) -> None:
    """Give a user another role; his open sessions end, so that no page shows what he lost.

    Raises:
        NotFound: no such user.
        Conflict: he is the last administrator.
    """
    user = _user(session, name)
    if user.role == role.value:
        return
    if user.role == Role.ADMINISTRATOR.value:
        _require_another_administrator(session, name)
    user.role = role.value
    end_sessions(session, name)
    session.flush()


def set_areas(session: Session, name: str, area_ids: Collection[str] | None) -> None:
    """Say which areas a user sees: these alone, or (None) everywhere.

    Raises:
        NotFound: no such user or area.
    """
    user = _user(session, name)
    session.execute(delete(UserArea).where(UserArea.user_name == name))
    user.sees_everywhere = area_ids is None
    for area_id in sorted(set(area_ids or ())):
        if session.get(Area, area_id) is None:
            raise NotFound(f"area: no area {area_id}", field="area")
        session.add(UserArea(user_name=name, area_id=area_id))
    session.flush()


def disable_user(session: Session, name: str, now: datetime) -> None:
    """Lock a user out at once; open sessions end.

    Raises:
        NotFound: no such user.
        Conflict: he is the last administrator.
    """
    user = _user(session, name)
    if user.role == Role.ADMINISTRATOR.value and user.disabled_at is None:
        _require_another_administrator(session, name)
    user.disabled_at = user.disabled_at or now
    end_sessions(session, name)


def enable_user(session: Session, name: str) -> None:
    """Let a user in again.

    Raises:
        NotFound: no such user.
    """
    _user(session, name).disabled_at = None
    session.flush()


def end_sessions(session: Session, name: str) -> int:
    """End all open sessions of a user and return how many there were."""
    ended = session.execute(
        delete(LoginSession)
        .where(LoginSession.user_name == name)
        .returning(LoginSession.token_sha256)
    ).all()
    return len(ended)


def list_users(session: Session) -> tuple[UserView, ...]:
    """All users by name."""
    areas: dict[str, list[str]] = {}
    for user_name, area_id in session.execute(
        select(UserArea.user_name, UserArea.area_id).order_by(UserArea.area_id)
    ):
        areas.setdefault(user_name, []).append(area_id)
    sessions = Counter(session.scalars(select(LoginSession.user_name)))
    return tuple(
        UserView(
            name=user.name,
            display_name=user.display_name,
            role=Role(user.role),
            badge_number=user.badge_number,
            unit=user.unit,
            created_at=user.created_at,
            disabled_at=user.disabled_at,
            area_ids=None if user.sees_everywhere else tuple(areas.get(user.name, ())),
            logs_in_elsewhere=user.oidc_subject is not None,
            must_change_password=user.must_change_password,
            sessions=sessions[user.name],
        )
        for user in session.scalars(select(User).order_by(User.name))
    )


def require_user_name(name: str) -> None:
    """Refuse what cannot be a user's name.

    Raises:
        InvalidRequest: it is not of the required form.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "name: 1 to 64 letters, digits, dots, underscores, hyphens", field="name"
        )


def is_password_of(user: User | None, password: str) -> bool:
    """Whether this is a user's password; takes as long for nobody, and for nobody is it right."""
    if len(password) > MAX_PASSWORD_LENGTH:
        return False
    # whoever logs in elsewhere has no password; the same work is done for him
    kept = user.password_hash if user is not None and user.password_hash else _nobodys_hash()
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def token_hash(token: str) -> str:
    """How a token is kept: it has 256 random bits, so a plain hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


def _user(session: Session, name: str) -> User:
    user = session.get(User, name)
    if user is None:
        raise NotFound(f"no user {name}")
    return user


def _require_password(name: str, password: str) -> None:
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidRequest(f"password: {_LENGTHS}", field="password")
    if password.casefold() == name.casefold():
        raise InvalidRequest("password: not the user's name", field="password")


def _require_another_administrator(session: Session, name: str) -> None:
    another = select(User.name).where(
        User.role == Role.ADMINISTRATOR.value, User.disabled_at.is_(None), User.name != name
    )
    if session.scalar(another.limit(1)) is None:
        raise Conflict(f"{name} is the last administrator")


@cache
def _nobodys_hash() -> str:
    """A hash that no password has, so that an unknown name takes as long as a wrong password."""
    return _hasher.hash(secrets.token_urlsafe(32))
