"""Cloned plates of the whole city, in polars and numpy; judged by :mod:`server.analyses.clones`."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from server.analyses.clones import (
    CloneRules,
    CloneVerdict,
    Conflict,
    differing_colors,
    judge_plate,
    suspect_clocks,
)
from server.analyses.mining import Coded, Progress, coded, quiet, sightings_of
from server.analyses.mining_clocks import least_times, unsteady_clocks
from server.analyses.sighting import Sighting, StraightLines
from server.analyses.tracks import (
    COLORS_MOST,
    MOST_CHECKPOINTS,
    Divided,
    Floats,
    Ints,
    TrackRules,
    divide,
    jumps,
    learn_habits,
)
from server.checkpoints.service import CheckpointPlace
from server.trajectories.build import EARTH_RADIUS_M


@dataclass(frozen=True, slots=True)
class _City:
    """What the search knows: the passages as numbers, the ways, whom not to believe."""

    data: Coded
    times: StraightLines
    least_s: NDArray[np.float32]
    distrusted: frozenset[str]


def city_clones(  # noqa: PLR0913 - what was seen, where that is, by which rules
    frame: pl.LazyFrame,
    places: Mapping[str, CheckpointPlace],
    rules: CloneRules,
    *,
    max_kmh: float,
    limits: Mapping[tuple[str, str], float] | None = None,
    wrong_clocks: Collection[str] = (),
    tracks: TrackRules | None = None,
    progress: Progress = quiet,
) -> tuple[list[CloneVerdict], dict[str, int]]:
    """Judge every plate that conflicts or jumps; and the checkpoints whose clocks are suspected.

    One pass over all legs keeps what nobody drives; only plates that have such a leg are looked at
    closely, and those that are seen now here, now there, more often than anything but a second
    vehicle explains. What stands at a checkpoint with a wrong clock is evidence of nothing.
    The suspected checkpoints come with the number of plates that conflict there.
    """
    data = coded(frame)
    progress(0.2)
    plate, place, at_s = _columns(data)
    unsteady = unsteady_clocks(plate, place, at_s, places=len(data.checkpoints))
    learned = least_times(plate, place, at_s, places=len(data.checkpoints))
    line_s = _line_s(data, places, rules, max_kmh)
    names = data.checkpoints.to_list()
    # what is slower than anybody drives proves nothing alone, there may be a quicker way: it adds
    # to what the whole route says
    times = StraightLines(places, max_kmh, limits)
    least_s = np.where(line_s > 0, np.maximum(line_s, learned - 2.0 * rules.clock_sigma_s), 0.0)
    progress(0.4)
    legs = _fast_legs(data, line_s)
    passing = Counter(
        {
            names[k]: n
            for k, n in data.rows.group_by("k").agg(pl.col("p").n_unique()).iter_rows()
        }
    )  # fmt: skip
    suspects = _suspects(data, legs, passing, rules)
    suspects |= {names[k]: suspects.get(names[k], 0) for k in unsteady}
    town = _City(data, times, least_s.astype(np.float32), frozenset({*suspects, *wrong_clocks}))
    verdicts: dict[str, CloneVerdict] = {}
    wanted = [data.plates[p] for p in legs["p"].unique().to_list()]
    for number, (plate_text, sightings) in enumerate(sightings_of(frame, wanted)):
        verdict = judge_plate(plate_text, sightings, times, rules, town.distrusted)
        if verdict is not None:
            verdicts[plate_text] = verdict
        if number % 500 == 0:
            progress(0.4 + 0.2 * number / max(1, len(wanted)))
    for two in _two_vehicles(frame, town, rules, tracks or TrackRules(rest_s=rules.trip_gap_s),
                             progress):  # fmt: skip
        verdicts[two.plate] = _joined(verdicts.get(two.plate), two)
    found = sorted(verdicts.values(), key=lambda v: (-v.score, -len(v.evidence), v.plate))
    return found, suspects


def _joined(conflicting: CloneVerdict | None, two: CloneVerdict) -> CloneVerdict:
    """One verdict of what conflicts and what jumps; a wrong clock's conflicts are left out."""
    if conflicting is None or conflicting.cause == "clock":
        return two
    return replace(
        two,
        conflicts=conflicting.conflicts,
        colors=two.colors or conflicting.colors,
        score=two.score + conflicting.score,
    )


def _columns(data: Coded) -> tuple[Ints, Ints, Floats]:
    return (
        data.rows["p"].to_numpy().astype(np.int64),
        data.rows["k"].to_numpy().astype(np.int64),
        data.rows["t"].to_numpy(),
    )


def _line_s(
    data: Coded, places: Mapping[str, CheckpointPlace], rules: CloneRules, max_kmh: float
) -> NDArray[np.float32]:
    """Seconds under which nobody drives the straight line, from each to each; 0 of what is near."""
    lat, lon = positions(data.checkpoints, places)
    metres = great_circle_m(lat[:, None], lon[:, None], lat[None, :], lon[None, :])
    least_s = metres / (max_kmh / 3.6) - 2.0 * rules.clock_sigma_s
    found: NDArray[np.float32] = np.where(metres >= rules.min_distance_m, least_s, 0.0).astype(
        np.float32
    )
    return found


def _two_vehicles(
    frame: pl.LazyFrame, town: _City, rules: CloneRules, tracks: TrackRules, progress: Progress
) -> Iterator[CloneVerdict]:
    """Plates that two vehicles explain far better than one."""
    names = town.data.checkpoints.to_list()
    if not 0 < len(names) <= MOST_CHECKPOINTS:
        return
    believed = np.array([name not in town.distrusted for name in names], bool)
    plate, place, at_s = _columns(town.data)
    sure = believed[place]
    plate, place, at_s = plate[sure], place[sure], at_s[sure]
    habits = learn_habits(plate, place, at_s, town.least_s, places=len(names), rest_s=tracks.rest_s)
    plates = len(town.data.plates)
    often = jumps(plate, place, at_s, habits, plates)
    seen = np.bincount(plate, minlength=plates)
    wanted = np.flatnonzero((often >= tracks.least_jumps) & (often >= tracks.jump_share * seen))
    begin, end = np.searchsorted(plate, wanted), np.searchsorted(plate, wanted, side="right")
    likely = []
    for number, (p, first, last) in enumerate(zip(wanted, begin, end, strict=True)):
        rows = slice(first, last)
        found = divide(place[rows], at_s[rows], None, habits, tracks)
        # colors can still tell for or against
        if found is not None and found.gain >= tracks.least_gain - COLORS_MOST:
            likely.append(town.data.plates[int(p)])
        if number % 100 == 0:
            progress(0.6 + 0.3 * number / len(wanted))
    number_of = {name: n for n, name in enumerate(names)}
    for text, sightings in sightings_of(frame, likely):
        kept = [s for s in sightings if s.checkpoint_id not in town.distrusted]
        where = np.array([number_of[s.checkpoint_id] for s in kept], np.int64)
        when = np.array([s.at.timestamp() for s in kept])
        found = divide(where, when, [s.vehicle_color for s in kept], habits, tracks)
        if found is not None and found.convinces(tracks):
            yield _verdict(text, kept, found, town, rules)


def _verdict(
    plate: str, kept: Sequence[Sighting], found: Divided, town: _City, rules: CloneRules
) -> CloneVerdict:
    second = set(found.second)
    order = sorted({*found.first, *found.second})
    changes = [
        (kept[a], kept[b]) for a, b in pairwise(order) if (a in second) != (b in second)
    ]  # fmt: skip
    legs = []
    for start, end in changes:
        metres = town.times.distance_m(start.checkpoint_id, end.checkpoint_id) or 0.0
        if metres >= rules.min_distance_m:
            least_s = town.times.shortest_s(start.checkpoint_id, end.checkpoint_id) or 0.0
            took_s = (end.at - start.at).total_seconds()
            legs.append(Conflict(start, end, metres, took_s, least_s))
    vehicles = tuple(tuple(kept[n] for n in side) for side in (found.first, found.second))
    return CloneVerdict(
        plate, "clone", min(found.gain, 100.0) / 10.0, (), vehicles,
        colors=differing_colors(vehicles), jumps=tuple(legs), gain=found.gain,
        changes=found.changes,
    )  # fmt: skip


def _suspects(
    data: Coded, legs: pl.DataFrame, passing: Counter[str], rules: CloneRules
) -> dict[str, int]:
    named = (
        (data.plates[p], data.checkpoints[i], data.checkpoints[k])
        for p, i, k in legs.unique().iter_rows()
    )
    return suspect_clocks(named, passing, rules)


def _fast_legs(data: Coded, line_s: NDArray[np.float32]) -> pl.DataFrame:
    """Consecutive sightings of a plate that nobody drives between: ``p``, ``i`` to ``k``."""
    p, k, t = (data.rows[name].to_numpy() for name in ("p", "k", "t"))
    if len(p) < 2:
        return pl.DataFrame({"p": [], "i": [], "k": []}, schema=dict.fromkeys("pik", pl.UInt32))
    same = np.flatnonzero((p[1:] == p[:-1]) & (k[1:] != k[:-1]))
    i, j = k[same], k[same + 1]
    fast = t[same + 1] - t[same] < line_s[i, j]
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
