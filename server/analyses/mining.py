"""The whole city at once, in polars: what the interactive analyses ask of one plate, of all.

A frame has the columns :data:`COLUMNS`, whole reads only. Heavy steps are polars'; what is judged
is judged by the same pure functions that answer for one plate (:mod:`server.analyses.clones`,
:mod:`server.analyses.habits`). Runs in a process of its own (:mod:`server.analyses.worker`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from server.analyses.clones import CloneRules, CloneVerdict, judge_plate, suspect_clocks
from server.analyses.companions import CompanionRules
from server.analyses.habits import NIGHT_FROM, NIGHT_TO
from server.analyses.sighting import Sighting, StraightLines, without_repeats
from server.analyses.surprise import poisson_surprise
from server.checkpoints.service import CheckpointPlace
from server.trajectories.build import EARTH_RADIUS_M

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


def city_clones(  # noqa: PLR0913 - what was seen, where that is, by which rules
    frame: pl.LazyFrame,
    places: Mapping[str, CheckpointPlace],
    rules: CloneRules,
    *,
    max_kmh: float,
    limits: Mapping[tuple[str, str], float] | None = None,
    wrong_clocks: Collection[str] = (),
    progress: Progress = quiet,
) -> tuple[list[CloneVerdict], dict[str, int]]:
    """Judge every plate that conflicts anywhere; and the checkpoints whose clocks are suspected.

    One pass over all legs keeps what nobody drives on the straight line; only plates that have
    such a leg are looked at closely.
    """
    data = coded(frame)
    progress(0.3)
    passing = Counter(
        {
            data.checkpoints[k]: n
            for k, n in data.rows.group_by("k").agg(pl.col("p").n_unique()).iter_rows()
        }
    )
    legs = _fast_legs(data, places, rules, max_kmh)
    suspects = _suspects(data, legs, passing, rules)
    distrusted = {*suspects, *wrong_clocks}
    progress(0.6)
    wanted = [data.plates[p] for p in legs["p"].unique().to_list()]
    times = StraightLines(places, max_kmh, limits)
    verdicts: list[CloneVerdict] = []
    for number, (plate, sightings) in enumerate(sightings_of(frame, wanted)):
        verdict = judge_plate(plate, sightings, times, rules, distrusted)
        if verdict is not None:
            verdicts.append(verdict)
        if number % 500 == 0:
            progress(0.6 + 0.39 * number / max(1, len(wanted)))
    verdicts.sort(key=lambda v: (-v.score, -len(v.conflicts), v.plate))
    return verdicts, suspects


def _suspects(
    data: Coded, legs: pl.DataFrame, passing: Counter[str], rules: CloneRules
) -> dict[str, int]:
    named = (
        (data.plates[p], data.checkpoints[i], data.checkpoints[k])
        for p, i, k in legs.unique().iter_rows()
    )
    return suspect_clocks(named, passing, rules)


def _fast_legs(
    data: Coded, places: Mapping[str, CheckpointPlace], rules: CloneRules, max_kmh: float
) -> pl.DataFrame:
    """Consecutive sightings of a plate that nobody drives between: ``p``, ``i`` to ``k``."""
    lat, lon = positions(data.checkpoints, places)
    p, k, t = (data.rows[name].to_numpy() for name in ("p", "k", "t"))
    if len(p) < 2:
        return pl.DataFrame({"p": [], "i": [], "k": []}, schema=dict.fromkeys("pik", pl.UInt32))
    same = np.flatnonzero((p[1:] == p[:-1]) & (k[1:] != k[:-1]))
    i, j = k[same], k[same + 1]
    metres = great_circle_m(lat[i], lon[i], lat[j], lon[j])
    had_s = t[same + 1] - t[same] + 2.0 * rules.clock_sigma_s
    fast = (metres >= rules.min_distance_m) & (metres > had_s * max_kmh / 3.6)
    return pl.DataFrame({"p": p[same][fast], "i": i[fast], "k": j[fast]})


def positions(
    checkpoints: pl.Series, places: Mapping[str, CheckpointPlace]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitudes and longitudes of checkpoints, degrees; NaN of those without a place."""
    known = [places.get(name) for name in checkpoints.to_list()]
    lat = np.array([one.lat if one else np.nan for one in known], np.float64)
    lon = np.array([one.lon if one else np.nan for one in known], np.float64)
    return lat, lon


def great_circle_m(
    lat1: NDArray[np.float64],
    lon1: NDArray[np.float64],
    lat2: NDArray[np.float64],
    lon2: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Great-circle distances in metres (haversine); degrees in."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    h = (
        np.sin((phi2 - phi1) / 2.0) ** 2
        + np.cos(phi1) * np.cos(phi2) * np.sin(np.radians(lon2 - lon1) / 2.0) ** 2
    )
    found: NDArray[np.float64] = 2.0 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, h)))
    return found


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


def instant(t: float) -> datetime:
    """Seconds since 1970 as an instant."""
    return datetime.fromtimestamp(t, UTC)
