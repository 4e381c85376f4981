"""Areas (辖区): which checkpoints belong together, and so who sees them."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from server.errors import InvalidRequest, NotFound
from server.tables import Area, AreaCheckpoint, Checkpoint, UserArea

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class AreaView:
    """An area as listed."""

    id: str
    name: str
    checkpoint_ids: tuple[str, ...]
    users: int


def put_area(
    session: Session, area_id: str, name: str, checkpoint_ids: Collection[str], now: datetime
) -> None:
    """Add an area, or make a known one have this name and exactly these checkpoints.

    Raises:
        InvalidRequest: identifier or name are not of the required form.
        NotFound: no such checkpoint.
    """
    if not _NAME.fullmatch(area_id):
        raise InvalidRequest(
            "area: 1 to 64 letters, digits, dots, underscores, hyphens", field="area"
        )
    if not name or len(name) > 100 or not name.isprintable():
        raise InvalidRequest("name: 1 to 100 printable characters", field="name")
    row = session.get(Area, area_id)
    if row is None:
        session.add(Area(id=area_id, name=name, created_at=now))
        session.flush()
    else:
        row.name = name
    session.execute(delete(AreaCheckpoint).where(AreaCheckpoint.area_id == area_id))
    for checkpoint_id in sorted(set(checkpoint_ids)):
        if session.get(Checkpoint, checkpoint_id) is None:
            raise NotFound(f"checkpoint: no checkpoint {checkpoint_id}", field="checkpoint")
        session.add(AreaCheckpoint(area_id=area_id, checkpoint_id=checkpoint_id))
    session.flush()


def list_areas(session: Session) -> tuple[AreaView, ...]:
    """All areas by identifier."""
    members: dict[str, list[str]] = {}
    for area_id, checkpoint_id in session.execute(
        select(AreaCheckpoint.area_id, AreaCheckpoint.checkpoint_id).order_by(
            AreaCheckpoint.checkpoint_id
        )
    ):
        members.setdefault(area_id, []).append(checkpoint_id)
    users = Counter(session.scalars(select(UserArea.area_id)))
    return tuple(
        AreaView(row.id, row.name, tuple(members.get(row.id, ())), users[row.id])
        for row in session.scalars(select(Area).order_by(Area.id))
    )
