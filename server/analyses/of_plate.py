"""The analyses of one vehicle: companions, clones, nights, stays, what it avoids."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from server.analyses import ask
from server.analyses.answering import Desk, Findings
from server.analyses.clones import CloneRules, CloneVerdict, judge_plate
from server.analyses.companions import (
    CellCounts,
    Companion,
    CompanionRules,
    cell_of,
    coincidences_of,
    rank_companions,
)
from server.analyses.finding import Finding, Proof, Reason
from server.analyses.habits import Absence, Haunt, absences, haunts, night_of, nocturnal
from server.analyses.lessons import misread_passages
from server.analyses.rows import (
    Period,
    neighbours,
    sightings_at,
    sightings_of_plates,
)
from server.analyses.sighting import Sighting
from server.analyses.traffic import rides, shares_between
from server.analyses.whereabouts import cells_of_plates

MAX_CANDIDATES = 200
"""Companions are ranked among so many; a longer list is cut by count first."""
LEAST_SURPRISE = 1.0
"""Whoever asks about one vehicle is shown what one in ten would do by chance, too, with its score."""
SHOWN = 6
"""Pictures of one finding."""
_SAMPLE_DAYS = 3
_SAMPLE_PLATES = 300
_MAX_WAYS = 8
_LEG_S = 3600.0


def companions(desk: Desk, question: ask.Companions) -> Findings:
    """Who travels with this vehicle, ranked by surprise."""
    mine, period = desk.route(question.plate, question)
    rules = CompanionRules(
        gap_s=question.gap_s,
        min_checkpoints=question.min_checkpoints,
        min_meetings=question.min_meetings,
        min_surprise=LEAST_SURPRISE,
    )
    others = neighbours(desk.session, mine, rules.gap_s, desk.sight)
    found = coincidences_of(mine, others, rules.gap_s)
    able = [
        plate
        for plate, pairs in found.items()
        if len({c.mine.checkpoint_id for c in pairs}) >= rules.min_checkpoints
    ]
    able.sort(key=lambda plate: (-len(found[plate]), plate))
    kept = {plate: found[plate] for plate in able[:MAX_CANDIDATES]}
    # how often somebody is there anyway only makes him less surprising, and over a year it is long
    # to count: it is asked of those alone who could be listed without it
    hopeful = rank_companions(mine, kept, CellCounts.of({}), period.length, rules)
    kept = {one.plate: found[one.plate] for one in hopeful}
    shared = {cell_of(s.checkpoint_id, s.at) for s in mine}
    cells = cells_of_plates(desk.session, list(kept), shared, period, desk.sight)
    ranked = rank_companions(mine, kept, cells, period.length, rules)
    most = desk.settings.analyses.max_findings
    return Findings(
        tuple(companion_finding(mine[0], one) for one in ranked[:most]),
        examined=len(mine) + len(others),
        truncated=len(ranked) > most or len(able) > MAX_CANDIDATES,
    )


def companion_finding(subject: Sighting, one: Companion) -> Finding:
    """A companion as a line of the answer: how often, against chance, first and last together."""
    pairs = one.coincidences
    shown = [pairs[0], *pairs[len(pairs) // 2 : len(pairs) // 2 + 1], pairs[-1]]
    proofs = dict.fromkeys(Proof.of(s) for pair in shown for s in (pair.mine, pair.other))
    return Finding(
        plate=subject.plate,
        other_plate=one.plate,
        plate_color=subject.plate_color,
        other_color=pairs[-1].other.plate_color,
        score=one.surprise,
        reasons=(
            Reason(
                "companion",
                {
                    "count": one.count,
                    "checkpoints": one.checkpoints,
                    "meetings": one.meetings,
                    "days": one.days,
                    "expected": round(one.expected_meetings, 3),
                },
            ),
            Reason("leads", {"percent": round(100 * one.leads)}),
        ),
        proofs=tuple(proofs),
    )


def clones(desk: Desk, question: ask.Clones) -> Findings:
    """Where this plate was and one vehicle cannot have been."""
    route, period = desk.route(question.plate, question)
    misread = misread_passages(desk.session)
    sightings = [s for s in route if str(s.passage_id) not in misread]
    verdict = judge_plate(
        route[0].plate if route else "",
        sightings,
        desk.times(),
        CloneRules(clock_sigma_s=desk.settings.trajectory.clock_sigma_s),
        desk.wrong_clocks(period),
    )
    found = () if verdict is None else (clone_finding(verdict),)
    return Findings(found, examined=len(route))


def clone_finding(verdict: CloneVerdict) -> Finding:
    """A verdict as a line of an answer: the likeliest cause, and the hardest conflicts."""
    hardest = sorted(verdict.conflicts, key=lambda c: -c.speed_kmh)[: SHOWN // 2]
    reasons = [
        Reason(
            f"cause_{verdict.cause}",
            {"checkpoint": verdict.clock_checkpoint_id} if verdict.cause == "clock" else {},
        )
    ]
    reasons += [
        Reason(
            "conflict",
            {
                "from": c.start.checkpoint_id,
                "to": c.end.checkpoint_id,
                "km": round(c.distance_m / 1000, 1),
                "seconds": round(c.duration_s),
                "kmh": round(c.speed_kmh),
                "needs": round(c.shortest_s),
            },
        )
        for c in hardest
    ]
    furthest = sorted(verdict.jumps, key=lambda c: -c.distance_m)[
        : max(1, SHOWN // 2 - len(hardest))
    ]
    if furthest:
        facts = {"changes": verdict.changes, "gain": round(verdict.gain)}
        reasons.append(Reason("two_tracks", facts))
    reasons += [
        Reason(
            "jump",
            {
                "from": c.start.checkpoint_id,
                "to": c.end.checkpoint_id,
                "km": round(c.distance_m / 1000, 1),
                "minutes": round(c.duration_s / 60),
            },
        )
        for c in furthest
    ]
    if verdict.colors is not None:
        one, other = verdict.colors
        reasons.append(Reason("colors", {"color": one, "other_color": other}))
    proofs = dict.fromkeys(Proof.of(s) for c in (*hardest, *furthest) for s in (c.start, c.end))
    last = verdict.evidence[-1].end
    return Finding(
        plate=verdict.plate,
        plate_color=last.plate_color,
        score=verdict.score,
        reasons=tuple(reasons),
        proofs=tuple(proofs),
    )


def nights(desk: Desk, question: ask.Nocturnal) -> Findings:
    """How much of this vehicle's life is night."""
    route, _ = desk.route(question.plate, question)
    finding = nocturnal_finding(route, ZoneInfo(desk.settings.display.time_zone))
    return Findings((finding,) if finding else (), examined=len(route))


def nocturnal_finding(route: Sequence[Sighting], zone: ZoneInfo) -> Finding | None:
    """A plate's nights as a line of an answer; None of a plate that was never seen."""
    if not route:
        return None
    found = nocturnal([s.at for s in route], zone)
    at_night = [s for s in route if night_of(s.at, zone) is not None]
    return Finding(
        plate=route[0].plate,
        plate_color=route[-1].plate_color,
        score=found.share * found.nights,
        reasons=(
            Reason(
                "nocturnal",
                {
                    "nights": found.nights,
                    "in_a_row": found.in_a_row,
                    "at_night": found.at_night,
                    "by_day": found.by_day,
                    "percent": round(100 * found.share),
                },
            ),
        ),
        proofs=tuple(Proof.of(s) for s in at_night[-SHOWN:]),
    )


def stays(desk: Desk, question: ask.Stays) -> Findings:
    """Where this vehicle comes to stay."""
    route, _ = desk.route(question.plate, question)
    found = haunts(
        route, desk.times(), stay_s=question.stay_hours * 3600, min_stays=question.min_stays
    )
    most = desk.settings.analyses.max_findings
    return Findings(
        tuple(_haunt(route[0], one) for one in found[:most]),
        examined=len(route),
        truncated=len(found) > most,
    )


def _haunt(subject: Sighting, one: Haunt) -> Finding:
    last = one.stays[-3:]
    return Finding(
        plate=subject.plate,
        plate_color=subject.plate_color,
        score=one.score,
        reasons=(
            Reason(
                "stay",
                {
                    "checkpoint": one.checkpoint_id,
                    "stays": len(one.stays),
                    "hours": round(one.total_s / 3600, 1),
                },
            ),
        ),
        proofs=tuple(
            dict.fromkeys(Proof.of(s) for stay in last for s in (stay.before, stay.after))
        ),
    )


def hidden(desk: Desk, question: ask.Hidden) -> Findings:
    """Where this plate should have been read and was not."""
    route, period = desk.route(question.plate, question)
    ways = {
        (a, b): shares
        for a, b in _frequent_legs(route, question.min_times)
        if (shares := _shares(desk, a, b, period))
    }
    found = absences(
        route, ways, min_share=question.min_share, min_times=question.min_times, within_s=_LEG_S
    )
    return Findings(tuple(absence_finding(route[0], one) for one in found), examined=len(route))


def _frequent_legs(route: Sequence[Sighting], least: int) -> list[tuple[str, str]]:
    legs = Counter(
        (a.checkpoint_id, b.checkpoint_id)
        for a, b in pairwise(route)
        if a.checkpoint_id != b.checkpoint_id and (b.at - a.at).total_seconds() <= _LEG_S
    )
    return [leg for leg, n in legs.most_common(_MAX_WAYS) if n >= least]


def _shares(desk: Desk, start: str, end: str, period: Period) -> dict[str, float]:
    """Of other vehicles that went this way lately, the share that was read at each place between."""
    sample = Period(max(period.since, period.until - timedelta(days=_SAMPLE_DAYS)), period.until)
    starts = sightings_at(desk.session, [start], sample, desk.sight)
    ends = sightings_at(desk.session, [end], sample, desk.sight)
    found = rides(starts, ends, _LEG_S)[-2000:]
    plates = sorted({ride.start.plate for ride in found})[:_SAMPLE_PLATES]
    kept = [ride for ride in found if ride.start.plate in set(plates)]
    if len(plates) < 20:
        return {}
    between = sightings_of_plates(desk.session, plates, sample, desk.sight)
    return shares_between(kept, [s for those in between.values() for s in those])


def absence_finding(subject: Sighting, one: Absence) -> Finding:
    """An absence as a line of an answer."""
    return Finding(
        plate=subject.plate,
        plate_color=subject.plate_color,
        score=min(one.surprise, 99.0),
        reasons=(
            Reason(
                "absence",
                {
                    "checkpoint": one.missed_at,
                    "from": one.after,
                    "to": one.then,
                    "missed": len(one.times),
                    "of": one.of,
                    "expected": round(one.expected_misses, 1),
                },
            ),
        ),
        proofs=tuple(dict.fromkeys(Proof.of(s) for pair in one.times[-3:] for s in pair)),
    )
