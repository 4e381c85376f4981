"""What people type into forms, as values; and errors about it, in their language."""

from datetime import UTC, datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import Request

from server.errors import (
    ApprovalNeeded,
    Conflict,
    CsrfFailed,
    InvalidRequest,
    PurposeMissing,
    RequestError,
    TooManyAttempts,
    TooManyRequests,
    Unavailable,
)
from server.web.rendering import language_of
from server.web.texts import load_texts

_LABELS = {
    "plate": "table.plate",
    "since": "query.from",
    "from": "query.from",
    "until": "query.to",
    "to": "query.to",
    "purpose": "search.purpose",
    "case_number": "search.case_number",
    "reason": "watchlist.reason",
    "level": "watchlist.level",
    "valid_to": "watchlist.valid_to",
    "badge_number": "alert.badge",
    "unit": "alert.unit",
    "outcome": "alert.outcome",
    "why": "approvals.why",
    "hours": "approvals.hours",
    "note": "approvals.note",
    "authority": "protected.authority",
    "name": "users.name",
    "display_name": "users.display_name",
    "role": "users.role",
    "area": "users.areas",
    "password": "login.password",
    "old": "account.old",
    "new": "account.new",
    "again": "account.again",
    "user_name": "cases.member",
    "order_unit": "alert.order_unit",
    "order": "alert.order",
    "finding": "alert.finding",
    "feedback": "alert.feedback",
    "true_plate": "alert.true_plate",
    "pictures": "alert.pictures",
    "suspects": "figures.suspects",
    "vehicles": "figures.vehicles",
    "people_helped": "figures.people_helped",
    "property_cents": "figures.property_cents",
    "loss_cents": "figures.loss_cents",
    "outcome_note": "cases.note",
    "kind": "cases.kind",
    "title": "cases.about",
    "month": "figures.month",
    "match": "watchlist.match",
    "tolerance": "watchlist.tolerance",
    "people": "watchlist.people",
    "contact": "watchlist.contact",
    "tell": "watchlist.tell_whom",
    "checkpoints": "watchlist.checkpoints",
    "valid_from": "watchlist.valid_from",
    "urgent": "watchlist.urgent_why",
}


_SAID: tuple[tuple[type[RequestError], str], ...] = (
    (PurposeMissing, "error.purpose_missing"),
    (CsrfFailed, "error.csrf_failed"),
    (ApprovalNeeded, "error.approval_needed"),
    (TooManyAttempts, "login.throttled"),
    (TooManyRequests, "error.s429"),
    (Unavailable, "error.s503"),
)
"""What is said of an error that is no single field's."""


def local_instant(text: str, zone: ZoneInfo, field: str) -> datetime | None:
    """What a ``datetime-local`` field holds, read in the zone of the pages; None if empty.

    Raises:
        InvalidRequest: it is not a time.
    """
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{field}: not a time: {text[:40]!r}", field=field) from None


def local_path(text: str) -> str:
    """A path on this server to go back to; anything that could lead elsewhere becomes ``/``."""
    parts = urlsplit(text)
    if parts.scheme or parts.netloc or not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    return text if text.isprintable() and "\\" not in text else "/"


def said(request: Request, error: RequestError) -> str:
    """An error in the reader's language, naming the field as the form does."""
    t = load_texts(language_of(request))
    match error:
        case InvalidRequest() | Conflict() if error.field:
            _, _, detail = error.detail.partition(": ")
            label = t(_LABELS[error.field]) if error.field in _LABELS else error.field
            return t("error.invalid", field=label, detail=detail or error.detail)
        case _:
            known = next((key for kind, key in _SAID if isinstance(error, kind)), None)
            return t(known) if known else error.detail
