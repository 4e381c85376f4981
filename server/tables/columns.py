"""How columns of any table are kept, and the numbers that are given in commit order."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, MetaData, String, Text, TypeDecorator
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from server.detail import PassageDetail, pack, unpack


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware on the way in (anything else is an error), aware UTC on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite has no zones, so there the UTC reading is stored bare."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"an instant needs a zone: {value!r}"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return value.replace(tzinfo=UTC)
        return value if value.tzinfo is UTC else value.astimezone(UTC)


class Packed(TypeDecorator[PassageDetail]):
    """What a passage says besides its columns, as one short text (:mod:`server.detail`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: PassageDetail | None, dialect: Dialect) -> str | None:
        """Pack."""
        del dialect
        return None if value is None else pack(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> PassageDetail | None:
        """Unpack."""
        del dialect
        return None if value is None else unpack(value)


JsonValue = JSON().with_variant(postgresql.JSONB(), "postgresql")

PLATE_TEXT = String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
"""Plates are compared by code point on both engines, so that ranges and pages agree."""

NAME = String(64)


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JsonValue, list[Any]: JsonValue}  # noqa: RUF012 - SQLAlchemy's own declaration form


class Counter(Base):
    """Numbers in commit order: ``watchlist`` (revision), ``application``, ``alert``, ``audit``.

    A transaction that takes several takes them in this order, so that none waits for another
    in a circle.
    """

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)
