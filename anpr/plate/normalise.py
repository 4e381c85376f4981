"""One spelling for each plate, and the values that say "no plate"."""

import re
import unicodedata
from typing import Final

from anpr.plate.grammar import FORMS
from anpr.plate.vocabulary import PROVINCES, UNREAD

ANY_RUN: Final = "*"
"""Stands for any number of characters in a query."""

_COLOR_WORDS = re.compile(rf"^(?:(?:黄绿|渐变绿|蓝|黄|白|黑|绿)(?=[{PROVINCES}]))+")
_CHINESE_START = re.compile(rf"^(?:[{PROVINCES}{UNREAD}].|使|WJ)")

# What cameras and platforms write when they saw no plate (collected from a production database
# of checkpoints, the Hikvision interface and GA/T 1400), as normalise() spells it.
_RUBBISH = frozenset(
    {
        "",
        "NA",
        "NOPLATE",
        "NULL",
        "NULLPLATE",
        "NONE",
        "UNKNOWN",
        "无牌",
        "无牌NOPLATE",
        "无车牌",
        "未识别",
        "未识别牌",
        "未检测",
        "拒识无牌",
        "拒识",
        "车牌",
        "号牌未知",
        "未知",
    }
)


def normalise(text: str) -> str:
    """One spelling: half width, capitals, no separators, no colour word, no O or I in a serial.

    ``?`` (one character) and ``*`` (many) stay. A hyphen is a separator, except where the plate
    has a form only if it stands for an unread character, as GA/T 1400 writes it: then it becomes
    ``?``. The letters O and I do not exist in the serial of a Chinese plate and become 0 and 1;
    foreign plates keep theirs. Applying it twice changes nothing.
    """
    folded = unicodedata.normalize("NFKC", text).upper()
    folded = unicodedata.normalize("NFKC", folded)
    plain = _settled(folded, keep="")
    if "-" not in folded:
        return plain
    with_gaps = _settled(folded, keep="-").replace("-", UNREAD)
    return with_gaps if _has_form(with_gaps) and not _has_form(plain) else plain


def _settled(folded: str, keep: str) -> str:
    kept = "".join(c for c in folded if c.isalnum() or c in UNREAD + ANY_RUN + keep)
    return _serial_without_letters_o_and_i(_COLOR_WORDS.sub("", kept))


def _serial_without_letters_o_and_i(text: str) -> str:
    if text.endswith("使"):
        return text.replace("O", "0").replace("I", "1")
    if not _CHINESE_START.match(text):
        return text
    start = 1 if text.startswith("使") else 2
    return text[:start] + text[start:].replace("O", "0").replace("I", "1")


def _has_form(text: str) -> bool:
    return any(form.matches(text) for form in FORMS)


def is_rubbish(text: str) -> bool:
    """Whether a value means "no plate" or cannot be one; such a value is never matched.

    These are the words and fillers that cameras write, a bare province, and any value made of a
    single repeated character (``0000000``, ``--------``, ``???????``).
    """
    plain = normalise(text)
    return plain in _RUBBISH or len(set(plain)) <= 1
