"""Log-in, log-out and the choice of language."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from server.auth.guards import SESSION_COOKIE, ClientAddress, OptionalAccount, SignedIn
from server.auth.routes import set_session_cookie
from server.auth.sessions import log_in, log_out
from server.context import Context
from server.errors import NotAuthenticated, TooManyAttempts
from server.web.forms import local_path
from server.web.rendering import LANGUAGE_COOKIE, language_of, render
from server.web.texts import LANGUAGES, load_texts

router = APIRouter(include_in_schema=False)

_YEAR_S = 365 * 86_400


@router.get("/")
def home() -> Response:
    """The wall is what a command centre opens with."""
    return RedirectResponse("/wall", status_code=303)


@router.get("/login")
def show_login(request: Request, account: OptionalAccount, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The form; whoever is logged in already goes on."""
    if account is not None:
        return RedirectResponse(local_path(next), status_code=303)
    return render(
        request,
        "login.html",
        page="login",
        account=None,
        problem="",
        username="",
        next=local_path(next),
    )


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
        return render(
            request,
            "login.html",
            page="login",
            account=None,
            status=error.status,
            problem=t("login.throttled" if throttled else "login.wrong"),
            username=username,
            next=local_path(next),
        )
    response = RedirectResponse(local_path(next), status_code=303)
    set_session_cookie(response, token, request, context)
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
