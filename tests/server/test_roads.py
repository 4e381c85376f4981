"""Roads from files, checkpoints on them, and what follows what along the road."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.db import Database
from server.errors import InvalidRequest
from server.roads.files import read_roads
from server.roads.network import link_checkpoints, network_of
from server.roads.service import take_in
from server.trajectories.traffic import TrafficCache
from tests.server.conftest import CHECKPOINTS, Site

STEP = 0.01  # about a kilometre


def roads(*lines: tuple[list[tuple[float, float]], dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": properties,
             "geometry": {"type": "LineString", "coordinates": points}}
            for points, properties in lines
        ],
    }  # fmt: skip


def written(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "roads.geojson"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def pairs(linked: Any) -> set[tuple[str, str]]:
    return {(link.from_id, link.to_id) for link in linked.links}


ROW = [(116.0 + n * STEP, 35.0) for n in range(5)]
ON_ROW = {name: (116.005 + n * STEP, 35.0) for n, name in enumerate("abcd")}


def test_neighbours_are_those_with_no_checkpoint_between(tmp_path: Path) -> None:
    network = read_roads(written(tmp_path, roads((ROW, {"highway": "primary"}))))
    linked = link_checkpoints(network, ON_ROW)
    assert pairs(linked) == {(x, y) for x, y in zip("abcd", "bcd", strict=False)} | {
        (y, x) for x, y in zip("abcd", "bcd", strict=False)
    }
    first = next(link for link in linked.links if (link.from_id, link.to_id) == ("a", "b"))
    assert first.metres == pytest.approx(911, rel=0.01)
    assert first.seconds == pytest.approx(911 / 60 * 3.6, rel=0.01)
    assert first.shape[0] == pytest.approx(ON_ROW["a"])
    assert first.shape[-1] == pytest.approx(ON_ROW["b"])


@pytest.mark.parametrize(
    ("oneway", "expected"),
    [("yes", {("a", "b"), ("b", "c"), ("c", "d")}), ("-1", {("b", "a"), ("c", "b"), ("d", "c")})],
)
def test_nobody_drives_against_a_one_way_road(tmp_path: Path, oneway, expected) -> None:
    path = written(tmp_path, roads((ROW, {"highway": "primary", "oneway": oneway})))
    assert pairs(link_checkpoints(read_roads(path), ON_ROW)) == expected


def test_openstreetmap_and_geojson_of_the_same_roads_say_the_same(tmp_path: Path) -> None:
    nodes = "".join(
        f'<node id="{n}" version="1" lat="{lat}" lon="{lon}"/>'
        for n, (lon, lat) in enumerate(ROW, 1)
    )
    references = "".join(f'<nd ref="{n}"/>' for n in range(1, 6))
    path = tmp_path / "extract.osm"
    path.write_text(
        f'<osm version="0.6">{nodes}'
        f'<way id="1" version="1">{references}<tag k="highway" v="secondary"/>'
        '<tag k="oneway" v="yes"/><tag k="maxspeed" v="40"/></way>'
        '<way id="2" version="1"><nd ref="5"/><nd ref="1"/><tag k="highway" v="footway"/></way>'
        '<way id="3" version="1"><nd ref="5"/><nd ref="99"/><tag k="highway" v="primary"/></way>'
        "</osm>",
        encoding="utf-8",
    )
    same = written(tmp_path, roads((ROW, {"oneway": "yes", "maxspeed": "40"})))
    one, other = (link_checkpoints(read_roads(p), ON_ROW) for p in (path, same))
    assert pairs(one) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert [link.seconds for link in one.links] == [link.seconds for link in other.links]


def test_bad_networks_are_borne() -> None:
    """Loops, pieces without length, islands, and checkpoints off every road."""
    lon = [116.0, 116.01, 116.01, 116.02, 117.0, 117.01]
    lat = [35.0] * 6
    pieces = [(0, 0, 50.0), (0, 1, 50.0), (1, 2, 50.0), (2, 3, 50.0), (4, 5, 50.0)]
    network = network_of(lon, lat, pieces)
    assert (network.start != network.end).all()
    assert (network.metres > 0).all()
    places = {"a": (116.005, 35.0), "b": (116.015, 35.0), "island": (117.005, 35.0),
              "field": (116.5, 36.0), "same as a": (116.005, 35.0)}  # fmt: skip
    linked = link_checkpoints(network, places)
    assert linked.astray == ("field",)
    assert {name for pair in pairs(linked) for name in pair} <= {"a", "b", "same as a"}
    assert ("same as a", "b") in pairs(linked)
    assert link_checkpoints(network_of([], [], []), places).astray == tuple(sorted(places))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.geojson", "[]", "FeatureCollection"),
        ("x.geojson", '{"features": []}', "no road"),
        ("x.geojson", json.dumps(roads(([(116, 35), (116, 95)], {}))), r"features\[0\]"),
        ("x.geojson", json.dumps(roads(([(116, 35), "x"], {}))), "position"),  # type: ignore[list-item]
        ("x.osm", "<osm", "OpenStreetMap"),
        ("x.shp", "", "geojson"),
    ],
)
def test_a_file_that_holds_no_roads_is_refused_with_its_place(
    tmp_path: Path, name, content, says
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidRequest, match=says):
        read_roads(path)
    with pytest.raises(InvalidRequest, match="no such file"):
        read_roads(tmp_path / "missing.geojson")


def test_roads_are_taken_in_as_a_whole_and_routes_know_them(site: Site, tmp_path: Path) -> None:
    line = [(place.lon, place.lat) for place in CHECKPOINTS]
    network = read_roads(written(tmp_path, roads((line, {"highway": "trunk", "oneway": "yes"}))))
    database = Database(site.settings)
    for _ in range(2):
        with database.write() as session:
            done = take_in(session, network)
    assert done.links == len(CHECKPOINTS) - 1
    with database.read() as session:
        links = TrafficCache(site.settings).get(session).links
    first, second = CHECKPOINTS[0].id, CHECKPOINTS[1].id
    assert list(links.shares(first, None)) == [second]
    database.close()
