"""Whether smaller numbers pay: int8 and fp16 copies of the networks beside fp32 (needs ``onnx``).

The copies are made for the measurement alone, in a temporary folder: int8 by static quantisation
(QDQ, per channel) calibrated on the benchmark's frames, fp16 by conversion. A processor without
instructions for a type computes it in another one; the times say so.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from anpr import PlateReader
from anpr.session import Network
from anpr.weights import models_folder
from benchmarks.checkpoint_frames import Picture

NETWORKS = ("plate_det/detector.onnx", "plate_rec/inference.onnx")
_ROUNDS = 3


class _Kept(CalibrationDataReader):  # type: ignore[misc] # untyped base
    """The inputs that the reader gave a network."""

    def __init__(self, name: str, batches: Sequence[Any]) -> None:
        """The input's name, and what it was given."""
        self._left = iter([{name: batch} for batch in batches])

    def get_next(self) -> Any:
        """The next input, or None."""
        return next(self._left, None)


def compare(
    reader: PlateReader, images: Sequence[Picture], models: Path | None, threads: Sequence[int]
) -> dict[str, Any]:
    """For each network and type: median ms of a run, and how far the answers are from fp32's."""
    batches = _inputs(reader, images)
    folder = models_folder(models)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for relative in NETWORKS:
            original, given = folder / relative, batches[relative]
            variants = {"fp32": original}
            for kind, make in (("int8", _int8), ("fp16", _fp16)):
                try:
                    variants[kind] = make(original, given, Path(scratch))
                except Exception as error:  # noqa: BLE001 – a converter's failure is a finding
                    found[f"{relative} {kind}"] = f"cannot be made: {error}"
            for kind, file in variants.items():
                found[f"{relative} {kind}"] = _measured(original, file, given, threads)
    return found


def _inputs(reader: PlateReader, images: Sequence[Picture]) -> dict[str, list[Any]]:
    kept: dict[str, list[Any]] = {name: [] for name in NETWORKS}
    run = Network.run

    def keeping(network: Network, batch: Any) -> Any:
        for name in NETWORKS:
            if network.path.match(name) and (not kept[name] or batch.shape == kept[name][0].shape):
                kept[name].append(batch.copy())
        return run(network, batch)

    with patch.object(Network, "run", keeping):
        for image in images:
            reader.read(image)
    return kept


def _int8(original: Path, given: Sequence[Any], scratch: Path) -> Path:
    prepared, target = scratch / f"pre-{original.name}", scratch / f"int8-{original.name}"
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
    return target


def _fp16(original: Path, given: Sequence[Any], scratch: Path) -> Path:
    del given
    target = scratch / f"fp16-{original.name}"
    onnx.save(convert_float_to_float16(onnx.load(original), keep_io_types=True), target)
    return target


def _measured(
    original: Path, file: Path, given: Sequence[Any], threads: Sequence[int]
) -> dict[str, Any]:
    result: dict[str, Any] = {"megabytes": round(file.stat().st_size / 1e6, 2)}
    for n in threads:
        network = Network(file, threads=n)
        network.run(given[0])
        times = [_timed_ms(network.run, batch) for _ in range(_ROUNDS) for batch in given]
        result[f"{n} threads, median_ms"] = round(float(np.median(times)), 2)
    exact, changed = Network(original, threads=max(threads)), Network(file, threads=max(threads))
    first = exact.output_names[0]
    worst = [float(np.abs(exact.run(b)[first] - changed.run(b)[first]).max()) for b in given]
    return result | {"largest difference of a score, median": round(float(np.median(worst)), 4)}


def _timed_ms(run: Callable[[Any], Any], batch: Any) -> float:
    started = time.perf_counter()
    run(batch)
    return (time.perf_counter() - started) * 1000
