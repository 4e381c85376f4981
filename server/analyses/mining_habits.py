"""Habits over the whole city, in polars: nights, passing through, being missed where others are read."""

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl

from server.analyses.habits import NIGHT_FROM, NIGHT_TO
from server.analyses.mining import coded


def city_nocturnal(
    frame: pl.LazyFrame, zone: ZoneInfo, *, min_share: float, min_nights: int, top: int
) -> pl.DataFrame:
    """Plates mostly seen at night: ``plate``, ``nights``, ``at_night``, ``by_day``; most nights first."""
    local = pl.col("at").dt.convert_time_zone(str(zone))
    night = (local.dt.hour() >= NIGHT_FROM) | (local.dt.hour() < NIGHT_TO)
    began = local.dt.offset_by(f"-{NIGHT_TO}h").dt.date()
    return (
        frame.group_by("plate")
        .agg(
            night.sum().alias("at_night"),
            (~night).sum().alias("by_day"),
            began.filter(night).n_unique().alias("nights"),
        )
        .filter(
            pl.col("nights") >= min_nights,
            pl.col("at_night") >= min_share * (pl.col("at_night") + pl.col("by_day")),
        )
        .sort(["nights", "at_night", "plate"], descending=[True, True, False])
        .head(top)
        .collect(engine="streaming")
    )


def city_transit(frame: pl.LazyFrame, *, within_s: float, top: int, at_most: int = 12) -> list[str]:
    """Plates of which the whole period's sightings fit a passing through; the shortest first."""
    rows = (
        frame.group_by("plate")
        .agg(
            pl.len().alias("n"),
            (pl.col("at").max() - pl.col("at").min()).dt.total_milliseconds().alias("ms"),
            pl.col("checkpoint_id").sort_by("at").first().cast(pl.String).alias("came"),
            pl.col("checkpoint_id").sort_by("at").last().cast(pl.String).alias("went"),
        )
        .filter(
            pl.col("n").is_between(2, at_most),
            pl.col("ms") <= within_s * 1000.0,
            pl.col("came") != pl.col("went"),
        )
        .sort("ms", "plate")
        .head(top)
        .collect(engine="streaming")
    )
    return [str(plate) for plate in rows["plate"].to_list()]


def city_ways(
    frame: pl.LazyFrame, *, within_s: float = 3600.0, min_vehicles: int = 30
) -> dict[tuple[str, str], dict[str, float]]:
    """From, to -> the checkpoint between and the share of vehicles on that way that are read there.

    Of vehicles that are seen at i and then at j with at most one sighting between: the share of
    those with that one sighting at m, out of all that may have come past m.
    """
    data = coded(frame)
    legs = data.rows.lazy().with_columns(
        pl.col("k").shift(-1).over("p").alias("k1"),
        pl.col("t").shift(-1).over("p").alias("t1"),
        pl.col("k").shift(-2).over("p").alias("k2"),
        pl.col("t").shift(-2).over("p").alias("t2"),
    )
    direct = (
        legs.filter(pl.col("t1") - pl.col("t") <= within_s, pl.col("k") != pl.col("k1"))
        .group_by("k", pl.col("k1").alias("j"))
        .agg(pl.len().alias("unseen"), pl.col("p").n_unique().alias("plates"))
    )
    through = (
        legs.filter(
            pl.col("t2") - pl.col("t") <= within_s,
            pl.col("k") != pl.col("k2"),
            pl.col("k1") != pl.col("k"),
            pl.col("k1") != pl.col("k2"),
        )
        .group_by("k", pl.col("k2").alias("j"), pl.col("k1").alias("m"))
        .agg(pl.len().alias("seen"), pl.col("p").n_unique().alias("vehicles"))
        .filter(pl.col("vehicles") >= min_vehicles)
    )
    rows = (
        through.join(direct, on=["k", "j"])
        .with_columns((pl.col("seen") / (pl.col("seen") + pl.col("unseen"))).alias("share"))
        .filter(pl.col("share") >= 0.5)
        .select("k", "j", "m", "share")
        .collect(engine="streaming")
    )
    names = data.checkpoints
    found: dict[tuple[str, str], dict[str, float]] = {}
    for k, j, m, share in rows.iter_rows():
        found.setdefault((names[k], names[j]), {})[names[m]] = share
    return found


def missing_often(
    frame: pl.LazyFrame,
    ways: Mapping[tuple[str, str], Mapping[str, float]],
    *,
    min_times: int,
    min_share: float,
    within_s: float = 3600.0,
) -> list[str]:
    """Plates that went some way at least so often without being read where nearly all others are."""
    pairs = [pair for pair, shares in ways.items() if max(shares.values()) >= min_share]
    if not pairs:
        return []
    wanted = pl.LazyFrame(
        {"i": [a for a, _ in pairs], "j": [b for _, b in pairs]},
        schema={"i": pl.String, "j": pl.String},
    )
    rows = (
        frame.select("plate", "at", pl.col("checkpoint_id").cast(pl.String).alias("i"))
        .sort("plate", "at")
        .with_columns(
            pl.col("i").shift(-1).over("plate").alias("j"),
            pl.col("at").shift(-1).over("plate").alias("then"),
        )
        .filter(pl.col("then") - pl.col("at") <= timedelta(seconds=within_s))
        .join(wanted, on=["i", "j"], how="semi")
        .group_by("plate", "i", "j")
        .agg(pl.len().alias("n"))
        .filter(pl.col("n") >= min_times)
        .select(pl.col("plate").cast(pl.String).unique())
        .collect(engine="streaming")
    )
    return sorted(rows["plate"].to_list())
