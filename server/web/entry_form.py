"""The form of a watchlist entry: what is typed, as an entry, and an entry as what was typed."""

from datetime import datetime
from typing import get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from anpr.plate import PlateColor, PlateKind
from server.errors import InvalidRequest
from server.passages.areas import polygon_of
from server.settings import Settings
from server.watchlists.entries import DEFAULT_TOLERANCE, MATCHES, NewEntry
from server.watchlists.view import EntryView
from server.web.forms import local_instant
from server.wire import VehicleColor

__all__ = ["CHOICES", "MATCHES", "EntryForm", "entry_of", "form_of"]

CHOICES = {
    "plate_kinds": tuple(kind.value for kind in PlateKind if kind is not PlateKind.UNKNOWN),
    "plate_colors": tuple(one.value for one in PlateColor if one is not PlateColor.UNKNOWN),
    "vehicle_colors": tuple(one for one in get_args(VehicleColor) if one != "unknown"),
}
_AT_THE_WALL = frozenset({"sound", "wall"})


class EntryForm(BaseModel):
    """All fields as typed; times are read in the zone of the pages."""

    model_config = ConfigDict(frozen=True)

    match: str = Field(default="exact", max_length=16)
    plate: str = Field(default="", max_length=64)
    tolerance: str = Field(default=f"{DEFAULT_TOLERANCE:g}", max_length=8)
    plate_kinds: list[str] = Field(default=[], max_length=40)
    plate_colors: list[str] = Field(default=[], max_length=40)
    vehicle_colors: list[str] = Field(default=[], max_length=40)
    reason: str = Field(default="", max_length=64)
    level: str = Field(default="2", max_length=2)
    intercept: str = Field(default="", max_length=8)
    secret: str = Field(default="", max_length=8)
    people: str = Field(default="", max_length=4000)
    case_number: str = Field(default="", max_length=200)
    valid_from: str = Field(default="", max_length=32)
    valid_to: str = Field(default="", max_length=32)
    note: str = Field(default="", max_length=4000)
    contact: str = Field(default="", max_length=400)
    bell: str = Field(default="sound", max_length=8)
    webhooks: list[str] = Field(default=[], max_length=40)
    tell: str = Field(default="", max_length=4000)
    polygon: str = Field(default="", max_length=8000)
    circle: str = Field(default="", max_length=80)
    checkpoints: list[str] = Field(default=[], max_length=1000)
    hours: str = Field(default="", max_length=400)
    urgent: str = Field(default="", max_length=4000)
    act: str = Field(default="apply", max_length=16)


def entry_of(form: EntryForm, zone: ZoneInfo) -> NewEntry:
    """The entry that somebody has typed; its own rules judge it later.

    Raises:
        InvalidRequest: a field is not even a time, a number or an area.
    """
    if form.circle:
        raise InvalidRequest("area: draw a polygon; a circle is not kept", field="area")
    try:
        tolerance = float(form.tolerance) if form.match == "fuzzy" else None
    except ValueError:
        raise InvalidRequest("tolerance: a number", field="tolerance") from None
    return NewEntry(
        plate=form.plate,
        reason=form.reason,
        level=int(form.level) if form.level.isascii() and form.level.isdecimal() else 0,
        case_number=form.case_number,
        valid_from=local_instant(form.valid_from, zone, "valid_from"),
        valid_to=local_instant(form.valid_to, zone, "valid_to"),
        note=form.note,
        match=form.match,
        tolerance=tolerance,
        plate_kinds=tuple(form.plate_kinds) if form.match == "description" else (),
        plate_colors=tuple(form.plate_colors) if form.match == "description" else (),
        vehicle_colors=tuple(form.vehicle_colors) if form.match == "description" else (),
        intercept=bool(form.intercept),
        secret=bool(form.secret),
        people=_listed(form.people) if form.secret else (),
        contact=form.contact,
        tell=_ways(form),
        area=polygon_of(form.polygon).corners if form.polygon.strip() else (),
        checkpoints=tuple(form.checkpoints),
        hours=_listed(form.hours),
    )


def form_of(entry: EntryView, zone: ZoneInfo) -> EntryForm:
    """What would have to be typed for this entry."""
    ways = [way for way in entry.tell if way not in _AT_THE_WALL]
    hooks = [way.removeprefix("webhook:") for way in ways if way.startswith("webhook:")]
    return EntryForm(
        match=entry.match,
        plate=entry.plate,
        tolerance=f"{DEFAULT_TOLERANCE if entry.tolerance is None else entry.tolerance:g}",
        plate_kinds=list(entry.plate_kinds),
        plate_colors=list(entry.plate_colors),
        vehicle_colors=list(entry.vehicle_colors),
        reason=entry.reason,
        level=str(entry.level),
        intercept="1" if entry.intercept else "",
        secret="1" if entry.secret else "",
        people=" ".join(entry.people),
        case_number=entry.case_number,
        valid_from=_typed(entry.valid_from, zone),
        valid_to=_typed(entry.valid_to, zone) if entry.valid_to else "",
        note=entry.note,
        contact=entry.contact,
        bell="wall" if entry.tell and "sound" not in entry.tell else "sound",
        webhooks=hooks,
        tell=" ".join(way for way in ways if not way.startswith("webhook:")),
        polygon=" ".join(f"{lon:.6f},{lat:.6f}" for lon, lat in entry.area),
        checkpoints=list(entry.checkpoints),
        hours=" ".join(entry.hours),
    )


def receivers(settings: Settings) -> tuple[str, ...]:
    """The webhooks that are set up here."""
    return tuple(sorted(settings.notices.webhooks))


def _ways(form: EntryForm) -> tuple[str, ...]:
    """Who is told and how; nothing said is the wall with its bell."""
    others = [*(f"webhook:{name}" for name in form.webhooks), *_listed(form.tell)]
    if form.bell == "sound":
        return ("sound", *others) if others else ()
    return ("wall", *others)


def _listed(text: str) -> tuple[str, ...]:
    """What is separated by spaces, commas or line ends, as people type lists."""
    return tuple(text.replace(",", " ").replace("，", " ").replace("、", " ").split())


def _typed(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%Y-%m-%dT%H:%M")
