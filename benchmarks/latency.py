"""How long a frame takes: ``python -m benchmarks.latency [--json]``.

One frame of 1920x1080 pixels a call, decoding of the picture excluded, after a warm-up. Frames are
real photographs set into rendered road at their own size (where the imagery is at hand) and rendered
ones, each with one plate that the reader finds. For each number of threads:

- ``frame``: the time of ``PlateReader.read``;
- ``parts``: what of it goes where, and the share outside ``session.run``;
- ``raw onnxruntime``: the same networks on inputs prepared beforehand, nothing else, a frame of
  theirs after each frame read; ``frame / raw`` is the median of the pairs' ratios;
- ``further plate``: the same road with a second vehicle, minus the road with one;
- peers: other engines on the same frames, in the same run.

Memory is what a fresh process holds after reading frames, by recogniser engine.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

import anpr.detector
import anpr.reader
from anpr import PlateReader, load_reader
from anpr.color import ColorNetwork
from anpr.recogniser import ENGINES, OnnxRecogniser
from anpr.session import Network
from benchmarks.checkpoint_frames import (
    CheckpointFrame,
    Picture,
    imagery_folder,
    real_frames,
    rendered_frames,
)
from benchmarks.peers import peers

GOALS = {
    "frame_ms_2_threads": 10.0,
    "frame_ms_1_thread": 18.0,
    "further_plate_ms": 3.0,
    "share_outside_session_run": 0.15,
    "resident_mb_paddleocr": 350.0,
    "resident_mb_onnxruntime": 150.0,
}
_PARTS = (
    (anpr.detector, "letterbox", "letterbox"),
    (anpr.detector, "decode_peaks", "detections from the peaks"),
    (anpr.reader, "rectify_whole", "cut for the colour"),
    (anpr.reader, "rectify", "cut for the recogniser"),
    (ColorNetwork, "classify", "colour, network included"),
    (OnnxRecogniser, "lattices", "recogniser, network included"),
    (anpr.reader, "decide", "decoding of the text"),
)
_MEMORY_PROBE = """
import sys
import numpy as np
from anpr import load_reader
reader = load_reader(sys.argv[2] or None, recogniser=sys.argv[1], threads=2)
rng = np.random.default_rng(0)
for _ in range(8):
    reader.read(np.repeat(np.repeat(rng.integers(0, 256, (135, 240, 3)).astype(np.uint8), 8, 0), 8, 1))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def measured_ms(
    run: Callable[[Picture], Any], images: Sequence[Picture], rounds: int
) -> list[float]:
    """The time of each call in ms, the frames taken in turn, after one warm-up of each."""
    for image in images:
        run(image)
    times = []
    for _ in range(rounds):
        for image in images:
            started = time.perf_counter()
            run(image)
            times.append((time.perf_counter() - started) * 1000)
    return times


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and least of times in ms."""
    return {
        "median_ms": round(statistics.median(times), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "least_ms": round(min(times), 2),
    }


class Clock:
    """Adds up the time spent in functions, one frame after another."""

    def __init__(self) -> None:
        """Nothing was timed yet."""
        self.frames: list[dict[str, float]] = []

    def next_frame(self) -> None:
        """What follows belongs to a new frame."""
        self.frames.append(defaultdict(float))

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, its time added under the name."""

        def run(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.frames[-1][name] += (time.perf_counter() - started) * 1000

        return run


class _Names(dict[Network, str]):
    """What a network's runs are listed as; made out once, as paths take long to take apart."""

    def __missing__(self, network: Network) -> str:
        self[network] = name = f"session.run {network.path.parent.name}"
        return name


@contextmanager
def watched(clock: Clock, also: Sequence[tuple[Any, str, str]] = ()) -> Iterator[None]:
    """Time every run of a network while this lasts, and those parts of the reader."""
    with ExitStack() as stack:
        for owner, attribute, name in also:
            original = getattr(owner, attribute)
            stack.enter_context(patch.object(owner, attribute, clock.timed(original, name)))
        run, names = Network.run, _Names()

        def timed_run(network: Network, batch: Any) -> Any:
            # no more than this: what the clock takes beside the run counts as outside of it
            started = time.perf_counter()
            try:
                return run(network, batch)
            finally:
                taken_ms = (time.perf_counter() - started) * 1000
                clock.frames[-1][names[network]] += taken_ms

        stack.enter_context(patch.object(Network, "run", timed_run))
        yield


def parts(reader: PlateReader, images: Sequence[Picture], rounds: int) -> dict[str, Any]:
    """Where the time of a frame goes (medians), and the share outside ``session.run``.

    The share is of frames in which nothing but the networks' runs is timed: each part's clock would
    count as outside of them, too.
    """
    apart = _clocked(reader, images, rounds, _PARTS).frames
    outside = [
        1 - sum(ms for name, ms in frame.items() if name.startswith("session.run")) / frame["frame"]
        for frame in _clocked(reader, images, rounds).frames
    ]
    names = sorted({name for frame in apart for name in frame})
    return {
        "median_ms": {
            name: round(statistics.median(frame.get(name, 0.0) for frame in apart), 3)
            for name in names
        },
        "share_outside_session_run": round(statistics.median(outside), 4),
    }


def _clocked(
    reader: PlateReader,
    images: Sequence[Picture],
    rounds: int,
    also: Sequence[tuple[Any, str, str]] = (),
) -> Clock:
    """Frames read with the clock running, after one warm-up of each."""
    clock = Clock()
    with watched(clock, also):
        for image in [*images, *(list(images) * rounds)]:
            clock.next_frame()
            clock.timed(reader.read, "frame")(image)
    del clock.frames[: len(images)]
    return clock


def beside_raw(
    reader: PlateReader, images: Sequence[Picture], rounds: int
) -> tuple[list[float], list[float]]:
    """Each frame read, and right after it the same runs of the same networks and nothing else, ms.

    In turn, because a machine that has other guests is now faster, now slower.
    """
    calls: list[list[tuple[Network, Any]]] = []
    run = Network.run

    def kept(network: Network, batch: Any) -> Any:
        calls[-1].append((network, batch.copy()))
        return run(network, batch)

    with patch.object(Network, "run", kept):
        for image in images:
            calls.append([])
            reader.read(image)
    whole, raw = [], []
    for _ in range(rounds):
        for image, runs in zip(images, calls, strict=True):
            started = time.perf_counter()
            reader.read(image)
            read = time.perf_counter()
            for network, batch in runs:
                network.run(batch)
            whole.append((read - started) * 1000)
            raw.append((time.perf_counter() - read) * 1000)
    return whole, raw


def further_plate_ms(
    reader: PlateReader, pairs: Sequence[tuple[Picture, Picture]], rounds: int
) -> float:
    """Median of a frame with two plates minus the same road with one, in ms."""
    differences = []
    for one, two in pairs:
        a, b = measured_ms(reader.read, [one], rounds), measured_ms(reader.read, [two], rounds)
        differences.append(statistics.median(b) - statistics.median(a))
    return round(statistics.median(differences), 2)


def resident_mb(engine: str, models: Path | None) -> float:
    """Memory in MB that a fresh process holds after it has read frames with this engine."""
    probe = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MEMORY_PROBE, engine, str(models or "")],
        check=True,
        capture_output=True,
        text=True,
    )
    return round(int(probe.stdout.split()[-1]) / 1024, 1)


def gather(reader: PlateReader, real: int, rendered: int) -> dict[str, list[Picture]]:
    """Frames by source, those in which the reader finds exactly one plate."""

    def with_one(frames: Sequence[CheckpointFrame]) -> list[Picture]:
        return [f.image for f in frames if len(reader.detect(f.image)) == 1]

    imagery = imagery_folder()
    return {
        "real": with_one(real_frames(imagery, real)) if imagery else [],
        "rendered": with_one(list(rendered_frames(rendered))),
    }


def _pairs(count: int) -> list[tuple[Picture, Picture]]:
    ones = rendered_frames(count, seed=50)
    twos = rendered_frames(count, vehicles=2, seed=50)
    return [(a.image, b.image) for a, b in zip(ones, twos, strict=True)]


def of_threads(
    threads: int, frames: dict[str, list[Picture]], pairs: Any, options: argparse.Namespace
) -> dict[str, Any]:
    """Everything that is measured with so many threads."""
    cv2.setNumThreads(threads)
    reader = load_reader(options.models, recogniser="onnxruntime", threads=threads)
    images = [image for some in frames.values() for image in some]
    whole, raw = beside_raw(reader, images, options.rounds)
    result: dict[str, Any] = {
        "frame": spread(whole),
        "by source": {
            source: spread(measured_ms(reader.read, some, 1))
            for source, some in frames.items()
            if some
        },
        "raw onnxruntime": spread(raw),
        "frame / raw": round(
            statistics.median([a / b for a, b in zip(whole, raw, strict=True)]), 3
        ),
        "parts": parts(reader, images, options.rounds),
        "further_plate_ms": further_plate_ms(reader, pairs, options.rounds * 4),
    }
    with_paddle = load_reader(options.models, recogniser="paddleocr", threads=threads)
    result["frame, recogniser run by PaddleOCR"] = spread(measured_ms(with_paddle.read, images, 1))
    if not options.no_peers:
        result["peers"] = _of_peers(threads, images, statistics.median(whole))
    return result


def _of_peers(threads: int, images: Sequence[Picture], ours_ms: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for peer in peers(threads):
        if peer.run is None:
            found[peer.name] = {"not run": peer.reason}
            continue
        times = measured_ms(peer.run, images[:: max(1, len(images) // 12)], 1)
        found[peer.name] = spread(times) | {
            "times ours": round(statistics.median(times) / ours_ms, 1)
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="how often each frame is read")
    parser.add_argument("--real", type=int, default=24, help="real photographs")
    parser.add_argument("--rendered", type=int, default=6, help="rendered frames")
    parser.add_argument("--no-peers", action="store_true", help="leave other engines out")
    parser.add_argument("--models", type=Path, help="models folder")
    options = parser.parse_args(arguments)
    reader = load_reader(options.models, recogniser="onnxruntime", threads=max(options.threads))
    frames = gather(reader, options.real, options.rendered)
    pairs = _pairs(3)
    result: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "cpu": cpu_name()},
        "models": {"detector": reader.detector_name, "recogniser": reader.recogniser_name},
        "frame": "1920x1080, one plate found, decoding excluded",
        "frames": {source: len(some) for source, some in frames.items()},
        "goals": GOALS,
        "resident_mb": {engine: resident_mb(engine, options.models) for engine in ENGINES},
        "threads": {str(n): of_threads(n, frames, pairs, options) for n in options.threads},
    }
    print(json.dumps(result, ensure_ascii=False, indent=1) if options.json else _table(result))
    return 0


def cpu_name() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['frame']}; frames {result['frames']}; {result['machine']['cpu']}"]
    lines.append(f"resident MB: {result['resident_mb']}")
    for threads, found in result["threads"].items():
        lines.append(f"threads {threads}:")
        lines += [
            f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in found.items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
