"""Keeping the links between checkpoints: taken in as a whole, replaced as a whole."""

from dataclasses import dataclass

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from server.checkpoints.service import places
from server.roads.network import RoadNetwork, link_checkpoints
from server.tables import RoadLink


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of taking roads in."""

    links: int
    checkpoints: int
    astray: tuple[str, ...]
    """Checkpoints that lie on no road of the file; for them what passages taught goes on."""


def take_in(session: Session, network: RoadNetwork) -> TakenIn:
    """Put the registered checkpoints on a network and keep the links; the caller commits."""
    place_of = places(session)
    linked = link_checkpoints(network, {p.id: (p.lon, p.lat) for p in place_of.values()})
    session.execute(delete(RoadLink))
    rows = [
        {
            "from_id": link.from_id,
            "to_id": link.to_id,
            "metres": link.metres,
            "seconds": link.seconds,
            "shape": [[round(lon, 6), round(lat, 6)] for lon, lat in link.shape],
        }
        for link in linked.links
    ]
    if rows:
        session.execute(insert(RoadLink), rows)
    return TakenIn(len(rows), len(place_of), linked.astray)
