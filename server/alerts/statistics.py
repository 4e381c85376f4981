"""How right alerts were, from the feedback on them: per entry, per checkpoint, per pair of characters.

A false hit is an alert whose feedback says that the plate was misread or that it was another
vehicle. A misread counts for pairs of characters: the one on the plate, and the one that it was taken
for when the alert was raised, by the reader or by the tolerance of a fuzzy entry.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.orm import Session

from anpr.plate import differences
from server.alerts.states import Finding
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace, places
from server.tables import Alert, AlertFeedback, WatchlistEntry

MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Tally:
    """Alerts, and what became of them."""

    alerts: int
    answered: int
    """With feedback."""
    misread: int
    wrong_vehicle: int
    intercepted: int

    @property
    def false_share(self) -> float | None:
        """Of those answered, which share was false; None if none was answered."""
        return (self.misread + self.wrong_vehicle) / self.answered if self.answered else None


@dataclass(frozen=True, slots=True)
class EntryTally:
    """Of an entry."""

    entry_id: int
    plate: str
    reason: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class CheckpointTally:
    """Of a checkpoint."""

    checkpoint: CheckpointPlace
    tally: Tally


@dataclass(frozen=True, slots=True)
class PairTally:
    """How often ``true``, on the plate, was taken for ``taken``, which raised a false alert."""

    true: str
    taken: str
    times: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the alerts raised within a period."""

    whole: Tally
    entries: tuple[EntryTally, ...]
    checkpoints: tuple[CheckpointTally, ...]
    pairs: tuple[PairTally, ...]


def statistics_of(session: Session, sight: Sight, since: datetime, until: datetime) -> Statistics:
    """How right the alerts were that were raised in a period (``until`` exclusive)."""
    within = and_(Alert.raised_at >= since, Alert.raised_at < until, *sight.conditions(Alert))
    whole = session.execute(_tallies().where(within)).one()
    by_entry = session.execute(
        _tallies(WatchlistEntry.id, WatchlistEntry.plate, WatchlistEntry.reason)
        .join(WatchlistEntry, WatchlistEntry.id == Alert.entry_id)
        .where(within)
        .group_by(WatchlistEntry.id, WatchlistEntry.plate, WatchlistEntry.reason)
    ).all()
    by_place = session.execute(
        _tallies(Alert.checkpoint_id).where(within).group_by(Alert.checkpoint_id)
    ).all()
    place_of = places(session, [row.checkpoint_id for row in by_place])
    entries = [EntryTally(row.id, row.plate, row.reason, _tally(row)) for row in by_entry]
    checkpoints = [
        CheckpointTally(
            place_of.get(row.checkpoint_id)
            or CheckpointPlace(row.checkpoint_id, row.checkpoint_id, "", 0.0, 0.0, "", ""),
            _tally(row),
        )
        for row in by_place
    ]
    misreads = session.execute(
        select(Alert.plate, Alert.match, AlertFeedback.true_plate)
        .join(AlertFeedback, AlertFeedback.alert_id == Alert.id)
        .where(within, AlertFeedback.finding == Finding.MISREAD.value)
    ).all()
    return Statistics(
        whole=_tally(whole),
        entries=tuple(sorted(entries, key=lambda one: _worst(one.tally))[:MOST_ROWS]),
        checkpoints=tuple(sorted(checkpoints, key=lambda one: _worst(one.tally))[:MOST_ROWS]),
        pairs=pairs_of((row.plate, row.match, row.true_plate) for row in misreads),
    )


def pairs_of(misreads: Iterable[tuple[str, Mapping[str, Any], str]]) -> tuple[PairTally, ...]:
    """Which characters were taken for which, most frequent first.

    Each misread is the plate that was read, why the entry matched, and the plate that the picture
    shows ('' = not said). If that is not said, the reader is believed and the tolerance blamed.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for read, match, true in misreads:
        wanted = str(match.get("wanted", ""))
        claimed = wanted if match.get("differences") and _is_whole(wanted) else read
        for one in differences(true or read, claimed):
            if one.wanted and one.read:
                counted[one.wanted, one.read] += 1
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(PairTally(true, taken, times) for (true, taken), times in ordered[:MOST_ROWS])


def _is_whole(plate: str) -> bool:
    return bool(plate) and not set(plate) & {"?", "*"}


def _tallies(*columns: Any) -> Select[Any]:
    """Count alerts; of several feedbacks on one alert the last one counts."""
    last = (
        select(func.max(AlertFeedback.id).label("id")).group_by(AlertFeedback.alert_id).subquery()
    )
    latest = (
        select(AlertFeedback.alert_id, AlertFeedback.finding)
        .join(last, last.c.id == AlertFeedback.id)
        .subquery()
    )

    def times(finding: Finding) -> Any:
        return func.coalesce(func.sum(case((latest.c.finding == finding.value, 1), else_=0)), 0)

    return (
        select(
            *columns,
            func.count(Alert.id).label("alerts"),
            func.count(latest.c.alert_id).label("answered"),
            times(Finding.MISREAD).label("misread"),
            times(Finding.WRONG_VEHICLE).label("wrong_vehicle"),
            times(Finding.INTERCEPTED).label("intercepted"),
        )
        .select_from(Alert)
        .outerjoin(latest, latest.c.alert_id == Alert.id)
    )


def _tally(row: Any) -> Tally:
    return Tally(
        alerts=row.alerts,
        answered=row.answered,
        misread=int(row.misread),
        wrong_vehicle=int(row.wrong_vehicle),
        intercepted=int(row.intercepted),
    )


def _worst(tally: Tally) -> tuple[int, int]:
    return (-(tally.misread + tally.wrong_vehicle), -tally.alerts)
