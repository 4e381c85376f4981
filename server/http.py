"""HTTP for all routes alike: bodies with a limit, errors as problem documents, headers, logs.

Errors are RFC 9457 ``application/problem+json``: ``type``, ``title``, ``status``, ``detail``,
with ``code`` (stable, for programs and translations) and ``field`` where one is at fault.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import CsrfFailed, Malformed, RequestError, TooLarge
from server.shown import made
from server.wire import EVIDENCE_PATH, INGEST_PATH, MAX_BATCH_BYTES, MAX_EVIDENCE_BYTES

_log = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder(enc_hook=made)

PROBLEM_TYPE = "application/problem+json"
MAX_OTHER_BYTES = 256 * 1024
"""Bodies of people's requests: forms and short JSON."""
MAX_FEEDBACK_BYTES = 26 * 1024 * 1024
"""Feedback on an alert, with its pictures."""
_LIMITS = {
    "/feedback/": MAX_FEEDBACK_BYTES,
    "/api/v1/feedback/": MAX_FEEDBACK_BYTES,
    "/watchlist/import": MAX_FEEDBACK_BYTES,
    "/api/v1/watchlist/import": MAX_FEEDBACK_BYTES,
    EVIDENCE_PATH.partition("{")[0]: MAX_EVIDENCE_BYTES,
    INGEST_PATH: MAX_BATCH_BYTES,
}
"""Largest body by the beginning of the path."""


def add_routes(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Put the routers' routes into the application, as they are.

    ``include_router`` would wrap each router: at their first requests all its routes would be built
    a second time (half a second of an application's life), and every request matched twice. It is
    for a prefix, dependencies or tags that come with the inclusion, and there are none.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


Answer = Callable[[Request, Exception], Response]
Answered = Callable[[str, str, int, float], None]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; media-src 'self'; connect-src 'self'; worker-src 'self' blob:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_NUMBER = 18
"""Digits of a length; int() of thousands of them is slow on purpose."""
_HSTS = "max-age=31536000"
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


async def raw_body(request: Request) -> bytes:
    """The whole body; :class:`EdgeOfHttp` has seen to it that it is not too long."""
    return b"".join([part async for part in request.stream()])


RawBody = Annotated[bytes, Depends(raw_body)]
RowId = Annotated[int, Path(ge=1, le=2**63 - 1)]
"""A number in a path that names a row: what no database can hold is refused, not passed on."""


def answer(value: object) -> Response:
    """A route's answer as JSON: frozen dataclasses, texts, numbers, aware instants, UUIDs.

    FastAPI would turn each value into dicts, check it against its own type and then write it: a
    page of two hundred passages takes that ten times as long.
    """
    return Response(_encoder.encode(value), media_type="application/json")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    retry_after_s: int | None = None,
) -> JSONResponse:
    """A problem document."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if field is not None:
        content["field"] = field
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(content, status, headers, media_type=PROBLEM_TYPE)


def problem_of(error: Exception) -> JSONResponse:
    """The problem document for anything that a route may raise."""
    if isinstance(error, RequestError):
        return problem(
            error.status,
            error.code,
            error.detail,
            field=error.field,
            retry_after_s=error.retry_after_s,
        )
    if isinstance(error, RequestValidationError):
        faults = error.errors()
        first = faults[0] if faults else {"loc": (), "msg": "not valid"}
        field = ".".join(str(part) for part in first["loc"][1:])
        return problem(422, "invalid", f"{field}: {first['msg']}", field=field)
    if isinstance(error, HTTPException):
        codes = {404: "not_found", 405: "method_not_allowed", 400: "malformed"}
        return problem(error.status_code, codes.get(error.status_code, "http"), str(error.detail))
    return problem(500, "internal", "the server failed; the operator finds the cause in its log")


class EdgeOfHttp:
    """The outermost layer: security headers, body limits, one log line a request, last resort.

    Log lines name the route (``/api/v1/trajectories/{plate}``), never the address as sent: it may
    hold a plate.
    """

    def __init__(self, app: ASGIApp, answer: Answer, answered: Answered) -> None:
        """Wrap an application.

        ``answer`` makes the response to an error nobody has handled; ``answered`` is told of
        every request: method, route, status, seconds.
        """
        self._app = app
        self._answer = answer
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", _HSTS)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            _refuse_foreign(scope)
            await self._app(scope, _limited(scope, receive), send_with_headers)
        except Exception as error:
            # what a layer outside the routes refuses is answered here; see also _answer of the app
            if not isinstance(error, RequestError):
                _log.exception("%s %s failed", scope["method"], _route(scope))
            if status:
                raise
            await self._answer(Request(scope), error)(scope, receive, send_with_headers)
        finally:
            took_s, route = time.monotonic() - began, _route(scope)
            self._answered(scope["method"], route, status, took_s)
            _log.info(
                "%s %s %s %.0f ms", scope["method"], route, status, took_s * 1000,
                extra={"method": scope["method"], "route": route, "status": status,
                       "took_ms": round(took_s * 1000, 1)},
            )  # fmt: skip


def _refuse_foreign(scope: Scope) -> None:
    """Refuse what another site's page sends: browsers say so (Fetch Metadata), programs do not.

    This guards the log-in, which has no session whose token could be asked for.
    """
    site = dict(scope["headers"]).get(b"sec-fetch-site", b"none")
    if scope["method"] not in _SAFE_METHODS and site not in {b"none", b"same-origin"}:
        raise CsrfFailed("sent by another site's page")


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Refuse a body that is, or grows, longer than its path allows, before it fills the memory.

    Raises:
        Malformed: its declared length is not a number.
        TooLarge: its declared length is over the limit; so does what is returned, when it grows.
    """
    path: str = scope["path"]
    limit = next((n for start, n in _LIMITS.items() if path.startswith(start)), MAX_OTHER_BYTES)
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit():
        raise Malformed("Content-Length is not a number")
    if len(declared) > _LONGEST_NUMBER or int(declared) > limit:
        raise TooLarge(f"at most {limit} bytes")
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise TooLarge(f"at most {limit} bytes")
        return message

    return limited


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path", "(no route)")


def no_content() -> Response:
    """Done, with nothing to say."""
    return Response(status_code=204)
