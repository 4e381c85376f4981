"""What searches ask again and again, put together once.

SQLAlchemy takes as long to put a statement together, and to find out that it has compiled one like
it, as PostgreSQL takes to answer it. Each function makes one statement per form and keeps it; what
is asked for comes as parameters, named where the function says so.
"""

from datetime import datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import CompoundSelect, Select, bindparam, desc, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute

from server.auth.sight import not_protected
from server.db import among_given
from server.passages.view import SUMMARY
from server.tables import Passage, Plate, PlateCandidate

By = Literal["plate", "checkpoint_id"]
_NEWEST_FIRST = (Passage.captured_at.desc(), Passage.passage_id.desc())


@cache
def passages_of(by: By, *, hides: bool, since: bool, until: bool, after: bool) -> Select[Any]:
    """Passages of one plate or one checkpoint, newest first, ``limit`` of them.

    Parameters: ``by``, ``limit``, and where they are said to be given ``since``, ``until``, and
    ``at`` with ``passage_id``, which the page before ended with. With ``hides`` none of a
    protected plate.
    """
    statement = select(*SUMMARY).where(getattr(Passage, by) == bindparam("by"))
    if hides:
        statement = statement.where(not_protected(Passage.plate))
    if since:
        statement = statement.where(Passage.captured_at >= bindparam("since"))
    if until:
        statement = statement.where(Passage.captured_at < bindparam("until"))
    if after:
        at = bindparam("at", type_=Passage.captured_at.type)
        end = tuple_(at, bindparam("passage_id", type_=Passage.passage_id.type))
        statement = statement.where(
            tuple_(Passage.captured_at, Passage.passage_id) < end, Passage.captured_at <= at
        )
    return statement.order_by(*_NEWEST_FIRST).limit(bindparam("limit"))


@cache
def passages_of_plates(*, sqlite: bool, since: bool, after: bool) -> Select[Any]:
    """Passages of many plates, newest first, ``limit`` of them.

    Parameters: ``plates``, ``limit``, and where they are said to be given ``since`` (inclusive) and
    ``cut`` (exclusive), neither earlier.
    """
    statement = select(*SUMMARY).where(among_given(Passage.plate, "plates", sqlite=sqlite))
    if since:
        statement = statement.where(Passage.captured_at >= bindparam("since"))
    if after:
        statement = statement.where(Passage.captured_at > bindparam("cut"))
    return statement.order_by(*_NEWEST_FIRST).limit(bindparam("limit"))


@cache
def registered(*, sqlite: bool) -> CompoundSelect[str, datetime, datetime, int]:
    """What the register says of plates, sure or doubtful, the ``limit`` seen last: a row each.

    Plate, first and last seen, passages. Both tables as of one instant: a plate that is moved from
    one to the other meanwhile is in one of them. Parameters: ``plates``, ``limit``.
    """
    parts = [
        select(table.plate, table.first_seen_at, table.last_seen_at, table.passages).where(
            among_given(_plate_of(table), "plates", sqlite=sqlite)
        )
        for table in (Plate, PlateCandidate)
    ]
    return union_all(*parts).order_by(desc("last_seen_at")).limit(bindparam("limit"))


def _plate_of(table: type[Plate | PlateCandidate]) -> InstrumentedAttribute[str]:
    return table.plate
