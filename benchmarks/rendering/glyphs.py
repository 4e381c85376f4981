"""Where the shapes of plate characters come from.

``OwnGlyphs`` needs nothing but this project. ``OfficialGlyphs`` reads pictures of the official
shapes from a folder that the user has; they are never copied into the project.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from benchmarks.rendering.strokes import GLYPHS, draw_strokes

Mask = NDArray[np.uint8]

FONT_FILE = Path(__file__).parent / "font" / "noto-sans-cjk-sc-bold-plates.otf"
MASK_PX_PER_MM = 2.0
"""Resolution of the masks that a source gives."""


class Series(StrEnum):
    """The standard's sets of characters, each with proportions of its own."""

    ONE_ROW = "140"
    UPPER = "220_up"
    LOWER = "220_down"
    GREEN = "green"


class GlyphSource(Protocol):
    """Gives the shape of a character; must be hashable, since shapes are cached."""

    @property
    def typefaces(self) -> tuple[Path, ...]:
        """Font files that foreign plates may be drawn in besides the project's own faces."""
        ...

    def mask(self, char: str, series: Series, width_mm: float, height_mm: float) -> Mask:
        """The character in a cell of this size: ``uint8`` at 2 px a millimetre, 255 = ink."""
        ...


@dataclass(frozen=True, slots=True)
class OwnGlyphs:
    """The project's own letters and digits, and Chinese characters from its font."""

    typefaces: tuple[Path, ...] = ()

    def mask(self, char: str, series: Series, width_mm: float, height_mm: float) -> Mask:
        """See :class:`GlyphSource`."""
        return _own_mask(char, series, width_mm, height_mm)


@dataclass(frozen=True, slots=True)
class OfficialGlyphs:
    """The official shapes, read from a folder of pictures ``<series>_<character>.jpg``.

    Characters that the folder lacks (应, 急, the withdrawn series, O) come from ``OwnGlyphs``.

    Raises:
        FileNotFoundError: The folder holds no such pictures.
    """

    folder: Path
    typefaces: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Find the pictures, in the folder itself or in its ``font_model``."""
        folder = Path(self.folder)
        if (folder / "font_model").is_dir():
            folder /= "font_model"
        if not (folder / "140_A.jpg").is_file():
            raise FileNotFoundError(f"{folder} holds no glyph pictures such as 140_A.jpg")
        object.__setattr__(self, "folder", folder)

    def mask(self, char: str, series: Series, width_mm: float, height_mm: float) -> Mask:
        """See :class:`GlyphSource`."""
        return _official_mask(self.folder, char, series, width_mm, height_mm)


def _pen(series: Series) -> float:
    """Width of the strokes in millimetres, as measured on plates."""
    return {Series.ONE_ROW: 10, Series.GREEN: 9, Series.UPPER: 12.5, Series.LOWER: 12.5}[series]


@lru_cache(maxsize=2048)
def _own_mask(char: str, series: Series, width_mm: float, height_mm: float) -> Mask:
    if char in GLYPHS:
        pen = min(_pen(series), width_mm * 0.25)
        return draw_strokes(char, width_mm, height_mm, MASK_PX_PER_MM, pen)
    return _font_mask(char, width_mm, height_mm)


@lru_cache(maxsize=8192)
def font_ink(char: str, file: Path = FONT_FILE, size_px: int = 400) -> Mask:
    """The ink of a character of a font, cropped.

    Raises:
        ValueError: the font has no such character, or is none; the message names it.
    """
    try:
        font = ImageFont.truetype(str(file), size_px)
    except OSError as error:
        raise ValueError(f"{file} is not a font: {error}") from error
    picture = PilImage.new("L", (size_px * 8 // 5, size_px * 8 // 5))
    ImageDraw.Draw(picture).text((size_px // 4, size_px * 3 // 20), char, fill=255, font=font)
    box = picture.getbbox()
    if box is None:
        raise ValueError(f"{file} has no {char!r}")
    return np.asarray(picture.crop(box))


def _font_mask(char: str, width_mm: float, height_mm: float) -> Mask:
    """A character of the font, stretched to fill its cell."""
    size = (round(width_mm * MASK_PX_PER_MM), round(height_mm * MASK_PX_PER_MM))
    ink = font_ink(char)
    if ink.shape[1] < 0.3 * ink.shape[0]:  # a slim character keeps its width
        pad = round((0.55 * ink.shape[0] - ink.shape[1]) / 2)
        ink = np.pad(ink, ((0, 0), (pad, pad)))
    return cv2.resize(ink, size, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=2048)
def _official_mask(
    folder: Path, char: str, series: Series, width_mm: float, height_mm: float
) -> Mask:
    names = [f"{series}_{char}.jpg"]
    if series in {Series.UPPER, Series.LOWER}:
        names.append(f"220_{char}.jpg")
    if char == "O":
        names = [f"{series}_0.jpg", "140_0.jpg"]
    elif series is not Series.GREEN or char not in GLYPHS:
        names.append(f"140_{char}.jpg")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return _own_mask(char, series, width_mm, height_mm)
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{path} is not a picture")
    ink = 255 - picture
    rows = np.flatnonzero((ink > 128).any(axis=1))
    ink = ink[rows[0] : rows[-1] + 1]
    if char == "1":
        ink = _centred(ink, round(ink.shape[0] * width_mm / height_mm))
    size = (round(width_mm * MASK_PX_PER_MM), round(height_mm * MASK_PX_PER_MM))
    return cv2.resize(ink, size, interpolation=cv2.INTER_AREA)


def _centred(ink: Mask, width: int) -> Mask:
    """The ink in the middle of a cell ``width`` wide, cut out or padded."""
    columns = np.flatnonzero((ink > 128).any(axis=0))
    middle = (int(columns[0]) + int(columns[-1]) + 1) // 2
    padded = np.pad(ink, ((0, 0), (width, width)))
    start = middle + width - width // 2
    return padded[:, start : start + width]
