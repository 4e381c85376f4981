"""Command line: render checkpoint footage with known truth.

``python -m benchmarks.rendering --out DIR --seconds 20 --fps 8 --vehicles 6 --light night --rain``
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.rendering.camera import checkpoint_camera
from benchmarks.rendering.footage import frame_times, with_traffic, write_footage
from benchmarks.rendering.road import Road
from benchmarks.rendering.scene import Scene
from benchmarks.rendering.weather import Light

_START_AT = "2026-01-15T02:00:00Z"


def _size(text: str) -> tuple[int, int]:
    wide, sep, high = text.partition("x")
    if not sep or not wide.isdigit() or not high.isdigit() or min(int(wide), int(high)) < 160:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1280x720")
    return int(wide), int(high)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as {_START_AT}") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendering", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fps", type=float, default=8.0)
    parser.add_argument("--vehicles", type=int, default=6)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--light", type=Light, choices=list(Light), default=Light.DAY)
    parser.add_argument("--rain", action="store_true")
    parser.add_argument("--size", type=_size, default=(1280, 720), help="e.g. 1920x1080")
    parser.add_argument("--start", type=_moment, default=_moment(_START_AT), help=_START_AT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--video", action="store_true", help="one MP4 instead of pictures")
    parser.add_argument("--only-moving", action="store_true", help="leave out empty frames")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Render as asked; 0 when done, 1 when the folder cannot be written."""
    args = _parser().parse_args(argv)
    scene = Scene(
        light=args.light,
        rain=args.rain,
        camera=checkpoint_camera(*args.size),
        road=Road(args.lanes, seed=args.seed),
        seed=args.seed,
    )
    scene = with_traffic(scene, vehicles=args.vehicles, start_at=args.start, seconds=args.seconds)
    times = frame_times(args.start, args.seconds, args.fps)
    try:
        count = write_footage(
            scene, args.out, times, fps=args.fps, video=args.video, only_moving=args.only_moving
        )
    except OSError as error:
        print(f"{args.out}: {error}", file=sys.stderr)
        return 1
    print(f"{count} frames and {len(scene.passes)} passes in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
