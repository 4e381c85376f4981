"""Watchlist entries (布控), who is named on secret ones, and their steps."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, PLATE_TEXT, Base, JsonValue


class WatchlistEntry(Base):
    """A vehicle that is looked for (布控). Never deleted; its steps stand in ``watchlist_step``."""

    __tablename__ = "watchlist_entry"
    __table_args__ = (
        Index(None, "state", "state_at"),
        CheckConstraint("level BETWEEN 1 AND 4", name="level"),
        CheckConstraint(
            "state IN ('draft', 'reviewed', 'approved', 'active', 'extended', 'urgent', "
            "'refused', 'withdrawn', 'expired', 'lapsed')",
            name="state",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    match: Mapped[str] = mapped_column(
        String(12),
        server_default="exact",
        default="exact",
        doc="exact, pattern, fuzzy or description",
    )
    plate: Mapped[str] = mapped_column(
        PLATE_TEXT, index=True, doc="The plate; a pattern; of a description a part of it, or ''."
    )
    tolerance: Mapped[float | None] = mapped_column(Float, doc="Of a fuzzy entry; see anpr.watch.")
    description: Mapped[dict[str, Any] | None] = mapped_column(
        JsonValue, doc="plate_kinds, plate_colors, vehicle_colors of a description."
    )
    reason: Mapped[str] = mapped_column(String(32))
    level: Mapped[int] = mapped_column(SmallInteger, doc="1 the gravest … 4.")
    intercept: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Stop it (拦截); else watch only."
    )
    secret: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Only for the people in watchlist_person."
    )
    case_number: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text, default="")
    contact: Mapped[str] = mapped_column(String(200), server_default="", default="")
    unit: Mapped[str] = mapped_column(
        String(100), server_default="", default="", doc="Of whoever applied."
    )
    tell: Mapped[list[Any] | None] = mapped_column(
        JsonValue, doc="Who is told and how: 'sound', 'webhook:NAME', 'sms:…', 'mail:…'."
    )
    scope: Mapped[dict[str, Any] | None] = mapped_column(
        JsonValue, doc="area (lon, lat corners), checkpoints, hours; null = everywhere, always."
    )
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None] = mapped_column(doc="Exclusive; null = until withdrawn.")
    state: Mapped[str] = mapped_column(String(16), doc="server.watchlists.states.EntryState")
    state_at: Mapped[datetime] = mapped_column(doc="Since when; what is overdue counts from here.")
    revision: Mapped[int] = mapped_column(
        BigInteger, server_default="0", default=0, index=True, doc="Of its latest change."
    )
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    urgent_why: Mapped[str | None] = mapped_column(Text, doc="Why it could not wait.")
    urgent_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    lapses_at: Mapped[datetime | None] = mapped_column(
        doc="Of an urgent one: out of force from then on unless approved."
    )
    reviewed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    withdrawn_reason: Mapped[str | None] = mapped_column(Text)
    withdrawn_code: Mapped[str | None] = mapped_column(String(16))


class WatchlistPerson(Base):
    """Somebody who is named on a secret entry: besides him nobody learns of it."""

    __tablename__ = "watchlist_person"

    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"), primary_key=True)
    user_name: Mapped[str] = mapped_column(
        ForeignKey("user_account.name"), primary_key=True, index=True
    )


class WatchlistStep(Base):
    """One step in the life of an entry, and its record on the audit log."""

    __tablename__ = "watchlist_step"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"), index=True)
    step: Mapped[str] = mapped_column(String(16), doc="server.watchlists.states.Step")
    state: Mapped[str] = mapped_column(String(16), doc="The state it led to.")
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(NAME, doc="A person, or 'server'.")
    note: Mapped[str] = mapped_column(Text, default="")
    audit_seq: Mapped[int] = mapped_column(BigInteger)
