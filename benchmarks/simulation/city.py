"""The road graph of a made-up city, and the checkpoints on it.

A bent grid with arterial roads, a ring of fast ones, one-way streets, missing links, and eight
roads that leave the city. A checkpoint watches one direction of one link, at its middle.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

ORIGIN_LAT, ORIGIN_LON = 35.4150, 116.5870
_M_PER_DEG = 111_320.0
_EXITS = 8

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class City:
    """Nodes, directed links, checkpoints, zones.

    ``east_m``/``north_m`` (nodes,); ``link_from``/``link_to``/``link_m``/``link_kmh`` (links,):
    free-flow speed; ``checkpoint_link`` (checkpoints,): the link that each watches;
    ``link_checkpoint`` (links,): checkpoint of a link or -1; ``zones`` (zones,): nodes where trips
    begin and end, the last ``exits`` of which lie outside the city; ``border`` (checkpoints,): 1
    where vehicles come in, 2 where they leave, else 0.
    """

    east_m: Floats
    north_m: Floats
    link_from: Ints
    link_to: Ints
    link_m: Floats
    link_kmh: Floats
    checkpoint_link: Ints
    link_checkpoint: Ints
    zones: Ints
    exits: int
    border: Ints

    @property
    def link_s(self) -> Floats:
        """Seconds per link on an empty road."""
        return self.link_m / self.link_kmh * 3.6

    def lat_lon(self, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
        """WGS-84 of a position in metres."""
        return (
            ORIGIN_LAT + north_m / _M_PER_DEG,
            ORIGIN_LON + east_m / (_M_PER_DEG * math.cos(math.radians(ORIGIN_LAT))),
        )

    def checkpoint_lat_lon(self) -> tuple[Floats, Floats]:
        """WGS-84 of the checkpoints: a little right of the middle of their links."""
        a, b = self.link_from[self.checkpoint_link], self.link_to[self.checkpoint_link]
        dx, dy = self.east_m[b] - self.east_m[a], self.north_m[b] - self.north_m[a]
        length = np.hypot(dx, dy)
        return self.lat_lon(
            (self.east_m[a] + self.east_m[b]) / 2 + 6 * dy / length,
            (self.north_m[a] + self.north_m[b]) / 2 - 6 * dx / length,
        )

    def checkpoint_bearing_deg(self) -> Floats:
        """Compass direction in which their traffic drives."""
        a, b = self.link_from[self.checkpoint_link], self.link_to[self.checkpoint_link]
        return np.degrees(
            np.arctan2(self.east_m[b] - self.east_m[a], self.north_m[b] - self.north_m[a])
        ) % 360  # fmt: skip

    @staticmethod
    def checkpoint_id(number: int) -> str:
        """The name under which a server knows a checkpoint."""
        return f"sim-{number:04d}"

    def geojson(self) -> dict[str, Any]:
        """The roads as GeoJSON with OpenStreetMap's words (``oneway``, ``maxspeed``)."""
        lat, lon = self.lat_lon(self.east_m, self.north_m)
        have = set(zip(self.link_from.tolist(), self.link_to.tolist(), strict=True))
        features = []
        for a, b, kmh in zip(
            self.link_from.tolist(), self.link_to.tolist(), self.link_kmh.tolist(), strict=True
        ):
            both = (b, a) in have
            if both and b < a:
                continue
            features.append(
                {
                    "type": "Feature",
                    "properties": {
                        "highway": "primary" if kmh > 45 else "residential",
                        "oneway": "no" if both else "yes",
                        "maxspeed": str(round(kmh)),
                    },
                    "geometry": {
                        "type": "LineString",
                        "coordinates": [[float(lon[n]), float(lat[n])] for n in (a, b)],
                    },
                }
            )
        return {"type": "FeatureCollection", "features": features}


def make_city(rng: np.random.Generator, checkpoints: int, zones: int, grid_m: float) -> City:
    """A city with about so many checkpoints (fewer only where there are no more links)."""
    side = max(6, math.ceil(math.sqrt(checkpoints / 1.1)))
    row, column = np.divmod(np.arange(side * side), side)
    east = (column - side / 2) * grid_m + rng.normal(0, grid_m * 0.13, side * side)
    north = (row - side / 2) * grid_m + rng.normal(0, grid_m * 0.13, side * side)
    a, b, kmh = _streets(rng, side)
    east, north, a, b, kmh, outside = _with_exits(rng, side, grid_m, east, north, a, b, kmh)
    keep = _reachable(len(east), a, b)
    kept = keep[a] & keep[b]
    a, b, kmh = a[kept], b[kept], kmh[kept]
    metres = np.hypot(east[a] - east[b], north[a] - north[b]) * rng.uniform(1.0, 1.15, len(a))
    border_links = np.flatnonzero((a >= side * side) | (b >= side * side))
    inner = np.flatnonzero((a < side * side) & (b < side * side))
    chance = np.where(kmh[inner] > 45, 4.0, 1.0)
    count = min(max(0, checkpoints - len(border_links)), len(inner))
    drawn = rng.choice(inner, count, replace=False, p=chance / chance.sum())
    at = np.concatenate([border_links, np.sort(drawn)])
    link_checkpoint = np.full(len(a), -1)
    link_checkpoint[at] = np.arange(len(at))
    border = np.where(a[at] >= side * side, 1, np.where(b[at] >= side * side, 2, 0))
    homes = np.flatnonzero(keep[: side * side])
    places = rng.choice(homes, min(zones, len(homes)), replace=False)
    exits = outside[keep[outside]]
    return City(
        east, north, a, b, metres, kmh, at, link_checkpoint,
        np.concatenate([places, exits]), len(exits), border,
    )  # fmt: skip


def _streets(rng: np.random.Generator, side: int) -> tuple[Ints, Ints, Floats]:
    """Links of the grid in both directions, less what is missing or one-way."""
    n = np.arange(side * side)
    row, column = np.divmod(n, side)
    right, up = n[column < side - 1], n[row < side - 1]
    a = np.concatenate([right, up])
    b = np.concatenate([right + 1, up + side])
    line = np.concatenate([row[row >= 0][right], column[up]])
    fast = (line % 5 == 2) | (line == 0) | (line == side - 1)
    kmh = np.where((line == 0) | (line == side - 1), 75.0, np.where(fast, 58.0, 38.0))
    stays = fast | (rng.random(len(a)) > 0.12)
    a, b, kmh, fast = a[stays], b[stays], kmh[stays], fast[stays]
    oneway = ~fast & (rng.random(len(a)) < 0.15)
    swapped = rng.random(len(a)) < 0.5
    a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    two = ~oneway
    return (
        np.concatenate([a, b[two]]),
        np.concatenate([b, a[two]]),
        np.concatenate([kmh, kmh[two]]),
    )


def _with_exits(  # noqa: PLR0913, PLR0917 - a graph's columns
    rng: np.random.Generator, side: int, grid_m: float, east: Floats, north: Floats,
    a: Ints, b: Ints, kmh: Floats,
) -> tuple[Floats, Floats, Ints, Ints, Floats, Ints]:  # fmt: skip
    """Add the roads that leave the city, each ending at a node outside."""
    middle = side // 2
    gates = [0, middle, side - 1, side * middle, side * middle + side - 1,
             side * (side - 1), side * (side - 1) + middle, side * side - 1][:_EXITS]  # fmt: skip
    outside = np.arange(len(east), len(east) + len(gates))
    angle = np.arctan2(north[gates], east[gates])
    far = rng.uniform(5_000, 12_000, len(gates))
    east = np.concatenate([east, east[gates] + far * np.cos(angle)])
    north = np.concatenate([north, north[gates] + far * np.sin(angle)])
    speed = np.full(len(gates), 85.0)
    del grid_m
    return (
        east, north,
        np.concatenate([a, gates, outside]),
        np.concatenate([b, outside, gates]),
        np.concatenate([kmh, speed, speed]),
        outside,
    )  # fmt: skip


def _reachable(nodes: int, a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Nodes of the largest part in which everything can be reached from everywhere."""
    graph = csr_matrix((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    _, label = connected_components(graph, directed=True, connection="strong")
    found: NDArray[np.bool_] = label == np.bincount(label).argmax()
    return found
