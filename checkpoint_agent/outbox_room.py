"""Room on the disk: how much there is, and a reserve to fall back on when there is none.

Deleting from a database needs room too, for its journal. So a file of nothing is kept beside the
outbox; on a full disk it is given up first, and made again when there is room.
"""

import os
import shutil
from pathlib import Path

_RESERVE_BYTES = 16_000_000


def free_bytes(folder: Path) -> int | None:
    """Bytes that may still be written into a folder; ``None`` if the system does not say."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


class Reserve:
    """A file that only takes up room."""

    def __init__(self, path: Path) -> None:
        """Know where it is; nothing is made yet."""
        self._path = path

    def keep(self, min_free_bytes: int) -> None:
        """Make it, if it is not there and the disk has room for it and ``min_free_bytes``."""
        free = free_bytes(self._path.parent)
        if self._path.exists() or free is None or free < min_free_bytes + 2 * _RESERVE_BYTES:
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
        except OSError:
            self.release()

    def release(self) -> bool:
        """Give the room back; whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def shortage_bytes(incoming_bytes: int, *, inside_bytes: int, free: int | None, kept: int) -> int:
    """How much room is missing before ``incoming_bytes`` fit.

    Args:
        incoming_bytes: What is to be stored.
        inside_bytes: Room inside the database's file.
        free: Room on the disk; ``None`` if unknown, and then nothing is missing.
        kept: Room on the disk that is left to others.
    """
    if free is None:
        return 0
    return max(0, incoming_bytes - inside_bytes - max(0, free - kept))
