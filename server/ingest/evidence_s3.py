"""Evidence pictures on S3-compatible storage, by way of obstore (Apache Arrow's object_store)."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from server.errors import SettingsError
from server.ingest.evidence_store import (
    PICTURES,
    THUMBNAILS,
    EvidenceStore,
    PictureStore,
    require_hash,
    required_name,
)
from server.settings import Settings
from server.settings_storage import EvidenceSettings

_T = TypeVar("_T")


class S3Pictures:
    """Pictures in a bucket, ``prefix/pictures/ab/cd/abcd….jpg``; an object is whole by itself."""

    def __init__(self, settings: EvidenceSettings) -> None:
        """Nothing is connected yet.

        Raises:
            SettingsError: the address or the secret cannot be used.
        """
        at = urlsplit(settings.store)
        if at.scheme != "s3" or not at.netloc:
            raise SettingsError("evidence.store: 's3://bucket/prefix', or empty for the folder")
        self._prefix = at.path.strip("/")
        config: dict[str, object] = {"region": settings.s3_region}
        if settings.s3_endpoint:
            config["endpoint"] = settings.s3_endpoint
            config["virtual_hosted_style_request"] = False
        if settings.s3_key_id:
            config["access_key_id"] = settings.s3_key_id
            config["secret_access_key"] = _secret(settings)
        is_plain = settings.s3_endpoint.startswith("http://")
        self._bucket = Bucket(
            at.netloc,
            config=config,  # type: ignore[arg-type]
            client_options={"allow_http": is_plain, "timeout": "30s"},
        )

    def has(self, sha256: str) -> bool:
        """Whether the picture is there."""
        key = self._key(sha256)
        return _asked(lambda: obstore.head(self._bucket, key)) is not None

    def put(self, sha256: str, data: bytes) -> None:
        """Store a picture; returns when the service has it.

        Raises:
            ValueError: the bytes do not have that hash.
            OSError: the service is full or away.
        """
        require_hash(sha256, data)
        key = self._key(sha256)
        _asked(lambda: obstore.put(self._bucket, key, data))

    def read(self, sha256: str, kind: str = PICTURES) -> bytes | None:
        """The bytes, or None if there are none."""
        key = self._key(sha256, kind)
        return _asked(lambda: bytes(obstore.get(self._bucket, key).bytes()))

    def put_thumbnail(self, sha256: str, data: bytes) -> None:
        """Keep a thumbnail of a picture."""
        key = self._key(sha256, THUMBNAILS)
        _asked(lambda: obstore.put(self._bucket, key, data))

    def remove(self, sha256: str) -> bool:
        """Remove a picture and its thumbnail; whether there was one."""
        was_there = self.has(sha256)
        for kind in (THUMBNAILS, PICTURES):
            _asked(partial(obstore.delete, self._bucket, self._key(sha256, kind)))
        return was_there

    def names(self) -> Iterator[str]:
        """SHA-256 of all pictures that are there, in no order."""
        for objects in obstore.list(self._bucket, self._under(PICTURES)):
            for item in objects:
                name = item["path"].rpartition("/")[2].removesuffix(".jpg")
                try:
                    required_name(name)
                except ValueError:
                    continue
                yield name

    def stored_at(self, sha256: str) -> datetime | None:
        """When the picture was stored; None if there is none."""
        key = self._key(sha256)
        return _asked(lambda: obstore.head(self._bucket, key)["last_modified"])

    def _under(self, kind: str) -> str:
        return "/".join(part for part in (self._prefix, kind or "pictures") if part)

    def _key(self, sha256: str, kind: str = PICTURES) -> str:
        return f"{self._under(kind)}/{required_name(sha256)}"


def picture_store(settings: Settings) -> PictureStore:
    """The store that the settings name.

    Raises:
        SettingsError: it cannot be used.
    """
    if settings.evidence.store:
        return S3Pictures(settings.evidence)
    return EvidenceStore(settings.evidence_dir)


def _asked(ask: Callable[[], _T]) -> _T | None:
    """What the service says; None if there is no such object, OSError if it does not work."""
    try:
        return ask()
    except FileNotFoundError:
        return None
    except BaseError as error:
        raise OSError(f"evidence storage: {error}") from error


def _secret(settings: EvidenceSettings) -> str:
    if settings.s3_secret_file is None:
        return os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    try:
        return settings.s3_secret_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"evidence.s3_secret_file: {settings.s3_secret_file}: {error.strerror}"
        ) from None
