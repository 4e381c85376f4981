"""Evidence pictures, named by their SHA-256, in a folder or on S3-compatible storage.

What is stored is whole or not there at all, under a name that says what it must contain. Storing
one again is harmless. Thumbnails lie beside the pictures; they can always be made again.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

_SHA256 = re.compile(r"[0-9a-f]{64}")
PICTURES = ""
THUMBNAILS = "thumbnails"


class PictureStore(Protocol):
    """Pictures by SHA-256. Thread safe, shared by processes. ``kind`` is one of the two above.

    All raise ValueError for what is no lower-case hex SHA-256, and OSError if the storage is full
    or away.
    """

    def has(self, sha256: str) -> bool:
        """Whether the picture is there."""

    def put(self, sha256: str, data: bytes) -> None:
        """Store a picture; returns when it would survive a power cut.

        Raises:
            ValueError: the bytes do not have that hash.
        """

    def read(self, sha256: str, kind: str = PICTURES) -> bytes | None:
        """The bytes, or None if there are none."""

    def put_thumbnail(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail of a picture; losing it is no loss."""

    def remove(self, sha256: str) -> bool:
        """Remove a picture and its thumbnail; whether there was one."""

    def names(self) -> Iterator[str]:
        """SHA-256 of all pictures that are there, in no order."""

    def stored_at(self, sha256: str) -> datetime | None:
        """When the picture was stored; None if there is none."""


class EvidenceStore:
    """A folder of pictures: ``ab/cd/abcd….jpg``; flushed to the disk, then renamed into place."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first picture comes."""
        self._folder = folder

    def path(self, sha256: str, kind: str = PICTURES) -> Path:
        """Where a picture is or would be.

        Raises:
            ValueError: not a lower-case hex SHA-256.
        """
        return self._folder / kind / required_name(sha256)

    def has(self, sha256: str) -> bool:
        """Whether the picture is there."""
        return self.path(sha256).is_file()

    def put(self, sha256: str, data: bytes) -> None:
        """Store a picture durably; returns when it would survive a power cut.

        Raises:
            ValueError: the bytes do not have that hash.
            OSError: the disk is full or away.
        """
        require_hash(sha256, data)
        path = self.path(sha256)
        if path.is_file() and path.stat().st_size == len(data):
            return
        self._write(path, data, durable=True)

    def read(self, sha256: str, kind: str = PICTURES) -> bytes | None:
        """The bytes, or None if there are none."""
        try:
            return self.path(sha256, kind).read_bytes()
        except FileNotFoundError:
            return None

    def put_thumbnail(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail of a picture."""
        self._write(self.path(sha256, THUMBNAILS), data, durable=False)

    def remove(self, sha256: str) -> bool:
        """Remove a picture and its thumbnail; whether there was one."""
        self.path(sha256, THUMBNAILS).unlink(missing_ok=True)
        try:
            self.path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def names(self) -> Iterator[str]:
        """SHA-256 of all pictures that are there, in no order."""
        for path in self._folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*.jpg"):
            if _SHA256.fullmatch(path.stem):
                yield path.stem

    def stored_at(self, sha256: str) -> datetime | None:
        """When the picture was stored; None if there is none."""
        try:
            return datetime.fromtimestamp(self.path(sha256).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def _write(self, path: Path, data: bytes, *, durable: bool) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [folder for folder in (path.parent, path.parent.parent) if not folder.is_dir()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        if durable:
            for folder in (path.parent, *(folder.parent for folder in made)):
                _fsync_folder(folder)


def required_name(sha256: str) -> str:
    """The name of a picture within its store.

    Raises:
        ValueError: not a lower-case hex SHA-256.
    """
    if not _SHA256.fullmatch(sha256):
        raise ValueError("not a SHA-256")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}.jpg"


def require_hash(sha256: str, data: bytes) -> None:
    """Refuse bytes under a name that is not theirs.

    Raises:
        ValueError: the bytes do not have that hash.
    """
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("the bytes do not have that SHA-256")


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
