"""Documents do not rot: the paths they name exist, and nothing in them names another world."""

import re
import tomllib
from pathlib import Path

import pytest

DOCUMENTS = ["README.md", "docs/architecture.md", "docs/operations.md", "docs/decisions/README.md"]
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_PATH = re.compile(
    r"`((?:anpr|checkpoint_agent|server|models|benchmarks|demo|config|tests|docs|packaging)/[\w./-]+)`"
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(project: Path, document: str) -> None:
    text = (project / document).read_text(encoding="utf-8")
    missing = [p for p in _PATH.findall(text) if not (project / p).exists()]
    missing += [
        p for p in _LINK.findall(text) if not (project / document).parent.joinpath(p).exists()
    ]
    assert missing == []


def test_every_decision_is_listed(project: Path) -> None:
    folder = project / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    unlisted = [p.name for p in folder.glob("[0-9]*.md") if p.name not in index]
    assert unlisted == []


def test_every_dependency_has_a_reason(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reasons = (project / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    wanted = list(settings["dependencies"])
    for extra in settings["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[<>=\[ ;]", w, maxsplit=1)[0].lower() for w in wanted} - {"kakou"}
    assert sorted(n for n in names if f"`{n}`" not in reasons) == []
