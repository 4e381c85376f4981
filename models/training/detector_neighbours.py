"""What hangs beside plates: signs that are none, and second plates.

Lorries carry a board 危险品 right under their plate, buses and learners' cars boards of other
words; trailers repeat their number in letters a foot high; a car that crosses a border wears two
plates, one above the other. A detector that has never seen these takes plate and board for one
plate of two rows, or drops the darker of two plates.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anpr.plate import PROVINCES, PlateKind
from benchmarks.rendering.glyphs import GlyphSource, Series
from benchmarks.rendering.plates import DrawnPlate, draw_plate, random_plate
from models.training.plate_scenes import Corners

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

_SIGN_GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((20, 215, 245), (15, 15, 15)),
    ((30, 190, 250), (20, 20, 20)),
    ((235, 235, 235), (20, 20, 20)),
    ((235, 235, 235), (40, 30, 190)),
    ((20, 120, 240), (15, 15, 15)),
    ((60, 40, 190), (240, 240, 240)),
)
"""Ground and ink, BGR."""
_CHAR_MM = (45.0, 90.0)
_WORDS = (*PROVINCES, *"学警港澳挂使领应急")

_PAIRS: tuple[tuple[PlateKind, ...], ...] = (
    (PlateKind.HONG_KONG, PlateKind.FOREIGN),
    (PlateKind.MACAO, PlateKind.FOREIGN),
    (PlateKind.SMALL, PlateKind.FOREIGN),
)


def sign(glyphs: GlyphSource, rng: np.random.Generator) -> Picture:
    """A board of two to four Chinese characters in one row; ``uint8 (H, W, 3)``."""
    ground, ink = _SIGN_GROUNDS[int(rng.integers(len(_SIGN_GROUNDS)))]
    words = [str(rng.choice(_WORDS)) for _ in range(int(rng.integers(2, 5)))]
    stamps = [glyphs.mask(word, Series.ONE_ROW, *_CHAR_MM) for word in words]
    stamps = [cv2.resize(stamp, (int(rng.integers(110, 170)), 150)) for stamp in stamps]
    gap = int(rng.integers(8, 50))
    margin = int(rng.integers(14, 50))
    width = sum(stamp.shape[1] for stamp in stamps) + gap * (len(stamps) - 1) + 2 * margin
    board = np.full((150 + 2 * margin, width, 3), ground, np.float32)
    at = margin
    for stamp in stamps:
        part = stamp[..., None].astype(np.float32) / 255
        inside = board[margin : margin + 150, at : at + stamp.shape[1]]
        inside[:] = inside * (1 - part) + np.array(ink, np.float32) * part
        at += stamp.shape[1] + gap
    if rng.random() < 0.3:
        cv2.rectangle(board, (5, 5), (board.shape[1] - 6, board.shape[0] - 6), ink, 4)
    return board.astype(np.uint8)


def painted_number(glyphs: GlyphSource, rng: np.random.Generator) -> Picture:
    """Letters a foot high on a lorry's tail, wide apart; ``uint8 (H, W, 3)``."""
    ground, ink = _SIGN_GROUNDS[int(rng.integers(len(_SIGN_GROUNDS)))]
    chars = [
        str(rng.choice(list("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ")))
        for _ in range(int(rng.integers(4, 7)))
    ]
    stamps = [glyphs.mask(char, Series.ONE_ROW, *_CHAR_MM) for char in chars]
    gap, margin = int(rng.integers(15, 160)), int(rng.integers(10, 60))
    high = stamps[0].shape[0]
    width = sum(stamp.shape[1] for stamp in stamps) + gap * (len(stamps) - 1) + 2 * margin
    board = np.full((high + 2 * margin, width, 3), ground, np.float32)
    if rng.random() < 0.5:  # striped with reflecting tape
        for at in range(0, width, 240):
            board[:, at : at + 120] = (30, 30, 190) if rng.random() < 0.5 else (220, 225, 225)
    at = margin
    for stamp in stamps:
        part = stamp[..., None].astype(np.float32) / 255
        inside = board[margin : margin + high, at : at + stamp.shape[1]]
        inside[:] = inside * (1 - part) + np.array(ink, np.float32) * part
        at += stamp.shape[1] + gap
    return board.astype(np.uint8)


def border_pair(glyphs: GlyphSource, rng: np.random.Generator) -> tuple[DrawnPlate, DrawnPlate]:
    """Two plates that one car wears: a mainland one and one from beyond the border."""
    kinds = _PAIRS[int(rng.choice(len(_PAIRS), p=[0.6, 0.25, 0.15]))]
    order = kinds if rng.random() < 0.7 else kinds[::-1]
    first, second = (
        draw_plate(
            random_plate(kind, rng, evenly=True),
            kind,
            glyphs=glyphs,
            rng=rng,
            wear=float(rng.random() ** 3),
        )
        for kind in order
    )
    return first, second


def under(corners: Corners, board: Picture, rng: np.random.Generator) -> Corners:
    """Corners of a board hung in the plane of a plate, right under it (or over it, seldom)."""
    return _hung(corners, board, rng, wide=float(rng.uniform(0.5, 1.1)), over=rng.random() < 0.15)


def above(corners: Corners, board: Picture, rng: np.random.Generator) -> Corners:
    """Corners of large lettering in the plane of a plate, over it."""
    return _hung(corners, board, rng, wide=float(rng.uniform(1.6, 4.5)), over=rng.random() < 0.9)


def _hung(
    corners: Corners, board: Picture, rng: np.random.Generator, *, wide: float, over: bool
) -> Corners:
    along = (corners[1] + corners[2] - corners[0] - corners[3]) / 2
    down = (corners[3] + corners[2] - corners[0] - corners[1]) / 2
    width = float(np.linalg.norm(along)) * wide
    high = width * board.shape[0] / board.shape[1] * float(rng.uniform(0.85, 1.2))
    high /= float(np.linalg.norm(down))
    gap = float(rng.choice([0.0, rng.uniform(0.0, 0.12), rng.uniform(0.1, 0.6)]))
    left = 0.5 - wide / 2 + float(rng.normal(0.0, 0.12))
    top = -gap - high if over else 1 + gap
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    plane = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    place = np.array(
        [[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]], np.float32
    )
    return cv2.perspectiveTransform(place[None], plane)[0]
