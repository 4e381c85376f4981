"""City-wide questions answered on day files: what a job does between its claim and its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from server.analyses import ask, mining, mining_clones, mining_habits, mining_spark
from server.analyses.answering import Desk
from server.analyses.archive import folder_of
from server.analyses.clones import CloneRules, CloneVerdict
from server.analyses.companions import CompanionRules, coincidences_of
from server.analyses.finding import Finding, Proof, Reason
from server.analyses.habits import absences, transit
from server.analyses.lessons import misread_passages, pair_limits
from server.analyses.of_plate import absence_finding, clone_finding, nocturnal_finding
from server.analyses.rows import Period
from server.analyses.sighting import Sighting

Tell = Callable[[str, float], None]
"""Told the step and how far it is; raises when the job is to stop."""
_PICTURED: Final = 300
"""So many of the first findings are given the passages that show them."""


@dataclass(frozen=True, slots=True)
class Mined:
    """What a job found; verdicts of a search for clones go to the queue too."""

    findings: tuple[Finding, ...]
    verdicts: tuple[CloneVerdict, ...] = ()


def mine(desk: Desk, question: ask.AskCity, frame: pl.LazyFrame, tell: Tell) -> Mined:
    """Answer a city-wide question from a frame of what may be seen."""
    work: Mapping[str, Callable[[Desk, Any, pl.LazyFrame, Tell], Mined]] = {
        "companions": _companions,
        "clones": _clones,
        "nocturnal": _nocturnal,
        "transit": _transit,
        "hidden": _hidden,
    }
    return work[question.kind](desk, question, frame, tell)


def _companions(desk: Desk, question: ask.CityCompanions, frame: pl.LazyFrame, tell: Tell) -> Mined:
    rules = CompanionRules(
        gap_s=question.gap_s,
        min_checkpoints=question.min_checkpoints,
        min_meetings=question.min_meetings,
    )
    top = _travelling_together(desk, frame, rules, tell)
    tell("pictures", 0.0)
    pictured = top.head(_PICTURED)
    plates = {*pictured["plate"].to_list(), *pictured["other_plate"].to_list()}
    routes = dict(mining.sightings_of(frame, plates))
    findings = []
    for row in top.iter_rows(named=True):
        pairs = coincidences_of(
            routes.get(row["plate"], ()), routes.get(row["other_plate"], ()), rules.gap_s
        ).get(row["other_plate"], [])
        shown = [pairs[0], pairs[len(pairs) // 2], pairs[-1]] if pairs else []
        proofs = dict.fromkeys(Proof.of(s) for pair in shown for s in (pair.mine, pair.other))
        findings.append(
            Finding(
                plate=row["plate"],
                other_plate=row["other_plate"],
                plate_color=pairs[-1].mine.plate_color if pairs else "unknown",
                other_color=pairs[-1].other.plate_color if pairs else "unknown",
                score=float(row["surprise"]),
                reasons=(
                    Reason(
                        "companion",
                        {
                            "count": row["count"],
                            "checkpoints": row["checkpoints"],
                            "meetings": row["meetings"],
                            "days": _days(row["first_t"], row["last_t"]),
                            "expected": round(float(row["expected"]), 3),
                        },
                    ),
                ),
                proofs=tuple(proofs),
            )
        )
    return Mined(tuple(findings))


def _travelling_together(
    desk: Desk, frame: pl.LazyFrame, rules: CompanionRules, tell: Tell
) -> pl.DataFrame:
    settings = desk.settings.analyses
    if settings.engine == "polars":
        return mining.city_companions(
            frame, rules, settings.keep_findings, lambda share: tell("mining", share)
        )
    # what may be seen goes to the cluster as a file of its own: day files hold everything
    with TemporaryDirectory(prefix="spark-", dir=folder_of(desk.settings)) as scratch:
        path = Path(scratch) / "seen.parquet"
        frame.select("plate", "checkpoint_id", "at").sink_parquet(path)
        tell("mining", 0.1)
        with mining_spark.spark_session(settings.spark_master) as spark:
            return mining_spark.city_companions(
                mining_spark.read(spark, [path]), rules, settings.keep_findings
            )


def _days(first_t: float, last_t: float) -> int:
    return (mining.instant(last_t).date() - mining.instant(first_t).date()).days + 1


def _clones(desk: Desk, question: ask.CityClones, frame: pl.LazyFrame, tell: Tell) -> Mined:
    misread = sorted(one.replace("-", "") for one in misread_passages(desk.session))
    if misread:
        frame = frame.filter(~pl.col("passage_id").is_in(misread))
    rules = CloneRules(clock_sigma_s=desk.settings.trajectory.clock_sigma_s)
    verdicts, _ = mining_clones.city_clones(
        frame,
        desk.places(),
        rules,
        max_kmh=desk.settings.trajectory.impossible_kmh,
        limits=pair_limits(desk.session),
        wrong_clocks=desk.wrong_clocks(Period(question.since, question.until)),
        progress=lambda share: tell("mining", share),
    )
    order = {"clone": 0, "doubtful": 1, "clock": 2, "misread": 3}
    verdicts.sort(key=lambda v: (order[v.cause], -v.score, v.plate))
    kept = verdicts[: desk.settings.analyses.keep_findings]
    return Mined(tuple(clone_finding(v) for v in kept), tuple(verdicts))


def _nocturnal(desk: Desk, question: ask.CityNocturnal, frame: pl.LazyFrame, tell: Tell) -> Mined:
    if not question.where.is_everywhere:
        frame = frame.filter(
            pl.col("checkpoint_id").is_in(sorted(desk.checkpoints(question.where)))
        )
    zone = ZoneInfo(desk.settings.display.time_zone)
    tell("mining", 0.1)
    found = mining_habits.city_nocturnal(
        frame, zone, min_share=question.min_share, min_nights=question.min_nights,
        top=desk.settings.analyses.keep_findings,
    )  # fmt: skip
    tell("pictures", 0.7)
    plates = [str(plate) for plate in found["plate"].to_list()]
    routes = dict(mining.sightings_of(frame, plates))
    findings = (nocturnal_finding(routes[plate], zone) for plate in plates)
    return Mined(tuple(one for one in findings if one is not None))


def _transit(desk: Desk, question: ask.CityTransit, frame: pl.LazyFrame, tell: Tell) -> Mined:
    within_s = question.within_hours * 3600
    tell("mining", 0.1)
    plates = mining_habits.city_transit(
        frame, within_s=within_s, top=desk.settings.analyses.keep_findings
    )
    tell("pictures", 0.7)
    routes = dict(mining.sightings_of(frame, plates))
    findings = []
    for plate in plates:
        found = transit(routes[plate], within_s=within_s)
        if found is not None:
            findings.append(_passing_through(routes[plate], found.duration_s))
    return Mined(tuple(findings))


def _passing_through(route: tuple[Sighting, ...], duration_s: float) -> Finding:
    came, went = route[0], route[-1]
    return Finding(
        plate=came.plate,
        plate_color=came.plate_color,
        score=-duration_s,
        reasons=(
            Reason(
                "transit",
                {
                    "from": came.checkpoint_id,
                    "to": went.checkpoint_id,
                    "minutes": round(duration_s / 60),
                    "count": len(route),
                },
            ),
        ),
        proofs=(Proof.of(came), Proof.of(went)),
    )


def _hidden(desk: Desk, question: ask.CityHidden, frame: pl.LazyFrame, tell: Tell) -> Mined:
    tell("ways", 0.0)
    ways = mining_habits.city_ways(frame)
    tell("mining", 0.5)
    plates = mining_habits.missing_often(
        frame, ways, min_times=question.min_times, min_share=question.min_share
    )
    findings = []
    for number, (_, route) in enumerate(mining.sightings_of(frame, plates)):
        found = absences(route, ways, min_times=question.min_times, min_share=question.min_share)
        findings += [absence_finding(route[0], one) for one in found]
        if number % 500 == 0:
            tell("judging", number / max(1, len(plates)))
    findings.sort(key=lambda f: (-f.score, f.plate))
    return Mined(tuple(findings[: desk.settings.analyses.keep_findings]))


def since_floor(since: datetime, floor: datetime | None) -> datetime:
    """The beginning of a period that is open."""
    return since if floor is None else max(since, floor)
