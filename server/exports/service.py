"""Making a file on somebody's behalf.

The file is written to the disk first, from one reading transaction, a page of passages at a time.
Then the account is committed, with the number of passages and the file's SHA-256; only after
that does the first byte leave. A file found later can be told by its hash to be that one.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from server.auth.sight import Sight
from server.context import AppContext
from server.errors import InvalidRequest, NotFound
from server.exports.fonts import chinese_font
from server.exports.tables import WRITERS
from server.holds import hold_passages
from server.passages.lookup import Inquiry, accounted_sight, asked, in_utc, record, stated
from server.passages.search import PassageQuery, get_passage, search_passages
from server.passages.view import PassageSummary

MAX_PASSAGES = 100
"""Of one evidence package."""
_PAGE = 1_000
_IN_MEMORY_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 16
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that is ready to leave; :meth:`chunks` gives it, once."""

    file: IO[bytes]
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    passages: int

    def chunks(self) -> Iterator[bytes]:
        """The content; the file is gone afterwards."""
        with self.file:
            while data := self.file.read(_CHUNK_BYTES):
                yield data


def export_passages(
    context: AppContext, query: PassageQuery, inquiry: Inquiry, ending: str
) -> ExportedFile:
    """Write what a search finds, up to ``export.max_rows``, as ``csv``, ``xlsx`` or ``geojson``.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: the query is not usable, or there is no such format.
        ApprovalNeeded: it goes further back than is open to him.
    """
    if ending not in WRITERS:
        raise InvalidRequest(f"format: one of {', '.join(WRITERS)}, pdf", field="format")
    write, media_type = WRITERS[ending]
    purpose = stated(inquiry, context.settings)
    query = replace(
        query,
        since=in_utc("since", query.since),
        until=in_utc("until", query.until),
        limit=_PAGE,
        cursor=None,
    )
    if query == PassageQuery(limit=_PAGE):
        raise InvalidRequest("since: say what of, a plate, a place or a period", field="since")
    name = f"passages-{inquiry.now:%Y%m%d-%H%M%S}.{ending}"
    with new_file() as file:
        with context.database.read() as session:
            sight = accounted_sight(session, inquiry, context.settings, query.plate)
            found = each_passage(session, query, sight, context, inquiry)
            count = write(file, found, _zone(context), about_of(inquiry, context))
        made = made_of(file, name, media_type, count)
        with context.database.write() as session:
            record(session, inquiry, "export.passages", purpose, asked(query), **said_of(made))
    return made


def export_package(
    context: AppContext, passage_ids: tuple[UUID, ...], inquiry: Inquiry
) -> ExportedFile:
    """Write an evidence package of these passages; they are held for the case from then on.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: none or too many passages.
        NotFound: one that does not exist, or that he may not see.
        Unavailable: there is no font for it.
    """
    # what lays out pages takes a tenth of a server's start, and few ask for any
    from server.exports.package import write_package  # noqa: PLC0415

    purpose = stated(inquiry, context.settings)
    wanted = tuple(dict.fromkeys(passage_ids))
    if not 1 <= len(wanted) <= MAX_PASSAGES:
        raise InvalidRequest(f"passage_id: 1 to {MAX_PASSAGES} passages", field="passage_id")
    font = chinese_font(context.settings.export.font_file)
    with context.database.read() as session:
        sight = accounted_sight(session, inquiry, context.settings, None)
        passages = [get_passage(session, one, sight) for one in wanted]
    passages.sort(key=lambda one: (one.captured_at, one.passage_id))

    def read_picture(sha256: str) -> bytes | None:
        try:
            return context.evidence.read(sha256)
        except ValueError:
            return None

    name = f"evidence-{inquiry.now:%Y%m%d-%H%M%S}.pdf"
    keys = [(one.plate, one.captured_at, one.passage_id) for one in passages]
    detail = {
        "passages": [str(one.passage_id) for one in passages],
        "plates": sorted({one.plate for one in passages}),
    }
    with new_file() as file:
        write_package(
            file,
            passages,
            about=about_of(inquiry, context),
            read_picture=read_picture,
            font=font,
            zone=_zone(context),
            made_at=inquiry.now,
        )
        made = made_of(file, name, PDF, len(passages))
        with context.database.write() as session:
            if hold_passages(session, keys, purpose.case_number, inquiry.now) != len(keys):
                raise NotFound("a passage has been deleted meanwhile")
            record(session, inquiry, "export.evidence", purpose, detail, **said_of(made))
    return made


def each_passage(
    session: Session, query: PassageQuery, sight: Sight, context: AppContext, inquiry: Inquiry
) -> Iterator[PassageSummary]:
    """What a search finds, page after page, newest first, up to ``export.max_rows``."""
    left = context.settings.export.max_rows
    while left > 0:
        page = search_passages(
            session,
            replace(query, limit=min(_PAGE, left)),
            sight,
            context.plates,
            inquiry.now,
        )
        yield from page.passages
        left -= len(page.passages)
        session.expunge_all()
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


@contextmanager
def new_file() -> Iterator[IO[bytes]]:
    """A file to write, closed if that fails.

    A small one stays in memory; a larger one has no name on the disk and ends with the process.
    """
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - leaves with the answer
    try:
        yield file
    except BaseException:
        file.close()
        raise


def made_of(file: IO[bytes], name: str, media_type: str, passages: int) -> ExportedFile:
    """A file that has been written, with its hash."""
    file.seek(0)
    digest = hashlib.sha256()
    size_bytes = 0
    while data := file.read(_CHUNK_BYTES):
        digest.update(data)
        size_bytes += len(data)
    file.seek(0)
    return ExportedFile(file, name, media_type, size_bytes, digest.hexdigest(), passages)


def said_of(made: ExportedFile) -> dict[str, object]:
    """What the audit log says of a file."""
    return {
        "found": made.passages,
        "file": made.name,
        "size_bytes": made.size_bytes,
        "sha256": made.sha256,
    }


def about_of(inquiry: Inquiry, context: AppContext) -> Mapping[str, str]:
    """Who took it away, when and why, as it stands on the file."""
    local = inquiry.now.astimezone(_zone(context)).isoformat(timespec="seconds")
    account = inquiry.account
    return {
        "导出时间 exported at": local,
        "导出人 exported by": f"{account.display_name} {account.name} {account.badge_number}",
        "单位 unit": account.unit,
        "查询事由 purpose": inquiry.purpose or "",
        "案件编号 case number": inquiry.case_number or "",
    }


def _zone(context: AppContext) -> ZoneInfo:
    return ZoneInfo(context.settings.display.time_zone)
