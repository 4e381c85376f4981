"""What the analyses find in a simulated city whose truth is known, and how long they take.

    python -m benchmarks.analytics --json            # the published size
    python -m benchmarks.analytics --quick --json

Everything measured is the product's own code:

* ``clones``: the search over the city (:func:`server.analyses.mining_clones.city_clones`) against the
  plates that two vehicles carry. ``by_conflict`` of those found had an impossible leg, the others
  were found by how their whole route jumps. A clock fault must be put down to the clock: ``clock_blamed`` of the plates that
  conflict because of one, and ``clocks_as_clones`` that were called clones instead.
* ``companions``: precision among the first twenty pairs by surprise, and by the naive count of
  coincidences (both at three checkpoints or more), against vehicles that do travel together.
* times: ``route`` a plate's route over a year, ``one_plate`` companions of a plate over as long,
  ``collision`` three areas of an hour, over HTTP's inside (audit record included) on PostgreSQL with
  ``--rows`` rows (:mod:`benchmarks.analytics_table`). Plates are drawn of those who have lived there for
  a year and passed some checkpoint six times a day, one plate in some thousand; ``…_crowd`` of
  everybody, ``…_busy`` are the most seen. A route is built with learned travel
  times, unseen checkpoints inferred, and look-alikes, as maps, exports and comparisons need it;
  ``route_whole`` is the same with all that was kept of each passage, as the page and the JSON show
  it; ``sightings`` as of p50;
  ``--db`` with ``--only load`` or ``--only measure`` does it in two goes;
  ``city`` companions over ``--city-rows`` passages in one Parquet file against the bucket join that
  somebody would write by hand, which counts and ranks nothing.
"""

import argparse
import json
import os
import platform
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import text

from benchmarks.analytics_table import Table, fill_table, filled_table
from benchmarks.own_postgres import own_postgres
from benchmarks.roadside import percentile, prepare
from benchmarks.simulation import Plan, World, simulate
from benchmarks.simulation.city import City
from benchmarks.simulation.rows import frame as frame_of
from server.analyses import ask, mining, mining_clones
from server.analyses.clones import CloneRules
from server.analyses.companions import CompanionRules
from server.analyses.service import analyse
from server.app import create_app
from server.auth.accounts import Account, Role, add_user
from server.checkpoints.service import CheckpointPlace
from server.db import Database
from server.passages.lookup import Inquiry
from server.serving import settle
from server.settings import Settings
from server.trajectories.service import look_up_trajectory

QUICK = {
    "days": 4, "vehicles": 1_500, "checkpoints": 200, "clones": 20, "city_rows": 200_000,
    "repeats": 1, "rows": 100_000, "samples": 10,
}  # fmt: skip
HALVES = ("load", "measure")
WHY = {"purpose": "system_test", "case_number": "BENCH-7"}


def main() -> int:
    """Measure and print; the exit status says whether what was promised was kept."""
    args = _parser().parse_args()
    result: dict[str, Any] = {"seed": args.seed}
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "quality": quality,
        "city": city,
        "interactive": interactive,
    }
    for name, part in parts.items():
        if args.only in {None, name} or (name == "interactive" and args.only in HALVES):
            result |= part(args)
    result["within"] = judged(result)
    result["machine"] = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"polars {pl.__version__} with {pl.thread_pool_size()} threads"
    )
    print(json.dumps(result, ensure_ascii=False, indent=None if args.json else 2))
    return 0 if all(result["within"].values()) or args.quick else 1


def judged(result: dict[str, Any]) -> dict[str, bool]:
    """What was promised, against what was measured."""
    found: dict[str, bool] = {}
    if "clones" in result:
        clones, companions = result["clones"], result["companions"]
        found |= {
            "clones precision >= 0.95": clones["precision"] >= 0.95,
            "clones recall >= 0.9": clones["recall"] >= 0.9,
            "clock faults put down to the clock": clones["clocks_as_clones"] == 0,
            "companions beat the naive count": companions["precision_at_20"]
            > companions["naive_precision_at_20"],
        }
    if "city" in result:
        found["city <= 2 x by hand"] = result["city"]["ratio"] <= 2.0
    if "route" in result:
        found |= {
            "route, anybody's, p95 <= 100 ms": result["route_crowd"]["p95"] <= 100,
            "route, who lives here, p50 <= 100 ms": result["route"]["p50"] <= 100,
            "route, who lives here, p95 <= 100 ms": result["route"]["p95"] <= 100,
            "companions, anybody's, p95 <= 200 ms": result["one_plate_crowd"]["p95"] <= 200,
            "companions, who lives here, p50 <= 200 ms": result["one_plate"]["p50"] <= 200,
            "companions, who lives here, p95 <= 200 ms": result["one_plate"]["p95"] <= 200,
            "collision <= 500 ms": result["collision"]["p95"] <= 500,
        }
    return found


# ---- what is found


def quality(args: argparse.Namespace) -> dict[str, Any]:
    """Clones and companions against the simulator's truth."""
    plan = Plan(seed=args.seed, days=args.days, vehicles=args.vehicles,
                checkpoints=args.checkpoints, clones=args.clones)  # fmt: skip
    world = simulate(plan)
    places = places_of(world)
    with tempfile.TemporaryDirectory(prefix="kakou-bench-") as folder:
        path = Path(folder) / "seen.parquet"
        passages(world).write_parquet(path)
        truth = world.truth()
        result: dict[str, Any] = {
            "city_of": {
                "passages": int(pl.scan_parquet(path).select(pl.len()).collect().item()),
                "days": plan.days, "vehicles": plan.vehicles, "checkpoints": plan.checkpoints,
            }
        }  # fmt: skip
        del world
        began = time.monotonic()
        verdicts, clocks = mining_clones.city_clones(
            pl.scan_parquet(path), places, CloneRules(), max_kmh=150.0
        )
        took_s = time.monotonic() - began
        cloned = set(truth["clones"])
        named = {v.plate for v in verdicts if v.cause == "clone"}
        at_clocks = {
            v.plate for v in verdicts
            if v.plate not in cloned
            and any({c.start.checkpoint_id, c.end.checkpoint_id} & set(truth["clocks"])
                    for c in v.conflicts)
        }  # fmt: skip
        by_clock = {v.plate for v in verdicts if v.cause == "clock"}
        result["clones"] = {
            "true": len(cloned), "named": len(named),
            "precision": _share(len(named & cloned), len(named)),
            "recall": _share(len(named & cloned), len(cloned)),
            "by_conflict": sum(v.plate in cloned and v.cause == "clone" and bool(v.conflicts)
                               for v in verdicts),
            "doubtful": sum(v.cause == "doubtful" for v in verdicts),
            "misread": sum(v.cause == "misread" for v in verdicts),
            "clock_faults": truth["clocks"], "clocks_suspected": clocks,
            "plates_at_clock_faults": len(at_clocks),
            "clock_blamed": _share(len(at_clocks & by_clock), len(at_clocks)),
            "clocks_as_clones": len(at_clocks & named), "took_s": round(took_s, 1),
        }  # fmt: skip
        result["companions"] = _companions(path, [set(one) for one in truth["convoys"]])
    return result


def _companions(path: Path, convoys: list[set[str]]) -> dict[str, Any]:
    rules = CompanionRules(min_surprise=0.0)
    began = time.monotonic()
    found = mining.city_companions(pl.scan_parquet(path), rules, 5_000_000)
    took_s = time.monotonic() - began

    def right(rows: pl.DataFrame) -> float:
        pairs = list(zip(rows["plate"], rows["other_plate"], strict=True))
        return _share(sum(any({a, b} <= one for one in convoys) for a, b in pairs), len(pairs))

    naive = found.sort(["count", "plate", "other_plate"], descending=[True, False, False])
    pairs = sum(len(one) * (len(one) - 1) // 2 for one in convoys)
    return {
        "true_pairs": pairs,
        "precision_at_20": right(found.head(20)),
        "naive_precision_at_20": right(naive.head(20)),
        "precision_at_true": right(found.head(pairs)),
        "naive_precision_at_true": right(naive.head(pairs)),
        "took_s": round(took_s, 1),
    }


def passages(world: World) -> pl.DataFrame:
    """What was seen, as day files hold it: whole reads."""
    seen = frame_of(world).filter(pl.col("plate") != "")
    return seen.select(
        "plate",
        pl.col("captured_at").cast(pl.Datetime("us", "UTC")).alias("at"),
        "checkpoint_id", "plate_color", "plate_kind", "vehicle_color",
        pl.lit("approaching").alias("direction"), "lane",
        pl.col("plate_score").cast(pl.Float32).alias("score"),
        pl.int_range(0, pl.len()).cast(pl.String).str.pad_start(32, "0").alias("passage_id"),
    )  # fmt: skip


def places_of(world: World) -> dict[str, CheckpointPlace]:
    """The simulated checkpoints."""
    lat, lon = world.city.checkpoint_lat_lon()
    names = [City.checkpoint_id(n) for n in range(len(lat))]
    return {
        name: CheckpointPlace(name, name, "", float(lat[n]), float(lon[n]), "", "")
        for n, name in enumerate(names)
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0


# ---- the whole city


def city(args: argparse.Namespace) -> dict[str, Any]:
    """Companions over the whole city against a bucket join written by hand, alternating."""
    with tempfile.TemporaryDirectory(prefix="kakou-bench-") as folder:
        path = Path(folder) / "day.parquet"
        rows = _city_rows(path, args.city_rows, args.seed)
        by_hand: list[float] = []
        ours: list[float] = []
        for _ in range(args.repeats):
            for times, work in ((by_hand, _by_hand), (ours, _ours)):
                began = time.monotonic()
                work(path)
                times.append(time.monotonic() - began)
    hand_s, ours_s = min(by_hand), min(ours)
    return {
        "city": {
            "passages": rows, "by_hand_s": round(hand_s, 2), "ours_s": round(ours_s, 2),
            "ratio": round(ours_s / hand_s, 2), "repeats": args.repeats,
        }
    }  # fmt: skip


def _city_rows(path: Path, wanted: int, seed: int) -> int:
    """A day of a city so large that its checkpoints see about so many vehicles."""
    vehicles = max(500, int(wanted / 21))
    plan = Plan(seed=seed, days=1, vehicles=vehicles, checkpoints=max(100, wanted // 4200))
    seen = passages(simulate(plan)).head(wanted)
    seen.write_parquet(path)
    return seen.height


def _ours(path: Path) -> None:
    mining.city_companions(pl.scan_parquet(path), CompanionRules(), 2_000)


def _by_hand(path: Path) -> None:
    """Pairs of plates within a minute of each other at three checkpoints or more, counted."""
    base = pl.scan_parquet(path).select(
        pl.col("plate"), pl.col("checkpoint_id").alias("k"),
        (pl.col("at").dt.epoch("ms") // 60_000).alias("bucket"),
        pl.col("at").dt.epoch("ms").alias("t"),
    )  # fmt: skip
    other = base.select(pl.col("plate").alias("other"), "k", "bucket", pl.col("t").alias("u"))
    same = base.join(other, on=["k", "bucket"]).filter(pl.col("plate") < pl.col("other"))
    beside = (
        base.with_columns(pl.col("bucket") + 1)
        .join(other, on=["k", "bucket"])
        .filter(pl.col("plate") != pl.col("other"), pl.col("u") - pl.col("t") <= 60_000)
    )
    pair = (
        pl.min_horizontal("plate", "other").alias("a"),
        pl.max_horizontal("plate", "other").alias("b"),
    )
    (
        pl.concat([same, beside])
        .select(*pair, "k")
        .group_by("a", "b")
        .agg(pl.len().alias("count"), pl.col("k").n_unique().alias("checkpoints"))
        .filter(pl.col("checkpoints") >= 3)
        .sort("count", descending=True)
        .collect(engine="streaming")
    )


# ---- one plate, one place


def interactive(args: argparse.Namespace) -> dict[str, Any]:
    """What is answered at once, on a table of the published size."""
    own = nullcontext() if args.db else own_postgres()
    with tempfile.TemporaryDirectory(prefix="kakou-bench-") as folder, own as postgres:
        settings = Settings(
            data_dir=Path(folder) / "server",
            database={"url": args.db if postgres is None else postgres.url},
            limits={"searches_per_hour": 0, "requests_per_minute": 0},
            analyses={"run_jobs": False},
            approval={"after_days": 0},
        )
        if args.only != "measure":
            prepare(settings, pictures=10, watched=10)
        context = create_app(settings).state.context
        now = datetime.now(UTC)
        result: dict[str, Any] = {}
        if args.only != "measure":
            result |= fill_table(context.database, settings, args.rows, now, args.seed)
        if args.only != "load":
            table = filled_table(context.database, now)
            result |= {"rows": table.rows}
            result |= timed(context, settings, _inquiry(context.database, now), args, table)
        context.database.close()
    return result


def _inquiry(database: Database, now: datetime) -> Inquiry:
    """Somebody who asks: an officer of this run."""
    name = f"bench-{secrets.token_hex(4)}"
    with database.write() as session:
        add_user(session, name=name, password=secrets.token_hex(12), role=Role.OFFICER, now=now)
    account = Account(name, name, Role.OFFICER, "", "", "", now + timedelta(days=1), True)
    return Inquiry(account, "127.0.0.1", now, **WHY)


def timed(
    context: Any, settings: Settings, inquiry: Inquiry, args: argparse.Namespace, table: Table
) -> dict[str, Any]:
    """Ask, each question of plates that were not asked about before."""
    draw = random.Random(args.seed)
    with context.database.read() as session:
        rows = session.execute(
            text("SELECT plate FROM plate ORDER BY passages DESC LIMIT 200")
        ).scalars()
        busy = list(rows)
        context.traffic.get(session)  # a server that has run for a minute has read these
        context.plates.refresh(session, inquiry.now)
    settle()  # as a server does
    since, until = inquiry.now - timedelta(days=364), inquiry.now
    stops: list[int] = []

    def ask_one(question: Any) -> int:
        with context.database.write() as session:
            return len(analyse(session, question, inquiry, context).findings)

    def route(plate: str, *, details: bool = False) -> None:
        with context.database.write() as session:
            found = look_up_trajectory(
                session, plate, inquiry, since=since, until=until, settings=settings,
                traffic=context.traffic.get(session), known=context.plates, details=details,
            )  # fmt: skip
        stops.append(len(found.stops))

    def companions(plate: str) -> None:
        ask_one(ask.Companions(plate=plate, since=since, until=until, **WHY))

    def collision(_plate: str) -> None:
        hour = inquiry.now - timedelta(hours=draw.randrange(24, 200))
        conditions = [
            ask.Condition(
                where=ask.Where(circle=f"{116 + draw.random():.4f},{35 + draw.random():.4f},9000"),
                since=hour + timedelta(hours=n), until=hour + timedelta(hours=n + 1),
            )
            for n in range(3)
        ]  # fmt: skip
        ask_one(ask.Collision(conditions=tuple(conditions), at_least=2, **WHY))

    count = args.samples
    living = draw.sample(table.residents, min(len(table.residents), 2 * count))
    crowd = draw.sample(table.crowd, 2 * count)
    half = len(living) // 2
    others = sorted(set(table.residents) - set(living))
    whole = draw.sample(others, min(len(others), count))
    with context.database.read() as session:
        counted = text("SELECT plate, passages FROM plate WHERE plate = ANY(:those)")
        rows = session.execute(counted, {"those": living}).all()
        seen = {row.plate: int(row.passages) for row in rows}
    found = {"route": _times(route, living[:half])}
    found["route"]["stops"] = statistics.median(stops)
    found["route"] |= _sightings(seen, living[:half])
    print("route", found["route"], file=sys.stderr)
    parts = {
        "one_plate": (companions, living[half:]),
        "collision": (collision, crowd[:count]),
        "route_crowd": (route, crowd[:count]),
        "route_busy": (route, busy[:count]),
        "route_whole": (partial(route, details=True), whole),
        "one_plate_crowd": (companions, crowd[count:]),
        "one_plate_busy": (companions, busy[:count]),
    }
    for name, (work, asked) in parts.items():
        found[name] = _times(work, asked)
        if name == "one_plate":
            found[name] |= _sightings(seen, asked)
        print(name, found[name], file=sys.stderr)
    return found


def _sightings(seen: dict[str, int], plates: list[str]) -> dict[str, float]:
    """How often plates were seen: what of the longer times is the question's, and not the answer's."""
    counts = [seen.get(plate, 0) for plate in plates]
    return {
        "sightings_p50": round(statistics.median(counts)),
        "sightings_p95": round(percentile(counts, 0.95)),
    }


def _times(work: Callable[[str], None], plates_asked: list[str]) -> dict[str, float]:
    times = []
    for plate in plates_asked:
        began = time.perf_counter()
        work(plate)
        times.append((time.perf_counter() - began) * 1000)
    return {
        "p50": round(statistics.median(times), 1),
        "p95": round(percentile(times, 0.95), 1),
        "asked": len(times),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analytics", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes; bars are only shown")
    parser.add_argument("--only", choices=("quality", "city", "interactive", *HALVES))
    parser.add_argument(
        "--db", default="", help="an empty PostgreSQL, or with --only measure a full one"
    )
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--vehicles", type=int, default=6_000)
    parser.add_argument("--checkpoints", type=int, default=500)
    parser.add_argument("--clones", type=int, default=60)
    parser.add_argument("--city-rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--samples", type=int, default=60)
    if "--quick" in sys.argv[1:]:
        parser.set_defaults(**QUICK)
    return parser


if __name__ == "__main__":
    sys.exit(main())
