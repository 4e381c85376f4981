"""How often a body's colour is right on real photographs: ``python -m benchmarks.vehicle_color S``.

``S`` is a ``scenes.jsonl`` as :mod:`benchmarks.accuracy` reads it. The colours were written down by
eye (``benchmarks/labels/vehicle_color.json``) for frames by daylight in which paint is seen; the
rule's thresholds were chosen on the same frames, so a new place will do somewhat worse.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from anpr.picture import load_picture
from anpr.types import Quad
from checkpoint_agent.vehicle_color import body_color

LABELS = Path(__file__).parent / "labels" / "vehicle_color.json"


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vehicle_color", description=__doc__)
    parser.add_argument("scenes", type=Path, metavar="SCENES.jsonl")
    chosen = parser.parse_args(arguments)
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    root = chosen.scenes.resolve().parent.parent
    counts: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for line in chosen.scenes.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        quads = [plate["quad"] for plate in row["plates"] if plate["quad"]]
        if row["file"] not in labels or len(quads) != 1:
            continue
        wanted = labels[row["file"]]
        found = body_color(load_picture(root / row["file"]), Quad(*map(tuple, quads[0])))
        counts["frames"] += 1
        counts["given"] += found != "unknown"
        counts["right"] += found == wanted
        if found != wanted:
            wrong[f"{wanted} as {found}"] += 1
    print(json.dumps({**counts, "wrong": dict(wrong.most_common())}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
