"""What is packed of passages (:mod:`server.packed`): a copy, which can be made again at any time.

Empty on SQLite and on Citus.
"""

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import PLATE_TEXT, Base


class PackedPeriod(Base):
    """A partition of passages that is packed: of its time, and only of it, packs are believed."""

    __tablename__ = "packed_period"

    started_on: Mapped[date] = mapped_column(Date, primary_key=True, doc="UTC day.")
    ended_on: Mapped[date] = mapped_column(Date, doc="Exclusive.")
    packed_at: Mapped[datetime]


class PackedPlate(Base):
    """The sightings of a plate in a period; none if it was not seen then."""

    __tablename__ = "packed_plate"

    started_on: Mapped[date] = mapped_column(Date, primary_key=True)
    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    moments: Mapped[bytes] = mapped_column(LargeBinary, doc="server.packed.form.")
    looks: Mapped[bytes] = mapped_column(LargeBinary, doc="server.packed.form.")


class PackedChange(Base):
    """A passage of this plate came, went or changed after its period was packed."""

    __tablename__ = "packed_change"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    started_on: Mapped[date] = mapped_column(Date)
    plate: Mapped[str] = mapped_column(PLATE_TEXT, index=True)


class PackedName(Base):
    """What a number in a pack stands for: a checkpoint, or colours, kind, direction and lane."""

    __tablename__ = "packed_name"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(120), unique=True)
