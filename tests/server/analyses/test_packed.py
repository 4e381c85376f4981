"""Packed sightings are what ``passage`` holds, whatever comes late, goes, or happens meanwhile."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from server import partitions, retention
from server.analyses import whereabouts
from server.analyses.rows import Period
from server.auth.sight import Sight
from server.db import Database
from server.holds import hold_passages
from server.packed import making
from server.packed.form import Columns, columns_of, pack
from server.packed.making import keep_packed
from server.packed.reading import Found, Span, gaps, look, midnight
from server.settings import Settings
from server.settings_storage import PartitionSettings
from server.tables import Area, AreaCheckpoint, ProtectedPlate, UserArea
from tests.server.conftest import NOW, Site, make_passage, serving

CAMERAS = {"kk-west": "west-1", "kk-centre": "centre-1", "kk-north": "north-1"}
ME, *OTHERS = PLATES = ("鲁HR1001", "鲁HR2002", "鲁HR3003", "鲁HR4004", "鲁H?2345")
RULES = PartitionSettings(width_days=7, cover_after_days=3)
OVER = NOW - timedelta(days=15)
"""In a partition that is over."""
EYES = {
    "all": Sight("officer", None, frozenset(), None),
    "west": Sight("officer", frozenset({"kk-west"}), frozenset(), None),
    "not him": Sight("officer", None, frozenset({OTHERS[0]}), None),
}
PERIODS = (
    Period(NOW - timedelta(days=30), NOW),
    Period(NOW - timedelta(days=17, minutes=7), NOW - timedelta(days=9, seconds=11)),
)
CELLS = {(where, hour) for where in ("kk-west", "kk-north", "kk-none") for hour in range(0, 24, 2)}


# ---- the form


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 31 * 86_400_000_000 - 1),
                st.integers(1, (1 << 22) - 1),
                st.booleans(),
                st.sampled_from([0.97, 1.0, 0.0, 0.12345, 1e-9, 0.9999]),
                st.sampled_from([1, 65_535, 65_536, 2_000_000]),
                st.integers(0, (1 << 80) - 1),
            ),
            min_size=1,
            max_size=6,
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([date(2026, 11, 16), date(2031, 1, 1), date(1970, 1, 5)]),
)
def test_what_is_unpacked_is_what_was_packed(
    plates: list[list[tuple[int, int, bool, float, int, int]]], day: date
) -> None:
    """Every bit of every column, whether identifiers and scores are as agents send them or not."""
    start_us = (day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400_000_000
    rows = [row for plate in plates for row in plate]
    ids = [((start_us + row[0]) // 1000 if row[2] else row[5] >> 32) << 80 | row[5] for row in rows]
    columns = Columns(
        np.array([start_us + row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.frombuffer(b"".join(UUID(int=one).bytes for one in ids), np.uint8).reshape(-1, 16),
        np.array([row[3] for row in rows], np.float64),
        np.array([row[4] for row in rows], np.int64),
    )
    ends = np.cumsum([len(plate) for plate in plates]).tolist()
    packs = list(pack(columns, ends, start_us))
    assert len(packs) == len(plates)
    for found, wanted in zip(columns_of(packs, [start_us] * len(packs)), columns, strict=True):
        assert found.tolist() == wanted.tolist()


def test_what_no_span_covers_is_left() -> None:
    day = [datetime(2026, 11, n, tzinfo=UTC) for n in range(1, 12)]
    whole = Span(day[2], day[9])
    assert gaps(whole, []) == [whole]
    assert gaps(whole, [(day[0], day[10])]) == []
    assert gaps(whole, [(day[5], day[6]), (day[0], day[3])]) == [(day[3], day[5]), (day[6], day[9])]
    assert gaps(whole, [(day[4], day[9]), (day[9], day[10])]) == [(day[2], day[4])]


# ---- the same answers


@pytest.fixture(autouse=True)
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is packed when is a matter of these tests."""
    monkeypatch.setattr("server.upkeep.Upkeep.start", lambda _self: None)
    monkeypatch.setattr("server.analyses.runner.JobRunner.start", lambda _self: None)


@pytest.fixture
def site(postgres_settings: Settings, clock: Any) -> Iterator[Site]:
    """Four plates somewhere at some time over a month, in partitions of a week."""
    with serving(postgres_settings, clock) as site:
        draw = random.Random(4)
        _send(
            site,
            *(
                (plate, draw.choice(list(CAMERAS)), NOW - timedelta(milliseconds=draw.randrange(10**9, 30 * 10**8)))
                for plate in PLATES
                for _ in range(45)
            ),
        )  # fmt: skip
        with site.context.database.write() as session:
            session.add_all(
                [
                    Area(id="west", name="West", created_at=NOW),
                    ProtectedPlate(
                        plate=OTHERS[0], authority="A", added_at=NOW, added_by="officer"
                    ),
                ]
            )
            session.flush()
            session.add(AreaCheckpoint(area_id="west", checkpoint_id="kk-west"))
            session.add(UserArea(area_id="west", user_name="officer"))
        partitions.keep_up(site.context.database.engine, RULES, NOW, NOW - timedelta(days=40))
        yield site


def _send(site: Site, *seen: tuple[str, str, datetime]) -> None:
    passages = [
        make_passage(plate=plate, camera_id=CAMERAS[where], captured_at=at)
        for plate, where, at in seen
    ]
    site.catch_up(passages)


def _pack(database: Database) -> list[str]:
    made = []
    while name := keep_packed(database.engine, RULES, NOW):
        made.append(name)
    return made


def _answers(database: Database) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    with database.read() as session:
        for eyes, sight in EYES.items():
            for period in PERIODS:
                found[eyes, period] = (
                    whereabouts.cells_of_plates(session, PLATES, CELLS, period, sight).by_plate(),
                    [
                        whereabouts.sightings_of_plate(session, plate, period, sight, most)
                        for plate in PLATES
                        for most in (7, 1000)
                    ],
                )
    return found


def _of_passages(database: Database) -> dict[Any, Any]:
    """The same, of ``passage`` alone."""
    with pytest.MonkeyPatch.context() as patch:

        def nothing(_session: Any, _plates: Any, since: Any, until: Any, **_: Any) -> Found:
            return Found(Span(since, until), {}, (Span(since, until),), {})

        patch.setattr(whereabouts, "look", nothing)
        return _answers(database)


def _packed(database: Database) -> int:
    """How many sightings of mine are read from packs."""
    with database.read() as session:
        found = look(session, [ME], PERIODS[0].since, PERIODS[0].until)
    return sum(len(one.moments) // 8 for _, one in found.packs.get(ME, ()))


def _one(database: Database, asked: str, **given: Any) -> Any:
    with database.read() as session:
        return session.execute(text(asked), given).scalar()


@pytest.mark.postgres
def test_answers_are_the_same_packed(site: Site) -> None:
    """Newest first, once; whoever asks, for whatever period; nothing of unread plates is packed."""
    database = site.context.database
    site.outcomes(make_passage(plate="", captured_at=OVER), delivery="backlog")
    before = _answers(database)
    assert _packed(database) == 0
    with database.engine.connect() as connection:
        there = partitions.existing(connection, partitions.PASSAGE)
    over = [p.name for p in there if p.days.end <= (NOW - timedelta(days=3)).date()]
    assert 3 <= len(over) < len(there)
    assert _pack(database) == over[::-1]
    assert _pack(database) == []
    assert _packed(database) > 20
    assert _answers(database) == before == _of_passages(database)
    assert not _one(
        database, "SELECT count(*) FROM packed_plate WHERE plate = '' OR plate LIKE '%?%'"
    )


@pytest.mark.postgres
def test_what_comes_late_and_what_goes_is_in_the_next_answer(site: Site) -> None:
    """At once, packed anew or not; what is deleted is in no pack from that moment on."""
    database = site.context.database
    _pack(database)
    was = _packed(database)
    _send(site, (ME, "kk-west", OVER), ("鲁HR5005", "kk-west", OVER))
    assert _answers(database) == _of_passages(database)
    assert 0 < _packed(database) < was, "one period is read from passages"
    assert _pack(database) == []
    assert _packed(database) == was + 1
    assert not _one(database, "SELECT count(*) FROM packed_change")
    with database.write() as session:
        session.execute(
            text("DELETE FROM passage WHERE plate = :p AND captured_at = :at"),
            {"p": ME, "at": OVER},
        )
    start = _one(
        database, "SELECT max(started_on) FROM packed_period WHERE started_on <= :at", at=OVER
    )
    assert not _one(
        database,
        "SELECT count(*) FROM packed_plate WHERE plate = :p AND started_on = :d",
        p=ME,
        d=start,
    )
    assert _answers(database) == _of_passages(database)
    _pack(database)
    assert _packed(database) == was


@contextmanager
def _late(database: Database) -> Iterator[Callable[[], None]]:
    """A passage of mine that is being stored; the value ends its transaction."""
    with database.engine.connect() as connection:
        _store_again(connection)
        yield connection.commit


def _store_again(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO passage SELECT (jsonb_populate_record(p, jsonb_build_object('captured_at',"
            " CAST(:at AS timestamptz)))).* FROM passage p WHERE plate = :p LIMIT 1"
        ),
        {"p": ME, "at": OVER},
    )


@pytest.mark.postgres
def test_who_is_storing_when_a_partition_is_packed_is_not_overlooked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun before: the partition is not packed yet. Later: his plate is read from passages."""
    monkeypatch.setattr(making, "_LOCK_TIMEOUT_MS", 100)
    database = site.context.database
    days = partitions.aligned(OVER.date(), 7)
    only = PartitionSettings(width_days=7, cover_after_days=(NOW.date() - days.end).days)
    before = _of_passages(database)
    with _late(database) as commit:
        assert keep_packed(database.engine, only, NOW) is None
        assert _packed(database) == 0
        commit()
    once = _of_passages(database)
    assert once != before
    assert _answers(database) == once
    with database.engine.begin() as connection:
        connection.execute(
            text("DELETE FROM passage WHERE plate = :p AND captured_at = :at"),
            {"p": ME, "at": OVER},
        )
    with database.engine.begin() as connection:
        making._watch(connection, partitions.Partition(f"passage_p{days.start:%Y%m%d}", days))
    with _late(database) as commit:
        asked: list[int] = []

        def going() -> bool:  # before it is packed, then of rows of an instant that is past
            asked.append(1)
            if len(asked) == 2:
                commit()
            return True

        assert keep_packed(database.engine, only, NOW, going)
    assert _one(database, "SELECT count(*) FROM packed_plate WHERE plate = :p", p=ME)
    assert _packed(database) == 0, "not believed"
    assert _answers(database) == once == _of_passages(database)
    assert keep_packed(database.engine, only, NOW) != f"passage_p{days.start:%Y%m%d}"
    assert _packed(database) > 0
    assert _answers(database) == once


@pytest.mark.postgres
def test_packing_that_is_broken_off_leaves_nothing(site: Site) -> None:
    database = site.context.database
    assert keep_packed(database.engine, RULES, NOW, lambda: False) is None
    for table in ("packed_period", "packed_plate", "packed_name"):
        assert not _one(database, f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
    assert _pack(database)


@pytest.mark.postgres
def test_packs_go_with_their_partition_and_what_is_held_stays(site: Site) -> None:
    context = site.context
    database = context.database
    _pack(database)
    with database.write() as session:
        first = whereabouts.sightings_of_plate(session, ME, PERIODS[0], EYES["all"], 1000)[0]
        hold_passages(session, [(ME, first.at, first.passage_id)], "A-1", NOW)
    days = (NOW.date() - partitions.aligned(first.at.date(), 7).end).days
    rules = context.settings.model_copy(
        update={"retention": context.settings.retention.model_copy(update={"passages_days": days})}
    )
    retention.run(database, context.evidence, rules, NOW)
    end = midnight(partitions.aligned(first.at.date(), 7).end)
    assert not _one(database, "SELECT count(*) FROM packed_plate WHERE started_on < :d", d=end)
    assert not _one(database, "SELECT count(*) FROM packed_period WHERE started_on < :d", d=end)
    with database.read() as session:
        seen = whereabouts.sightings_of_plate(session, ME, PERIODS[0], EYES["all"], 1000)
    assert seen[0] == first
    assert all(one.at >= end for one in seen[1:])
    assert _answers(database) == _of_passages(database)
