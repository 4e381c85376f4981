"""Evidence pictures as files named by their SHA-256.

A picture is written beside its place, flushed to the disk, and renamed: under its name there is
the whole picture or nothing, whatever fails when. Storing one again is harmless.
"""

import hashlib
import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

_SHA256 = re.compile(r"[0-9a-f]{64}")


class EvidenceStore:
    """A folder of pictures: ``ab/cd/abcd….jpg``. Thread safe, shared by processes."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first picture comes."""
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where a picture is or would be.

        Raises:
            ValueError: not a lower-case hex SHA-256.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / sha256[2:4] / f"{sha256}.jpg"

    def has(self, sha256: str) -> bool:
        """Whether the picture is there."""
        return self.path(sha256).is_file()

    def put(self, sha256: str, data: bytes) -> None:
        """Store a picture durably; returns when it would survive a power cut.

        Raises:
            ValueError: the bytes do not have that hash.
            OSError: the disk is full or away.
        """
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("the bytes do not have that SHA-256")
        path = self.path(sha256)
        if path.is_file() and path.stat().st_size == len(data):
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [folder for folder in (path.parent, path.parent.parent) if not folder.is_dir()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        for folder in (path.parent, *(folder.parent for folder in made)):
            _fsync_folder(folder)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
