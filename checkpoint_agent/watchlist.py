"""The box's own copy of the watchlist: a plate in, the entries that look for it out.

A copy that came over the link in this run is held in memory as it is. On the disk it lies hashed:
each plate through scrypt, with the box's key as salt, so that nobody reads out of a stolen box
whom the police look for. After a restart without a link the hashed copy matches by itself.

What the key is worth, see docs/decisions/0016: whoever has it can try plates one by one, and
scrypt makes each try cost some 20 ms.
"""

import hashlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from anpr.plate import is_rubbish, normalise
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.frames import from_microseconds, to_microseconds
from server.wire import LocalMatch, Watch, WatchlistCopy

log = logging.getLogger(__name__)

_PLATE_LENGTH = 16
"""As the server keeps plates."""
_MOST_ENTRIES = 32
_KEY_BYTES = 32
_SCRYPT = {"n": 2**13, "r": 8, "p": 1, "dklen": 16}
"""8 MB and some 20 ms a plate (RFC 7914): a passage can wait that long, a search cannot."""


@dataclass(frozen=True, slots=True)
class Target:
    """An entry that looks for some plate."""

    entry_id: int
    level: int
    valid_from: datetime
    valid_to: datetime | None

    def is_valid(self, at: datetime) -> bool:
        """Whether the entry holds at an instant; its end is exclusive, as on the server."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Hit:
    """A plate that somebody looks for."""

    level: int
    """Of the gravest entry."""
    match: LocalMatch


class Copy(Protocol):
    """A watchlist of one revision."""

    @property
    def revision(self) -> int:
        """Its number."""

    def targets(self, plate: str) -> tuple[Target, ...]:
        """The entries that look for a normalised plate, whether they hold now or not."""


@dataclass(frozen=True, slots=True)
class PlainCopy:
    """As it came over the link; in memory only."""

    revision: int
    by_plate: Mapping[str, tuple[Target, ...]]

    @classmethod
    def of(cls, copy: WatchlistCopy) -> "PlainCopy":
        """The copy as the server sent it."""
        by_plate: dict[str, tuple[Target, ...]] = {}
        for watch in copy.entries:
            by_plate[watch.plate] = (*by_plate.get(watch.plate, ()), _target(watch))
        return cls(copy.revision, by_plate)

    def targets(self, plate: str) -> tuple[Target, ...]:
        """The entries that look for a plate."""
        return self.by_plate.get(plate, ())


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """As it lies on the disk: digests instead of plates."""

    revision: int
    key: bytes
    by_digest: Mapping[str, tuple[Target, ...]]

    def targets(self, plate: str) -> tuple[Target, ...]:
        """The entries that look for a plate; takes some 20 ms."""
        return self.by_digest.get(digest(plate, self.key), ()) if self.by_digest else ()


def digest(plate: str, key: bytes) -> str:
    """The plate's place in a sealed copy, hex."""
    return hashlib.scrypt(plate.encode(), salt=key, **_SCRYPT).hex()


def match(copy: Copy | None, plate: str, captured_at: datetime, now: datetime) -> Hit | None:
    """Whom a plate belongs to that somebody looks for; the same rule as on the server.

    An entry counts if it held when the vehicle was captured or holds now: a clock that is slow
    must not hide a vehicle whose entry is minutes old.

    Args:
        copy: The watchlist, if the box holds one.
        plate: As voted, in any spelling.
        captured_at: When the vehicle was seen.
        now: The present instant.
    """
    wanted = normalise(plate)[:_PLATE_LENGTH]
    if copy is None or is_rubbish(wanted):
        return None
    found = sorted(
        (t for t in copy.targets(wanted) if t.is_valid(captured_at) or t.is_valid(now)),
        key=lambda target: (target.level, target.entry_id),
    )[:_MOST_ENTRIES]
    if not found:
        return None
    entry_ids = tuple(target.entry_id for target in found)
    return Hit(found[0].level, LocalMatch(revision=copy.revision, entry_ids=entry_ids))


class LocalWatchlist:
    """The copy in force, and its hashed form on the disk. Any thread may match."""

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        """Begin with what lies on the disk, if it can be used.

        Args:
            folder: Where the hashed copy lies.
            key_file: Where its key lies; made in ``folder`` if ``None``.

        Raises:
            ConfigError: if a configured key cannot be used.
        """
        self._path = folder / "watchlist.sealed.json"
        self._key = _key(key_file, folder / "watchlist.key")
        self._digests: dict[str, str] = {}
        self._writing = threading.Lock()
        self.tag: str | None = None
        """The server's name for the revision that is in force."""
        self._copy: Copy | None = None
        self._load()

    @property
    def revision(self) -> int | None:
        """Of the copy in force; ``None`` if there is none."""
        return None if self._copy is None else self._copy.revision

    def match(self, plate: str, captured_at: datetime, now: datetime) -> Hit | None:
        """See :func:`match`."""
        return match(self._copy, plate, captured_at, now)

    def take(self, copy: WatchlistCopy, tag: str | None) -> None:
        """Put a copy in force at once; it reaches the disk with :meth:`seal`."""
        self._copy, self.tag = PlainCopy.of(copy), tag

    def seal(self, stop: threading.Event | None = None) -> bool:
        """Write the copy in force to the disk, hashed; whether it is there.

        Takes some 20 ms for each plate that is new since the start; ``stop`` ends it early.

        Raises:
            OSError: if the disk does not take it; the former copy stays there.
        """
        copy, tag = self._copy, self.tag
        if not isinstance(copy, PlainCopy):
            return True
        sealed: dict[str, tuple[Target, ...]] = {}
        for plate, targets in copy.by_plate.items():
            if stop is not None and stop.is_set():
                return False
            if plate not in self._digests:
                self._digests[plate] = digest(plate, self._key)
            sealed[self._digests[plate]] = targets
        self._digests = {plate: self._digests[plate] for plate in copy.by_plate}
        with self._writing:
            self._write(SealedCopy(copy.revision, self._key, sealed), tag)
        return True

    def forget(self) -> None:
        """Hold no copy any more, on the disk neither."""
        self._copy, self.tag = None, None
        self._path.unlink(missing_ok=True)

    def _write(self, sealed: SealedCopy, tag: str | None) -> None:
        content = {
            "key": _name_of(self._key),
            "revision": sealed.revision,
            "tag": tag,
            "targets": {
                place: [_row(t) for t in found] for place, found in sealed.by_digest.items()
            },
        }
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def _load(self) -> None:
        try:
            content = json.loads(self._path.read_text(encoding="ascii"))
            if content["key"] != _name_of(self._key):
                log.warning("the copy of the watchlist was sealed with another key")
                return
            by_digest = {
                place: tuple(_from_row(row) for row in rows)
                for place, rows in content["targets"].items()
            }
            self._copy = SealedCopy(int(content["revision"]), self._key, by_digest)
            self.tag = content["tag"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the copy of the watchlist cannot be used, it is pulled anew: %s", error)


def _target(watch: Watch) -> Target:
    return Target(watch.entry_id, watch.level, watch.valid_from, watch.valid_to)


def _row(target: Target) -> tuple[int, int, int, int | None]:
    until = None if target.valid_to is None else to_microseconds(target.valid_to)
    return target.entry_id, target.level, to_microseconds(target.valid_from), until


def _from_row(row: tuple[int, int, int, int | None]) -> Target:
    entry_id, level, from_us, to_us = row
    until = None if to_us is None else from_microseconds(to_us)
    return Target(int(entry_id), int(level), from_microseconds(from_us), until)


def _name_of(key: bytes) -> str:
    """Tells keys apart without giving them away."""
    return hashlib.sha256(b"kakou watchlist key" + key).hexdigest()[:16]


def _key(configured: Path | None, made: Path) -> bytes:
    """The box's key.

    Raises:
        ConfigError: naming the setting and the file.
    """
    path = configured or made
    try:
        if configured is None and not made.exists():
            with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - private from its first moment
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        key = path.read_bytes()
    except OSError as error:
        if configured is None:  # a full disk must not keep the box from seeing
            log.warning("the watchlist is kept in memory alone: %s: %s", path, error.strerror)
            return secrets.token_bytes(_KEY_BYTES)
        raise ConfigError(f"watchlist.key_file: {path} cannot be used: {error}") from error
    if len(key) < _KEY_BYTES:
        if configured is None:  # cut short by a power cut: the copy is worth no more than a pull
            made.unlink()
            return _key(None, made)
        raise ConfigError(f"watchlist.key_file: {path} holds less than {_KEY_BYTES} bytes")
    return key
