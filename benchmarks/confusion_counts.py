"""Which characters are taken for which: counted from reads of plates whose text is known.

The result is a JSON object ``{"shape": 1, "sources": [...], "characters": {true: {"shown": {source: n},
"read": {source: {char: n}}, "believed": {source: {char: p}}}}}``. ``shown`` counts places with the
character ``true`` in a plate that was read with as many characters; ``read`` what was claimed there
(``?`` for unread); ``believed`` the mean probability that the reader gave to each character there, its
alternatives included, so that pairs show that are seldom claimed. Values under 0.0005 are left out.
"""

from collections import Counter, defaultdict
from typing import Any

from anpr import PlateRead

_LEAST = 0.0005


class Confusion:
    """Adds up reads by source."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._shown: dict[str, Counter[str]] = defaultdict(Counter)
        self._read: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._believed: dict[str, dict[str, Counter[str]]] = defaultdict(
            lambda: defaultdict(Counter)
        )

    def add(self, source: str, text: str, read: PlateRead | None) -> None:
        """Count one plate; reads of another length are left out: nobody knows what lost what."""
        if read is None or len(read.text) != len(text):
            return
        for true, character in zip(text, read.characters, strict=True):
            self._shown[source][true] += 1
            self._read[source][true][character.char] += 1
            options = (*character.alternatives, (character.char, character.score))
            for char, probability in options:
                self._believed[source][true][char] += probability  # type: ignore[assignment]

    def as_json(self) -> dict[str, Any]:
        """The object described above."""
        characters: dict[str, Any] = {}
        for source, shown in self._shown.items():
            for true, n in shown.items():
                entry = characters.setdefault(true, {"shown": {}, "read": {}, "believed": {}})
                entry["shown"][source] = n
                entry["read"][source] = dict(self._read[source][true].most_common())
                entry["believed"][source] = {
                    char: round(p / n, 4)
                    for char, p in self._believed[source][true].most_common()
                    if char != true and p / n >= _LEAST
                }
        return {
            "shape": 1,
            "sources": sorted(self._shown),
            "characters": dict(sorted(characters.items())),
        }

    def mistakes(self, most: int = 20) -> list[dict[str, Any]]:
        """The most frequent wrong claims: ``{"true", "read", "times", "of"}``."""
        found: Counter[tuple[str, str]] = Counter()
        shown: Counter[str] = Counter()
        for source, counts in self._read.items():
            shown.update(self._shown[source])
            for true, reads in counts.items():
                found.update({(true, char): n for char, n in reads.items() if char != true})
        return [
            {"true": true, "read": char, "times": n, "of": shown[true]}
            for (true, char), n in found.most_common(most)
        ]
