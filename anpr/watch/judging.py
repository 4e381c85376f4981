"""Whether a vehicle that was seen is the one an entry looks for, by the plain reading of the rules.

What :class:`anpr.watch.index.WatchIndex` finds at speed is checked here, so that whatever the
index thinks, this decides; the tests hold the two together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from anpr.plate import UNREAD
from anpr.watch.likeness import Character, Difference, differences
from anpr.watch.patterns import is_shaped, shape_of

MatchKind = Literal["exact", "fuzzy", "pattern", "description"]


class Seen(NamedTuple):
    """What was seen of a vehicle. Texts are normalised; '' and ``unknown`` say nothing."""

    plate: str
    glyphs: Sequence[Character] = ()
    """One per character of ``plate``, if the reader told; else nothing is fuzzy about it."""
    plate_kind: str = "unknown"
    plate_color: str = "unknown"
    vehicle_color: str = "unknown"


@dataclass(frozen=True, slots=True)
class Watched:
    """An entry as far as matching needs it."""

    entry_id: int
    match: str
    """exact, fuzzy, pattern or description."""
    plate: str
    """The plate; a pattern; of a description a part of the plate, or ''."""
    level: int
    """1 the gravest … 4."""
    valid_from: datetime
    valid_to: datetime | None
    """Exclusive; None = until withdrawn."""
    tolerance: float = 0.0
    plate_kinds: frozenset[str] = frozenset()
    plate_colors: frozenset[str] = frozenset()
    vehicle_colors: frozenset[str] = frozenset()
    """Each: any of these; empty = any at all."""
    places: frozenset[str] | None = None
    """Where it holds: names as the caller has them; None = everywhere."""
    hours: tuple[tuple[time, time], ...] = ()
    """Spans of the local day, end exclusive, over midnight if it ends before it begins."""

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether the entry is in force at an instant; ``zone`` is the checkpoint's."""
        if at < self.valid_from or (self.valid_to is not None and at >= self.valid_to):
            return False
        return not self.hours or _within(at.astimezone(zone).time(), self.hours)


@dataclass(frozen=True, slots=True)
class Match:
    """That a vehicle is looked for, and why."""

    entry_id: int
    level: int
    kind: MatchKind
    wanted: str
    read: str
    differences: tuple[Difference, ...] = ()

    @property
    def cost(self) -> float:
        """How much the read speaks against the wanted plate; 0 if nothing does."""
        return sum(one.cost for one in self.differences)

    def __str__(self) -> str:
        """Write it as people read it: ``read 鲁H8234B, matched 鲁H82348: B≈8 (0.31)``."""
        why = "".join(
            (": " * (not n) + " " * bool(n)) + str(d) for n, d in enumerate(self.differences)
        )
        return f"read {self.read or '-'}, matched {self.wanted or '-'}{why}"


def judge(
    watched: Watched, seen: Seen, place: str, instants: tuple[datetime, ...], zone: ZoneInfo
) -> Match | None:
    """Whether an entry looks for this vehicle, here and now.

    Args:
        watched: The entry.
        seen: What was seen.
        place: Where; compared with ``watched.places``.
        instants: When it was captured and, live, when it was received: it counts if the entry
            holds at any, so that a slow clock hides no vehicle whose entry is minutes old.
        zone: The checkpoint's.
    """
    if watched.places is not None and place not in watched.places:
        return None
    for at in instants:
        if watched.holds(at, zone):
            return fits(watched, seen)
    return None


def fits(watched: Watched, seen: Seen) -> Match | None:
    """Whether the vehicle looks like the one that is looked for, wherever and whenever."""
    kind: MatchKind = "exact"
    differ: tuple[Difference, ...] = ()
    if watched.match in {"exact", "fuzzy"}:
        if seen.plate != watched.plate or UNREAD in seen.plate:
            if watched.match == "exact" or not seen.glyphs:
                return None
            found = differences(watched.plate, seen.glyphs, watched.tolerance)
            if not found:
                return None
            kind, differ = "fuzzy", found
    elif watched.match == "pattern":
        kind = "pattern"
        if not is_shaped(seen.plate, shape_of(watched.plate)):
            return None
    else:
        kind = "description"
        if not _is_described(watched, seen):
            return None
    return Match(watched.entry_id, watched.level, kind, watched.plate, seen.plate, differ)


def _is_described(watched: Watched, seen: Seen) -> bool:
    if watched.plate and not is_shaped(seen.plate, shape_of(watched.plate)):
        return False
    return (
        (not watched.plate_kinds or seen.plate_kind in watched.plate_kinds)
        and (not watched.plate_colors or seen.plate_color in watched.plate_colors)
        and (not watched.vehicle_colors or seen.vehicle_color in watched.vehicle_colors)
    )


def _within(at: time, hours: tuple[tuple[time, time], ...]) -> bool:
    return any(
        begin <= at < end if begin < end else at >= begin or at < end for begin, end in hours
    )
