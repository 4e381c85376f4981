"""What retention deletes and what it leaves, partitions, the register of plates; on both engines."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from server import holds, partitions, register, retention
from server.partitions import Days, missing
from server.retention_list import delete_listed, read_list
from server.scrub import scrub
from server.settings import Settings
from server.settings_storage import PartitionSettings
from server.tables import Deletion, Passage, Plate, PlateCandidate
from server.upkeep import Upkeep
from tests.server.conftest import NOW, Site, jpeg, make_passage, sha256

OLD = NOW - timedelta(days=400)


@pytest.fixture
def upkeep(site: Site) -> Upkeep:
    context = site.context
    return Upkeep(context.settings, context.database, context.evidence, site.clock)


def retain(site: Site, **rules: int) -> list[retention.Done]:
    context = site.context
    settings = context.settings.model_copy(
        update={"retention": context.settings.retention.model_copy(update=rules)}
    )
    return retention.run(context.database, context.evidence, settings, site.clock())


def plates_of(site: Site) -> set[str]:
    with site.context.database.read() as session:
        return set(session.scalars(select(Passage.plate)))


# ---- partitions


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 31)), max_size=8),
    st.lists(st.integers(-40, 240), max_size=30),
    st.integers(1, 31),
)
def test_partitions_cover_every_wanted_day_and_never_overlap(existing, wanted, width) -> None:
    base = date(2026, 1, 1)
    have: list[Days] = []
    for start, days in existing:
        one = Days(base + timedelta(days=start), base + timedelta(days=start + days))
        if all(one.end <= other.start or other.end <= one.start for other in have):
            have.append(one)
    days = [base + timedelta(days=day) for day in wanted]
    made = missing(have, days, width)
    everything = sorted([*have, *made])
    assert all(one.end <= other.start for one, other in itertools.pairwise(everything))
    assert all(any(one.holds(day) for one in everything) for day in days)
    assert all(0 < (one.end - one.start).days <= width for one in made)


@pytest.fixture
def postgres_site(postgres_settings: Settings, clock):
    from tests.server.conftest import serving  # noqa: PLC0415

    with serving(postgres_settings, clock) as site:
        yield site


@pytest.mark.postgres
def test_partitions_are_made_ahead_and_take_over_what_came_before_them(postgres_site: Site) -> None:
    """A passage is found and recognised as a repeat whether or not its partition exists yet."""
    site = postgres_site
    early = make_passage(plate="鲁A00001", captured_at=NOW + timedelta(days=30))
    strange = make_passage(plate="鲁A00002", captured_at=NOW - timedelta(days=3000))
    assert site.outcomes(early, strange) == ["accepted"] * 2
    assert site.count("passage_default") == 2
    rules = PartitionSettings(width_days=3, ahead_days=30)
    engine = site.context.database.engine
    made = partitions.keep_up(engine, rules, NOW)
    assert len([name for name in made if name.startswith("passage_")]) >= 10
    assert site.count("passage_default") == 1, "what is implausible stays in the catch-all"
    assert site.outcomes(early, strange) == ["duplicate"] * 2
    assert partitions.keep_up(engine, rules, NOW) == []
    with engine.connect() as connection:
        plan = "\n".join(
            connection.execute(
                text(
                    "EXPLAIN SELECT * FROM passage WHERE plate = '鲁A00001' AND captured_at "
                    "BETWEEN '2026-12-22' AND '2026-12-23'"
                )
            ).scalars()
        )
    assert "Index Scan" in plan or "Bitmap" in plan
    assert plan.count("passage_p") <= 4, "other partitions are not looked at"


@pytest.mark.postgres
def test_servers_that_make_partitions_at_once_make_each_once(postgres_site: Site) -> None:
    """Servers of one database are started together, each keeps up partitions, none fails."""
    engine = postgres_site.context.database.engine
    rules = PartitionSettings(width_days=1, ahead_days=20)
    start = threading.Barrier(4)

    def keep_up() -> list[str]:
        start.wait(30)
        return partitions.keep_up(engine, rules, NOW)

    with ThreadPoolExecutor(4) as servers:
        made = [one.result() for one in [servers.submit(keep_up) for _ in range(4)]]
    names = [name for one in made for name in one]
    assert len(names) == len(set(names))
    with engine.connect() as connection:
        for of in partitions.PARTITIONED:
            there = partitions.existing(connection, of)
            assert {part.name for part in there} == {n for n in names if n.startswith(of.table)}
            assert not missing(
                [part.days for part in there], partitions.days_ahead(NOW, rules), rules.width_days
            )


@pytest.mark.postgres
def test_a_partition_in_use_is_put_off_and_holds_nobody_up(postgres_site: Site) -> None:
    site = postgres_site
    site.post(make_passage(captured_at=OLD))
    partitions.keep_up(site.context.database.engine, PartitionSettings(), NOW, OLD)
    with site.context.database.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM passage"))
        (first, *_) = retain(site, passages_days=300, pictures_days=0)
        assert first.put_off
        assert not first.partitions
        reader.rollback()
    (first, *_) = retain(site, passages_days=300, pictures_days=0)
    assert first.partitions
    assert site.count("passage") == 0


# ---- retention by rule


def test_old_passages_go_held_ones_and_new_ones_stay(site: Site, upkeep: Upkeep) -> None:
    site.as_role("officer").watch("鲁A00002", valid_from=(OLD - timedelta(days=1)).isoformat())
    for number in (1, 2, 3):
        site.post(make_passage(plate=f"鲁A0000{number}", captured_at=OLD))
    site.post(make_passage(plate="鲁A00009"))
    if not site.context.database.is_sqlite:
        partitions.keep_up(site.context.database.engine, PartitionSettings(), NOW, OLD)
    with site.context.database.write() as session:
        keys = list(session.execute(
            select(Passage.plate, Passage.captured_at, Passage.passage_id)
            .where(Passage.plate == "鲁A00003")
        ))  # fmt: skip
        assert holds.hold_passages(session, [(*key,) for key in keys], "A370800-1", NOW) == 1
    dry = retention.run(site.context.database, site.context.evidence, site.context.settings, NOW,
                        dry_run=True)  # fmt: skip
    assert (dry[0].passages, dry[0].held) == (1, 2)
    assert plates_of(site) == {"鲁A00001", "鲁A00002", "鲁A00003", "鲁A00009"}
    upkeep.retain()
    assert plates_of(site) == {"鲁A00002", "鲁A00003", "鲁A00009"}
    (alert,) = site.as_role("operator").alerts()
    assert alert["plate_kind"] == "small", "an alert still shows its passage"
    upkeep.retain()
    upkeep.keep_partitions()
    assert plates_of(site) == {"鲁A00002", "鲁A00003", "鲁A00009"}
    with site.context.database.read() as session:
        (report,) = session.scalars(select(Deletion).where(Deletion.rule == "passages"))
        assert report.report["passages"] == 1
        assert report.report["held"] == 2
        actions = session.scalars(text("SELECT action FROM audit_log")).all()
    assert "retention.delete" in actions


def test_pictures_go_by_their_own_rule_except_those_of_alerts(site: Site) -> None:
    pictures = [jpeg(salt) for salt in ("old", "held", "again", "new")]
    site.as_role("officer").watch("鲁A00002")
    for data in pictures[:3]:
        site.put(data)
    site.post(make_passage(plate="鲁A00002", pictures=[pictures[1]]))
    site.clock.advance(50 * 86_400)
    site.put(pictures[2])
    site.put(pictures[3])
    done = retain(site, pictures_days=30)
    assert [(one.pictures, one.held) for one in done if one.rule == "pictures"] == [(1, 1)]
    store = site.context.evidence
    assert [store.has(sha256(data)) for data in pictures] == [False, True, True, True]
    assert scrub(site.context.database, store, site.clock()).is_well
    assert site.count("passage") == 1, "the record stays when its pictures go"


def test_a_picture_that_retention_took_meanwhile_is_stored_again(site: Site, monkeypatch) -> None:
    """Whoever is told that his picture is here can rely on it."""
    data = jpeg("x")
    site.put(data)
    store = site.context.evidence
    real = store.put
    taken = []

    def put_and_lose(name: str, body: bytes) -> None:
        real(name, body)
        if not taken:
            taken.append(store.remove(name))

    monkeypatch.setattr(type(store), "put", lambda _self, name, body: put_and_lose(name, body))
    assert site.put(data).status_code == 204
    assert taken == [True]
    assert store.has(sha256(data))


# ---- by list


def test_what_is_listed_goes_with_its_pictures_and_an_account(site: Site) -> None:
    shared, own = jpeg("scene"), jpeg("plate")
    for data in (shared, own):
        site.put(data)
    site.post(
        make_passage(plate="鲁A00001", pictures=[shared, own]),
        make_passage(plate="鲁A00002", pictures=[shared]),
        make_passage(plate="鲁A00001", captured_at=NOW - timedelta(days=2)),
    )
    orders = read_list(
        ["# by order of the court", f"鲁A·00001,{(NOW - timedelta(hours=1)).isoformat()}"]
    )
    context = site.context
    (done,) = delete_listed(
        context.database, context.evidence, orders, reason="court order 7", ordered_by="li", now=NOW
    )
    assert (done.passages, done.pictures, done.held) == (1, 1, 0)
    assert site.count("passage") == 2
    assert context.evidence.has(sha256(shared)), "another vehicle is in that picture"
    assert not context.evidence.has(sha256(own))
    with context.database.read() as session:
        (report,) = session.scalars(select(Deletion))
    assert (report.rule, report.reason, report.ordered_by) == ("list", "court order 7", "li")


@pytest.mark.parametrize(
    "line", ["鲁A*", "鲁A00001,yesterday", "鲁A00001,2026-01-01T00:00:00", "a,,,,"]
)
def test_a_line_that_is_no_order_is_named(line: str) -> None:
    with pytest.raises(Exception, match="line 1"):
        read_list([line])


# ---- the register of plates


def registered(site: Site, table: type[Plate | PlateCandidate] = Plate) -> dict[str, int]:
    with site.context.database.read() as session:
        return {row.plate: row.passages for row in session.scalars(select(table))}


def read(plate: str, score: float = 0.97, state: str = "read") -> dict:
    plate_part = make_passage(plate=plate)["plate"] | {"score": score, "state": state}
    return make_passage() | {"plate": plate_part}


def test_a_plate_enters_when_surely_read_or_seen_again(site: Site, upkeep: Upkeep) -> None:
    site.post(read("鲁A00001"), read("鲁A00002", 0.5), read("鲁A?0003", 0.9, "partial"),
              make_passage() | {"plate": {"state": "unread"}})  # fmt: skip
    upkeep.count_plates()
    assert registered(site) == {"鲁A00001": 1}
    assert registered(site, PlateCandidate) == {"鲁A00002": 1, "鲁A?0003": 1}
    site.post(read("鲁A00002", 0.5), read("鲁A?0003", 0.9, "partial"))
    upkeep.count_plates()
    assert registered(site) == {"鲁A00001": 1, "鲁A00002": 2}
    assert registered(site, PlateCandidate) == {"鲁A?0003": 2}


def test_every_passage_is_counted_once_repeats_are_not(site: Site, upkeep: Upkeep) -> None:
    passages = [
        make_passage(plate="鲁A00001", captured_at=NOW - timedelta(minutes=n)) for n in range(5)
    ]
    site.post(*passages[:3])
    upkeep.count_plates()
    site.post(*passages)
    upkeep.count_plates()
    upkeep.count_plates()
    with site.context.database.read() as session:
        (row,) = session.scalars(select(Plate))
        assert register.waiting(session) == 0
    assert row.passages == 5
    assert (row.first_seen_at, row.last_seen_at) == (NOW - timedelta(minutes=4), NOW)


def test_counting_that_fails_is_done_again(site: Site, upkeep: Upkeep) -> None:
    site.post(read("鲁A00001"))
    database = site.context.database

    def count_and_fail() -> None:
        with database.write() as session:
            raise ZeroDivisionError(register.count(session, NOW))

    with pytest.raises(ZeroDivisionError):
        count_and_fail()
    assert registered(site) == {}
    upkeep.count_plates()
    assert registered(site) == {"鲁A00001": 1}


def test_candidates_age_out(site: Site, upkeep: Upkeep) -> None:
    site.post(read("鲁A00002", 0.5))
    upkeep.count_plates()
    site.clock.advance(91 * 86_400)
    upkeep.retain()
    assert registered(site, PlateCandidate) == {}


# ---- scrub


def test_scrub_finds_what_is_missing_damaged_and_orphaned(site: Site) -> None:
    good, missing_one, damaged, orphan = (jpeg(salt) for salt in "gmdo")
    for data in (good, missing_one, damaged):
        site.put(data)
    store = site.context.evidence
    store.remove(sha256(missing_one))
    store.path(sha256(damaged)).write_bytes(b"rotten")
    store.put(sha256(orphan), orphan)
    later = datetime.now(UTC) + timedelta(hours=2)
    found = scrub(site.context.database, store, later)
    assert (found.checked, found.missing, found.damaged, found.orphaned) == (3, 1, 1, 1)
    assert found.missing_names == [sha256(missing_one)]
    assert found.damaged_names == [sha256(damaged)]
    assert not found.is_well
    found = scrub(site.context.database, store, later, remove_orphans=True)
    assert found.removed == 1
    assert not store.has(sha256(orphan))
    young = scrub(site.context.database, store, datetime.now(UTC))
    assert young.orphaned == 0
