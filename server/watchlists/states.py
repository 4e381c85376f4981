"""The life of an entry (布控): who may take it through which step, and where that leads. Pure.

::

    draft 申请 → reviewed 审核 → approved 审批 → active 生效 → extended 续控 → withdrawn 撤控 / expired
       └ refused (with a reason; the applicant may revise it) ┘
    draft, reviewed → urgent 紧急布控: in force at once; approved in time → active, else lapsed

Four eyes: whoever applied for an entry, or put it in force urgently, neither reviews, approves
nor extends it. The server itself ends what has run out; it can do nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from server.auth.accounts import Role


class EntryState(StrEnum):
    """Where an entry stands."""

    DRAFT = "draft"
    REVIEWED = "reviewed"
    APPROVED = "approved"
    ACTIVE = "active"
    EXTENDED = "extended"
    URGENT = "urgent"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    LAPSED = "lapsed"


IN_FORCE = frozenset({EntryState.ACTIVE, EntryState.EXTENDED, EntryState.URGENT})
"""Passages are matched against these."""
WAITING = frozenset({EntryState.DRAFT, EntryState.REVIEWED, EntryState.URGENT})
"""Somebody else's step is awaited; overdue after ``watchlist.overdue_s``."""


class Step(StrEnum):
    """What is done with an entry."""

    APPLY = "apply"
    REVISE = "revise"
    REVIEW = "review"
    APPROVE = "approve"
    REFUSE = "refuse"
    ACTIVATE = "activate"
    URGE = "urge"
    EXTEND = "extend"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    LAPSE = "lapse"


class Who(StrEnum):
    """Which relation to the entry a step demands."""

    ANY = "any"
    APPLICANT = "applicant"
    ANOTHER = "another"
    """Neither the applicant nor whoever put it in force urgently."""
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Right:
    """What it takes to make a step."""

    role: Role
    who: Who = Who.ANY


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a step; ``role`` is None for the server itself."""

    name: str
    role: Role | None


@dataclass(frozen=True, slots=True)
class Parties:
    """Whose entry it is."""

    applicant: str
    urgent_by: str | None = None


_OFFICER = Right(Role.OFFICER)
_APPLICANT = Right(Role.OFFICER, Who.APPLICANT)
_REVIEWER = Right(Role.OFFICER, Who.ANOTHER)
_APPROVER = Right(Role.SUPERVISOR, Who.ANOTHER)
_SERVER = Right(Role.ADMINISTRATOR, Who.SERVER)

_S, _T = EntryState, Step
STEPS: Mapping[tuple[EntryState | None, Step], tuple[EntryState, Right]] = {
    (None, _T.APPLY): (_S.DRAFT, _OFFICER),
    (_S.DRAFT, _T.REVISE): (_S.DRAFT, _APPLICANT),
    (_S.REFUSED, _T.REVISE): (_S.DRAFT, _APPLICANT),
    (_S.LAPSED, _T.REVISE): (_S.DRAFT, _APPLICANT),
    (_S.DRAFT, _T.REVIEW): (_S.REVIEWED, _REVIEWER),
    (_S.DRAFT, _T.REFUSE): (_S.REFUSED, _REVIEWER),
    (_S.REVIEWED, _T.REFUSE): (_S.REFUSED, _APPROVER),
    (_S.URGENT, _T.REFUSE): (_S.REFUSED, _APPROVER),
    (_S.REVIEWED, _T.APPROVE): (_S.APPROVED, _APPROVER),
    (_S.URGENT, _T.APPROVE): (_S.ACTIVE, _APPROVER),
    (_S.APPROVED, _T.ACTIVATE): (_S.ACTIVE, _OFFICER),
    (_S.DRAFT, _T.URGE): (_S.URGENT, _OFFICER),
    (_S.REVIEWED, _T.URGE): (_S.URGENT, _OFFICER),
    (_S.ACTIVE, _T.EXTEND): (_S.EXTENDED, _APPROVER),
    (_S.EXTENDED, _T.EXTEND): (_S.EXTENDED, _APPROVER),
    (_S.URGENT, _T.LAPSE): (_S.LAPSED, _SERVER),
    **{
        (state, _T.EXPIRE): (_S.EXPIRED, _SERVER)
        for state in (_S.APPROVED, _S.ACTIVE, _S.EXTENDED, _S.URGENT)
    },
    **{
        (state, _T.WITHDRAW): (_S.WITHDRAWN, _OFFICER)
        for state in (
            _S.DRAFT,
            _S.REVIEWED,
            _S.APPROVED,
            _S.ACTIVE,
            _S.EXTENDED,
            _S.URGENT,
            _S.REFUSED,
        )
    },
}


class StepNotPossibleError(ValueError):
    """The step does not lead anywhere from this state."""


class NotHisStepError(ValueError):
    """The step is possible, but not for him."""


def after_step(state: EntryState | None, step: Step, actor: Actor, parties: Parties) -> EntryState:
    """The state that a step leads to; ``state`` is None before there is an entry.

    Raises:
        StepNotPossibleError: the state does not permit the step.
        NotHisStepError: the actor lacks the role, or four eyes are needed and his are the first.
    """
    found = STEPS.get((state, step))
    if found is None:
        raise StepNotPossibleError(
            f"an entry that is {state or 'new'} cannot be taken through {step}"
        )
    after, right = found
    refusal = _refusal(right, actor, parties)
    if refusal:
        raise NotHisStepError(f"{step}: {refusal}")
    return after


def steps_for(state: EntryState, actor: Actor, parties: Parties) -> tuple[Step, ...]:
    """What somebody may do next with an entry."""
    return tuple(
        step
        for (before, step), (_, right) in STEPS.items()
        if before is state and not _refusal(right, actor, parties)
    )


def _refusal(right: Right, actor: Actor, parties: Parties) -> str:
    """Why he may not; '' if he may."""
    if right.who is Who.SERVER or actor.role is None:
        return "" if right.who is Who.SERVER and actor.role is None else "only the server does that"
    if not actor.role.covers(right.role):
        return f"needs the role {right.role}"
    own = actor.name in {parties.applicant, parties.urgent_by}
    if right.who is Who.ANOTHER and own:
        return "somebody else than the applicant has to do that"
    if right.who is Who.APPLICANT and actor.name != parties.applicant:
        return "only the applicant does that"
    return ""
