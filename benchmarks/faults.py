"""What is lost when things go wrong: ``python -m benchmarks.faults --kills 200 --json``.

Runs the fault tests (``tests/faults``) at full size: the real agent process is killed with -9 at
random moments before a real server, and meets bad servers, a full disk, a damaged database, a
clock that is set and a camera that flaps. Each fault states how many vehicles passed and how many
of them were lost, doubled or invented. Without ``--only kills`` or ``--only faults`` both run.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_FILES = {"kills": "tests/faults/test_kills.py", "faults": "tests/faults/test_faults.py"}


def run(kills: int, only: str | None, seed: int) -> dict[str, Any]:
    """Run the tests; their book and whether all held."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.json"
        wanted = [_FILES[only]] if only else list(_FILES.values())
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
            env={
                **os.environ,
                "KAKOU_FAULT_KILLS": str(kills),
                "KAKOU_FAULT_SEED": str(seed),
                "KAKOU_FAULT_BOOK": str(book),
            },
            stdout=sys.stderr,
            check=False,
        )
        faults = json.loads(book.read_text(encoding="utf-8")) if book.exists() else []
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "seed": seed,
        "seconds": round(time.monotonic() - began_s),
        "held": done.returncode == 0,
        "faults": [_counted(fault) for fault in faults],
    }


def merged(former: dict[str, Any], latest: dict[str, Any]) -> dict[str, Any]:
    """A result that goes on from a former one, as a long run is done in parts."""
    return {
        **latest,
        "seconds": former["seconds"] + latest["seconds"],
        "held": former["held"] and latest["held"],
        "faults": [*former["faults"], *latest["faults"]],
    }


def _counted(fault: dict[str, Any]) -> dict[str, Any]:
    """Plates are invented ones, but numbers say all."""
    return {
        key: len(value) if key in {"lost", "doubled", "invented"} else value
        for key, value in fault.items()
    }


def main() -> int:
    """Run, print a table or JSON; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", choices=tuple(_FILES))
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--add-to", type=Path, metavar="FILE", help="write the result there, too")
    chosen = parser.parse_args()
    result = run(chosen.kills, chosen.only, chosen.seed)
    if chosen.add_to is not None:
        if chosen.add_to.exists():
            result = merged(json.loads(chosen.add_to.read_text(encoding="utf-8")), result)
        text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
        chosen.add_to.write_text(text, encoding="utf-8")
    if chosen.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        for fault in result["faults"]:
            rest = {k: v for k, v in fault.items() if k not in {"fault", "vehicles"}}
            print(f"{fault['fault']}: {fault['vehicles']} vehicles, {rest}")
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
