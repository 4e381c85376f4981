"""How alerts are handled, who is told, what came of cases.

The rules of :mod:`server.tables` hold here too.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import PLATE_TEXT, Base, JsonValue

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class AlertOrder(Base):
    """An order to a unit (下达指令)."""

    __tablename__ = "alert_order"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), index=True)
    unit: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime]
    given_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))


class AlertFeedback(Base):
    """What was found (反馈), and who took note of it."""

    __tablename__ = "alert_feedback"
    __table_args__ = (
        Index(None, "given_at"),
        CheckConstraint(
            "finding IN ('intercepted', 'lost', 'wrong_vehicle', 'misread', 'other')",
            name="finding",
        ),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), index=True)
    finding: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    true_plate: Mapped[str] = mapped_column(
        PLATE_TEXT, doc="Of a misread: what the picture shows; '' = not said."
    )
    given_at: Mapped[datetime]
    given_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))


class AlertPicture(Base):
    """A picture that came with feedback. In the database: few, small, and kept like its alert."""

    __tablename__ = "alert_picture"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    feedback_id: Mapped[int] = mapped_column(ForeignKey("alert_feedback.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)
    jpeg: Mapped[bytes] = mapped_column(LargeBinary)


class Notice(Base):
    """One message to one receiver about an alert: waiting, sent, or given up (a dead letter)."""

    __tablename__ = "notice"
    __table_args__ = (
        Index(None, "state", "due_at"),
        CheckConstraint("state IN ('waiting', 'sent', 'dead')", name="state"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), index=True)
    event: Mapped[str] = mapped_column(String(32), doc="alert.raised or alert.escalated")
    channel: Mapped[str] = mapped_column(String(16), doc="webhook, sms or mail")
    receiver: Mapped[str] = mapped_column(String(200), doc="Name, number or address.")
    body: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    state: Mapped[str] = mapped_column(String(16))
    tries: Mapped[int] = mapped_column(SmallInteger)
    due_at: Mapped[datetime] = mapped_column(
        doc="Not tried earlier; while it is being sent: when that counts as lost."
    )
    queued_at: Mapped[datetime]
    settled_at: Mapped[datetime | None] = mapped_column(doc="When it was sent, or given up.")
    fault: Mapped[str | None] = mapped_column(String(300), doc="Of the last try.")


class CaseFile(Base):
    """A case (案件) as the command centre keeps it: of which kind, what it is about."""

    __tablename__ = "case_file"

    case_number: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(200))
    opened_at: Mapped[datetime] = mapped_column(index=True)
    opened_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))


class CaseAttachment(Base):
    """An alert, a search or a route that belongs to a case."""

    __tablename__ = "case_attachment"
    __table_args__ = (CheckConstraint("kind IN ('alert', 'search', 'route')", name="kind"),)

    case_number: Mapped[str] = mapped_column(ForeignKey("case_file.case_number"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    reference: Mapped[int] = mapped_column(
        BigInteger,
        primary_key=True,
        autoincrement=False,
        doc="The alert; of searches and routes their record on the audit log.",
    )
    note: Mapped[str] = mapped_column(String(500))
    attached_at: Mapped[datetime] = mapped_column(index=True)
    attached_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))


class CaseOutcome(Base):
    """Something that came of a case. Several may follow; none is changed."""

    __tablename__ = "case_outcome"
    __table_args__ = (
        CheckConstraint(
            "suspects >= 0 AND vehicles >= 0 AND people_helped >= 0 AND property_cents >= 0 "
            "AND loss_cents >= 0",
            name="amounts",
        ),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    case_number: Mapped[str] = mapped_column(ForeignKey("case_file.case_number"), index=True)
    suspects: Mapped[int] = mapped_column(Integer, doc="Caught.")
    vehicles: Mapped[int] = mapped_column(Integer, doc="Seized or found.")
    property_cents: Mapped[int] = mapped_column(BigInteger, doc="Worth of what was given back.")
    loss_cents: Mapped[int] = mapped_column(BigInteger, doc="Loss that was recovered.")
    people_helped: Mapped[int] = mapped_column(Integer)
    note: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    recorded_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
