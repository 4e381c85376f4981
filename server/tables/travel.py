"""What was learned of the traffic, and the roads between checkpoints.

The rules of :mod:`server.tables` hold here too. Everything here can be made again from
passages and from the road file; nothing of it names a plate.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from server.tables.columns import NAME, Base, JsonValue


class TravelMark(Base):
    """How far passages have been learned from, and until when old counts were halved."""

    __tablename__ = "travel_mark"

    name: Mapped[str] = mapped_column(NAME, primary_key=True, doc="'moves', 'halved'.")
    learned_until: Mapped[datetime] = mapped_column(doc="Moves that ended by then are counted.")


class TravelPair(Base):
    """An ordered pair of checkpoints: how often it was driven, and how long it took."""

    __tablename__ = "travel_pair"

    from_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    to_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    drives: Mapped[int] = mapped_column(BigInteger)
    times: Mapped[bytes] = mapped_column(LargeBinary, doc="server.trajectories.sketch.PairTimes.")
    changed_at: Mapped[datetime] = mapped_column(index=True)


class TravelTurn(Base):
    """Where those drove on to who came by two checkpoints."""

    __tablename__ = "travel_turn"

    before_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    from_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    to_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    drives: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime] = mapped_column(index=True)


class TravelPlace(Base):
    """A checkpoint in the traffic: where trips begin and end, and whether its clock is right."""

    __tablename__ = "travel_place"

    checkpoint_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    starts: Mapped[int] = mapped_column(BigInteger)
    ends: Mapped[int] = mapped_column(BigInteger)
    clock_offset_s: Mapped[float] = mapped_column(
        Float, doc="By how much its clock seemed ahead at the last look; 0 = right."
    )
    clock_since: Mapped[datetime | None] = mapped_column(
        doc="Since two looks agreed on it; null = not wrong for sure."
    )
    changed_at: Mapped[datetime] = mapped_column(index=True)


class RoadLink(Base):
    """From a checkpoint to the next one along the road, with none between."""

    __tablename__ = "road_link"

    from_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    to_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    metres: Mapped[float] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float, doc="On an empty road, at the speeds allowed.")
    shape: Mapped[list[Any]] = mapped_column(JsonValue, doc="[lon, lat] along the road, WGS-84.")
