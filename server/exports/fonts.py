"""A font that holds Chinese, for PDFs: the one that is chosen, or one that the system has."""

from dataclasses import dataclass
from pathlib import Path

from server.errors import Unavailable

_FONTS: tuple[tuple[str, int], ...] = (
    # the number of the simplified Chinese face in a collection
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", 0),
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", 0),
    ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf", 0),
    ("C:/Windows/Fonts/msyh.ttc", 0),
)


@dataclass(frozen=True, slots=True)
class Font:
    """A font file that holds Chinese, and the number of its face."""

    path: Path
    number: int


def chinese_font(chosen: Path | None) -> Font:
    """The font that is chosen, or one that the system has.

    Raises:
        Unavailable: there is none; the installer acts.
    """
    candidates = [(str(chosen), 0)] if chosen is not None else _FONTS
    for path, number in candidates:
        if Path(path).is_file():
            return Font(Path(path), number)
    raise Unavailable(
        "no Chinese font for the PDF: install fonts-noto-cjk, or set export.font_file"
    )
