"""What retention must leave alone: passages of alerts and of cases, with their pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from server.errors import InvalidRequest
from server.tables import Passage, PassageHold

FOR_ALERT = "alert"
_CASE = "case:"
_AT_ONCE = 500

Key = tuple[str, datetime, UUID]


@dataclass(frozen=True, slots=True)
class Held:
    """A passage to hold: its key, and the SHA-256 of its pictures."""

    key: Key
    pictures: tuple[str, ...]


def hold(session: Session, passages: Iterable[Held], held_for: str, now: datetime) -> None:
    """Hold passages for a reason; holding one again for the same is harmless."""
    rows = [
        {
            "plate": held.key[0],
            "captured_at": held.key[1],
            "passage_id": held.key[2],
            "held_for": held_for,
            "pictures": list(held.pictures),
            "held_at": now,
        }
        for held in passages
    ]
    if rows:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        statement = (sqlite_insert if is_sqlite else postgresql_insert)(PassageHold)
        session.execute(statement.on_conflict_do_nothing(), rows)


def hold_passages(session: Session, keys: Sequence[Key], case_number: str, now: datetime) -> int:
    """Hold stored passages for a case and return how many there were.

    Raises:
        InvalidRequest: the case number is empty or too long.
    """
    held_for = for_case(case_number)
    key = tuple_(Passage.plate, Passage.captured_at, Passage.passage_id)
    held = 0
    for start in range(0, len(keys), _AT_ONCE):
        found = session.scalars(select(Passage).where(key.in_(keys[start : start + _AT_ONCE])))
        passages = [
            Held((row.plate, row.captured_at, row.passage_id), row.detail.pictures())
            for row in found
        ]
        hold(session, passages, held_for, now)
        held += len(passages)
    return held


def release_case(session: Session, case_number: str) -> int:
    """End the holds of a case and return how many there were; others' holds stay.

    Raises:
        InvalidRequest: the case number is empty or too long.
    """
    gone = session.execute(
        delete(PassageHold)
        .where(PassageHold.held_for == for_case(case_number))
        .returning(PassageHold.passage_id)
    )
    return len(gone.all())


def for_case(case_number: str) -> str:
    """What a hold for a case is called.

    Raises:
        InvalidRequest: the case number is empty or too long.
    """
    case_number = case_number.strip()
    if not 0 < len(case_number) <= 64:
        raise InvalidRequest("case_number: 1 to 64 characters", field="case_number")
    return _CASE + case_number
