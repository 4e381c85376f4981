"""A made-up watchlist and made-up reads; used by the watchlist benchmarks."""

import io
import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text as text_

from anpr.plate import PROVINCES
from anpr.watch import Alternative, Glyph, Seen
from benchmarks.roadside import plate
from server.db import Database
from server.tables import Counter

FLEET = 3_000_000
"""Vehicles that exist."""
PATTERNS = 20_000
INFIXES = 15_000
TOLERANCE = 0.5
_ELSEWHERE = PROVINCES.replace("鲁", "")
_SERIAL = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def fill(database: Database, entries: int, fuzzy_share: float, *, elsewhere: bool = False) -> None:
    """Put so many whole plates (a share of them fuzzy), patterns and infixes in force.

    A third of the fleet is among them, and every fourth of its plates fits a pattern: the index has
    much to find. ``elsewhere`` instead takes plates of other provinces, as a list of a million
    plates is made of: hardly a passage of :mod:`benchmarks.roadside` rings.
    """
    now = datetime.now(UTC)
    every = round(1 / fuzzy_share) if fuzzy_share else 0
    rows: list[tuple[str, str, float | None]] = []
    for number in range(entries):
        is_fuzzy = every and number % every == 0
        text = plate(number * 3 % (entries * 3 or 1))
        if elsewhere:
            text = _ELSEWHERE[number % len(_ELSEWHERE)] + plate(FLEET + number)[1:]
        rows.append(("fuzzy", text, TOLERANCE) if is_fuzzy else ("exact", text, None))
    if elsewhere:
        found = [one for one in patterns(3 * PATTERNS) if one[0] in _ELSEWHERE][:PATTERNS]
        found += infixes(lengths=(6,))
    else:
        found = [*patterns(), *infixes()]
    rows += [("pattern", text, None) for text in found]
    with database.write() as session:
        # the driver's own ways: through the ORM filling takes longer than all that is measured
        connection = session.connection()
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name == "sqlite":
            values = ", ".join(f"'{value}'" for value in _common(now).values())
            driver.executemany(
                f"INSERT INTO watchlist_entry (match, plate, tolerance, {', '.join(_common(now))}) "  # noqa: S608 - words of ours
                f"VALUES (?, ?, ?, {values})",
                rows,
            )
        else:
            rest, null = "\t".join(_common(now).values()), "\\N"
            lines = "\n".join(
                f"{match}\t{text}\t{tolerance or null}\t{rest}" for match, text, tolerance in rows
            )
            with driver.cursor() as cursor:
                # that the officer exists need not be looked up a million times
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.copy_expert(
                    f"COPY watchlist_entry (match, plate, tolerance, {', '.join(_common(now))}) "
                    "FROM STDIN",
                    io.BytesIO(lines.encode()),
                )
        session.get_one(Counter, "watchlist").value += 1
    with database.write() as session:
        session.execute(text_("ANALYZE"))  # as the database does by itself, some minutes later


def _common(now: datetime) -> dict[str, str]:
    """What all entries have in common; times in UTC, as SQLite keeps them, too."""
    since = (now - timedelta(days=1)).replace(tzinfo=None).isoformat(" ", "microseconds")
    return {
        "reason": "stolen", "level": "3", "case_number": "A1", "note": "", "revision": "0",
        "valid_from": since, "state": "active", "state_at": since,
        "created_at": since, "created_by": "officer",
    }  # fmt: skip


def patterns(count: int = PATTERNS) -> list[str]:
    """Patterns that fix an end: ``?`` at one to four of seven places, or a ``*`` within or behind."""
    pick = random.Random(3)
    shapes = [hidden for size in (1, 2, 3, 4) for hidden in itertools.combinations(range(7), size)]
    found: list[str] = []
    while len(found) < count:
        text = (
            pick.choice(PROVINCES) + pick.choice("ABCDEFGHJK") + "".join(pick.choices(_SERIAL, k=5))
        )
        kind = pick.random()
        if kind < 0.7:
            hidden = pick.choice(shapes)
            found.append("".join("?" if n in hidden else c for n, c in enumerate(text)))
        elif kind < 0.95:  # five or six fixed, at both ends, one perhaps not known
            begin = pick.randint(2, 4)
            head, gap = text[:begin], pick.randrange(2 * begin)
            if 0 < gap < begin:
                head = head[:gap] + "?" + head[gap + 1 :]
            found.append(head + "*" + text[begin - pick.randint(5, 6) :])
        else:
            found.append(text[:6] + "*")
    return found


def infixes(count: int = INFIXES, lengths: Sequence[int] = (4, 4, 5)) -> list[str]:
    """Patterns that fix nothing at either end."""
    pick = random.Random(4)
    return [
        "*" + "".join(pick.choices(_SERIAL, k=pick.choice(lengths))) + "*" for _ in range(count)
    ]


def reads(count: int, seed: int = 5) -> Iterator[Seen]:
    """Reads of the fleet's plates; one character in a hundred is unsure, three a little."""
    pick = random.Random(seed)
    for _ in range(count):
        text = plate(pick.randrange(FLEET))
        yield Seen(text, tuple(_glyph(char, pick) for char in text), "small", "blue", "white")


def _glyph(char: str, pick: random.Random) -> Glyph:
    luck = pick.random()
    if luck < 0.96:
        return Glyph(char, 0.999, (Alternative("8", 0.0004), Alternative("B", 0.0002)))
    if luck < 0.99:
        others = (Alternative(pick.choice(_SERIAL), 0.04), Alternative("B", 0.01))
        return Glyph(char, 0.93, others)
    others = (Alternative(pick.choice(_SERIAL), 0.3), Alternative(pick.choice(_SERIAL), 0.08))
    return Glyph(char, 0.55, others)
