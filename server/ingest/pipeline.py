"""What happens to batches, in one transaction: dedupe, store, match, alert.

Each item ends in one of four ways:

* ``accepted``: stored, matched, its alerts raised;
* ``duplicate``: the same passage (plate, time, identifier) is stored already;
* ``rejected``: it can never be stored; the reason names the field;
* left out of the receipt: a picture that it names is not here *yet*; the receipt names it. The
  agent keeps what is not in the receipt, puts the pictures again and repeats it.

An error anywhere (the matcher's too) rolls all of it back: no passage without its alerts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.orm import Session

from anpr.watch import WatchIndex
from server import holds, register
from server.alerts.raising import Hit, raise_alerts
from server.auth.agents import AgentIdentity
from server.ingest.clock import ClockJudge
from server.ingest.message import Envelope
from server.ingest.parse import Item, Refused
from server.ingest.pictures import here
from server.ingest.rows import Arrival, Key, Row, arrival_of, finished, key_of
from server.ingest.storing import store
from server.settings import Settings
from server.watchlists.explaining import explanation_of
from server.watchlists.matching import Sighting, WatchlistCache, matches
from server.wire import Outcome


class Fate(msgspec.Struct, frozen=True, gc=False):
    """What became of one item that stands in the receipt, as :class:`server.wire.Result`."""

    passage_id: str
    outcome: Outcome
    reason: str | None = None


@dataclass(slots=True)
class Batch:
    """What one agent posted."""

    envelope: Envelope
    items: Sequence[Item]
    agent: AgentIdentity
    refused: list[tuple[int, Fate]] = field(default_factory=list)
    """What can never be stored, with its place in the batch."""
    arrived: list[Arrival] | None = None
    """The rest; see :meth:`made_ready`."""

    def made_ready(self) -> list[Arrival]:
        """Do what needs no transaction, once; before there is a turn to hold up is best."""
        if self.arrived is None:
            self.arrived = self._made_ready()
        return self.arrived

    def _made_ready(self) -> list[Arrival]:
        """Refuse what can never be stored; give the rest its key and its columns."""
        arrived, refused, agent = [], [], self.agent
        checkpoint_of = agent.checkpoint_of_camera.get
        for number, item in enumerate(self.items):
            if isinstance(item, Refused):
                refused.append((number, Fate(item.passage_id, "rejected", item.reason)))
                continue
            checkpoint_id = checkpoint_of(item.camera_id)
            if checkpoint_id is None:
                said = f"{item.camera_id} is not a registered camera of agent {agent.agent_id}"
                fate = Fate(str(item.passage_id), "rejected", f"camera_id: {said}")
                refused.append((number, fate))
                continue
            arrived.append(
                arrival_of(
                    number, item, key_of(item), checkpoint_id=checkpoint_id, agent_id=agent.agent_id
                )
            )
        self.refused = refused
        return arrived


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: fates in the order of its items, pictures that are wanted, hits."""

    fates: tuple[Fate, ...]
    missing_evidence: tuple[str, ...]
    received_at: datetime
    hits: int


@dataclass(slots=True)
class _Sorting:
    """A batch while it is being sorted, in one transaction: a fate per item, rows to store."""

    batch: Batch
    fates: dict[int, Fate]
    rows: list[tuple[Arrival, Row]] = field(default_factory=list)
    missing: dict[str, None] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)


def ingest(
    session: Session,
    batches: Sequence[Batch],
    *,
    now: datetime,
    settings: Settings,
    watchlist: WatchlistCache,
) -> list[Ingested]:
    """Take batches in; the caller commits before it answers any of them."""
    index = watchlist.current(session)
    wanted: set[str] = set()
    for batch in batches:
        for arrived in batch.made_ready():
            wanted.update(arrived.pictures)
    pictures = here(session, wanted, now)
    limits = settings.ingest
    judge = ClockJudge(
        now,
        future_tolerance_s=limits.future_tolerance_s,
        max_offset_ms=limits.max_clock_offset_ms,
    )
    taken: set[Key] = set()
    sorting = [_take(batch, taken, pictures, judge, now) for batch in batches]
    repeats = store(session, [row for one in sorting for _, row in one.rows])
    if repeats:
        for one in sorting:
            _take_back(one, repeats)
    sure_score = settings.plates.sure_score
    register.note(
        session,
        [
            (row[0], row[1], arrived.is_sure(sure_score))
            for one in sorting
            for arrived, row in one.rows
            if arrived.is_plate
        ],
    )
    _match(session, sorting, index, now, settings)
    for one in sorting:
        if one.hits:
            _alert(session, one, now, settings)
    return [_finished(one, now) for one in sorting]


def _take(
    batch: Batch, taken: set[Key], pictures: set[str], judge: ClockJudge, now: datetime
) -> _Sorting:
    """Make rows of what has all its pictures, each key once."""
    one = _Sorting(batch, dict(batch.refused))
    delivery, fates = batch.envelope.delivery, one.fates
    for arrived in batch.made_ready():
        key = arrived.key
        if key in taken:
            fates[arrived.number] = Fate(arrived.ident, "duplicate")
            continue
        if not pictures.issuperset(arrived.pictures):
            lacking = [name for name in arrived.pictures if name not in pictures]
            one.missing.update(dict.fromkeys(lacking))
            continue
        taken.add(key)
        clock = arrived.message.clock
        flag = judge.of(key[1], synchronised=clock.synchronised, offset_ms=clock.offset_ms)
        one.rows.append((arrived, finished(arrived, flag, delivery, now)))
        fates[arrived.number] = Fate(arrived.ident, "accepted")
    return one


def _take_back(one: _Sorting, repeats: set[Key]) -> None:
    """Leave out of the rows what was stored before."""
    kept = []
    for arrived, row in one.rows:
        if arrived.key in repeats:
            one.fates[arrived.number] = Fate(arrived.ident, "duplicate")
        else:
            kept.append((arrived, row))
    one.rows = kept


def _match(
    session: Session,
    sorting: Sequence[_Sorting],
    index: WatchIndex,
    now: datetime,
    settings: Settings,
) -> None:
    """Match what was stored; a plate or none, for a description may need none."""
    sightings = []
    of_key: dict[Key, tuple[_Sorting, Arrival]] = {}
    for one in sorting:
        live = (now,) if one.batch.envelope.delivery == "live" else ()
        for arrived, row in one.rows:
            of_key[arrived.key] = one, arrived
            sightings.append(
                Sighting(arrived.key, arrived.seen, row.checkpoint_id, (row[1], *live))
            )
    for sighting, match in matches(session, index, sightings, ZoneInfo(settings.display.time_zone)):
        one, arrived = of_key[sighting.key]
        one.hits.append(
            Hit(
                match=match,
                passage_id=sighting.key[2],
                plate=sighting.key[0],
                captured_at=sighting.key[1],
                checkpoint_id=sighting.checkpoint_id,
                camera_id=arrived.message.camera_id,
                explanation=explanation_of(match),
            )
        )


def _alert(session: Session, one: _Sorting, now: datetime, settings: Settings) -> None:
    """Raise alerts; their passages and pictures are exempt from retention."""
    delivery = one.batch.envelope.delivery
    raise_alerts(session, one.hits, now=now, delivery=delivery, repeat_s=settings.alerts.repeat_s)
    hit = {each.passage_id for each in one.hits}
    held = [
        holds.Held(arrived.key, arrived.pictures)
        for arrived, _ in one.rows
        if arrived.key[2] in hit
    ]
    holds.hold(session, held, holds.FOR_ALERT, now)


def _finished(one: _Sorting, now: datetime) -> Ingested:
    """What became of each item, in their order."""
    fates = one.fates
    in_order = fates if len(fates) == len(one.rows) else sorted(fates)
    return Ingested(
        tuple([fates[number] for number in in_order]), tuple(one.missing), now, len(one.hits)
    )
