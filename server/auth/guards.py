"""Who may use a route, as dependencies: ``account: Operator``, ``account: Officer`` ….

A guard looks the caller up in a short transaction of its own, before any body is read and before
the route's transaction begins. For people every request that may change something must repeat
the session's CSRF token, in the header ``X-CSRF-Token`` or in the form field ``csrf_token``.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from server.auth.accounts import Account, Role, account_of, csrf_matches
from server.auth.agents import AgentIdentity, identity_of
from server.context import AppContext, Context
from server.errors import CsrfFailed, NotAllowed, NotAuthenticated
from server.wire import AUTHORIZATION_SCHEME

SESSION_COOKIE = "kakou_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def client_address(request: Request) -> str:
    """Address the request came from, for the audit log."""
    return request.client.host if request.client else ""


def optional_account(request: Request, context: Context) -> Account | None:
    """Who is logged in, or None."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    with context.database.read() as session:
        return account_of(session, token, context.clock())


async def signed_in(
    request: Request, account: Annotated[Account | None, Depends(optional_account)]
) -> Account:
    """Somebody who is logged in and, where the request may change something, sent it himself.

    Raises:
        NotAuthenticated: no open session.
        CsrfFailed: the token is missing or not this session's.
    """
    if account is None:
        raise NotAuthenticated("log in first")
    if request.method not in _SAFE_METHODS:
        token = request.headers.get(CSRF_HEADER)
        if token is None and request.headers.get("content-type", "").startswith(_FORM_TYPES):
            field = (await request.form()).get(CSRF_FIELD)
            token = field if isinstance(field, str) else None
        if not csrf_matches(account, token):
            raise CsrfFailed("the page's token is missing or stale; reload the page")
    return account


def requires(role: Role) -> Callable[[Account], Account]:
    """Make the guard for a role."""

    def guard(account: Annotated[Account, Depends(signed_in)]) -> Account:
        if not account.role.covers(role):
            raise NotAllowed(f"needs the role {role}")
        return account

    return guard


OptionalAccount = Annotated[Account | None, Depends(optional_account)]
Operator = Annotated[Account, Depends(requires(Role.OPERATOR))]
Officer = Annotated[Account, Depends(requires(Role.OFFICER))]
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
    with context.database.read() as session:
        identity = identity_of(session, token.strip())
    if identity is None:
        raise NotAuthenticated("the token is unknown or revoked")
    return identity


EdgeAgent = Annotated[AgentIdentity, Depends(edge_agent)]
