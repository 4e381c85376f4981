"""Enters the committed results into the report: ``python -m benchmarks.report [--check]``.

``docs/accuracy.md`` has places between ``<!-- measured: NAME -->`` and ``<!-- end -->``; each is
filled from ``benchmarks/results``. What stands around them is a person's text. ``--check`` writes
nothing and fails where the report does not say what the results say.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "accuracy.md"
RESULTS = ROOT / "benchmarks" / "results"
_GROUPS = {
    "chinese (not overlay)": "Chinese, nothing drawn on them",
    "street (easypr, learnpaddle, ccpd, duany049, hyperlpr_dataset, misc_cn)": "– street scenes",
    "street, series in use": "– street scenes without withdrawn military series",
    "ccpd2019 and ccpd2020": "– CCPD 2019 and 2020 at 480 px width",
    "scenes/special_types": "– special kinds",
    "overlay": "with a box drawn on them",
}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text("utf-8"))


def groups() -> str:
    """Whole plates on real frames."""
    result = _read("accuracy.json")
    rows = [
        [title, g["plates"], _percent(g["exact"]), _percent(g["exact_without_province"]),
         _percent(g["recall"]), f"{_percent(g['confident_exact'])} of {g['confident']}"]
        for key, title in _GROUPS.items() if (g := result["groups"].get(key))
    ]  # fmt: skip
    negatives = result["negatives"]
    found = (
        f"{negatives['frames']} frames without a readable plate: {negatives['false_plates']} found"
    )
    models = f"{result['models']['detector']}, {result['models']['recogniser']}"
    head = ["frames", "plates", "exact", "without province", "found", "right, of score ≥ 0.95"]
    return (
        f"{_table(head, rows)}\n\n{found}, {negatives['false_plates_with_text']} with a text. "
        f"Weights {models}; recogniser run by {result['recogniser']}."
    )


def calibration() -> str:
    """What scores are worth."""
    found = _read("accuracy.json")["calibration"]
    rows = [
        [f"{b['from']}–{b['to']}", b["reads"], b["mean_score"], _percent(b["right"])]
        for b in found["bins"]
    ]
    proposed = found["proposed"]
    crossed = proposed["cross_validated"]
    return (
        f"{_table(['score', 'reads', 'mean score', 'right'], rows)}\n\n"
        f"Expected calibration error {found['expected_calibration_error']} with the mapping in use, "
        f"`calibration = {found['present']}`; {found['wrong']} of {found['reads']} reads claim something "
        f"wrong. Fitted on these reads: `calibration = {proposed['calibration']}`; cross-validated, it "
        f"would give {crossed['expected_calibration_error']} (log loss {crossed['log_loss']} against "
        f"{found['log_loss']})."
    )


def widths() -> str:
    """Found and read by the plate's width."""
    result = _read("robustness.json")
    bins = result["rendered"]["by_width_px"]
    rows = [
        [f"{b['from']}–{b['to']}", b["plates"], _percent(b["found"]), _percent(b["exact"])]
        for b in bins
    ]
    return _table(["width, px", "plates", "found", "read whole"], rows)


def small() -> str:
    """What is between 60 and 200 px, the weakest provinces, foreign plates."""
    result = _read("robustness.json")
    key = next(k for k in result["rendered"] if k.endswith(" px") and k[0].isdigit())
    among = result["rendered"][key]
    provinces = result["rendered"][next(k for k in result["rendered"] if k.startswith("prov"))]
    missed = [
        f"{p} {_percent(f['exact'])} of {f['plates']}"
        for p, f in provinces.items()
        if f["exact"] < 1
    ]
    lines = [
        f"- {key}: {_percent(among['found'])} of {among['plates']} found, {_percent(among['exact'])} read whole.",
        f"- Provinces, from 80 px: {len(provinces) - len(missed)} of {len(provinces)} without a miss"
        + (f"; {', '.join(missed)}." if missed else "."),
    ]
    foreign = result.get("foreign, seen in training")
    if foreign:
        lines.append(
            f"- Foreign plates (frames that the training saw): {_percent(foreign['found'])} of "
            f"{foreign['plates']} found, {_percent(foreign['exact'])} read whole, "
            f"{_percent(foreign['kind_foreign'])} called foreign; "
            f"{len(foreign['read_as_a_chinese_form'])} came back with a Chinese form, "
            f"{foreign['of_them_with_score_from_0.9']} of them with a score of 0.9 or more."
        )
    return "\n".join(lines)


def degradations() -> str:
    """The level at which each degradation was asked for, and the last one."""
    result = _read("robustness.json")
    rows = []
    for name, curve in result["rendered, degraded"].items():
        real = result.get("real, degraded", {}).get(name, {"points": []})
        curves = [
            " ".join(f"{p['level']:g}: {round(100 * p['exact'])}" for p in points)
            for points in (curve["points"], real["points"])
        ]
        rows.append([name, curve["level"], *curves])
    counts = [result[k]["rain"]["points"][0]["plates"] for k in result if k.endswith("degraded")]
    head = ["", "level", "rendered: level: % read whole", "real: level: % read whole"]
    return f"{_table(head, rows)}\n\nPlates: {', '.join(str(n) for n in counts)} (rendered, real)."


def latency() -> str:
    """Times, memory and other engines."""
    result = _read("latency.json")
    rows = []
    for threads, found in result["threads"].items():
        rows.append(
            [threads, "this reader", found["frame"]["median_ms"], found["frame"]["p95_ms"], ""]
        )
        rows.append([threads, "the same networks, raw onnxruntime", found["raw onnxruntime"]["median_ms"],
                     found["raw onnxruntime"]["p95_ms"], f"frame / raw {found['frame / raw']}"])  # fmt: skip
        rows.append([threads, "a further plate", found["further_plate_ms"], "", ""])
        for name, peer in found.get("peers", {}).items():
            if "not run" in peer:
                rows.append([threads, name, "not run", "", peer["not run"]])
            else:
                rows.append(
                    [
                        threads,
                        name,
                        peer["median_ms"],
                        peer["p95_ms"],
                        f"{peer['times ours']} times ours",
                    ]
                )
    shares = ", ".join(
        f"{_percent(f['parts']['share_outside_session_run'])} with {n} thread(s)"
        for n, f in result["threads"].items()
    )
    memory = ", ".join(f"{mb} MB with {engine}" for engine, mb in result["resident_mb"].items())
    head = ["threads", "", "median ms", "p95 ms", ""]
    return (
        f"{_table(head, rows)}\n\nOutside `session.run`: {shares}. Resident: {memory}. "
        f"Weights {result['models']['detector']}, {result['models']['recogniser']}."
    )


PLACES: dict[str, Callable[[], str]] = {
    "groups": groups,
    "calibration": calibration,
    "widths": widths,
    "small": small,
    "degradations": degradations,
    "latency": latency,
}


def filled(text: str) -> str:
    """The report with every place filled from the results."""

    def fill(match: re.Match[str]) -> str:
        return f"<!-- measured: {match[1]} -->\n{PLACES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- measured: (\w+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the report; with ``--check`` only say whether it is filled as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    before = REPORT.read_text("utf-8")
    after = filled(before)
    if options.check:
        return int(before != after)
    REPORT.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
