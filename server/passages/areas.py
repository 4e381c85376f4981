"""Parts of the map: which checkpoints stand within a polygon or a radius, or on a road."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.errors import InvalidRequest
from server.tables import Checkpoint

MAX_CORNERS = 500
MAX_RADIUS_M = 300_000.0
_EARTH_RADIUS_M = 6_371_008.8
_SHAPE = "lon,lat lon,lat …"


Position = tuple[float, float]
"""Longitude and latitude, WGS-84, degrees."""
Bounds = tuple[float, float, float, float]
"""West, south, east, north, degrees."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A place and a radius around it. WGS-84, degrees; metres on the great circle."""

    lon: float
    lat: float
    radius_m: float

    def holds(self, positions: Sequence[Position]) -> list[bool]:
        """Which of these lie in it; the edge belongs to it."""
        return [_metres(self.lat, self.lon, lat, lon) <= self.radius_m for lon, lat in positions]

    def bounds(self) -> Bounds:
        """A box around it."""
        high = math.degrees(self.radius_m / _EARTH_RADIUS_M) * 1.001
        wide = min(180.0, high / max(1e-9, math.cos(math.radians(min(89.9, abs(self.lat) + high)))))
        return self.lon - wide, self.lat - high, self.lon + wide, self.lat + high


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon drawn on the map, corners as (lon, lat), WGS-84; not closed at the end."""

    corners: tuple[tuple[float, float], ...]

    def holds(self, positions: Sequence[Position]) -> list[bool]:
        """Which of these lie in it; the edge belongs to it."""
        shape = shapely.Polygon(self.corners)
        shapely.prepare(shape)
        inside: list[bool] = shapely.covers(shape, shapely.points(positions)).tolist()
        return inside

    def bounds(self) -> Bounds:
        """The box around it."""
        lons, lats = zip(*self.corners, strict=True)
        return min(lons), min(lats), max(lons), max(lats)


def circle_of(text: str) -> Circle:
    """Read ``lon,lat,radius_m``.

    Raises:
        InvalidRequest: not three numbers, or out of bounds.
    """
    numbers = _numbers(text, "circle")
    if len(numbers) != 3:
        raise InvalidRequest("circle: lon,lat,radius_m", field="circle")
    lon, lat, radius_m = numbers
    _require_on_earth(lon, lat, "circle")
    if not 0 < radius_m <= MAX_RADIUS_M:
        raise InvalidRequest(f"circle: a radius of up to {MAX_RADIUS_M:.0f} m", field="circle")
    return Circle(lon, lat, radius_m)


def polygon_of(text: str) -> Polygon:
    """Read ``lon,lat lon,lat …``, three corners at least; a repeated first one at the end is dropped.

    Raises:
        InvalidRequest: not such a text, out of bounds, or the edges cross.
    """
    parts = text.split()
    if len(parts) > MAX_CORNERS + 1:
        raise InvalidRequest(f"polygon: at most {MAX_CORNERS} corners", field="polygon")
    corners: list[tuple[float, float]] = []
    for part in parts:
        numbers = _numbers(part, "polygon")
        if len(numbers) != 2:
            raise InvalidRequest(f"polygon: {_SHAPE}", field="polygon")
        _require_on_earth(numbers[0], numbers[1], "polygon")
        corners.append((numbers[0], numbers[1]))
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    if len(corners) < 3:
        raise InvalidRequest("polygon: three corners at least", field="polygon")
    if not shapely.Polygon(corners).is_valid:
        raise InvalidRequest("polygon: its edges may not cross or touch", field="polygon")
    return Polygon(tuple(corners))


def within(
    session: Session,
    *,
    circle: Circle | None = None,
    polygon: Polygon | None = None,
    road: str = "",
) -> tuple[str, ...]:
    """The checkpoints for which every condition given holds; ``road`` is a part of its name."""
    query = select(Checkpoint.id, Checkpoint.lon, Checkpoint.lat).order_by(Checkpoint.id)
    if road.strip():
        name = func.lower(Checkpoint.road)
        query = query.where(name.contains(road.strip().lower(), autoescape=True))
    for area in (circle, polygon):
        if area is not None:
            west, south, east, north = area.bounds()
            query = query.where(
                Checkpoint.lon.between(west, east), Checkpoint.lat.between(south, north)
            )
    left = [(row.id, (row.lon, row.lat)) for row in session.execute(query)]
    for area in (circle, polygon):
        if area is not None and left:
            inside = area.holds([position for _, position in left])
            left = [one for one, holds in zip(left, inside, strict=True) if holds]
    return tuple(name for name, _ in left)


def _numbers(text: str, field: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidRequest(f"{field}: {text[:40]!r} is not numbers", field=field) from None
    if not all(map(math.isfinite, numbers)):
        raise InvalidRequest(f"{field}: finite numbers only", field=field)
    return numbers


def _require_on_earth(lon: float, lat: float, field: str) -> None:
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InvalidRequest(f"{field}: lon is -180 to 180, lat -90 to 90 degrees", field=field)


def _metres(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance in metres (haversine)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    h = (
        math.sin((phi2 - phi1) / 2) ** 2
        + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, h)))
