"""Case files: opened, alerts and searches and routes attached, outcomes recorded.

Who answers for a case stands in :mod:`server.auth.cases`: only he, and supervisors, may attach and
record. Nothing recorded is changed or removed; a mistake is mended by a further record that says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server import audit
from server.alerts.service import get_alert
from server.auth.accounts import Account
from server.auth.cases import require_case
from server.auth.sight import Sight
from server.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from server.settings_watchlist import CaseSettings
from server.tables import Alert, AuditRecord, CaseAttachment, CaseFile, CaseOutcome

AttachmentKind = Literal["alert", "search", "route"]
MOST_CENTS = 10**15
MOST_PEOPLE = 1_000_000
_KIND_OF_ACTION: Mapping[str, AttachmentKind] = {
    "passage.search": "search",
    "passage.plates": "search",
    "export.passages": "search",
    "trajectory.build": "route",
}


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does it, from where, when, and what he may see."""

    account: Account
    address: str
    now: datetime
    sight: Sight


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something that came of a case."""

    suspects: int = 0
    vehicles: int = 0
    property_cents: int = 0
    loss_cents: int = 0
    people_helped: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class FileView:
    """A case file as listed."""

    case_number: str
    kind: str
    title: str
    opened_at: datetime
    opened_by: str


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """Something that belongs to a case."""

    kind: AttachmentKind
    reference: int
    plate: str
    """'' where there is none, or none that the reader may see."""
    note: str
    attached_at: datetime
    attached_by: str


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """An outcome as recorded."""

    outcome: Outcome
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, slots=True)
class CaseContents:
    """A case file with everything in it."""

    file: FileView | None
    """None: the number is in use, and nobody has opened a file for it."""
    attachments: tuple[AttachmentView, ...]
    outcomes: tuple[OutcomeView, ...]


def open_file(  # noqa: PLR0913 - which case, of what kind, about what, by whom
    session: Session, case_number: str, doer: Doer, *, kind: str, title: str, settings: CaseSettings
) -> FileView:
    """Open a file for a case that one answers for.

    Raises:
        NotFound: no such case of his.
        InvalidRequest: no such kind, or no title.
        Conflict: there is a file already.
    """
    case_number = case_number.strip()
    require_case(session, case_number, doer.account)
    if kind not in settings.kinds:
        raise InvalidRequest(f"kind: one of {', '.join(settings.kinds)}", field="kind")
    title = _required(title, "title", 200)
    if session.get(CaseFile, case_number) is not None:
        raise Conflict(f"case {case_number} has a file already", field="case_number")
    row = CaseFile(
        case_number=case_number,
        kind=kind,
        title=title,
        opened_at=doer.now,
        opened_by=doer.account.name,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        now=doer.now,
        user_name=doer.account.name,
        address=doer.address,
        action="case.open",
        detail={"case_number": case_number, "kind": kind, "title": title},
    )
    return _file(row)


def attach_alert(
    session: Session, case_number: str, alert_id: int, doer: Doer, *, note: str = ""
) -> None:
    """Attach an alert to a case; doing so again is harmless.

    Raises:
        NotFound: no such case of his, or no such alert that he may see.
        Conflict: the case has no file.
    """
    get_alert(session, alert_id, doer.sight)
    _attach(session, case_number, "alert", alert_id, doer, note)


def attach_query(
    session: Session, case_number: str, audit_seq: int, doer: Doer, *, note: str = ""
) -> None:
    """Attach a search or a route, as its record on the audit log, to the case it was made for.

    Raises:
        NotFound: no such case of his, or no such search under its number.
        Conflict: the case has no file.
    """
    record = session.get(AuditRecord, audit_seq)
    kind = _KIND_OF_ACTION.get(record.action) if record is not None else None
    if record is None or kind is None or record.case_number != case_number.strip():
        raise NotFound(f"no search {audit_seq} under this case")
    _attach(session, case_number, kind, audit_seq, doer, note)


def attachable(session: Session, account: Account, case_number: str | None) -> int | None:
    """The record of what one has just looked up under a case that one answers for.

    Within the transaction that looked it up it is the newest of one's own; None if one may attach
    nothing to the case.
    """
    case_number = (case_number or "").strip()
    try:
        require_case(session, case_number, account)
    except (NotAllowed, NotFound):
        return None
    return session.scalar(
        select(func.max(AuditRecord.seq)).where(
            AuditRecord.user_name == account.name,
            AuditRecord.case_number == case_number,
            AuditRecord.action.in_(_KIND_OF_ACTION),
        )
    )


def record_outcome(session: Session, case_number: str, doer: Doer, outcome: Outcome) -> None:
    """Record what came of a case.

    Raises:
        NotFound: no such case of his.
        Conflict: the case has no file.
        InvalidRequest: a number that cannot be, or nothing said.
    """
    file = _require_file(session, case_number, doer)
    for field, most in (
        ("suspects", MOST_PEOPLE),
        ("vehicles", MOST_PEOPLE),
        ("people_helped", MOST_PEOPLE),
        ("property_cents", MOST_CENTS),
        ("loss_cents", MOST_CENTS),
    ):
        if not 0 <= getattr(outcome, field) <= most:
            raise InvalidRequest(f"{field}: 0 to {most}", field=field)
    note = _required(outcome.note, "outcome_note", 2000)
    row = CaseOutcome(
        case_number=file.case_number,
        suspects=outcome.suspects,
        vehicles=outcome.vehicles,
        property_cents=outcome.property_cents,
        loss_cents=outcome.loss_cents,
        people_helped=outcome.people_helped,
        note=note,
        recorded_at=doer.now,
        recorded_by=doer.account.name,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        now=doer.now,
        user_name=doer.account.name,
        address=doer.address,
        action="case.outcome",
        detail={
            "case_number": file.case_number,
            "outcome": row.id,
            "suspects": row.suspects,
            "vehicles": row.vehicles,
            "property_cents": row.property_cents,
            "loss_cents": row.loss_cents,
            "people_helped": row.people_helped,
            "note": note,
        },
    )


def case_contents(
    session: Session, case_number: str, account: Account, sight: Sight
) -> CaseContents:
    """A case with everything in it.

    Raises:
        NotFound: no such case of his.
    """
    case_number = case_number.strip()
    require_case(session, case_number, account)
    row = session.get(CaseFile, case_number)
    attached = session.scalars(
        select(CaseAttachment)
        .where(CaseAttachment.case_number == case_number)
        .order_by(CaseAttachment.attached_at, CaseAttachment.reference)
    ).all()
    outcomes = session.scalars(
        select(CaseOutcome).where(CaseOutcome.case_number == case_number).order_by(CaseOutcome.id)
    )
    plates = _plates(session, attached, sight)
    return CaseContents(
        file=_file(row) if row else None,
        attachments=tuple(
            AttachmentView(
                kind=cast("AttachmentKind", one.kind),
                reference=one.reference,
                plate=plates.get((one.kind, one.reference), ""),
                note=one.note,
                attached_at=one.attached_at,
                attached_by=one.attached_by,
            )
            for one in attached
        ),
        outcomes=tuple(
            OutcomeView(
                Outcome(
                    one.suspects,
                    one.vehicles,
                    one.property_cents,
                    one.loss_cents,
                    one.people_helped,
                    one.note,
                ),
                one.recorded_at,
                one.recorded_by,
            )
            for one in outcomes
        ),
    )


def files_of(session: Session, case_numbers: Sequence[str]) -> Mapping[str, FileView]:
    """The files of these cases, by number."""
    rows = session.scalars(select(CaseFile).where(CaseFile.case_number.in_(case_numbers)))
    return {row.case_number: _file(row) for row in rows}


def cases_of_alert(session: Session, alert_id: int) -> tuple[str, ...]:
    """The cases that an alert is attached to."""
    return tuple(
        session.scalars(
            select(CaseAttachment.case_number)
            .where(CaseAttachment.kind == "alert", CaseAttachment.reference == alert_id)
            .order_by(CaseAttachment.attached_at)
        )
    )


def _attach(  # noqa: PLR0913, PLR0917 - what to what, by whom, why
    session: Session, case_number: str, kind: AttachmentKind, reference: int, doer: Doer, note: str
) -> None:
    file = _require_file(session, case_number, doer)
    note = note.strip()
    if len(note) > 500 or "\0" in note:
        raise InvalidRequest("note: at most 500 characters", field="note")
    if session.get(CaseAttachment, (file.case_number, kind, reference)) is not None:
        return
    session.add(
        CaseAttachment(
            case_number=file.case_number,
            kind=kind,
            reference=reference,
            note=note,
            attached_at=doer.now,
            attached_by=doer.account.name,
        )
    )
    session.flush()
    audit.record(
        session,
        now=doer.now,
        user_name=doer.account.name,
        address=doer.address,
        action="case.attach",
        detail={"case_number": file.case_number, "kind": kind, "reference": reference},
    )


def _require_file(session: Session, case_number: str, doer: Doer) -> CaseFile:
    case_number = case_number.strip()
    require_case(session, case_number, doer.account)
    file = session.get(CaseFile, case_number)
    if file is None:
        raise Conflict(f"case {case_number} has no file yet: open one", field="case_number")
    return file


def _plates(
    session: Session, attached: Sequence[CaseAttachment], sight: Sight
) -> Mapping[tuple[str, int], str]:
    """The plates of what is attached, as far as one may see them."""
    found: dict[tuple[str, int], str] = {}
    alert_ids = [one.reference for one in attached if one.kind == "alert"]
    for alert_id, plate in session.execute(
        select(Alert.id, Alert.plate).where(Alert.id.in_(alert_ids), *sight.conditions(Alert))
    ):
        found["alert", alert_id] = plate
    kinds = {one.reference: one.kind for one in attached if one.kind != "alert"}
    for record in session.scalars(select(AuditRecord).where(AuditRecord.seq.in_(kinds))):
        asked = record.detail.get("plate")
        if isinstance(asked, str) and asked not in sight.hidden_plates:
            found[kinds[record.seq], record.seq] = asked
    return found


def _file(row: CaseFile) -> FileView:
    return FileView(row.case_number, row.kind, row.title, row.opened_at, row.opened_by)


def _required(text: str, field: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest or "\0" in text:
        raise InvalidRequest(f"{field}: 1 to {longest} characters", field=field)
    return text
