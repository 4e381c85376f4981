"""The demo's county: a small made-up road network with checkpoints on it.

The network is invented and only its place on the globe (the plain of south-west Shandong) is
real, so that distances and map projections behave as they do in the field. WGS-84 throughout.
"""

import math
from dataclasses import dataclass
from typing import Any

ORIGIN_LAT, ORIGIN_LON = 35.4150, 116.5870
"""Centre of the county town."""

_M_PER_DEG_LAT = 111_320.0


@dataclass(frozen=True, slots=True)
class Road:
    """A named road as a polyline of ``(east_m, north_m)`` from the county's centre."""

    name: str
    name_en: str
    rank: int
    """1 ring or trunk, 2 main street, 3 side street."""
    points_m: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class DemoCheckpoint:
    """A checkpoint of the demo, with the one camera and the one agent that it has."""

    checkpoint_id: str
    name: str
    name_en: str
    road: str
    east_m: float
    north_m: float
    bearing_deg: float
    """Compass direction in which the traffic drives, degrees from north."""
    sees_rears: bool = False
    """Whether the camera looks after the traffic instead of towards it."""

    @property
    def camera_id(self) -> str:
        """Identifier of its camera."""
        return f"{self.checkpoint_id}-c1"

    @property
    def agent_id(self) -> str:
        """Identifier of its agent."""
        return f"{self.checkpoint_id}-box"

    @property
    def lat_lon(self) -> tuple[float, float]:
        """WGS-84 latitude and longitude, degrees."""
        return to_lat_lon(self.east_m, self.north_m)


def to_lat_lon(east_m: float, north_m: float) -> tuple[float, float]:
    """Metres from the county's centre to WGS-84 degrees (local tangent plane, good to 10 km)."""
    lat = ORIGIN_LAT + north_m / _M_PER_DEG_LAT
    lon = ORIGIN_LON + east_m / (_M_PER_DEG_LAT * math.cos(math.radians(ORIGIN_LAT)))
    return (lat, lon)


def _ring(radius_m: float, sides: int = 40) -> tuple[tuple[float, float], ...]:
    """A rounded square, as ring roads are."""
    points = []
    for i in range(sides + 1):
        a = 2 * math.pi * i / sides
        c, s = math.cos(a), math.sin(a)
        # superellipse |x|^4 + |y|^4 = r^4
        k = (abs(c) ** 4 + abs(s) ** 4) ** -0.25
        points.append((radius_m * k * c, radius_m * k * s))
    return tuple(points)


def _street(  # noqa: PLR0913 - a line needs its two ends and its bend
    x1: float, y1: float, x2: float, y2: float, bend_m: float = 0.0, *, steps: int = 16
) -> tuple[tuple[float, float], ...]:
    """A street from one point to another, bent sideways like a shallow S."""
    dx, dy = x2 - x1, y2 - y1
    length = math.hypot(dx, dy)
    nx, ny = -dy / length, dx / length
    points = []
    for i in range(steps + 1):
        t = i / steps
        off = bend_m * math.sin(2 * math.pi * t)
        points.append((x1 + dx * t + nx * off, y1 + dy * t + ny * off))
    return tuple(points)


ROADS: tuple[Road, ...] = (
    Road("环城路", "Ring Road", 1, _ring(1300)),
    Road("迎宾大道", "Yingbin Avenue", 1, _street(-2600, -175, -1300, 0, 45)),
    Road("机场路", "Airport Road", 1, _street(1300, 0, 2700, 300, 60)),
    Road("人民路", "Renmin Road", 2, _street(-1300, 0, 1300, 0, 20)),
    Road("建设路", "Jianshe Road", 2, _street(0, -1300, 0, 1300, 25)),
    Road("北关街", "Beiguan Street", 2, _street(-1250, 625, 1250, 650, 30)),
    Road("南池路", "Nanchi Road", 2, _street(-1250, -650, 1250, -600, 35)),
    Road("太白路", "Taibai Road", 2, _street(-650, -1275, -625, 1275, 30)),
    Road("洸河路", "Guanghe Road", 2, _street(650, -1275, 625, 1275, 22.5)),
    Road("北二路", "Bei'er Road", 1, _street(0, 1300, 125, 2500, 40)),
    Road("济水路", "Jishui Road", 1, _street(0, -1300, -150, -2450, 50)),
    Road("文昌街", "Wenchang Street", 3, _street(-640, 310, 640, 320, 12.5)),
    Road("柳行街", "Liuhang Street", 3, _street(-640, -320, 640, -310, 12.5)),
    Road("槐树巷", "Huaishu Lane", 3, _street(325, -615, 320, 635, 10)),
    Road("望湖巷", "Wanghu Lane", 3, _street(-320, -640, -325, 630, 10)),
)

OUTER_ROADS: tuple[Road, ...] = (
    Road("绕城路", "Outer Ring Road", 1, _ring(4600, 56)),
    Road("迎宾大道西延", "Yingbin Avenue West", 1, _street(-2600, -175, -6400, 350, 120)),
    Road("机场路东延", "Airport Road East", 1, _street(2700, 300, 6400, -250, 110)),
    Road("北二路北延", "Bei'er Road North", 1, _street(125, 2500, -300, 6400, 90)),
    Road("济水路南延", "Jishui Road South", 1, _street(-150, -2450, 250, -6400, 100)),
    Road("城西路", "Chengxi Road", 2, _street(-3300, -4300, -3100, 4300, 130)),
    Road("城东路", "Chengdong Road", 2, _street(3300, -4300, 3150, 4300, 140)),
)
"""What lies about the county town, where only simulated vehicles are seen."""

RIVER_M: tuple[tuple[float, float], ...] = _street(-2100, 1800, 1950, -2150, 310, steps=40)
"""The river that crosses the county, drawn under the roads."""

CHECKPOINTS: tuple[DemoCheckpoint, ...] = (
    DemoCheckpoint(
        "kk-west", "迎宾大道西卡口", "Yingbin Avenue West", "迎宾大道", -1950, -132.5, 90
    ),
    DemoCheckpoint("kk-renmin", "人民路太白路卡口", "Renmin–Taibai", "人民路", -637.5, 20, 90),
    DemoCheckpoint(
        "kk-centre", "建设路文昌街卡口", "Jianshe–Wenchang", "建设路", -24, 315, 0, sees_rears=True
    ),
    DemoCheckpoint("kk-north", "北二路北卡口", "Bei'er Road North", "北二路", 62.5, 1900, 0),
)
"""In the order in which a vehicle meets them that comes from the west and leaves to the north."""

LEG_M: tuple[float, ...] = (1325.0, 925.0, 1625.0)
"""Driving distance from each checkpoint to the next one, metres."""


def roads_geojson() -> dict[str, Any]:
    """Roads and river as a GeoJSON FeatureCollection: LineStrings of ``[lon, lat]``."""

    def line(points: tuple[tuple[float, float], ...]) -> dict[str, Any]:
        coordinates = [
            [round(lon, 6), round(lat, 6)] for lat, lon in (to_lat_lon(e, n) for e, n in points)
        ]
        return {"type": "LineString", "coordinates": coordinates}

    features: list[dict[str, Any]] = [
        {
            "type": "Feature",
            "properties": {
                "kind": "river",
                "name": "洸府河",
                "name_en": "Guangfu River",
                "rank": 0,
            },
            "geometry": line(RIVER_M),
        }
    ]
    features.extend(
        {
            "type": "Feature",
            "properties": {
                "kind": "road",
                "name": road.name,
                "name_en": road.name_en,
                "rank": road.rank,
            },
            "geometry": line(road.points_m),
        }
        for road in (*ROADS, *OUTER_ROADS)
    )
    return {"type": "FeatureCollection", "features": features}
