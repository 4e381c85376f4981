"""Who looked up or changed what, when and why.

A record is written in the same transaction as the answer it accounts for: without the record
there is no answer. Records are append-only (the database refuses updates and deletes) and
chained: each carries the hash of the one before it, so an edit, a gap or a reordering is found
by :func:`verify`.

Write the record last in the transaction: its number is locked until the commit, and nobody
should wait for a search to finish.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from server.errors import InvalidRequest, PurposeMissing, TooManyRequests
from server.protection import is_protected, is_sought_by_pattern
from server.settings_security import LimitSettings
from server.tables import AuditRecord, CaseMember, Counter, ProtectedSought, User

GENESIS_HASH = "0" * 64
"""What the first record has for the hash of its predecessor."""

SOUGHT = "protected"
"""Key of the mark in a record's detail that somebody was looking for a protected plate."""

# made once: every search asks
_LOG = cast("Table", AuditRecord.__table__)
_HASH_OF = select(AuditRecord.hash).where(AuditRecord.seq == bindparam("seq"))
_COUNTER = cast("Table", Counter.__table__)
_BEFORE = (
    select(AuditRecord.hash)
    .where(AuditRecord.seq == _COUNTER.c.value - 1)
    .correlate(_COUNTER)
    .scalar_subquery()
)
_NEXT = (
    update(_COUNTER)
    .where(_COUNTER.c.name == "audit")
    .values(value=_COUNTER.c.value + 1)
    .returning(_COUNTER.c.value, _BEFORE)
)
"""The next number, and the hash of the record before it."""
_APPEND = insert(_LOG)
_STANDING = select(
    exists().where(CaseMember.case_number == bindparam("case_number")),
    exists().where(is_protected(bindparam("plate"))),
)
"""Whether somebody answers for a case, and whether a plate is protected."""

MAX_PURPOSE_LENGTH = 200
MAX_CASE_NUMBER_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a query is made (查询事由) and for which case (案件编号)."""

    purpose: str
    case_number: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of the log as it was at some instant; kept outside the database."""

    seq: int
    hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditView:
    """One record as shown."""

    seq: int
    at: datetime
    user_name: str
    action: str
    purpose: str | None
    case_number: str | None
    detail: Mapping[str, Any]
    address: str
    hash: str


def stated_purpose(purpose: str | None, case_number: str | None, allowed: Sequence[str]) -> Purpose:
    """Check what a caller gave as the reason of a query.

    Raises:
        PurposeMissing: one of the two is missing or blank.
        InvalidRequest: the purpose is not on the list, or a value is too long.
    """
    purpose, case_number = (purpose or "").strip(), (case_number or "").strip()
    if not purpose:
        raise PurposeMissing("purpose: say why the query is made", field="purpose")
    if not case_number:
        raise PurposeMissing("case_number: say for which case", field="case_number")
    if purpose not in allowed:
        raise InvalidRequest(f"purpose: one of {', '.join(allowed)}", field="purpose")
    if len(case_number) > MAX_CASE_NUMBER_LENGTH or not case_number.isprintable():
        raise InvalidRequest(
            f"case_number: at most {MAX_CASE_NUMBER_LENGTH} printable characters",
            field="case_number",
        )
    return Purpose(purpose, case_number)


def record(  # noqa: PLR0913 - an account of an act has this many parts
    session: Session,
    *,
    now: datetime,
    user_name: str,
    address: str,
    action: str,
    detail: Mapping[str, Any],
    purpose: Purpose | None = None,
) -> int:
    """Append one record and return its number.

    A ``plate`` in the detail that is, or as a pattern means, a protected one is marked as such;
    the mark is for the custodian's eyes alone.

    ``action`` is ``thing.verb`` (``passage.search``, ``watchlist.add``, ``alert.sign`` …);
    ``detail`` holds strings, whole numbers, booleans, nulls and lists of these only, so that its
    hash is the same on every engine.
    """
    session.flush()  # what is still to be written is, before the number is locked
    detail = dict(detail)
    case_number = purpose.case_number if purpose else detail.get("case_number")
    plate = detail.get("plate")
    asked = {"case_number": case_number or "", "plate": plate if isinstance(plate, str) else ""}
    answered, sought = True, False
    if any(asked.values()):
        answered, sought = session.connection().execute(_STANDING, asked).one()
    if case_number and not answered:
        _open_case(session, case_number, user_name, now)
    sought = sought or is_sought_by_pattern(session, asked["plate"])
    if sought:
        detail[SOUGHT] = True
    seq, prev = session.connection().execute(_NEXT).one()
    if prev is None:
        # the number was somebody else's when it was asked for; what he wrote is there only now
        prev = session.connection().scalar(_HASH_OF, {"seq": seq - 1})
    row = SimpleNamespace(
        seq=seq,
        at=now,
        user_name=user_name,
        action=action,
        purpose=purpose.purpose if purpose else None,
        case_number=case_number or None,
        detail=detail,
        address=address,
        prev_hash=prev or GENESIS_HASH,
        hash="",
    )
    row.hash = _hash(row)
    session.connection().execute(_APPEND, vars(row))
    if sought:
        session.execute(insert(ProtectedSought), {"audit_seq": seq})
    return int(seq)


def _open_case(session: Session, case_number: str, user_name: str, now: datetime) -> None:
    """Let the first officer who names a case answer for it; further ones he adds himself."""
    user = session.get(User, user_name)
    if user is None or user.role == "operator":
        return
    # two windows of one officer may get here at once: one of them finds it done
    sqlite = session.get_bind().dialect.name == "sqlite"
    added = (sqlite_insert if sqlite else postgresql_insert)(CaseMember)
    session.execute(
        added.values(
            case_number=case_number, user_name=user_name, added_at=now, added_by=user_name
        ).on_conflict_do_nothing()
    )


def recent(
    session: Session,
    *conditions: ColumnElement[bool],
    limit: int = 100,
    before_seq: int | None = None,
) -> tuple[AuditView, ...]:
    """Give records newest first, as written; ``before_seq`` continues a page.

    What people are shown of them says :mod:`server.audit_search`.
    """
    query = select(AuditRecord).where(*conditions).order_by(AuditRecord.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(AuditRecord.seq < before_seq)
    return tuple(
        AuditView(
            seq=row.seq,
            at=row.at,
            user_name=row.user_name,
            action=row.action,
            purpose=row.purpose,
            case_number=row.case_number,
            detail=row.detail,
            address=row.address,
            hash=row.hash,
        )
        for row in session.scalars(query)
    )


def require_pace(session: Session, user_name: str, now: datetime, limits: LimitSettings) -> None:
    """Refuse a query of somebody who has made too many accounted ones within the hour.

    Raises:
        TooManyRequests: so it is.
    """
    if limits.searches_per_hour == 0:
        return
    made = (
        select(AuditRecord.seq)
        .where(
            AuditRecord.user_name == user_name,
            AuditRecord.at > now - timedelta(hours=1),
            AuditRecord.purpose.is_not(None),
        )
        .limit(limits.searches_per_hour)
        .subquery()
    )
    count = session.scalar(select(func.count()).select_from(made)) or 0
    if count >= limits.searches_per_hour:
        raise TooManyRequests(
            f"{limits.searches_per_hour} queries within the hour (limits.searches_per_hour)",
            retry_after_s=600,
        )


def verify(session: Session, anchors: Sequence[Anchor] = ()) -> Iterator[str]:
    """Walk the whole chain and say every fault found; nothing said means it is whole.

    The chain alone tells an edit and a gap. That the newest records were removed, or that the
    chain was computed anew from some record on, tell the anchors, which lie elsewhere.
    """
    expected_seq, prev = 1, GENESIS_HASH
    held = {anchor.seq: anchor for anchor in anchors}
    rows = select(AuditRecord).order_by(AuditRecord.seq).execution_options(yield_per=1000)
    for row in session.scalars(rows):
        if row.seq != expected_seq:
            yield f"record {expected_seq} to {row.seq - 1}: missing"
        elif row.prev_hash != prev:
            yield f"record {row.seq}: does not follow record {row.seq - 1}"
        if row.hash != _hash(row):
            yield f"record {row.seq}: altered"
        anchor = held.pop(row.seq, None)
        if anchor is not None and anchor.hash != row.hash:
            yield f"record {row.seq}: not the one anchored at {anchor.at.isoformat()}"
        expected_seq, prev = row.seq + 1, row.hash
        session.expunge(row)
    last = session.execute(select(Counter.value).where(Counter.name == "audit")).scalar_one()
    last = max([last, *held])
    if expected_seq <= last:
        yield f"record {expected_seq} to {last}: missing"


def head(session: Session, now: datetime) -> Anchor | None:
    """The newest record's number and hash, to be kept elsewhere; None while there is none."""
    newest = select(AuditRecord.seq, AuditRecord.hash).order_by(AuditRecord.seq.desc()).limit(1)
    row = session.execute(newest).one_or_none()
    return None if row is None else Anchor(row.seq, row.hash, now)


def _hash(row: AuditRecord | SimpleNamespace) -> str:
    """SHA-256 over the record's canonical JSON, its predecessor's hash included."""
    content = {
        "seq": row.seq,
        "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "user_name": row.user_name,
        "action": row.action,
        "purpose": row.purpose,
        "case_number": row.case_number,
        "detail": row.detail,
        "address": row.address,
        "prev_hash": row.prev_hash,
    }
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
