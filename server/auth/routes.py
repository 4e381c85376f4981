"""Log-in and log-out for programs; pages use the same functions."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.auth.accounts import Account, Role
from server.auth.guards import SESSION_COOKIE, ClientAddress, SignedIn
from server.auth.sessions import log_in, log_out
from server.context import AppContext, Context
from server.http import no_content

router = APIRouter(prefix="/api/v1", tags=["session"])


class Credentials(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open session. Send ``csrf_token`` as ``X-CSRF-Token`` with everything but GET."""

    name: str
    display_name: str
    role: Role
    csrf_token: str
    expires_at: datetime
    must_change_password: bool
    """Nothing else is answered before ``POST /api/v1/account/password``."""


@router.post("/login")
def post_login(
    credentials: Credentials,
    request: Request,
    response: Response,
    address: ClientAddress,
    context: Context,
) -> Opened:
    """Open a session; its token comes as a cookie."""
    account, token = log_in(
        context.database,
        context.settings.sessions,
        name=credentials.name,
        password=credentials.password,
        address=address,
        now=context.clock(),
    )
    set_session_cookie(response, token, request, context)
    return _opened(account)


@router.get("/session")
def get_session(account: SignedIn) -> Opened:
    """Who is logged in."""
    return _opened(account)


@router.post("/logout", status_code=204)
def post_logout(
    _account: SignedIn, request: Request, address: ClientAddress, context: Context
) -> Response:
    """End the session."""
    with context.database.write() as session:
        log_out(session, request.cookies[SESSION_COOKIE], context.clock(), address)
    response = no_content()
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def set_session_cookie(
    response: Response, token: str, request: Request, context: AppContext
) -> None:
    """Hand a session's token to the browser: unreadable for scripts, sent to this site only."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=context.settings.sessions.lifetime_s,
        path="/",
        httponly=True,
        samesite="strict",
        secure=context.settings.http.cookie_secure == "always" or request.url.scheme == "https",
    )


def _opened(account: Account) -> Opened:
    return Opened(
        name=account.name,
        display_name=account.display_name,
        role=account.role,
        csrf_token=account.csrf_token,
        expires_at=account.expires_at,
        must_change_password=account.must_change_password,
    )
