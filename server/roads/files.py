"""Reading roads from files: OpenStreetMap extracts (.osm, .osm.gz, .osm.pbf) and GeoJSON.

Off line. Of OpenStreetMap the roads that motor vehicles may use are taken, with ``oneway`` and
``maxspeed``; in GeoJSON a LineString's properties mean the same (``oneway``: yes, -1, no;
``maxspeed`` in km/h; ``highway``). Where no speed is said, the kind of road tells one.
"""

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from server.errors import InvalidRequest
from server.roads.network import RoadNetwork, network_of

SPEEDS_KMH: Final = {
    "motorway": 100.0,
    "motorway_link": 60.0,
    "trunk": 80.0,
    "trunk_link": 50.0,
    "primary": 60.0,
    "primary_link": 45.0,
    "secondary": 50.0,
    "secondary_link": 40.0,
    "tertiary": 40.0,
    "tertiary_link": 35.0,
    "unclassified": 35.0,
    "residential": 30.0,
    "living_street": 15.0,
    "service": 15.0,
    "road": 35.0,
}
_OTHERWISE_KMH: Final = 35.0
_ENDINGS: Final = (".osm", ".osm.gz", ".osm.bz2", ".osm.pbf", ".pbf")


def read_roads(path: Path) -> RoadNetwork:
    """Read a road file.

    Raises:
        InvalidRequest: no such file, not a road file, or there is no road in it; says where.
    """
    if not path.is_file():
        raise InvalidRequest(f"{path}: no such file", field="file")
    if path.name.endswith(_ENDINGS):
        network = _read_osm(path)
    elif path.suffix in {".geojson", ".json"}:
        network = _read_geojson(path)
    else:
        raise InvalidRequest(
            f"{path.name}: roads are read from {', '.join(_ENDINGS)} and .geojson", field="file"
        )
    if not len(network.start):
        raise InvalidRequest(f"{path.name}: there is no road in it", field="file")
    return network


def _read_osm(path: Path) -> RoadNetwork:
    import osmium  # noqa: PLC0415 - only who imports roads needs it

    number: dict[int, int] = {}
    lon: list[float] = []
    lat: list[float] = []
    pieces: list[tuple[int, int, float]] = []
    try:
        ways = osmium.FileProcessor(str(path)).with_locations()
        for way in ways.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY)):
            if not isinstance(way, osmium.osm.Way):
                continue
            tags = {tag.k: tag.v for tag in way.tags}
            if tags.get("highway") not in SPEEDS_KMH or tags.get("motor_vehicle") == "no":
                continue
            line = []
            for node in way.nodes:
                if not node.location.valid():
                    continue  # cut off by the extract
                if node.ref not in number:
                    number[node.ref] = len(lon)
                    lon.append(node.location.lon)
                    lat.append(node.location.lat)
                line.append(number[node.ref])
            _add(pieces, line, tags)
    except (RuntimeError, ValueError) as error:
        raise InvalidRequest(
            f"{path.name}: not OpenStreetMap data: {error}", field="file"
        ) from None
    return network_of(lon, lat, pieces)


def _read_geojson(path: Path) -> RoadNetwork:
    try:
        features = list(json.loads(path.read_text(encoding="utf-8"))["features"])
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(
            f"{path.name}: not a GeoJSON FeatureCollection", field="file"
        ) from None
    number: dict[tuple[float, float], int] = {}
    lon: list[float] = []
    lat: list[float] = []
    pieces: list[tuple[int, int, float]] = []
    for place, feature in enumerate(features):
        for points in _lines(feature):
            line = []
            for point in points:
                key = _position(point, f"{path.name}: features[{place}]")
                if key not in number:
                    number[key] = len(lon)
                    lon.append(key[0])
                    lat.append(key[1])
                line.append(number[key])
            properties = feature.get("properties") or {}
            if properties.get("kind", "road") == "road":
                _add(pieces, line, {str(k): str(v) for k, v in properties.items()})
    return network_of(lon, lat, pieces)


def _lines(feature: Any) -> list[Any]:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict):
        return []
    if geometry.get("type") == "LineString":
        return [geometry.get("coordinates") or []]
    if geometry.get("type") == "MultiLineString":
        return list(geometry.get("coordinates") or [])
    return []


def _position(point: Any, where: str) -> tuple[float, float]:
    try:
        lon, lat = float(point[0]), float(point[1])
    except (TypeError, ValueError, IndexError, KeyError):
        raise InvalidRequest(f"{where}: a position is [lon, lat]", field="file") from None
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidRequest(f"{where}: [{lon}, {lat}] is not on the globe", field="file")
    return round(lon, 7), round(lat, 7)


def _add(pieces: list[tuple[int, int, float]], line: list[int], tags: Mapping[str, str]) -> None:
    kmh = _speed(tags)
    oneway = tags.get("oneway", "yes" if tags.get("junction") == "roundabout" else "no")
    for start, end in pairwise(line):
        if oneway != "-1":
            pieces.append((start, end, kmh))
        if oneway not in {"yes", "true", "1"}:
            pieces.append((end, start, kmh))


def _speed(tags: Mapping[str, str]) -> float:
    usual = SPEEDS_KMH.get(tags.get("highway", ""), _OTHERWISE_KMH)
    said = tags.get("maxspeed", "").split(";")[0].removesuffix("km/h").strip()
    if said.isascii() and said.replace(".", "", 1).isdigit():
        return min(max(float(said), 5.0), 150.0)
    return usual
