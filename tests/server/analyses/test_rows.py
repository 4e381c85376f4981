"""The statements of the analyses against counting by hand, on both engines."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from server.analyses.finding import Proof
from server.analyses.rows import (
    Period,
    neighbours,
    views_of,
)
from server.analyses.whereabouts import cells_of_plates, sightings_of_plate
from server.auth.sight import Sight
from tests.server.conftest import NOW, Site, make_passage

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
    site.catch_up(passages)
    return [one for one in seen if PERIOD.since <= one[2] < PERIOD.until]


def test_cells_are_counts_by_checkpoint_and_hour(site: Site, sent: list[Any]) -> None:
    """Of the cells asked for, within the period, each plate by itself."""
    asked = {(where, hour) for where in ("kk-west", "kk-north") for hour in range(3, 20)}
    with site.context.database.read() as session:
        cells = cells_of_plates(session, OTHERS, asked, PERIOD, EVERYTHING).by_plate()
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
