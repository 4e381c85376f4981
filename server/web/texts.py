"""What pages say, in each language: one catalogue file per language in ``locales/``.

A key is ``section.name``; values may hold ``{named}`` places. Codes that a site may add to its
settings (purposes, reasons) are looked up with :meth:`Texts.code`, which shows an unknown code
as it is; everything else must be in the catalogue.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LANGUAGES = ("zh", "en")
"""The first is what a new visitor sees."""

_LOCALES = Path(__file__).parent / "locales"


@dataclass(frozen=True, slots=True)
class Texts:
    """One language's catalogue; call it with a key and the values of its places."""

    language: str
    by_key: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key.

        Raises:
            KeyError: the catalogue has no such key, or a place got no value: a defect of ours.
        """
        text = self.by_key[key]
        return text.format(**values) if values else text

    def code(self, section: str, code: str) -> str:
        """The text of a code that may be a site's own; that one is shown as it is."""
        return self.by_key.get(f"{section}.{code}", code)


@cache
def load_texts(language: str) -> Texts:
    """Read the catalogue of one of :data:`LANGUAGES`."""
    sections = tomllib.loads((_LOCALES / f"{language}.toml").read_text(encoding="utf-8"))
    return Texts(
        language,
        {
            f"{section}.{name}": text
            for section, names in sections.items()
            for name, text in names.items()
        },
    )
