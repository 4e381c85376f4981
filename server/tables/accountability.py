"""What is protected, who was given leave to look, and the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, PLATE_TEXT, Base, JsonValue


class ProtectedPlate(Base):
    """A plate that only the custodian sees (红名单). Never deleted; lifted with a reason."""

    __tablename__ = "protected_plate"
    __table_args__ = (Index(None, "plate", "lifted_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plate: Mapped[str] = mapped_column(PLATE_TEXT)
    authority: Mapped[str] = mapped_column(String(200), doc="Who ordered it, under which number.")
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    lifted_reason: Mapped[str | None] = mapped_column(String(500))


class ProtectedSought(Base):
    """Names the audit records of people who were looking for a protected plate."""

    __tablename__ = "protected_sought"

    audit_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class Approval(Base):
    """Leave to look further back than everybody may, asked for and given or refused."""

    __tablename__ = "approval"
    __table_args__ = (
        Index(None, "user_name", "state"),
        CheckConstraint("state IN ('requested', 'approved', 'refused')", name="state"),
        CheckConstraint("decided_by IS NULL OR decided_by <> user_name", name="another_decides"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    purpose: Mapped[str] = mapped_column(String(200))
    case_number: Mapped[str] = mapped_column(String(64))
    plate: Mapped[str] = mapped_column(PLATE_TEXT, doc="'' = any.")
    since: Mapped[datetime] = mapped_column(doc="How far back.")
    why: Mapped[str] = mapped_column(String(1000))
    state: Mapped[str] = mapped_column(String(16), index=True)
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    note: Mapped[str | None] = mapped_column(String(1000), doc="The approver's word.")
    expires_at: Mapped[datetime | None] = mapped_column(doc="Of an approved one; exclusive.")


class CaseMember(Base):
    """Somebody who answers for a case: he sees who looked at what under its number."""

    __tablename__ = "case_member"

    case_number: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(
        ForeignKey("user_account.name"), primary_key=True, index=True
    )
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(NAME)


class AuditRecord(Base):
    """Who did or looked up what, when and why. Append-only and chained by hash."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "user_name", "at"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    user_name: Mapped[str] = mapped_column(NAME)
    action: Mapped[str] = mapped_column(String(40))
    purpose: Mapped[str | None] = mapped_column(String(200))
    case_number: Mapped[str | None] = mapped_column(String(64), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    address: Mapped[str] = mapped_column(String(64), default="")
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
