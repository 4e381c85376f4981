"""The checkpoints on the way from every zone to every other, in a few variants of taste."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from benchmarks.simulation.city import City, Floats, Ints

VARIANTS = 5
"""Ways that differ because their drivers see the roads differently."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes by number: ``(origin * zones + destination) * VARIANTS + variant``.

    The checkpoints of route ``r`` are ``checkpoint[begin[r]:begin[r + 1]]``, with the seconds and
    metres from the route's beginning on an empty road; ``total_s`` is the whole route's.
    """

    zones: int
    begin: Ints
    checkpoint: Ints
    free_s: Floats
    metres: Floats
    total_s: Floats

    def number(self, origin: Ints, destination: Ints, variant: Ints) -> Ints:
        """The number of a route between zones."""
        return (origin * self.zones + destination) * VARIANTS + variant


def make_routes(rng: np.random.Generator, city: City) -> Routes:
    """Find all routes."""
    zones, nodes = len(city.zones), len(city.east_m)
    key = city.link_from * nodes + city.link_to
    order = np.argsort(key)
    route_s, position_s, position_m, at, which = [], [], [], [], []
    origin, destination = (x.ravel() for x in np.indices((zones, zones)))
    for variant in range(VARIANTS):
        taste = rng.lognormal(0, 0.35, len(key)) if variant else np.ones(len(key))
        cost = csr_matrix((city.link_s * taste, (city.link_from, city.link_to)), (nodes, nodes))
        _, before = dijkstra(cost, indices=city.zones, return_predecessors=True)
        number = (origin * zones + destination) * VARIANTS + variant
        here = city.zones[destination].copy()
        to_go_s, to_go_m = np.zeros(len(here)), np.zeros(len(here))
        active = np.flatnonzero(origin != destination)
        while active.size:
            last = before[origin[active], here[active]].astype(np.int64)
            link = order[np.searchsorted(key, last * nodes + here[active], sorter=order)]
            seconds, metres = city.link_s[link], city.link_m[link]
            point = city.link_checkpoint[link]
            found = point >= 0
            which.append(number[active][found])
            at.append(point[found])
            position_s.append((to_go_s[active] + seconds / 2)[found])
            position_m.append((to_go_m[active] + metres / 2)[found])
            to_go_s[active] += seconds
            to_go_m[active] += metres
            here[active] = last
            active = active[last != city.zones[origin[active]]]
        route_s.append((number, to_go_s, to_go_m))
    return _in_order(zones, which, at, position_s, position_m, route_s)


def _in_order(  # noqa: PLR0913, PLR0917 - columns that belong together
    zones: int,
    which: list[Ints],
    at: list[Ints],
    position_s: list[Floats],
    position_m: list[Floats],
    totals: list[tuple[Ints, Floats, Floats]],
) -> Routes:
    count = zones * zones * VARIANTS
    total_s, total_m = np.zeros(count), np.zeros(count)
    for number, seconds, metres in totals:
        total_s[number], total_m[number] = seconds, metres
    route = np.concatenate(which)
    free_s = total_s[route] - np.concatenate(position_s)
    metres = total_m[route] - np.concatenate(position_m)
    order = np.lexsort((free_s, route))
    begin = np.searchsorted(route[order], np.arange(count + 1))
    return Routes(
        zones, begin, np.concatenate(at)[order], free_s[order], metres[order], total_s
    )  # fmt: skip


def expand(begin: Ints, routes: Ints) -> tuple[Ints, Ints]:
    """Rows of all these routes one after the other: index into the routes, and into their rows."""
    length = begin[routes + 1] - begin[routes]
    of = np.repeat(np.arange(len(routes)), length)
    first = np.cumsum(length) - length
    return of, np.arange(len(of)) - first[of] + begin[routes][of]
