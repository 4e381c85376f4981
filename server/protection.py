"""Protected plates (红名单): which they are, and whether somebody is looking for one.

A leaf: it reads the table and knows nothing of people. Who keeps the list stands in
:mod:`server.auth.custody`, who sees its plates in :mod:`server.auth.sight`.
"""

import re

from sqlalchemy import ColumnElement, bindparam, exists, select
from sqlalchemy.orm import Session

from server.tables import ProtectedPlate

_ONE, _RUN = "?", "*"
_PROTECTED = select(ProtectedPlate.plate).where(ProtectedPlate.lifted_at.is_(None))


def protected_plates(session: Session) -> frozenset[str]:
    """All plates that are protected now. The list is short: it is loaded whole."""
    return frozenset(session.connection().scalars(_PROTECTED))


def is_protected(plate: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition on the table of protected plates that one of its rows is about a plate now."""
    return (ProtectedPlate.plate == plate) & ProtectedPlate.lifted_at.is_(None)


_IS_PROTECTED = select(exists().where(is_protected(bindparam("plate"))))


def is_sought(session: Session, text: str) -> bool:
    """Whether a plate or pattern (``?`` one character, ``*`` any run) means a protected plate."""
    if is_sought_by_pattern(session, text):
        return True
    return bool(session.connection().scalar(_IS_PROTECTED, {"plate": text}))


def is_sought_by_pattern(session: Session, text: str) -> bool:
    """Whether a text is a pattern, and one that means a protected plate."""
    if _ONE not in text and _RUN not in text:
        return False
    return any(matches(text, plate) for plate in protected_plates(session))


def matches(pattern: str, plate: str) -> bool:
    """Whether a pattern means a plate. A pattern of nothing but wildcards means none."""
    if not pattern.strip(_ONE + _RUN):
        return False
    parts = (re.escape(part).replace(re.escape(_ONE), ".") for part in pattern.split(_RUN))
    return re.fullmatch(".*".join(parts), plate) is not None
