"""The box's own copy of the watchlist: a plate in, the entries that look for it out.

A copy that came over the link in this run is held in memory as it is. On the disk it lies hashed:
each plate through scrypt, with the box's key as salt, so that nobody reads out of a stolen box
whom the police look for. After a restart without a link the hashed copy matches by itself: whole
plates, for a hash tells nothing of a plate that is a little different. Patterns, descriptions and
what a misread may mean are held in memory alone and pulled again.

What the key is worth, see docs/decisions/0016: whoever has it can try plates one by one, and
scrypt makes each try cost some 20 ms.
"""

import hashlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from anpr.watch import Indexed, Seen, Watched, WatchIndex, judge, seen_of
from anpr.watch.index import built
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.frames import from_microseconds, to_microseconds
from server.wire import LocalMatch, Passage, Watch, WatchlistCopy, WatchRule

log = logging.getLogger(__name__)

_MANY_LATE = 20_000
"""So many entries beside the sorted ones, and the index is made anew."""
_MOST_ENTRIES = 32
_KEY_BYTES = 32
_SCRYPT = {"n": 2**13, "r": 8, "p": 1, "dklen": 16}
"""8 MB and some 20 ms a plate (RFC 7914): a passage can wait that long, a search cannot."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A vehicle that somebody looks for."""

    level: int
    """Of the gravest entry."""
    match: LocalMatch


class Copy(Protocol):
    """A watchlist of one revision."""

    @property
    def revision(self) -> int:
        """Its number."""

    @property
    def zone(self) -> ZoneInfo:
        """Of the entries' hours."""

    def meant(self, seen: Seen) -> Iterable[Watched]:
        """The entries that may look for a vehicle, whether they hold now or not."""


@dataclass(frozen=True, slots=True)
class PlainCopy:
    """As it came over the link; in memory only."""

    revision: int
    zone: ZoneInfo
    entries: Mapping[int, Watched]
    index: WatchIndex

    @classmethod
    def of(cls, copy: WatchlistCopy, before: "PlainCopy | None" = None) -> "PlainCopy":
        """The copy as the server sent it, put on top of the one it is the difference to.

        Raises:
            ValueError: it is the difference to another revision than the one that is held.
        """
        sent = {one.entry_id: _watched(one) for one in copy.entries}
        sent |= {one.entry_id: _watched(one) for one in copy.rules}
        zone = ZoneInfo(copy.time_zone)
        if copy.since is None:
            return cls(copy.revision, zone, sent, built(map(_indexed, sent.values())))
        if before is None or before.revision != copy.since:
            raise ValueError(f"differences to revision {copy.since}, which is not held")
        gone = frozenset(copy.ended)
        entries = {n: one for n, one in before.entries.items() if n not in gone} | sent
        if before.index.late < _MANY_LATE:
            for one in sent.values():
                before.index.add(_indexed(one))
            return cls(copy.revision, zone, entries, before.index)
        return cls(copy.revision, zone, entries, built(map(_indexed, entries.values())))

    def meant(self, seen: Seen) -> Iterable[Watched]:
        """The entries that may look for a vehicle."""
        found = dict.fromkeys(self.index.candidates(seen))
        return (self.entries[n] for n in found if n in self.entries)


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """As it lies on the disk: digests instead of plates, and whole plates alone."""

    revision: int
    zone: ZoneInfo
    key: bytes
    by_digest: Mapping[str, tuple[Watched, ...]]
    """The plates of these are ''."""

    def meant(self, seen: Seen) -> Iterable[Watched]:
        """The entries that look for the very plate; takes some 20 ms."""
        if not seen.plate or not self.by_digest:
            return ()
        found = self.by_digest.get(digest(seen.plate, self.key), ())
        return (replace(one, plate=seen.plate) for one in found)


def digest(plate: str, key: bytes) -> str:
    """The plate's place in a sealed copy, hex."""
    return hashlib.scrypt(plate.encode(), salt=key, **_SCRYPT).hex()


def match(
    copy: Copy | None, seen: Seen, camera_id: str, captured_at: datetime, now: datetime
) -> Hit | None:
    """Who is looked for; the server judges by the same code (:mod:`anpr.watch`).

    Args:
        copy: The watchlist, if the box holds one.
        seen: What was seen of the vehicle.
        camera_id: By which camera.
        captured_at: When the vehicle was seen.
        now: The present instant; an entry counts if it held then or holds now: a clock that is
            slow must not hide a vehicle whose entry is minutes old.
    """
    if copy is None:
        return None
    judged = (judge(w, seen, camera_id, (captured_at, now), copy.zone) for w in copy.meant(seen))
    found = sorted(filter(None, judged), key=lambda m: (m.level, m.entry_id))[:_MOST_ENTRIES]
    if not found:
        return None
    entry_ids = tuple(one.entry_id for one in found)
    return Hit(found[0].level, LocalMatch(revision=copy.revision, entry_ids=entry_ids))


def seen_in(passage: Passage) -> Seen:
    """What matching takes of a passage."""
    return seen_of(
        passage.plate.text,
        passage.plate.characters,
        plate_kind=passage.plate.kind,
        plate_color=passage.plate.color,
        vehicle_color=passage.vehicle_color,
    )


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

    @property
    def takes_differences(self) -> bool:
        """Whether what has changed can be put on top of the copy in force."""
        return isinstance(self._copy, PlainCopy)

    def match(self, passage: Passage, now: datetime) -> Hit | None:
        """Who is looked for; see :func:`match`."""
        seen = seen_in(passage)
        return match(self._copy, seen, passage.camera_id, passage.captured_at, now)

    def take(self, copy: WatchlistCopy, tag: str | None) -> None:
        """Put a copy in force at once; it reaches the disk with :meth:`seal`.

        Raises:
            ValueError: it is the difference to another revision than the one that is held.
        """
        before = self._copy if isinstance(self._copy, PlainCopy) else None
        self._copy, self.tag = PlainCopy.of(copy, before), tag

    def seal(self, stop: threading.Event | None = None) -> bool:
        """Write the copy in force to the disk, hashed; whether it is there.

        Takes some 20 ms for each plate that is new since the start; ``stop`` ends it early.

        Raises:
            OSError: if the disk does not take it; the former copy stays there.
        """
        copy, tag = self._copy, self.tag
        if not isinstance(copy, PlainCopy):
            return True
        sealed: dict[str, tuple[Watched, ...]] = {}
        digests: dict[str, str] = {}
        whole = True
        for one in copy.entries.values():
            if stop is not None and stop.is_set():
                return False
            whole = whole and one.match == "exact"
            if one.match not in {"exact", "fuzzy"}:
                continue
            place = self._digests.get(one.plate) or digest(one.plate, self._key)
            self._digests[one.plate] = digests[one.plate] = place
            sealed[place] = (*sealed.get(place, ()), one)
        self._digests = digests
        with self._writing:
            # what cannot lie here has to be pulled again: such a copy goes by no tag
            found = SealedCopy(copy.revision, copy.zone, self._key, sealed)
            self._write(found, tag if whole else None)
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
            "time_zone": sealed.zone.key,
            "targets": {
                place: [_row(one) for one in found] for place, found in sealed.by_digest.items()
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
            zone = ZoneInfo(content["time_zone"])
            self._copy = SealedCopy(int(content["revision"]), zone, self._key, by_digest)
            self.tag = content["tag"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the copy of the watchlist cannot be used, it is pulled anew: %s", error)


def _watched(sent: Watch | WatchRule) -> Watched:
    """An entry as matching needs it; the places are cameras."""
    cameras = None if sent.cameras is None else frozenset(sent.cameras)
    hours = tuple(_span(span) for span in sent.hours)
    if isinstance(sent, WatchRule):
        return Watched(
            sent.entry_id, sent.match, sent.plate, sent.level, sent.valid_from, sent.valid_to, 0.0,
            frozenset(sent.plate_kinds), frozenset(sent.plate_colors),
            frozenset(sent.vehicle_colors), cameras, hours,
        )  # fmt: skip
    return Watched(
        sent.entry_id,
        "exact" if sent.tolerance is None else "fuzzy",
        sent.plate,
        sent.level,
        sent.valid_from,
        sent.valid_to,
        sent.tolerance or 0.0,
        places=cameras,
        hours=hours,
    )


def _indexed(one: Watched) -> Indexed:
    return Indexed(
        one.entry_id, one.match, one.plate, one.tolerance, one.plate_kinds, one.plate_colors,
        one.vehicle_colors,
    )  # fmt: skip


def _span(text: str) -> tuple[time, time]:
    """``22:00-05:00``; the end 24:00 is midnight."""
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end.replace("24:", "00:"))


def _row(one: Watched) -> list[Any]:
    until = None if one.valid_to is None else to_microseconds(one.valid_to)
    cameras = None if one.places is None else sorted(one.places)
    hours = [(begin.isoformat(), end.isoformat()) for begin, end in one.hours]
    return [one.entry_id, one.level, to_microseconds(one.valid_from), until, cameras, hours]


def _from_row(row: list[Any]) -> Watched:
    entry_id, level, from_us, to_us, cameras, hours = row
    return Watched(
        int(entry_id),
        "exact",
        "",
        int(level),
        from_microseconds(from_us),
        None if to_us is None else from_microseconds(to_us),
        places=None if cameras is None else frozenset(cameras),
        hours=tuple((time.fromisoformat(begin), time.fromisoformat(end)) for begin, end in hours),
    )


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
