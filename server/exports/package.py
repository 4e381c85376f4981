"""An evidence package (证据材料): passages with their pictures and hashes, as one PDF.

Each picture is embedded as it was sent, byte for byte, after its bytes have been compared with
the SHA-256 under which it was stored. What is missing or does not agree is said, not left out.
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import IO
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from PIL import Image, UnidentifiedImageError

from server.exports.fonts import Font
from server.passages.pictures import EvidenceView
from server.passages.view import PassageView

_LABELS: tuple[tuple[str, str], ...] = (
    ("plate", "号牌"),
    ("captured_at", "过车时间"),
    ("checkpoint", "卡口"),
    ("position", "经纬度 WGS-84"),
    ("camera", "摄像机"),
    ("looks", "车身颜色 / 方向 / 车道 / 车速"),
    ("score", "识读"),
    ("received_at", "入库时间"),
    ("clock", "前端时钟"),
    ("passage_id", "过车编号"),
)
_ROLES = {"scene": "全景图", "vehicle": "车辆图", "plate": "号牌图"}
_INTACT, _MISSING, _ALTERED = "与存储的 SHA-256 一致", "图片缺失", "与存储的 SHA-256 不一致"


def write_package(  # noqa: PLR0913 - what, where to, with which parts
    file: IO[bytes],
    passages: Sequence[PassageView],
    *,
    about: Mapping[str, str],
    read_picture: Callable[[str], bytes | None],
    font: Font,
    zone: ZoneInfo,
    made_at: datetime,
) -> None:
    """Write the PDF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fonts' optional tables
        pdf = Pages(font)
        pdf.set_creation_date(made_at)
        pdf.set_title("证据材料")
        pdf.cover(about, passages, zone)
        for number, passage in enumerate(passages, start=1):
            pdf.passage(number, passage, read_picture, zone)
        file.write(pdf.output())


class Pages(FPDF):
    """The pages; A4, millimetres."""

    def __init__(self, font: Font) -> None:
        super().__init__(format="A4")
        self.add_font("han", fname=font.path, collection_font_number=font.number)
        self.set_auto_page_break(auto=True, margin=18)
        self.set_font("han", size=10)

    def footer(self) -> None:
        """Number the page."""
        self.set_y(-14)
        self.set_font("han", size=8)
        self.cell(0, 6, f"{self.page_no()} / {{nb}}", align="C")
        self.set_font("han", size=10)

    def cover(
        self, about: Mapping[str, str], passages: Sequence[PassageView], zone: ZoneInfo
    ) -> None:
        """The first page: what this is, for whom, and what it holds."""
        self.add_page()
        self.line_of("机动车过车证据材料", 20, 14)
        self.line_of("Evidence package: vehicle passages", 11, 9)
        for name, value in about.items():
            self.fact(name, value)
        self.ln(4)
        self.line_of(f"过车记录 {len(passages)} 条", 12, 9)
        for number, passage in enumerate(passages, start=1):
            self.line_of(
                f"{number}.  {local(passage.captured_at, zone)}  {passage.plate or '未识别'}  "
                f"{passage.checkpoint.name}",
                9,
                6,
            )
        self.ln(3)
        self.text_of(
            "每张图片按上传时的原始字节嵌入，其 SHA-256 已在导出时与存储值核对。"
            "本文件的 SHA-256 记入审计日志。",
            9,
        )

    def passage(
        self,
        number: int,
        passage: PassageView,
        read_picture: Callable[[str], bytes | None],
        zone: ZoneInfo,
    ) -> None:
        """One passage on pages of its own."""
        self.add_page()
        self.line_of(f"{number}.  {passage.plate or '未识别号牌'}", 16, 12)
        values = _facts(passage, zone)
        for name, label in _LABELS:
            self.fact(label, values[name])
        for picture in passage.evidence:
            self._picture(picture, read_picture(picture.sha256), zone)

    def _picture(self, picture: EvidenceView, data: bytes | None, zone: ZoneInfo) -> None:
        state = _MISSING
        if data is not None:
            whole = hashlib.sha256(data).hexdigest() == picture.sha256
            state = _INTACT if whole else _ALTERED
        width = 170.0 if picture.role == "scene" else 80.0
        size = _size_px(data) if data is not None else None
        height = width * size[1] / size[0] if size else 8.0
        if height > 120:
            width, height = width * 120 / height, 120.0
        if self.get_y() + height + 18 > self.h - 18:
            self.add_page()
        self.ln(2)
        taken_at = datetime.fromisoformat(picture.captured_at)
        self.line_of(f"{_ROLES.get(picture.role, picture.role)}  {local(taken_at, zone)}", 10, 6)
        if data is not None and size:
            self.image(io.BytesIO(data), w=width, h=height)
        elif data is not None:
            self.line_of("（图片无法解码，未嵌入）", 9, 6)
        self.line_of(f"SHA-256 {picture.sha256}", 8, 5)
        self.line_of(state, 8, 5)

    def fact(self, label: str, value: str) -> None:
        """A name and its value."""
        self.set_font("han", size=9)
        self.cell(48, 6, label)
        self.multi_cell(0, 6, value or "–", align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def line_of(self, text: str, size: float, height: float) -> None:
        """One line of text."""
        self.set_font("han", size=size)
        self.cell(0, height, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def text_of(self, text: str, size: float) -> None:
        """Text that breaks where it must."""
        self.set_font("han", size=size)
        self.multi_cell(0, 6, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _facts(passage: PassageView, zone: ZoneInfo) -> dict[str, str]:
    place = passage.checkpoint
    speed = "–" if passage.speed_kmh is None else f"{passage.speed_kmh:.0f} km/h"
    lane = "–" if passage.lane is None else str(passage.lane)
    return {
        "plate": f"{passage.plate or '未识别'}  ({passage.plate_color}, {passage.plate_kind})",
        "captured_at": local(passage.captured_at, zone),
        "checkpoint": f"{place.name}  {place.id}  {place.road}",
        "position": f"{place.lon:.6f}, {place.lat:.6f}",
        "camera": passage.camera_id,
        "looks": f"{passage.vehicle_color} / {passage.direction} / {lane} / {speed}",
        "score": f"{passage.plate_state}  {passage.plate_score:.3f}",
        "received_at": local(passage.received_at, zone),
        "clock": passage.clock_flag,
        "passage_id": str(passage.passage_id),
    }


@cache
def _known_broken() -> tuple[type[Exception], ...]:
    return (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def _size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture that can really be decoded; None of another."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.load()
            return image.size
    except _known_broken():
        return None


def local(instant: datetime, zone: ZoneInfo) -> str:
    """An instant as people there read it, with its offset."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + instant.astimezone(
        zone
    ).strftime(" %z")
