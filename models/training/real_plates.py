"""Cut every real plate out of the photographs once: ``python -m models.training.real_plates``.

Writes ``canvases.npy``, ``erased.npy``, ``erased.npz`` and ``meta.jsonl`` into the cache folder.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.plate_canvas import (
    CANVAS_PX,
    Sample,
    canvas_of,
    ccpd_samples,
    labelled_samples,
    load_meta,
    save_meta,
)
from models.training.relettering import Erased, erase


@dataclass(frozen=True, slots=True)
class RealPlates:
    """All real plates, mapped from disk."""

    samples: list[Sample]
    canvases: NDArray[np.uint8]
    """``(N, 88, 224, 3)``."""
    grounds: NDArray[np.uint8]
    """The same without glyphs, where ``can_reletter``."""
    inks: NDArray[np.float32]
    blurs_px: NDArray[np.float32]
    shifts_px: NDArray[np.float32]
    can_reletter: NDArray[np.bool_]

    def erased(self, index: int) -> Erased:
        """What ``relettering.paint`` needs for one plate."""
        return Erased(
            self.grounds[index],
            self.inks[index],
            float(self.blurs_px[index]),
            float(self.shifts_px[index]),
        )


def build(data: Path, ccpd: Path | None, cache: Path) -> None:
    """Read all photographs and write the cache; takes about two minutes for 18,000 plates."""
    cache.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    if ccpd is not None:
        samples += ccpd_samples(data / "train/ccpd_full.jsonl", ccpd)
    samples += labelled_samples(data, "train/crops.jsonl")
    samples += labelled_samples(data, "train/scenes.jsonl")
    count = len(samples)
    width, height = CANVAS_PX
    shape = (count, height, width, 3)
    canvases = np.lib.format.open_memmap(cache / "canvases.npy", "w+", np.uint8, shape)
    grounds = np.lib.format.open_memmap(cache / "grounds.npy", "w+", np.uint8, shape)
    inks = np.zeros((count, 8, 3), np.float32)
    blurs_px, shifts_px = np.zeros(count, np.float32), np.zeros(count, np.float32)
    can_reletter = np.zeros(count, np.bool_)
    cached: tuple[str, NDArray[np.uint8] | None] = ("", None)
    for i, sample in enumerate(samples):
        if cached[0] != sample.path:
            cached = (sample.path, cv2.imread(sample.path))
        if cached[1] is None:
            raise SystemExit(f"cannot read {sample.path}")
        canvases[i] = canvas_of(cached[1], sample)
        if (
            sample.human_corners
            and sample.color in {"blue", "green"}
            and len(sample.text) in {7, 8}
        ):
            erased = erase(canvases[i], len(sample.text), dark_ink=sample.color == "green")
            if erased is not None:
                grounds[i], inks[i] = erased.ground, erased.ink
                blurs_px[i], shifts_px[i] = erased.blur_px, erased.shift_px
                can_reletter[i] = True
        if i % 1000 == 0:
            print(f"{i}/{count}", flush=True)
    np.savez(
        cache / "erased.npz",
        inks=inks,
        blurs_px=blurs_px,
        shifts_px=shifts_px,
        can_reletter=can_reletter,
    )
    save_meta(cache / "meta.jsonl", samples)


def load(cache: Path) -> RealPlates:
    """Open what ``build`` wrote."""
    with np.load(cache / "erased.npz") as erased:
        return RealPlates(
            load_meta(cache / "meta.jsonl"),
            np.load(cache / "canvases.npy", mmap_mode="r"),
            np.load(cache / "grounds.npy", mmap_mode="r"),
            erased["inks"],
            erased["blurs_px"],
            erased["shifts_px"],
            erased["can_reletter"],
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ccpd", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    build(args.data, args.ccpd, args.cache)


if __name__ == "__main__":
    main()
