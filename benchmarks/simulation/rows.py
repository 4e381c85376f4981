"""A simulated world in the forms that others want: polars columns, rows of a server's database.

:func:`frame` gives a polars DataFrame; :func:`row_at` the server's own row of one passage;
:func:`fill` writes a world into a migrated database, registry of checkpoints included.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import numpy as np

from benchmarks.simulation.city import City
from benchmarks.simulation.fleet import COLOR_OF_KIND, KINDS, VEHICLE_COLORS
from benchmarks.simulation.world import Passages, World
from server import partitions
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.db import Database
from server.detail import VERSION, PassageDetail, pack
from server.ingest.rows import COLUMNS, Row, as_copy_line, as_sqlite
from server.settings import Settings

AGENT = "sim-box"
_AT_ONCE = 20_000


def frame(world: World, passages: Passages | None = None) -> Any:
    """What was seen, as a polars DataFrame with the names of the server's columns.

    ``plate``, ``captured_at`` (UTC, ms), ``checkpoint_id``, ``plate_kind``, ``plate_color``,
    ``vehicle_color``, ``plate_score``, ``lane``, and the truth: ``vehicle``, ``trip``, ``misread``.
    """
    import polars as pl  # noqa: PLC0415 - only who asks for a frame needs it

    p = world.seen() if passages is None else passages
    base_ms = int(world.plan.start_at.timestamp() * 1000)
    names = [City.checkpoint_id(n) for n in range(len(world.city.checkpoint_link))]
    return pl.DataFrame(
        {
            "plate": pl.Series(world.texts.tolist()).gather(p.plate),
            "captured_at": pl.Series(base_ms + np.round(p.at_s * 1000).astype(np.int64)).cast(
                pl.Datetime("ms", "UTC")
            ),
            "checkpoint_id": pl.Series(names).gather(p.checkpoint),
            "plate_kind": pl.Series(KINDS).gather(p.kind),
            "plate_color": pl.Series(COLOR_OF_KIND).gather(p.kind),
            "vehicle_color": pl.Series(VEHICLE_COLORS).gather(p.color),
            "plate_score": p.score,
            "lane": p.lane.astype(np.int16),
            "vehicle": p.vehicle.astype(np.int32),
            "trip": p.trip.astype(np.int32),
            "misread": p.misread,
        }
    )


def register_csv(world: World) -> str:
    """The vehicle register that fits this world: plate, kind, color, as CSV with a header."""
    lines = ["plate,plate_kind,vehicle_color"]
    own = np.flatnonzero(world.fleet.plate_of == np.arange(len(world.fleet.plate_of)))
    lines += [
        f"{world.plate_of(v)},{KINDS[world.fleet.registered_kind[v]]}"
        f",{VEHICLE_COLORS[world.fleet.registered_color[v]]}"
        for v in own.tolist()
    ]
    return "\n".join(lines) + "\n"


def row_at(world: World, passages: Passages, row: int, detail: str | None = None) -> Row:
    """The server's row of one passage; its identifier is a UUIDv7 of its time.

    ``detail`` is its packed rest (:mod:`server.detail`), else next to nothing.
    """
    at = world.plan.start_at + timedelta(milliseconds=round(float(passages.at_s[row]) * 1000))
    ms = round(at.timestamp() * 1000)
    plate = str(world.texts[passages.plate[row]])
    checkpoint = City.checkpoint_id(int(passages.checkpoint[row]))
    kind = int(passages.kind[row])
    tail = (int(passages.vehicle[row]) << 32 | row) & ((1 << 62) - 1)
    return Row(
        plate, at, UUID(int=ms << 80 | 7 << 76 | 2 << 62 | tail), f"{checkpoint}-c1", checkpoint,
        AGENT, "read" if plate else "unread", COLOR_OF_KIND[kind] if plate else "unknown",
        KINDS[kind] if plate else "unknown", float(passages.score[row]),
        VEHICLE_COLORS[int(passages.color[row])], "approaching", int(passages.lane[row]),
        float(passages.speed_kmh[row]), True, 3.0, "ok", "live", at, detail or _DETAIL,
    )  # fmt: skip


_DETAIL = pack(
    PassageDetail(
        VERSION, ("simulation", "none", "none"), (0, 0, 3, 3, 3), None, None, (), (), None
    )
)


def fill(
    database: Database,
    settings: Settings,
    world: World,
    passages: Passages,
    detail: str | None = None,
) -> None:
    """Put checkpoints and passages into a migrated database; plates are not registered."""
    with database.write() as session:
        lat, lon = world.city.checkpoint_lat_lon()
        bearing = world.city.checkpoint_bearing_deg()
        for n in range(len(lat)):
            name = City.checkpoint_id(n)
            way = ("", "进城 inbound", "出城 outbound")[int(world.city.border[n])]
            place = CheckpointPlace(
                name, f"模拟卡口{n}", f"Simulated {n}", float(lat[n]), float(lon[n]), "", way
            )
            put_checkpoint(session, place, world.plan.start_at)
            put_camera(session, camera_id=f"{name}-c1", checkpoint_id=name,
                       now=world.plan.start_at, bearing_deg=round(float(bearing[n]), 1))  # fmt: skip
    if not database.is_sqlite:
        _partitions(database, settings, world)
    raw = database.engine.raw_connection()
    try:
        cursor = raw.cursor()
        for rows in _portions(world, passages, detail):
            if database.is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
                marks = ", ".join("?" * len(Row._fields))
                cursor.executemany(
                    f"INSERT INTO passage ({COLUMNS}) VALUES ({marks})",  # noqa: S608 - our own columns
                    [as_sqlite(row) for row in rows],
                )
                cursor.execute("COMMIT")
            else:
                body = _Lines(rows)
                cast("Any", cursor).copy_expert(f"COPY passage ({COLUMNS}) FROM STDIN", body)
                raw.commit()
    finally:
        raw.close()


class _Lines:
    """Rows as a file that COPY can read."""

    def __init__(self, rows: list[Row]) -> None:
        self._body = "".join(f"{as_copy_line(row)}\n" for row in rows).encode()
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._body) if size < 0 else self._at + size
        part, self._at = self._body[self._at : end], end
        return part


def _portions(world: World, passages: Passages, detail: str | None) -> Iterator[list[Row]]:
    for start in range(0, len(passages), _AT_ONCE):
        stop = min(len(passages), start + _AT_ONCE)
        yield [row_at(world, passages, row, detail) for row in range(start, stop)]


def _partitions(database: Database, settings: Settings, world: World) -> None:
    with database.engine.connect() as connection:
        first = world.plan.start_at.date()
        days = [first + timedelta(days=n) for n in range(-1, world.plan.days + 3)]
        have = [part.days for part in partitions.existing(connection, partitions.PASSAGE)]
        for span in partitions.missing(have, days, settings.partitions.width_days):
            name = f"passage_p{span.start:%Y%m%d}"
            partitions.make(connection, partitions.PASSAGE, name, span)
        connection.commit()
