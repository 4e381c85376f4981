"""Whether smaller numbers pay: ``python -m benchmarks.quantised SCENES --calibrate FRAMES [--json]``.

Copies of the networks beside fp32: int8 by static quantisation (QDQ, per channel), calibrated on
frames that are not scored, and weights rounded to bf16. Each copy stands in a models folder of its
own, reads the labelled frames of ``benchmarks.accuracy``, and its runs are timed on the inputs that the
reader gives it. onnxruntime's CPU kernels compute bf16 weights in fp32: what the rounding costs shows,
what bf16 instructions would gain does not. Needs ``onnx``.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from anpr import PlateReader, load_reader
from anpr.picture import load_picture
from anpr.session import Network
from anpr.weights import MANIFEST, models_folder
from anpr.weights import main as enter_hashes
from benchmarks.accuracy import Frame, by_group, load_frames, on_negatives, score
from benchmarks.latency import cpu_name

DETECTOR, RECOGNISER = "plate_det/detector.onnx", "plate_rec/inference.onnx"
VARIANTS = {
    "fp32": {},
    "detector int8": {DETECTOR: "int8"},
    "recogniser int8": {RECOGNISER: "int8"},
    "both bf16": {DETECTOR: "bf16", RECOGNISER: "bf16"},
}
_TIMED = 60
"""Inputs that each network's runs are timed on."""

Inputs = dict[str, list[NDArray[Any]]]


class _Kept(CalibrationDataReader):  # type: ignore[misc] # untyped base
    """The inputs that the reader gave a network."""

    def __init__(self, name: str, batches: Sequence[Any]) -> None:
        """The input's name, and what it was given."""
        self._left = iter([{name: batch} for batch in batches])

    def get_next(self) -> Any:
        """The next input, or None."""
        return next(self._left, None)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy, times and size of each variant."""
    folder = models_folder(options.models)
    reader = load_reader(folder, recogniser="onnxruntime", threads=options.threads)
    calibrating = inputs_of(reader, load_frames(options.calibrate)[: options.frames])
    frames = load_frames(options.scenes)
    result: dict[str, Any] = {
        "machine": cpu_name(),
        "threads": options.threads,
        "models": {"detector": reader.detector_name, "recogniser": reader.recogniser_name},
        "calibrated on": min(options.frames, len(load_frames(options.calibrate))),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name, changes in VARIANTS.items():
            copy = Path(scratch) / name
            made_copy(folder, copy, changes, calibrating)
            result[name] = measured(copy, frames, calibrating, options)
    return result


def inputs_of(reader: PlateReader, frames: Sequence[Frame]) -> Inputs:
    """What detector and recogniser are given while these frames are read."""
    kept: Inputs = {DETECTOR: [], RECOGNISER: []}
    run = Network.run

    def keeping(network: Network, batch: Any) -> Any:
        for name, batches in kept.items():
            if network.path.match(name):
                batches.append(batch.copy())
        return run(network, batch)

    with patch.object(Network, "run", keeping):
        for frame in frames:
            reader.read(load_picture(frame.file))
    return kept


def made_copy(folder: Path, copy: Path, changes: dict[str, str], given: Inputs) -> None:
    """A models folder with some networks in other numbers, and their hashes in its manifest."""
    for file in folder.rglob("*"):
        if file.suffix in {".onnx", ".yml"} or file.name == MANIFEST:
            target = copy / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for relative, numbers in changes.items():
        if numbers == "int8":
            write_int8(folder / relative, copy / relative, given[relative])
        else:
            write_bf16(folder / relative, copy / relative)
    with redirect_stdout(sys.stderr):
        refused = enter_hashes([str(copy), "--write"])
    if refused:
        raise RuntimeError(f"{copy}: the changed networks cannot be entered")


def write_int8(original: Path, target: Path, given: Sequence[Any]) -> None:
    """A copy whose convolutions and products are int8, scaled by what the network was given."""
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(original), str(prepared), skip_symbolic_shape=True)
    name = onnx.load(original).graph.input[0].name
    quantize_static(
        str(prepared),
        str(target),
        _Kept(name, given),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )
    prepared.unlink()
    copied = onnx.load(target)
    have = {entry.key for entry in copied.metadata_props}
    for entry in onnx.load(original).metadata_props:
        if entry.key not in have:
            copied.metadata_props.append(entry)
    onnx.save(copied, target)


def write_bf16(original: Path, target: Path) -> None:
    """A copy whose weights are rounded to the 8 bits of bf16's fraction, to even."""
    network = onnx.load(original)
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            rounded = rounded_to_bf16(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    onnx.save(network, target)


def rounded_to_bf16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 values rounded, to even, to those that bfloat16 has."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32).reshape(values.shape)


def measured(
    folder: Path, frames: Sequence[Frame], given: Inputs, options: argparse.Namespace
) -> dict[str, Any]:
    """What a models folder reads right, and how long its networks take."""
    reader = load_reader(folder, recogniser="onnxruntime", threads=options.threads)
    outcomes, _ = score(reader, frames)
    groups = by_group(outcomes)
    result: dict[str, Any] = {
        name: {key: groups[name][key] for key in ("plates", "exact", "recall")}
        for name in list(groups)
        if name.startswith(("chinese", "street", "ccpd2019 and", "scenes/special", "overlay"))
    }
    if options.negatives:
        result["negatives"] = on_negatives(reader, options.negatives)["false_plates"]
    for relative in (DETECTOR, RECOGNISER):
        file = folder / relative
        result[relative] = {
            "megabytes": round(file.stat().st_size / 1e6, 2),
            "median_ms": round(
                float(np.median(list(_times_ms(file, given, relative, options)))), 2
            ),
        }
    return result


def _times_ms(
    file: Path, given: Inputs, relative: str, options: argparse.Namespace
) -> Iterator[float]:
    network = Network(file, threads=options.threads)
    batches = given[relative][:_TIMED]
    for batch in batches:
        network.run(batch)
    yield from (_timed_ms(network.run, batch) for batch in batches)


def _timed_ms(run: Callable[[Any], Any], batch: Any) -> float:
    started = time.perf_counter()
    run(batch)
    return (time.perf_counter() - started) * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantised", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("scenes", type=Path, help="labelled frames (.jsonl)")
    parser.add_argument("--calibrate", type=Path, required=True, help="other frames (.jsonl)")
    parser.add_argument("--frames", type=int, default=120, help="so many of them")
    parser.add_argument("--negatives", type=Path, help="frames without plates (.jsonl)")
    parser.add_argument("--models", type=Path, help="models folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    print(json.dumps(compare(options), ensure_ascii=False, indent=1 if options.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
