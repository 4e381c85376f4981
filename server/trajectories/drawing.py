"""A route in the forms that maps and navigation devices read: GeoJSON, GPX, KML.

All positions are WGS-84. What was inferred stands apart from what was seen in each of them.
"""

from typing import Any
from xml.etree import ElementTree as ET

from server.trajectories.route import Leg, Stop, Trajectory

_GPX = "http://www.topografix.com/GPX/1/1"
_KML = "http://www.opengis.net/kml/2.2"


def geojson(trajectory: Trajectory) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946); ``[lon, lat]``.

    ``kind`` is ``stop`` (a point, seen), ``unseen`` (a point, inferred) or ``leg`` (a line, through
    the inferred points, ``inferred`` says whether there are any, ``left_out`` that nobody looked).
    """
    lines = [_line(trajectory, leg) for leg in trajectory.legs]
    points = [_point(stop) for stop in trajectory.stops]
    unseen = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [one.place.lon, one.place.lat]},
            "properties": {
                "kind": "unseen",
                "from_number": leg.from_number,
                "to_number": leg.to_number,
                "checkpoint_id": one.place.id,
                "name": one.place.name,
                "name_en": one.place.name_en,
                "probability": one.probability,
                "vehicle": leg.vehicle,
            },
        }
        for leg in trajectory.legs
        for one in leg.between
    ]
    return {"type": "FeatureCollection", "features": [*lines, *unseen, *points]}


def gpx(trajectory: Trajectory) -> bytes:
    """GPX 1.1: a track a vehicle, a segment a trip, of what was seen only; inferred as waypoints."""
    ET.register_namespace("", _GPX)
    root = ET.Element(f"{{{_GPX}}}gpx", version="1.1", creator="Kakou")
    for leg in trajectory.legs:
        for one in leg.between:
            point = ET.SubElement(root, f"{{{_GPX}}}wpt", lat=f"{one.place.lat:.6f}",
                                  lon=f"{one.place.lon:.6f}")  # fmt: skip
            ET.SubElement(point, f"{{{_GPX}}}name").text = _clean(one.place.name)
            ET.SubElement(point, f"{{{_GPX}}}desc").text = f"inferred p={one.probability:.2f} 推断"
            ET.SubElement(point, f"{{{_GPX}}}type").text = "inferred"
    for vehicle in range(1, trajectory.vehicles + 1):
        track = ET.SubElement(root, f"{{{_GPX}}}trk")
        suffix = "" if trajectory.vehicles == 1 else f" #{vehicle}"
        ET.SubElement(track, f"{{{_GPX}}}name").text = _clean(trajectory.plate + suffix)
        for trip in (trip for trip in trajectory.trips if trip.vehicle == vehicle):
            segment = ET.SubElement(track, f"{{{_GPX}}}trkseg")
            for stop in trajectory.stops[trip.from_number - 1 : trip.to_number]:
                if stop.vehicle != vehicle:
                    continue
                point = ET.SubElement(segment, f"{{{_GPX}}}trkpt", lat=f"{stop.place.lat:.6f}",
                                      lon=f"{stop.place.lon:.6f}")  # fmt: skip
                ET.SubElement(point, f"{{{_GPX}}}time").text = _instant(stop)
                ET.SubElement(point, f"{{{_GPX}}}name").text = _clean(stop.place.name)
    return _written(root)


def kml(trajectory: Trajectory) -> bytes:
    """KML 2.2: a placemark a stop and a line a leg; what is inferred in a folder of its own."""
    ET.register_namespace("", _KML)
    root = ET.Element(f"{{{_KML}}}kml")
    document = ET.SubElement(root, f"{{{_KML}}}Document")
    ET.SubElement(document, f"{{{_KML}}}name").text = _clean(trajectory.plate)
    seen = _folder(document, "过车 seen")
    legs = _folder(document, "路段 legs")
    inferred = _folder(document, "推断 inferred, not seen")
    for stop in trajectory.stops:
        mark = _placemark(seen, f"{stop.number} {stop.place.name}")
        ET.SubElement(
            ET.SubElement(mark, f"{{{_KML}}}TimeStamp"), f"{{{_KML}}}when"
        ).text = _instant(stop)
        point = ET.SubElement(mark, f"{{{_KML}}}Point")
        ET.SubElement(point, f"{{{_KML}}}coordinates").text = _pair(stop.place.lon, stop.place.lat)
    for leg in trajectory.legs:
        mark = _placemark(legs, f"{leg.from_number} → {leg.to_number} {leg.flag}")
        line = ET.SubElement(mark, f"{{{_KML}}}LineString")
        ET.SubElement(line, f"{{{_KML}}}coordinates").text = " ".join(
            _pair(lon, lat) for lon, lat in _way(trajectory, leg)
        )
        for one in leg.between:
            mark = _placemark(inferred, f"{one.place.name} p={one.probability:.2f}")
            point = ET.SubElement(mark, f"{{{_KML}}}Point")
            ET.SubElement(point, f"{{{_KML}}}coordinates").text = _pair(
                one.place.lon, one.place.lat
            )
    return _written(root)


def _line(trajectory: Trajectory, leg: Leg) -> dict[str, Any]:
    expected = leg.expected
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": _way(trajectory, leg)},
        "properties": {
            "kind": "leg",
            "from_number": leg.from_number,
            "to_number": leg.to_number,
            "distance_m": leg.distance_m,
            "duration_s": leg.duration_s,
            "speed_kmh": leg.speed_kmh,
            "flag": leg.flag,
            "vehicle": leg.vehicle,
            "breaks": leg.breaks,
            "inferred": bool(leg.between),
            "left_out": leg.left_out,
            "path_probability": leg.path_probability,
            "usual_s": round(expected.q50_s, 1) if expected is not None else None,
        },
    }


def _point(stop: Stop) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [stop.place.lon, stop.place.lat]},
        "properties": {
            "kind": "stop",
            "number": stop.number,
            "checkpoint_id": stop.place.id,
            "name": stop.place.name,
            "name_en": stop.place.name_en,
            "first_seen_at": stop.first_seen_at.isoformat(),
            "last_seen_at": stop.last_seen_at.isoformat(),
            "passage_id": str(stop.passage.passage_id),
            "vehicle": stop.vehicle,
            "read_as": stop.read_as,
        },
    }


def _way(trajectory: Trajectory, leg: Leg) -> list[list[float]]:
    start, end = trajectory.stop(leg.from_number), trajectory.stop(leg.to_number)
    inner = [one.place for one in leg.between]
    return [[place.lon, place.lat] for place in (start.place, *inner, end.place)]


def _instant(stop: Stop) -> str:
    return stop.first_seen_at.isoformat().replace("+00:00", "Z")


def _pair(lon: float, lat: float) -> str:
    return f"{lon:.6f},{lat:.6f}"


def _folder(document: ET.Element, name: str) -> ET.Element:
    folder = ET.SubElement(document, f"{{{_KML}}}Folder")
    ET.SubElement(folder, f"{{{_KML}}}name").text = name
    return folder


def _placemark(folder: ET.Element, name: str) -> ET.Element:
    mark = ET.SubElement(folder, f"{{{_KML}}}Placemark")
    ET.SubElement(mark, f"{{{_KML}}}name").text = _clean(name)
    return mark


def _clean(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(c for c in text if c >= " " and c not in "\ufffe\uffff")


def _written(root: ET.Element) -> bytes:
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
