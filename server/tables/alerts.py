"""Alerts (预警) and the passages that belong to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    Uuid,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, PLATE_TEXT, Base, JsonValue


class Alert(Base):
    """One watched vehicle at one place (预警); further sightings there are appended to it."""

    __tablename__ = "alert"
    __table_args__ = (
        Index(None, "entry_id", "checkpoint_id", "last_seen_at"),
        Index(None, "state", "id"),
        CheckConstraint(
            "state IN ('new', 'signed', 'dispatched', 'feedback', 'feedback_signed', 'closed')",
            name="state",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    changed_seq: Mapped[int] = mapped_column(
        BigInteger, unique=True, doc="= id when raised; a higher number with every change."
    )
    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"))
    level: Mapped[int] = mapped_column(SmallInteger)
    plate: Mapped[str] = mapped_column(PLATE_TEXT)
    checkpoint_id: Mapped[str] = mapped_column(NAME)
    camera_id: Mapped[str] = mapped_column(NAME)
    passage_id: Mapped[UUID] = mapped_column(Uuid, doc="The passage that raised it.")
    captured_at: Mapped[datetime] = mapped_column(doc="Of that passage.")
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    sightings: Mapped[int] = mapped_column(Integer)
    raised_at: Mapped[datetime] = mapped_column(doc="Server time.")
    delivery: Mapped[str] = mapped_column(String(8), doc="backlog: a record that rings no bell.")
    echo_of: Mapped[int | None] = mapped_column(
        BigInteger, doc="The alert that rings for the same vehicle here; null = this one does."
    )
    state: Mapped[str] = mapped_column(String(16))
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    badge_number: Mapped[str | None] = mapped_column(String(32))
    unit: Mapped[str | None] = mapped_column(String(100))
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    closed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    outcome: Mapped[str | None] = mapped_column(Text)
    match: Mapped[dict[str, Any]] = mapped_column(
        JsonValue, server_default="{}", default=dict, doc="Why: server.alerts.raising.Hit."
    )
    rank: Mapped[int] = mapped_column(
        SmallInteger, server_default="0", default=0, doc="Levels it has risen, unsigned."
    )
    risen_seq: Mapped[int | None] = mapped_column(BigInteger, doc="The change that was its rise.")
    silent: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Its entry wants it shown without a bell."
    )


class AlertSighting(Base):
    """A passage that belongs to an alert; the first one included."""

    __tablename__ = "alert_sighting"

    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    captured_at: Mapped[datetime]
    camera_id: Mapped[str] = mapped_column(NAME)
