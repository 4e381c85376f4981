"""``python -m anpr``: one JSON line for each picture, never a traceback."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest


def run(tiny_models, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "anpr", "--recogniser", "onnxruntime", *map(str, arguments)],
        env=os.environ | {"KAKOU_MODELS": str(tiny_models), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )


def lines_of(done):
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def picture(path, size=(240, 320)):
    image = np.zeros((*size, 3), np.uint8)
    image[80:110, 100:130] = 255
    assert cv2.imwrite(str(path), image)
    return path


def png_of_one_color(path, width, height):
    """A valid PNG of any size that takes almost no disk: rows of zeros compress well."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row * 100) for _ in range(height // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


def test_a_folder_gives_one_line_for_each_picture(tiny_models, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    picture(folder / "a.jpg")
    picture(folder / "deeper" / "b.png")
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    done = run(tiny_models, folder, "--draw", tmp_path / "drawn")
    lines = lines_of(done)
    assert done.returncode == 0, done.stderr
    assert [Path(line["file"]).name for line in lines] == ["a.jpg", "b.png"]
    for line in lines:
        assert (line["width"], line["height"]) == (320, 240)
        assert line["ms"] > 0
        assert "error" not in line
        for plate in line["plates"]:
            assert set(plate) == {"text", "score", "kind", "color", "box", "quad", "characters"}
            assert len(plate["quad"]) == 4
            assert [c["char"] for c in plate["characters"]] == list(plate["text"])
    assert lines[0]["plates"]
    assert {p.name for p in (tmp_path / "drawn").iterdir()} == {"a.jpg", "b.jpg"}


def test_bad_files_give_a_line_with_the_reason(tiny_models, tmp_path):
    good = picture(tmp_path / "good.jpg")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    text = tmp_path / "text.jpg"
    text.write_text("this is no picture\n" * 50, encoding="utf-8")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(picture(tmp_path / "whole.png").read_bytes()[:60])
    missing = tmp_path / "missing.jpg"
    bad = [empty, text, damaged, missing]
    done = run(tiny_models, *bad, good)
    lines = lines_of(done)
    assert done.returncode == 1
    assert [line["file"] for line in lines] == [str(p) for p in [*bad, good]]
    for line in lines[:-1]:
        assert line["file"] in line["error"]
        assert line["plates"] == []
    assert "error" not in lines[-1]


def test_one_pixel_is_a_picture_without_plates(tiny_models, tmp_path):
    assert cv2.imwrite(str(tmp_path / "one.png"), np.zeros((1, 1, 3), np.uint8))
    done = run(tiny_models, tmp_path / "one.png")
    (line,) = lines_of(done)
    assert (line["width"], line["height"], line["plates"]) == (1, 1, [])
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("width", "height", "readable"), [(10000, 10000, True), (40000, 30000, False)]
)
def test_huge_pictures_give_a_result_or_a_reason(tiny_models, tmp_path, width, height, readable):
    done = run(tiny_models, png_of_one_color(tmp_path / "huge.png", width, height))
    (line,) = lines_of(done)
    assert ("error" not in line) is readable
    assert done.returncode == (0 if readable else 1)


def test_a_folder_without_pictures_is_not_success(tiny_models, tmp_path):
    (tmp_path / "nothing").mkdir()
    done = run(tiny_models, tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stdout == ""


def test_missing_weights_are_named_without_a_traceback(tmp_path):
    done = run(tmp_path, tmp_path)
    assert done.returncode == 2
    assert "manifest.toml" in done.stderr
    assert "Traceback" not in done.stderr
