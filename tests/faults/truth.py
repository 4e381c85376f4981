"""A fake road whose truth is known: which vehicle shows which plate, when, and where.

The plates are patches of colour that the tests' reader tells apart by looking at the pixels, so
that frames are cheap and the agent's whole way from the frame to the outbox is the real one.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from tests.checkpoint_agent.fakes import Signs, name_at

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
MOST_CARS = 58
"""So many colours there are."""


def plates(count: int) -> list[str]:
    """Plates that resemble each other in nothing, always the same."""
    chance = random.Random(7)
    return [
        f"{_PROVINCES[n % len(_PROVINCES)]}{chance.choice('ABCDEFGH')}{chance.randrange(10**5):05d}"
        for n in range(count)
    ]


def signs() -> Signs:
    """What the plates look like."""
    return Signs(plates(MOST_CARS))


@dataclass(frozen=True)
class Drive:
    """One vehicle that comes down the road."""

    plate: str
    x: float
    begins_s: float
    ends_s: float

    def patch(self, t_s: float) -> tuple[str, float, float, float] | None:
        """Its plate at a moment: text, left, top, width; ``None`` while out of view."""
        share = (t_s - self.begins_s) / (self.ends_s - self.begins_s)
        return (self.plate, self.x, 20 + 260 * share, 60 + 40 * share) if 0 <= share <= 1 else None


def traffic(count: int, *, seconds: float, gaps_s: Sequence[float], seed: int = 1) -> list[Drive]:
    """Vehicles one after the other, each in a column of its own; a negative gap is an overlap."""
    chance = random.Random(seed)
    drives, t_s = [], 0.5
    for n, plate in enumerate(plates(count)):
        drives.append(Drive(plate, 30 + 115 * (n % 5), t_s, t_s + seconds))
        t_s += seconds + chance.choice(gaps_s)
    return drives


def picture(drives: Iterable[Drive], t_s: float, colors: Signs) -> np.ndarray:
    """The road at a moment."""
    return colors.picture(*(p for d in drives if (p := d.patch(t_s)) is not None))


def film(
    folder: Path, drives: Sequence[Drive], start: datetime, *, fps: float, grain: bool = False
) -> None:
    """A camera's drop folder: one picture a frame, named by its time.

    With ``grain`` the road is grey noise, so that pictures are as large as real ones.
    """
    folder.mkdir(parents=True)
    colors, chance = signs(), np.random.default_rng(3)
    for n in range(round((drives[-1].ends_s + 1.0) * fps)):
        path = folder / name_at(start + timedelta(seconds=n / fps))
        image = picture(drives, n / fps, colors)
        if grain:
            noise = chance.integers(40, 160, (*image.shape[:2], 1), np.uint8)
            image = np.where((image == ROAD).all(axis=2, keepdims=True), noise, image)
            path = path.with_suffix(".jpg")
        cv2.imwrite(str(path), image)


ROAD = 100
"""Grey level of the road in pictures of :class:`Signs`."""


@dataclass(frozen=True)
class Balance:
    """What became of the truth."""

    vehicles: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    invented: tuple[str, ...]

    @classmethod
    def of(cls, truth: Iterable[str], arrived: Iterable[str]) -> "Balance":
        """Compare the plates that passed with those that arrived."""
        wanted, got = Counter(truth), Counter(arrived)
        return cls(
            vehicles=wanted.total(),
            lost=tuple((wanted - got).elements()),
            doubled=tuple(plate for plate in got if plate in wanted and got[plate] > wanted[plate]),
            invented=tuple(plate for plate in got if plate not in wanted),
        )

    @property
    def is_whole(self) -> bool:
        """Whether every vehicle is there exactly once, and nothing else."""
        return not (self.lost or self.doubled or self.invented)
