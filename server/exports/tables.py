"""Passages as CSV, XLSX and GeoJSON, a row at a time.

What a cell holds is text from outside: a plate, a checkpoint's name. A spreadsheet takes a text
that begins with ``= + - @`` for a formula and may run it, so in CSV such a text gets an
apostrophe in front (OWASP, CSV Injection); in XLSX every text is written as a text.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO, Any
from zoneinfo import ZoneInfo

from server.passages.view import PassageSummary

Cell = str | int | float | None

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_COLUMNS: tuple[tuple[str, str], ...] = (
    ("captured_at", "过车时间"),
    ("plate", "号牌"),
    ("plate_state", "识读状态"),
    ("plate_color", "号牌颜色"),
    ("plate_kind", "号牌种类"),
    ("plate_score", "置信度"),
    ("vehicle_color", "车身颜色"),
    ("checkpoint_id", "卡口编号"),
    ("checkpoint", "卡口"),
    ("road", "道路"),
    ("lon", "经度 WGS-84"),
    ("lat", "纬度 WGS-84"),
    ("direction", "行驶方向"),
    ("lane", "车道"),
    ("speed_kmh", "车速 km/h"),
    ("camera_id", "摄像机"),
    ("clock_flag", "时钟"),
    ("delivery", "上传"),
    ("received_at", "入库时间"),
    ("passage_id", "过车编号"),
    ("pictures_sha256", "图片 SHA-256"),
)


def cells_of(passage: PassageSummary, zone: ZoneInfo) -> tuple[Cell, ...]:
    """One passage in the order of the columns; times local, with their offset."""
    place = passage.checkpoint
    return (
        _local(passage.captured_at, zone),
        passage.plate,
        passage.plate_state,
        passage.plate_color,
        passage.plate_kind,
        passage.plate_score,
        passage.vehicle_color,
        place.id,
        place.name,
        place.road,
        place.lon,
        place.lat,
        passage.direction,
        passage.lane,
        passage.speed_kmh,
        passage.camera_id,
        passage.clock_flag,
        passage.delivery,
        _local(passage.received_at, zone),
        str(passage.passage_id),
        " ".join(picture.sha256 for picture in passage.evidence),
    )


def write_csv(
    file: IO[bytes], passages: Iterable[PassageSummary], zone: ZoneInfo, about: Mapping[str, str]
) -> int:
    """Write CSV (RFC 4180, UTF-8 with the mark that spreadsheets look for) and count the rows.

    What the table is about stands in the audit log, not in the file: a CSV has one table.
    """
    del about
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([name for name, _ in _COLUMNS])
    writer.writerow([label for _, label in _COLUMNS])
    count = 0
    for count, passage in enumerate(passages, start=1):  # noqa: B007 - counted
        writer.writerow([harmless(cell) for cell in cells_of(passage, zone)])
    text.flush()
    text.detach()
    return count


def write_xlsx(
    file: IO[bytes], passages: Iterable[PassageSummary], zone: ZoneInfo, about: Mapping[str, str]
) -> int:
    """Write XLSX, one sheet of passages and one that says what they are, and count the rows."""
    import xlsxwriter  # noqa: PLC0415 - as export_package

    book = xlsxwriter.Workbook(
        file,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    bold = book.add_format({"bold": True})
    sheet = book.add_worksheet("过车")
    sheet.freeze_panes(2, 2)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, len(_COLUMNS) - 1, 14)
    for column, (name, label) in enumerate(_COLUMNS):
        sheet.write_string(0, column, label, bold)
        sheet.write_string(1, column, name)
    count = 0
    for count, passage in enumerate(passages, start=1):
        for column, cell in enumerate(cells_of(passage, zone)):
            if isinstance(cell, str):
                sheet.write_string(count + 1, column, cell)
            elif cell is not None:
                sheet.write_number(count + 1, column, cell)
    said = book.add_worksheet("查询")
    said.set_column(0, 1, 40)
    for row, (name, value) in enumerate(about.items()):
        said.write_string(row, 0, name, bold)
        said.write_string(row, 1, value)
    book.close()
    return count


def write_geojson(
    file: IO[bytes], passages: Iterable[PassageSummary], zone: ZoneInfo, about: Mapping[str, str]
) -> int:
    """Write a FeatureCollection (RFC 7946), a point per passage, and count them."""
    file.write(b'{"type":"FeatureCollection","about":')
    file.write(json.dumps(dict(about), ensure_ascii=False).encode())
    file.write(b',"features":[')
    count = 0
    names = [name for name, _ in _COLUMNS]
    for count, passage in enumerate(passages, start=1):
        values = dict(zip(names, cells_of(passage, zone), strict=True))
        position = [values.pop("lon"), values.pop("lat")]
        feature = {
            "type": "Feature",
            "id": values["passage_id"],
            "geometry": {"type": "Point", "coordinates": position},
            "properties": values,
        }
        file.write(
            (b",\n" if count > 1 else b"\n") + json.dumps(feature, ensure_ascii=False).encode()
        )
    file.write(b"\n]}\n")
    return count


def column_names() -> Sequence[str]:
    """Names of the columns, in order."""
    return [name for name, _ in _COLUMNS]


Writer = Callable[[IO[bytes], Iterable[PassageSummary], ZoneInfo, Mapping[str, str]], int]

WRITERS: Mapping[str, tuple[Writer, str]] = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "geojson": (write_geojson, "application/geo+json"),
}
"""By ending: how it is written, and its media type."""


def harmless(cell: Cell) -> Any:
    """A cell of a CSV that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return "'" + cell
    return cell


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(timespec="milliseconds")
