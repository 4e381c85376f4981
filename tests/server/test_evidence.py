"""Pictures as files: whole or not there at all."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.evidence_store import EvidenceStore
from server.ingest.jpeg import JpegSize, NotJpegError, jpeg_size
from tests.server.conftest import jpeg, sha256


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_of_a_real_jpeg_is_read(quality: int, progressive: bool) -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    picture = numpy.random.default_rng(1).integers(0, 255, (90, 160, 3), dtype=numpy.uint8)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    ok, encoded = cv2.imencode(".jpg", picture, flags)
    assert ok
    data = encoded.tobytes()
    assert jpeg_size(data) == JpegSize(160, 90)
    for cut in (0, 1, 10, 200, len(data) // 2, len(data) - 2):
        with pytest.raises(NotJpegError):
            jpeg_size(data[:cut])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for candidate in (data, b"\xff\xd8" + data, jpeg()[:20] + data, data + jpeg()):
        try:
            size = jpeg_size(candidate)
        except NotJpegError:
            continue
        assert size.width_px > 0
        assert size.height_px > 0


def test_storing_again_is_harmless_and_a_damaged_file_is_mended(tmp_path: Path) -> None:
    store, data = EvidenceStore(tmp_path), jpeg("a")
    name = sha256(data)
    store.put(name, data)
    store.put(name, data)
    assert store.path(name).read_bytes() == data
    store.path(name).write_bytes(data[:10])
    store.put(name, data)
    assert store.path(name).read_bytes() == data


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    store, data = EvidenceStore(tmp_path), jpeg("a")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put(sha256(data), data)
    assert not store.has(sha256(data))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_bytes_with_another_hash_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        EvidenceStore(tmp_path).put(sha256(b"other"), jpeg())


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_a_hash_names_a_picture(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        EvidenceStore(tmp_path).path(name)


def test_the_folder_is_closed_to_other_users_of_the_machine(tmp_path: Path) -> None:
    data = jpeg("a")
    EvidenceStore(tmp_path / "data" / "evidence").put(sha256(data), data)
    assert (tmp_path / "data" / "evidence").stat().st_mode & 0o077 == 0
