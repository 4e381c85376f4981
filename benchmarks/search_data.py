"""Passages to search in: rows by COPY, with the register of plates that ingest would have made.

Three plates in four are local, half of the rest of a plate is letters as rarely as on the road;
activity is heavy-tailed, every plate passes at least once. A vehicle keeps to the checkpoints about
one of its own, most of them near; checkpoints lie on a grid. Times rise with the rows, as they do in
a table that grew, over ten days up to now; identifiers are UUIDv7 of these times.
"""

import io
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from benchmarks.roadside import Producer
from server import partitions
from server.checkpoints.service import CheckpointPlace, put_checkpoint
from server.db import Database
from server.detail import pack
from server.ingest.message import read_envelope, read_passage
from server.ingest.rows import COLUMNS, detail_of
from server.settings import Settings

DAYS = 10
CHECKPOINTS = 800
_COLUMNS = 40
_PROVINCES = np.array(list("京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"))
_LETTERS = np.array(list("ABCDEFGHJKLMNPQRSTUVWXYZ"))
_DIGITS = np.array(list("0123456789"))
_AT_ONCE = 50_000
_COLORS = ("white", "black", "grey", "red", "blue")

Texts = NDArray[np.str_]


def plates(count: int, seed: int = 1) -> Texts:
    """So many different plates, one in five of them of the eight characters of new energy."""
    rng = np.random.default_rng(seed)
    found: Texts = np.array([], "<U8")
    while len(found) < count:
        size = count - len(found) + count // 8 + 1000
        local = rng.random(size) < 0.75
        text = np.where(local, "鲁", _PROVINCES[rng.integers(0, 31, size)])
        home = local & (rng.random(size) < 0.6)
        text = np.char.add(text, np.where(home, "H", _LETTERS[rng.integers(0, 12, size)]))
        energy = rng.random(size) < 0.2
        text = np.char.add(
            text, np.where(energy, np.array(["D", "F"])[rng.integers(0, 2, size)], "")
        )
        for chance in (0.3, 0.3, 0.1, 0.1, 0.1):
            letter = rng.random(size) < chance
            serial = np.where(
                letter, _LETTERS[rng.integers(0, 24, size)], _DIGITS[rng.integers(0, 10, size)]
            )
            text = np.char.add(text, serial)
        found = np.unique(np.concatenate([found, text.astype("<U8")]))
    rng.shuffle(found)
    return found[:count]


_KEY = "ALTER TABLE passage ADD CONSTRAINT pk_passage PRIMARY KEY (plate, captured_at, passage_id)"
_INDEX = "CREATE INDEX ix_passage_checkpoint_id_captured_at ON passage (checkpoint_id, captured_at)"


def load(  # noqa: PLR0913 - what of, how much, until when
    database: Database,
    settings: Settings,
    rows: int,
    names: Texts,
    now: datetime,
    *,
    indexes_after: bool = False,
) -> None:
    """Fill ``passage``, ``plate`` and the registry of checkpoints; then let PostgreSQL look at it.

    With ``indexes_after`` the indexes are made of the filled table: several times as quick, and a
    little denser than those of a table that grew.
    """
    began = now - timedelta(days=DAYS)
    with database.write() as session:
        for number in range(CHECKPOINTS):
            lon, lat = 116 + number % _COLUMNS / _COLUMNS, 35 + number // _COLUMNS / 20
            place = CheckpointPlace(
                f"s-{number}", f"卡口{number}", "", lat, lon, f"道路{number % 90}", ""
            )
            put_checkpoint(session, place, now)
    with database.engine.connect() as connection:
        days = [(began + timedelta(days=n)).date() for n in range(DAYS + 2)]
        have = [part.days for part in partitions.existing(connection, partitions.PASSAGE)]
        for span in partitions.missing(have, days, settings.partitions.width_days):
            name = f"passage_p{span.start:%Y%m%d}"
            partitions.make(connection, partitions.PASSAGE, name, span)
        connection.commit()
    rng = np.random.default_rng(2)
    which = _activity(rng, rows, len(names))
    offsets_us = np.sort(rng.integers(0, int(DAYS * 86_400e6), rows))
    raw = database.engine.raw_connection()
    try:
        with raw.cursor() as cursor:  # a loaded disk takes its time; that is not what is measured
            cursor.execute("SET statement_timeout = 0")
            if indexes_after:
                cursor.execute("ALTER TABLE passage DROP CONSTRAINT pk_passage")
                cursor.execute("DROP INDEX ix_passage_checkpoint_id_captured_at")
        for body in _lines(rng, names, which, offsets_us, began):
            with raw.cursor() as cursor:
                cursor.copy_expert(f"COPY passage ({COLUMNS}) FROM STDIN", body)
            raw.commit()
        if indexes_after:
            with raw.cursor() as cursor:
                cursor.execute("SET maintenance_work_mem = '1GB'")
                cursor.execute(_KEY)
                cursor.execute(_INDEX)
            raw.commit()
        with raw.cursor() as cursor:
            register = _register(names, which, offsets_us, began, now)
            cursor.copy_expert(
                "COPY plate (plate, first_seen_at, last_seen_at, passages, added_at) FROM STDIN",
                register,
            )
        raw.commit()
    finally:
        raw.close()
    with database.engine.connect() as connection:
        settled = connection.execution_options(isolation_level="AUTOCOMMIT")
        settled.execute(text("SET statement_timeout = 0"))
        settled.execute(text("VACUUM ANALYZE"))


def _activity(rng: np.random.Generator, rows: int, count: int) -> NDArray[np.int64]:
    """Which plate each row is of: every one once, the rest by a heavy-tailed activity."""
    weight = rng.lognormal(0.0, 1.5, count).cumsum()
    rest = np.searchsorted(weight / weight[-1], rng.random(max(0, rows - count)))
    which = np.concatenate([np.arange(count)[:rows], rest]).astype(np.int64)
    rng.shuffle(which)
    return which


def detail_of_agents() -> str:
    """The packed rest of a passage as agents send them."""
    envelope = read_envelope(Producer(0).batch(1))
    message = read_passage(envelope.passages[0]) if envelope else None
    if message is None:
        raise SystemExit("the benchmark's own passage is not readable")
    return pack(detail_of(message)).replace("\\", "\\\\")


def _lines(
    rng: np.random.Generator,
    names: Texts,
    which: NDArray[np.int64],
    offsets_us: NDArray[np.int64],
    began: datetime,
) -> Iterator[io.BytesIO]:
    detail = b"\t" + detail_of_agents().encode() + b"\n"
    base_us = int(began.timestamp() * 1e6)
    for start in range(0, len(which), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        us = base_us + offsets_us[part]
        places = _places(rng, which[part]).tolist()
        lanes = rng.integers(1, 5, len(us)).tolist()
        tails = rng.integers(0, 1 << 62, len(us)).tolist()
        parts = []
        for name, instant, ms, place, lane, tail in zip(
            names[which[part]].tolist(), _instants(us), (us // 1000).tolist(), places, lanes, tails,
            strict=True,
        ):  # fmt: skip
            is_energy = len(name) == 8
            color, kind = ("green", "new_energy_small") if is_energy else ("blue", "small")
            v7 = f"{ms:012x}7{tail & 0xFFF:03x}{2 << 62 | tail:016x}"
            head = (
                f"{name}\t{instant}\t{v7}\ts-{place}-0\ts-{place}\tbox-0\tread\t"
                f"{color}\t{kind}\t0.97\t{_COLORS[tail % 5]}\tapproaching\t{lane}\t{40 + tail % 50}"
                f"\tt\t3.5\tok\tlive\t{instant}"
            )
            parts += (head.encode(), detail)
        yield io.BytesIO(b"".join(parts))


def _places(rng: np.random.Generator, plate: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each passes: about the home of its plate, on a grid of forty checkpoints a row."""
    home = plate * 2_654_435_761 % CHECKPOINTS
    across = np.rint(rng.normal(0, 1.5, len(plate))).astype(np.int64)
    along = np.rint(rng.normal(0, 1.5, len(plate))).astype(np.int64)
    column = np.clip(home % _COLUMNS + across, 0, _COLUMNS - 1)
    row = np.clip(home // _COLUMNS + along, 0, CHECKPOINTS // _COLUMNS - 1)
    return row * _COLUMNS + column


def _instants(us: NDArray[np.int64]) -> list[str]:
    """Microseconds since 1970, as PostgreSQL reads instants."""
    found: list[str] = np.char.add(
        np.datetime_as_string(us.astype("datetime64[us]")), "+00"
    ).tolist()
    return found


def _register(
    names: Texts,
    which: NDArray[np.int64],
    offsets_us: NDArray[np.int64],
    began: datetime,
    now: datetime,
) -> io.StringIO:
    first = np.full(len(names), np.iinfo(np.int64).max)
    last = np.zeros(len(names), np.int64)
    np.minimum.at(first, which, offsets_us)
    np.maximum.at(last, which, offsets_us)
    counts = np.bincount(which, minlength=len(names))
    base_us = int(began.timestamp() * 1e6)
    seen = np.flatnonzero(counts)
    lines = []
    for start in range(0, len(seen), _AT_ONCE):
        part = seen[start : start + _AT_ONCE]
        spans = _instants(base_us + first[part]), _instants(base_us + last[part])
        rows = zip(names[part].tolist(), *spans, counts[part].tolist(), strict=True)
        lines += [f"{name}\t{a}\t{b}\t{n}\t{now.isoformat()}\n" for name, a, b, n in rows]
    return io.StringIO("".join(lines))
