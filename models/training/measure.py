"""Measure exported weights: ``python -m models.training.measure MODELS --data ../shared/data``.

Four views: the benchmark's plates cut by their labelled corners; drawn plates, evenly for every
province and every kind; foreign plates that no recogniser was trained on; and how well the score of a
read says how often such reads are right. All are of the recognisers alone (best path, no grammar),
but for the foreign frames held out, which the whole reader reads.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from anpr import load_reader
from anpr.plate import PROVINCES, PlateKind
from benchmarks import accuracy
from benchmarks.rendering.plates import draw_plate
from benchmarks.rendering.texts import random_plate
from models.training.command import add_data_arguments, glyph_source, real_plates
from models.training.crop_scores import Classes, Crop, Reader, Scores, labelled_crops, reads, score
from models.training.degrade import Harshness, Mounted, photograph
from models.training.drawn_plates import KIND_SHARES, DrawnSource
from models.training.network_recogniser import INPUT_PX
from models.training.plate_canvas import CORE
from models.training.plate_crops import held_out_foreign
from models.training.real_plates import RealPlates

MILD = Harshness(corners=0.7, camera=0.5, smallest_height_px=16.0)
"""What a working checkpoint sees; the training setting also holds what nobody can read."""


def reader(path: Path) -> Reader:
    """Crops ``uint8 (N, 40, 144, 3)`` to probabilities, by the exported network."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def read(crops: NDArray[np.uint8]) -> Classes:
        pictures = (crops.transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.5) / 0.5
        return session.run(None, {"x": pictures})[0]

    return read


def _photographed(mounted: Mounted, rng: np.random.Generator) -> tuple[NDArray[np.uint8], ...]:
    """Each row of a plate, out of one photograph."""
    seed = int(rng.integers(2**32))
    return tuple(
        photograph(mounted, INPUT_PX, np.random.default_rng(seed), MILD, row)
        for row in range(mounted.rows)
    )


def drawn_by_kind(source: DrawnSource, each: int, seed: int) -> list[Crop]:
    """``each`` plates of every kind."""
    rng = np.random.default_rng(seed)
    crops = []
    for kind in KIND_SHARES:
        for _ in range(each):
            mounted, drawn = source.mounted(kind, rng)
            group = f"{kind} in {drawn.rows} row(s)"
            rows = _photographed(mounted, rng)
            crops.append(Crop(rows, drawn.text, group, ""))
    return crops


def drawn_by_province(source: DrawnSource, each: int, seed: int) -> list[Crop]:
    """``each`` ordinary plates of every province, half blue and half green."""
    rng = np.random.default_rng(seed)
    crops = []
    for province in PROVINCES:
        for i in range(each):
            kind = PlateKind.SMALL if i % 2 else PlateKind.NEW_ENERGY_SMALL
            text = random_plate(kind, rng, province)
            drawn = draw_plate(text, kind, glyphs=source.glyphs, rng=rng, wear=rng.random() ** 2)
            mounted = source.mount(drawn, rng)
            crops.append(Crop(_photographed(mounted, rng), text, province, ""))
    return crops


def foreign_held_out(plates: RealPlates) -> list[Crop]:
    """Foreign plates that training never saw, cut by their corners."""
    calm = Harshness(corners=0.0, camera=0.0)
    rng = np.random.default_rng(0)
    crops = []
    for i in np.flatnonzero(held_out_foreign(plates)):
        sample = plates.samples[i]
        picture = photograph(Mounted(plates.canvases[i], CORE), INPUT_PX, rng, calm)
        crops.append(Crop((picture,), sample.text, sample.group, sample.path))
    return crops


def foreign_frames_held_out(models: Path, data: Path, plates: RealPlates) -> dict[str, Any]:
    """How the whole reader reads the frames of those plates; what it misread, and as what."""
    held_out = {Path(plates.samples[i].path).name for i in np.flatnonzero(held_out_foreign(plates))}
    frames = accuracy.load_frames(data / "train/scenes.jsonl")
    reader = load_reader(models, recogniser="onnxruntime")
    outcomes, _ = accuracy.score(reader, [f for f in frames if f.file.name in held_out])
    return {
        "models": [reader.detector_name, reader.recogniser_name],
        "groups": accuracy.by_group(outcomes),
        "misses": accuracy.misses(outcomes),
    }


def calibration(crops: list[Crop], read: Reader) -> list[tuple[float, float, int]]:
    """``(mean score, share right, reads)`` in ten bins of the least character's probability."""
    scores, right = [], []
    for crop, text, sureness in reads(crops, read):
        scores.append(sureness)
        right.append(text == crop.text)
    bins = np.minimum((np.array(scores) * 10).astype(int), 9)
    table = []
    for b in range(10):
        mask = bins == b
        if mask.any():
            mean = float(np.array(scores)[mask].mean())
            table.append((mean, float(np.array(right)[mask].mean()), int(mask.sum())))
    return table


def expected_error(table: list[tuple[float, float, int]]) -> float:
    """Expected calibration error of ``calibration``'s bins."""
    total = sum(count for _, _, count in table)
    return sum(abs(mean - share) * count for mean, share, count in table) / total


def province_confusions(scores: Scores) -> list[tuple[str, int]]:
    """Which province was read for which, most often first."""
    pairs = Counter(
        f"{crop.text[0]}→{text[0] if text else '-'}"
        for crop, text, _ in scores.misses
        if not text or text[0] != crop.text[0]
    )
    return pairs.most_common(12)


def by_group(scores: Scores) -> dict[str, float]:
    """Exact share of each group."""
    return {group: round(scores.right[group] / n, 4) for group, n in sorted(scores.count.items())}


def main() -> None:
    """Print everything as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="models folder")
    add_data_arguments(parser)
    parser.add_argument("--each", type=int, default=60, help="drawn plates per kind and province")
    parser.add_argument("--seed", type=int, default=11, help="which plates are drawn")
    args = parser.parse_args()
    if args.data is None:
        parser.error("--data is needed")
    read = reader(args.models / "plate_rec/inference.onnx")
    read_foreign = reader(args.models / "plate_rec_foreign/inference.onnx")
    plates = real_plates(args)
    source = DrawnSource(glyph_source(args), plates)
    dev = labelled_crops(args.data, "dev/scenes.jsonl", INPUT_PX)
    street = [c for c in dev if "overlay" not in c.group]
    by_province = score(drawn_by_province(source, args.each, args.seed), read)
    table = calibration(street, read)
    result = {
        "dev": by_group(score(dev, read)),
        "drawn by kind": by_group(score(drawn_by_kind(source, args.each, args.seed + 1), read)),
        "drawn by province": by_group(by_province),
        "province confusions": province_confusions(by_province),
        "foreign held out": by_group(score(foreign_held_out(plates), read_foreign)),
        "foreign frames held out": foreign_frames_held_out(args.models, args.data, plates),
        "calibration (score, right, reads)": [[round(v, 3) for v in row] for row in table],
        "expected calibration error": round(expected_error(table), 4),
    }
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
