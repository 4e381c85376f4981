"""The statements of the analyses. Each takes a :class:`Sight` and leaves out what one may not see.

Two ways lead into the table, (plate, time) and (checkpoint, time); every statement here goes one
of them. Rows come as tuples: an analysis reads thousands and shows fifty.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Executable,
    Integer,
    Interval,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from server import citus
from server.analyses.finding import Proof
from server.analyses.sighting import Sighting
from server.auth.sight import Sight
from server.checkpoints.service import places
from server.db import TextList, among
from server.packed.sightings import COLUMNS as SEEN
from server.passages.view import COLUMNS, PassageView, view_of
from server.tables import Passage

READ: Final = "read"
_WINDOWS: Final = 5_000
"""Sightings about which a statement looks; to plan one takes as long as to look about hundreds."""


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since``, inclusive, to ``until``, exclusive; aware."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    def holds(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        """As conditions on passages."""
        return Passage.captured_at >= self.since, Passage.captured_at < self.until


def sightings_of_plates(
    session: Session, plates: Sequence[str], period: Period, sight: Sight
) -> dict[str, list[Sighting]]:
    """All sightings of these plates, each in order of time."""
    found: dict[str, list[Sighting]] = defaultdict(list)
    for start in range(0, len(plates), 1000):
        part = plates[start : start + 1000]
        rows = session.execute(
            select(*SEEN)
            .where(among(session, Passage.plate, part), *period.holds(),
                   *sight.conditions(Passage))
            .order_by(Passage.plate, Passage.captured_at, Passage.passage_id)
        )  # fmt: skip
        for row in rows:
            found[row.plate].append(sighting_of(row))
    return found


def neighbours(
    session: Session, mine: Sequence[Sighting], gap_s: float, sight: Sight
) -> list[Sighting]:
    """Whole reads of other plates at the same checkpoint within ``gap_s`` of any of these."""
    if not mine:
        return []
    gap = timedelta(seconds=gap_s)
    other = aliased(Passage)
    columns = [getattr(other, c.key) for c in SEEN]
    wanted = select(*columns).where(
        other.plate != mine[0].plate, other.plate_state == READ, *sight.conditions(other)
    )
    found: dict[bytes, Sighting] = {}
    if session.get_bind().dialect.name == "sqlite":
        one = wanted.where(
            other.checkpoint_id == bindparam("place"),
            other.captured_at >= bindparam("low"),
            other.captured_at <= bindparam("high"),
        )
        for s in mine:
            window = {"place": s.checkpoint_id, "low": s.at - gap, "high": s.at + gap}
            for near in map(sighting_of, session.execute(one, window)):
                found[near.id_bytes] = near
        return list(found.values())
    # beside each other in the index, so that each of its pages is looked at once
    ordered = sorted(mine, key=lambda s: (s.checkpoint_id, s.at))
    for start in range(0, len(ordered), _WINDOWS):
        part = ordered[start : start + _WINDOWS]
        each = (
            func.unnest(
                _listed([s.checkpoint_id for s in part]),
                _moments([s.at for s in part]),
            )
            .table_valued(column("place", Text), column("at", DateTime(timezone=True)))
            .render_derived()
        )
        width = literal(gap, Interval())
        inside = wanted.where(
            other.checkpoint_id == each.c.place,
            other.captured_at >= each.c.at - width,
            other.captured_at <= each.c.at + width,
        )
        # OFFSET 0 keeps the planner from turning the walks down the index into one scan; Citus,
        # which sends the windows to all its workers, refuses it
        inner = (inside if citus.is_used(session) else inside.offset(0)).lateral()
        rows = plain_rows(session, select(*inner.c).select_from(each).join(inner, true()))
        for near in map(sighting_of, rows):
            found[near.id_bytes] = near
    return list(found.values())


def plates_at(
    session: Session,
    checkpoint_ids: Sequence[str],
    period: Period,
    sight: Sight,
    *,
    directions: Sequence[str] = (),
) -> dict[str, tuple[int, datetime, datetime]]:
    """The plates that passed these checkpoints: how often, first and last."""
    if not checkpoint_ids:
        return {}
    query = (
        select(
            Passage.plate,
            func.count(),
            func.min(Passage.captured_at),
            func.max(Passage.captured_at),
        )
        .where(
            among(session, Passage.checkpoint_id, checkpoint_ids),
            Passage.plate_state == READ,
            *period.holds(),
            *sight.conditions(Passage),
        )
        .group_by(Passage.plate)
    )
    if directions:
        query = query.where(Passage.direction.in_(directions))
    return {plate: (n, first, last) for plate, n, first, last in session.execute(query)}


def counts_at(
    session: Session, checkpoint_ids: Sequence[str], period: Period, sight: Sight
) -> dict[str, int]:
    """How often each plate passed these checkpoints; who did not is left out."""
    if not checkpoint_ids:
        return {}
    query = (
        select(Passage.plate, func.count())
        .where(
            among(session, Passage.checkpoint_id, checkpoint_ids),
            Passage.plate_state == READ,
            *period.holds(),
            *sight.conditions(Passage),
        )
        .group_by(Passage.plate)
    )
    return {plate: count for plate, count in plain_rows(session, query)}  # noqa: C416 - of rows, no pairs


def seen_in(
    session: Session, plates: Sequence[str], period: Period, sight: Sight
) -> frozenset[str]:
    """Which of these plates passed anywhere in a period."""
    found: set[str] = set()
    for start in range(0, len(plates), 5000):
        rows = session.scalars(
            select(Passage.plate)
            .where(
                among(session, Passage.plate, plates[start : start + 5000]),
                *period.holds(),
                *sight.conditions(Passage),
            )
            .distinct()
        )
        found.update(rows)
    return frozenset(found)


def sightings_at(  # noqa: PLR0913 - of whom, where, when, for whose eyes, how many
    session: Session,
    checkpoint_ids: Sequence[str],
    period: Period,
    sight: Sight,
    *,
    plates: Sequence[str] | None = None,
    limit: int = 200_000,
) -> list[Sighting]:
    """Whole reads at these checkpoints, in order of time; with ``plates`` of these alone."""
    if not checkpoint_ids:
        return []
    query = (
        select(*SEEN)
        .where(
            among(session, Passage.checkpoint_id, checkpoint_ids),
            Passage.plate_state == READ,
            *period.holds(),
            *sight.conditions(Passage),
        )
        .order_by(Passage.captured_at, Passage.passage_id)
        .limit(limit)
    )
    if plates is not None:
        query = query.where(among(session, Passage.plate, plates))
    return [sighting_of(row) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class FlowRow:
    """Vehicles at a checkpoint within an hour, of one lane and one kind of plate."""

    checkpoint_id: str
    hour_at: datetime
    lane: int | None
    plate_kind: str
    vehicles: int


def flow(
    session: Session, checkpoint_ids: Sequence[str], period: Period, sight: Sight
) -> list[FlowRow]:
    """Count vehicles, with a plate and without, by checkpoint, hour (UTC), lane and kind."""
    if not checkpoint_ids:
        return []
    hour = _hour(session)
    rows = session.execute(
        select(Passage.checkpoint_id, hour, Passage.lane, Passage.plate_kind, func.count())
        .where(
            among(session, Passage.checkpoint_id, checkpoint_ids),
            *period.holds(),
            *sight.conditions(Passage),
        )
        .group_by(Passage.checkpoint_id, hour, Passage.lane, Passage.plate_kind)
    )
    return [
        FlowRow(place, datetime.fromtimestamp(int(at) * 3600, UTC), lane, kind, int(count))
        for place, at, lane, kind, count in rows
    ]


def views_of(session: Session, proofs: Iterable[Proof], sight: Sight) -> dict[UUID, PassageView]:
    """The passages that findings point at, with their pictures; of what one may see."""
    keys = sorted({(p.plate, p.at, p.passage_id) for p in proofs})
    of_which = sight.conditions(Passage)
    rows: list[Any] = []
    if session.get_bind().dialect.name == "sqlite" or citus.is_used(session):
        for start in range(0, len(keys), 200):
            key = tuple_(Passage.plate, Passage.captured_at, Passage.passage_id)
            part = [
                tuple_(
                    literal(plate, Passage.plate.type),
                    literal(at, Passage.captured_at.type),
                    literal(passage_id, Passage.passage_id.type),
                )
                for plate, at, passage_id in keys[start : start + 200]
            ]
            rows += plain_rows(session, select(*COLUMNS).where(key.in_(part), *of_which))
    elif keys:
        # one by one: each is in one partition, and a list of them would be looked for in all
        each = (
            func.unnest(
                literal([plate for plate, _, _ in keys], ARRAY(Text())),
                literal([at for _, at, _ in keys], ARRAY(DateTime(timezone=True))),
                literal([passage_id for _, _, passage_id in keys], ARRAY(Uuid())),
            )
            .table_valued(
                column("plate", Text), column("at", DateTime(timezone=True)), column("id", Uuid)
            )
            .render_derived()
        )
        inside = select(*COLUMNS).where(
            Passage.plate == each.c.plate,
            Passage.captured_at == each.c.at,
            Passage.passage_id == each.c.id,
            *of_which,
        )
        inner = inside.offset(0).lateral()
        rows += plain_rows(session, select(*inner.c).select_from(each).join(inner, true()))
    place_of = places(session, {row.checkpoint_id for row in rows})
    return {row.passage_id: view_of(row, place_of.get(row.checkpoint_id)) for row in rows}


def _listed(texts: Sequence[str]) -> ColumnElement[Any]:
    """Thousands of values as one text, which PostgreSQL reads sooner than as many constants."""
    return cast(bindparam(None, texts, type_=TextList()), ARRAY(Text()))


def _moments(at: Sequence[datetime]) -> ColumnElement[Any]:
    """The same of aware instants: written as JSON, whose brackets PostgreSQL has another way."""
    listed = "{" + msgspec.json.encode(at).decode()[1:-1] + "}"
    return cast(literal(listed, Text()), ARRAY(DateTime(timezone=True)))


def plain_rows(session: Session, statement: Executable) -> Sequence[Any]:
    """Plain rows, past the session's bookkeeping, which takes longer than the database."""
    return session.connection().execute(statement).all()


def sighting_of(row: Any) -> Sighting:
    """A row of :data:`SEEN`."""
    plate, at, passage_id, *rest = row
    return Sighting(plate, at, passage_id.bytes, *rest)


def _hour(session: Session) -> ColumnElement[int]:
    """Whole hours since 1970."""
    if session.get_bind().dialect.name == "sqlite":
        return cast(func.strftime("%s", Passage.captured_at), Integer) // 3600
    return cast(func.floor(func.date_part("epoch", Passage.captured_at) / 3600), Integer)
