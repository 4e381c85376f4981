"""Days of passages as Parquet, beside the database, for mining.

A day's file is made when it is first needed and made anew when the table's number of passages for
that day is not the file's: passages that came late enter, deleted ones leave. What the day file
holds is the table's, so it goes when the table's goes: at most ``analyses.archive_days`` old, and
never longer than passages are kept. Readable by the server's own user alone.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
from sqlalchemy import func, select

from server.analyses.rows import READ
from server.auth.sight import Sight
from server.db import Database
from server.settings import Settings
from server.tables import Passage

_ROWS_AT_ONCE = 100_000
_SCHEMA: dict[str, Any] = {
    "plate": pl.String, "at": pl.Datetime("us", "UTC"), "checkpoint_id": pl.String,
    "plate_color": pl.String, "plate_kind": pl.String, "vehicle_color": pl.String,
    "direction": pl.String, "lane": pl.Int16, "score": pl.Float32, "passage_id": pl.String,
}  # fmt: skip
_SELECT = (
    "SELECT plate, captured_at AS at, checkpoint_id, plate_color, plate_kind, vehicle_color, "
    "direction, lane, plate_score AS score, passage_id FROM passage "
    "WHERE plate_state = 'read' AND captured_at >= {low} AND captured_at < {high}"
)


def folder_of(settings: Settings) -> Path:
    """Where the day files lie."""
    return settings.data_dir / "mining"


def days_of(since: datetime, until: datetime) -> list[date]:
    """The UTC days that a period touches."""
    first, last = since.astimezone(UTC).date(), (until - timedelta(microseconds=1)).astimezone(UTC)
    return [first + timedelta(days=n) for n in range((last.date() - first).days + 1)]


def archive(
    database: Database,
    settings: Settings,
    since: datetime,
    until: datetime,
    progress: Callable[[float], None] = lambda _share: None,
) -> list[Path]:
    """Bring the day files of a period up to date; gives their paths, those of empty days left out."""
    folder = folder_of(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    days = days_of(since, until)
    found = []
    for number, day in enumerate(days):
        progress(number / len(days))
        count = _count(database, day)
        known = sorted(folder.glob(f"{day.isoformat()}.*.parquet"))
        wanted = folder / f"{day.isoformat()}.{count}.parquet"
        for old in known:
            if old != wanted:
                old.unlink(missing_ok=True)
        if count == 0:
            continue
        if wanted not in known:
            _write(database, day, wanted)
        found.append(wanted)
    return found


def forget(settings: Settings, now: datetime) -> int:
    """Delete the day files that are too old, and what a lost worker left half done."""
    keep = settings.analyses.archive_days
    if settings.retention.enabled and settings.retention.passages_days:
        keep = min(keep, settings.retention.passages_days)
    oldest = (now - timedelta(days=keep)).date().isoformat()
    gone = 0
    for path in folder_of(settings).glob("*.parquet"):
        if path.name[:10] < oldest:
            path.unlink(missing_ok=True)
            gone += 1
    for path in folder_of(settings).glob("*.part"):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - timedelta(hours=6):
            path.unlink(missing_ok=True)
    return gone


def frame_of(paths: list[Path], since: datetime, until: datetime, sight: Sight) -> pl.LazyFrame:
    """The passages of a period, of what one may see. ``sight.floor`` is the caller's to keep."""
    if not paths:
        return pl.LazyFrame(schema=_SCHEMA)
    frame = pl.scan_parquet(paths).filter(pl.col("at") >= since, pl.col("at") < until)
    if sight.hidden_plates:
        frame = frame.filter(~pl.col("plate").is_in(sorted(sight.hidden_plates)))
    if sight.checkpoint_ids is not None:
        frame = frame.filter(pl.col("checkpoint_id").is_in(sorted(sight.checkpoint_ids)))
    return frame


def _bounds(day: date) -> tuple[datetime, datetime]:
    low = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return low, low + timedelta(days=1)


def _count(database: Database, day: date) -> int:
    low, high = _bounds(day)
    with database.read() as session:
        if not database.is_sqlite:
            session.connection().exec_driver_sql("SET LOCAL statement_timeout = 0")
        return int(
            session.scalar(
                select(func.count())
                .select_from(Passage)
                .where(
                    Passage.captured_at >= low, Passage.captured_at < high,
                    Passage.plate_state == READ,
                )
            )
            or 0
        )  # fmt: skip


def _write(database: Database, day: date, path: Path) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with _frames(database, day, part.with_suffix(".csv.part")) as frame:
            frame.sort("plate", "at").sink_parquet(part, compression="zstd")
        part.chmod(0o600)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _frames(database: Database, day: date, scratch: Path) -> Iterator[pl.LazyFrame]:
    """A day of the table as a frame; PostgreSQL hands it over as CSV, SQLite row by row."""
    low, high = _bounds(day)
    raw = database.engine.raw_connection()
    try:
        cursor = cast("Any", raw.cursor())
        if not database.is_sqlite:
            with _private(scratch) as file:
                cursor.execute("SET statement_timeout = 0")
                query = _SELECT.format(low=f"'{low.isoformat()}'", high=f"'{high.isoformat()}'")
                cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)", file)
                raw.rollback()
            yield _from_csv(scratch)
            return
        cursor.execute(_SELECT.format(low="?", high="?"), (_sqlite(low), _sqlite(high)))
        parts = []
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            parts.append(_from_rows(rows))
        yield pl.concat(parts).lazy() if parts else pl.LazyFrame(schema=_SCHEMA)
    finally:
        raw.close()
        scratch.unlink(missing_ok=True)


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _from_csv(path: Path) -> pl.LazyFrame:
    schema: dict[str, Any] = {
        name: kind if name != "at" else pl.String for name, kind in _SCHEMA.items()
    }
    return pl.scan_csv(path, schema=schema).with_columns(
        pl.col("at").str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC"),
        pl.col("passage_id").str.replace_all("-", ""),
    )


def _from_rows(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    schema: dict[str, Any] = {**_SCHEMA, "at": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col("at")
        .str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        .dt.replace_time_zone("UTC"),
    )


def _sqlite(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}.000000"
