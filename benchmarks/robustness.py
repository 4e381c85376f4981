"""How the reader fares as pictures get worse: ``python -m benchmarks.robustness [--json]``.

Rendered frames of 1920x1080 show plates of all 31 provinces, at widths from 40 to 250 px, by day and
at night; they pass through JPEG at quality 95, as a camera's would. Real frames are those of the
public benchmark, degraded (``benchmarks.degradations``). A plate is *found* if a returned one overlaps
it (intersection over union at least 0.3) and *exact* if its whole text is right.

With ``--write FOLDER`` the result goes to ``robustness.json``, the characters taken for one another to
``confusion.json`` (its form: ``benchmarks.confusion_counts``); ``python -m benchmarks.plots`` draws them.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anpr import Box, PlateRead, PlateReader, load_reader
from anpr.picture import load_picture
from anpr.plate import PROVINCES, PlateColor, PlateKind, parse
from anpr.recogniser import ENGINES
from benchmarks.accuracy import CONFIDENT, Frame, load_frames, on_negatives, overlapping
from benchmarks.accuracy import Labelled as LabelledPlate
from benchmarks.checkpoint_frames import CheckpointFrame, Shown, imagery_folder, rendered_frame
from benchmarks.confusion_counts import Confusion
from benchmarks.degradations import DEGRADATIONS
from benchmarks.rendering.texts import random_plate
from benchmarks.rendering.weather import Light

WIDTHS_PX = (30, 36, 40, 50, 60, 70, 80, 100, 120, 160, 200, 250)
"""Lenses, by about how wide they make an ordinary plate in a frame 1920 px wide."""
BINS_PX = (0, 36, 45, 55, 65, 75, 90, 110, 140, 180, 225, 400)
"""Plates are counted by the width that they really have."""
READABLE_FROM_PX = 80
SMALL_PX = (60, 200)
"""Between these widths at least 97 % are to be found."""
_DEGRADED_WIDTH_PX = 120
_LIGHTS = (Light.DAY, Light.NIGHT)
_KINDS = (PlateKind.SMALL, PlateKind.NEW_ENERGY_SMALL, PlateKind.SMALL, PlateKind.LARGE)
_JPEG_QUALITY = 95
_DRESSED_FROM = 0.9


class Tally:
    """Found and exact plates out of so many."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.plates = self.found = self.exact = 0

    def add(self, text: str, read: PlateRead | None) -> None:
        """Count one plate."""
        self.plates += 1
        self.found += read is not None
        self.exact += read is not None and read.text == text

    def as_json(self) -> dict[str, Any]:
        """Counts and rates."""
        of = max(1, self.plates)
        return {
            "plates": self.plates,
            "found": round(self.found / of, 4),
            "exact": round(self.exact / of, 4),
        }


def plate_widths(
    rounds: int, cache: Path | None = None, widths_px: Sequence[int] = WIDTHS_PX
) -> Iterator[CheckpointFrame]:
    """Rendered frames: for each width and light every province ``rounds`` times, two a frame.

    With a ``cache`` folder, frames that were drawn before by the same renderer are taken from there.
    """
    for width in widths_px:
        for light in _LIGHTS:
            rng = np.random.default_rng([width, len(light)])
            provinces = [p for _ in range(rounds) for p in rng.permutation(list(PROVINCES))]
            for n in range(0, len(provinces) - 1, 2):
                kinds = [_KINDS[(n + k) % len(_KINDS)] for k in range(2)]
                texts = [
                    (random_plate(kind, rng, str(provinces[n + k])), kind)
                    for k, kind in enumerate(kinds)
                ]
                yield _drawn_frame(texts, width, light, n + width, cache)


def _drawn_frame(
    texts: Sequence[tuple[str, PlateKind]], width: int, light: Light, seed: int, cache: Path | None
) -> CheckpointFrame:
    file = None if cache is None else cache / f"{width}-{light}-{seed}-{_renderer()}.jpg"
    if file is not None and file.is_file() and file.with_suffix(".json").is_file():
        plates = json.loads(file.with_suffix(".json").read_text("utf-8"))
        shown = tuple(Shown(text, Box(*box), wide) for text, box, wide in plates)
        return CheckpointFrame(load_picture(file), shown)
    frame = rendered_frame(texts, width_px=width, light=light, seed=seed)
    _, coded = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(coded.tobytes())
        plates = [(p.text, p.box.as_tuple(), p.width_px) for p in frame.plates]
        file.with_suffix(".json").write_text(json.dumps(plates, ensure_ascii=False), "utf-8")
    return CheckpointFrame(cv2.imdecode(coded, cv2.IMREAD_COLOR), frame.plates)


@cache
def _renderer() -> str:
    """A short hash of the renderer's sources: what another one drew is not taken for its work."""
    sources = sorted((Path(__file__).parent / "rendering").rglob("*.py"))
    return hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:8]


def on_rendered(
    reader: PlateReader, frames: Iterator[CheckpointFrame], confusion: Confusion
) -> dict[str, Any]:
    """Curve over the plate's width, provinces, and how far the goals are met."""
    by_width: dict[int, Tally] = defaultdict(Tally)
    provinces: dict[str, Tally] = defaultdict(Tally)
    small = Tally()
    for frame in frames:
        reads = reader.read(frame.image)
        for plate in frame.plates:
            read = overlapping(reads, LabelledPlate(plate.text, plate.box))
            by_width[int(np.searchsorted(BINS_PX, plate.width_px, "right")) - 1].add(
                plate.text, read
            )
            if plate.width_px >= READABLE_FROM_PX:
                provinces[plate.text[0]].add(plate.text, read)
                confusion.add("rendered", plate.text, read)
            if SMALL_PX[0] <= plate.width_px <= SMALL_PX[1]:
                small.add(plate.text, read)
    return {
        "by_width_px": [
            {"from": BINS_PX[k], "to": BINS_PX[k + 1]} | by_width[k].as_json()
            for k in sorted(by_width)
        ],
        f"{SMALL_PX[0]} to {SMALL_PX[1]} px": small.as_json(),
        f"provinces, from {READABLE_FROM_PX} px": {
            p: provinces[p].as_json() for p in PROVINCES if p in provinces
        },
    }


def on_degraded(reader: PlateReader, frames: Sequence[CheckpointFrame]) -> dict[str, Any]:
    """For each degradation the curve over its levels."""
    curves: dict[str, Any] = {}
    for name, degradation in DEGRADATIONS.items():
        points = []
        for level in degradation.levels:
            tally, claimed_wrong = Tally(), 0
            for n, frame in enumerate(frames):
                (plate,) = frame.plates
                image = degradation.apply(
                    frame.image.copy(), plate.box, level, np.random.default_rng(n)
                )
                read = _at(reader.read(image), plate.box)
                tally.add(plate.text, read)
                claimed_wrong += _sure_and_wrong(plate.text, read)
            points.append({"level": level, "sure_and_wrong": claimed_wrong} | tally.as_json())
        curves[name] = {"level": degradation.unit, "points": points}
        sys.stderr.write(f"{name}\n")
    return curves


def _at(reads: Sequence[PlateRead], box: Box) -> PlateRead | None:
    """The read whose middle lies in the plate's box, however it was turned around that."""
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    there = [r for r in reads if r.box.x1 <= x <= r.box.x2 and r.box.y1 <= y <= r.box.y2]
    return there[0] if there else None


def _sure_and_wrong(text: str, read: PlateRead | None) -> bool:
    return read is not None and read.score >= CONFIDENT and read.text != text


def real_plates(imagery: Path, count: int) -> list[CheckpointFrame]:
    """Real frames of the benchmark with one Chinese plate whose place is known."""
    frames = [
        f
        for f in load_frames(imagery / "dev" / "scenes.jsonl")
        if len(f.plates) == 1 and f.plates[0].box is not None and not f.overlay
    ]
    order = np.random.default_rng(3).permutation(len(frames))[:count]
    return [_as_checkpoint_frame(frames[int(i)]) for i in sorted(order)]


def _as_checkpoint_frame(frame: Frame) -> CheckpointFrame:
    (plate,) = frame.plates
    assert plate.box is not None
    shown = Shown(plate.text, plate.box, plate.box.width_px)
    return CheckpointFrame(load_picture(frame.file), (shown,))


def foreign_plates(reader: PlateReader, frames: Sequence[Frame]) -> dict[str, Any]:
    """Foreign plates: found, read, called foreign, and any that came back as a Chinese one."""
    tally, called_foreign, dressed = Tally(), 0, []
    for frame in frames:
        reads = reader.read(load_picture(frame.file))
        for plate in frame.plates:
            read = overlapping(reads, plate)
            tally.add(plate.text, read)
            called_foreign += read is not None and read.kind is PlateKind.FOREIGN
        dressed += [
            {"file": frame.file.name, "text": r.text, "score": round(r.score, 3)}
            for r in reads
            if r.text and r.kind is not PlateKind.FOREIGN and parse(r.text, PlateColor.UNKNOWN).form
        ]
    sure = sum(d["score"] >= _DRESSED_FROM for d in dressed)
    return tally.as_json() | {
        "kind_foreign": round(called_foreign / max(1, tally.plates), 4),
        "read_as_a_chinese_form": dressed,
        f"of_them_with_score_from_{_DRESSED_FROM}": sure,
    }


def real_confusions(reader: PlateReader, imagery: Path, confusion: Confusion) -> None:
    """Add the reads of the whole public benchmark."""
    for frame in load_frames(imagery / "dev" / "scenes.jsonl"):
        if frame.plates:
            reads = reader.read(load_picture(frame.file))
            for plate in frame.plates:
                confusion.add("real", plate.text, overlapping(reads, plate))


def measure(reader: PlateReader, options: argparse.Namespace) -> dict[str, Any]:
    """Everything; what needs real imagery says so where there is none."""
    started = time.perf_counter()
    confusion = Confusion()
    drawn = list(_drawn_for_degrading(options.rendered, options.cache))
    result: dict[str, Any] = {
        "models": {"detector": reader.detector_name, "recogniser": reader.recogniser_name},
        "rendered": on_rendered(reader, plate_widths(options.rounds, options.cache), confusion),
        "rendered, degraded": on_degraded(reader, drawn),
    }
    imagery = imagery_folder()
    if imagery is None:
        result["real"] = "not measured: no real imagery at hand (KAKOU_IMAGERY)"
    else:
        result["real, degraded"] = on_degraded(reader, real_plates(imagery, options.real))
        training = load_frames(imagery / "train" / "scenes.jsonl")
        foreign = [f for f in training if f.group.startswith("foreign") and f.plates]
        result["foreign, seen in training"] = foreign_plates(reader, foreign)
        result["negatives"] = on_negatives(reader, imagery / "train" / "negative.jsonl")
        real_confusions(reader, imagery, confusion)
    result["confusions"] = confusion.mistakes()
    result["seconds"] = round(time.perf_counter() - started)
    return {"result": result, "confusion": confusion.as_json()}


def _drawn_for_degrading(count: int, cache: Path | None) -> Iterator[CheckpointFrame]:
    rng = np.random.default_rng(12)
    provinces = rng.permutation(list(PROVINCES))
    for n in range(count):
        kind = _KINDS[n % len(_KINDS)]
        text = random_plate(kind, rng, str(provinces[n % len(provinces)]))
        frame = _drawn_frame([(text, kind)], _DEGRADED_WIDTH_PX, Light.DAY, 5000 + n, cache)
        if len(frame.plates) == 1:
            yield frame


def add_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """What every measuring of drawn plates is told: the reader, how many plates, and where they are kept."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=rounds, help="plates of a province per width")
    parser.add_argument("--cache", type=Path, help="folder that keeps drawn frames between runs")
    parser.add_argument("--models", type=Path, help="models folder")
    parser.add_argument("--recogniser", choices=ENGINES, default="onnxruntime")
    parser.add_argument("--threads", type=int, default=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--write", type=Path, help="folder for the result and the confusions")
    add_arguments(parser, rounds=1)
    parser.add_argument("--rendered", type=int, default=24, help="rendered frames to degrade")
    parser.add_argument("--real", type=int, default=60, help="real frames to degrade")
    options = parser.parse_args(arguments)
    reader = load_reader(options.models, recogniser=options.recogniser, threads=options.threads)
    measured = measure(reader, options)
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        for name, key in (("robustness.json", "result"), ("confusion.json", "confusion")):
            text = json.dumps(measured[key], ensure_ascii=False, indent=1)
            (options.write / name).write_text(text + "\n", "utf-8")
    if options.json:
        print(json.dumps(measured["result"], ensure_ascii=False, indent=1))
    else:
        _print(measured["result"])
    return 0


def _print(result: dict[str, Any]) -> None:
    for key, value in result.items():
        print(f"{key}:")
        if not isinstance(value, dict):
            print(f"  {json.dumps(value, ensure_ascii=False)}")
            continue
        for name, found in value.items():
            points = found.get("points") if isinstance(found, dict) else None
            print(f"  {name}: {json.dumps(points or found, ensure_ascii=False)}")


if __name__ == "__main__":
    sys.exit(main())
