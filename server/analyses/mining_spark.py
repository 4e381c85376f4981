"""The nightly mining where a day no longer fits one machine: the same questions in Apache Spark.

Companions of the whole city and flow, over the Parquet day files that polars reads, with the same
answers (a test holds one against the other). Spark is a batch engine: on one machine it takes some
twenty times as long as polars, so it is asked for by ``analyses.engine`` and never chosen for itself.

    python -m server.analyses.mining_spark companions DAY.parquet … --master spark://host:7077

Needs the extra ``spark`` and a Java runtime of 17 or newer, here and on every worker; the files
must lie where all of them see them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from server.analyses.companions import CompanionRules
from server.analyses.mining import FOUND, surprising
from server.errors import Unavailable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PAIR: Final = ("plate", "other_plate")
_HOUR_S: Final = 3600


@contextmanager
def spark_session(master: str, options: Sequence[tuple[str, str]] = ()) -> "Iterator[SparkSession]":
    """Open a session on a cluster (``spark://host:7077``, ``yarn``) or this machine (``local[2]``).

    Raises:
        Unavailable: pyspark is not installed, or the cluster cannot be reached.
    """
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra that few need
    except ModuleNotFoundError as error:
        raise Unavailable(
            "analyses.engine: spark is not installed: pip install kakou[spark]"
        ) from error
    builder = SparkSession.builder.master(master).appName("kakou").config(
        "spark.sql.session.timeZone", "UTC"
    ).config("spark.ui.enabled", "false")  # fmt: skip
    for name, value in options:
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise Unavailable(f"analyses.spark_master: {master}: {type(error).__name__}") from error
    try:
        yield session
    finally:
        session.stop()


def read(spark: "SparkSession", paths: Sequence[Path]) -> "DataFrame":
    """Day files as a Spark frame."""
    return spark.read.parquet(*(str(path) for path in paths))


def city_flow(frame: "DataFrame") -> pl.DataFrame:
    """As :func:`server.analyses.mining.city_flow`."""
    from pyspark.sql import functions as f  # noqa: PLC0415

    keys = ["checkpoint_id", "hour", "lane", "plate_kind"]
    counted = (
        frame.select(
            "checkpoint_id",
            f.floor(f.unix_seconds("at") / _HOUR_S).alias("hour"),
            f.col("lane").cast("long"),
            "plate_kind",
        )
        .groupBy(keys)
        .agg(f.count("*").alias("vehicles"))
    )
    schema = {"checkpoint_id": pl.String, "hour": pl.Int64, "lane": pl.Int64,
              "plate_kind": pl.String, "vehicles": pl.Int64}  # fmt: skip
    return _polars(counted, schema).sort(keys)


def city_companions(
    frame: "DataFrame", rules: CompanionRules, top: int, repeat_s: float = 30.0
) -> pl.DataFrame:
    """As :func:`server.analyses.mining.city_companions`; pairs are counted there, ranked here."""
    rows = _passages(frame, repeat_s).cache()
    try:
        together = _together(_coincidences(rows, rules.gap_s), rules).cache()
        counted = _meetings(rows, together, rules)
        expected = _expected(rows, together, counted, rules)
        schema = {
            "plate": pl.String, "other_plate": pl.String, "count": pl.UInt32, "meetings": pl.UInt32,
            "weight": pl.Float64, "first_t": pl.Float64, "last_t": pl.Float64,
            "checkpoints": pl.UInt32, "expected": pl.Float64,
        }  # fmt: skip
        found = _polars(counted.join(expected, list(_PAIR)).select(*schema), schema)
        together.unpersist()
    finally:
        rows.unpersist()
    return surprising(found, rules, top, list(_PAIR)).select(FOUND)


def _polars(frame: "DataFrame", schema: Any) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in frame.collect()], schema=schema, orient="row")


def _passages(frame: "DataFrame", repeat_s: float) -> "DataFrame":
    """``plate``, ``k`` checkpoint, ``t`` seconds since 1970; repeats left out."""
    from pyspark.sql import Window  # noqa: PLC0415
    from pyspark.sql import functions as f  # noqa: PLC0415

    own = Window.partitionBy("plate").orderBy("t", "k")
    rows = frame.select(
        "plate", f.col("checkpoint_id").alias("k"), (f.unix_millis("at") / 1000.0).alias("t")
    )
    again = (f.lag("k").over(own) == f.col("k")) & (f.col("t") - f.lag("t").over(own) <= repeat_s)
    return (
        rows.withColumn("again", f.coalesce(again, f.lit(False))).where("NOT again").drop("again")
    )


def _coincidences(rows: "DataFrame", gap_s: float) -> "DataFrame":
    from pyspark.sql import functions as f  # noqa: PLC0415

    base = rows.withColumn("bucket", f.floor(f.col("t") / gap_s))
    other = base.select(f.col("plate").alias("q"), "k", f.col("t").alias("u"), "bucket")
    same = base.join(other, ["k", "bucket"]).where(f.col("plate") < f.col("q"))
    following = base.withColumn("bucket", f.col("bucket") + 1).join(other, ["k", "bucket"]).where(
        (f.col("plate") != f.col("q")) & (f.col("u") - f.col("t") <= gap_s)
    )  # fmt: skip
    turned = f.col("plate") > f.col("q")
    return same.unionByName(following).select(
        f.least("plate", "q").alias("plate"),
        f.greatest("plate", "q").alias("other_plate"),
        "k",
        f.when(turned, f.col("u")).otherwise(f.col("t")).alias("t"),
        f.when(turned, f.col("t")).otherwise(f.col("u")).alias("u"),
    )


def _together(met: "DataFrame", rules: CompanionRules) -> "DataFrame":
    """Coincidences of pairs that were together at enough checkpoints."""
    from pyspark.sql import functions as f  # noqa: PLC0415

    often = (
        met.groupBy(*_PAIR)
        .agg(f.count("*").alias("count"), f.countDistinct("k").alias("checkpoints"))
        .where(
            (f.col("count") >= max(rules.min_checkpoints, 2))
            & (f.col("checkpoints") >= rules.min_checkpoints)
        )
    )
    return met.join(often.drop("count"), list(_PAIR))


def _meetings(rows: "DataFrame", together: "DataFrame", rules: CompanionRules) -> "DataFrame":
    from pyspark.sql import Window  # noqa: PLC0415
    from pyspark.sql import functions as f  # noqa: PLC0415

    slot = f.floor(f.col("t") / (2.0 * rules.gap_s)).alias("slot")
    crowd = rows.select("k", slot).groupBy("k", "slot").agg(f.count("*").alias("crowd"))
    own = Window.partitionBy(*_PAIR).orderBy("t")
    begins = f.coalesce(f.col("t") - f.lag("t").over(own) > rules.meeting_gap_s, f.lit(True))
    return (
        together.withColumn("slot", slot)
        .join(crowd, ["k", "slot"], "left")
        .withColumn("begins", begins.cast("int"))
        .withColumn("meeting", f.sum("begins").over(own))
        .groupBy(*_PAIR, "meeting")
        .agg(
            f.count("*").alias("n"),
            f.min("crowd").alias("crowd"),
            f.min("t").alias("first_t"),
            f.max("t").alias("last_t"),
            f.first("checkpoints").alias("checkpoints"),
        )
        .groupBy(*_PAIR)
        .agg(
            f.sum("n").alias("count"),
            f.count("*").alias("meetings"),
            f.sum(
                f.when(f.col("crowd") - 1 <= rules.crowd, 1.0).otherwise(rules.crowd_weight)
            ).alias("weight"),
            f.min("first_t").alias("first_t"),
            f.max("last_t").alias("last_t"),
            f.first("checkpoints").alias("checkpoints"),
        )
        .where(f.col("meetings") >= rules.min_meetings)
    )


def _expected(
    rows: "DataFrame", together: "DataFrame", pairs: "DataFrame", rules: CompanionRules
) -> "DataFrame":
    from pyspark.sql import functions as f  # noqa: PLC0415

    def hour(time: str) -> Any:
        return f.floor(f.col(time) % 86_400 / _HOUR_S).alias("hour")

    low, high = rows.agg(f.min("t"), f.max("t")).collect()[0]
    days = max(1.0, -(-((high or 0.0) - (low or 0.0)) // 86_400.0))
    cells = rows.select("plate", "k", hour("t")).groupBy("plate", "k", "hour").agg(
        f.count("*").alias("n")
    )  # fmt: skip
    joint = together.select(*_PAIR, "k", hour("u")).groupBy(*_PAIR, "k", "hour").agg(
        f.count("*").alias("joint")
    )  # fmt: skip
    mine = cells.withColumnRenamed("n", "n_a")
    theirs = cells.select(f.col("plate").alias("other_plate"), "k", "hour", f.col("n").alias("n_b"))
    apart = f.coalesce(f.col("joint"), f.lit(0))
    zero = f.lit(0)
    one = f.col("n_a") * (f.greatest(f.col("n_b") - apart, zero) + 1)
    other = f.col("n_b") * (f.greatest(f.col("n_a") - apart, zero) + 1)
    factor = 2.0 * rules.gap_s / (_HOUR_S * days)
    return (
        pairs.select(*_PAIR)
        .join(mine, ["plate"])
        .join(theirs, ["other_plate", "k", "hour"])
        .join(joint, [*_PAIR, "k", "hour"], "left")
        .groupBy(*_PAIR)
        .agg((f.greatest(f.sum(one), f.sum(other)) * factor).alias("expected"))
    )


def main() -> int:
    """Mine day files on a cluster and write what was found as Parquet."""
    parser = argparse.ArgumentParser(prog="python -m server.analyses.mining_spark")
    parser.add_argument("question", choices=("companions", "flow"))
    parser.add_argument("files", nargs="+", type=Path, help="Parquet day files")
    parser.add_argument("--master", default="local[*]", help="spark://host:7077, yarn, local[*]")
    parser.add_argument("--top", type=int, default=2_000)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()
    with spark_session(args.master) as spark:
        frame = read(spark, args.files)
        if args.question == "flow":
            found = city_flow(frame)
        else:
            found = city_companions(frame, CompanionRules(min_meetings=2), args.top)
    found.write_parquet(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
