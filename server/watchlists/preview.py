"""What an entry would do, before it does it: the misreads it accepts, and its last week's alerts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from anpr.watch import (
    Alternative,
    Glyph,
    Match,
    Seen,
    Watched,
    is_shaped,
    judge,
    misreads_of,
    shape_of,
)
from server.auth.sight import Sight
from server.db import among
from server.passages.areas import Polygon, within
from server.passages.known import KnownPlates
from server.passages.search import MAX_NEAR, MAX_PLATES
from server.settings import Settings
from server.tables import Passage
from server.watchlists.entries import NewEntry, hours_of

MAX_MISREADS = 40
MAX_SAMPLES = 20
MAX_LOOKED_AT = 50_000
"""Passages that a preview looks at, the newest first; it says so if there were more."""
_PREVIEWED = 0


@dataclass(frozen=True, slots=True)
class Misread:
    """A plate as it may be read of the wanted one, by a reader that is unsure of a character."""

    plate: str
    cost: float
    difference: str
    """``B≈8``: what is read for what stands there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A passage for which there would have been an alert."""

    plate: str
    captured_at: datetime
    checkpoint_id: str
    kind: str
    cost: float


@dataclass(frozen=True, slots=True)
class Preview:
    """What an entry would do."""

    misreads: tuple[Misread, ...]
    misreads_more: int
    """So many are not listed."""
    days: int
    passages: int
    """That match."""
    alerts: int
    """That they would have made: one vehicle at one place is one."""
    looked_at: int
    truncated: bool
    """Whether there were more passages than were looked at: then there may be more alerts."""
    samples: tuple[Sample, ...]


def preview(  # noqa: PLR0913 - what, for whose eyes, in what, when, by which rules
    session: Session,
    entry: NewEntry,
    sight: Sight,
    known: KnownPlates,
    *,
    now: datetime,
    settings: Settings,
) -> Preview:
    """Try an entry on the passages of the last days that the asker may see. Its fields are valid."""
    columns = entry.columns()
    since = now - timedelta(days=settings.watchlist.preview_days)
    watched = replace(_watched(session, columns), valid_from=since)
    zone = ZoneInfo(settings.display.time_zone)
    looked_at, hits = 0, list[tuple[Passage, Match]]()
    for passage in _passages(session, columns, sight, known, since, now):
        looked_at += 1
        seen = seen_again(passage)
        match = judge(watched, seen, passage.checkpoint_id, (passage.captured_at,), zone)
        if match is not None:
            hits.append((passage, match))
    misreads = _misreads(columns)
    return Preview(
        misreads=misreads[:MAX_MISREADS],
        misreads_more=max(0, len(misreads) - MAX_MISREADS),
        days=settings.watchlist.preview_days,
        passages=len(hits),
        alerts=_alerts([passage for passage, _ in hits], settings.alerts.repeat_s),
        looked_at=looked_at,
        truncated=looked_at >= MAX_LOOKED_AT,
        samples=tuple(
            Sample(p.plate, p.captured_at, p.checkpoint_id, m.kind, round(m.cost, 4))
            for p, m in hits[:MAX_SAMPLES]
        ),
    )


def seen_again(passage: Passage) -> Seen:
    """What matching took of a passage when it came."""
    characters = passage.characters
    glyphs = tuple(
        Glyph(char, c["score"], _considered(c["alternatives"]))
        for char, c in zip(passage.plate, characters, strict=False)
    )
    return Seen(
        passage.plate,
        glyphs if len(characters) == len(passage.plate) else (),
        passage.plate_kind,
        passage.plate_color,
        passage.vehicle_color,
    )


def _considered(alternatives: Iterable[dict[str, Any]]) -> tuple[Alternative, ...]:
    return tuple(Alternative(one["char"], one["score"]) for one in alternatives)


def _watched(session: Session, columns: dict[str, Any]) -> Watched:
    described, scope = columns["description"] or {}, columns["scope"] or {}
    places: frozenset[str] | None = None
    if scope.get("area") or scope.get("checkpoints"):
        places = frozenset(scope["checkpoints"])
        if scope["area"]:
            corners = tuple((lon, lat) for lon, lat in scope["area"])
            places |= frozenset(within(session, polygon=Polygon(corners)))
    return Watched(
        entry_id=_PREVIEWED,
        match=columns["match"],
        plate=columns["plate"],
        level=columns["level"],
        valid_from=datetime.min,  # noqa: DTZ901 - replaced by the caller
        valid_to=None,
        tolerance=columns["tolerance"] or 0.0,
        plate_kinds=frozenset(described.get("plate_kinds", ())),
        plate_colors=frozenset(described.get("plate_colors", ())),
        vehicle_colors=frozenset(described.get("vehicle_colors", ())),
        places=places,
        hours=tuple(filter(None, map(hours_of, scope.get("hours", ())))),
    )


def _passages(  # noqa: PLR0913, PLR0917 - which, for whose eyes, from where
    session: Session,
    columns: dict[str, Any],
    sight: Sight,
    known: KnownPlates,
    since: datetime,
    now: datetime,
) -> Iterator[Passage]:
    """Passages of these days that may match, the newest first."""
    conditions: list[ColumnElement[bool]] = [Passage.captured_at >= since]
    plates = _plates(session, columns, known, now)
    if plates is not None:
        conditions.append(among(session, Passage.plate, plates))
    described = columns["description"] or {}
    for name, column in (
        ("plate_kinds", Passage.plate_kind),
        ("plate_colors", Passage.plate_color),
        ("vehicle_colors", Passage.vehicle_color),
    ):
        if described.get(name):
            conditions.append(column.in_(described[name]))
    query = (
        select(Passage)
        .where(*conditions, *sight.conditions(Passage))
        .order_by(Passage.captured_at.desc())
        .limit(MAX_LOOKED_AT)
        .execution_options(yield_per=1_000)
    )
    yield from session.scalars(query)


def _plates(
    session: Session, columns: dict[str, Any], known: KnownPlates, now: datetime
) -> tuple[str, ...] | None:
    """Plates that have passed and may be meant; None if the plate says nothing."""
    text, match = columns["plate"], columns["match"]
    if match == "exact":
        return (text,)
    if match == "fuzzy":
        near = known.near(session, now, text, 2, MAX_NEAR)
        return tuple(one.plate for one in near if len(one.plate) == len(text)) or (text,)
    if not text:
        return None
    fitting = known.fitting(session, now, text, MAX_PLATES)
    return tuple(plate for plate in fitting.plates if is_shaped(plate, shape_of(text)))


def _misreads(columns: dict[str, Any]) -> tuple[Misread, ...]:
    if columns["match"] != "fuzzy":
        return ()
    wanted = columns["plate"]
    return tuple(
        Misread(text, round(cost, 4), _difference(text, wanted))
        for text, cost in misreads_of(wanted, columns["tolerance"])
    )


def _difference(read: str, wanted: str) -> str:
    return " ".join(f"{a}≈{b}" for a, b in zip(read, wanted, strict=True) if a != b)


def _alerts(passages: Iterable[Passage], repeat_s: float) -> int:
    """Sightings of one plate at one place within the time of a repeat are one alert."""
    last: dict[tuple[str, str], datetime] = {}
    alerts = 0
    for one in sorted(passages, key=lambda p: p.captured_at):
        key = (one.plate, one.checkpoint_id)
        before = last.get(key)
        if before is None or one.captured_at - before > timedelta(seconds=repeat_s):
            alerts += 1
        last[key] = one.captured_at
    return alerts
