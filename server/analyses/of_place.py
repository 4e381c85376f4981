"""The analyses of places: who was in all of them, who is new, who comes often, how traffic flows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from server.analyses import ask
from server.analyses.answering import Desk, Findings, require_days, whole
from server.analyses.finding import Finding, Proof, Reason
from server.analyses.of_plate import SHOWN
from server.analyses.rows import (
    Period,
    counts_at,
    flow,
    plates_at,
    seen_in,
    sightings_at,
    sightings_of_plates,
)
from server.analyses.sighting import Sighting
from server.analyses.traffic import congestion, rides, section_speeds, travel_time
from server.analyses.whereabouts import sightings_of_plate
from server.errors import InvalidRequest

WEEK = timedelta(days=7)
_MAX_RIDE_S = 2 * 3600.0
_MAX_PAIRS = 56
_FLOW_CHECKPOINTS = 50
_TRAVEL_CHECKPOINTS = 8


def collision(desk: Desk, question: ask.Collision) -> Findings:
    """Plates that were in all the places at the times, or in at least so many of them."""
    needed = question.at_least or len(question.conditions)
    if needed > len(question.conditions):
        raise InvalidRequest("at_least: more than there are places", field="at_least")
    where = [desk.checkpoints(one.where) for one in question.conditions]
    when = [desk.period(one.since, one.until) for one in question.conditions]
    met: dict[str, set[int]] = defaultdict(set)
    examined = 0
    for number, (places, period) in enumerate(zip(where, when, strict=True)):
        for plate, count in counts_at(desk.session, places, period, desk.sight).items():
            met[plate].add(number)
            examined += count
    common = {plate: those for plate, those in met.items() if len(those) >= needed}
    # the fewer chances there were in the rarest place, the more it says: plates in more places
    # first, then by name
    ranked = sorted(common, key=lambda plate: (-len(common[plate]), plate))
    most = desk.settings.analyses.max_findings
    shown = ranked[:most]
    proofs: dict[str, list[Sighting]] = defaultdict(list)
    for places, period in zip(where, when, strict=True):
        firsts: dict[str, Sighting] = {}
        for one in sightings_at(desk.session, places, period, desk.sight, plates=shown):
            firsts.setdefault(one.plate, one)
        for plate, one in firsts.items():
            proofs[plate].append(one)
    findings = [
        Finding(
            plate=plate,
            plate_color=proofs[plate][0].plate_color if proofs[plate] else "unknown",
            score=float(len(common[plate])),
            reasons=(
                Reason(
                    "collision",
                    {
                        "met": len(common[plate]),
                        "of": len(question.conditions),
                        "which": ", ".join(str(n + 1) for n in sorted(common[plate])),
                    },
                ),
            ),
            proofs=tuple(Proof.of(s) for s in proofs[plate]),
        )
        for plate in shown
    ]
    return Findings(tuple(findings), examined=examined, truncated=len(ranked) > most)


def first_entry(desk: Desk, question: ask.FirstEntry) -> Findings:
    """Plates that came in and had not been seen anywhere for so many days before."""
    require_days(question, desk.settings.analyses.max_days)
    places = desk.checkpoints(question.where)
    period = desk.period(question.since, question.until)
    directions = (question.direction,) if question.direction else ()
    came = plates_at(desk.session, places, period, desk.sight, directions=directions)
    quiet_from = desk.period(period.since - timedelta(days=question.quiet_days), period.since)
    known = seen_in(desk.session, sorted(came), quiet_from, desk.sight)
    new = sorted((first, plate) for plate, (_, first, _) in came.items() if plate not in known)
    most = desk.settings.analyses.max_findings
    shown = [plate for _, plate in new[-most:]]
    sightings = sightings_of_plates(desk.session, shown, period, desk.sight)
    # whoever was seen elsewhere within the period before he came in was here already
    findings = [
        _entry(plate, sightings[plate], set(places), question.quiet_days)
        for plate in reversed(shown)
        if sightings[plate][0].checkpoint_id in places
    ]
    return Findings(
        tuple(findings),
        examined=sum(count for count, _, _ in came.values()),
        truncated=len(new) > most,
    )


def _entry(plate: str, route: Sequence[Sighting], entries: set[str], quiet_days: int) -> Finding:
    first = next(s for s in route if s.checkpoint_id in entries)
    return Finding(
        plate=plate,
        plate_color=first.plate_color,
        score=first.at.timestamp(),
        reasons=(
            Reason(
                "first_entry",
                {
                    "checkpoint": first.checkpoint_id,
                    "at": first.at.isoformat(),
                    "days": quiet_days,
                    "since_then": len(route) - 1,
                },
            ),
        ),
        proofs=tuple(Proof.of(s) for s in (first, *route[-1:]))[: 2 if len(route) > 1 else 1],
    )


def frequent(desk: Desk, question: ask.Frequent) -> Findings:
    """Plates that pass a place often."""
    require_days(question, desk.settings.analyses.max_days)
    places = desk.checkpoints(question.where)
    period = desk.period(question.since, question.until)
    counted = plates_at(desk.session, places, period, desk.sight)
    often = sorted(
        (plate for plate, (n, _, _) in counted.items() if n >= question.at_least),
        key=lambda plate: (-counted[plate][0], plate),
    )
    most = desk.settings.analyses.max_findings
    shown = often[:most]
    sightings: dict[str, list[Sighting]] = defaultdict(list)
    for one in sightings_at(desk.session, places, period, desk.sight, plates=shown):
        sightings[one.plate].append(one)
    findings = [
        Finding(
            plate=plate,
            plate_color=sightings[plate][-1].plate_color,
            score=float(counted[plate][0]),
            reasons=(
                Reason(
                    "frequent",
                    {
                        "count": counted[plate][0],
                        "days": len({s.at.date() for s in sightings[plate]}),
                        "checkpoints": len({s.checkpoint_id for s in sightings[plate]}),
                    },
                ),
            ),
            proofs=tuple(Proof.of(s) for s in sightings[plate][-3:]),
        )
        for plate in shown
        if sightings[plate]
    ]
    return Findings(
        tuple(findings),
        examined=sum(n for n, _, _ in counted.values()),
        truncated=len(often) > most,
    )


def counterfeit(desk: Desk, question: ask.Counterfeit) -> Findings:
    """Vehicles that do not look like what their plate is registered for.

    Raises:
        InvalidRequest: no register is connected.
        Unavailable: it does not answer.
    """
    if desk.register is None:
        raise InvalidRequest("no vehicle register is connected", field="register")
    period = desk.period(question.since, question.until)
    if question.plate is not None:
        plate = whole(question.plate)
        route = sightings_of_plate(
            desk.session, plate, period, desk.sight, desk.settings.analyses.max_sightings
        )
        routes: Mapping[str, Sequence[Sighting]] = {plate: route} if route else {}
    else:
        require_days(question, 7)
        places = desk.checkpoints(question.where)
        grouped: dict[str, list[Sighting]] = defaultdict(list)
        for one in sightings_at(desk.session, places, period, desk.sight, limit=20_000):
            grouped[one.plate].append(one)
        routes = grouped
    findings: list[Finding] = []
    examined = sum(map(len, routes.values()))
    asked = [plate for plate, those in routes.items() if len(those) >= question.min_passages]
    most = desk.settings.analyses.max_findings
    for plate in sorted(asked):
        registered = desk.register.find(plate)
        against = [
            (s, why)
            for s in routes[plate]
            if (why := unlike(s, [(r.plate_kind, r.vehicle_color) for r in registered]))
        ]
        if len(against) >= question.min_passages and len(against) * 2 > len(routes[plate]):
            findings.append(_counterfeit(plate, against, len(routes[plate])))
    findings.sort(key=lambda f: (-f.score, f.plate))
    return Findings(tuple(findings[:most]), examined=examined, truncated=len(findings) > most)


def unlike(one: Sighting, registered: Sequence[tuple[str, str]]) -> str:
    """What of a sighting no registration agrees with: '', ``unregistered``, ``kind`` or ``color``."""
    if not registered:
        return "unregistered"

    def agrees(seen: str, said: str) -> bool:
        return "unknown" in {seen, said} or seen == said

    of_kind = [color for kind, color in registered if agrees(one.plate_kind, kind)]
    if not of_kind:
        return "kind"
    return "" if any(agrees(one.vehicle_color, color) for color in of_kind) else "color"


def _counterfeit(plate: str, against: Sequence[tuple[Sighting, str]], of: int) -> Finding:
    last, why = against[-1]
    return Finding(
        plate=plate,
        plate_color=last.plate_color,
        score=float(len(against)),
        reasons=(Reason(f"register_{why}", {"count": len(against), "of": of}),),
        proofs=tuple(Proof.of(s) for s, _ in against[-SHOWN:]),
    )


def section_speed(desk: Desk, question: ask.SectionSpeed) -> Findings:
    """Vehicles whose average over the section was above the limit, with both clocks at their worst."""
    require_days(question, 7)
    period = desk.period(question.since, question.until)
    places = [desk.checkpoints(ask.Where(checkpoint_ids=(one,)))
              for one in (question.from_id, question.to_id)]  # fmt: skip
    starts, ends = (sightings_at(desk.session, one, period, desk.sight) for one in places)
    found = section_speeds(
        rides(starts, ends, _MAX_RIDE_S), question.length_m, desk.settings.trajectory.clock_sigma_s
    )
    over = [one for one in found if one.least_kmh > question.limit_kmh]
    most = desk.settings.analyses.max_findings
    findings = [
        Finding(
            plate=one.ride.start.plate,
            plate_color=one.ride.end.plate_color,
            score=one.least_kmh,
            reasons=(
                Reason(
                    "section_speed",
                    {
                        "kmh": round(one.speed_kmh, 1),
                        "least": round(one.least_kmh, 1),
                        "limit": round(question.limit_kmh, 1),
                        "seconds": round(one.ride.duration_s, 1),
                        "metres": round(question.length_m),
                    },
                ),
            ),
            proofs=(Proof.of(one.ride.start), Proof.of(one.ride.end)),
        )
        for one in over[:most]
    ]
    return Findings(tuple(findings), examined=len(starts) + len(ends), truncated=len(over) > most)


def flows(desk: Desk, question: ask.Flow) -> Findings:
    """Vehicles per checkpoint and hour, by lane and kind, beside the same hours a week before."""
    require_days(question, 7)
    places = desk.checkpoints(question.where)
    if len(places) > _FLOW_CHECKPOINTS:
        raise InvalidRequest(f"where: at most {_FLOW_CHECKPOINTS} checkpoints", field="where")
    period = desk.period(question.since, question.until)
    now = flow(desk.session, places, period, desk.sight)
    floor = desk.sight.floor
    earlier = Period(period.since - WEEK, period.until - WEEK)
    before = [] if floor is not None and earlier.since < floor else flow(
        desk.session, places, earlier, desk.sight
    )  # fmt: skip
    totals: dict[tuple[str, datetime], dict[str, Any]] = {}
    for rows, shift, name in ((now, timedelta(0), "vehicles"), (before, WEEK, "week_before")):
        for row in rows:
            hour = totals.setdefault(
                (row.checkpoint_id, row.hour_at + shift),
                {"vehicles": 0, "week_before": 0, "lanes": {}, "kinds": {}},
            )
            hour[name] += row.vehicles
            if name == "vehicles":
                lane = "" if row.lane is None else str(row.lane)
                for group, key in (("lanes", lane), ("kinds", row.plate_kind)):
                    hour[group][key] = hour[group].get(key, 0) + row.vehicles
    return Findings(
        rows=tuple(
            {"checkpoint_id": place, "hour_at": at.isoformat(), **values}
            for (place, at), values in sorted(totals.items())
        ),
        examined=sum(row.vehicles for row in (*now, *before)),
    )


def travel_times(desk: Desk, question: ask.TravelTimes) -> Findings:
    """How long it took between checkpoints, beside the same hours a week before, and congestion."""
    require_days(question, 7)
    places = desk.checkpoints(question.where)
    if not 2 <= len(places) <= _TRAVEL_CHECKPOINTS:
        raise InvalidRequest(f"where: 2 to {_TRAVEL_CHECKPOINTS} checkpoints", field="where")
    period = desk.period(question.since, question.until)
    earlier = Period(period.since - WEEK, period.until - WEEK)
    floor = desk.sight.floor
    by_place = [
        _grouped(
            sightings_at(desk.session, places, part, desk.sight)
            if floor is None or part.since >= floor
            else []
        )
        for part in (period, earlier)
    ]
    lines = desk.times()
    rows: list[dict[str, Any]] = []
    for start in places:
        for end in places:
            if start == end:
                continue
            then_now = [
                travel_time(rides(part.get(start, ()), part.get(end, ()), _MAX_RIDE_S))
                for part in by_place
            ]
            now, usual = then_now
            if now is None:
                continue
            rows.append(
                {
                    "from_id": start,
                    "to_id": end,
                    "vehicles": now.vehicles,
                    "median_s": round(now.median_s, 1),
                    "q15_s": round(now.q15_s, 1),
                    "q85_s": round(now.q85_s, 1),
                    "week_before_s": None if usual is None else round(usual.median_s, 1),
                    "distance_m": lines.distance_m(start, end),
                    "congestion": None if usual is None else round(congestion(now, usual), 2),
                }
            )
    rows.sort(key=lambda row: (-(row["congestion"] or 0.0), row["from_id"], row["to_id"]))
    examined = sum(len(those) for part in by_place for those in part.values())
    return Findings(rows=tuple(rows[:_MAX_PAIRS]), examined=examined)


def _grouped(sightings: Sequence[Sighting]) -> dict[str, list[Sighting]]:
    found: dict[str, list[Sighting]] = defaultdict(list)
    for one in sightings:
        found[one.checkpoint_id].append(one)
    return found
