"""A made-up city and what its checkpoints see of it, with the truth beside it.

    from benchmarks.simulation import Plan, simulate
    world = simulate(Plan(seed=1, days=7, vehicles=20_000, checkpoints=800))

Everything is columns of numpy: :class:`~benchmarks.simulation.world.World` says what each means.
The same plan gives the same world. Whatever learns must only be given ``world.seen()``.
"""

from benchmarks.simulation.city import City, make_city
from benchmarks.simulation.plan import Plan
from benchmarks.simulation.world import World, simulate

__all__ = ["City", "Plan", "World", "make_city", "simulate"]
