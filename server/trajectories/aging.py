"""What was learned long ago weighs less: every eight weeks all counts are halved, and all together.

Which way drivers take from a checkpoint, and how many end there, are ratios of these counts. A limit
for each count by itself would make a street and a lane beside it the same in the end, and every
checkpoint the end of most journeys.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import numpy as np
from sqlalchemy import Table, bindparam, delete, select, tuple_, update
from sqlalchemy.orm import Session

from server.tables import TravelMark, TravelPair, TravelPlace, TravelTurn
from server.trajectories.sketch import Counts, PairTimes, unpack

HALF_LIFE: Final = timedelta(days=56)
MARK: Final = "halved"
"""Of the row that says up to when counts were halved: who holds copies of them reads all again."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE: Final = 2_000
_PAIR: Final = cast("Table", TravelPair.__table__)
_PUT: Final = (
    update(_PAIR)
    .where(_PAIR.c.from_id == bindparam("start"), _PAIR.c.to_id == bindparam("end"))
    .values(drives=bindparam("n"), times=bindparam("packed"), changed_at=bindparam("at"))
)


def is_due(since: datetime, until: datetime) -> bool:
    """Whether eight weeks, counted from 1970, end in ``(since, until]``; both aware."""
    return (since - _EPOCH) // HALF_LIFE != (until - _EPOCH) // HALF_LIFE


def halved(counts: Counts) -> Counts:
    """Half of some counts: of their sum, rounded up, and of every stretch of them within one.

    To halve each by itself would leave nothing of thirty drives that took thirty different times.
    """
    reached = (np.cumsum(counts.ravel()) + 1) // 2
    return np.diff(reached, prepend=0).reshape(counts.shape)


def halve_all(session: Session, until: datetime, now: datetime) -> None:
    """Halve what was learned until then; the caller commits, with the mark of what it learned."""
    halves: list[tuple[type[Any], dict[str, Any]]] = [
        (TravelTurn, {"drives": (TravelTurn.drives + 1) // 2}),
        (
            TravelPlace,
            {"starts": (TravelPlace.starts + 1) // 2, "ends": (TravelPlace.ends + 1) // 2},
        ),
    ]
    connection = session.connection()
    # what came once in eight weeks is forgotten, or it would stay for good: a half of one is one
    connection.execute(delete(TravelTurn).where(TravelTurn.drives <= 1))
    connection.execute(delete(TravelPair).where(TravelPair.drives <= 1))
    for table, values in halves:
        connection.execute(update(table).values(**values, changed_at=now))
    _halve_pairs(session, now)
    session.merge(TravelMark(name=MARK, learned_until=until))
    session.flush()


def _halve_pairs(session: Session, now: datetime) -> None:
    last = ("", "")
    while True:
        rows = session.execute(
            select(TravelPair.from_id, TravelPair.to_id, TravelPair.times)
            .where(tuple_(TravelPair.from_id, TravelPair.to_id) > last)
            .order_by(TravelPair.from_id, TravelPair.to_id)
            .limit(_AT_ONCE)
        ).all()
        if not rows:
            return
        last = (rows[-1].from_id, rows[-1].to_id)
        pairs = [(row.from_id, row.to_id, PairTimes(halved(unpack(row.times)))) for row in rows]
        session.connection().execute(
            _PUT,
            [
                {"start": a, "end": b, "n": pair.n, "packed": pair.pack(), "at": now}
                for a, b, pair in pairs
            ],
        )
