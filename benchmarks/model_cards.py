"""Model cards against the manifest: ``python -m benchmarks.model_cards [--write]``.

A card is ``models/<model>/README.md``. It must say what the model learned from and under which
licences, what it is for, what its limits are as measured, and carry the SHA-256 of each of its files
as the manifest has it. ``--write`` enters the hashes; the rest is for a person to write.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"
REQUIRED = {
    "what it learned from": r"^## What it learned from$",
    "licences of the data": r"licences? .*(MIT|Apache-2\.0|none stated)",
    "intended use and limits": r"^## Intended use and limits$",
    "a measured figure": r"\d(\.\d+)? ?%|\b0\.\d{2,3}\b",
    "licence of the weights": r"^\| licence \|",
}
"""What a card must have, as patterns; a card is a person's text, so they are loose."""


def manifest(models: Path) -> dict[str, dict[str, str]]:
    """For each model its files with their SHA-256."""
    tables = tomllib.loads((models / "manifest.toml").read_text("utf-8"))
    return {name: dict(table["files"]) for name, table in tables.items()}


def _row(file: str, sha256: str) -> str:
    return f"| sha256 of `{file}` | `{sha256}` |"


def problems(models: Path) -> list[str]:
    """What the cards lack, each as a sentence that names the file; empty if nothing."""
    found = []
    for model, files in manifest(models).items():
        card = models / model / "README.md"
        if not card.is_file():
            found.append(f"{card}: no such card")
            continue
        text = card.read_text("utf-8")
        folded = text.replace("\n", " ")
        found += [
            f"{card}: says nothing of {what}"
            for what, pattern in REQUIRED.items()
            if not (re.search(pattern, text, re.MULTILINE) or re.search(pattern, folded))
        ]
        found += [
            f"{card}: lacks the row {_row(file, sha256)}"
            for file, sha256 in files.items()
            if _row(file, sha256) not in text
        ]
    return found


def write_hashes(models: Path) -> None:
    """Enter the manifest's hashes into the cards: below the licence's row, or in the row's place."""
    for model, files in manifest(models).items():
        card = models / model / "README.md"
        lines = [
            line
            for line in card.read_text("utf-8").splitlines()
            if not line.startswith("| sha256 of ")
        ]
        at = next(n for n, line in enumerate(lines) if line.startswith("| licence |")) + 1
        lines[at:at] = [_row(file, sha256) for file, sha256 in files.items()]
        card.write_text("\n".join(lines) + "\n", "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the cards (and with ``--write`` enter the hashes first); 0 if they lack nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_cards", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--write", action="store_true", help="enter the manifest's hashes")
    options = parser.parse_args(arguments)
    if options.write:
        write_hashes(MODELS)
    found = problems(MODELS)
    print("\n".join(found) or "the model cards are complete")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
