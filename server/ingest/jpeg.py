"""Just enough of JPEG (ITU-T T.81) to know that bytes are a whole picture and how large it is."""

from dataclasses import dataclass

_SOI = b"\xff\xd8"
_EOI = b"\xff\xd9"
_SOS = 0xDA
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


class NotJpegError(ValueError):
    """The bytes are not a whole JPEG picture; the message says why."""


@dataclass(frozen=True, slots=True)
class JpegSize:
    """Width and height in pixels."""

    width_px: int
    height_px: int


def jpeg_size(data: bytes) -> JpegSize:
    """Walk the segments up to the first scan and return the picture's size.

    Raises:
        NotJpegError: not a JPEG, without a size, or cut off before its end.
    """
    if not data.startswith(_SOI):
        raise NotJpegError("does not begin like a JPEG")
    size: JpegSize | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise NotJpegError(f"no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAME_HEADERS:
            size = _size(data[at + 4 : at + 2 + length])
        if marker == _SOS:
            return _finished(data, at, size)
        at += 2 + length
    raise NotJpegError("is cut off before the picture begins")


def _size(frame_header: bytes) -> JpegSize:
    if len(frame_header) < 5:
        raise NotJpegError("its frame header is too short")
    height = int.from_bytes(frame_header[1:3], "big")
    width = int.from_bytes(frame_header[3:5], "big")
    if not width or not height:
        raise NotJpegError("has no size")
    return JpegSize(width, height)


def _finished(data: bytes, scan_at: int, size: JpegSize | None) -> JpegSize:
    if size is None:
        raise NotJpegError("has no size")
    if data.rfind(_EOI) <= scan_at:
        raise NotJpegError("is cut off before its end")
    return size
