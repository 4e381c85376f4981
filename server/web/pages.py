"""The door of the pages: routes, static files, and errors as people see them.

A page calls the same services as the API and holds no query of its own. Whatever changes
something is a POST with the session's CSRF token and works without scripts; with scripts htmx
sends the same form and swaps in the same templates.
"""

import mimetypes
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.auth.guards import optional_account
from server.context import context_of
from server.errors import NotAuthenticated, PasswordStale, RequestError, ServerError
from server.http import add_routes
from server.web import (
    alert_pages,
    analysis_pages,
    audit_pages,
    case_pages,
    clone_pages,
    import_pages,
    lookup_pages,
    notice_pages,
    people_pages,
    pursuit_pages,
    register_pages,
    rights_pages,
    session_pages,
    story_pages,
    wall_pages,
    watchlist_pages,
)
from server.web.forms import said
from server.web.rendering import STATIC, STATIC_PATH, render, wants_fragment

_ROUTERS = (
    session_pages.router,
    wall_pages.router,
    alert_pages.router,
    lookup_pages.router,
    pursuit_pages.router,
    story_pages.router,
    analysis_pages.router,
    clone_pages.router,
    import_pages.router,  # before the one whose paths end in a number
    watchlist_pages.router,
    register_pages.router,
    rights_pages.router,
    audit_pages.router,
    case_pages.router,
    notice_pages.router,
    people_pages.router,
)
_API_PREFIXES = ("/api/", "/health/", "/evidence/", STATIC_PATH + "/")
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"


class _Static(StaticFiles):
    """Static files. An address with its content's hash never changes; others are asked for again.

    The modules that a module imports carry no hash, so without the second rule a browser could
    run last year's ``map.js`` with this year's ``search.js``.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = _IMMUTABLE if hashed else _REVALIDATE
        return response


def install(app: FastAPI) -> None:
    """Add pages and static files to the application."""
    # module scripts are refused under any other type, and the type table of a bare system lacks it
    mimetypes.add_type("text/javascript", ".mjs")
    add_routes(app, _ROUTERS)
    app.mount(STATIC_PATH, _Static(directory=STATIC), name="static")


def is_page(request: Request) -> bool:
    """Whether a browser's page asks, rather than a script, an agent or an image tag."""
    return not request.url.path.startswith(_API_PREFIXES)


def error_page(request: Request, error: RequestError) -> Response:
    """An error as a page; whoever is not logged in is led to the log-in and back."""
    if isinstance(error, NotAuthenticated):
        if wants_fragment(request):
            return Response(status_code=error.status)  # the page reloads itself on this
        back = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/login?next={quote(back)}", status_code=303)
    if isinstance(error, PasswordStale):
        return RedirectResponse("/account", status_code=303)
    page = _page(request, error.status, said(request, error))
    if error.retry_after_s is not None:
        page.headers["Retry-After"] = str(error.retry_after_s)
    return page


def failure_page(request: Request, status: int) -> Response:
    """A status without a cause that a person could mend: no such page, a defect of ours."""
    return _page(request, status, "")


def _page(request: Request, status: int, detail: str) -> Response:
    try:
        account = optional_account(request, context_of(request))
    except ServerError:  # the database is away: the page that says so must not need it
        account = None
    return render(
        request,
        "error.html",
        page="error",
        account=account,
        status=status,
        status_code=status,
        detail=detail,
    )
