"""The demo's county as a road graph that simulated vehicles drive on, and checkpoints along it.

The roads of :mod:`demo.city` are cut where they cross and joined where one ends at another, so that
every simulated checkpoint lies on a road of the map.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from benchmarks.simulation.city import City
from demo.city import OUTER_ROADS, ROADS, Road

CHECKPOINTS = 64
ZONES = 40
_ROADS = (*ROADS, *OUTER_ROADS)
_KMH = {1: 62.0, 2: 46.0, 3: 32.0}
_JOIN_M = 130.0
"""A road ends at another one that is so near."""
_OUTSIDE_M = 5_500.0
"""What ends so far from the centre leaves the county."""
_BORDER_M = 5_200.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A simulated checkpoint by its number in the city: on which road, driving which way."""

    number: int
    name: str
    name_en: str
    road: str


@dataclass(slots=True)
class _Graph:
    points: list[Point] = field(default_factory=list)
    links: list[tuple[int, int, int]] = field(default_factory=list)
    """From, to, and the number of the road."""
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def node(self, point: Point) -> int:
        """The node at a point, to the decimetre."""
        key = (round(point[0] * 10), round(point[1] * 10))
        if key not in self._known:
            self._known[key] = len(self.points)
            self.points.append(point)
        return self._known[key]


def make_streets(seed: int) -> tuple[City, tuple[Checkpoint, ...]]:
    """The county as a city of the simulation; which streets are watched depends on the seed."""
    graph = _graph()
    rng = np.random.default_rng(seed)
    east, north = (np.array(column) for column in zip(*graph.points, strict=True))
    begin, end, road = (np.array(column) for column in zip(*graph.links, strict=True))
    metres = np.maximum(1.0, np.hypot(east[begin] - east[end], north[begin] - north[end]))
    kmh = np.array([_KMH[_ROADS[n].rank] for n in road.tolist()])
    from_centre = np.hypot(east, north)
    leaves = (from_centre[begin] >= _BORDER_M) & (from_centre[end] >= _BORDER_M)
    outward = from_centre[end] > from_centre[begin]
    watched = _watched(rng, east, north, begin, end, road, leaves)
    link_checkpoint = np.full(len(begin), -1)
    link_checkpoint[watched] = np.arange(len(watched))
    border = np.where(leaves[watched], np.where(outward[watched], 2, 1), 0)
    ends = np.flatnonzero(np.bincount(begin, minlength=len(east)) == 1)
    exits = ends[from_centre[ends] >= _OUTSIDE_M]
    homes = rng.choice(np.flatnonzero(from_centre < _BORDER_M), ZONES, replace=False)
    city = City(
        east, north, begin, end, metres, kmh, watched, link_checkpoint,
        np.concatenate([homes, exits]), len(exits), border,
    )  # fmt: skip
    return city, _named(city, road)


def _graph() -> _Graph:
    graph = _Graph()
    for number, road in enumerate(_ROADS):
        points = list(road.points_m)
        at = [(float(n), point) for n, point in enumerate(points)]
        for other_number, other in enumerate(_ROADS):
            if other_number != number:
                at += _meetings(points, other, number < other_number)
        at.sort()
        nodes = [graph.node(point) for _, point in at]
        for a, b in pairwise(nodes):
            if a != b:
                graph.links += [(a, b, number), (b, a, number)]
    for number, road in enumerate(_ROADS):
        for point in (road.points_m[0], road.points_m[-1]):
            near = _nearest(point, number)
            if near is not None and near != point:
                a, b = graph.node(point), graph.node(near)
                if a != b:
                    graph.links += [(a, b, number), (b, a, number)]
    graph.links = list(dict.fromkeys(graph.links))
    return graph


def _meetings(points: list[Point], other: Road, first: bool) -> Iterator[tuple[float, Point]]:  # noqa: FBT001
    """Where a road crosses another, or the other one ends at it: how far along, and the point."""
    for n, (a, b) in enumerate(pairwise(points)):
        for c, d in pairwise(other.points_m):
            # the same two segments in the same order, so that both roads get the same point
            found = _crossing(a, b, c, d) if first else _crossing(c, d, a, b)
            if found is not None:
                yield n + _share(a, b, found), found
    for end in (other.points_m[0], other.points_m[-1]):
        away_m, n, point = min((math.dist(end, p), n, p) for n, p in enumerate(_feet(end, points)))
        if 0 < away_m <= _JOIN_M:
            yield n + _share(points[n], points[n + 1], point), point


def _nearest(end: Point, number: int) -> Point | None:
    """The point of another road at which a road's end is joined to it."""
    feet = [
        (math.dist(end, p), p)
        for n, road in enumerate(_ROADS)
        if n != number
        for p in _feet(end, list(road.points_m))
    ]
    away_m, point = min(feet)
    return point if away_m <= _JOIN_M else None


def _feet(point: Point, points: list[Point]) -> Iterator[Point]:
    """The nearest point of each segment."""
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        t = ((point[0] - ax) * dx + (point[1] - ay) * dy) / (dx * dx + dy * dy)
        t = min(1.0, max(0.0, t))
        yield (ax + t * dx, ay + t * dy)


def _crossing(a: Point, b: Point, c: Point, d: Point) -> Point | None:
    rx, ry, sx, sy = b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]
    cross = rx * sy - ry * sx
    if abs(cross) < 1e-9:
        return None
    t = ((c[0] - a[0]) * sy - (c[1] - a[1]) * sx) / cross
    u = ((c[0] - a[0]) * ry - (c[1] - a[1]) * rx) / cross
    return (a[0] + t * rx, a[1] + t * ry) if 0 <= t <= 1 and 0 <= u <= 1 else None


def _share(a: Point, b: Point, point: Point) -> float:
    return min(1.0, math.dist(a, point) / max(1e-9, math.dist(a, b)))


def _watched(  # noqa: PLR0913, PLR0917 - columns of the links
    rng: np.random.Generator,
    east: np.ndarray,
    north: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    road: np.ndarray,
    leaves: np.ndarray,
) -> np.ndarray:
    """Links with a checkpoint: every road out, then any, well apart; often both ways of one."""
    middle = np.stack([(east[begin] + east[end]) / 2, (north[begin] + north[end]) / 2], axis=1)
    length = np.hypot(east[begin] - east[end], north[begin] - north[end])
    rank = np.array([_ROADS[n].rank for n in road.tolist()])
    order = rng.permutation(len(begin))
    order = order[np.argsort(~leaves[order], kind="stable")]
    # closer together in the town than about it
    apart_m = np.maximum(330.0, 0.4 * np.hypot(middle[:, 0], middle[:, 1]))
    taken: list[int] = []
    for link in order.tolist():
        if len(taken) == CHECKPOINTS:
            break
        if length[link] < 25.0:
            continue
        near = [n for n in taken if math.dist(middle[link], middle[n]) < apart_m[link]]
        opposite = [n for n in near if (begin[n], end[n]) == (end[link], begin[link])]
        if not near or (len(near) == len(opposite) == 1 and rank[link] < 3):
            taken.append(link)
    return np.array(sorted(taken))


def _named(city: City, road: np.ndarray) -> tuple[Checkpoint, ...]:
    found = []
    count: dict[int, int] = {}
    for number, (link, bearing) in enumerate(
        zip(city.checkpoint_link.tolist(), city.checkpoint_bearing_deg().tolist(), strict=True)
    ):
        street = _ROADS[int(road[link])]
        count[int(road[link])] = count.get(int(road[link]), 0) + 1
        which = count[int(road[link])]
        way, way_en = _WAYS[round(bearing / 90) % 4]
        found.append(
            Checkpoint(
                number,
                f"模拟 {street.name}{which}号（{way}）",
                f"Simulated {street.name_en} {which} ({way_en})",
                street.name,
            )
        )
    return tuple(found)


_WAYS = (
    ("向北", "northbound"), ("向东", "eastbound"), ("向南", "southbound"), ("向西", "westbound"),
)  # fmt: skip
