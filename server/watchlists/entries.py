"""What an entry may say, and what is wrong with one that may not be.

Four ways to look for a vehicle:

* ``exact``: a whole plate;
* ``fuzzy``: a whole plate and whatever the reader may have made of it, up to a tolerance;
* ``pattern``: ``?`` is one character, ``*`` any run of them;
* ``description``: kinds and colors, with or without a part of the plate (written as a pattern).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, get_args

import shapely
from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.plate import UNREAD, is_rubbish, normalise
from server import audit
from server.auth.accounts import Role
from server.errors import InvalidRequest
from server.notices.channels import MOST as MOST_CHANNELS
from server.notices.channels import check_channels, is_channel
from server.protection import is_sought
from server.settings import Settings
from server.settings_notices import NoticeSettings
from server.settings_watchlist import WatchlistSettings
from server.tables import Checkpoint, User
from server.wire import PlateColor, PlateKind, VehicleColor

MATCHES = ("exact", "fuzzy", "pattern", "description")
MAX_PLATE_LENGTH = 16
MIN_FIXED = 3
"""Characters that a pattern names at least; with fewer it looks for a whole town."""
MIN_FIXED_IN_PART = 2
MAX_CORNERS = 100
MAX_LISTED = 200
DEFAULT_TOLERANCE = 0.5

_ANY_RUN = "*"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_CHOICES = {
    "plate_kinds": frozenset(get_args(PlateKind)) - {"unknown"},
    "plate_colors": frozenset(get_args(PlateColor)) - {"unknown"},
    "vehicle_colors": frozenset(get_args(VehicleColor)) - {"unknown"},
}
Fault = tuple[str, str]
"""A field, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What somebody wants to have watched."""

    plate: str
    reason: str
    level: int
    """1 the gravest … 4."""
    case_number: str
    valid_from: datetime | None = None
    """None = now."""
    valid_to: datetime | None = None
    """Exclusive; None = until withdrawn."""
    note: str = ""
    match: str = "exact"
    tolerance: float | None = None
    """Of a fuzzy entry, None = the usual one; see :mod:`anpr.watch`."""
    plate_kinds: tuple[str, ...] = ()
    plate_colors: tuple[str, ...] = ()
    vehicle_colors: tuple[str, ...] = ()
    intercept: bool = False
    secret: bool = False
    people: tuple[str, ...] = ()
    """Users who learn of a secret entry, besides whoever applied."""
    contact: str = ""
    tell: tuple[str, ...] = ()
    """``wall``, ``sound``, ``webhook:NAME``, ``sms:NUMBER``, ``mail:ADDRESS``."""
    area: tuple[tuple[float, float], ...] = ()
    """Corners (lon, lat), WGS-84, degrees; with ``checkpoints`` empty too: everywhere."""
    checkpoints: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    """``22:00-05:00``, local time of the checkpoint, end exclusive; () = all day."""

    @property
    def text(self) -> str:
        """The plate or pattern as it is kept."""
        pattern = normalise(self.plate)
        while _ANY_RUN * 2 in pattern:
            pattern = pattern.replace(_ANY_RUN * 2, _ANY_RUN)
        return pattern

    def columns(self) -> dict[str, Any]:
        """The columns of ``watchlist_entry`` that an applicant decides on; of a checked entry."""
        described = {name: sorted(set(getattr(self, name))) for name in _CHOICES}
        scope: dict[str, Any] = {
            "area": [list(corner) for corner in self.area],
            "checkpoints": sorted(set(self.checkpoints)),
            "hours": list(self.hours),
        }
        return {
            "match": self.match,
            "plate": self.text,
            "tolerance": _tolerance(self) if self.match == "fuzzy" else None,
            "description": described if self.match == "description" else None,
            "reason": self.reason,
            "level": self.level,
            "intercept": self.intercept,
            "secret": self.secret,
            "case_number": self.case_number.strip(),
            "note": self.note.strip(),
            "contact": self.contact.strip(),
            "tell": list(dict.fromkeys(self.tell)),
            "scope": scope if any(scope.values()) else None,
        }


def require_valid(
    session: Session, entry: NewEntry, applicant: str, now: datetime, settings: Settings
) -> None:
    """Refuse an entry that may not be.

    Raises:
        InvalidRequest: naming the first field that is wrong.
    """
    for field, said in faults_of(session, entry, applicant, now, settings):
        raise InvalidRequest(f"{field}: {said}", field=field)


def faults_of(
    session: Session, entry: NewEntry, applicant: str, now: datetime, settings: Settings
) -> Iterator[Fault]:
    """All that is wrong with an entry; nothing if it may be applied for."""
    yield from _looked_for(entry, settings.watchlist)
    yield from _told(entry, settings.watchlist)
    yield from _channels(entry, settings.notices)
    if entry.valid_to is not None and entry.valid_to <= max(entry.valid_from or now, now):
        yield "valid_to", "after valid_from, and not in the past"
    yield from _somewhere(session, entry)
    yield from _secret(session, entry, applicant)
    if entry.match in {"exact", "fuzzy"} and is_sought(session, entry.text):
        yield "plate", "this plate cannot be watched"


def _looked_for(entry: NewEntry, settings: WatchlistSettings) -> Iterator[Fault]:
    """What is wrong with plate, pattern or description."""
    text = entry.text
    if entry.match not in MATCHES:
        yield "match", f"one of {', '.join(MATCHES)}"
        return
    if len(text) > MAX_PLATE_LENGTH or "\0" in text:
        yield "plate", f"at most {MAX_PLATE_LENGTH} characters"
        return
    has_wildcard = UNREAD in text or _ANY_RUN in text
    fixed = len(text.replace(UNREAD, "").replace(_ANY_RUN, ""))
    if entry.match in {"exact", "fuzzy"}:
        if has_wildcard:
            yield "plate", "a whole plate, without ? or *"
        elif is_rubbish(text):
            yield "plate", f"{entry.plate!r} is not a plate"
    elif entry.match == "pattern" and (not has_wildcard or fixed < MIN_FIXED):
        yield "plate", f"a pattern with ? or * and {MIN_FIXED} characters besides at least"
    elif entry.match == "description" and text and fixed < MIN_FIXED_IN_PART:
        yield "plate", f"a part of a plate has {MIN_FIXED_IN_PART} characters at least"
    if entry.match == "fuzzy" and not 0 < _tolerance(entry) <= settings.max_tolerance:
        yield "tolerance", f"above 0, at most {settings.max_tolerance}"
    yield from _described(entry)


def _described(entry: NewEntry) -> Iterator[Fault]:
    given = {name: set(getattr(entry, name)) for name in _CHOICES}
    for name, values in given.items():
        if values and entry.match != "description":
            yield name, "only with match description"
        elif not values <= _CHOICES[name]:
            yield name, f"some of {', '.join(sorted(_CHOICES[name]))}"
    said = sum(map(bool, given.values())) + bool(entry.text)
    if entry.match == "description" and said < 2:
        yield "match", "a description needs two of: part of the plate, kinds, colors"


def _told(entry: NewEntry, settings: WatchlistSettings) -> Iterator[Fault]:
    """What is wrong with the words about it."""
    if entry.reason not in settings.reasons:
        yield "reason", f"one of {', '.join(settings.reasons)}"
    if not 1 <= entry.level <= 4:
        yield "level", "1 to 4"
    case_number = entry.case_number.strip()
    if not case_number or len(case_number) > audit.MAX_CASE_NUMBER_LENGTH:
        yield "case_number", f"1 to {audit.MAX_CASE_NUMBER_LENGTH} characters"
    elif not case_number.isprintable():
        yield "case_number", "printable characters only"
    for field, longest in (("note", 2000), ("contact", 200)):
        value: str = getattr(entry, field)
        if len(value) > longest or "\0" in value:
            yield field, f"at most {longest} characters"


def _channels(entry: NewEntry, settings: NoticeSettings) -> Iterator[Fault]:
    """What is wrong with who is told: nobody waits for a message that nothing here can send."""
    if len(entry.tell) > MOST_CHANNELS or not all(map(is_channel, entry.tell)):
        yield "tell", "wall, sound, webhook:NAME, sms:NUMBER or mail:ADDRESS"
        return
    try:
        check_channels(entry.tell, settings)
    except InvalidRequest as error:
        yield "tell", str(error).removeprefix("tell: ")


def _somewhere(session: Session, entry: NewEntry) -> Iterator[Fault]:
    """What is wrong with where and when."""
    for span in entry.hours:
        if hours_of(span) is None:
            yield "hours", f"{span[:20]!r} is not like 22:00-05:00"
    if len(entry.hours) > 24:
        yield "hours", "at most 24 spans"
    if entry.area:
        corners = set(entry.area)
        on_earth = all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in corners)
        if not 3 <= len(entry.area) <= MAX_CORNERS or not on_earth:
            yield "area", f"3 to {MAX_CORNERS} corners (lon, lat) in degrees"
        elif not shapely.Polygon(entry.area).is_valid:
            yield "area", "its edges may not cross or touch"
    if len(entry.checkpoints) > MAX_LISTED:
        yield "checkpoints", f"at most {MAX_LISTED}"
    elif entry.checkpoints:
        known = session.scalars(select(Checkpoint.id).where(Checkpoint.id.in_(entry.checkpoints)))
        unknown = sorted(set(entry.checkpoints) - set(known))
        if unknown:
            yield "checkpoints", f"unknown: {', '.join(unknown)[:200]}"


def _secret(session: Session, entry: NewEntry, applicant: str) -> Iterator[Fault]:
    if entry.people and not entry.secret:
        yield "people", "only a secret entry names people"
    if not entry.secret:
        return
    if len(entry.people) > MAX_LISTED:
        yield "people", f"at most {MAX_LISTED}"
        return
    rows = session.execute(select(User.name, User.role).where(User.name.in_(entry.people)))
    roles = {row.name: Role(row.role) for row in rows}
    unknown = sorted(set(entry.people) - set(roles))
    if unknown:
        yield "people", f"unknown: {', '.join(unknown)[:200]}"
    elif not any(r.covers(Role.SUPERVISOR) for name, r in roles.items() if name != applicant):
        yield "people", "name somebody who may approve it: a supervisor who is not the applicant"


def hours_of(span: str) -> tuple[time, time] | None:
    """Begin and end of a span of the day; the end 24:00 is midnight. None if it is not one."""
    found = _HOURS.fullmatch(span)
    if found is None:
        return None
    h1, m1, h2, m2 = map(int, found.groups())
    if (h1, m1) == (h2, m2) or (h2 == 24 and m2):
        return None
    return time(h1, m1), time(h2 % 24, m2)


def _tolerance(entry: NewEntry) -> float:
    return DEFAULT_TOLERANCE if entry.tolerance is None else entry.tolerance
