"""All of one alert: its sightings, orders, feedback, and where the vehicle was seen lately."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from server.alerts.service import AlertView, get_alert
from server.alerts.states import AlertState, AlertStep, Finding, steps_from
from server.auth.sight import Sight
from server.checkpoints.service import CheckpointPlace, places
from server.errors import NotFound
from server.tables import Alert, AlertFeedback, AlertOrder, AlertPicture, AlertSighting, Passage

LATELY = timedelta(hours=24)
"""How far back the last sightings of a watched plate are shown with its alert."""
MOST_SIGHTINGS = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """A passage of the plate."""

    passage_id: UUID
    plate: str
    captured_at: datetime
    checkpoint: CheckpointPlace


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order to a unit."""

    id: int
    unit: str
    text: str
    given_at: datetime
    given_by: str


@dataclass(frozen=True, slots=True)
class PictureView:
    """A picture that came with feedback; its bytes are at ``url``."""

    id: int
    url: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class FeedbackView:
    """What was found, and who took note of it."""

    id: int
    finding: Finding
    text: str
    true_plate: str
    given_at: datetime
    given_by: str
    signed_at: datetime | None
    signed_by: str | None
    pictures: tuple[PictureView, ...]


@dataclass(frozen=True, slots=True)
class SightingView:
    """A passage that belongs to the alert."""

    passage_id: UUID
    captured_at: datetime
    camera_id: str


@dataclass(frozen=True, slots=True)
class AlertStory:
    """An alert with everything that was done."""

    alert: AlertView
    steps: tuple[AlertStep, ...]
    """What may be done next."""
    sightings: tuple[SightingView, ...]
    orders: tuple[OrderView, ...]
    feedback: tuple[FeedbackView, ...]
    lately: tuple[Seen, ...]


def alert_story(session: Session, alert_id: int, sight: Sight, now: datetime) -> AlertStory:
    """All of one alert.

    Raises:
        NotFound: no such alert, or none that he may see.
    """
    alert = get_alert(session, alert_id, sight)
    sightings = session.scalars(
        select(AlertSighting)
        .where(AlertSighting.alert_id == alert_id)
        .order_by(AlertSighting.captured_at.desc())
        .limit(100)
    )
    orders = session.scalars(
        select(AlertOrder).where(AlertOrder.alert_id == alert_id).order_by(AlertOrder.id)
    )
    return AlertStory(
        alert=alert,
        steps=steps_from(AlertState(alert.state)),
        sightings=tuple(
            SightingView(row.passage_id, row.captured_at, row.camera_id) for row in sightings
        ),
        orders=tuple(
            OrderView(row.id, row.unit, row.text, row.given_at, row.given_by) for row in orders
        ),
        feedback=_feedback(session, alert_id),
        lately=last_sightings(session, [alert], sight, now, most=20)[alert.id],
    )


def last_sightings(
    session: Session,
    alerts: Iterable[AlertView],
    sight: Sight,
    now: datetime,
    most: int = MOST_SIGHTINGS,
) -> Mapping[int, tuple[Seen, ...]]:
    """Where the plates of alerts were seen last, newest first, by the alert's number.

    Of a hit on a misread, both the plate that was read and the one that is wanted count.
    """
    plates_of = {alert.id: _plates(alert) for alert in alerts}
    wanted = {plate for plates in plates_of.values() for plate in plates}
    if not wanted:
        return dict.fromkeys(plates_of, ())
    place_in_row = (
        func.row_number()
        .over(partition_by=Passage.plate, order_by=Passage.captured_at.desc())
        .label("place_in_row")
    )
    ranked = (
        select(Passage.passage_id, Passage.plate, Passage.captured_at, Passage.checkpoint_id,
               place_in_row)
        .where(
            Passage.plate.in_(wanted),
            Passage.captured_at > now - LATELY,
            *sight.conditions(Passage),
        )
        .subquery()
    )  # fmt: skip
    rows = session.execute(select(ranked).where(ranked.c.place_in_row <= most)).all()
    place_of = places(session, [row.checkpoint_id for row in rows])
    seen = [
        Seen(
            row.passage_id,
            row.plate,
            row.captured_at,
            place_of.get(row.checkpoint_id)
            or CheckpointPlace(row.checkpoint_id, row.checkpoint_id, "", 0.0, 0.0, "", ""),
        )
        for row in rows
    ]
    seen.sort(key=lambda one: one.captured_at, reverse=True)
    return {
        alert_id: tuple(one for one in seen if one.plate in plates)[:most]
        for alert_id, plates in plates_of.items()
    }


def feedback_picture(session: Session, alert_id: int, picture_id: int, sight: Sight) -> bytes:
    """The JPEG of a picture that came with an alert's feedback.

    Raises:
        NotFound: no such picture of an alert that he may see.
    """
    feedback = aliased(AlertFeedback)
    data = session.scalar(
        select(AlertPicture.jpeg)
        .join(feedback, feedback.id == AlertPicture.feedback_id)
        .join(Alert, Alert.id == feedback.alert_id)
        .where(AlertPicture.id == picture_id, Alert.id == alert_id, *sight.conditions(Alert))
    )
    if data is None:
        raise NotFound(f"no picture {picture_id} of alert {alert_id}")
    return data


def _plates(alert: AlertView) -> frozenset[str]:
    wanted = str(alert.match.get("wanted", ""))
    whole = wanted and not set(wanted) & {"?", "*"}
    plates = {alert.plate, wanted} if whole else {alert.plate}
    return frozenset(plate for plate in plates if plate)


def _feedback(session: Session, alert_id: int) -> tuple[FeedbackView, ...]:
    rows = session.scalars(
        select(AlertFeedback).where(AlertFeedback.alert_id == alert_id).order_by(AlertFeedback.id)
    ).all()
    pictures = _pictures(session, alert_id, [row.id for row in rows])
    return tuple(
        FeedbackView(
            id=row.id,
            finding=Finding(row.finding),
            text=row.text,
            true_plate=row.true_plate,
            given_at=row.given_at,
            given_by=row.given_by,
            signed_at=row.signed_at,
            signed_by=row.signed_by,
            pictures=tuple(pictures.get(row.id, ())),
        )
        for row in rows
    )


def _pictures(
    session: Session, alert_id: int, feedback_ids: Sequence[int]
) -> Mapping[int, Sequence[PictureView]]:
    found: dict[int, list[PictureView]] = {}
    for row in session.execute(
        select(AlertPicture.id, AlertPicture.feedback_id, AlertPicture.width_px,
               AlertPicture.height_px)
        .where(AlertPicture.feedback_id.in_(feedback_ids))
        .order_by(AlertPicture.id)
    ):  # fmt: skip
        url = f"/api/v1/alerts/{alert_id}/pictures/{row.id}"
        found.setdefault(row.feedback_id, []).append(
            PictureView(row.id, url, row.width_px, row.height_px)
        )
    return found
