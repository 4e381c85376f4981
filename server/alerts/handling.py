"""What people do with an alert: sign it, send units, report what was found, close it.

Each step takes the next number of the ``alert`` counter first (see :mod:`server.alerts.service`),
so that of several people who take the same step at once exactly one is first, asks the state
machine, and leaves one record on the audit log, in the same transaction.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server import audit
from server.alerts.service import AlertView, get_alert
from server.alerts.states import AlertState, AlertStep, Finding, StepNotPossibleError, after_step
from server.auth.accounts import Account
from server.auth.sight import Sight
from server.db import next_number
from server.errors import Conflict, InvalidRequest, NotFound
from server.ingest.jpeg import NotJpegError, jpeg_size
from server.tables import Alert, AlertFeedback, AlertOrder, AlertPicture

MAX_PICTURES = 6
MAX_PICTURE_BYTES = 4 * 1024 * 1024
MAX_PICTURE_SIDE_PX = 10_000
MAX_PLATE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose hand takes a step, from where, when, and what he may see."""

    account: Account
    address: str
    now: datetime
    sight: Sight


@dataclass(frozen=True, slots=True)
class NewFeedback:
    """What was found."""

    finding: Finding
    text: str
    true_plate: str = ""
    """Of a misread: what the picture shows; '' = not said."""
    pictures: Sequence[bytes] = ()
    """JPEG files."""


def sign_alert(
    session: Session, alert_id: int, hand: Hand, *, badge_number: str, unit: str
) -> AlertView:
    """Take an alert over (签收); the first signature counts.

    Raises:
        InvalidRequest: no badge number or no unit.
        NotFound: no such alert, or none that he may see.
        Conflict: somebody has signed it already.
    """
    badge_number, unit = badge_number.strip(), unit.strip()
    _require_text(badge_number, "badge_number", 32)
    _require_text(unit, "unit", 100)
    alert = _take(session, alert_id, AlertStep.SIGN, hand.sight)
    alert.signed_at, alert.signed_by = hand.now, hand.account.name
    alert.badge_number, alert.unit = badge_number, unit
    session.flush()
    detail = {"badge_number": badge_number, "unit": unit}
    _record(session, hand, alert, "alert.sign", detail)
    return get_alert(session, alert_id, hand.sight)


def dispatch(session: Session, alert_id: int, hand: Hand, *, unit: str, text: str) -> AlertView:
    """Send a unit out (下达指令); further ones may follow.

    Raises:
        InvalidRequest: no unit, or no order.
        NotFound: no such alert, or none that he may see.
        Conflict: not signed yet, or closed.
    """
    unit, text = unit.strip(), text.strip()
    _require_text(unit, "order_unit", 100)
    _require_text(text, "order", 1000)
    alert = _take(session, alert_id, AlertStep.DISPATCH, hand.sight)
    session.add(
        AlertOrder(
            alert_id=alert.id, unit=unit, text=text, given_at=hand.now, given_by=hand.account.name
        )
    )
    session.flush()
    _record(session, hand, alert, "alert.dispatch", {"unit": unit, "order": text})
    return get_alert(session, alert_id, hand.sight)


def give_feedback(session: Session, alert_id: int, hand: Hand, feedback: NewFeedback) -> AlertView:
    """Say what was found (反馈), with pictures.

    Raises:
        InvalidRequest: no text, a true plate without a misread, or a picture that is none.
        NotFound: no such alert, or none that he may see.
        Conflict: not signed yet, or closed.
    """
    text, true_plate = feedback.text.strip(), normalise(feedback.true_plate)
    _require_text(text, "feedback", 2000)
    pictures = _checked(feedback.pictures)
    if len(true_plate) > MAX_PLATE_LENGTH:
        raise InvalidRequest(
            f"true_plate: at most {MAX_PLATE_LENGTH} characters", field="true_plate"
        )
    if true_plate and feedback.finding is not Finding.MISREAD:
        raise InvalidRequest("true_plate: only of a misread", field="true_plate")
    alert = _take(session, alert_id, AlertStep.FEEDBACK, hand.sight)
    if true_plate == alert.plate and not alert.match.get("differences"):
        raise InvalidRequest("true_plate: is what was read", field="true_plate")
    row = AlertFeedback(
        alert_id=alert.id,
        finding=feedback.finding.value,
        text=text,
        true_plate=true_plate,
        given_at=hand.now,
        given_by=hand.account.name,
    )
    session.add(row)
    session.flush()
    for picture in pictures:
        picture.feedback_id = row.id
        session.add(picture)
    session.flush()
    detail = {
        "feedback": row.id,
        "finding": row.finding,
        "text": text,
        "true_plate": true_plate or None,
        "pictures": [picture.sha256 for picture in pictures],
    }
    _record(session, hand, alert, "alert.feedback", detail)
    return get_alert(session, alert_id, hand.sight)


def sign_feedback(session: Session, alert_id: int, hand: Hand) -> AlertView:
    """Take note of all feedback that is there (反馈签收).

    Raises:
        NotFound: no such alert, or none that he may see.
        Conflict: there is none that nobody has signed.
    """
    alert = _take(session, alert_id, AlertStep.SIGN_FEEDBACK, hand.sight)
    rows = session.scalars(
        select(AlertFeedback).where(
            AlertFeedback.alert_id == alert.id, AlertFeedback.signed_at.is_(None)
        )
    ).all()
    for row in rows:
        row.signed_at, row.signed_by = hand.now, hand.account.name
    session.flush()
    _record(session, hand, alert, "alert.sign_feedback", {"feedback": [row.id for row in rows]})
    return get_alert(session, alert_id, hand.sight)


def close_alert(session: Session, alert_id: int, hand: Hand, *, outcome: str) -> AlertView:
    """Close an alert whose feedback is signed (办结).

    Raises:
        InvalidRequest: no outcome given.
        NotFound: no such alert, or none that he may see.
        Conflict: its feedback is not signed yet, or it is closed already.
    """
    outcome = outcome.strip()
    _require_text(outcome, "outcome", 2000)
    alert = _take(session, alert_id, AlertStep.CLOSE, hand.sight)
    alert.closed_at, alert.closed_by, alert.outcome = hand.now, hand.account.name, outcome
    session.flush()
    _record(session, hand, alert, "alert.close", {"outcome": outcome})
    return get_alert(session, alert_id, hand.sight)


def _take(session: Session, alert_id: int, step: AlertStep, sight: Sight) -> Alert:
    """Lock all alerts' changes, take this one through a step and number the change."""
    seq = next_number(session, "alert")
    alert = session.scalar(select(Alert).where(Alert.id == alert_id, *sight.conditions(Alert)))
    if alert is None:
        raise NotFound(f"no alert {alert_id}")
    try:
        alert.state = after_step(AlertState(alert.state), step).value
    except StepNotPossibleError as error:
        raise Conflict(str(error)) from None
    alert.changed_seq = seq
    return alert


def _record(
    session: Session, hand: Hand, alert: Alert, action: str, detail: Mapping[str, Any]
) -> None:
    audit.record(
        session,
        now=hand.now,
        user_name=hand.account.name,
        address=hand.address,
        action=action,
        detail={"alert": alert.id, "plate": alert.plate, **detail},
    )


def _checked(pictures: Sequence[bytes]) -> list[AlertPicture]:
    if len(pictures) > MAX_PICTURES:
        raise InvalidRequest(f"pictures: at most {MAX_PICTURES}", field="pictures")
    rows = []
    for number, data in enumerate(pictures, start=1):
        if len(data) > MAX_PICTURE_BYTES:
            raise InvalidRequest(
                f"pictures: number {number} is larger than {MAX_PICTURE_BYTES} bytes",
                field="pictures",
            )
        try:
            size = jpeg_size(data)
        except NotJpegError as error:
            raise InvalidRequest(f"pictures: number {number}: {error}", field="pictures") from None
        if max(size.width_px, size.height_px) > MAX_PICTURE_SIDE_PX:
            raise InvalidRequest(f"pictures: number {number} is too large", field="pictures")
        rows.append(
            AlertPicture(
                sha256=hashlib.sha256(data).hexdigest(),
                width_px=size.width_px,
                height_px=size.height_px,
                jpeg=data,
            )
        )
    return rows


def _require_text(value: str, field: str, longest: int) -> None:
    if not value or len(value) > longest or "\0" in value:
        raise InvalidRequest(f"{field}: 1 to {longest} characters", field=field)
