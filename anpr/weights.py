"""The models folder: ``manifest.toml`` to paths whose contents are what the manifest says.

A weight file that is missing, cut short or replaced is an error at start, naming the file, never
a reader that quietly reads worse. Run ``python -m anpr.weights [FOLDER]`` to check a folder;
``--write`` enters the hashes of the files as they are, after training.
"""

import argparse
import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anpr.errors import WeightsError

MANIFEST: Final = "manifest.toml"
FOLDER_VARIABLE: Final = "KAKOU_MODELS"
"""Environment variable that names the models folder."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model of the manifest, its files present and verified."""

    name: str
    """Name and short hash, for the wire and logs: ``plate_rec-1@1a2b3c4d``."""
    folder: Path
    files: Mapping[str, Path]
    """File name without folder, to its path."""
    settings: Mapping[str, Any]
    """The manifest's table."""

    def path(self, file_name: str) -> Path:
        """The path of one file of the model.

        Raises:
            WeightsError: the manifest lists no such file.
        """
        if file_name not in self.files:
            raise WeightsError(f"{self.folder.parent / MANIFEST}: {self.name} lists no {file_name}")
        return self.files[file_name]

    def number(self, key: str) -> float:
        """A numeric setting of the table.

        Raises:
            WeightsError: it is absent or not a number.
        """
        value = self.settings.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WeightsError(
                f"{self.folder.parent / MANIFEST}: {self.name} needs a number {key!r}, has {value!r}"
            )
        return float(value)


def models_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Where the models are: the argument, else ``$KAKOU_MODELS``, else ``models`` beside ``anpr``.

    Raises:
        WeightsError: there is no manifest in that folder.
    """
    chosen = given or os.environ.get(FOLDER_VARIABLE)
    folder = Path(chosen) if chosen else Path(__file__).resolve().parent.parent / "models"
    if not (folder / MANIFEST).is_file():
        raise WeightsError(
            f"{folder / MANIFEST}: no such file; name the models folder with {FOLDER_VARIABLE} "
            "or the models argument"
        )
    return folder


def has_model(folder: Path, table: str) -> bool:
    """Whether a models folder lists a model that a reader can do without.

    Raises:
        WeightsError: the manifest is missing or malformed.
    """
    return table in _read_manifest(folder)


def load_model(folder: Path, table: str) -> ModelFiles:
    """The files of one model (``plate_det``, ``plate_rec``, ``plate_color``), verified by hash.

    Raises:
        WeightsError: manifest or a file is missing, malformed or altered; the message names it.
    """
    manifest = _read_manifest(folder)
    settings = manifest.get(table)
    where = f"{folder / MANIFEST}: [{table}]"
    if not isinstance(settings, dict):
        raise WeightsError(f"{where}: no such table")
    listed = settings.get("files")
    name = settings.get("name")
    if not isinstance(listed, dict) or not listed or not isinstance(name, str):
        raise WeightsError(f"{where} needs a name and a table of files with their sha256")
    paths = {}
    for relative, expected in listed.items():
        path = folder / relative
        actual = file_sha256(path)
        if actual != expected:
            raise WeightsError(
                f"{path}: sha256 is {actual}, the manifest says {expected}; "
                "the file was altered or not downloaded completely"
            )
        paths[path.name] = path
    first = next(iter(listed.values()))
    return ModelFiles(f"{name}@{first[:8]}", folder / table, paths, settings)


def file_sha256(path: Path) -> str:
    """Lower-case hex SHA-256 of a file.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8 or not TOML
        raise WeightsError(f"{path}: {error}") from error


def _write_hashes(folder: Path) -> None:
    """Put the files' present hashes into the manifest, leaving everything else as it stands."""
    path = folder / MANIFEST
    text = path.read_text(encoding="utf-8")

    def refreshed(match: re.Match[str]) -> str:
        return f'"{match[1]}" = "{file_sha256(folder / match[1])}"'

    path.write_text(
        re.sub(r'^"([^"\n]+/[^"\n]+)" = "[^"\n]*"$', refreshed, text, flags=re.MULTILINE),
        encoding="utf-8",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check (or with ``--write`` refresh) a models folder; 0 if every file is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m anpr.weights", description=main.__doc__)
    parser.add_argument("folder", nargs="?", help="models folder")
    parser.add_argument("--write", action="store_true", help="enter the hashes of the files")
    options = parser.parse_args(arguments)
    try:
        folder = models_folder(options.folder)
        if options.write:
            _write_hashes(folder)
        for table in _read_manifest(folder):
            sys.stdout.write(f"{load_model(folder, table).name}\n")
    except WeightsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
