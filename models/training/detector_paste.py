"""Drawn plates set into real frames, and drawn pictures with and without plates.

Real frames show nearly only blue and green plates of one province. Drawn plates of all kinds, laid
over the real ones in the frame's own perspective and light, make up for that; two-row plates come
from nowhere else. What must *not* be found is drawn as well: boards with lettering, blank panels.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PlateKind
from benchmarks.rendering.glyphs import GlyphSource, OfficialGlyphs, OwnGlyphs
from benchmarks.rendering.plates import DrawnPlate, draw_plate, random_plate
from models.training.detector_neighbours import above, border_pair, painted_number, sign, under
from models.training.detector_samples import LoadedScene, plate_sides_px
from models.training.plate_scenes import Corners, LabelledPlate

Picture = NDArray[np.uint8]

REPLACED_PART = 0.5
"""Part of the real plates over which a drawn one is laid."""
BLANKED_PART = 0.04
"""Part of the real plates that are painted out: a car without a plate."""
SIGN_PART, NUMBER_PART, PAIR_PART = 0.1, 0.03, 0.05
"""Part of the plates that get a board under them, large lettering over them, a second plate."""
NOMINAL_ASPECT = 440 / 140
_SUPER = 2
"""Drawn plates are shrunk to at least this many times their final size before warping."""

_KIND_SHARES = {
    PlateKind.SMALL: 14,
    PlateKind.LARGE: 22,
    PlateKind.TRAILER: 8,
    PlateKind.COACH: 4,
    PlateKind.POLICE: 7,
    PlateKind.NEW_ENERGY_SMALL: 5,
    PlateKind.NEW_ENERGY_LARGE: 5,
    PlateKind.EMBASSY: 4,
    PlateKind.CONSULATE: 2,
    PlateKind.HONG_KONG: 6,
    PlateKind.MACAO: 4,
    PlateKind.ARMED_POLICE: 7,
    PlateKind.MILITARY: 5,
    PlateKind.EMERGENCY: 3,
    PlateKind.AGRICULTURAL: 6,
    PlateKind.MOTORCYCLE: 6,
    PlateKind.FOREIGN: 18,
}
_KINDS = tuple(_KIND_SHARES)
_SHARES = np.array([_KIND_SHARES[k] for k in _KINDS]) / sum(_KIND_SHARES.values())


@lru_cache(maxsize=4)
def glyph_source(folder: Path | None) -> GlyphSource:
    """The official character shapes where their folder is given, else the project's own."""
    return OfficialGlyphs(folder) if folder else OwnGlyphs()


def any_plate(glyphs: Path | None, rng: np.random.Generator) -> DrawnPlate:
    """A drawn plate of a random kind; sometimes of the project's own letterforms."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
    source = glyph_source(glyphs if rng.random() < 0.7 else None)
    wear = float(rng.random() ** 3)
    return draw_plate(random_plate(kind, rng, evenly=True), kind, glyphs=source, rng=rng, wear=wear)


def _corners_for(drawn: Picture, corners: Corners, aspect: float) -> Corners:
    """Corners of a plate of the drawn one's form that hides the labelled one, in its plane."""
    ratio = aspect * drawn.shape[0] / drawn.shape[1]
    wide, high = max(1.0, 1 / ratio), max(1.0, ratio)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    plane = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    grown = (square - 0.5) * np.array([wide, high], np.float32) * 1.03 + 0.5
    return cv2.perspectiveTransform(grown[None].astype(np.float32), plane)[0]


def _levels(grey: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(grey, [10, 92])
    return float(low), float(max(high, low + 4.0))


def _in_the_light_of(drawn: Picture, around: Picture, rng: np.random.Generator) -> Picture:
    """The drawn plate with the dark and bright levels of the place it is laid on (nearly)."""
    low, high = _levels(drawn.mean(axis=2))
    dark, bright = _levels(around.mean(axis=2))
    gain = float(np.clip((bright - dark) / (high - low), 0.12, 1.2)) * rng.uniform(0.85, 1.25)
    shift = (dark + bright) / 2 * rng.uniform(0.85, 1.15) - gain * (low + high) / 2
    return cv2.convertScaleAbs(np.maximum(drawn.astype(np.float32) * gain + shift, 0.0))


def lay(
    image: Picture, drawn: Picture, corners: Corners, rng: np.random.Generator, *, relit: bool
) -> bool:
    """Draw a plate into the picture, in place; False where it would lie outside."""
    height, width = image.shape[:2]
    x1, y1 = np.floor(corners.min(axis=0)).astype(int) - 2
    x2, y2 = np.ceil(corners.max(axis=0)).astype(int) + 3
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if x2 - x1 < 6 or y2 - y1 < 4:
        return False
    region = image[y1:y2, x1:x2]
    wanted = plate_sides_px(corners)[0] * _SUPER / drawn.shape[1]
    if wanted < 0.8:
        drawn = cv2.resize(drawn, None, fx=wanted, fy=wanted, interpolation=cv2.INTER_AREA)
    if relit:
        drawn = _in_the_light_of(drawn, region, rng)
    h, w = drawn.shape[:2]
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, (corners - np.array([x1, y1])).astype(np.float32))
    size = (x2 - x1, y2 - y1)
    warped = cv2.warpPerspective(
        drawn, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpPerspective(
        np.full((h, w), 255, np.uint8), matrix, size, flags=cv2.INTER_LINEAR
    )
    soft = float(rng.uniform(0.3, 0.3 + 0.009 * plate_sides_px(corners)[0]))
    warped = cv2.GaussianBlur(warped, (0, 0), min(soft, 1.6))
    cover = cv2.GaussianBlur(cover, (0, 0), 0.5)[..., None].astype(np.float32) / 255
    grain = rng.normal(0.0, rng.uniform(0.5, 6.0), region.shape)
    region[:] = np.clip(region * (1 - cover) + (warped + grain) * cover, 0, 255).astype(np.uint8)
    return True


def _blank(image: Picture, corners: Corners, rng: np.random.Generator) -> None:
    """Paint the plate out with the colours above and below it."""
    height, width = image.shape[:2]
    grown = (corners - corners.mean(axis=0)) * 1.12 + corners.mean(axis=0)
    edge = np.clip(np.rint(grown), 0, [width - 1, height - 1]).astype(int)
    top = image[edge[:2, 1], edge[:2, 0]].mean(axis=0)
    bottom = image[edge[2:, 1], edge[2:, 0]].mean(axis=0)
    ramp = np.linspace(0, 1, 16)[:, None, None]
    panel = np.repeat(top * (1 - ramp) + bottom * ramp, 48, axis=1)
    panel = np.clip(panel + rng.normal(0, 4, panel.shape), 0, 255).astype(np.uint8)
    lay(image, panel, grown.astype(np.float32), rng, relit=False)


def _board(image: Picture, rng: np.random.Generator) -> Corners | None:
    """A board with several lines of lettering, as on shops, lorries and road signs: no plate."""
    lines = int(rng.integers(3, 6))
    width, height = int(rng.integers(160, 300)), 44 * lines
    ground = tuple(int(v) for v in rng.integers(0, 256, 3))
    ink = (255, 255, 255) if sum(ground) < 380 else (20, 20, 20)
    board = np.full((height, width, 3), ground, np.uint8)
    for line in range(lines):
        words = "".join(
            rng.choice(list("ABCDEFGHKLMNPRSTUVX0123456789  "), int(rng.integers(4, 14)))
        )
        at = (int(rng.integers(4, 40)), 34 + 42 * line)
        cv2.putText(
            board,
            words,
            at,
            cv2.FONT_HERSHEY_SIMPLEX,
            rng.uniform(0.7, 1.3),
            ink,
            int(rng.integers(1, 4)),
        )
    corners = random_corners(image, board, rng)
    return corners if lay(image, board, corners, rng, relit=bool(rng.random() < 0.5)) else None


def random_corners(image: Picture, drawn: Picture, rng: np.random.Generator) -> Corners:
    """A plausible perspective view of a flat panel somewhere in the picture."""
    height, width = image.shape[:2]
    across = width * np.exp(rng.uniform(np.log(0.06), np.log(0.85)))
    half = np.array([across, across * drawn.shape[0] / drawn.shape[1]]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners[:, 0] *= rng.uniform(0.65, 1.0)  # seen from aside
    taper = rng.normal(0.0, 0.05)
    corners[[1, 2], 1] *= 1 + taper
    corners[[0, 3], 1] *= 1 - taper
    turn = np.deg2rad(rng.normal(0.0, 8.0))
    lean = rng.normal(0.0, 0.12)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn) + lean, np.cos(turn)]])
    centre = rng.uniform(0.12, 0.88, 2) * np.array([width, height])
    return (corners @ linear.T + centre).astype(np.float32)


def _replaced(
    image: Picture,
    plate: LabelledPlate,
    drawn: DrawnPlate,
    rng: np.random.Generator,
    *,
    foreign: bool,
) -> LabelledPlate:
    """Lay a drawn plate over a real one; the real one where it lies outside the picture."""
    wide, high = plate_sides_px(plate.corners)
    # a Chinese plate seen from aside looks short, but is not; foreign forms differ
    aspect = wide / high if foreign else NOMINAL_ASPECT
    corners = _corners_for(drawn.image, plate.corners, aspect)
    if not lay(image, drawn.image, corners, rng, relit=True):
        return plate
    return LabelledPlate(corners, drawn.rows)


def dress(
    scene: LoadedScene, glyphs: Path | None, rng: np.random.Generator, *, foreign: bool = False
) -> LoadedScene:
    """The scene with some of its plates replaced, painted out, or left as they are."""
    image, plates = scene.image, []
    for plate in scene.plates:
        chance = rng.random()
        if chance < REPLACED_PART:
            plates.append(_replaced(image, plate, any_plate(glyphs, rng), rng, foreign=foreign))
        elif chance < REPLACED_PART + BLANKED_PART:
            _blank(image, plate.corners, rng)
        else:
            plates.append(plate)
    plates = _hang_beside(image, plates, scene.ignored, glyphs, rng)
    ignored = scene.ignored
    if (not plates and rng.random() < 0.3) or rng.random() < 0.04:
        board = _board(image, rng)
        if board is not None:
            ignored += tuple(p.corners for p in plates if _near(p.corners, board))
            plates = [p for p in plates if not _near(p.corners, board)]
    return LoadedScene(image, tuple(plates), ignored, scene.lures)


def _hang_beside(
    image: Picture,
    plates: list[LabelledPlate],
    ignored: tuple[Corners, ...],
    glyphs: Path | None,
    rng: np.random.Generator,
) -> list[LabelledPlate]:
    """Draw boards, lettering and second plates beside some plates, in place; all plates now."""
    after = list(plates)
    for at, plate in enumerate(plates):
        source = glyph_source(glyphs if rng.random() < 0.7 else None)
        others = [other.corners for other in after if other is not after[at]] + list(ignored)
        chance = rng.random()
        if chance < SIGN_PART:
            board = sign(source, rng)
            corners = under(plate.corners, board, rng)
        elif chance < SIGN_PART + NUMBER_PART:
            board = painted_number(source, rng)
            corners = above(plate.corners, board, rng)
        elif chance < SIGN_PART + NUMBER_PART + PAIR_PART:
            first, second = border_pair(source, rng)
            place = _corners_for(first.image, plate.corners, NOMINAL_ASPECT)
            corners = under(place, second.image, rng)
            if _is_free(image, corners, others) and lay(image, first.image, place, rng, relit=True):
                after[at] = LabelledPlate(place, first.rows)
                lay(image, second.image, corners, rng, relit=bool(rng.random() < 0.7))
                after.append(LabelledPlate(corners, second.rows))
            continue
        else:
            continue
        if _is_free(image, corners, others):
            lay(image, board, corners, rng, relit=bool(rng.random() < 0.7))
    return after


def _is_free(image: Picture, corners: Corners, others: list[Corners]) -> bool:
    """Whether a board lies inside the picture and covers none of the other plates."""
    inside = np.all(corners >= 0) and np.all(corners < [image.shape[1], image.shape[0]])
    return bool(inside) and not any(_near(corners, other) for other in others)


def _near(corners: Corners, other: Corners) -> bool:
    low, high = corners.min(axis=0), corners.max(axis=0)
    return bool(np.all(low <= other.max(axis=0)) and np.all(high >= other.min(axis=0)))


def clutter(rng: np.random.Generator) -> Picture:
    """A drawn picture of rough surfaces, edges, lamps and grilles, without any plate."""
    height, width = int(rng.integers(240, 480)), int(rng.integers(320, 640))
    coarse = rng.integers(0, 256, (*rng.integers(2, 9, 2), 3), dtype=np.uint8)
    if rng.random() < 0.6:  # most of the world is grey
        coarse = (
            (coarse.mean(axis=2, keepdims=True) + 0.2 * (coarse - 128.0))
            .clip(0, 255)
            .astype(np.uint8)
        )
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(3, 14))):
        color = tuple(int(v) for v in rng.integers(0, 256, 3))
        p, q = (tuple(int(v) for v in rng.integers(0, [width, height])) for _ in range(2))
        shape = int(rng.integers(4))
        if shape == 0:
            cv2.rectangle(image, p, q, color, int(rng.choice([-1, 1, 2, 5])))
        elif shape == 1:
            cv2.line(image, p, q, color, int(rng.integers(1, 8)))
        elif shape == 2:
            cv2.circle(image, p, int(rng.integers(3, 60)), color, int(rng.choice([-1, 2, 4])))
        else:
            pitch = int(rng.integers(4, 13))
            for bar in range(int(rng.integers(3, 12))):  # a grille
                y = p[1] + bar * pitch
                cv2.line(image, (p[0], y), (q[0], y), color, 1 + pitch // 5)
    return image


def with_drawn_plates(image: Picture, glyphs: Path | None, rng: np.random.Generator) -> LoadedScene:
    """Up to three drawn plates, and perhaps a board, at random places of any picture."""
    plates: list[LabelledPlate] = []
    taken: list[Corners] = []
    if rng.random() < 0.3:
        board = _board(image, rng)
        taken += [board] if board is not None else []
    for _ in range(int(rng.integers(0, 4))):
        drawn = any_plate(glyphs, rng)
        corners = random_corners(image, drawn.image, rng)
        free = not any(_near(corners, other) for other in taken)
        if free and lay(image, drawn.image, corners, rng, relit=bool(rng.random() < 0.6)):
            plates.append(LabelledPlate(corners, drawn.rows))
            taken.append(corners)
    return LoadedScene(image, tuple(_hang_beside(image, plates, (), glyphs, rng)))


def drawn_scene(glyphs: Path | None, rng: np.random.Generator) -> LoadedScene:
    """A drawn picture, mostly with drawn plates: all that ``--quick`` trains on."""
    return with_drawn_plates(clutter(rng), glyphs, rng)
