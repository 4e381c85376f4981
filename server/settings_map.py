"""server.toml, the section about the map in the browser."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from server.settings_section import Section


class MapSettings(Section):
    """The map in the browser; nothing is fetched from outside unless ``tiles_url`` says so."""

    tiles_url: str = Field(
        default="",
        max_length=500,
        description="Raster tiles under the map, with {z} {x} {y}: /own/path or https://host/…; "
        "empty = none. Browsers ask that host; it learns which areas are looked at.",
    )
    tiles_datum: Literal["wgs84", "gcj02"] = Field(
        default="wgs84",
        description="Datum of the tiles. With gcj02 the page moves what it draws, and moves back "
        "what is drawn on it; stored positions stay WGS-84.",
    )
    tiles_credit: str = Field(default="", max_length=200, description="Whose tiles they are.")
    roads_file: Path | None = Field(
        default=None, description="GeoJSON of roads drawn as background, WGS-84; none = plain."
    )
    center_lat: float | None = Field(default=None, ge=-90, le=90, description="Start of the map.")
    center_lon: float | None = Field(default=None, ge=-180, le=180, description="Start of the map.")
    zoom: float = Field(default=11.0, ge=0, le=22, description="Start of the map.")

    @field_validator("tiles_url")
    @classmethod
    def _tiles(cls, value: str) -> str:
        if value and not re.fullmatch(r"(https?://[A-Za-z0-9.:\[\]-]+)?/[^\s;,\"'<>]*", value):
            raise ValueError("tiles_url: /path or http(s)://host/path")
        if value and not all(part in value for part in ("{z}", "{x}", "{y}")):
            raise ValueError("tiles_url: needs {z}, {x} and {y}")
        return value

    @property
    def tiles_origin(self) -> str:
        """Scheme and host that browsers may fetch tiles from; empty if it is this server."""
        found = re.match(r"https?://[^/]+", self.tiles_url)
        return found.group() if found else ""
