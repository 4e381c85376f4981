"""The grammar of Chinese plates: what a plate is, how plates are misread. Standard library only."""

from anpr.plate.confusion import (
    GAP_COST,
    UNRELATED,
    Difference,
    differences,
    distance,
    look_alikes,
    substitution_cost,
)
from anpr.plate.decode import (
    Decoded,
    Hypothesis,
    claims_too_little,
    decode,
    with_doubt,
    with_lost_characters,
    with_lost_upper_row,
)
from anpr.plate.grammar import (
    FORMS,
    MOST_SERIAL_LETTERS,
    Contradiction,
    Form,
    PlateNumber,
    is_chinese_character,
    parse,
)
from anpr.plate.normalise import is_rubbish, normalise
from anpr.plate.regions import Region, region_of
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
    "FORMS",
    "GAP_COST",
    "GAT_16_7_CODES",
    "MOST_SERIAL_LETTERS",
    "PROVINCES",
    "RECOGNISER_ALPHABET",
    "RETIRED",
    "SERIAL",
    "SUFFIXES",
    "UNREAD",
    "UNRELATED",
    "Contradiction",
    "Decoded",
    "Difference",
    "Form",
    "Hypothesis",
    "PlateColor",
    "PlateKind",
    "PlateNumber",
    "Region",
    "claims_too_little",
    "decode",
    "differences",
    "distance",
    "is_chinese_character",
    "is_rubbish",
    "look_alikes",
    "normalise",
    "parse",
    "region_of",
    "substitution_cost",
    "with_doubt",
    "with_lost_characters",
    "with_lost_upper_row",
]
