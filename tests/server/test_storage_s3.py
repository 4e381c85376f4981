"""Pictures on S3-compatible storage: the same laws as in a folder, against a real S3 server."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.errors import SettingsError
from server.ingest.evidence_s3 import S3Pictures, picture_store
from server.ingest.evidence_store import EvidenceStore, PictureStore
from server.ingest.thumbnails import shrink, thumbnail
from server.scrub import scrub
from server.settings import Settings
from tests.server.conftest import PURPOSE, SteppingClock, jpeg, make_passage, serving, sha256


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Moto's S3 on a free loopback port."""
    moto = pytest.importorskip("moto.server", reason="needs moto and flask: make setup")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(s3_server: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    bucket = f"bucket-{abs(hash(request.node.name)) % 10**8}"
    import urllib.request  # noqa: PLC0415

    asked = urllib.request.Request(f"{s3_server}/{bucket}", method="PUT")  # noqa: S310 - loopback
    urllib.request.urlopen(asked).close()  # noqa: S310 - loopback
    secret = tmp_path / "secret"
    secret.write_text("not-checked\n")
    return Settings(
        data_dir=tmp_path / "server",
        evidence={
            "store": f"s3://{bucket}/kakou",
            "s3_endpoint": s3_server,
            "s3_key_id": "key",
            "s3_secret_file": secret,
        },
    )


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    if request.param == "folder":
        return EvidenceStore(tmp_path / "evidence")
    return picture_store(request.getfixturevalue("s3_settings"))


def test_a_picture_is_there_whole_or_not_at_all(store: PictureStore) -> None:
    data = jpeg("a")
    name = sha256(data)
    assert not store.has(name)
    assert store.read(name) is None
    assert store.stored_at(name) is None
    assert not store.remove(name)
    store.put(name, data)
    store.put(name, data)
    assert store.has(name)
    assert store.read(name) == data
    assert list(store.names()) == [name]
    stored_at = store.stored_at(name)
    assert stored_at is not None
    assert stored_at.tzinfo is not None
    assert store.remove(name)
    assert list(store.names()) == []


def test_bytes_under_another_name_are_refused(store: PictureStore) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.put(sha256(b"other"), jpeg())
    for name in ("", "../../etc/passwd", "A" * 64):
        with pytest.raises(ValueError, match="SHA-256"):
            store.read(name)


def test_a_thumbnail_is_made_once_and_goes_with_its_picture(store: PictureStore) -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    picture = numpy.full((720, 1280, 3), 90, numpy.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    name = sha256(data)
    assert thumbnail(store, name, 320) is None
    store.put(name, data)
    small = thumbnail(store, name, 320)
    assert small is not None
    shape = cv2.imdecode(numpy.frombuffer(small, numpy.uint8), cv2.IMREAD_COLOR).shape
    assert shape == (180, 320, 3)
    assert thumbnail(store, name, 64) == small, "kept"
    assert list(store.names()) == [name], "a thumbnail is no picture"
    store.remove(name)
    assert thumbnail(store, name, 320) is None


@pytest.mark.parametrize("data", [b"", b"x", jpeg(), b"\xff\xd8" + b"\0" * 100])
def test_what_cannot_be_decoded_has_no_thumbnail(data: bytes) -> None:
    assert shrink(data, 320) is None


def test_a_server_keeps_its_pictures_on_s3(
    s3_settings: Settings, sqlite_settings: Settings
) -> None:
    both = sqlite_settings.model_copy(update={"evidence": s3_settings.evidence})
    data = jpeg("scene")
    with serving(both, SteppingClock()) as site:
        assert site.put(data).status_code == 201
        assert site.outcomes(make_passage(pictures=[data])) == ["accepted"]
        officer = site.as_role("officer")
        (found,) = officer.get("/api/v1/passages", plate="鲁H12345", **PURPOSE).json()["passages"]
        assert officer.get(found["evidence"][0]["url"]).content == data
        assert scrub(site.context.database, site.context.evidence, site.clock()).is_well
    assert not sqlite_settings.evidence_dir.exists()


def test_storage_that_is_away_is_503_and_nothing_is_acknowledged(sqlite_settings: Settings) -> None:
    away = {"store": "s3://b/p", "s3_endpoint": "http://127.0.0.1:9", "s3_key_id": "k"}
    settings = sqlite_settings.model_copy(
        update={"evidence": sqlite_settings.evidence.model_copy(update=away)}
    )
    with serving(settings, SteppingClock()) as site:
        store = site.context.evidence
        assert isinstance(store, S3Pictures)
        assert site.put(jpeg("x")).status_code == 503
        assert site.count("evidence") == 0


@pytest.mark.parametrize("address", ["http://x", "s3://", "folder"])
def test_an_address_that_is_none_is_said(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match=r"evidence\.store"):
        picture_store(Settings(data_dir=tmp_path, evidence={"store": address}))
