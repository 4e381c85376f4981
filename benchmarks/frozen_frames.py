"""Rendered frames whose reads are written down: ``python -m benchmarks.frozen_frames [--write]``.

The frames are drawn from seeds, nothing is stored but what is to be read on them. After a change of
weights, or of whatever is meant to change reads, ``--write`` writes the file anew; its difference in
review shows what changed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anpr import PlateReader, load_reader
from anpr.plate import PlateKind
from benchmarks.checkpoint_frames import Picture
from benchmarks.rendering.scene import Scene, render_frame
from benchmarks.rendering.vehicle import Body, Vehicle
from benchmarks.rendering.weather import Light

FILE = Path(__file__).resolve().parent.parent / "tests" / "anpr" / "frozen_reads.json"
SEEN_AT = datetime(2026, 3, 9, 6, 30, 0, tzinfo=UTC)
# What drives by, two at a time: plate, kind, body, paint.
DRIVEN: tuple[tuple[Light, bool, tuple[tuple[str, PlateKind, Body, str], ...]], ...] = (
    (Light.DAY, False, (("京AE7K29", PlateKind.SMALL, Body.SALOON, "black"),
                        ("粤BD48215", PlateKind.NEW_ENERGY_SMALL, Body.SUV, "white"))),
    (Light.NIGHT, False, (("藏C70X56", PlateKind.SMALL, Body.SUV, "grey"),
                          ("新A36N08", PlateKind.LARGE, Body.BUS, "red"))),
    (Light.DUSK, False, (("琼B05821D", PlateKind.NEW_ENERGY_LARGE, Body.BUS, "blue"),
                         ("沪C1628警", PlateKind.POLICE, Body.SALOON, "white"))),
    (Light.DAY, True, (("川G9L431", PlateKind.SMALL, Body.VAN, "white"),
                       ("辽A6K73学", PlateKind.COACH, Body.SALOON, "red"))),
    (Light.NIGHT, True, (("渝DF62904", PlateKind.NEW_ENERGY_SMALL, Body.SALOON, "grey"),
                         ("青H3Q775", PlateKind.SMALL, Body.SUV, "black"))),
)  # fmt: skip


def frames() -> list[tuple[Picture, list[str]]]:
    """Each frame with the plates that can be seen on it, from the left."""
    found = []
    for number, (light, rain, vehicles) in enumerate(DRIVEN):
        scene = Scene(light=light, rain=rain, seed=number)
        passes = tuple(
            scene.pass_seen_at(
                Vehicle(f"v{lane}", text, kind, body, color, seed=10 * number + lane),
                lane=lane,
                speed_kmh=40.0,
                seen_at=SEEN_AT,
            )
            for lane, (text, kind, body, color) in enumerate(vehicles)
        )
        drawn = render_frame(replace(scene, passes=passes), SEEN_AT)
        shown = sorted(drawn.truth, key=lambda plate: plate.quad_px[0][0])
        found.append((drawn.image, [plate.text for plate in shown]))
    return found


def reads_of(reader: PlateReader) -> list[dict[str, Any]]:
    """For each frame what is shown and what is read, from the left."""
    result = []
    for image, shown in frames():
        reads = sorted(reader.read(image), key=lambda r: r.box.x1)
        result.append(
            {"shown": shown, "read": [[r.text, r.kind.value, r.color.value, r.rows] for r in reads]}
        )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare what is read with the file, or write it anew; 0 if they are the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_frames", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--write", action="store_true", help="write what is read now")
    options = parser.parse_args(arguments)
    now = reads_of(load_reader(recogniser="onnxruntime"))
    if options.write:
        lines = ",\n".join(" " + json.dumps(frame, ensure_ascii=False) for frame in now)
        FILE.write_text(f"[\n{lines}\n]\n", "utf-8")
    same = now == json.loads(FILE.read_text("utf-8"))
    for frame in now:
        print(json.dumps(frame, ensure_ascii=False))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
