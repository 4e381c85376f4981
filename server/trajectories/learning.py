"""Learning from newly stored passages: how vehicles move, how long it takes, whose clock is wrong.

Runs in the upkeep, never in ingest. A run takes the sightings of a span of capture times that has
settled (``trajectory.learn_after_s``: what a box delivers later is not learned from), counts them
and adds the counts to the database together with the mark up to which was learned, in one
transaction that first checks that the mark still stands where it stood: several processes may run
it, and whatever is killed when, each move is counted once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from anpr.plate import UNREAD
from server.db import Database, among
from server.settings import Settings
from server.tables import Checkpoint, Passage, TravelMark, TravelPair, TravelPlace, TravelTurn
from server.trajectories import aging
from server.trajectories.clocks import Usual, estimate_clocks
from server.trajectories.moves import Floats, Ints, Moves, count_moves
from server.trajectories.sketch import FEW, PairTimes, TimeSketch, unpack

MARK: Final = "moves"
_SPAN = timedelta(hours=6)
_FIRST_LOOK = timedelta(minutes=1)
_AT_ONCE = 400
_AGREE_S = 20.0


@dataclass(frozen=True, slots=True)
class Sightings:
    """Columns: numbers of plates and of checkpoints (in ``names``), seconds since 1970."""

    names: tuple[str, ...]
    plate: Ints
    place: Ints
    at_s: Floats


def learn(database: Database, settings: Settings, now: datetime) -> int:
    """Learn from what has settled since the last run; how many sightings were looked at.

    The first run begins a week back, ``trajectory.learn_span_s`` a turn.
    """
    rules = settings.trajectory
    settled = now - timedelta(seconds=rules.learn_after_s)
    with database.read() as session:
        mark = session.get(TravelMark, MARK)
        since = mark.learned_until if mark is not None else None
        begin = since if since is not None else _first(session, settled)
    if begin is None or begin >= settled:
        return 0
    until = min(settled, begin + max(_SPAN, timedelta(seconds=2 * rules.learn_gap_s)))
    with database.read() as session:
        offsets = clock_offsets(session)
        seen = sightings(session, begin - timedelta(seconds=2 * rules.learn_gap_s), until)
        usual = _usual(session, seen.names)
    right = _on_time(seen, offsets)
    moves = count_moves(
        right.plate,
        right.place,
        right.at_s,
        places=len(seen.names),
        since_s=begin.timestamp(),
        until_s=until.timestamp(),
        gap_s=rules.learn_gap_s,
        repeat_s=rules.repeat_s,
        utc_offset_s=_utc_offset_s(settings, until),
    )
    new = seen.at_s > begin.timestamp()
    clocks = {
        seen.names[found.place]: found.offset_s
        for found in estimate_clocks(
            seen.plate[new], seen.place[new], seen.at_s[new], places=len(seen.names), usual=usual
        )
    }
    with database.write() as session:
        if _move_mark(session, since, until):
            if since is not None and aging.is_due(since, until):
                aging.halve_all(session, until, now)
            _add(session, moves, seen.names, now)
            _set_clocks(session, clocks, until, now)
    return int(new.sum())


def sightings(session: Session, since: datetime, until: datetime) -> Sightings:
    """Whole plates of all checkpoints in ``(since, until]``.

    Checkpoint by checkpoint, because that is what there is an index for.
    """
    names = tuple(session.scalars(select(Checkpoint.id).order_by(Checkpoint.id)))
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))
    plate: list[int] = []
    place: list[int] = []
    at_s: list[float] = []
    for number, name in enumerate(names):
        rows = session.execute(
            select(Passage.plate, Passage.captured_at).where(
                Passage.checkpoint_id == name,
                Passage.captured_at > since,
                Passage.captured_at <= until,
            )
        )
        for text, at in rows:
            if text and UNREAD not in text:
                plate.append(numbers[text])
                place.append(number)
                at_s.append(at.timestamp())
    return Sightings(
        names, np.array(plate, np.int64), np.array(place, np.int64), np.array(at_s, np.float64)
    )


def clock_offsets(session: Session) -> dict[str, float]:
    """Seconds by which clocks of checkpoints are ahead, of those that are wrong."""
    query = select(TravelPlace.checkpoint_id, TravelPlace.clock_offset_s)
    wrong = query.where(TravelPlace.clock_since.is_not(None))
    return {row.checkpoint_id: row.clock_offset_s for row in session.execute(wrong)}


def _first(session: Session, settled: datetime) -> datetime | None:
    """Where to begin: the oldest passage of the last week."""
    places = list(session.scalars(select(Checkpoint.id)))
    since, span = settled - timedelta(days=7), _FIRST_LOOK
    while since < settled:  # where there is nothing yet looking is cheap, so each look is longer
        oldest = session.scalar(
            select(func.min(Passage.captured_at)).where(
                among(session, Passage.checkpoint_id, places),
                Passage.captured_at >= since,
                Passage.captured_at < since + span,
            )
        )
        if oldest is not None:
            return max(settled - timedelta(days=7), oldest - timedelta(seconds=1))
        since, span = since + span, span * 4
    return None


def _on_time(seen: Sightings, offsets: dict[str, float]) -> Sightings:
    """With the times that right clocks would have given."""
    ahead = np.array([offsets.get(name, 0.0) for name in seen.names] or [0.0])
    return Sightings(seen.names, seen.plate, seen.place, seen.at_s - ahead[seen.place])


def _utc_offset_s(settings: Settings, at: datetime) -> float:
    offset = at.astimezone(ZoneInfo(settings.display.time_zone)).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def _usual(session: Session, names: Sequence[str]) -> Usual:
    """Medians of the pairs that are well known."""
    number = {name: n for n, name in enumerate(names)}
    found = []
    query = select(TravelPair.from_id, TravelPair.to_id, TravelPair.times)
    for start, end, packed in session.execute(query.where(TravelPair.drives >= FEW)):
        if start in number and end in number:
            median = TimeSketch(unpack(packed).sum(axis=0)).quantile_s(0.5)
            found.append((number[start] * len(names) + number[end], median))
    found.sort()
    return Usual(np.array([k for k, _ in found], np.int64), np.array([m for _, m in found]))


def _move_mark(session: Session, since: datetime | None, until: datetime) -> bool:
    """Take the span for this process; False if another one has learned from it."""
    if since is None:
        row: dict[str, Any] = {"name": MARK, "learned_until": until}
        made = session.execute(
            _insert(session)(TravelMark).values(row).on_conflict_do_nothing().returning(
                TravelMark.name
            )
        )  # fmt: skip
        return made.first() is not None
    moved = session.execute(
        update(TravelMark)
        .where(TravelMark.name == MARK, TravelMark.learned_until == since)
        .values(learned_until=until)
        .returning(TravelMark.name)
    )
    return moved.first() is not None


def _add(session: Session, moves: Moves, names: Sequence[str], now: datetime) -> None:
    pairs = [
        (names[a], names[b], counts)
        for a, b, counts in zip(
            moves.pair_from.tolist(), moves.pair_to.tolist(), moves.pair_counts, strict=True
        )
    ]
    for part in _parts(pairs):
        keys = [(a, b) for a, b, _ in part]
        have = {
            (row.from_id, row.to_id): unpack(row.times)
            for row in session.execute(
                select(TravelPair.from_id, TravelPair.to_id, TravelPair.times).where(
                    tuple_(TravelPair.from_id, TravelPair.to_id).in_(keys)
                )
            )
        }
        rows = []
        for a, b, counts in part:
            total = counts + have[a, b] if (a, b) in have else counts
            pair = PairTimes(total)
            rows.append(
                {"from_id": a, "to_id": b, "drives": pair.n, "times": pair.pack(),
                 "changed_at": now}
            )  # fmt: skip
        _put(session, TravelPair, ("from_id", "to_id"), rows, add=())
    turns = zip(
        moves.turn_before.tolist(), moves.turn_from.tolist(), moves.turn_to.tolist(),
        moves.turn_count.tolist(), strict=True,
    )  # fmt: skip
    for turned in _parts(list(turns)):
        rows = [
            {"before_id": names[a], "from_id": names[b], "to_id": names[c], "drives": n,
             "changed_at": now}
            for a, b, c, n in turned
        ]  # fmt: skip
        _put(session, TravelTurn, ("before_id", "from_id", "to_id"), rows, add=("drives",))
    places = [
        {"checkpoint_id": name, "starts": s, "ends": e, "clock_offset_s": 0.0,
         "clock_since": None, "changed_at": now}
        for name, s, e in zip(names, moves.starts.tolist(), moves.ends.tolist(), strict=True)
        if s or e
    ]  # fmt: skip
    for place_rows in _parts(places):
        kept = ("clock_offset_s", "clock_since")
        _put(
            session, TravelPlace, ("checkpoint_id",), place_rows, add=("starts", "ends"), keep=kept
        )


def _set_clocks(session: Session, clocks: dict[str, float], until: datetime, now: datetime) -> None:
    """Note what two spans after one another agree on: a clock is wrong, or right again."""
    for row in session.scalars(
        select(TravelPlace).where(TravelPlace.checkpoint_id.in_(list(clocks)))
    ):
        offset = clocks[row.checkpoint_id]
        agrees = offset != 0 and abs(offset - row.clock_offset_s) <= _AGREE_S
        if offset == row.clock_offset_s == 0 or (agrees and row.clock_since is not None):
            continue
        row.clock_since = until if agrees else None
        row.clock_offset_s, row.changed_at = offset, now


def _put(  # noqa: PLR0913 - a table, its key, its rows, and what becomes of old values
    session: Session,
    table: type[Any],
    key: tuple[str, ...],
    rows: Sequence[dict[str, Any]],
    *,
    add: tuple[str, ...],
    keep: tuple[str, ...] = (),
) -> None:
    if not rows:
        return
    statement = _insert(session)(table)
    new = {
        name: getattr(statement.excluded, name)
        for name in rows[0]
        if name not in key and name not in keep
    }
    new |= {name: getattr(table, name) + getattr(statement.excluded, name) for name in add}
    # ordered, so that two processes never wait for each other's rows in a circle
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=new), ordered)


def _insert(session: Session) -> Any:
    sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite_insert if sqlite else postgresql_insert


def _parts(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]
