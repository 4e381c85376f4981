"""Draws the results as pictures: ``python -m benchmarks.plots [FOLDER]``.

Reads ``accuracy.json``, ``robustness.json`` and ``latency.json`` of the folder (by default
``benchmarks/results``) and writes ``reliability.png``, ``plate_widths.png``, ``degradations.png``,
``provinces.png`` and ``latency.png`` beside them, each only where its result is there.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import font_manager
from matplotlib import pyplot as plt

RESULTS = Path(__file__).parent / "results"
_CHINESE = ("Noto Sans CJK", "WenQuanYi", "AR PL UMing")
_FOUND, _EXACT, _REAL = "#3b7ddd", "#c2410c", "#15803d"


def _use_chinese_font() -> None:
    names = sorted({font.name for font in font_manager.fontManager.ttflist})
    chosen = [n for wanted in _CHINESE for n in names if n.startswith(wanted)]
    mpl.rcParams["font.sans-serif"] = [*chosen[:1], "DejaVu Sans"]
    mpl.rcParams["axes.grid"] = True
    mpl.rcParams["grid.alpha"] = 0.3


def reliability(result: dict[str, Any], file: Path) -> None:
    """Score against share right, and how many reads each point stands for."""
    found = result["calibration"]
    bins = found["bins"]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(5.5, 6.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    above.plot(
        [b["mean_score"] for b in bins],
        [b["right"] for b in bins],
        "o-",
        color=_FOUND,
        label="reads",
    )
    above.set_ylabel("share right")
    above.set_title(
        f"{found['reads']} reads, {found['wrong']} wrong; "
        f"expected calibration error {found['expected_calibration_error']:.3f}"
    )
    above.legend()
    centres = [(b["from"] + b["to"]) / 2 for b in bins]
    widths = [(b["to"] - b["from"]) * 0.9 for b in bins]
    below.bar(centres, [b["reads"] for b in bins], width=widths, color=_FOUND)
    below.set_yscale("log")
    below.set_xlabel("score")
    below.set_ylabel("reads")
    _save(figure, file)


def plate_widths(result: dict[str, Any], file: Path) -> None:
    """How many plates are found and read, by their width in a 1920 px frame."""
    bins = result["rendered"]["by_width_px"]
    at = [(b["from"] + b["to"]) / 2 if b["to"] < 400 else b["from"] + 15 for b in bins]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(at, [100 * b["found"] for b in bins], "o-", color=_FOUND, label="found")
    axes.plot(at, [100 * b["exact"] for b in bins], "s-", color=_EXACT, label="read, whole text")
    for x, b in zip(at, bins, strict=True):
        axes.annotate(str(b["plates"]), (x, 3), ha="center", fontsize=8, color="grey")
    axes.axhline(97, color="grey", linestyle="--", linewidth=1)
    axes.set_ylim(0, 102)
    axes.set_xlabel("width of the plate in a frame 1920 px wide (below: number of plates)")
    axes.set_ylabel("% of plates")
    axes.set_title("Rendered checkpoint frames, day and night")
    axes.legend(loc="center right")
    _save(figure, file)


def degradations(result: dict[str, Any], file: Path) -> None:
    """One small curve for each degradation, rendered and real."""
    sources = [("rendered, degraded", _FOUND), ("real, degraded", _REAL)]
    present = [(source, color) for source, color in sources if source in result]
    names = list(result[present[0][0]])
    figure, grid = plt.subplots(2, 4, figsize=(13, 6), sharey=True, layout="constrained")
    for axes, name in zip(grid.flat, names, strict=False):
        for source, color in present:
            points = result[source][name]["points"]
            levels = [str(p["level"]) for p in points]
            label = source.split(",", maxsplit=1)[0]
            axes.plot(
                levels,
                [100 * p["exact"] for p in points],
                "s-",
                color=color,
                label=f"{label}: read",
            )
            axes.plot(
                levels,
                [100 * p["found"] for p in points],
                "o:",
                color=color,
                label=f"{label}: found",
            )
        axes.set_title(name)
        axes.set_xlabel(result[present[0][0]][name]["level"])
        axes.set_ylim(0, 103)
    grid[0, 0].set_ylabel("% of plates")
    grid[1, 0].set_ylabel("% of plates")
    grid[0, 0].legend(fontsize=8)
    _save(figure, file)


def provinces(result: dict[str, Any], file: Path) -> None:
    """Plates read whole, province by province."""
    key = next(k for k in result["rendered"] if k.startswith("provinces"))
    found = result["rendered"][key]
    figure, axes = plt.subplots(figsize=(11, 3.5), layout="constrained")
    names = list(found)
    axes.bar(names, [100 * found[n]["exact"] for n in names], color=_FOUND)
    axes.axhline(97, color="grey", linestyle="--", linewidth=1)
    axes.set_ylim(0, 102)
    axes.set_ylabel("% read, whole text")
    axes.set_title(
        f"Rendered frames, {key}: {min(f['plates'] for f in found.values())} plates each or more"
    )
    _save(figure, file)


def latency(result: dict[str, Any], file: Path) -> None:
    """Where the time of a frame goes, for each number of threads."""
    outside = ("letterbox", "detections from the peaks", "cut for the colour", "cut for the recogniser",
               "decoding of the text")  # fmt: skip
    names = ("session.run plate_det", "session.run plate_rec", "session.run plate_color", *outside)
    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    threads = list(result["threads"])
    left = [0.0] * len(threads)
    for name in names:
        values = [result["threads"][n]["parts"]["median_ms"].get(name, 0.0) for n in threads]
        axes.barh([f"{n} thread(s)" for n in threads], values, left=left, label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.set_xlabel("ms a frame of 1920x1080 with one plate")
    axes.legend(fontsize=7, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)
    print(file)


PLOTS: tuple[tuple[str, str, Callable[[dict[str, Any], Path], None]], ...] = (
    ("accuracy.json", "reliability.png", reliability),
    ("robustness.json", "plate_widths.png", plate_widths),
    ("robustness.json", "degradations.png", degradations),
    ("robustness.json", "provinces.png", provinces),
    ("latency.json", "latency.png", latency),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what there is; 1 if there is nothing."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    folder = Path(given[0]) if given else RESULTS
    _use_chinese_font()
    drawn = 0
    for source, target, draw in PLOTS:
        if (folder / source).is_file():
            draw(json.loads((folder / source).read_text("utf-8")), folder / target)
            drawn += 1
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
