"""Passages by plate, time and checkpoint, newest first, in keyset pages."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from anpr.plate import normalise
from server.checkpoints.service import places
from server.errors import InvalidRequest, NotFound
from server.passages.view import PassageView, view_of
from server.tables import Checkpoint, Passage

ANY_ONE = "?"
ANY_RUN = "*"
MAX_PATTERN_LENGTH = 24
_LAST = "\U0010ffff"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEAR = timedelta(minutes=10)
"""An identifier is minted when the vehicle has passed."""


@dataclass(frozen=True, slots=True)
class PassageQuery:
    """What to look for; every condition given must hold.

    ``plate`` may hold ``?`` (one character) and ``*`` (any run). ``since`` is inclusive,
    ``until`` exclusive, both aware. ``cursor`` is the ``next_cursor`` of the page before.
    """

    plate: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    checkpoint_ids: tuple[str, ...] = ()
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PassagePage:
    """One page, newest first; ``next_cursor`` is None on the last."""

    passages: tuple[PassageView, ...]
    next_cursor: str | None


def search_passages(session: Session, query: PassageQuery) -> PassagePage:
    """Find one page of passages.

    Raises:
        InvalidRequest: the pattern, the period or the cursor is not usable; the message says which.
    """
    statement = _statement(query)
    if query.cursor is not None:
        statement = statement.where(
            tuple_(Passage.captured_at, Passage.passage_id) < tuple_(*_from_cursor(query.cursor))
        )
    rows = list(session.scalars(statement.limit(query.limit + 1)))
    page = rows[: query.limit]
    place_of = places(session, [row.checkpoint_id for row in page])
    more = len(rows) > query.limit
    return PassagePage(
        tuple(view_of(row, place_of.get(row.checkpoint_id)) for row in page),
        _to_cursor(page[-1]) if more else None,
    )


def get_passage(session: Session, passage_id: UUID) -> PassageView:
    """One passage by its identifier, a UUIDv7: its own time and the checkpoints lead to it.

    Raises:
        NotFound: no such passage.
    """
    minted_at = _EPOCH + timedelta(milliseconds=passage_id.int >> 80)
    row = session.scalar(
        select(Passage)
        .join(Checkpoint, Checkpoint.id == Passage.checkpoint_id)
        .where(
            Passage.captured_at.between(minted_at - _NEAR, minted_at + _NEAR),
            Passage.passage_id == passage_id,
        )
        .limit(1)
    )
    if row is None:
        raise NotFound(f"no passage {passage_id}")
    return view_of(row, places(session, [row.checkpoint_id]).get(row.checkpoint_id))


def normal_pattern(text: str) -> str:
    """One spelling of a plate or pattern: as stored plates are spelled, runs of ``*`` joined.

    Raises:
        InvalidRequest: empty, too long, or nothing but wildcards.
    """
    pattern = normalise(text)
    while ANY_RUN * 2 in pattern:
        pattern = pattern.replace(ANY_RUN * 2, ANY_RUN)
    if not pattern or len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidRequest(f"plate: 1 to {MAX_PATTERN_LENGTH} characters", field="plate")
    if not pattern.strip(ANY_ONE + ANY_RUN):
        raise InvalidRequest("plate: at least one character besides ? and *", field="plate")
    return pattern


def _statement(query: PassageQuery) -> Select[Passage]:
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise InvalidRequest("until: must be after since", field="until")
    statement = select(Passage).order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
    if query.plate is not None:
        statement = _where_plate(statement, normal_pattern(query.plate))
    if query.since is not None:
        statement = statement.where(Passage.captured_at >= query.since)
    if query.until is not None:
        statement = statement.where(Passage.captured_at < query.until)
    if query.checkpoint_ids:
        statement = statement.where(Passage.checkpoint_id.in_(query.checkpoint_ids))
    return statement


def _where_plate(statement: Select[Passage], pattern: str) -> Select[Passage]:
    first = min(
        (pattern.find(wild) for wild in (ANY_ONE, ANY_RUN) if wild in pattern), default=None
    )
    if first is None:
        return statement.where(Passage.plate == pattern)
    if first > 0:  # the fixed beginning is a range of the key
        beginning = pattern[:first]
        statement = statement.where(Passage.plate >= beginning, Passage.plate < beginning + _LAST)
    # normalise() leaves letters, digits and the two wildcards, so nothing needs escaping
    like = pattern.replace(ANY_ONE, "_").replace(ANY_RUN, "%")
    return statement.where(Passage.plate.like(like))


def _to_cursor(row: Passage) -> str:
    text = f"{row.captured_at.astimezone(UTC).isoformat()} {row.passage_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, passage_id = text.split(" ")
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None:
            raise InvalidRequest("cursor: not one of ours", field="cursor")
        return instant.astimezone(UTC), UUID(passage_id)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest("cursor: not one of ours", field="cursor") from None
