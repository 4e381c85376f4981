"""Foreign plates: which of O and 0, I and 1 was meant.

On most foreign plates these letters and digits are drawn alike, so that a picture cannot tell them
apart; the order in which a country puts letters and digits can. Only these two pairs are ever
exchanged, and only where exactly one exchange makes a known order of a text that has none.
"""

import re
from functools import lru_cache
from itertools import product
from typing import Final

_ORDERS: Final = frozenset(
    {
        "LLDDDLL",  # France, Italy, Slovakia, Albania
        "LLLDDDD", "LLLDLDD",  # Brazil before and since Mercosur; Lithuania, much of the USA
        "LLDDDDLL", "LLDDDD", "LLDDDDD", "LDDDDDD",  # Ukraine, Georgia, Germany, Norway, Denmark
        "DDDDLLL", "DDDLLL", "LLLDDD", "LLLDDDL",  # Spain, Sweden and Finland, much of the USA
        "DLDDDDD", "DLLDDDD",  # Czechia
        "DLLLDDD", "LLDLDL", "LLDLDDD", "DDDDLL", "LLLLDDD",  # California, Texas, other states
        "LLDDLLL", "LDDDLLL", "LDDLLL",  # United Kingdom
        "LLDDDL", "LDDDLL", "DDLLDD", "DLLLDD",  # Netherlands and others
    }
)  # fmt: skip
"""Usual orders of letters (L) and digits (D) on the plates of the countries beside them; an excerpt
of the national rules, not all of them."""
_ALIKE: Final = {"O": "O0", "0": "0O", "I": "I1", "1": "1I"}
_MOST_ALIKE: Final = 4
_FOREIGN: Final = re.compile(r"[A-Z0-9]{5,8}")


def order_of(text: str) -> str:
    """Letters as L, digits as D, anything else as it is."""
    return "".join("D" if c.isdigit() else "L" if "A" <= c <= "Z" else c for c in text)


@lru_cache(maxsize=4096)
def respelled(text: str) -> str:
    """The text in a known order of letters and digits, if exchanging O/0 and I/1 gives one.

    A text that has a known order already, that no exchange or more than one would bring into one,
    or that is not made of Latin letters and digits alone comes back as it is. Applying it twice
    changes nothing.
    """
    if not _FOREIGN.fullmatch(text) or order_of(text) in _ORDERS:
        return text
    if not 1 <= sum(c in _ALIKE for c in text) <= _MOST_ALIKE:
        return text
    spellings = map("".join, product(*(_ALIKE.get(c, c) for c in text)))
    fitting = [s for s in spellings if order_of(s) in _ORDERS]
    return fitting[0] if len(fitting) == 1 else text
