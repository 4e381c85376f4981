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
from numpy.typing import NDArray

from server.analyses.companions import CompanionRules
from server.analyses.sighting import Sighting, without_repeats
from server.analyses.surprise import uneven_surprise

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
        .sort("p", "t", "k")
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
    """Every two different plates at one checkpoint within ``gap_s``: ``pair``, ``k``, ``t``, ``u``.

    ``pair`` is the smaller plate's number in the upper 32 bits and the other's in the lower; ``t``
    and ``u`` are their times. One whole number joins and groups several times faster than two.
    """
    seconds = data.rows["t"].to_numpy()
    first = int(seconds.min()) if len(seconds) else 0
    slots = 2 + (int(seconds.max()) - first) // int(gap_s) if len(seconds) else 1
    bucket = ((pl.col("t") - first) // gap_s).cast(pl.Int64)
    base = data.rows.lazy().with_columns((pl.col("k").cast(pl.Int64) * slots + bucket).alias("at"))
    other = base.select(pl.col("p").alias("q"), pl.col("t").alias("u"), "at")
    same = base.join(other, on="at").filter(pl.col("p") < pl.col("q"))
    next_one = (
        base.with_columns(pl.col("at") + 1)
        .join(other, on="at")
        .filter((pl.col("p") != pl.col("q")) & (pl.col("u") - pl.col("t") <= gap_s))
    )
    swapped = pl.col("p") > pl.col("q")
    turned = next_one.select(
        pl.when(swapped).then("q").otherwise("p").alias("p"),
        pl.when(swapped).then("p").otherwise("q").alias("q"),
        "k",
        pl.when(swapped).then("u").otherwise("t").alias("t"),
        pl.when(swapped).then("t").otherwise("u").alias("u"),
    )
    return pl.concat([same.select("p", "q", "k", "t", "u"), turned]).select(
        (pl.col("p").cast(pl.Int64) * _PAIR + pl.col("q").cast(pl.Int64)).alias("pair"),
        "k",
        "t",
        "u",
    )


_PAIR: Final = 1 << 32
BOTH: Final = (
    (pl.col("pair") // _PAIR).cast(pl.UInt32).alias("a"),
    (pl.col("pair") % _PAIR).cast(pl.UInt32).alias("b"),
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
    often = _often(met["pair"].to_numpy(), max(rules.min_checkpoints, 2))
    together = met.lazy().join(often.lazy(), on="pair", how="semi").collect(engine="streaming")
    del met
    several = (
        together.group_by("pair")
        .agg(
            pl.col("k").n_unique().alias("checkpoints"),
            (pl.col("t").max() - pl.col("t").min()).alias("over_s"),
        )
        .filter(pl.col("checkpoints") >= rules.min_checkpoints)
    )
    if _fewest_meetings(data, rules) > 1:  # whoever met twice was together over so long
        several = several.filter(pl.col("over_s") > rules.meeting_gap_s)
    together = together.join(several.drop("over_s"), on="pair").with_columns(*BOTH)
    progress(0.6)
    pairs = _meetings(data, together, rules)
    pairs = pairs.filter(pl.col("meetings") >= _fewest_meetings(data, rules))
    progress(0.75)
    return _ranked(data, together, pairs, rules, top)


def _often(pair: NDArray[np.int64], least: int) -> pl.DataFrame:
    """The pairs that occur so often. Sorting finds them faster than a table of all pairs."""
    ordered = np.sort(pair)
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(begins, len(ordered)))
    return pl.DataFrame({"pair": ordered[begins[counts >= least]] if len(ordered) else ordered})


def _fewest_meetings(data: Coded, rules: CompanionRules) -> int:
    """With fewer meetings than this no pair is surprising enough, however rarely both drive.

    Chance gives at least one vehicle's own passages where they met times one other passage: that
    many meetings times the share of an hour that the gap is. Half of it is taken, for meetings
    that straddle the hour.
    """
    share = 2.0 * rules.gap_s / (3600.0 * data.days) / 2.0
    for meetings in range(max(1, rules.min_meetings), 4):
        most = uneven_surprise(np.array([float(meetings)]), np.array([share * meetings]))
        if most[0] >= rules.min_surprise:
            return meetings
    return 4


def _ranked(
    data: Coded, together: pl.DataFrame, pairs: pl.DataFrame, rules: CompanionRules, top: int
) -> pl.DataFrame:
    pairs = pairs.join(_expected(data, together, pairs, rules), on="pair")
    return (
        surprising(pairs, rules, top, ["pair"])
        .with_columns(*BOTH)
        .with_columns(
            pl.col("a").map_batches(data.plates.gather, return_dtype=pl.String).alias("plate"),
            pl.col("b").map_batches(data.plates.gather, return_dtype=pl.String).alias("other_plate"),
        )
        .select(FOUND)
    )  # fmt: skip


FOUND: Final = (
    "plate", "other_plate", "surprise", "count", "checkpoints", "meetings", "expected", "first_t",
    "last_t",
)  # fmt: skip


def surprising(
    pairs: pl.DataFrame, rules: CompanionRules, top: int, order: list[str]
) -> pl.DataFrame:
    """The most surprising of counted pairs; equally surprising ones by ``order``.

    ``pairs`` has ``count``, ``meetings``, ``weight`` and the coincidences ``expected`` by chance;
    given back are the meetings expected.
    """
    per_meeting = pairs["expected"].to_numpy() * (
        pairs["meetings"].to_numpy() / pairs["count"].to_numpy()
    )
    surprise = uneven_surprise(pairs["weight"].to_numpy(), per_meeting)
    return (
        pairs.with_columns(pl.Series("surprise", surprise), pl.Series("expected", per_meeting))
        .filter(pl.col("surprise") >= rules.min_surprise)
        .sort(["surprise", "count", *order], descending=[True, True, *(False for _ in order)])
        .head(top)
    )


def city_flow(frame: pl.LazyFrame) -> pl.DataFrame:
    """Vehicles per checkpoint, hour (UTC), lane and kind of plate.

    Columns: ``checkpoint_id``, ``hour`` (whole hours since 1970), ``lane``, ``plate_kind``,
    ``vehicles``; in this order.
    """
    keys = ["checkpoint_id", "hour", "lane", "plate_kind"]
    return (
        frame.select(
            pl.col("checkpoint_id").cast(pl.String),
            (pl.col("at").dt.epoch("s") // 3600).alias("hour"),
            pl.col("lane").cast(pl.Int64),
            pl.col("plate_kind").cast(pl.String),
        )
        .group_by(keys)
        .agg(pl.len().cast(pl.Int64).alias("vehicles"))
        .sort(keys)
        .collect(engine="streaming")
    )


def _meetings(data: Coded, together: pl.DataFrame, rules: CompanionRules) -> pl.DataFrame:
    """Per pair its coincidences as meetings; a meeting in a crowd weighs less."""
    slot = (pl.col("t") // (2.0 * rules.gap_s)).cast(pl.Int64)
    cell = (slot * len(data.checkpoints) + pl.col("k").cast(pl.Int64)).alias("cell")
    timed = together.lazy().select("pair", "t", "checkpoints", cell)
    crowd = (
        data.rows.lazy()
        .select(cell)
        .join(timed.select("cell").unique(), on="cell", how="semi")
        .group_by("cell")
        .agg(pl.len().alias("crowd"))
    )
    new = (
        (pl.col("pair") != pl.col("pair").shift(1))
        | (pl.col("t") - pl.col("t").shift(1) > rules.meeting_gap_s)
    ).fill_null(value=True)
    return (
        timed.join(crowd, on="cell", how="left")
        .sort("pair", "t")
        .with_columns(new.cum_sum().alias("meeting"))
        .group_by("meeting")
        .agg(
            pl.col("pair").first(),
            pl.len().alias("n"),
            pl.col("crowd").min(),
            pl.col("t").min().alias("first_t"),
            pl.col("t").max().alias("last_t"),
            pl.col("checkpoints").first(),
        )
        .group_by("pair")
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

    def cell(time: str) -> pl.Expr:
        hour = (pl.col(time) % 86_400.0 // 3600.0).cast(pl.Int64)
        return pl.col("k").cast(pl.Int64) * 24 + hour

    cells_of_all = len(data.checkpoints) * 24
    both = pairs.select("pair", *BOTH)
    wanted = pl.concat([both["a"], both["b"]]).unique().rename("p").to_frame()
    cells = (
        data.rows.lazy()
        .join(wanted.lazy(), on="p", how="semi")
        .select((pl.col("p").cast(pl.Int64) * cells_of_all + cell("t")).alias("spot"))
        .group_by("spot")
        .agg(pl.len().cast(pl.Float64).alias("n"))
        .collect(engine="streaming")
    )
    joint = (
        together.lazy()
        .join(both.lazy().select("pair"), on="pair", how="semi")
        .select("pair", (pl.col("b").cast(pl.Int64) * cells_of_all + cell("u")).alias("spot"))
        .group_by("pair", "spot")
        .agg(pl.len().cast(pl.Float64).alias("joint"))
    )
    mine = cells.lazy().select(
        (pl.col("spot") // cells_of_all).cast(pl.UInt32).alias("a"),
        (pl.col("spot") % cells_of_all).alias("cell"),
        pl.col("n").alias("n_a"),
    )
    theirs = cells.lazy().select("spot", pl.col("n").alias("n_b"))
    apart = pl.col("joint").fill_null(0.0)
    factor = 2.0 * rules.gap_s / (3600.0 * data.days)
    return (
        both.lazy()
        .join(mine, on="a")
        .with_columns((pl.col("b").cast(pl.Int64) * cells_of_all + pl.col("cell")).alias("spot"))
        .join(theirs, on="spot")
        .join(joint, on=["pair", "spot"], how="left")
        .select(
            "pair",
            (pl.col("n_a") * ((pl.col("n_b") - apart).clip(0.0) + 1.0)).alias("one"),
            (pl.col("n_b") * ((pl.col("n_a") - apart).clip(0.0) + 1.0)).alias("other"),
        )
        .group_by("pair")
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
        row["plate"], row["at"].astimezone(UTC), UUID(row["passage_id"]).bytes, row["checkpoint_id"],
        row["plate_color"], row["plate_kind"], row["vehicle_color"], row["direction"],
        row["lane"], row["score"],
    )  # fmt: skip


def instant(t: float) -> datetime:
    """Seconds since 1970 as an instant."""
    return datetime.fromtimestamp(t, UTC)
