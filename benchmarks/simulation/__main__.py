"""How fast a world is made, and what is in it.

python -m benchmarks.simulation --vehicles 100000 --checkpoints 3000 --days 2
"""

import argparse
import json
import sys
import time

from benchmarks.simulation import Plan, simulate


def main() -> int:
    """Make one and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    for name in ("seed", "days", "vehicles", "checkpoints", "zones"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name))
    asked = vars(parser.parse_args())
    began = time.perf_counter()
    world = simulate(Plan(**asked))
    took_s = time.perf_counter() - began
    p = world.passages
    print(
        json.dumps(
            {
                **asked,
                "passages": len(p),
                "seen": int(p.seen.sum()),
                "misread": int((p.misread & p.seen).sum()),
                "trips": len(world.trips.vehicle),
                "seconds": round(took_s, 1),
                "passages_per_minute": round(len(p) / took_s * 60),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
