"""The words for plates, one each, used in code, on the wire, in pages and in docs.

Kinds follow GA 36-2018 and the plate classes of GA/T 16.7 (号牌种类); the codes of that standard
are attached so that interfaces that speak it need no second table.
"""

from enum import StrEnum


class PlateColor(StrEnum):
    """Ground colour of a plate."""

    BLUE = "blue"
    YELLOW = "yellow"
    GREEN = "green"
    """Gradient green (small new-energy) and plain green (agricultural, civil aviation)."""
    YELLOW_GREEN = "yellow_green"
    """Two-tone ground of large new-energy vehicles."""
    WHITE = "white"
    BLACK = "black"
    OTHER = "other"
    """Read, and none of the above (foreign plates)."""
    UNKNOWN = "unknown"
    """Not decided."""


class PlateKind(StrEnum):
    """What a plate is issued for."""

    SMALL = "small"
    """小型汽车, blue (GA/T 16.7: 02)."""
    LARGE = "large"
    """大型汽车, yellow, one row in front and two at the back (01)."""
    TRAILER = "trailer"
    """挂车 (15)."""
    COACH = "coach"
    """教练汽车, 学 (16)."""
    POLICE = "police"
    """警用汽车, 警 (23)."""
    NEW_ENERGY_SMALL = "new_energy_small"
    """小型新能源汽车 (52)."""
    NEW_ENERGY_LARGE = "new_energy_large"
    """大型新能源汽车 (51)."""
    EMBASSY = "embassy"
    """使馆汽车 (03)."""
    CONSULATE = "consulate"
    """领馆汽车 (04)."""
    HONG_KONG = "hong_kong"
    """香港入出境车 (26)."""
    MACAO = "macao"
    """澳门入出境车 (27)."""
    ARMED_POLICE = "armed_police"
    """武警 WJ (31)."""
    MILITARY = "military"
    """军队 (32)."""
    EMERGENCY = "emergency"
    """应急救援 (99)."""
    AGRICULTURAL = "agricultural"
    """拖拉机 (14)."""
    MOTORCYCLE = "motorcycle"
    """普通摩托车 (07): yellow two-row, told from LARGE by size only where a camera can."""
    FOREIGN = "foreign"
    """A plate of another country."""
    UNKNOWN = "unknown"
    """Nothing above fits what was read."""


GAT_16_7_CODES: dict[PlateKind, str] = {
    PlateKind.SMALL: "02",
    PlateKind.LARGE: "01",
    PlateKind.TRAILER: "15",
    PlateKind.COACH: "16",
    PlateKind.POLICE: "23",
    PlateKind.NEW_ENERGY_SMALL: "52",
    PlateKind.NEW_ENERGY_LARGE: "51",
    PlateKind.EMBASSY: "03",
    PlateKind.CONSULATE: "04",
    PlateKind.HONG_KONG: "26",
    PlateKind.MACAO: "27",
    PlateKind.ARMED_POLICE: "31",
    PlateKind.MILITARY: "32",
    PlateKind.EMERGENCY: "99",
    PlateKind.AGRICULTURAL: "14",
    PlateKind.MOTORCYCLE: "07",
    PlateKind.FOREIGN: "99",
    PlateKind.UNKNOWN: "99",
}
"""号牌种类 per GA/T 16.7."""

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""The 31 abbreviations of provinces, in no particular order."""

SERIAL = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
"""Characters of a serial: no I, no O."""

SUFFIXES = "挂学警港澳使领应急"
"""Characters that mark a kind; 应急 is always both."""

RETIRED = "军海空北沈兰济南广成"
"""First characters of the military series withdrawn by 2012, and 民航's look-alikes: the reader
must know them, so that they do not come back as somebody's province."""

RECOGNISER_ALPHABET = tuple(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" + PROVINCES + SUFFIXES + RETIRED + "民航临试超"
)
"""The classes of our recogniser in order (class 0 is the CTC blank and not listed). I and O are
there for foreign plates and for the letter O in second place."""

UNREAD = "?"
"""Stands for one character that could not be read."""
