"""Who may use a route, as dependencies: ``account: Operator``, ``account: Officer`` ….

A guard looks the caller up in a short transaction of its own, before any body is read and before
the route's transaction begins. For people every request that may change something must repeat
the session's CSRF token, in the header ``X-CSRF-Token`` or in the form field ``csrf_token``.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from server.auth.accounts import Account, Role
from server.auth.agents import AgentIdentity, identity_of
from server.auth.sessions import account_of, csrf_matches, is_due, touch
from server.context import AppContext, Context
from server.errors import (
    CsrfFailed,
    NotAllowed,
    NotAuthenticated,
    PasswordStale,
    Unavailable,
)
from server.wire import AUTHORIZATION_SCHEME

_log = logging.getLogger(__name__)

SESSION_COOKIE = "kakou_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


async def client_address(request: Request) -> str:
    """Address the request came from, for the audit log."""
    return request.client.host if request.client else ""


def optional_account(request: Request, context: Context) -> Account | None:
    """Who is logged in and at work, or None; that he was at work is noted."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    now = context.clock()
    with context.database.glance() as session:
        account = account_of(session, token, now, context.settings.sessions.idle_s)
    if account is not None and is_due(account, now):
        _touch(context, token, now)
    return account


def watching_account(request: Request, context: Context) -> Account | None:
    """Who is logged in, at work or not: a wall may be watched without a hand being moved."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    with context.database.glance() as session:
        return account_of(session, token, context.clock())


OptionalAccount = Annotated[Account | None, Depends(optional_account)]


async def signed_in(request: Request, context: Context, account: OptionalAccount) -> Account:
    """Somebody who is logged in and, where the request may change something, sent it himself.

    Raises:
        NotAuthenticated: no open session.
        CsrfFailed: the token is missing or not this session's.
        TooManyRequests: he asks too much too fast.
    """
    return await _checked(request, context, account)


async def _watching(
    request: Request,
    context: Context,
    account: Annotated[Account | None, Depends(watching_account)],
) -> Account:
    return _current(await _checked(request, context, account), Role.OPERATOR)


def requires(role: Role) -> Callable[[Account], Awaitable[Account]]:
    """Make the guard for a role."""

    async def guard(account: Annotated[Account, Depends(signed_in)]) -> Account:
        return _current(account, role)

    return guard


async def _checked(request: Request, context: AppContext, account: Account | None) -> Account:
    if account is None:
        raise NotAuthenticated("log in first")
    context.limiter.take(account.name, context.clock())
    if request.method not in _SAFE_METHODS:
        token = request.headers.get(CSRF_HEADER)
        if token is None and request.headers.get("content-type", "").startswith(_FORM_TYPES):
            field = (await request.form()).get(CSRF_FIELD)
            token = field if isinstance(field, str) else None
        if not csrf_matches(account, token):
            raise CsrfFailed("the page's token is missing or stale; reload the page")
    return account


def _current(account: Account, role: Role) -> Account:
    if account.must_change_password:
        raise PasswordStale("somebody else has set your password; choose another first")
    if not account.role.covers(role):
        raise NotAllowed(f"needs the role {role}")
    return account


def _touch(context: AppContext, token: str, now: datetime) -> None:
    try:
        with context.database.write() as session:
            touch(session, token, now)
    except Unavailable:  # the answer matters more than the note; the next request makes it
        _log.warning("that a session was used could not be noted")


SignedIn = Annotated[Account, Depends(signed_in)]
"""Anybody, even before he has changed a password that somebody else has set."""
Watcher = Annotated[Account, Depends(_watching)]
"""An operator whose wall is watched; his session's idleness does not matter."""
Operator = Annotated[Account, Depends(requires(Role.OPERATOR))]
Officer = Annotated[Account, Depends(requires(Role.OFFICER))]
Supervisor = Annotated[Account, Depends(requires(Role.SUPERVISOR))]
Custodian = Annotated[Account, Depends(requires(Role.CUSTODIAN))]
Administrator = Annotated[Account, Depends(requires(Role.ADMINISTRATOR))]
ClientAddress = Annotated[str, Depends(client_address)]


def edge_agent(request: Request, context: Context) -> AgentIdentity:
    """The agent whose bearer token this is.

    Raises:
        NotAuthenticated: no token, or one that is unknown or revoked.
    """
    return _agent(request.headers.get("authorization", ""), context)


def _agent(header: str, context: AppContext) -> AgentIdentity:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != AUTHORIZATION_SCHEME.lower() or not token.strip():
        raise NotAuthenticated("an agent's bearer token is needed")
    with context.database.glance() as session:
        identity = identity_of(session, token.strip())
    if identity is None:
        raise NotAuthenticated("the token is unknown or revoked")
    return identity


EdgeAgent = Annotated[AgentIdentity, Depends(edge_agent)]
