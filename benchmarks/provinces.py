"""How well each province is read: ``python -m benchmarks.provinces [--json]``.

Rendered frames of 1920x1080 as in ``benchmarks.robustness``, by day and at night, at widths from
80 px on, where plates are to be read: every province as often as every other, a hundred times or
more, so that one miss is one percent and not five. Beside the exact share stands how often the
province itself was misread, and what for.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anpr import PlateReader, load_reader
from anpr.plate import PROVINCES
from benchmarks.accuracy import Labelled, overlapping
from benchmarks.checkpoint_frames import CheckpointFrame
from benchmarks.robustness import READABLE_FROM_PX, Tally, add_arguments, plate_widths

WIDTHS_PX = (80, 100, 120, 160, 200, 250)
GOAL = 0.97


def measure(reader: PlateReader, rounds: int, cache: Path | None) -> dict[str, Any]:
    """Every province's plates, how many were read whole, and what its character was taken for."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    taken_for: dict[str, Counter[str]] = defaultdict(Counter)
    for frame in plate_widths(rounds, cache, WIDTHS_PX):
        _count(reader, frame, tallies, taken_for)
    whole = sum(t.exact for t in tallies.values()) / max(1, sum(t.plates for t in tallies.values()))
    least = min(t.exact / t.plates for t in tallies.values())
    return {
        "models": {"detector": reader.detector_name, "recogniser": reader.recogniser_name},
        "rounds": rounds,
        "all": round(whole, 4),
        "least": round(least, 4),
        "below the goal": [p for p, t in tallies.items() if t.exact / t.plates < GOAL],
        "provinces": {
            p: tallies[p].as_json() | {"taken for": dict(taken_for[p].most_common())}
            for p in PROVINCES
        },
    }


def _count(
    reader: PlateReader,
    frame: CheckpointFrame,
    tallies: dict[str, Tally],
    taken_for: dict[str, Counter[str]],
) -> None:
    reads = reader.read(frame.image)
    for plate in frame.plates:
        if plate.width_px < READABLE_FROM_PX:
            continue
        read = overlapping(reads, Labelled(plate.text, plate.box))
        tallies[plate.text[0]].add(plate.text, read)
        province = read.text[:1] if read is not None else ""
        if province != plate.text[0]:
            taken_for[plate.text[0]][province or "unread"] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.provinces", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_arguments(parser, rounds=10)
    options = parser.parse_args(arguments)
    reader = load_reader(options.models, recogniser=options.recogniser, threads=options.threads)
    result = measure(reader, options.rounds, options.cache)
    if options.json:
        print(json.dumps(result, ensure_ascii=False, indent=1))
        return 0
    for province, found in result["provinces"].items():
        print(province, json.dumps(found, ensure_ascii=False))
    print(f"all {result['all']}, least {result['least']}, below: {result['below the goal']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
