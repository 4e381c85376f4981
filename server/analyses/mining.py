"""The whole city at once, in polars: what the interactive analyses ask of one plate, of all.

A frame has the columns :data:`COLUMNS`, whole reads only. Heavy steps are polars'; what is judged
is judged by the same pure functions that answer for one plate (:mod:`server.analyses.clones`,
:mod:`server.analyses.habits`). Runs in a process of its own (:mod:`server.analyses.worker`).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import polars as pl

from server.analyses.companions import CompanionRules
from server.analyses.sighting import Sighting, without_repeats
from server.analyses.surprise import poisson_surprise

COLUMNS: Final = (
    "plate", "at", "checkpoint_id", "plate_color", "plate_kind", "vehicle_color", "direction",
    "lane", "score", "passage_id",
)  # fmt: skip
"""``at`` Datetime(us, UTC); ``passage_id`` text; ``score`` float; ``lane`` small integer or null."""

Progress = Callable[[float], None]
"""Told how much is done, 0 to 1; may raise to stop the work."""


def quiet(_share: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Passages as numbers: plates and checkpoints by their place in the sorted lists of names."""

    rows: pl.DataFrame
    """``p`` plate, ``k`` checkpoint, ``t`` seconds since 1970, in order of (p, t); repeats left out."""
    plates: pl.Series
    checkpoints: pl.Series
    days: float


def coded(frame: pl.LazyFrame, repeat_s: float = 30.0) -> Coded:
    """Bring passages into the form that mining needs."""
    data = frame.select(
        pl.col("plate").cast(pl.String),
        pl.col("checkpoint_id").cast(pl.String),
        (pl.col("at").dt.epoch("ms") / 1000.0).alias("t"),
    ).collect()
    plates, checkpoints = (data[name].unique().sort() for name in ("plate", "checkpoint_id"))
    rows = (
        data.lazy()
        .select(
            pl.col("plate").cast(pl.Enum(plates)).to_physical().cast(pl.UInt32).alias("p"),
            pl.col("checkpoint_id")
            .cast(pl.Enum(checkpoints))
            .to_physical()
            .cast(pl.UInt32)
            .alias("k"),
            "t",
        )
        .sort("p", "t")
        .filter(
            ~(
                (pl.col("p") == pl.col("p").shift(1))
                & (pl.col("k") == pl.col("k").shift(1))
                & (pl.col("t") - pl.col("t").shift(1) <= repeat_s)
            ).fill_null(value=False)
        )
        .collect()
    )
    seconds = rows["t"].to_numpy()
    span = float(seconds.max() - seconds.min()) / 86_400.0 if len(rows) else 1.0
    return Coded(rows, plates, checkpoints, max(1.0, float(np.ceil(span))))


def coincidences(data: Coded, gap_s: float) -> pl.LazyFrame:
    """Every two different plates at one checkpoint within ``gap_s``: ``a`` < ``b``, ``k``, times."""
    base = data.rows.lazy().with_columns((pl.col("t") // gap_s).cast(pl.Int32).alias("bucket"))
    other = base.select(pl.col("p").alias("q"), "k", pl.col("t").alias("u"), "bucket")
    same = base.join(other, on=["k", "bucket"]).filter(pl.col("p") < pl.col("q"))
    next_one = (
        base.with_columns(pl.col("bucket") + 1)
        .join(other, on=["k", "bucket"])
        .filter((pl.col("p") != pl.col("q")) & (pl.col("u") - pl.col("t") <= gap_s))
    )
    swapped = pl.col("p") > pl.col("q")
    return pl.concat([same, next_one]).select(
        pl.min_horizontal("p", "q").alias("a"),
        pl.max_horizontal("p", "q").alias("b"),
        "k",
        pl.when(swapped).then(pl.col("u")).otherwise(pl.col("t")).alias("t"),
        pl.when(swapped).then(pl.col("t")).otherwise(pl.col("u")).alias("u"),
    )


def city_companions(
    frame: pl.LazyFrame, rules: CompanionRules, top: int, progress: Progress = quiet
) -> pl.DataFrame:
    """All pairs that travel together, most surprising first.

    Columns: ``plate``, ``other_plate``, ``surprise``, ``count``, ``checkpoints``, ``meetings``,
    ``expected``, ``first_t``, ``last_t`` (seconds since 1970).
    """
    data = coded(frame)
    progress(0.15)
    met = coincidences(data, rules.gap_s).collect(engine="streaming")
    progress(0.45)
    often = (
        met.lazy()
        .group_by("a", "b")
        .agg(pl.len().alias("count"))
        .filter(pl.col("count") >= max(rules.min_checkpoints, 2))
    )
    together = met.lazy().join(often, on=["a", "b"]).collect(engine="streaming")
    del met
    several = (
        together.lazy()
        .group_by("a", "b")
        .agg(pl.col("k").n_unique().alias("checkpoints"))
        .filter(pl.col("checkpoints") >= rules.min_checkpoints)
    )
    together = together.lazy().join(several, on=["a", "b"]).collect()
    progress(0.6)
    pairs = _meetings(data, together, rules)
    pairs = pairs.filter(pl.col("meetings") >= rules.min_meetings)
    progress(0.75)
    pairs = pairs.join(_expected(data, together, pairs, rules), on=["a", "b"])
    per_meeting = pairs["expected"].to_numpy() * (
        pairs["meetings"].to_numpy() / pairs["count"].to_numpy()
    )
    surprise = poisson_surprise(pairs["weight"].to_numpy(), per_meeting)
    progress(0.95)
    return (
        pairs.with_columns(
            pl.Series("surprise", surprise), pl.Series("expected", per_meeting)
        )
        .filter(pl.col("surprise") >= rules.min_surprise)
        .sort(["surprise", "count", "a", "b"], descending=[True, True, False, False])
        .head(top)
        .select(
            "a", "b", "surprise", "count", "checkpoints", "meetings", "expected", "first_t",
            "last_t",
        )
        .with_columns(
            pl.col("a").map_batches(data.plates.gather, return_dtype=pl.String).alias("plate"),
            pl.col("b").map_batches(data.plates.gather, return_dtype=pl.String).alias("other_plate"),
        )
        .drop("a", "b")
    )  # fmt: skip


def _meetings(data: Coded, together: pl.DataFrame, rules: CompanionRules) -> pl.DataFrame:
    """Per pair its coincidences as meetings; a meeting in a crowd weighs less."""
    crowd = (
        data.rows.lazy()
        .select("k", (pl.col("t") // (2.0 * rules.gap_s)).cast(pl.Int32).alias("slot"))
        .group_by("k", "slot")
        .agg(pl.len().alias("crowd"))
    )
    new = (
        (pl.col("a") != pl.col("a").shift(1))
        | (pl.col("b") != pl.col("b").shift(1))
        | (pl.col("t") - pl.col("t").shift(1) > rules.meeting_gap_s)
    ).fill_null(value=True)
    return (
        together.lazy()
        .with_columns((pl.col("t") // (2.0 * rules.gap_s)).cast(pl.Int32).alias("slot"))
        .join(crowd, on=["k", "slot"], how="left")
        .sort("a", "b", "t")
        .with_columns(new.cum_sum().alias("meeting"))
        .group_by("a", "b", "meeting")
        .agg(
            pl.len().alias("n"),
            pl.col("crowd").min(),
            pl.col("t").min().alias("first_t"),
            pl.col("t").max().alias("last_t"),
            pl.col("checkpoints").first(),
        )
        .group_by("a", "b")
        .agg(
            pl.col("n").sum().alias("count"),
            pl.len().alias("meetings"),
            pl.when(pl.col("crowd") - 1 <= rules.crowd)
            .then(1.0)
            .otherwise(rules.crowd_weight)
            .sum()
            .alias("weight"),
            pl.col("first_t").min(),
            pl.col("last_t").max(),
            pl.col("checkpoints").first(),
        )
        .collect()
    )


def _expected(
    data: Coded, together: pl.DataFrame, pairs: pl.DataFrame, rules: CompanionRules
) -> pl.DataFrame:
    """Coincidences that chance would give each pair; the larger of the two directions."""
    hour = (pl.col("t") % 86_400.0 // 3600.0).cast(pl.Int8).alias("hour")
    wanted = pl.concat([pairs["a"], pairs["b"]]).unique().rename("p").to_frame()
    cells = (
        data.rows.lazy()
        .join(wanted.lazy(), on="p", how="semi")
        .select("p", "k", hour)
        .group_by("p", "k", "hour")
        .agg(pl.len().cast(pl.Float64).alias("n"))
    )
    joint = (
        together.lazy()
        .select("a", "b", "k", (pl.col("u") % 86_400.0 // 3600.0).cast(pl.Int8).alias("hour"))
        .group_by("a", "b", "k", "hour")
        .agg(pl.len().cast(pl.Float64).alias("joint"))
    )
    mine = cells.rename({"p": "a", "n": "n_a"})
    theirs = cells.rename({"p": "b", "n": "n_b"})
    apart = pl.col("joint").fill_null(0.0)
    factor = 2.0 * rules.gap_s / (3600.0 * data.days)
    return (
        pairs.lazy()
        .select("a", "b")
        .join(mine, on="a")
        .join(theirs, on=["b", "k", "hour"])
        .join(joint, on=["a", "b", "k", "hour"], how="left")
        .select(
            "a",
            "b",
            (pl.col("n_a") * ((pl.col("n_b") - apart).clip(0.0) + 1.0)).alias("one"),
            (pl.col("n_b") * ((pl.col("n_a") - apart).clip(0.0) + 1.0)).alias("other"),
        )
        .group_by("a", "b")
        .agg((pl.max_horizontal(pl.col("one").sum(), pl.col("other").sum()) * factor).alias("expected"))
        .collect(engine="streaming")
    )  # fmt: skip


def sightings_of(
    frame: pl.LazyFrame, plates: Collection[str], repeat_s: float = 30.0
) -> Iterator[tuple[str, tuple[Sighting, ...]]]:
    """The sightings of these plates, plate by plate, in order of time, without repeats."""
    if not plates:
        return
    wanted = pl.LazyFrame({"plate": sorted(plates)}, schema={"plate": pl.String})
    rows = (
        frame.select(COLUMNS)
        .with_columns(pl.col("plate").cast(pl.String))
        .join(wanted, on="plate", how="semi")
        .sort("plate", "at", "passage_id")
        .collect(engine="streaming")
    )
    for (plate,), part in rows.group_by("plate", maintain_order=True):
        yield str(plate), without_repeats(map(_sighting, part.iter_rows(named=True)), repeat_s)


def _sighting(row: dict[str, Any]) -> Sighting:
    return Sighting(
        row["plate"], row["at"].astimezone(UTC), UUID(row["passage_id"]), row["checkpoint_id"],
        row["plate_color"], row["plate_kind"], row["vehicle_color"], row["direction"],
        row["lane"], row["score"],
    )  # fmt: skip


def instant(t: float) -> datetime:
    """Seconds since 1970 as an instant."""
    return datetime.fromtimestamp(t, UTC)
