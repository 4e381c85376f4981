"""The statements of the analyses against counting by hand, on both engines; and the index for them."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from server import partitions
from server.analyses.finding import Proof
from server.analyses.rows import (
    Period,
    cells_of_plates,
    neighbours,
    sightings_of_plate,
    sightings_of_plates,
    views_of,
)
from server.auth.sight import Sight
from server.covering import cover
from server.db import Database
from server.settings import Settings
from server.settings_storage import PartitionSettings
from tests.server.conftest import NOW, Site, make_passage, serving

EVERYTHING = Sight("officer", None, frozenset(), None)
PERIOD = Period(NOW - timedelta(days=30), NOW)
CAMERAS = {"kk-west": "west-1", "kk-centre": "centre-1", "kk-north": "north-1"}
ME, *OTHERS = PLATES = ("鲁HR1001", "鲁HR2002", "鲁HR3003", "鲁HR4004")


@pytest.fixture(autouse=True)
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions made meanwhile would move a test's rows."""
    monkeypatch.setattr("server.upkeep.Upkeep.start", lambda _self: None)
    monkeypatch.setattr("server.analyses.runner.JobRunner.start", lambda _self: None)


@pytest.fixture
def sent(site: Site) -> list[tuple[str, str, datetime]]:
    """Four plates somewhere at some time over a month, one of them often beside another."""
    return _send(site)


def _send(site: Site) -> list[tuple[str, str, datetime]]:
    draw = random.Random(4)
    seen = []
    for plate in PLATES:
        for _ in range(45):
            at = NOW - timedelta(seconds=draw.randrange(1, 35 * 86_400))
            seen.append((plate, draw.choice(list(CAMERAS)), at))
    seen += [(OTHERS[0], where, at + timedelta(seconds=60)) for plate, where, at in seen[:20]]
    passages = [
        make_passage(plate=plate, camera_id=CAMERAS[where], captured_at=at)
        for plate, where, at in seen
    ]
    for start in range(0, len(passages), 100):
        outcomes = site.outcomes(*passages[start : start + 100], delivery="backlog")
        assert set(outcomes) == {"accepted"}
    return [one for one in seen if PERIOD.since <= one[2] < PERIOD.until]


def test_cells_are_counts_by_checkpoint_and_hour(site: Site, sent: list[Any]) -> None:
    """Of the cells asked for, within the period, each plate by itself."""
    asked = {(where, hour) for where in ("kk-west", "kk-north") for hour in range(3, 20)}
    with site.context.database.read() as session:
        cells = cells_of_plates(session, OTHERS, asked, PERIOD, EVERYTHING)
    for plate in OTHERS:
        counted = Counter((where, at.hour) for one, where, at in sent if one == plate)
        assert cells[plate] == {cell: n for cell, n in counted.items() if cell in asked}
    assert ME not in cells


def test_neighbours_are_within_the_gap_at_the_same_checkpoint(site: Site, sent: list[Any]) -> None:
    with site.context.database.read() as session:
        mine = sightings_of_plate(session, ME, PERIOD, EVERYTHING, 1000)
        found = neighbours(session, mine, 60.0, EVERYTHING)
    assert len(mine) == sum(plate == ME for plate, _, _ in sent)
    gap = timedelta(seconds=60)
    everybody = {(p, where, at) for p, where, at in sent if p != ME}
    near = {
        other for other in everybody for _, where, at in [m for m in sent if m[0] == ME]
        if other[1] == where and abs(other[2] - at) <= gap
    }  # fmt: skip
    inside = {
        (s.plate, s.checkpoint_id, s.at) for s in found if PERIOD.since <= s.at < PERIOD.until
    }
    assert inside == near
    assert len(near) >= 10
    assert len({s.passage_id for s in found}) == len(found), "each once"


def test_the_passages_of_findings_are_found_by_their_keys(site: Site, sent: list[Any]) -> None:
    """And by nothing else: a key that is off by a moment finds nothing."""
    with site.context.database.read() as session:
        mine = sightings_of_plate(session, ME, PERIOD, EVERYTHING, 1000)
        proofs = [Proof.of(one) for one in mine]
        views = views_of(session, proofs, EVERYTHING)
        off = Proof(ME, mine[0].at + timedelta(milliseconds=1), mine[0].passage_id, "kk-west")
        assert views_of(session, [off], EVERYTHING) == {}
        assert views_of(session, [], EVERYTHING) == {}
    assert {key: (v.plate, v.captured_at, v.checkpoint.id) for key, v in views.items()} == {
        s.passage_id: (s.plate, s.at, s.checkpoint_id) for s in mine
    }
    assert all(view.models and view.track for view in views.values()), "all of each"
    del sent


@pytest.fixture
def postgres_site(postgres_settings: Settings, clock: Any) -> Iterator[Site]:
    with serving(postgres_settings, clock) as site:
        yield site


@pytest.mark.postgres
def test_a_partition_that_is_over_gets_an_index_of_where_plates_were(postgres_site: Site) -> None:
    """Once; newest first; one that was left half made is made anew; answers stay the same."""
    site = postgres_site
    _send(site)
    database = site.context.database
    rules = PartitionSettings(width_days=7, cover_after_days=3)
    partitions.keep_up(database.engine, rules, NOW, NOW - timedelta(days=40))
    with database.engine.connect() as connection:
        there = partitions.existing(connection, partitions.PASSAGE)
    over = [p.name for p in there if p.days.end <= (NOW - timedelta(days=3)).date()]
    assert 3 <= len(over) < len(there)
    before = _counted(database)
    _leave_half_made(database, over[-1])
    made = []
    while name := cover(database.engine, rules, NOW):
        made.append(name)
    assert made == over[::-1]
    assert _counted(database) == before
    with database.engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET enable_bitmapscan = off"))
        asked = f"EXPLAIN SELECT count(checkpoint_id) FROM {over[0]} WHERE plate = '{ME}'"  # noqa: S608 - names of ours
        plan = "\n".join(connection.execute(text(asked)).scalars())
    assert f"Index Only Scan using ix_{over[0]}_where" in plan


def _counted(database: Database) -> Any:
    cells = {(where, hour) for where in CAMERAS for hour in range(24)}
    with database.read() as session:
        return (
            cells_of_plates(session, PLATES, cells, PERIOD, EVERYTHING),
            sightings_of_plates(session, PLATES, PERIOD, EVERYTHING),
        )


def _leave_half_made(database: Database, partition: str) -> None:
    """As a server that is killed leaves it: an index of that name, which is not valid."""
    with database.engine.begin() as connection:
        name = f"ix_{partition}_where"
        connection.execute(text(f"CREATE INDEX {name} ON {partition} (plate)"))
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": name},
        )
