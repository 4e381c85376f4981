"""Plates that fit a pattern or may be misreads of one, with when and how often they were seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from anpr.plate import Difference, differences
from server.auth.sight import Sight
from server.db import among, is_sqlite
from server.errors import InvalidRequest
from server.passages.dictionary import MAX_CHANGES
from server.passages.known import KnownPlates
from server.passages.patterns import normal_pattern, whole_plate
from server.passages.search import MAX_NEAR
from server.passages.statements import registered
from server.shown import Shown
from server.tables import Passage

_MOST_LOOKED_THROUGH = 1_000
"""Of so many plates that a pattern fits, the newest known, those seen last are shown: two unknown
characters of a serial make some hundreds. Of how many more it fits, nobody reads the list."""


class DifferenceView(Shown, frozen=True):
    """One place where a plate differs from the wanted one; see anpr.plate.Difference."""

    kind: str
    """``unread``, ``alike``, ``wrong``, ``missing`` or ``added``."""
    position: int
    wanted: str
    read: str
    cost: float
    sign: str
    """In short: ``8≈B``, ``7≠K``, ``-5`` (missing), ``+5`` (added)."""


class PlateView(Shown, frozen=True):
    """A plate as it was read, and its passages as far as the asker may see them."""

    plate: str
    first_seen_at: datetime
    last_seen_at: datetime
    passages: int
    cost: float | None
    """How unlike the wanted plate it looks, 0 = the same; None of a pattern."""
    differences: tuple[DifferenceView, ...]


@dataclass(frozen=True, slots=True)
class PlatesFound:
    """Plates; likeliest first where one was looked for, else the one seen last first."""

    plates: tuple[PlateView, ...]
    truncated: bool
    """Whether more plates may fit than are given."""


@dataclass(frozen=True, slots=True)
class PlateQuery:
    """A pattern, or with ``changes`` a whole plate and how many characters may be wrong."""

    plate: str
    changes: int = 0
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class _Seen:
    first_at: datetime
    last_at: datetime
    passages: int


def find_plates(
    session: Session, query: PlateQuery, sight: Sight, known: KnownPlates, now: datetime
) -> PlatesFound:
    """Find plates, of what one may see.

    Raises:
        InvalidRequest: the plate, the pattern or the period is not usable.
        ApprovalNeeded: it goes further back than is open to him.
    """
    if not 0 <= query.changes <= MAX_CHANGES:
        raise InvalidRequest(f"changes: 0 to {MAX_CHANGES}", field="changes")
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise InvalidRequest("until: must be after since", field="until")
    since = sight.reach(query.since)
    if query.changes:
        return _near(session, query, since, sight, known, now)
    pattern = normal_pattern(query.plate)
    fitting = known.fitting(session, now, pattern, _MOST_LOOKED_THROUGH)
    names = [plate for plate in fitting.plates if plate not in sight.hidden_plates]
    seen = _seen(session, names, since, query.until, sight, known, query.limit + 1)
    order = sorted(seen, key=lambda plate: (seen[plate].last_at, plate), reverse=True)
    views = tuple(_view(plate, seen[plate], None, ()) for plate in order[: query.limit])
    return PlatesFound(views, truncated=fitting.truncated or len(order) > query.limit)


def _near(  # noqa: PLR0913, PLR0917 - of find_plates, and how far back
    session: Session,
    query: PlateQuery,
    since: datetime | None,
    sight: Sight,
    known: KnownPlates,
    now: datetime,
) -> PlatesFound:
    wanted = whole_plate(query.plate)
    near = known.near(session, now, wanted, query.changes, MAX_NEAR)
    left = [one for one in near if one.plate not in sight.hidden_plates]
    views: list[PlateView] = []
    while left and len(views) <= query.limit:  # some may not have passed in this period
        part, left = left[: query.limit + 1], left[query.limit + 1 :]
        names = [one.plate for one in part]
        seen = _seen(session, names, since, query.until, sight, known, len(names))
        views += [
            _view(one.plate, seen[one.plate], one.cost, differences(wanted, one.plate))
            for one in part
            if one.plate in seen
        ]
    more = len(views) > query.limit or len(near) == MAX_NEAR
    return PlatesFound(tuple(views[: query.limit]), truncated=more)


def _view(plate: str, seen: _Seen, cost: float | None, found: Iterable[Difference]) -> PlateView:
    return PlateView(
        plate,
        seen.first_at,
        seen.last_at,
        seen.passages,
        None if cost is None else round(cost, 6),
        tuple(
            [DifferenceView(d.kind, d.position, d.wanted, d.read, d.cost, d.sign) for d in found]
        ),
    )


def _seen(  # noqa: PLR0913, PLR0917 - which plates, when, for whose eyes
    session: Session,
    plates: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    sight: Sight,
    known: KnownPlates,
    limit: int,
) -> Mapping[str, _Seen]:
    """First, last and how often, of the ``limit`` plates seen last at least.

    The register counts everything that ever passed anywhere. It speaks where that is what was
    asked and what the asker may see; else, and for what the register has not counted yet,
    passages are counted.
    """
    if until is not None or sight.checkpoint_ids is not None:
        return _counted(session, plates, since, until, sight)
    lately = known.uncounted(plates)
    rest = [plate for plate in plates if plate not in lately]
    asked = {"plates": rest, "limit": limit}
    rows = session.connection().execute(registered(sqlite=is_sqlite(session)), asked)
    whole = {plate: _Seen(first_at, last_at, count) for plate, first_at, last_at, count in rows}
    in_part = [p for p, seen in whole.items() if since is not None and seen.first_at < since]
    still = [p for p in in_part if since is not None and whole[p].last_at >= since]
    anew = [*sorted(lately)[:limit], *still]
    for plate in in_part:
        del whole[plate]
    return whole | _counted(session, anew, since, until, sight)


def _counted(
    session: Session,
    plates: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    sight: Sight,
) -> dict[str, _Seen]:
    if not plates:
        return {}
    rows = (
        select(
            Passage.plate,
            func.min(Passage.captured_at),
            func.max(Passage.captured_at),
            func.count(),
        )
        .where(among(session, Passage.plate, plates), *sight.conditions(Passage))
        .group_by(Passage.plate)
    )
    if since is not None:
        rows = rows.where(Passage.captured_at >= since)
    if until is not None:
        rows = rows.where(Passage.captured_at < until)
    return {row[0]: _Seen(row[1], row[2], row[3]) for row in session.connection().execute(rows)}
