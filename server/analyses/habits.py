"""Habits of one vehicle: nights, stays, passing through, what it avoids. Pure.

Days and nights are those of the place: ``zone`` says which.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from server.analyses.sighting import Sighting, TravelTimes
from server.analyses.surprise import binomial_surprise

NIGHT_FROM, NIGHT_TO = 22, 5
"""Local hours; the night ends before 05:00."""


def night_of(at: datetime, zone: ZoneInfo) -> date | None:
    """The night an instant belongs to, named by the day on which it began; None by day."""
    local = at.astimezone(zone)
    if local.hour >= NIGHT_FROM:
        return local.date()
    if local.hour < NIGHT_TO:
        return local.date() - timedelta(days=1)
    return None


@dataclass(frozen=True, slots=True)
class Nocturnal:
    """How much of a vehicle's life is night."""

    nights: int
    """Different nights."""
    in_a_row: int
    at_night: int
    by_day: int

    @property
    def share(self) -> float:
        """Of the sightings, those at night."""
        return self.at_night / max(1, self.at_night + self.by_day)


def nocturnal(instants: Sequence[datetime], zone: ZoneInfo) -> Nocturnal:
    """Count a plate's sightings by night and day."""
    nights = [night for at in instants if (night := night_of(at, zone)) is not None]
    different = sorted(set(nights))
    longest = run = 1 if different else 0
    for before, after in pairwise(different):
        run = run + 1 if after - before == timedelta(days=1) else 1
        longest = max(longest, run)
    return Nocturnal(len(different), longest, len(nights), len(instants) - len(nights))


def is_nocturnal(found: Nocturnal, *, share: float = 0.8, nights: int = 3) -> bool:
    """Mostly seen at night, in several nights."""
    return found.share >= share and found.nights >= nights


@dataclass(frozen=True, slots=True)
class Stay:
    """A long silence between two sightings that are near each other: the vehicle stood there."""

    checkpoint_id: str
    """Where it was last seen before."""
    before: Sighting
    after: Sighting

    @property
    def duration_s(self) -> float:
        """How long, seconds."""
        return (self.after.at - self.before.at).total_seconds()


@dataclass(frozen=True, slots=True)
class Haunt:
    """A place to which a vehicle comes to stay (落脚点)."""

    checkpoint_id: str
    stays: tuple[Stay, ...]

    @property
    def total_s(self) -> float:
        """All stays together."""
        return sum(stay.duration_s for stay in self.stays)

    @property
    def score(self) -> float:
        """Visits x hours."""
        return len(self.stays) * self.total_s / 3600.0


def haunts(
    sightings: Sequence[Sighting],
    times: TravelTimes,
    *,
    stay_s: float = 4 * 3600.0,
    near_m: float = 3_000.0,
    min_stays: int = 3,
) -> tuple[Haunt, ...]:
    """Where a vehicle stays, most by visits x duration first; ``sightings`` in order of time.

    A stay is a silence of at least ``stay_s`` after which it is seen again at the same checkpoint
    or at one within ``near_m``. Stays that began at checkpoints near each other are one place,
    named by the one with the most.
    """
    stays = [
        Stay(a.checkpoint_id, a, b)
        for a, b in pairwise(sightings)
        if (b.at - a.at).total_seconds() >= stay_s
        and _near(a.checkpoint_id, b.checkpoint_id, times, near_m)
    ]
    counts = Counter(stay.checkpoint_id for stay in stays)
    centres: list[str] = []
    grouped: dict[str, list[Stay]] = defaultdict(list)
    for place, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        centre = next((c for c in centres if _near(c, place, times, near_m)), None)
        if centre is None:
            centres.append(place)
        grouped[centre or place] += [stay for stay in stays if stay.checkpoint_id == place]
    found = [
        Haunt(place, tuple(sorted(those, key=lambda s: s.before.at)))
        for place, those in grouped.items()
        if len(those) >= min_stays
    ]
    return tuple(sorted(found, key=lambda haunt: (-haunt.score, haunt.checkpoint_id)))


def _near(a: str, b: str, times: TravelTimes, near_m: float) -> bool:
    if a == b:
        return True
    metres = times.distance_m(a, b)
    return metres is not None and metres <= near_m


@dataclass(frozen=True, slots=True)
class Successor:
    """Where vehicles that pass one checkpoint are seen next, of all that are seen again in time."""

    checkpoint_id: str
    share: float


@dataclass(frozen=True, slots=True)
class Absence:
    """A checkpoint at which a plate should have been read and was not (隐匿)."""

    after: str
    """Checkpoint passed before,"""
    then: str
    """and after the one where it was missed."""
    missed_at: str
    times: tuple[tuple[Sighting, Sighting], ...]
    of: int
    """How often it drove that way, seen or not."""
    expected_misses: float
    surprise: float


Ways = Mapping[tuple[str, str], Mapping[str, float]]
"""From, to -> checkpoint between them and the share of vehicles on that way that are read there."""


def absences(
    sightings: Sequence[Sighting],
    ways: Ways,
    *,
    min_share: float = 0.8,
    min_times: int = 5,
    within_s: float = 3600.0,
) -> tuple[Absence, ...]:
    """Where a plate is expected and not read, again and again; the most surprising first."""
    missed: dict[tuple[str, str, str], list[tuple[Sighting, Sighting]]] = defaultdict(list)
    seen: Counter[tuple[str, str, str]] = Counter()
    for a, b in pairwise(sightings):
        if (b.at - a.at).total_seconds() > within_s:
            continue
        for middle, share in ways.get((a.checkpoint_id, b.checkpoint_id), {}).items():
            if share >= min_share:
                missed[a.checkpoint_id, middle, b.checkpoint_id].append((a, b))
    for a, m, b in zip(sightings, sightings[1:], sightings[2:], strict=False):
        if (b.at - a.at).total_seconds() <= within_s:
            seen[a.checkpoint_id, m.checkpoint_id, b.checkpoint_id] += 1
    found = []
    for (after, middle, then), those in missed.items():
        if len(those) < min_times:
            continue
        share = ways[after, then][middle]
        of = len(those) + seen[after, middle, then]
        found.append(
            Absence(
                after, then, middle, tuple(those), of,
                expected_misses=(1.0 - share) * of,
                surprise=binomial_surprise(len(those), of, 1.0 - share),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda a: (-a.surprise, a.after, a.then)))


@dataclass(frozen=True, slots=True)
class Transit:
    """In and out once, and no more (过境)."""

    came: Sighting
    went: Sighting

    @property
    def duration_s(self) -> float:
        """Between first and last sighting."""
        return (self.went.at - self.came.at).total_seconds()


def transit(
    sightings: Sequence[Sighting], *, within_s: float = 6 * 3600.0, at_most: int = 12
) -> Transit | None:
    """Whether a plate only passed through; ``sightings`` in order of time, those of the period.

    Seen at two checkpoints at least, first and last differ, all within ``within_s``, and not more
    than ``at_most`` times.
    """
    if not 2 <= len(sightings) <= at_most:
        return None
    came, went = sightings[0], sightings[-1]
    if came.checkpoint_id == went.checkpoint_id:
        return None
    if (went.at - came.at).total_seconds() > within_s:
        return None
    return Transit(came, went)
