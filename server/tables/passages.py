"""Passages, their pictures, the plates seen, and what retention deleted."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Float, Index, Integer, SmallInteger, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from server.detail import PassageDetail
from server.tables.columns import NAME, PLATE_TEXT, Base, JsonValue, Packed


class Passage(Base):
    """One vehicle passing one camera once, as sent, with what the server adds.

    The key is the route index and recognises a repeat: a passage is sent again with the same
    plate, time and identifier. On PostgreSQL the table is partitioned by ``captured_at``
    (:mod:`server.partitions`). There is no index by identifier alone and none by time alone: the
    identifier's own time and the registry of checkpoints lead to the other index.
    """

    __tablename__ = "passage"
    __table_args__ = (
        Index(None, "checkpoint_id", "captured_at"),
        {"postgresql_partition_by": "RANGE (captured_at)"},
    )

    plate: Mapped[str] = mapped_column(
        PLATE_TEXT, primary_key=True, doc="Normalised; '' if unread; '?' for an unread place."
    )
    captured_at: Mapped[datetime] = mapped_column(primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    camera_id: Mapped[str] = mapped_column(NAME)
    checkpoint_id: Mapped[str] = mapped_column(NAME)
    agent_id: Mapped[str] = mapped_column(NAME)
    plate_state: Mapped[str] = mapped_column(String(16))
    plate_color: Mapped[str] = mapped_column(String(16))
    plate_kind: Mapped[str] = mapped_column(String(24))
    plate_score: Mapped[float] = mapped_column(Float)
    vehicle_color: Mapped[str] = mapped_column(String(16))
    direction: Mapped[str] = mapped_column(String(16))
    lane: Mapped[int | None] = mapped_column(SmallInteger)
    speed_kmh: Mapped[float | None] = mapped_column(Float)
    clock_synchronised: Mapped[bool | None]
    clock_offset_ms: Mapped[float | None] = mapped_column(Float)
    clock_flag: Mapped[str] = mapped_column(String(16), doc="server.ingest.clock.ClockFlag")
    delivery: Mapped[str] = mapped_column(String(8))
    received_at: Mapped[datetime]
    detail: Mapped[PassageDetail] = mapped_column(Packed)

    @property
    def characters(self) -> list[dict[str, Any]]:
        """As the wire has them."""
        return self.detail.characters()

    @property
    def track(self) -> dict[str, Any]:
        """As the wire has it."""
        return self.detail.track(self.captured_at)

    @property
    def models(self) -> dict[str, str]:
        """As the wire has them."""
        return self.detail.models()

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """As the wire has it."""
        return self.detail.evidence(self.captured_at)

    @property
    def plate_quad_px(self) -> list[list[float]] | None:
        """Corners in reading order, or None."""
        return self.detail.plate_quad_px()

    @property
    def vehicle_box_px(self) -> list[float] | None:
        """x1, y1, x2, y2, or None."""
        return self.detail.vehicle_box_px()


class Evidence(Base):
    """A picture in the evidence store, named by its content; a row per day on which it came.

    On PostgreSQL partitioned by ``received_on``, so that old pictures go with their partition.
    """

    __tablename__ = "evidence"
    __table_args__ = ({"postgresql_partition_by": "RANGE (received_on)"},)

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_on: Mapped[date] = mapped_column(Date, primary_key=True, doc="UTC day.")
    size_bytes: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str] = mapped_column(String(32))
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)
    agent_id: Mapped[str] = mapped_column(NAME)
    received_at: Mapped[datetime]


class PassageHold(Base):
    """A passage that retention must leave alone, with its pictures, and for what."""

    __tablename__ = "passage_hold"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    captured_at: Mapped[datetime] = mapped_column(primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    held_for: Mapped[str] = mapped_column(
        String(80), primary_key=True, doc="'alert', or 'case:' and its number."
    )
    pictures: Mapped[list[Any]] = mapped_column(JsonValue, doc="SHA-256 of its pictures.")
    held_at: Mapped[datetime]


class Plate(Base):
    """A plate that exists as far as passages tell: read surely once, or seen more than once.

    Fed from ``plate_journal`` by :mod:`server.register`, some seconds behind the passages; a
    plate takes one update per run, however often it passed.
    """

    __tablename__ = "plate"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    passages: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(index=True, doc="Server time.")


class PlateCandidate(Base):
    """A plate read once and not surely, or in part: perhaps a misread. Ages out."""

    __tablename__ = "plate_candidate"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    passages: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(index=True, doc="Server time.")


class PlateJournal(Base):
    """What ingest has seen of plates and the register has not counted yet; a row per commit."""

    __tablename__ = "plate_journal"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    seen: Mapped[str] = mapped_column(Text, doc="server.register.Seen, as JSON.")


class Deletion(Base):
    """What retention deleted, by which rule, on whose word and why: the report, kept."""

    __tablename__ = "deletion"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    rule: Mapped[str] = mapped_column(String(32), doc="passages, pictures, candidates or list.")
    ordered_by: Mapped[str] = mapped_column(String(64), doc="A person, or 'rule'.")
    reason: Mapped[str] = mapped_column(Text)
    report: Mapped[dict[str, Any]] = mapped_column(JsonValue)
