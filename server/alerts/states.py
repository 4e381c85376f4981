"""The life of an alert: new → signed → closed. Pure.

Signing (签收) says that somebody has taken the alert over; only the first signature counts.
Closing ends it with an outcome. An alert may be closed only after it was signed, so that every
alert has somebody who answers for it.
"""

from enum import StrEnum


class AlertState(StrEnum):
    """Where an alert stands."""

    NEW = "new"
    SIGNED = "signed"
    CLOSED = "closed"


class AlertStep(StrEnum):
    """What a person may do with it."""

    SIGN = "sign"
    CLOSE = "close"


_STEPS = {
    (AlertState.NEW, AlertStep.SIGN): AlertState.SIGNED,
    (AlertState.SIGNED, AlertStep.CLOSE): AlertState.CLOSED,
}


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
