"""Log-in, log-out and the choice of language."""

import logging
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from server.auth.guards import SESSION_COOKIE, ClientAddress, OptionalAccount, SignedIn
from server.auth.oidc import PATIENCE, RETURN_PATH, admit, arrive, depart
from server.auth.routes import set_session_cookie
from server.auth.sessions import log_in, log_out, open_session
from server.context import AppContext, Context
from server.errors import NotAuthenticated, NotFound, TooManyAttempts
from server.web.forms import local_path
from server.web.rendering import LANGUAGE_COOKIE, language_of, render
from server.web.texts import LANGUAGES, load_texts

router = APIRouter(include_in_schema=False)

_log = logging.getLogger(__name__)

STATE_COOKIE = "kakou_oidc"
_YEAR_S = 365 * 86_400


@router.get("/")
def home() -> Response:
    """The wall is what a command centre opens with."""
    return RedirectResponse("/wall", status_code=303)


@router.get("/login")
def show_login(
    request: Request,
    context: Context,
    account: OptionalAccount,
    next: str = "/",  # noqa: A002 - the name in the address
) -> Response:
    """The form; whoever is logged in already goes on."""
    if account is not None:
        return RedirectResponse(local_path(next), status_code=303)
    return _login(request, context, next_path=local_path(next))


@router.post("/login")
def do_login(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    address: ClientAddress,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the name in the form
) -> Response:
    """Open a session and go where the visitor wanted to go."""
    t = load_texts(language_of(request))
    try:
        _, token = log_in(
            context.database,
            context.settings.sessions,
            name=username.strip(),
            password=password,
            address=address,
            now=context.clock(),
        )
    except (NotAuthenticated, TooManyAttempts) as error:
        throttled = isinstance(error, TooManyAttempts)
        return _login(
            request,
            context,
            next_path=local_path(next),
            status=error.status,
            problem=t("login.throttled" if throttled else "login.wrong"),
            username=username,
        )
    response = RedirectResponse(local_path(next), status_code=303)
    set_session_cookie(response, token, request, context)
    return response


@router.get("/login/oidc")
def depart_to_provider(
    context: Context,
    next: str = "/",  # noqa: A002 - the name in the address
) -> Response:
    """Send the browser to the identity provider."""
    settings = context.settings.oidc
    if not settings.issuer:
        raise NotFound("no identity provider is set up")
    departure = depart(context.database, settings, next_path=local_path(next), now=context.clock())
    response = RedirectResponse(departure.url, status_code=303)
    # lax: the browser comes back from another site, and must bring it
    response.set_cookie(
        STATE_COOKIE,
        departure.state,
        max_age=int(PATIENCE.total_seconds()),
        path="/login/oidc",
        httponly=True,
        samesite="lax",
        secure=settings.public_url.startswith("https://"),
    )
    return response


@router.get(RETURN_PATH)
def arrive_from_provider(  # noqa: PLR0913, PLR0917 - what the provider's answer carries
    request: Request,
    context: Context,
    address: ClientAddress,
    state: str = "",
    code: str = "",
    error: str = "",
) -> Response:
    """Take the provider's word for who it is, once it has been checked, and open a session."""
    settings = context.settings.oidc
    if not settings.issuer:
        raise NotFound("no identity provider is set up")
    now = context.clock()
    try:
        visitor, next_path = arrive(
            context.database,
            settings,
            state=state,
            cookie_state=request.cookies.get(STATE_COOKIE, ""),
            code="" if error else code,
            now=now,
        )
        with context.database.write() as session:
            user = admit(session, visitor, address=address, now=now)
            _, token = open_session(
                session, context.settings.sessions, user=user, address=address, now=now
            )
    except NotAuthenticated as refusal:
        _log.warning("log-in at the identity provider refused: %s", refusal.detail)
        t = load_texts(language_of(request))
        return _login(
            request, context, next_path="/", status=refusal.status, problem=t("login.oidc_refused")
        )
    # a page and not a redirect: the browser came from another site, and on a redirect it would
    # not send the new cookie, which is for requests of this site alone
    response = render(request, "arrived.html", page="login", account=None, next=next_path)
    set_session_cookie(response, token, request, context)
    response.delete_cookie(STATE_COOKIE, path="/login/oidc")
    return response


@router.post("/logout")
def do_logout(
    request: Request, context: Context, _account: SignedIn, address: ClientAddress
) -> Response:
    """End the session; the guard has checked that the page itself asks for it."""
    with context.database.write() as session:
        log_out(session, request.cookies[SESSION_COOKIE], context.clock(), address)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@router.post("/language")
def choose_language(
    lang: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/"
) -> Response:
    """Remember the language in this browser."""
    response = RedirectResponse(local_path(back), status_code=303)
    if lang in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR_S, httponly=True, samesite="lax")
    return response


def _login(  # noqa: PLR0913 - the parts of the page
    request: Request,
    context: AppContext,
    *,
    next_path: str,
    status: int = 200,
    problem: str = "",
    username: str = "",
) -> Response:
    return render(
        request,
        "login.html",
        page="login",
        account=None,
        status=status,
        problem=problem,
        username=username,
        next=next_path,
        oidc=bool(context.settings.oidc.issuer),
        passwords=context.settings.sessions.passwords,
    )
