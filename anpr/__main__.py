"""``python -m anpr PATH…``: read pictures, print one JSON line for each."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2

from anpr.errors import ImageError, WeightsError
from anpr.picture import SUFFIXES, annotated, load_picture
from anpr.reader import PlateReader, load_reader
from anpr.recogniser import ENGINES
from anpr.types import PlateRead


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if every picture could be read, 1 if not, 2 for a wrong invocation."""
    parser = argparse.ArgumentParser(
        prog="python -m anpr",
        description="读取图片中的车牌 · Read the licence plates in pictures; one JSON line each.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture or folder")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write annotated pictures there")
    parser.add_argument("--models", type=Path, metavar="DIR", help="models folder")
    parser.add_argument("--recogniser", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    options = parser.parse_args(arguments)
    try:
        reader = load_reader(options.models, recogniser=options.recogniser, threads=options.threads)
        if options.draw is not None:
            options.draw.mkdir(parents=True, exist_ok=True)
    except (WeightsError, ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return read_all(reader, options.paths, options.draw, sys.stdout)


def read_all(
    reader: PlateReader, paths: Sequence[Path], draw_folder: Path | None, out: TextIO
) -> int:
    """Read every picture and write a line for each; 0 if all could be read and drawn, else 1."""
    failures = 0
    drawn: Counter[str] = Counter()
    for path in _pictures(paths):
        drawn[path.stem] += 1
        nth = f"-{drawn[path.stem]}" if drawn[path.stem] > 1 else ""
        target = draw_folder / f"{path.stem}{nth}.jpg" if draw_folder else None
        line = read_one(reader, path, target)
        failures += "error" in line
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        out.flush()
    return 1 if failures or not drawn else 0


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and the pictures under the folders named, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()
            )
        else:
            yield path


def read_one(reader: PlateReader, path: Path, draw_to: Path | None = None) -> dict[str, Any]:
    """What is printed of one picture; with ``error`` where it could not be read or drawn."""
    line: dict[str, Any] = {"file": str(path), "width": 0, "height": 0, "ms": 0.0, "plates": []}
    try:
        image = load_picture(path)
        line["height"], line["width"] = image.shape[:2]
        started = time.perf_counter()
        plates = reader.read(image)
        line["ms"] = round((time.perf_counter() - started) * 1000, 2)
        line["plates"] = [plate_as_json(plate) for plate in plates]
        if draw_to is not None:
            _draw(annotated(image, plates), draw_to)
    except (ImageError, OSError, MemoryError) as error:
        line["error"] = str(error) or type(error).__name__
    return line


def _draw(image: Any, target: Path) -> None:
    if not cv2.imwrite(str(target), image):
        raise OSError(f"{target}: cannot be written")


def plate_as_json(plate: PlateRead) -> dict[str, Any]:
    """One plate as it stands in the line; coordinates in pixels, to a tenth."""
    return {
        "text": plate.text,
        "score": round(plate.score, 4),
        "kind": plate.kind,
        "color": plate.color,
        "box": [round(v, 1) for v in plate.box.as_tuple()],
        "quad": [[round(x, 1), round(y, 1)] for x, y in plate.quad.as_tuple()],
        "characters": [
            {
                "char": c.char,
                "score": round(c.score, 4),
                "alternatives": [
                    {"char": char, "score": round(p, 4)} for char, p in c.alternatives
                ],
            }
            for c in plate.characters
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
