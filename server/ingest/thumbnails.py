"""Small versions of evidence pictures, made when they are first looked at."""

import io

from PIL import Image

from server.ingest.evidence_store import THUMBNAILS, PictureStore

_QUALITY = 80
_MOST_PIXELS = 64_000_000
"""More than any camera of a checkpoint has; what claims to be larger is not decoded."""


def thumbnail(store: PictureStore, sha256: str, longer_px: int) -> bytes | None:
    """A JPEG no larger than ``longer_px`` on its longer side; None without a picture to show.

    Raises:
        ValueError: not a SHA-256.
        OSError: the storage is away.
    """
    made = store.read(sha256, THUMBNAILS)
    if made is not None:
        return made
    data = store.read(sha256)
    if data is None:
        return None
    made = shrink(data, longer_px)
    if made is not None:
        store.put_thumbnail(sha256, made)
    return made


def shrink(data: bytes, longer_px: int) -> bytes | None:
    """Decode, shrink and encode a JPEG; None if it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            picture.draft("RGB", (longer_px, longer_px))  # decodes at a fraction of the size
            small = picture.convert("RGB")
            small.thumbnail((longer_px, longer_px))
            out = io.BytesIO()
            small.save(out, "JPEG", quality=_QUALITY)
            return out.getvalue()
    except (OSError, SyntaxError, ValueError):
        return None
