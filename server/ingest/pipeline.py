"""What happens to a batch, in one transaction: dedupe, store, match, alert.

Each item ends in one of four ways:

* ``accepted``: stored, matched, its alerts raised;
* ``duplicate``: a passage with this identifier is stored already;
* ``rejected``: it can never be stored; the reason names the field;
* left out of the receipt: a picture that it names is not here *yet*. The agent keeps what is not
  in the receipt, puts the pictures again and repeats it.

An error anywhere (the matcher's too) rolls all of it back: no passage without its alerts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from anpr.plate import is_rubbish, normalise
from server.alerts.raising import Hit, raise_alerts
from server.auth.agents import AgentIdentity
from server.detail import VERSION, PassageDetail, offset_us
from server.ingest.clock import judge_clock
from server.ingest.parse import Envelope, Item, Refused
from server.settings import Settings
from server.tables import Evidence
from server.tables import Passage as PassageRow
from server.watchlists.matching import CompiledWatchlist, WatchlistCache
from server.wire import Passage, Receipt, Result


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: its receipt, and how many alerts were raised or changed."""

    receipt: Receipt
    hits: int


def ingest(  # noqa: PLR0913 - the batch, who sent it, when it came, and what it meets here
    session: Session,
    envelope: Envelope,
    items: Sequence[Item],
    *,
    agent: AgentIdentity,
    now: datetime,
    settings: Settings,
    watchlist: WatchlistCache,
) -> Ingested:
    """Take a batch in; the caller commits before it answers."""
    compiled = watchlist.current(session)
    results: list[Result | None] = [_refusal(item, agent) for item in items]
    candidates = [
        (number, item)
        for number, item in enumerate(items)
        if isinstance(item, Passage) and results[number] is None
    ]
    stored_before = _stored(session, [_key(item) for _, item in candidates])
    here = _pictures_here(session, [item for _, item in candidates])
    rows: dict[UUID, dict[str, Any]] = {}
    for number, item in candidates:
        if _key(item) in stored_before or item.passage_id in rows:
            results[number] = _result(item, "duplicate")
        elif all(picture.sha256 in here for picture in item.evidence):
            rows[item.passage_id] = _row(item, envelope, agent, now, settings)
            results[number] = _result(item, "accepted")
    new = dict.fromkeys(_store(session, list(rows.values())))
    results = [
        result.model_copy(update={"outcome": "duplicate"})
        if result is not None
        and result.outcome == "accepted"
        and UUID(result.passage_id) not in new
        else result
        for result in results
    ]
    hits = [hit for key in new for hit in _match(compiled, rows[key], envelope.delivery, now)]
    raise_alerts(
        session, hits, now=now, delivery=envelope.delivery, repeat_s=settings.alerts.repeat_s
    )
    answered = tuple(result for result in results if result is not None)
    return Ingested(Receipt(results=answered, received_at=now), len(hits))


def _refusal(item: Item, agent: AgentIdentity) -> Result | None:
    if isinstance(item, Refused):
        return Result(passage_id=item.passage_id, outcome="rejected", reason=item.reason)
    if item.camera_id not in agent.checkpoint_of_camera:
        return _result(
            item,
            "rejected",
            f"camera_id: {item.camera_id} is not a registered camera of agent {agent.agent_id}",
        )
    return None


def _result(item: Passage, outcome: str, reason: str | None = None) -> Result:
    return Result.model_validate(
        {"passage_id": str(item.passage_id), "outcome": outcome, "reason": reason}
    )


def _key(item: Passage) -> tuple[str, datetime, UUID]:
    return normalise(item.plate.text)[:16], item.captured_at.astimezone(UTC), item.passage_id


def _stored(
    session: Session, keys: Sequence[tuple[str, datetime, UUID]]
) -> set[tuple[str, datetime, UUID]]:
    if not keys:
        return set()
    key = tuple_(PassageRow.plate, PassageRow.captured_at, PassageRow.passage_id)
    return {(*row,) for row in session.execute(select(*key.clauses).where(key.in_(keys)))}  # type: ignore[misc]


def _pictures_here(session: Session, items: Sequence[Passage]) -> set[str]:
    wanted = {picture.sha256 for item in items for picture in item.evidence}
    if not wanted:
        return set()
    return set(session.scalars(select(Evidence.sha256).where(Evidence.sha256.in_(wanted))))


def _row(
    item: Passage, envelope: Envelope, agent: AgentIdentity, now: datetime, settings: Settings
) -> dict[str, Any]:
    return {
        "plate": normalise(item.plate.text)[:16],
        "captured_at": item.captured_at,
        "passage_id": item.passage_id,
        "camera_id": item.camera_id,
        "checkpoint_id": agent.checkpoint_of_camera[item.camera_id],
        "agent_id": agent.agent_id,
        "plate_state": item.plate.state,
        "plate_color": item.plate.color,
        "plate_kind": item.plate.kind,
        "plate_score": item.plate.score,
        "vehicle_color": item.vehicle_color,
        "direction": item.direction,
        "lane": item.lane,
        "speed_kmh": item.speed_kmh,
        "detail": _detail(item),
        "clock_synchronised": item.clock.synchronised,
        "clock_offset_ms": item.clock.offset_ms,
        "clock_flag": judge_clock(
            item.captured_at,
            item.clock,
            now,
            future_tolerance_s=settings.ingest.future_tolerance_s,
            max_offset_ms=settings.ingest.max_clock_offset_ms,
        ).value,
        "delivery": envelope.delivery,
        "received_at": now,
    }


def _detail(item: Passage) -> PassageDetail:
    at, track, quad = item.captured_at, item.track, item.plate_quad_px
    return PassageDetail(
        VERSION,
        (item.models.agent, item.models.detector, item.models.recogniser),
        (offset_us(track.first_at, at), offset_us(track.last_at, at),
         track.frames, track.reads, track.votes),
        None if quad is None else tuple(value for point in quad for value in point),
        item.vehicle_box_px,
        tuple(
            (c.char, c.score, *(value for a in c.alternatives for value in (a.char, a.score)))
            for c in item.plate.characters
        ),
        tuple(
            (e.role, e.sha256, e.size_bytes, e.width_px, e.height_px, offset_us(e.captured_at, at))
            for e in item.evidence
        ),
    )  # fmt: skip


def _store(session: Session, rows: list[dict[str, Any]]) -> list[UUID]:
    """Insert what is not there yet and return its identifiers.

    In key order, so that two transactions with the same passages wait for each other instead of
    deadlocking. A concurrent twin of the same key is told apart by the database, not by us.
    """
    if not rows:
        return []
    rows.sort(key=lambda row: (row["plate"], row["captured_at"], row["passage_id"]))
    sqlite = session.get_bind().dialect.name == "sqlite"
    insert = (sqlite_insert if sqlite else postgresql_insert)(PassageRow)
    statement = insert.on_conflict_do_nothing().returning(PassageRow.passage_id)
    return list(session.scalars(statement, rows))


def _match(
    compiled: CompiledWatchlist, row: dict[str, Any], delivery: str, now: datetime
) -> list[Hit]:
    if is_rubbish(row["plate"]):
        return []
    received_at = now if delivery == "live" else None
    return [
        Hit(
            target=target,
            passage_id=row["passage_id"],
            plate=row["plate"],
            captured_at=row["captured_at"],
            checkpoint_id=row["checkpoint_id"],
            camera_id=row["camera_id"],
        )
        for target in compiled.match(row["plate"], row["captured_at"], received_at)
    ]
