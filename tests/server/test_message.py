"""The fast reader and the contract: what the one accepts, the other accepts and means the same."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from anpr.plate import PROVINCES
from server.detail import PassageDetail, pack, unpack
from server.ingest.message import PassageMessage, message_of, read_passage, read_whole
from server.ingest.parse import Refused, parse_batch
from server.ingest.rows import Row, _spelled, as_copy_line, as_sqlite, detail_of, key_of, spelled
from server.tables import Passage as PassageRow
from server.wire import Passage
from tests.server.conftest import NOW, Site, jpeg, make_passage

GOLDEN = Path(__file__).parents[1] / "contract" / "golden" / "v1"

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 33, 401, 1.5, 1e308, 10**30, "", "x", "鲁", "a" * 17, "a" * 65,
    "1", "true", "NaN", "\u0000", "\n", "a\n", "ab" * 32, "F" * 64, "2026-11-22T10:00:00Z",
    "2026-11-22 10:00:00+08:00", "2026-11-22T10:00:00", "2026-11-22T10:00:00.123456789Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z",
    "20261122T100000Z", 1_700_000_000, "01a20580-efdd-7028-8943-69b79ae27018",
    "01a20580efdd7028894369b79ae27018", [], {}, [1, 2], [[1, 2]] * 4, [1, 2, 3, 4], {"x": 1},
    "read", "blue", "small", "approaching", "image/jpeg", "passage/1", "passage/2",
]  # fmt: skip


BATCH = b'{"agent_id":"box","sent_at":"2026-11-22T10:00:00Z","passages":[%s]}'


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places_in(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places_in(inner, (*path, number))
    return found


def full_passage() -> dict[str, Any]:
    message = make_passage(pictures=[jpeg("a"), jpeg("b")])
    return message | {
        "vehicle_box_px": [1, 2.5, 3, 4],
        "vehicle_color": "white",
        "speed_kmh": 61.5,
        "local_match": {"revision": 3, "entry_ids": [1, 2]},
    }


FULL = full_passage()
PLACES = places_in(FULL)


def by_contract(raw: bytes) -> PassageMessage | None:
    try:
        return message_of(Passage.model_validate(json.loads(raw)))
    except (ValidationError, ValueError):
        return None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*ODD, "REMOVE"])), max_size=3))
def test_what_the_fast_reader_accepts_the_contract_accepts_and_means_the_same(changes) -> None:
    message = copy.deepcopy(FULL)
    for path, value in changes:
        node: Any = message
        try:
            for step in path[:-1]:
                node = node[step]
            if value == "REMOVE":
                del node[path[-1]]
            else:
                node[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    raw = json.dumps(message, ensure_ascii=False).encode()
    fast = read_passage(msgspec.Raw(raw))
    if fast is not None:
        assert fast == by_contract(raw)
    whole = read_whole(BATCH % raw)
    assert whole is None or whole[1] == [fast], "a batch in one go is read as its items are"


def test_ordinary_messages_take_the_fast_way() -> None:
    """Else the reader would be right and useless."""
    raw = json.dumps(FULL, ensure_ascii=False).encode()
    assert read_passage(msgspec.Raw(raw), suspicious=False) == by_contract(raw)
    assert read_whole(BATCH % raw) is not None
    escaped = json.dumps(FULL).encode()
    assert read_passage(msgspec.Raw(escaped)) is not None
    read = 0
    for file in sorted(GOLDEN.glob("*.json")):
        sent = json.loads(file.read_text(encoding="utf-8"))
        for item in sent.get("passages", []):
            assert read_passage(msgspec.Raw(json.dumps(item, ensure_ascii=False).encode()))
            read += 1
    assert read


@pytest.mark.parametrize("lenient", [{"lane": "2"}, {"lane": 2.0}, {"speed_kmh": "50"}])
def test_what_only_the_contract_accepts_is_accepted(lenient: dict) -> None:
    batch = {"agent_id": "box", "sent_at": "2026-11-22T10:00:00Z", "passages": [FULL | lenient]}
    _, (item,) = parse_batch(json.dumps(batch).encode())
    assert not isinstance(item, Refused)


def test_nothing_of_a_message_is_lost_on_the_way_to_the_table_and_back(site: Site) -> None:
    for data in (jpeg("a"), jpeg("b")):
        site.put(data)
    assert site.outcomes(FULL) == ["accepted"]
    with site.context.database.read() as session:
        row = session.query(PassageRow).one()
    wire = Passage.model_validate(FULL).model_dump(mode="json")
    assert row.characters == wire["plate"]["characters"]
    assert row.models == wire["models"]
    assert row.plate_quad_px == wire["plate_quad_px"]
    assert row.vehicle_box_px == wire["vehicle_box_px"]
    assert row.evidence == wire["evidence"]
    assert row.track == wire["track"]
    assert row.detail.local_match_ == (3, (1, 2))
    assert (row.plate, row.captured_at, str(row.passage_id)) == (
        "鲁H12345", NOW, FULL["passage_id"])  # fmt: skip
    assert (row.lane, row.speed_kmh, row.plate_score) == (1, 61.5, 0.97)
    assert (row.clock_synchronised, row.clock_offset_ms) == (True, 3.5)
    assert row.received_at == NOW


floats = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=64),
    st.floats(0, 1),
    st.integers(-(10**12), 10**12),
    floats,
)
def test_packing_gives_back_what_was_packed(
    text: str, score: float, offset: int, px: float
) -> None:
    detail = PassageDetail(
        1, (text, text, ""), (offset, offset, 1, 0, 0), (px,) * 8, None, ((text[:1] or "?", score),),
        (("scene", "ab" * 32, 1, 2, 3, offset),),
    )  # fmt: skip
    packed = pack(detail)
    assert unpack(packed) == detail
    assert not set(packed) & {"\t", "\n", "\r"}, "COPY's own separators never stand in it"


def test_a_row_has_the_columns_of_the_table() -> None:
    assert list(Row._fields) == [column.name for column in PassageRow.__table__.columns]
    message = message_of(Passage.model_validate(FULL))
    row = Row(
        *key_of(message), "c", "k", "a", "read", "blue", "small", 0.5, "white", "unknown",
        None, None, None, None, "ok", "live", NOW, pack(detail_of(message)),
    )  # fmt: skip
    assert as_copy_line(row).count("\t") == len(row) - 1
    assert len(as_sqlite(row)) == len(row)
    east = row._replace(captured_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=5))
    assert as_sqlite(east)[1] == "2026-01-01 00:00:00.000005"


@given(st.text(PROVINCES + "ABIOZ0189挂学?* -é１", max_size=10) | st.text(max_size=18))
def test_the_short_way_to_a_spelling_spells_as_the_long_one(text: str) -> None:
    assert spelled(text) == _spelled(text)


def test_every_province_and_letter_is_spelled_as_the_rules_say() -> None:
    for province in PROVINCES:
        for letter in "ABCDEFGHJKLMNPQRSTUVWXYZ":
            for serial in ("00000", "1AZ9H", "D12345", letter * 5):
                assert spelled(province + letter + serial) == _spelled(province + letter + serial)
