"""Footage on disk: names, truth, repeatability, and the command line."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.rendering.__main__ import main
from benchmarks.rendering.footage import frame_name, frame_times, random_vehicle, with_traffic
from benchmarks.rendering.scene import Scene

AT = datetime(2026, 1, 15, 2, 0, 0, tzinfo=UTC)
FAST = ["--size", "480x270", "--seconds", "4", "--fps", "4", "--vehicles", "2"]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    assert main(["--out", str(folder), *FAST]) == 0
    return folder


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (datetime(2026, 11, 22, 10, 15, 0, 120_000, UTC), "20261122T101500.120Z.jpg"),
        (datetime.fromisoformat("2026-11-22T18:15:00.120999+08:00"), "20261122T101500.120Z.jpg"),
    ],
)
def test_a_frame_is_named_by_its_time_in_utc(at: datetime, name: str):
    assert frame_name(at) == name


def test_frames_are_whole_pictures_in_order_of_time(footage: Path):
    files = sorted(footage.glob("*.jpg"))
    assert [f.name for f in files] == [frame_name(at) for at in frame_times(AT, 4, 4)]
    assert all(cv2.imread(str(f)).shape == (270, 480, 3) for f in files)
    assert not list(footage.glob("*.part"))


def test_truth_and_frames_agree(footage: Path):
    seen: dict[str, list[dict]] = {}
    for frame in lines(footage / "frames.jsonl"):
        for plate in frame["plates"]:
            seen.setdefault(plate["vehicle_id"], []).append(plate | {"at": frame["at"]})
    truth = lines(footage / "truth.jsonl")
    assert len(truth) == 2
    for line in truth:
        plates = seen[line["vehicle_id"]]
        assert {p["text"] for p in plates} == {line["plate"]}
        assert {p["color"] for p in plates} == {line["color"]}
        assert (plates[0]["at"], plates[-1]["at"]) == (line["first_at"], line["last_at"])
        assert max(p["width_px"] for p in plates) == pytest.approx(line["max_width_px"], abs=0.06)
        assert line["frames"] == len(plates)


def test_the_same_seed_writes_the_same_bytes(footage: Path, tmp_path: Path):
    assert main(["--out", str(tmp_path), *FAST]) == 0
    for path in footage.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_only_moving_leaves_out_the_empty_frames_and_no_other(footage: Path, tmp_path: Path):
    assert main(["--out", str(tmp_path), *FAST, "--only-moving"]) == 0
    kept = {p.name for p in tmp_path.glob("*.jpg")}
    everything = {p.name for p in footage.glob("*.jpg")}
    with_plates = {f["file"] for f in lines(footage / "frames.jsonl") if f["plates"]}
    assert with_plates <= kept < everything
    assert lines(tmp_path / "truth.jsonl") == lines(footage / "truth.jsonl")


def test_a_video_holds_every_frame(tmp_path: Path):
    assert main(["--out", str(tmp_path), *FAST, "--video", "--light", "dusk"]) == 0
    video = cv2.VideoCapture(str(tmp_path / "footage.mp4"))
    count = 0
    while video.read()[0]:
        count += 1
    video.release()
    assert count == len(lines(tmp_path / "frames.jsonl")) == 16


def test_random_traffic_keeps_its_distance():
    scene = with_traffic(Scene(seed=3), vehicles=12, start_at=AT, seconds=36)
    assert len(scene.passes) == 12
    for lane in (0, 1):
        enters = sorted(p.enters_at for p in scene.passes if p.lane == lane)
        gaps = [b - a for a, b in pairwise(enters)]
        assert min(gaps) > timedelta(seconds=2)


def test_random_vehicles_are_repeatable():
    one, two = (random_vehicle("v", np.random.default_rng(9), province="鲁") for _ in range(2))
    assert one == two


@pytest.mark.parametrize("option", [["--size", "big"], ["--start", "noon"], ["--light", "fog"]])
def test_a_bad_option_is_explained(option: list[str], tmp_path: Path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path), *option])
    assert stop.value.code == 2
    assert option[1] in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    assert main(["--out", str(blocked), *FAST]) == 1
    assert str(blocked) in capsys.readouterr().err
