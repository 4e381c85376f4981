"""The life of an alert: new → signed → dispatched → feedback → feedback signed → closed. Pure.

* Signing (签收) says that somebody has taken the alert over; only the first signature counts.
* Orders (下达指令) send units out; more may follow at any time until the alert is closed.
* Feedback (反馈) says what was found. It may come without an order: who sees on the pictures that
  the plate was misread sends nobody.
* Signing the feedback (反馈签收) says that the command centre has taken note of all of it.
* Closing (办结) ends it. No alert is closed that was not signed and whose feedback was not.

An alert that nobody signs in time rises, level by level, to those above (:func:`rank_due`).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class AlertState(StrEnum):
    """Where an alert stands."""

    NEW = "new"
    SIGNED = "signed"
    DISPATCHED = "dispatched"
    FEEDBACK = "feedback"
    FEEDBACK_SIGNED = "feedback_signed"
    CLOSED = "closed"


class AlertStep(StrEnum):
    """What a person may do with it."""

    SIGN = "sign"
    DISPATCH = "dispatch"
    FEEDBACK = "feedback"
    SIGN_FEEDBACK = "sign_feedback"
    CLOSE = "close"


class Finding(StrEnum):
    """What feedback says of the vehicle."""

    INTERCEPTED = "intercepted"
    LOST = "lost"
    WRONG_VEHICLE = "wrong_vehicle"
    """The plate was read rightly, and it is another vehicle: a clone, or an entry that is wrong."""
    MISREAD = "misread"
    """The plate on the picture is another one."""
    OTHER = "other"

    @property
    def is_false_hit(self) -> bool:
        """Whether nobody should have been alarmed."""
        return self in {Finding.WRONG_VEHICLE, Finding.MISREAD}


_STEPS: Mapping[tuple[AlertState, AlertStep], AlertState] = MappingProxyType(
    {
        (AlertState.NEW, AlertStep.SIGN): AlertState.SIGNED,
        (AlertState.SIGNED, AlertStep.DISPATCH): AlertState.DISPATCHED,
        (AlertState.SIGNED, AlertStep.FEEDBACK): AlertState.FEEDBACK,
        (AlertState.DISPATCHED, AlertStep.DISPATCH): AlertState.DISPATCHED,
        (AlertState.DISPATCHED, AlertStep.FEEDBACK): AlertState.FEEDBACK,
        (AlertState.FEEDBACK, AlertStep.DISPATCH): AlertState.DISPATCHED,
        (AlertState.FEEDBACK, AlertStep.FEEDBACK): AlertState.FEEDBACK,
        (AlertState.FEEDBACK, AlertStep.SIGN_FEEDBACK): AlertState.FEEDBACK_SIGNED,
        (AlertState.FEEDBACK_SIGNED, AlertStep.DISPATCH): AlertState.DISPATCHED,
        (AlertState.FEEDBACK_SIGNED, AlertStep.FEEDBACK): AlertState.FEEDBACK,
        (AlertState.FEEDBACK_SIGNED, AlertStep.CLOSE): AlertState.CLOSED,
    }
)


class StepNotPossibleError(ValueError):
    """The step does not lead anywhere from this state."""


def after_step(state: AlertState, step: AlertStep) -> AlertState:
    """The state that a step leads to.

    Raises:
        StepNotPossibleError: the state does not permit the step.
    """
    following = _STEPS.get((state, step))
    if following is None:
        raise StepNotPossibleError(f"an alert that is {state} cannot be taken through {step}")
    return following


def steps_from(state: AlertState) -> tuple[AlertStep, ...]:
    """What may be done next."""
    return tuple(step for (before, step) in _STEPS if before == state)


def rank_due(raised_at: datetime, now: datetime, overdue_s: float, highest: int) -> int:
    """To which level above an unsigned alert should have risen.

    0 in time, 1 after ``overdue_s``, one more with each further ``overdue_s``, at most ``highest``.
    """
    waited_s = (now - raised_at).total_seconds()
    return max(0, min(highest, math.floor(waited_s / overdue_s)))
