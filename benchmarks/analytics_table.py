"""The table that single questions are asked of: a crowd of ten days, and a year of some who live here.

Four rows in five are the crowd of :mod:`benchmarks.search_data`, a large city's last ten days: they
make the hours full. The others are a year of a simulated town in trips (:mod:`benchmarks.simulation`,
its clones, misreads and queues included), some thousand sightings a plate: they make the routes long.
All of it is learned from as the upkeep would.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from benchmarks.search_data import Texts, detail_of_agents, load, plates
from benchmarks.simulation import Plan, simulate
from benchmarks.simulation.rows import fill
from server.db import Database
from server.packed.making import keep_packed
from server.settings import Settings
from server.trajectories.learning import learn

PASSAGES_A_YEAR = 3_500
"""Of a vehicle of the simulated town, on average."""
DAYS = 364


@dataclass(frozen=True, slots=True)
class Table:
    """What was filled in: some plates of the crowd, all plates of those who live here."""

    crowd: list[str]
    residents: list[str]
    rows: int


def fill_table(
    database: Database, settings: Settings, rows: int, now: datetime, seed: int
) -> dict[str, float]:
    """Fill an empty, migrated PostgreSQL with about so many passages, and learn from the last week."""
    began = time.monotonic()
    crowd = rows * 4 // 5
    load(database, settings, crowd, _crowd(rows), now, indexes_after=True)
    vehicles = max(60, (rows - crowd) // PASSAGES_A_YEAR)
    odd = min(15, vehicles // 20)
    plan = Plan(
        seed=seed, days=DAYS, vehicles=vehicles, checkpoints=120, zones=60, clones=odd, convoys=odd,
        hiders=odd, fakes=odd, start_at=(now - timedelta(days=DAYS)).replace(hour=16, minute=0, second=0,
                                                                microsecond=0),
    )  # fmt: skip
    world = simulate(plan)
    seen = world.passages.where(
        world.passages.seen & (world.passages.at_s < (now - plan.start_at).total_seconds())
    )
    fill(database, settings, world, seen, detail_of_agents())
    with database.write() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(
            text(
                "INSERT INTO plate (plate, first_seen_at, last_seen_at, passages, added_at)"
                " SELECT plate, min(captured_at), max(captured_at), count(*), now() FROM passage"
                " WHERE checkpoint_id LIKE 'sim-%' AND plate_state = 'read' GROUP BY plate"
                " ON CONFLICT DO NOTHING"
            )
        )
    with database.engine.connect() as connection:
        settled = connection.execution_options(isolation_level="AUTOCOMMIT")
        settled.execute(text("SET statement_timeout = 0"))
        settled.execute(text("VACUUM ANALYZE"))
    while keep_packed(
        database.engine, settings.partitions, now
    ):  # as the upkeep would, week by week
        pass
    loaded = time.monotonic()
    while learn(database, settings, now):
        pass
    return {
        "load_s": round(loaded - began, 1),
        "learn_s": round(time.monotonic() - loaded, 1),
    }


def filled_table(database: Database, now: datetime) -> Table:
    """What :func:`fill_table` filled in.

    Who lives here was first seen long ago, and is seen daily; a plate that was misread is not.
    """
    with database.read() as session:
        residents = session.scalars(
            text(
                "SELECT plate FROM plate WHERE first_seen_at < :long_ago AND passages > :daily"
                " ORDER BY plate"
            ),
            {"long_ago": now - timedelta(days=DAYS - 30), "daily": DAYS},
        ).all()
        crowd = session.scalars(
            text("SELECT plate FROM plate TABLESAMPLE SYSTEM (2) WHERE first_seen_at > :lately"),
            {"lately": now - timedelta(days=DAYS - 30)},
        ).all()
        count = session.scalar(text("SELECT count(*) FROM passage"))
    return Table(list(crowd), list(residents), int(count or 0))


def _crowd(rows: int) -> Texts:
    return plates(max(1000, rows * 4 // 5 * 3 // 10))
