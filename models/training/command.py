"""What the training commands share: their arguments and the data that these name."""

import argparse
import re
from pathlib import Path

from benchmarks.rendering.glyphs import GlyphSource, OfficialGlyphs, OwnGlyphs, font_ink
from models.training.real_plates import RealPlates, build, load

QUICK_STEPS = 4
QUICK_BATCH = 8


def add_arguments(
    parser: argparse.ArgumentParser, *, name: str, steps: int, batch: int, rate: float
) -> None:
    """The arguments of every training command."""
    add_data_arguments(parser)
    parser.add_argument("--name", default=name, help="folder of this run under --runs")
    parser.add_argument("--export", type=Path, help="write the trained network into this folder")
    parser.add_argument("--quick", action="store_true", help="a few steps on drawn plates only")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=rate, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make crops")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network")
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--score-every", type=int, default=500)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Where plates, glyphs and typefaces are, and where what is made of them is kept."""
    parser.add_argument("--data", type=Path, help="folder of the plate imagery")
    parser.add_argument("--ccpd", type=Path, help="folder of the full-size CCPD scenes")
    parser.add_argument(
        "--fonts",
        type=Path,
        default=Path("/usr/share/fonts"),
        help="folder of typefaces that foreign plates are drawn in too; absent: in none",
    )
    parser.add_argument("--cache", type=Path, help="folder of the cut plates (made if absent)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; ``--quick`` cuts the run down."""
    args = parser.parse_args()
    if args.quick:
        args.data = args.ccpd = None
        args.steps, args.batch = min(args.steps, QUICK_STEPS), QUICK_BATCH
        args.workers, args.log_every, args.score_every = 0, 1, args.steps
    elif args.data is None:
        parser.error("--data is needed (or --quick)")
    return args


def real_plates(args: argparse.Namespace) -> RealPlates | None:
    """The real plates, cut first if that was not done yet; ``None`` for a quick run."""
    if args.data is None:
        return None
    cache = args.runs / "plates" if args.cache is None else args.cache
    if not (cache / "meta.jsonl").exists():
        build(args.data, args.ccpd, cache)
    return load(cache)


_UNLIKE_A_PLATE = re.compile(
    "italic|oblique|ital|thin|hairline|light|emoji|math|icon|symbol|dingbat|braille|cjk|wqy"
    "|z003|d050|tlwg|jetbrainsmono|outline",
    re.IGNORECASE,
)


def latin_typefaces(folder: Path) -> tuple[Path, ...]:
    """Upright typefaces of some weight that have all letters and digits, in the order of names."""
    files = sorted(f for kind in ("ttf", "otf") for f in folder.rglob(f"*.{kind}"))
    return tuple(f for f in files if not _UNLIKE_A_PLATE.search(f.name) and _is_latin(f))


def _is_latin(file: Path) -> bool:
    try:
        shapes = [font_ink(char, file, 60) for char in "ABCXYZ0189"]
    except ValueError:
        return False
    return all(10 < shape.shape[0] < 90 for shape in shapes)


def glyph_source(args: argparse.Namespace) -> GlyphSource:
    """The official glyphs where the imagery is at hand, else the project's own letterforms."""
    if args.data is None:
        return OwnGlyphs()
    return OfficialGlyphs(args.data / "glyphs/font_model", latin_typefaces(args.fonts))
