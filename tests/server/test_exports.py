"""Files to take away: whole, harmless, accounted for, and only of what one may see."""

import csv
import hashlib
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pypdfium2
import pytest
from PIL import Image
from sqlalchemy import text

from server.checkpoints.service import CheckpointPlace, put_checkpoint
from server.errors import Unavailable
from server.exports.fonts import chinese_font
from server.exports.tables import column_names, write_csv
from tests.server.conftest import NOW, PURPOSE, Site, make_passage

NASTY = '=HYPERLINK("http://x","y")'


def picture(color: str) -> bytes:
    """A real JPEG."""
    data = io.BytesIO()
    Image.new("RGB", (64, 32), color).save(data, "JPEG")
    return data.getvalue()


def export(site: Site, path: str, role: str = "officer", **params: Any) -> Any:
    return site.as_role(role).get(f"/api/v1/exports/{path}", **PURPOSE, **params)


def accounts(site: Site, action: str) -> list[dict[str, Any]]:
    query = "SELECT detail FROM audit_log WHERE action = :action ORDER BY seq"
    with site.context.database.read() as session:
        rows = session.execute(text(query), {"action": action}).scalars().all()
    return [json.loads(row) if isinstance(row, str) else row for row in rows]


@pytest.fixture
def filled(site: Site) -> Site:
    """Three passages; one checkpoint's name is a formula."""
    with site.context.database.write() as session:
        nasty = CheckpointPlace("kk-west", NASTY, "", 35.4, 116.5, "@road", "")
        put_checkpoint(session, nasty, NOW)
    for number, camera in enumerate(("west-1", "centre-1", "north-1")):
        at = NOW - timedelta(minutes=number)
        site.outcomes(make_passage(plate=f"鲁H0000{number}", captured_at=at, camera_id=camera))
    return site


def test_csv_holds_what_was_found_and_no_formula(filled: Site) -> None:
    answer = export(filled, "passages.csv", plate="鲁H0000?")
    assert answer.status_code == 200
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["plate"] == "号牌"  # the second line says it in Chinese
    assert [row["plate"] for row in rows[1:]] == ["鲁H00000", "鲁H00001", "鲁H00002"]
    assert rows[1]["checkpoint"] == "'" + NASTY
    assert rows[1]["road"] == "'@road"
    assert rows[1]["captured_at"] == "2026-11-22T18:15:00.000+08:00"
    digest = hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["x-content-sha256"] == digest
    (account,) = accounts(filled, "export.passages")
    assert (account["sha256"], account["found"], account["plate"]) == (digest, 3, "鲁H0000?")


def test_xlsx_holds_the_same_as_texts(filled: Site) -> None:
    answer = export(filled, "passages.xlsx", plate="鲁H0000?")
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    rows = list(book["过车"].iter_rows(values_only=True))
    names = list(rows[1])
    assert names == list(column_names())
    assert [row[1] for row in rows[2:]] == ["鲁H00000", "鲁H00001", "鲁H00002"]
    cell = book["过车"].cell(3, names.index("checkpoint") + 1)
    assert (cell.value, cell.data_type) == (NASTY, "s")
    about = {row[0]: row[1] for row in book["查询"].iter_rows(values_only=True)}
    assert PURPOSE["case_number"] in about.values()


def test_geojson_is_a_collection_of_points(filled: Site) -> None:
    answer = export(filled, "passages.geojson", road="人民")
    assert answer.headers["content-type"] == "application/geo+json"
    (feature,) = answer.json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [116.587, 35.415]}
    assert feature["properties"]["plate"] == "鲁H00001"
    assert export(filled, "passages.geojson", plate="京*").json()["features"] == []


def test_pages_make_one_file_in_order(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.exports.service._PAGE", 7)
    sent = [make_passage(captured_at=NOW - timedelta(seconds=n // 3)) for n in range(40)]
    sqlite_site.outcomes(*sent)
    answer = export(sqlite_site, "passages.csv", plate="鲁H12345")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]
    assert {row["passage_id"] for row in rows} == {one["passage_id"] for one in sent}
    assert len(rows) == 40
    times = [row["captured_at"] for row in rows]
    assert times == sorted(times, reverse=True)


def test_an_evidence_package_shows_each_picture_with_its_hash_and_holds_the_passage(
    site: Site,
) -> None:
    scene, crop, lost = picture("red"), picture("blue"), picture("green")
    for one in (scene, crop, lost):
        site.put(one)
    sent = make_passage(pictures=[scene, crop, lost])
    site.outcomes(sent)
    site.context.evidence.remove(hashlib.sha256(lost).hexdigest())
    answer = export(site, "evidence.pdf", passage_id=sent["passage_id"])
    assert answer.headers["content-type"] == "application/pdf"
    document = pypdfium2.PdfDocument(answer.content)
    said = "".join(page.get_textpage().get_text_range() for page in document)
    for expected in ("证据材料", "鲁H12345", PURPOSE["case_number"], sent["passage_id"], "西卡口"):
        assert expected in said
    for one in (scene, crop, lost):
        assert hashlib.sha256(one).hexdigest() in said
    assert said.count("与存储的 SHA-256 一致") == 2
    assert said.count("图片缺失") == 1
    for one in (scene, crop):  # as it was sent, byte for byte
        assert one in answer.content
    (account,) = accounts(site, "export.evidence")
    assert account["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert site.count("passage_hold") == 1


def test_a_picture_that_cannot_be_decoded_is_said_and_its_hash_kept(sqlite_site: Site) -> None:
    from tests.server.conftest import jpeg  # noqa: PLC0415 - a JPEG without a picture in it

    broken = jpeg("broken")
    sqlite_site.put(broken)
    sent = make_passage(pictures=[broken])
    sqlite_site.outcomes(sent)
    answer = export(sqlite_site, "evidence.pdf", passage_id=sent["passage_id"])
    said = "".join(p.get_textpage().get_text_range() for p in pypdfium2.PdfDocument(answer.content))
    assert "图片无法解码" in said
    assert hashlib.sha256(broken).hexdigest() in said


def test_exports_are_for_officers_with_a_purpose(sqlite_site: Site) -> None:
    sqlite_site.outcomes(sent := make_passage())
    ids = {"passage_id": sent["passage_id"]}
    for path, params in (("passages.csv", {"plate": "鲁H12345"}), ("evidence.pdf", ids)):
        assert export(sqlite_site, path, "operator", **params).status_code == 403
        bare = sqlite_site.as_role("officer").get(f"/api/v1/exports/{path}", **params)
        assert (bare.status_code, bare.json()["code"]) == (422, "purpose_missing")
    assert accounts(sqlite_site, "export.passages") == []


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("passages.exe", {"plate": "鲁H12345"}, 422),
        ("passages.csv", {}, 422),
        ("passages.csv", {"plate": "*"}, 422),
        ("../../etc/passwd", {}, 404),
        ("evidence.pdf", {}, 422),
        ("evidence.pdf", {"passage_id": "../x"}, 422),
        ("evidence.pdf", {"passage_id": ["01900000-0000-7000-8000-000000000000"] * 101}, 422),
        ("evidence.pdf", {"passage_id": "01900000-0000-7000-8000-000000000000"}, 404),
    ],
)
def test_a_wrong_export_is_refused(
    sqlite_site: Site, path: str, params: dict[str, Any], status: int
) -> None:
    assert export(sqlite_site, path, **params).status_code == status


def test_protected_plates_are_in_no_file(sqlite_site: Site) -> None:
    site = sqlite_site
    site.outcomes(make_passage(), hidden := make_passage(plate="鲁H99999"))
    with site.context.database.write() as session:
        session.execute(
            text(
                "INSERT INTO protected_plate (id, plate, authority, added_at, added_by)"
                " VALUES (1, '鲁H99999', 'x', '2026-01-01 00:00:00', 'custodian')"
            )
        )
    answer = export(site, "passages.csv", plate="鲁H*")
    assert "鲁H12345" in answer.text
    assert "鲁H99999" not in answer.text
    assert export(site, "evidence.pdf", passage_id=hidden["passage_id"]).status_code == 404


def test_without_a_chinese_font_the_installer_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"fonts-noto-cjk"):
        chinese_font(tmp_path / "none.ttf")


def test_an_empty_table_has_its_header() -> None:
    file = io.BytesIO()
    assert write_csv(file, [], ZoneInfo("Asia/Shanghai"), {}) == 0
    assert len(file.getvalue().splitlines()) == 2
