"""A road network, checkpoints on it, and which checkpoint follows which along the road. Pure.

Positions are WGS-84 degrees. A checkpoint is put on the nearest road within :data:`SNAP_M`; it is
taken to watch whatever directions may be driven there. A *link* leads from a checkpoint to another
one with none between, over roads that may be driven in that direction.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from shapely import LineString, Point, STRtree, linestrings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SNAP_M: Final = 80.0
LONGEST_S: Final = 3_600.0
"""On an empty road; further apart two checkpoints are no neighbours."""
_M_PER_DEG: Final = 111_195.0
_AT_ONCE: Final = 64
_SHORTEST_M: Final = 0.1


@dataclass(frozen=True, slots=True)
class RoadNetwork:
    """Nodes and directed pieces of road between them.

    ``lon``/``lat`` (nodes,) degrees; ``start``/``end`` (pieces,) nodes; ``metres`` and ``kmh``
    (pieces,). No loops of one piece, no piece shorter than 0.1 m, speeds above 0.
    """

    lon: Floats
    lat: Floats
    start: Ints
    end: Ints
    metres: Floats
    kmh: Floats

    @property
    def seconds(self) -> Floats:
        """On an empty road."""
        found: Floats = self.metres / self.kmh * 3.6
        return found


@dataclass(frozen=True, slots=True)
class Link:
    """From a checkpoint to the next one along the road."""

    from_id: str
    to_id: str
    metres: float
    seconds: float
    shape: tuple[tuple[float, float], ...]
    """``(lon, lat)`` along the road, both checkpoints included."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What came of it: links, and the checkpoints that lie on no road."""

    links: tuple[Link, ...]
    astray: tuple[str, ...]


def network_of(
    lon: Sequence[float],
    lat: Sequence[float],
    pieces: Sequence[tuple[int, int, float]],
) -> RoadNetwork:
    """A network of pieces ``(start, end, km/h)``; loops and the shortest pieces are mended.

    A piece from a node to itself is left out; one without length counts as 0.1 m; of two pieces
    between the same nodes the faster one stays.
    """
    at_lon, at_lat = np.array(lon, float), np.array(lat, float)
    best: dict[tuple[int, int], float] = {}
    for start, end, kmh in pieces:
        if start != end:
            best[start, end] = max(best.get((start, end), 0.0), kmh)
    keys = np.array(list(best), np.int64).reshape(-1, 2)
    start_at, end_at = keys[:, 0], keys[:, 1]
    dx = (at_lon[end_at] - at_lon[start_at]) * np.cos(np.radians(at_lat[start_at]))
    metres = np.hypot(dx, at_lat[end_at] - at_lat[start_at]) * _M_PER_DEG
    return RoadNetwork(
        at_lon, at_lat, start_at, end_at, np.maximum(metres, _SHORTEST_M),
        np.array(list(best.values()), float),
    )  # fmt: skip


def link_checkpoints(network: RoadNetwork, places: Mapping[str, tuple[float, float]]) -> Linked:
    """Put checkpoints (``lon, lat`` by name) on the network and find the links between them."""
    names = sorted(places)
    if not names or not len(network.start):
        return Linked((), tuple(names))
    on, astray = _snapped(network, names, places)
    if not on:
        return Linked((), tuple(astray))
    names = [name for name in names if name in on]
    graph, metres, places_xy = _cut(network, names, on)
    base = len(network.lon)
    count = len(names)
    links: list[Link] = []
    for begin in range(0, count, _AT_ONCE):
        sources = np.arange(begin, min(count, begin + _AT_ONCE))
        # nodes base.. are where one arrives at a checkpoint, base + count.. where one leaves it
        took, before = dijkstra(
            graph, indices=base + count + sources, limit=LONGEST_S, return_predecessors=True
        )
        for row, source in enumerate(sources.tolist()):
            reached = np.flatnonzero(np.isfinite(took[row, base : base + count]))
            for target in reached.tolist():
                if target == source:
                    continue
                way = _way(before[row], base + count + source, base + target)
                length = sum(metres[a, b] for a, b in pairwise(way))
                shape = tuple(places_xy[node] for node in way)
                links.append(
                    Link(
                        names[source], names[target], round(length, 1),
                        round(float(took[row, base + target]), 1), shape,
                    )
                )  # fmt: skip
    return Linked(tuple(links), tuple(astray))


def _snapped(
    network: RoadNetwork, names: Sequence[str], places: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, list[tuple[int, float]]], list[str]]:
    """The pieces that each checkpoint lies on, with its place along each (0 to 1)."""
    lat0 = float(np.mean(network.lat))
    scale = np.array([math.cos(math.radians(lat0)) * _M_PER_DEG, _M_PER_DEG])
    xy = np.column_stack([network.lon, network.lat]) * scale
    drawn = linestrings(np.stack([xy[network.start], xy[network.end]], axis=1))
    lines = [drawn] if isinstance(drawn, LineString) else list(drawn)
    tree = STRtree(lines)
    directed = {
        key: n
        for n, key in enumerate(zip(network.start.tolist(), network.end.tolist(), strict=True))
    }
    on: dict[str, list[tuple[int, float]]] = {}
    astray = []
    for name in names:
        spot = Point(np.array(places[name]) * scale)
        near = int(tree.nearest(spot))
        if lines[near].distance(spot) > SNAP_M:
            astray.append(name)
            continue
        share = float(lines[near].project(spot, normalized=True))
        share = share if math.isfinite(share) else 0.0
        on[name] = [(near, share)]
        back = directed.get((int(network.end[near]), int(network.start[near])))
        if back is not None:
            on[name].append((back, 1.0 - share))
    return on, astray


def _cut(
    network: RoadNetwork, names: Sequence[str], on: Mapping[str, list[tuple[int, float]]]
) -> tuple[csr_matrix, dict[tuple[int, int], float], list[tuple[float, float]]]:
    """The network with its pieces cut at the checkpoints, where every way ends and new ones begin."""
    base, count = len(network.lon), len(names)
    cuts: dict[int, list[tuple[float, int]]] = {}
    spots = list(zip(network.lon.tolist(), network.lat.tolist(), strict=True))
    for number, name in enumerate(names):
        for piece, share in on[name]:
            cuts.setdefault(piece, []).append((share, number))
        piece, share = on[name][0]
        a, b = spots[int(network.start[piece])], spots[int(network.end[piece])]
        spots.append((a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share))
    spots += spots[base : base + count]
    metres: dict[tuple[int, int], float] = {}
    seconds: dict[tuple[int, int], float] = {}
    for piece, (start, end, length, kmh) in enumerate(
        zip(network.start.tolist(), network.end.tolist(), network.metres.tolist(),
            network.kmh.tolist(), strict=True)
    ):  # fmt: skip
        here, at = start, 0.0
        for share, number in sorted(cuts.get(piece, ())):
            _join(metres, seconds, here, base + number, (share - at) * length, kmh)
            here, at = base + count + number, share
        _join(metres, seconds, here, end, (1.0 - at) * length, kmh)
    keys = np.array(list(seconds), np.int64)
    nodes = base + 2 * count
    graph = csr_matrix((np.array(list(seconds.values())), (keys[:, 0], keys[:, 1])), (nodes, nodes))
    return graph, metres, spots


def _join(  # noqa: PLR0913, PLR0917 - a piece and its ends
    metres: dict[tuple[int, int], float],
    seconds: dict[tuple[int, int], float],
    start: int,
    end: int,
    length: float,
    kmh: float,
) -> None:
    length = max(length, _SHORTEST_M)
    took = length / kmh * 3.6
    if took < seconds.get((start, end), math.inf):
        metres[start, end], seconds[start, end] = length, took


def _way(before: NDArray[np.int32], start: int, end: int) -> list[int]:
    way = [end]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way[::-1]
