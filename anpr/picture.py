"""Picture files to images, and drawing what was read on a copy of one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# OpenCV reads this once, when it is loaded: refuse pictures that would need gigabytes.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**28))

import cv2
import numpy as np

from anpr.errors import ImageError
from anpr.types import Image, PlateRead

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""What counts as a picture in a folder."""
FONT_VARIABLE: Final = "KAKOU_FONT"
"""Environment variable that names a font with Chinese characters for labels."""
_FONTS: Final = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
)
_LINE_BGR: Final = (0, 220, 0)


def load_picture(path: Path) -> Image:
    """Decode a picture file; any orientation noted in it is applied.

    Raises:
        ImageError: it cannot be read, is no picture, or is larger than 268 megapixels.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
    if content.size == 0:
        raise ImageError(f"{path}: the file is empty")
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError(f"{path}: not a picture, or damaged")
    return np.asarray(image, np.uint8)


def annotated(image: Image, plates: Sequence[PlateRead]) -> Image:
    """A copy of the image with every plate outlined and its text beside it.

    Where no font with Chinese characters is found, those characters are left out of the labels.
    """
    drawn = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 600))
    for plate in plates:
        corners = np.array(plate.quad.as_tuple()).round().astype(np.int32)
        cv2.polylines(drawn, [corners], isClosed=True, color=_LINE_BGR, thickness=thickness)
    labelled = _with_chinese_labels(drawn, plates, size_px=16 * thickness)
    return labelled if labelled is not None else _with_ascii_labels(drawn, plates, thickness)


def _label(plate: PlateRead) -> str:
    return f"{plate.text or '?'} {plate.score:.2f}"


def font_file() -> str | None:
    """A font with Chinese characters: the one named in ``KAKOU_FONT``, or one of Debian's."""
    named = os.environ.get(FONT_VARIABLE)
    return next((f for f in ((named,) if named else _FONTS) if f and Path(f).is_file()), None)


def _with_chinese_labels(image: Image, plates: Sequence[PlateRead], size_px: int) -> Image | None:
    file = font_file()
    if file is None:
        return None
    try:
        from PIL import Image as Pillow  # noqa: PLC0415 – an optional package
        from PIL import ImageDraw, ImageFont  # noqa: PLC0415
    except ImportError:
        return None
    font = ImageFont.truetype(file, size_px)
    canvas = Pillow.fromarray(image[..., ::-1])
    draw = ImageDraw.Draw(canvas)
    for plate in plates:
        x, y = plate.box.x1, max(0.0, plate.box.y1 - 1.3 * size_px)
        draw.rectangle(draw.textbbox((x, y), _label(plate), font=font), fill=(0, 0, 0))
        draw.text((x, y), _label(plate), font=font, fill=(0, 255, 0))
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def _with_ascii_labels(image: Image, plates: Sequence[PlateRead], thickness: int) -> Image:
    for plate in plates:
        label = "".join(c for c in _label(plate) if c.isascii())
        at = (round(max(0.0, plate.box.x1)), round(max(12.0, plate.box.y1 - 4)))
        cv2.putText(
            image, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thickness, _LINE_BGR, thickness
        )
    return image
