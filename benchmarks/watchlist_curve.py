"""Recall and false alerts over tolerance, with the reader's own doubts on rendered plates.

Plates are drawn, made small, blurred, noisy and badly lit, and read where they are known to be. One
part in twenty of a city's passages is taken to be as bad as the hard half of these pictures; the
rest as good as the easy half.

* recall: of reads with exactly one wrong character, those that mean the true plate at a tolerance;
* false alerts: other plates that a read means, each times the chance that it is watched. Three
  quarters of the watched plates begin like the city's own, of which there may be ``POSSIBLE``; the
  others begin in any of ``ELSEWHERE`` ways, a million plates each. All plates that are read are
  taken to be the city's own, which is the worst: their neighbours are watched most.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anpr import load_reader
from anpr.plate import UNREAD, PlateKind
from anpr.types import Detection, Quad
from anpr.watch import Alternative, Glyph
from anpr.watch.likeness import differences, plates_meant
from benchmarks.rendering.glyphs import OwnGlyphs
from benchmarks.rendering.plates import draw_plate
from benchmarks.rendering.texts import random_plate

TOLERANCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
WATCHED = (100, 1_000, 10_000)
POSSIBLE = 6_000_000
ELSEWHERE = 300
LOCAL_SHARE = 0.75
HARD_SHARE = 0.05
_MARGIN_PX = 24


@dataclass(frozen=True, slots=True)
class Taken:
    """A plate, and how it was read."""

    text: str
    glyphs: tuple[Glyph, ...]
    is_hard: bool

    @property
    def read(self) -> str:
        """What was read."""
        return "".join(glyph.char for glyph in self.glyphs)

    @property
    def wrong(self) -> int:
        """Places in which it was misread; -1 if the lengths differ."""
        if len(self.glyphs) != len(self.text):
            return -1
        return sum(a != b for a, b in zip(self.text, self.read, strict=True))


def measure_curve(plates: int, seed: int, reads_from: Path | None) -> dict[str, Any]:
    """The curve; reads are kept in ``reads_from`` or taken from there."""
    if reads_from is not None and reads_from.is_file():
        taken = [_from_json(line) for line in reads_from.read_text("utf-8").splitlines()]
    else:
        taken = list(take(plates, seed))
        if reads_from is not None:
            reads_from.write_text("".join(_as_json(one) + "\n" for one in taken), "utf-8")
    hard = [one for one in taken if one.is_hard]
    easy = [one for one in taken if not one.is_hard]
    misread = [one for one in taken if one.wrong == 1 and UNREAD not in one.read]
    return {
        "seed": seed,
        "reads": len(taken),
        "wrong": {
            name: round(sum(one.read != one.text for one in part) / max(1, len(part)), 4)
            for name, part in (("easy", easy), ("hard", hard))
        },
        "one_wrong_character": len(misread),
        "hard_share": HARD_SHARE,
        "possible_plates": POSSIBLE,
        "curve": [_point(tolerance, misread, easy, hard) for tolerance in TOLERANCES],
        "mistakes": _mistakes(misread),
    }


def _point(
    tolerance: float, misread: Sequence[Taken], easy: Sequence[Taken], hard: Sequence[Taken]
) -> dict[str, Any]:
    caught = sum(differences(one.text, one.glyphs, tolerance) is not None for one in misread)
    alike, other = (
        (1 - HARD_SHARE) * clean + HARD_SHARE * bad
        for clean, bad in zip(_others(easy, tolerance), _others(hard, tolerance), strict=True)
    )
    watched = alike * LOCAL_SHARE / POSSIBLE + other * (1 - LOCAL_SHARE) / (ELSEWHERE * 1_000_000)
    return {
        "tolerance": tolerance,
        "recall": round(caught / max(1, len(misread)), 4),
        "other_plates_meant": round(alike, 5),
        "other_plates_meant_from_elsewhere": round(other, 5),
        "false_alerts_per_100000_passages_by_watched": {
            str(n): round(watched * n * 1e5, 3) for n in WATCHED
        },
    }


def _others(part: Sequence[Taken], tolerance: float) -> tuple[float, float]:
    """Plates that a read means besides the true one and the one that was read; on average.

    Those that begin like the true one, and those that do not.
    """
    alike = other = 0
    for one in part:
        for plate in set(plates_meant(one.glyphs, tolerance)) - {one.text, one.read}:
            if plate[:2] == one.text[:2]:
                alike += 1
            else:
                other += 1
    return alike / max(1, len(part)), other / max(1, len(part))


def _mistakes(misread: Sequence[Taken]) -> dict[str, int]:
    """How often which character was read for which; the commonest first."""
    counted: dict[str, int] = {}
    for one in misread:
        for true, glyph in zip(one.text, one.glyphs, strict=True):
            if true != glyph.char:
                name = f"{true} read as {glyph.char}"
                counted[name] = counted.get(name, 0) + 1
    return dict(sorted(counted.items(), key=lambda item: -item[1])[:20])


def take(plates: int, seed: int) -> Iterator[Taken]:
    """Draw, spoil and read so many plates; every second one is hard."""
    reader = load_reader(recogniser="onnxruntime")
    glyphs = OwnGlyphs()
    for number in range(plates):
        rng = np.random.default_rng([seed, number])
        kind = PlateKind.NEW_ENERGY_SMALL if number % 5 == 4 else PlateKind.SMALL
        text = random_plate(kind, rng)
        is_hard = bool(number % 2)
        drawn = draw_plate(text, kind, glyphs=glyphs, rng=rng, wear=float(rng.random()) * 0.5)
        image, quad = _spoiled(drawn.image, rng, is_hard=is_hard)
        reads = reader.read_detections(image, [Detection(quad, 0.9, 1)])
        if reads and reads[0].text:
            found = tuple(_glyph(c.char, c.score, c.alternatives[:5]) for c in reads[0].characters)
            yield Taken(text, found, is_hard)


def _spoiled(
    plate: np.ndarray[Any, np.dtype[np.uint8]], rng: np.random.Generator, *, is_hard: bool
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Quad]:
    """A plate in a grey surrounding as a camera gives it, and where it is."""
    width = int(rng.uniform(38, 70) if is_hard else rng.uniform(100, 200))
    height = round(width * plate.shape[0] / plate.shape[1])
    small = cv2.resize(plate, (width, height), interpolation=cv2.INTER_AREA)
    image = np.full((height + 2 * _MARGIN_PX, width + 2 * _MARGIN_PX, 3), 70, np.uint8)
    image[_MARGIN_PX : _MARGIN_PX + height, _MARGIN_PX : _MARGIN_PX + width] = small
    blur = rng.uniform(0.6, 1.3) if is_hard else rng.uniform(0.0, 0.6)
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    light = rng.uniform(0.4, 1.1) if is_hard else rng.uniform(0.8, 1.1)
    noise = rng.normal(0, 9 if is_hard else 3, image.shape)
    image = np.clip(image * light + noise, 0, 255).astype(np.uint8)
    quality = int(rng.uniform(45, 80) if is_hard else 90)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    shaken = rng.normal(0, 0.02 * height, (4, 2))
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    points = [
        (x + _MARGIN_PX + float(dx), y + _MARGIN_PX + float(dy))
        for (x, y), (dx, dy) in zip(corners, shaken, strict=True)
    ]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR), Quad(*points)


def _as_json(one: Taken) -> str:
    found = [[g.char, round(g.score, 5), [list(a) for a in g.alternatives]] for g in one.glyphs]
    return json.dumps([one.text, one.is_hard, found], ensure_ascii=False)


def _from_json(line: str) -> Taken:
    text, is_hard, found = json.loads(line)
    glyphs = tuple(_glyph(char, score, others) for char, score, others in found)
    return Taken(text, glyphs, is_hard)


def _glyph(char: str, score: float, others: Iterable[Sequence[Any]]) -> Glyph:
    return Glyph(char, score, tuple(Alternative(*other) for other in others))
