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

from sqlalchemy.orm import Session

from anpr.plate import UNREAD
from anpr.watch import Seen, WatchIndex, seen_of
from server import holds, register
from server.alerts.raising import Hit, raise_alerts
from server.auth.agents import AgentIdentity
from server.ingest.clock import judge_clock
from server.ingest.message import Envelope, PassageMessage
from server.ingest.parse import Item, Refused
from server.ingest.pictures import here
from server.ingest.rows import Key, Row, key_of, row_of, spelled
from server.ingest.storing import store
from server.settings import Settings
from server.watchlists.explaining import explanation_of
from server.watchlists.matching import Sighting, WatchlistCache, matches
from server.wire import Outcome


@dataclass(frozen=True, slots=True)
class Batch:
    """What one agent posted."""

    envelope: Envelope
    items: Sequence[Item]
    agent: AgentIdentity


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one item that stands in the receipt."""

    passage_id: str
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: fates in the order of its items, pictures that are wanted, hits."""

    fates: tuple[Fate, ...]
    missing_evidence: tuple[str, ...]
    received_at: datetime
    hits: int


@dataclass(slots=True)
class _Sorting:
    """A batch while it is being sorted: a key per item that may be stored, a fate per other."""

    batch: Batch
    fates: dict[int, Fate] = field(default_factory=dict)
    keys: dict[int, Key] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)


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
    sorting = [_sort(batch) for batch in batches]
    pictures = here(session, [one.batch.items[n] for one in sorting for n in one.keys], now)
    taken: set[Key] = set()
    for one in sorting:
        _take(one, taken, pictures, now, settings)
    stored = store(session, [row for one in sorting for row in one.rows.values()])
    sure = settings.plates.sure_score
    register.note(
        session,
        (
            (row.plate, row.captured_at, _is_sure(row, sure))
            for one in sorting
            for row in one.rows.values()
            if row.key in stored and spelled(row.plate)[1]
        ),
    )
    return [
        _finish(session, one, stored=stored, index=index, now=now, settings=settings)
        for one in sorting
    ]


def _sort(batch: Batch) -> _Sorting:
    """Refuse what can never be stored; give the rest its key."""
    one = _Sorting(batch)
    cameras = batch.agent.checkpoint_of_camera
    for number, item in enumerate(batch.items):
        if isinstance(item, Refused):
            one.fates[number] = Fate(item.passage_id, "rejected", item.reason)
        elif item.camera_id not in cameras:
            said = f"{item.camera_id} is not a registered camera of agent {batch.agent.agent_id}"
            one.fates[number] = Fate(str(item.passage_id), "rejected", f"camera_id: {said}")
        else:
            one.keys[number] = key_of(item)
    return one


def _take(
    one: _Sorting, taken: set[Key], pictures: set[str], now: datetime, settings: Settings
) -> None:
    """Make rows of what has all its pictures, each key once."""
    agent, envelope = one.batch.agent, one.batch.envelope
    for number, key in one.keys.items():
        item = one.batch.items[number]
        if not isinstance(item, PassageMessage):  # pragma: no cover - has no key
            continue
        if key in taken:
            one.fates[number] = Fate(str(item.passage_id), "duplicate")
            continue
        lacking = [p.sha256 for p in item.evidence if p.sha256 not in pictures]
        if lacking:
            one.missing.update(dict.fromkeys(lacking))
            continue
        taken.add(key)
        one.rows[key] = row_of(
            item,
            key,
            checkpoint_id=agent.checkpoint_of_camera[item.camera_id],
            agent_id=agent.agent_id,
            clock_flag=judge_clock(
                item.captured_at,
                now,
                synchronised=item.clock.synchronised,
                offset_ms=item.clock.offset_ms,
                future_tolerance_s=settings.ingest.future_tolerance_s,
                max_offset_ms=settings.ingest.max_clock_offset_ms,
            ),
            delivery=envelope.delivery,
            received_at=now,
        )
        one.fates[number] = Fate(str(item.passage_id), "accepted")


def _finish(  # noqa: PLR0913 - one batch, and what the transaction knows
    session: Session,
    one: _Sorting,
    *,
    stored: set[Key],
    index: WatchIndex,
    now: datetime,
    settings: Settings,
) -> Ingested:
    """Match what was stored, raise its alerts, and say what became of each item."""
    for number, fate in one.fates.items():
        if fate.outcome == "accepted" and one.keys[number] not in stored:
            one.fates[number] = Fate(fate.passage_id, "duplicate")
    delivery = one.batch.envelope.delivery
    hits = _hits(session, one, stored, index, now, settings)
    if hits:
        raise_alerts(session, hits, now=now, delivery=delivery, repeat_s=settings.alerts.repeat_s)
        _hold(session, one, {hit.passage_id for hit in hits}, now)
    fates = tuple(one.fates[number] for number in sorted(one.fates))
    return Ingested(fates, tuple(one.missing), now, len(hits))


def _hold(session: Session, one: _Sorting, hit: set[object], now: datetime) -> None:
    """Alerts' passages and pictures are exempt from retention."""
    held = [
        holds.Held(key, tuple(picture.sha256 for picture in item.evidence))
        for number, key in one.keys.items()
        if key[2] in hit and isinstance(item := one.batch.items[number], PassageMessage)
    ]
    holds.hold(session, held, holds.FOR_ALERT, now)


def _is_sure(row: Row, sure_score: float) -> bool:
    return row.plate_state == "read" and row.plate_score >= sure_score and UNREAD not in row.plate


def _hits(  # noqa: PLR0913, PLR0917 - one batch, and what the transaction knows
    session: Session,
    one: _Sorting,
    stored: set[Key],
    index: WatchIndex,
    now: datetime,
    settings: Settings,
) -> list[Hit]:
    """Match what was stored; a plate or none, for a description may need none."""
    live = (now,) if one.batch.envelope.delivery == "live" else ()
    first: dict[Key, int] = {}
    for number, key in one.keys.items():
        if key in stored and key in one.rows:
            first.setdefault(key, number)
    sightings = [
        Sighting(key, _seen(one.batch.items[number]), row.checkpoint_id, (row.captured_at, *live))
        for key, number in first.items()
        if (row := one.rows[key])
    ]
    zone = ZoneInfo(settings.display.time_zone)
    return [
        Hit(
            match=match,
            passage_id=sighting.key[2],
            plate=sighting.key[0],
            captured_at=sighting.key[1],
            checkpoint_id=sighting.checkpoint_id,
            camera_id=one.rows[sighting.key].camera_id,
            explanation=explanation_of(match),
        )
        for sighting, match in matches(session, index, sightings, zone)
    ]


def _seen(item: Item) -> Seen:
    if not isinstance(item, PassageMessage):  # pragma: no cover - has no key
        return Seen("")
    return seen_of(
        item.plate.text,
        item.plate.characters,
        plate_kind=item.plate.kind,
        plate_color=item.plate.color,
        vehicle_color=item.vehicle_color,
    )
