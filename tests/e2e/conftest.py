"""The recorded frames of the end-to-end tests: real ones where they are, else rendered ones."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import OwnGlyphs
from benchmarks.rendering.plates import draw_plate, random_plate

FRAMES = 24
_GROUPS = ("scenes/easypr", "scenes/learnpaddle", "ccpd2020/green")


@dataclass(frozen=True)
class Recorded:
    """Single frames and the plate that each of them shows."""

    frames: tuple[Path, ...]
    plates: tuple[str, ...]


@pytest.fixture(scope="session")
def recorded(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Frames with one labelled plate each, no plate twice."""
    imagery = Path(os.environ.get("KAKOU_IMAGERY", project.parent / "shared" / "data"))
    if (imagery / "dev" / "scenes.jsonl").is_file():
        return _real(imagery)
    return _rendered(tmp_path_factory.mktemp("frames"))


def _real(imagery: Path) -> Recorded:
    lines = (imagery / "dev" / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    frames: dict[str, Path] = {}
    per_group: dict[str, int] = {}
    for row in rows:
        group = row["group"]
        if row["overlay"] or len(row["plates"]) != 1 or group not in _GROUPS:
            continue
        text = row["plates"][0]["text"]
        if per_group.get(group, 0) < FRAMES // 3 and text not in frames:
            frames[text] = imagery / row["file"]
            per_group[group] = per_group.get(group, 0) + 1
    plates = tuple(frames)[:FRAMES]
    return Recorded(tuple(frames[p] for p in plates), plates)


def _rendered(folder: Path) -> Recorded:
    rng = np.random.default_rng(7)
    frames, plates = [], []
    for n in range(FRAMES):
        text = random_plate(PlateKind.SMALL, rng)
        image = rng.normal(110, 6, (540, 960, 3)).clip(0, 255).astype(np.uint8)
        plate = draw_plate(text, PlateKind.SMALL, glyphs=OwnGlyphs(), rng=rng).image
        plate = cv2.resize(plate, (180, 57), interpolation=cv2.INTER_AREA)
        image[330:387, 390:570] = plate
        path = folder / f"{n:03d}.jpg"
        cv2.imwrite(str(path), image)
        frames.append(path)
        plates.append(text)
    return Recorded(tuple(frames), tuple(plates))


@pytest.fixture
def morning() -> Callable[[int], datetime]:
    """Minutes after a fixed moment of today, within what may be browsed without a purpose."""
    start = datetime.now(UTC).replace(microsecond=0)
    base = datetime.fromtimestamp(start.timestamp() - 4 * 3600, UTC)
    return lambda minutes: datetime.fromtimestamp(base.timestamp() + 60 * minutes, UTC)
