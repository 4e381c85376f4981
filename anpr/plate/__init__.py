"""The grammar of Chinese plates: what a plate is, how plates are misread. Standard library only."""

from anpr.plate.vocabulary import (
    GAT_16_7_CODES,
    PROVINCES,
    RECOGNISER_ALPHABET,
    RETIRED,
    SERIAL,
    SUFFIXES,
    UNREAD,
    PlateColor,
    PlateKind,
)

__all__ = [
    "GAT_16_7_CODES",
    "PROVINCES",
    "RECOGNISER_ALPHABET",
    "RETIRED",
    "SERIAL",
    "SUFFIXES",
    "UNREAD",
    "PlateColor",
    "PlateKind",
]
