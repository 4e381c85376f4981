"""Where a watched vehicle is likely to come next, for who watches the wall.

What is known of how vehicles move stands in :mod:`server.trajectories`; where it knows nothing, nothing
is said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from server.alerts.service import AlertView
from server.alerts.states import AlertState
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace
from server.settings import Settings
from server.trajectories.chase import pursuit_of
from server.trajectories.route import Traffic

FRESH = timedelta(minutes=30)
"""An older sighting tells nothing of where a vehicle is now."""
MOST_ALERTS = 4
MOST_PLACES = 3


@dataclass(frozen=True, slots=True)
class Ahead:
    """A checkpoint that the vehicle may come to next."""

    checkpoint: CheckpointPlace
    probability: float
    """In [0, 1]."""
    likely_at: datetime


def places_ahead(  # noqa: PLR0913 - of which alerts, when, for whose eyes, by what is known
    session: Session,
    alerts: Iterable[AlertView],
    *,
    now: datetime,
    sight: Sight,
    settings: Settings,
    traffic: Traffic,
) -> Mapping[int, tuple[Ahead, ...]]:
    """The next likely checkpoints of the first alerts that are fresh, by the alert's number."""
    chosen = [
        alert
        for alert in alerts
        if alert.delivery == "live"
        and alert.state is not AlertState.CLOSED
        and timedelta(0) <= now - alert.last_seen_at <= FRESH
        and alert.plate
        and not set(alert.plate) & {"?", "*"}
    ][:MOST_ALERTS]
    found: dict[str, tuple[Ahead, ...]] = {}
    for plate in dict.fromkeys(alert.plate for alert in chosen):
        followed = pursuit_of(
            session, plate, now=now, sight=sight, settings=settings, traffic=traffic
        )
        if followed.pursuit is not None:
            found[plate] = tuple(
                Ahead(followed.places[place.checkpoint_id], place.probability, place.likely_at)
                for place in followed.pursuit.next[:MOST_PLACES]
                if place.checkpoint_id in followed.places and sight.covers(place.checkpoint_id)
            )
    return {alert.id: found[alert.plate] for alert in chosen if found.get(alert.plate)}
