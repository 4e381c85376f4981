"""What is deleted when, and the account of it.

By rule: passages older than ``retention.passages_days``, pictures older than
``retention.pictures_days`` (or than their passages are kept), plates that nobody is known of any
more. By list: what somebody orders, with a reason. Whatever an alert or a case holds
(:mod:`server.holds`) stays in either case. Every run that deletes leaves a row in ``deletion`` and
one in the audit log.

On PostgreSQL old passages go with their partition: held ones are moved to the catch-all first, in
the same transaction. Work is done in short transactions, so that ingest goes on meanwhile and a
run that is killed has lost nothing but its report; the next one goes on where it was.
"""

import json
import logging
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server import audit, partitions, register
from server.db import Database
from server.ingest.evidence_store import PictureStore
from server.ingest.pictures import is_among, lock_pictures, names_for
from server.ingest.rows import bare
from server.packed import making as packed
from server.partitions import EVIDENCE, PASSAGE, Partition
from server.settings import Settings
from server.tables import Deletion

_log = logging.getLogger(__name__)

_AT_ONCE = 2_000
_PICTURES_AT_ONCE = 500
BY_RULE = "rule"
_IS_HELD = (
    "EXISTS (SELECT 1 FROM passage_hold h WHERE h.plate = p.plate "
    "AND h.captured_at = p.captured_at AND h.passage_id = p.passage_id)"
)


@dataclass(slots=True)
class Done:
    """What one rule deleted, or would delete."""

    rule: str
    before: str
    passages: int = 0
    pictures: int = 0
    plates: int = 0
    held: int = 0
    """Passages or pictures old enough to go that are held, and stay."""
    partitions: list[str] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)
    """Partitions that were in use and are left to the next run."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was deleted."""
        return not (self.passages or self.pictures or self.plates or self.partitions)


def run(  # noqa: PLR0913 - where, by which rules, when, for whom
    database: Database,
    store: PictureStore,
    settings: Settings,
    now: datetime,
    *,
    ordered_by: str = BY_RULE,
    dry_run: bool = False,
) -> list[Done]:
    """Delete what the rules say, write the account, and return it; ``dry_run`` only counts.

    Raises:
        Unavailable: the database is locked or away.
        OSError: the evidence storage is away.
    """
    rules = settings.retention
    done: list[Done] = []
    passages_before = now - timedelta(days=rules.passages_days) if rules.passages_days else None
    if passages_before is not None:
        done.append(_passages(database, passages_before, dry_run=dry_run))
    days = [days for days in (rules.pictures_days, rules.passages_days) if days]
    if days:
        before = (now - timedelta(days=min(days))).date()
        done.append(_pictures(database, store, before, dry_run=dry_run))
    if not dry_run:
        done.append(_plates(database, now - timedelta(days=rules.candidates_days), passages_before))
    deleted = [one for one in done if not one.is_empty]
    if deleted and not dry_run:
        with database.write() as session:
            for one in deleted:
                account(session, one.rule, ordered_by, "retention by age", asdict(one), now)
    return done


def account(  # noqa: PLR0913, PLR0917 - what, by whom, why, when
    session: Session, rule: str, ordered_by: str, reason: str, report: dict[str, Any], now: datetime
) -> None:
    """Write down what was deleted and why, in the report and in the audit log."""
    session.add(Deletion(at=now, rule=rule, ordered_by=ordered_by, reason=reason, report=report))
    counts = {k: v for k, v in report.items() if isinstance(v, (int, str)) and k != "rule"}
    audit.record(
        session,
        now=now,
        user_name=f"system:{ordered_by}"[:64],
        address="server",
        action="retention.delete",
        detail={"rule": rule, "reason": reason[:200], **counts},
    )


# ---- passages


def _passages(database: Database, before: datetime, *, dry_run: bool) -> Done:
    done = Done("passages", before.isoformat())
    table = "passage" if database.is_sqlite else PASSAGE.default
    with database.read() as session:
        done.held += _count(
            session, f"FROM {table} p WHERE p.captured_at < :t AND {_IS_HELD}", before
        )
        loose = _count(
            session, f"FROM {table} p WHERE p.captured_at < :t AND NOT {_IS_HELD}", before
        )
    if dry_run:
        done.passages += loose
    elif loose:
        done.passages += _delete_loose(database, table, before)
    if not database.is_sqlite:  # last, for what is held in them moves to the catch-all
        for part in _old_partitions(database, PASSAGE, before.date()):
            _drop_passages(database, part, done, dry_run=dry_run)
    return done


def _drop_passages(database: Database, part: Partition, done: Done, *, dry_run: bool) -> None:
    with database.read() as session:
        if not partitions.is_there(session.connection(), part.name):
            return
        held = _count(session, f"FROM {part.name} p WHERE {_IS_HELD}")
        count = _count(session, f"FROM {part.name} p") - held
    if not dry_run:
        held_rows = f"SELECT p.* FROM {part.name} p WHERE {_IS_HELD}"  # noqa: S608 - names of ours
        if not _drop_but_keep(database, PASSAGE, part, held_rows):
            done.put_off.append(part.name)
            return
        packed.forget(database.engine)
    done.partitions.append(part.name)
    done.passages += count
    done.held += held


def _drop_but_keep(
    database: Database, of: partitions.Partitioned, part: Partition, kept_rows: str
) -> bool:
    """Drop a partition and put some of its rows back, which then lie in the catch-all."""
    name = part.name
    try:
        with database.engine.begin() as connection:
            partitions.alone(connection)
            if not partitions.is_there(connection, name):
                return False  # another process has dropped it, and accounts for it
            partitions.brief(connection)
            for step in (
                f"CREATE TEMP TABLE kept ON COMMIT DROP AS {kept_rows}",
                f"DROP TABLE {name}",
                f"INSERT INTO {of.table} SELECT * FROM kept",  # noqa: S608 - names of ours
                "DROP TABLE kept",
            ):
                connection.execute(text(step))
            if of is PASSAGE:  # now that who may have been packing it is done
                packed.forget_period(connection, part.days.start)
    except OperationalError as error:
        _log.warning("partition %s: not now: %s", name, error.orig)
        return False
    return True


def _delete_loose(database: Database, table: str, before: datetime) -> int:
    """Row by row, a few at a time, checkpoint by checkpoint: that is how the index leads to them."""
    with database.read() as session:
        places = list(session.scalars(text(f"SELECT DISTINCT checkpoint_id FROM {table}")))  # noqa: S608 - names of ours
    # by key: where a row lies (ctid) says nothing on a cluster, each shard has a row there
    statement = text(
        f"DELETE FROM {table} WHERE (plate, captured_at, passage_id) IN ("  # noqa: S608 - names of ours
        f"SELECT p.plate, p.captured_at, p.passage_id FROM {table} p "
        f"WHERE p.checkpoint_id = :place AND p.captured_at < :t AND NOT {_IS_HELD} "
        f"LIMIT {_AT_ONCE})"
    )
    total = 0
    for place in places:
        total += _delete_at(database, statement, place, before)
    return total


def _delete_at(database: Database, statement: TextClause, place: str, before: datetime) -> int:
    total = 0
    while True:
        with database.write() as session:
            given = {"place": place, "t": _instant(session, before)}
            gone = cast("CursorResult[Any]", session.execute(statement, given)).rowcount
        total += gone
        if gone < _AT_ONCE:
            return total


# ---- pictures


def _pictures(database: Database, store: PictureStore, before: date, *, dry_run: bool) -> Done:
    done = Done("pictures", before.isoformat())
    with database.read() as session:
        held = held_pictures(session)
    last = ("", date.min)
    while True:
        with database.write() as session:
            rows = _some_pictures(session, before, last)
            if not rows:
                break
            last = rows[-1]
            stay = [row for row in rows if row[0] in held]
            go = [row for row in rows if row[0] not in held]
            done.held += len(stay)
            done.pictures += len(go) if dry_run else _remove(session, store, go, before)
    if not database.is_sqlite and not dry_run:
        for part in _old_partitions(database, EVIDENCE, before):
            kept = f"SELECT * FROM {part.name}"  # noqa: S608 - names of ours
            if _drop_but_keep(database, EVIDENCE, part, kept):
                done.partitions.append(part.name)
            else:
                done.put_off.append(part.name)
    return done


def held_pictures(session: Session) -> set[str]:
    """SHA-256 of all pictures that retention must leave alone."""
    rows = session.execute(
        text("SELECT pictures FROM passage_hold"), execution_options={"yield_per": 1000}
    )
    held: set[str] = set()
    for (pictures,) in rows:
        held.update(_list(pictures))
    return held


def _some_pictures(
    session: Session, before: date, after: tuple[str, date]
) -> list[tuple[str, date]]:
    rows = session.execute(
        text(
            "SELECT sha256, received_on FROM evidence WHERE received_on < :before "
            "AND (sha256, received_on) > (:sha256, :received_on) "
            "ORDER BY sha256, received_on LIMIT :most"
        ),
        {
            "before": before.isoformat(),
            "sha256": after[0],
            "received_on": after[1].isoformat(),
            "most": _PICTURES_AT_ONCE,
        },
    )
    return [(sha256, _day(day)) for sha256, day in rows]


def _remove(
    session: Session, store: PictureStore, rows: list[tuple[str, date]], before: date
) -> int:
    """Remove rows, and the bytes of pictures that did not come again later.

    The bytes go while the rows' removal is not committed yet, under a lock that whoever stores the
    same picture again has to wait for: it then sees that the bytes are gone.
    """
    names = sorted({sha256 for sha256, _ in rows})
    if not names:
        return 0
    lock_pictures(session, names)
    given = {"before": before.isoformat(), "names": names_for(session, names)}
    among = is_among(session)
    again = set(
        session.scalars(
            text(f"SELECT sha256 FROM evidence WHERE received_on >= :before AND {among}"),  # noqa: S608 - ours
            given,
        )
    )
    session.execute(
        text(f"DELETE FROM evidence WHERE received_on < :before AND {among}"),  # noqa: S608 - ours
        given,
    )
    return sum(store.remove(sha256) for sha256 in names if sha256 not in again)


# ---- plates


def _plates(database: Database, candidates: datetime, passages: datetime | None) -> Done:
    done = Done("plates", candidates.isoformat())
    with database.write() as session:
        done.plates += register.forget_candidates(session, candidates)
    if passages is not None:
        with database.write() as session:
            done.plates += register.forget_plates(session, passages)
    return done


# ---- small things


def _old_partitions(
    database: Database, of: partitions.Partitioned, before: date
) -> list[Partition]:
    with database.engine.connect() as connection:
        return [part for part in partitions.existing(connection, of) if part.days.end <= before]


def _count(session: Session, what: str, before: datetime | None = None) -> int:
    given = {} if before is None else {"t": _instant(session, before)}
    return int(session.execute(text(f"SELECT count(*) {what}"), given).scalar_one())


def _instant(session: Session, instant: datetime) -> object:
    """An instant as this engine compares it in a bare statement."""
    return bare(instant) if session.get_bind().dialect.name == "sqlite" else instant


def _day(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day


def _list(value: list[str] | str) -> list[str]:
    return json.loads(value) if isinstance(value, str) else value
