"""Templates to HTML: the environment, its filters, and what every page is given."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context as TemplateContext

from server.auth.accounts import Account, Role
from server.checkpoints.service import CheckpointPlace
from server.context import context_of
from server.http import CONTENT_SECURITY_POLICY
from server.web.texts import LANGUAGES, load_texts

HERE = Path(__file__).parent
STATIC = HERE / "static"
STATIC_PATH = "/static"
LANGUAGE_COOKIE = "lang"

_NAVIGATION = (
    ("wall", "/wall", Role.OPERATOR),
    ("alerts", "/alerts", Role.OPERATOR),
    ("passages", "/passages", Role.OPERATOR),
    ("search", "/search", Role.OPERATOR),
    ("analyses", "/analyses", Role.OPERATOR),
    ("watchlist", "/watchlist", Role.OPERATOR),
    ("checkpoints", "/checkpoints", Role.OPERATOR),
    ("approvals", "/approvals", Role.OPERATOR),
    ("cases", "/cases", Role.OFFICER),
    ("protected", "/protected", Role.CUSTODIAN),
    ("notices", "/notices", Role.SUPERVISOR),
    ("audit", "/audit", Role.ADMINISTRATOR),
    ("users", "/users", Role.ADMINISTRATOR),
)


def render(
    request: Request,
    template: str,
    *,
    page: str,
    account: Account | None,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """Render one template; ``page`` names the entry of the navigation that is marked."""
    context = context_of(request)
    language = language_of(request)
    html = (
        _environment()
        .get_template(template)
        .render(
            t=load_texts(language),
            lang=language,
            page=page,
            user=account,
            csrf_token=account.csrf_token if account else "",
            navigation=[
                (name, href)
                for name, href, role in _NAVIGATION
                if account and not account.must_change_password and account.role.covers(role)
            ],
            back=request.url.path if request.method == "GET" else "/",
            now=context.clock(),
            time_zone=context.settings.display.time_zone,
            map_settings=context.settings.map,
            **values,
        )
    )
    # what a page shows is for these eyes and this moment
    headers = {"Cache-Control": "no-store"}
    if context.settings.map.tiles_origin:
        # a page may fetch tiles from the one host that the settings name, and nothing else
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
            "connect-src 'self'", f"connect-src 'self' {context.settings.map.tiles_origin}"
        )
    return HTMLResponse(html, status, headers=headers)


def wants_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page, rather than the browser for a whole one."""
    return request.headers.get("HX-Request") == "true"


def language_of(request: Request) -> str:
    """The language that this browser has chosen, else the first."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LANGUAGES else LANGUAGES[0]


def zone_of(request: Request) -> ZoneInfo:
    """The zone in which people here read and write times."""
    return ZoneInfo(context_of(request).settings.display.time_zone)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_url
    environment.filters["local"] = _local
    environment.filters["local_time"] = _local_time
    environment.filters["local_clock"] = _local_clock
    environment.filters["place"] = _place
    environment.filters["km"] = _km
    environment.filters["duration"] = _duration
    environment.filters["iso"] = _iso
    environment.filters["percent"] = _percent
    environment.filters["yuan"] = _yuan
    return environment


@cache
def static_url(path: str) -> str:
    """Address of a static file; it changes with the content, so no browser keeps an old one."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()
    return f"{STATIC_PATH}/{path}?v={digest[:12]}"


def _zoned(context: TemplateContext, instant: datetime) -> datetime:
    return instant.astimezone(ZoneInfo(context["time_zone"]))


@pass_context
def _local(context: TemplateContext, instant: datetime) -> str:
    return _zoned(context, instant).strftime("%Y-%m-%d %H:%M:%S")


@pass_context
def _local_time(context: TemplateContext, instant: datetime) -> str:
    """Time of day; with the date where that is another day than today."""
    zoned, now = _zoned(context, instant), _zoned(context, context["now"])
    return zoned.strftime("%H:%M:%S" if zoned.date() == now.date() else "%m-%d %H:%M:%S")


@pass_context
def _local_clock(context: TemplateContext, instant: datetime) -> str:
    return _zoned(context, instant).strftime("%H:%M:%S")


@pass_context
def _place(context: TemplateContext, place: CheckpointPlace) -> str:
    """A checkpoint's name in the page's language, where it has one."""
    return (place.name_en if context["lang"] == "en" else "") or place.name


def _km(distance_m: float) -> str:
    return f"{distance_m / 1000:.1f}" if distance_m >= 1000 else f"{distance_m / 1000:.2f}"


def _duration(duration_s: float) -> str:
    """Seconds as ``1:02:03`` or ``02:03``; the figures read the same in every language."""
    minutes, seconds = divmod(round(abs(duration_s)), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
    return f"-{text}" if duration_s < 0 else text


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _yuan(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _percent(score: float) -> str:
    """A score in [0, 1]; 100 % is shown only where it is nothing less."""
    return f"{min(score * 100, 100.0 if score >= 1 else 99.9):.1f}%"
