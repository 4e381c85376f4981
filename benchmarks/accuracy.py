"""How well the reader reads labelled frames: ``python -m benchmarks.accuracy SCENES.jsonl``.

A line of the file describes one frame: ``{"file", "group", "overlay", "plates": [{"text", "label",
"box", "quad"}]}``; ``file`` is relative to the folder above the file's own.

What is scored: in each frame the plates whose text a human wrote; where there is none, those whose
text several machines agreed on. Frames without any text are left out. A labelled plate is *found*
if a returned plate overlaps it (intersection over union of upright boxes at least 0.3; where the
label has no place, if any plate is returned). It is *exact* if the best overlapping plate has the
labelled text, whole, and *exact without province* if it has it from the second character on.
Frames on which something was drawn (``overlay``) form groups of their own, named ``…/overlay``. Plates
of the military series withdrawn by 2012 count in their groups, and apart: nobody has to read them.
The time is that of ``PlateReader.read`` alone, picture decoding excluded, after a warm-up.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anpr import Box, PlateRead, PlateReader, load_reader
from anpr.errors import WeightsError
from anpr.picture import load_picture
from anpr.plate import RETIRED, normalise
from anpr.recogniser import ENGINES
from anpr.weights import load_model, models_folder
from benchmarks import calibration

OVERLAP_IOU = 0.3
CONFIDENT = 0.95
STREET = ("easypr", "learnpaddle", "ccpd", "duany049", "hyperlpr_dataset", "misc_cn")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A plate as labelled: its text, and where it is, if that is known."""

    text: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the set."""

    file: Path
    group: str
    overlay: bool
    plates: tuple[Labelled, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one labelled plate."""

    frame: Frame
    labelled: Labelled
    read: PlateRead | None

    @property
    def exact(self) -> bool:
        """Whether the whole text is right."""
        return self.read is not None and self.read.text == self.labelled.text

    @property
    def exact_without_province(self) -> bool:
        """Whether the text is right from the second character on."""
        return self.read is not None and self.read.text[1:] == self.labelled.text[1:]


def load_frames(file: Path) -> list[Frame]:
    """The frames of a set with the plates to score."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    root = file.resolve().parent.parent
    return [
        Frame(
            root / row["file"],
            row["group"] + ("/overlay" if row["overlay"] else ""),
            row["overlay"],
            tuple(_to_score(row["plates"])),
        )
        for row in rows
    ]


def _to_score(plates: Sequence[dict[str, Any]]) -> Iterable[Labelled]:
    written = [p for p in plates if p["text"]]
    by_human = [p for p in written if p["label"].startswith("human")]
    agreed = [p for p in written if p["label"] == "machine"]
    for plate in by_human or agreed:
        yield Labelled(normalise(plate["text"]), _box(plate))


def _box(plate: dict[str, Any]) -> Box | None:
    if plate["box"]:
        return Box(*plate["box"])
    if plate["quad"]:
        xs, ys = zip(*plate["quad"], strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))
    return None


def overlapping(reads: Sequence[PlateRead], labelled: Labelled) -> PlateRead | None:
    """The read that lies best on a labelled plate, if any does."""
    if not reads:
        return None
    box = labelled.box
    if box is None:
        same = (r for r in reads if r.text == labelled.text)
        return next(same, reads[0])
    best = max(reads, key=lambda r: r.box.iou(box))
    return best if best.box.iou(box) >= OVERLAP_IOU else None


def score(reader: PlateReader, frames: Sequence[Frame]) -> tuple[list[Outcome], list[float]]:
    """Read every frame; the outcome of each labelled plate and the time of each frame in ms."""
    outcomes, times_ms = [], []
    reader.read(load_picture(frames[0].file))
    for number, frame in enumerate(frames, start=1):
        image = load_picture(frame.file)
        started = time.perf_counter()
        reads = reader.read(image)
        times_ms.append((time.perf_counter() - started) * 1000)
        outcomes += [Outcome(frame, p, overlapping(reads, p)) for p in frame.plates]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number}/{len(frames)} frames")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return outcomes, times_ms


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and rates over labelled plates."""
    n = len(outcomes)
    confident = [o for o in outcomes if o.read is not None and o.read.score >= CONFIDENT]

    def rate(count: int, of: int) -> float | None:
        return round(count / of, 4) if of else None

    return {
        "plates": n,
        "exact": rate(sum(o.exact for o in outcomes), n),
        "exact_without_province": rate(sum(o.exact_without_province for o in outcomes), n),
        "recall": rate(sum(o.read is not None for o in outcomes), n),
        "confident": len(confident),
        "confident_exact": rate(sum(o.exact for o in confident), len(confident)),
    }


def by_group(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Summaries by group, and of the groups together."""
    names = sorted({o.frame.group for o in outcomes})
    groups = {name: summary([o for o in outcomes if o.frame.group == name]) for name in names}
    plain = [o for o in outcomes if not o.frame.overlay]
    street = [o for o in plain if _is_of(o.frame.group, STREET)]
    together = {
        "chinese (not overlay)": [o for o in plain if not o.frame.group.startswith("foreign")],
        "street (easypr, learnpaddle, ccpd, duany049, hyperlpr_dataset, misc_cn)": street,
        "street, series in use": [o for o in street if not _is_withdrawn(o.labelled.text)],
        "withdrawn military series": [o for o in plain if _is_withdrawn(o.labelled.text)],
        "ccpd2019 and ccpd2020": [o for o in plain if _is_of(o.frame.group, ("ccpd20",))],
        "overlay": [o for o in outcomes if o.frame.overlay],
        "all": list(outcomes),
    }
    return groups | {name: summary(some) for name, some in together.items() if some}


def _is_withdrawn(text: str) -> bool:
    """Whether it is of a military series that no vehicle carries any more (until 2012)."""
    return text[:1] in set(RETIRED)


def _is_of(group: str, sets: Sequence[str]) -> bool:
    """Whether a group such as ``scenes/easypr`` or ``ccpd/base`` belongs to one of the sets."""
    parts = group.split("/")
    return any(s in parts if s != "ccpd20" else parts[0].startswith(s) for s in sets)


def on_negatives(reader: PlateReader, file: Path) -> dict[str, Any]:
    """What the reader claims to see on frames without a readable plate."""
    frames = load_frames(file)
    reads = [(f, r) for f in frames for r in reader.read(load_picture(f.file))]
    return {
        "frames": len(frames),
        "false_plates": len(reads),
        "false_plates_with_text": sum(bool(r.text) for _, r in reads),
        "false_plates_per_100_frames": round(100 * len(reads) / len(frames), 2),
        "seen": [{"file": f.file.name, "text": r.text, "score": r.score} for f, r in reads],
    }


def _table(groups: dict[str, dict[str, Any]]) -> str:
    def percent(value: float | None) -> str:
        return "     –" if value is None else f"{100 * value:6.1f}"

    lines = [f"{'group':74} plates  exact %  no prov. %  recall %  ≥{CONFIDENT}: n  right %"]
    lines += [
        f"{name:74} {g['plates']:6}   {percent(g['exact'])}      {percent(g['exact_without_province'])}"
        f"    {percent(g['recall'])}    {g['confident']:6}   {percent(g['confident_exact'])}"
        for name, g in groups.items()
    ]
    return "\n".join(lines)


def _scored(outcomes: Sequence[Outcome]) -> list[tuple[float, bool]]:
    """Score of each read of a Chinese plate with a text, and whether all that it claims is right."""
    return [
        (o.read.score, calibration.claims_are_right(o.read.text, o.labelled.text))
        for o in outcomes
        if o.read is not None and o.read.text and not o.frame.group.startswith("foreign")
    ]


def misses(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What was not read exactly, each with its label, what was read, and how it looked."""
    return [
        {
            "file": str(o.frame.file.name),
            "group": o.frame.group,
            "expected": o.labelled.text,
            "read": None if o.read is None else o.read.text,
            "score": None if o.read is None else round(o.read.score, 3),
            "color": None if o.read is None else o.read.color,
            "rows": None if o.read is None else o.read.rows,
            "width_px": None if o.labelled.box is None else round(o.labelled.box.width_px),
        }
        for o in outcomes
        if not o.exact
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("scenes", type=Path, help="labelled frames (.jsonl)")
    parser.add_argument("--negatives", type=Path, help="frames without plates (.jsonl)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--misses", action="store_true", help="list what was not exact")
    parser.add_argument("--models", type=Path, help="models folder")
    parser.add_argument("--recogniser", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    negatives = options.negatives
    if negatives is None:
        beside = options.scenes.resolve().parent.parent / "train" / "negative.jsonl"
        negatives = beside if beside.is_file() else None
    try:
        reader = load_reader(options.models, recogniser=options.recogniser, threads=options.threads)
    except WeightsError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    frames = [f for f in load_frames(options.scenes) if f.plates]
    outcomes, times_ms = score(reader, frames)
    result = {
        "scenes": options.scenes.name,
        "recogniser": options.recogniser,
        "threads": options.threads,
        "models": {"detector": reader.detector_name, "recogniser": reader.recogniser_name},
        "groups": by_group(outcomes),
        "negatives": on_negatives(reader, negatives) if negatives else None,
        "frames": len(frames),
        "ms_per_image": {
            "median": round(statistics.median(times_ms), 2),
            "mean": round(statistics.fmean(times_ms), 2),
        },
    }
    settings = load_model(models_folder(options.models), "plate_rec").settings
    slope, offset = settings.get("calibration", (1.0, 0.0))
    result["calibration"] = calibration.report(_scored(outcomes), (float(slope), float(offset)))
    if options.misses:
        result["misses"] = misses(outcomes)
    if options.json:
        print(json.dumps(result, ensure_ascii=False, indent=1))
    else:
        _print(result)
    return 0


def _print(result: dict[str, Any]) -> None:
    print(_table(result["groups"]))
    for name in ("negatives", "ms_per_image", "models", "calibration"):
        print(f"{name}: {json.dumps(result[name], ensure_ascii=False)}")
    for miss in result.get("misses", ()):
        print(json.dumps(miss, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
