"""How fast and how well the agent sees: ``python -m benchmarks.agent VIDEO…`` or ``--rendered``.

Each video is a camera of its own; with ``--cameras N`` they are shown to N cameras in turn. The
real agent runs in a process of its own (:mod:`benchmarks.agent_run`); measured are frames, time,
processor and memory. Where the truth of a video lies beside it (``NAME.json``, as rendered clips
have it), each passage is held against it (:mod:`benchmarks.agent_truth`).

``--rendered`` runs each clip of :mod:`benchmarks.rendering.clips` on its own; the first time it
draws and encodes them, which takes longer than running them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.agent_run import Plan
from benchmarks.agent_truth import Judged, figures, judge
from benchmarks.rendering.clips import CLIPS, rendered

CLIPS_DIR = Path("runs/clips")
_TAIL_S = 2.5
"""A vehicle needs so long to leave after it was seen best."""
_SETTLED = 0.2
"""Memory is judged from this part of the run on."""
_SAME_PICTURE = 14.0
"""Mean difference, in grey levels, up to which a JPEG shows a frame: noise is about 5."""
_COMPARED_PX = (320, 180)
COUNTED = ("vehicles", "captured", "plates_right", "duplicates", "mixed", "ghosts",
           "unplated", "unplated_captured", "wrong_plate_claimed")  # fmt: skip


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "measured_at": datetime.now(UTC).date().isoformat(),
    }


def plan_for(videos: Sequence[Path], chosen: argparse.Namespace, pictures: Path | None) -> Plan:
    """One camera a video, or as many as asked for; lanes and calibration from the truth."""
    cameras = []
    for n in range(chosen.cameras or len(videos)):
        video = videos[n % len(videos)]
        camera: dict[str, Any] = {
            "id": f"camera-{n}",
            "source": str(video.resolve()),
            "unplated": True,
        }
        truth = truth_of(video)
        if truth is not None:
            camera["lane"] = [
                {"number": i + 1, "outline": outline} for i, outline in enumerate(truth["lanes"])
            ]
            camera["calibration"] = truth["calibration"]
        cameras.append(camera)
    return Plan(
        cameras=cameras,
        reader={"recogniser": chosen.recogniser, "threads": chosen.threads},
        passage=json.loads(chosen.passage),
        live=chosen.live,
        loops=chosen.loops,
        seconds=chosen.seconds,
        pictures=None if pictures is None else str(pictures),
    )


def truth_of(video: Path) -> dict[str, Any] | None:
    """What the video shows, if that is known."""
    path = video.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _first_seconds(truth: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The truth about the vehicles that are gone by then."""
    gone_by = datetime.fromisoformat(truth["start_at"]) + timedelta(seconds=seconds - _TAIL_S)
    vehicles = [v for v in truth["vehicles"] if datetime.fromisoformat(v["crossing_at"]) <= gone_by]
    return truth | {"vehicles": vehicles}


def measured(plan: Plan) -> dict[str, Any]:
    """Run a plan in a process of its own.

    Raises:
        RuntimeError: if the agent failed.
    """
    argv = [sys.executable, "-m", "benchmarks.agent_run"]
    done = subprocess.run(
        argv, input=json.dumps(asdict(plan)), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the agent failed with exit code {done.returncode}")
    return dict(json.loads(done.stdout))


def speed(run: Mapping[str, Any]) -> dict[str, Any]:
    """Frames, time, processor and memory of a run."""
    cameras, wall_s = run["cameras"], run["wall_s"]
    rss = [mb for _, mb in run["rss_mb"]] or [0.0]
    return {
        "wall_s": round(wall_s, 1),
        "decoded_fps": round(sum(c["decoded"] for c in cameras.values()) / wall_s, 2),
        "processed_fps": round(sum(c["processed"] for c in cameras.values()) / wall_s, 2),
        "slowest_camera_fps": round(min(c["processed"] for c in cameras.values()) / wall_s, 2),
        "frames": sum(c["processed"] for c in cameras.values()),
        "searched": sum(c["searched"] for c in cameras.values()),
        "dropped": sum(c["dropped"] for c in cameras.values()),
        "cores_used": round(run["cpu_s"] / wall_s, 3),
        "cpu_ms_per_frame": round(
            1000 * run["cpu_s"] / sum(c["processed"] for c in cameras.values()), 2
        ),
        "machine_load": round(os.getloadavg()[0], 1),
        "rss_mb": {
            "start": round(rss[min(len(rss) - 1, int(_SETTLED * len(rss)))], 1),
            "end": round(rss[-1], 1),
            "most": round(max(rss), 1),
            "slope_per_hour": slope_per_hour(run["rss_mb"]),
        },
        "frame_to_outbox_ms": percentiles(run["frame_to_outbox_ms"]),
        "moment_to_outbox_s": percentiles(run["moment_to_outbox_s"]),
    }


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """Growth of memory after the start, MB an hour; ``None`` if the run is too short to say."""
    settled = samples[int(_SETTLED * len(samples)) :]
    if len(settled) < 30:
        return None
    t, mb = (np.array(values) for values in zip(*settled, strict=True))
    return round(float(np.polyfit(t, mb, 1)[0]) * 3600, 1)


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """The median and the slowest hundredth."""
    if not values:
        return None
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def pictures_shown_falsely(video: Path, judged: Sequence[Judged], pictures: Path) -> int:
    """Passages whose scene picture is not the frame that its time names."""
    wanted: dict[int, list[str]] = {}
    for one in judged:
        scene = next(e for e in one.passage["evidence"] if e["role"] == "scene")
        wanted.setdefault(one.frame, []).append(str(pictures / f"{scene['sha256']}.jpg"))
    capture, number, wrong = cv2.VideoCapture(str(video)), 0, 0
    try:
        while wanted and capture.grab():
            for path in wanted.pop(number, ()):
                known, image = capture.retrieve()
                shown = cv2.imread(path)
                wrong += not known or shown is None or _apart(image, shown) > _SAME_PICTURE
            number += 1
    finally:
        capture.release()
    return wrong + sum(map(len, wanted.values()))


def _apart(a: Any, b: Any) -> float:
    small = [cv2.resize(i, _COMPARED_PX, interpolation=cv2.INTER_AREA) for i in (a, b)]
    return float(np.percentile(cv2.absdiff(*small), 99))


def clip_line(
    video: Path,
    run: Mapping[str, Any],
    truth: Mapping[str, Any] | None,
    pictures: Path,
    loops: int = 1,
) -> dict[str, Any]:
    """All figures of one clip."""
    line: dict[str, Any] = {"clip": video.stem, **speed(run)}
    if truth is not None and loops > 1:
        line |= {"light": truth["light"], "loops": loops}
        line |= loop_figures(truth, run["passages"], loops)
    elif truth is not None:
        judged = judge(truth, run["passages"])
        line |= {"light": truth["light"], **figures(truth, judged)}
        line["pictures_of_other_frames"] = pictures_shown_falsely(video, judged, pictures)
    else:
        line |= {"passages": [_short(p) for p in run["passages"]]}
    return line


def loop_figures(
    truth: Mapping[str, Any], passages: Sequence[Mapping[str, Any]], loops: int
) -> dict[str, Any]:
    """The counts of a clip that was played so often, each time judged by itself.

    Every vehicle comes once each time: one that the agent took for a repetition is missed.
    """
    start = datetime.fromisoformat(truth["start_at"])
    period = timedelta(seconds=len(truth["frames"]) / truth["fps"])
    played: list[list[Mapping[str, Any]]] = [[] for _ in range(loops)]
    for passage in passages:
        at = datetime.fromisoformat(passage["captured_at"])
        nth = min(max((at - start) // period, 0), loops - 1)
        played[nth].append(passage | {"captured_at": (at - nth * period).isoformat()})
    each = [figures(truth, judge(truth, one)) for one in played]
    counts = {key: sum(one[key] for one in each) for key in COUNTED}
    wrong = Counter(what for one in each for key in ("missed", "not_wanted", "misread")
                    for what in one[key])  # fmt: skip
    return counts | {"passages": len(passages), "wrong": dict(wrong.most_common(20))}


def _short(passage: Mapping[str, Any]) -> str:
    plate = passage["plate"]
    return f"{plate['text'] or plate['state']} {plate['score']:.2f}"


def overall(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Shares over all clips with truth, and by light."""
    shares = {}
    for light in ("all", "day", "night"):
        of = [x for x in lines if light in {"all", x.get("light")}]
        sums = {
            key: sum(x[key] for x in of if key in x)
            for key in (*COUNTED, "pictures_of_other_frames")
        }
        passages = sum(x["passages"] for x in of if "vehicles" in x)
        if sums["vehicles"]:
            shares[light] = sums | {
                "passages": passages,
                "captured_share": round(sums["captured"] / sums["vehicles"], 4),
                "plates_right_share": round(sums["plates_right"] / sums["vehicles"], 4),
                "duplicate_share": round(sums["duplicates"] / max(passages, 1), 4),
            }
    return shares


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("videos", nargs="*", type=Path, metavar="VIDEO")
    parser.add_argument(
        "--rendered", nargs="*", metavar="NAME", help=f"rendered clips: {', '.join(CLIPS)}"
    )
    parser.add_argument("--clips", type=Path, default=CLIPS_DIR, help=f"their folder ({CLIPS_DIR})")
    parser.add_argument("--cameras", type=int, help="so many cameras in one run")
    parser.add_argument("--live", action="store_true", help="at the recordings' pace, dropping")
    parser.add_argument("--loops", type=int, default=1, help="play each video so often")
    parser.add_argument("--seconds", type=float, help="only so much of each video")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of the models")
    parser.add_argument("--recogniser", default="onnxruntime", help="onnxruntime or paddleocr")
    parser.add_argument("--passage", default="{}", help="[passage] settings as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON line a run, then the shares")
    parser.add_argument("--out", type=Path, help="add the results to this file, under --title")
    parser.add_argument("--title", default="clips")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure as asked; 0 when done, 2 without anything to run."""
    chosen = _parser().parse_args(arguments)
    runs = [[video] for video in chosen.videos]
    if chosen.rendered is not None:
        runs += [[rendered(CLIPS[n], chosen.clips)[0]] for n in chosen.rendered or CLIPS]
    if not runs:
        sys.stderr.write("benchmarks.agent: give videos, or --rendered\n")
        return 2
    if chosen.cameras:
        runs = [[video for one in runs for video in one]]
    lines = []
    for videos in runs:
        shortened = chosen.loops > 1 and chosen.seconds is not None
        alone = len(videos) == 1 and not chosen.cameras and not shortened
        truth = truth_of(videos[0]) if alone else None
        if truth is not None and chosen.seconds is not None:
            truth = _first_seconds(truth, chosen.seconds)
        with tempfile.TemporaryDirectory() as folder:
            pictures = Path(folder)
            kept = pictures if truth and chosen.loops == 1 else None
            run = measured(plan_for(videos, chosen, kept))
            lines.append(clip_line(videos[0], run, truth, pictures, chosen.loops))
        if not alone:
            lines[-1]["clip"] = " + ".join(v.stem for v in videos)
        print(json.dumps(lines[-1], ensure_ascii=False) if chosen.json else _said(lines[-1]))
        sys.stdout.flush()
        if chosen.out:
            _add(chosen.out, chosen.title, {"runs": lines})
    shares = overall(lines)
    print(json.dumps({"overall": shares}) if chosen.json else _table(shares))
    return 0


def _said(line: Mapping[str, Any]) -> str:
    """A run for people."""
    return "\n".join(f"  {key}: {value}" for key, value in line.items()) + "\n"


def _table(shares: Mapping[str, Any]) -> str:
    return "\n".join(f"{light}: {values}" for light, values in shares.items())


def _add(path: Path, title: str, results: Mapping[str, Any]) -> None:
    """Results of several commands stand in one file, each under its title.

    A clip that was run before under the same title is replaced, others stay.
    """
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    earlier = known.get(title, {}).get("runs", [])
    new = {line["clip"] for line in results["runs"]}
    runs = [line for line in earlier if line["clip"] not in new] + list(results["runs"])
    known[title] = {"machine": machine(), "overall": overall(runs), "runs": runs}
    path.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
