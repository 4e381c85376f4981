"""Entries from and to CSV and XLSX: a row is an entry, the first row names the columns.

Columns have the names of the fields of :class:`~server.watchlists.entries.NewEntry`; those that a
file lacks have their usual values. Lists are joined by ``;``, an area is ``lon,lat lon,lat …``,
a time is an RFC 3339 instant. What is read in is applied for and nothing more: review and approval
are other people's. A row that is refused says why, and the others are taken.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.errors import Conflict, InvalidRequest
from server.exports.tables import harmless
from server.tables import WatchlistEntry
from server.watchlists.entries import NewEntry, faults_of
from server.watchlists.service import Doing, apply_for, twin_of
from server.watchlists.view import EntryView

COLUMNS = tuple(one.name for one in fields(NewEntry))
ENDINGS = ("csv", "xlsx")
AT_ONCE = 200
"""Rows of one transaction."""
_MAX_UNPACKED = 64 * 1024 * 1024
_LISTS = frozenset({"plate_kinds", "plate_colors", "vehicle_colors", "people", "tell", "hours",
                    "checkpoints"})  # fmt: skip
_YES, _NO = frozenset({"1", "true", "yes", "是"}), frozenset({"", "0", "false", "no", "否"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field of a row; ``field`` is '' if with the row as a whole."""

    field: str
    said: str


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What becomes, or would become, of a row."""

    line: int
    """In the file, from 1; the names of the columns stand in line 1."""
    plate: str
    case_number: str
    outcome: str
    """``new``, ``unchanged`` (watched already under this case, the same in all) or ``refused``."""
    faults: tuple[Fault, ...] = ()
    entry_id: int | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What becomes, or would become, of a file: every row of it stands here."""

    dry_run: bool
    new: int
    unchanged: int
    refused: int
    rows: tuple[ImportedRow, ...]


Row = tuple[int, dict[str, str]]
"""A line's number, and its cells by the name of their column."""


def read_rows(content: bytes, ending: str, most: int) -> list[Row]:
    """The rows of a file.

    Raises:
        InvalidRequest: not such a file, a column that is not known, or too many rows.
    """
    if ending == "csv":
        table = _csv(content)
    elif ending == "xlsx":
        table = _xlsx(content)
    else:
        raise InvalidRequest(f"ending: one of {', '.join(ENDINGS)}", field="ending")
    names = [name.strip() for name in next(table, [])]
    unknown = sorted(set(names) - set(COLUMNS) - {""})
    if unknown or "plate" not in names:
        said = f"unknown: {', '.join(unknown)[:200]}" if unknown else "plate is missing"
        raise InvalidRequest(f"file: the first row names the columns; {said}", field="file")
    found: list[Row] = []
    for line, cells in enumerate(table, start=2):
        values = {name: c.strip() for name, c in zip(names, cells, strict=False) if name}
        if any(values.values()):
            found.append((line, values))
        if len(found) > most:
            raise InvalidRequest(f"file: at most {most} rows", field="file")
    return found


def look_at(session: Session, rows: Iterable[Row], doing: Doing) -> Iterator[ImportedRow]:
    """What would become of rows; nothing is changed."""
    earlier: dict[tuple[str, ...], int] = {}
    for line, values in rows:
        entry, faults = _entry(values)
        if entry is not None:
            faults += [
                Fault(field, said)
                for field, said in faults_of(
                    session, entry, doing.account.name, doing.now, doing.settings
                )
            ]
        if entry is None or faults:
            yield _refused(line, values, faults)
            continue
        key = (entry.match, entry.text, entry.case_number.strip(), entry.note.strip())
        if key[:3] in earlier and entry.match != "description":
            yield _refused(line, values, [Fault("plate", f"as in line {earlier[key[:3]]}")])
            continue
        earlier[key[:3]] = line
        twin = twin_of(session, entry)
        yield _row(line, values, entry, session, twin)


def take_in(session: Session, rows: Iterable[Row], doing: Doing) -> Iterator[ImportedRow]:
    """Apply for what may be applied for; what becomes of each row."""
    for line, values in rows:
        (looked,) = look_at(session, [(line, values)], doing)
        entry, _ = _entry(values)
        if looked.outcome != "new" or entry is None:
            yield looked
            continue
        try:
            added = apply_for(session, entry, doing)
        except (InvalidRequest, Conflict) as error:  # pragma: no cover - looked at just now
            yield _refused(line, values, [Fault(error.field or "", str(error))])
        else:
            yield ImportedRow(line, looked.plate, looked.case_number, "new", entry_id=added.id)


def report_of(rows: Sequence[ImportedRow], *, dry_run: bool) -> ImportReport:
    """All rows of a file."""
    count = {name: sum(r.outcome == name for r in rows) for name in ("new", "unchanged", "refused")}
    return ImportReport(dry_run, count["new"], count["unchanged"], count["refused"], tuple(rows))


def write_entries(file: IO[bytes], entries: Iterable[EntryView], ending: str) -> int:
    """Write entries so that they can be read in again; how many."""
    rows = [[_cell(entry, name) for name in COLUMNS] for entry in entries]
    if ending == "csv":
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows([[harmless(cell) for cell in row] for row in rows])
        text.flush()
        text.detach()
        return len(rows)
    import xlsxwriter  # noqa: PLC0415 - as _xlsx

    book = xlsxwriter.Workbook(file, {"in_memory": True})
    sheet = book.add_worksheet("布控")
    for line, row in enumerate([list(COLUMNS), *rows]):
        for column, cell in enumerate(row):
            sheet.write_string(line, column, cell)
    book.close()
    return len(rows)


def _row(
    line: int, values: dict[str, str], entry: NewEntry, session: Session, twin: int | None
) -> ImportedRow:
    plate, case_number = values.get("plate", ""), values.get("case_number", "")
    if twin is None:
        return ImportedRow(line, plate, case_number, "new")
    row = session.scalars(select(WatchlistEntry).where(WatchlistEntry.id == twin)).one()
    differs = [name for name, value in entry.columns().items() if getattr(row, name) != value]
    if not differs:
        return ImportedRow(line, plate, case_number, "unchanged", entry_id=twin)
    said = f"watched already under this case (entry {twin}), with another {', '.join(differs)}"
    return _refused(line, values, [Fault("plate", said)])


def _refused(line: int, values: dict[str, str], faults: Sequence[Fault]) -> ImportedRow:
    plate, case_number = values.get("plate", ""), values.get("case_number", "")
    return ImportedRow(line, plate, case_number, "refused", tuple(faults))


def _entry(values: dict[str, str]) -> tuple[NewEntry | None, list[Fault]]:
    """A row as an entry, or what keeps it from being one."""
    found: dict[str, Any] = {"plate": "", "reason": "", "level": 0, "case_number": ""}
    faults: list[Fault] = []
    for name, cell in values.items():
        try:
            if cell or name in {"plate", "reason", "case_number"}:
                found[name] = _value(name, cell)
        except ValueError as error:
            faults.append(Fault(name, str(error)))
    return (None if faults else NewEntry(**found)), faults


def _value(name: str, cell: str) -> Any:
    if name in _LISTS:
        return tuple(part.strip() for part in cell.split(";") if part.strip())
    if name in {"intercept", "secret"}:
        if cell.lower() not in _YES | _NO:
            raise ValueError("yes or no")
        return cell.lower() in _YES
    read = _READ.get(name)
    return read(cell) if read else cell


def _level(cell: str) -> int:
    if not cell.isdecimal():
        raise ValueError("1 to 4")
    return int(cell)


def _instant(cell: str) -> datetime:
    at = datetime.fromisoformat(cell)
    if at.tzinfo is None:
        raise ValueError("a time with its offset, like 2026-11-20T14:30:00+08:00")
    return at


def _area(cell: str) -> tuple[tuple[float, float], ...]:
    return tuple(_corner(part) for part in cell.split())


def _plain(cell: str) -> str:
    """Without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    return cell.removeprefix("'")


def _corner(text: str) -> tuple[float, float]:
    lon, lat = text.split(",")
    return float(lon), float(lat)


_READ: Mapping[str, Callable[[str], Any]] = {
    "level": _level,
    "tolerance": float,
    "valid_from": _instant,
    "valid_to": _instant,
    "area": _area,
    "plate": _plain,
    "note": _plain,
    "contact": _plain,
}


def _cell(entry: EntryView, name: str) -> str:
    value = getattr(entry, name)
    if value is None or value == ():
        return ""
    if name == "area":
        return " ".join(f"{lon},{lat}" for lon, lat in value)
    if isinstance(value, tuple):
        return ";".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _csv(content: bytes) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")  # as Excel saves CSV in China
        except UnicodeDecodeError:
            raise InvalidRequest("file: neither UTF-8 nor GB 18030 text", field="file") from None
    try:
        yield from csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise InvalidRequest(f"file: not CSV: {error}", field="file") from None


def _xlsx(content: bytes) -> Iterator[list[str]]:
    # few read one in, and every start of a server would wait for it
    import openpyxl  # noqa: PLC0415
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(one.file_size for one in packed.infolist()) > _MAX_UNPACKED:
                raise InvalidRequest("file: too much in it", field="file")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield ["" if cell is None else _text(cell) for cell in row]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, IndexError) as error:
        raise InvalidRequest(f"file: not XLSX: {error}", field="file") from None


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, datetime) else str(cell)
