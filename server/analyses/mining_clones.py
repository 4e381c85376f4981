"""Cloned plates of the whole city, in polars and numpy; judged by :mod:`server.analyses.clones`."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from server.analyses.clones import CloneRules, CloneVerdict, judge_plate, suspect_clocks
from server.analyses.mining import Coded, Progress, coded, quiet, sightings_of
from server.analyses.sighting import StraightLines
from server.checkpoints.service import CheckpointPlace
from server.trajectories.build import EARTH_RADIUS_M


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
