"""What the command centre reports each month: alerts, cases, and what came of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVarTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from server.alerts.states import Finding
from server.tables import Alert, AlertFeedback, CaseAttachment, CaseFile, CaseOutcome

_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """Of one kind of case, in one month."""

    cases: int = 0
    """Opened."""
    alerts: int = 0
    """Attached; so are searches and routes."""
    searches: int = 0
    routes: int = 0
    suspects: int = 0
    vehicles: int = 0
    property_cents: int = 0
    loss_cents: int = 0
    people_helped: int = 0


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """Of the alerts of one month."""

    raised: int
    signed_in_time: int
    """Before they rose to the level above; of the live ones."""
    live: int
    intercepted: int
    false_hits: int


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """One month, as the pages' zone has it."""

    year: int
    month: int
    alerts: AlertFigures
    by_kind: Mapping[str, CaseFigures]

    @property
    def whole(self) -> CaseFigures:
        """All kinds together."""
        return _sum(self.by_kind.values())


def month_figures(
    session: Session, year: int, month: int, zone: ZoneInfo, overdue_s: float
) -> MonthFigures:
    """The figures of a month. They name nobody and no plate, and count everything there is."""
    since, until = span_of(year, month, zone)
    by_kind: dict[str, dict[str, int]] = {}

    def put(rows: Iterable[Any], *names: str) -> None:
        for row in rows:
            kept = by_kind.setdefault(row.kind, {})
            for name in names:
                kept[name] = int(getattr(row, name) or 0)

    opened = select(CaseFile.kind, func.count().label("cases")).group_by(CaseFile.kind)
    put(session.execute(_within(opened, CaseFile.opened_at, since, until)), "cases")
    for kind, name in (("alert", "alerts"), ("search", "searches"), ("route", "routes")):
        attached = (
            select(CaseFile.kind, func.count().label(name))
            .join(CaseAttachment, CaseAttachment.case_number == CaseFile.case_number)
            .where(CaseAttachment.kind == kind)
            .group_by(CaseFile.kind)
        )
        put(session.execute(_within(attached, CaseAttachment.attached_at, since, until)), name)
    sums = ("suspects", "vehicles", "property_cents", "loss_cents", "people_helped")
    outcomes = (
        select(CaseFile.kind, *(func.sum(getattr(CaseOutcome, n)).label(n) for n in sums))
        .join(CaseOutcome, CaseOutcome.case_number == CaseFile.case_number)
        .group_by(CaseFile.kind)
    )
    put(session.execute(_within(outcomes, CaseOutcome.recorded_at, since, until)), *sums)
    return MonthFigures(
        year,
        month,
        _alerts(session, since, until, overdue_s),
        {kind: CaseFigures(**counts) for kind, counts in sorted(by_kind.items())},
    )


def span_of(year: int, month: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Begin of a month and of the next one, as instants."""
    begin = datetime(year, month, 1, tzinfo=zone)
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return begin.astimezone(UTC), after.astimezone(UTC)


def _alerts(session: Session, since: datetime, until: datetime, overdue_s: float) -> AlertFigures:
    rows = session.execute(
        _within(select(Alert.delivery, Alert.raised_at, Alert.signed_at), Alert.raised_at, since,
                until)
    ).all()  # fmt: skip
    given = session.execute(
        _within(
            select(AlertFeedback.finding, func.count(AlertFeedback.alert_id.distinct())),
            AlertFeedback.given_at,
            since,
            until,
        ).group_by(AlertFeedback.finding)
    )
    found: dict[str, int] = {row[0]: row[1] for row in given}
    live = [row for row in rows if row.delivery == "live"]
    return AlertFigures(
        raised=len(rows),
        live=len(live),
        signed_in_time=sum(
            row.signed_at is not None
            and (row.signed_at - row.raised_at).total_seconds() <= overdue_s
            for row in live
        ),
        intercepted=found.get(Finding.INTERCEPTED.value, 0),
        false_hits=sum(found.get(one.value, 0) for one in Finding if one.is_false_hit),
    )


def _within(
    query: Select[*_Columns], column: Any, since: datetime, until: datetime
) -> Select[*_Columns]:
    return query.where(column >= since, column < until)


def _sum(figures: Iterable[CaseFigures]) -> CaseFigures:
    every = list(figures)
    return CaseFigures(
        **{
            field.name: sum(getattr(one, field.name) for one in every)
            for field in fields(CaseFigures)
        }
    )
