"""Following a plate now (追踪): on whose word, from which sightings, and what to expect.

The door for pages and routes that pursue: :func:`look_up_pursuit` answers for it on the audit log,
:func:`pursuit_of` is for whoever has done so. An answer holds for the moment it was given; ask
again after some seconds, and silence since the last sighting counts for what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from server import audit
from server.audit import Purpose
from server.auth.sight import Sight, sight_of
from server.checkpoints.service import CheckpointPlace
from server.errors import InvalidRequest
from server.passages.lookup import Inquiry
from server.passages.patterns import ANY_ONE, ANY_RUN, normal_pattern
from server.passages.view import PassageView, view_of
from server.settings import Settings
from server.tables import AuditRecord, Passage
from server.trajectories.build import distance_m
from server.trajectories.habits import Habits
from server.trajectories.pursuit import Pursuit, pursue
from server.trajectories.route import Traffic

_HABITS: Final = timedelta(days=30)
_SIGHTINGS: Final = 1_000
_SAID: Final = timedelta(minutes=10)
"""Who follows one plate for one case is put on the log so often, not with every look."""
_UNIT_KMH: Final = 50.0
_UNIT_STARTS_S: Final = 60.0
_DETOUR: Final = 1.3


@dataclass(frozen=True, slots=True)
class Followed:
    """A plate that is being followed."""

    plate: str
    last: PassageView | None
    """The last sighting; None if it was never seen, or not where one may look."""
    previous: PassageView | None
    """The one before it, on the same trip."""
    pursuit: Pursuit | None
    places: Mapping[str, CheckpointPlace]
    """Of every checkpoint that the pursuit names."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Where a unit stands, WGS-84 degrees."""

    lat: float
    lon: float


def look_up_pursuit(  # noqa: PLR0913 - which plate, who asks, who can be where
    session: Session,
    plate: str,
    inquiry: Inquiry,
    settings: Settings,
    traffic: Traffic,
    *,
    unit: Unit | None = None,
    ready_s: float | None = None,
) -> Followed:
    """Say where a plate comes next, on somebody's behalf; needs a writing session.

    ``unit`` is where a unit stands that can man a roadblock; without one it takes ``ready_s``
    (``trajectory.roadblock_ready_s``) to any checkpoint.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: not a whole plate.
        ApprovalNeeded: further back than is open to him.
    """
    purpose = audit.stated_purpose(inquiry.purpose, inquiry.case_number, settings.search.purposes)
    plate = normal_pattern(plate)
    if not plate or ANY_ONE in plate or ANY_RUN in plate:
        raise InvalidRequest("plate: a pursuit needs a whole plate, without ? or *", field="plate")
    sight = sight_of(
        session, inquiry.account, inquiry.now, settings,
        case_number=purpose.case_number, plate=plate,
    )  # fmt: skip
    found = pursuit_of(
        session, plate, now=inquiry.now, sight=sight, settings=settings, traffic=traffic,
        unit=unit, ready_s=ready_s,
    )  # fmt: skip
    if not _said_lately(session, inquiry, plate, purpose):
        audit.record(
            session,
            now=inquiry.now,
            user_name=inquiry.account.name,
            address=inquiry.address,
            action="pursuit.follow",
            purpose=purpose,
            detail={"plate": plate, "found": found.last is not None},
        )
    return found


def pursuit_of(  # noqa: PLR0913 - which plate, as of when, for whose eyes, who can be where
    session: Session,
    plate: str,
    *,
    now: datetime,
    sight: Sight,
    settings: Settings,
    traffic: Traffic,
    unit: Unit | None = None,
    ready_s: float | None = None,
) -> Followed:
    """Where a whole, normalised plate comes next, of what one may see; nothing is recorded."""
    rules = settings.trajectory
    since = sight.reach(now - _HABITS)
    own = (
        select(Passage)
        .where(Passage.plate == plate, Passage.captured_at <= now, *sight.conditions(Passage))
        .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
        .limit(_SIGHTINGS)
    )
    if since is not None:
        own = own.where(Passage.captured_at >= since)
    rows = [row for row in session.scalars(own) if row.checkpoint_id in traffic.places]
    if not rows:
        return Followed(plate, None, None, None, {})
    last = rows[0]
    before = next((row for row in rows if row.checkpoint_id != last.checkpoint_id), None)
    gap = timedelta(seconds=rules.learn_gap_s)
    if before is not None and last.captured_at - before.captured_at > gap:
        before = None
    seen_at = last.captured_at - timedelta(
        seconds=traffic.clock_offset_s.get(last.checkpoint_id, 0.0)
    )
    pursuit = pursue(
        traffic.links,
        last.checkpoint_id,
        before.checkpoint_id if before is not None else None,
        seen_at,
        max(now, seen_at),
        traffic.when(now),
        _ready(traffic, sight, unit, rules.roadblock_ready_s if ready_s is None else ready_s),
        Habits.of(
            [(row.checkpoint_id, row.captured_at) for row in reversed(rows)],
            rules.learn_gap_s,
            traffic.when,
        ),
    )  # fmt: skip
    named = {one.checkpoint_id for one in pursuit.next}
    named |= {one.checkpoint_id for one in pursuit.roadblocks}
    return Followed(
        plate,
        view_of(last, traffic.places[last.checkpoint_id]),
        view_of(before, traffic.places[before.checkpoint_id]) if before is not None else None,
        pursuit,
        {name: traffic.places[name] for name in sorted(named) if name in traffic.places},
    )


def _ready(
    traffic: Traffic, sight: Sight, unit: Unit | None, ready_s: float
) -> Mapping[str, float]:
    """How long it takes until a unit stands at each of the checkpoints of one's areas."""
    mine = {name: place for name, place in traffic.places.items() if sight.covers(name)}
    if unit is None:
        return dict.fromkeys(mine, ready_s)
    return {
        name: _UNIT_STARTS_S
        + distance_m(unit.lat, unit.lon, place.lat, place.lon) * _DETOUR / _UNIT_KMH * 3.6
        for name, place in mine.items()
    }


def _said_lately(session: Session, inquiry: Inquiry, plate: str, purpose: Purpose) -> bool:
    """Whether this pursuit of his stands on the log already."""
    lately = select(AuditRecord.detail, AuditRecord.purpose, AuditRecord.case_number).where(
        AuditRecord.user_name == inquiry.account.name,
        AuditRecord.action == "pursuit.follow",
        AuditRecord.at > inquiry.now - _SAID,
    )
    return any(
        row.detail.get("plate") == plate
        and (row.purpose, row.case_number) == (purpose.purpose, purpose.case_number)
        for row in session.execute(lately)
    )
