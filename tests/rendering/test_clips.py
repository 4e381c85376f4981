"""Laws of the named clips: reproducible, physical, and their truth is beside them."""

import json
import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import cv2
import pytest

from benchmarks.rendering import clips
from benchmarks.rendering.clips import CLIPS, START_AT, Clip, lane_outlines, rendered
from benchmarks.rendering.scene import render_frame
from benchmarks.rendering.vehicle import Direction, shell_of
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.crossing import Scene as Outlines


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_the_same_each_time(name):
    assert CLIPS[name].scene().passes == CLIPS[name].scene().passes


@pytest.mark.parametrize("name", CLIPS)
def test_no_vehicle_drives_through_another(name):
    scene = CLIPS[name].scene()
    lanes = defaultdict(list)
    for passing in scene.passes:
        lanes[passing.lane].append(passing)
    for passes in lanes.values():
        for first, second in pairwise(sorted(passes, key=lambda p: p.enters_at)):
            length_m = shell_of(first.vehicle, first.direction).length_m
            behind_m = shell_of(second.vehicle, second.direction).length_m
            at = second.enters_at
            while at < scene.leaves_at(first):
                ahead, after = scene.near_end_m(first, at), scene.near_end_m(second, at)
                if first.direction is Direction.APPROACHING:
                    assert after > ahead + length_m
                else:
                    assert ahead > after + behind_m
                at += timedelta(seconds=0.2)


def test_the_queue_stands_for_a_minute():
    scene = CLIPS["queue"].scene()
    first = scene.passes[0]
    places = [
        scene.near_end_m(first, START_AT + timedelta(seconds=s)) for s in range(12, 12 + 55, 5)
    ]
    assert max(places) - min(places) < 0.01
    assert first.stop is not None
    assert first.stop.for_s >= 59


def test_half_of_the_unplated_clip_shows_no_plate():
    passes = CLIPS["unplated"].scene().passes
    assert 0.3 < sum(not p.vehicle.plate for p in passes) / len(passes) < 0.7


def test_a_vehicle_without_a_plate_is_drawn_and_has_none():
    scene = CLIPS["unplated"].scene()
    bare = next(p for p in scene.passes if not p.vehicle.plate)
    frame = render_frame(replace(scene, passes=(bare,)), scene.best_seen_at(bare))
    assert [name for name, _ in frame.vehicles] == [bare.vehicle.vehicle_id]
    assert frame.truth == ()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_clip_is_encoded_once_with_its_truth_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "SIZE_PX", (640, 360))
    clip = Clip("short", 3.0, CLIPS["dense"].traffic, seed=3)
    monkeypatch.setattr(clips, "_QUIET_S", 0.0)
    monkeypatch.setattr(clips, "_TAIL_S", 1.0)
    video, truth = rendered(clip, tmp_path)
    known = json.loads(truth.read_text(encoding="utf-8"))
    capture = cv2.VideoCapture(str(video))
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    assert frames == len(known["frames"]) == 75
    assert {v["vehicle_id"] for v in known["vehicles"]} == {
        p.vehicle.vehicle_id for p in clip.scene().passes
    }
    assert any(frame["plates"] for frame in known["frames"])
    made_at = video.stat().st_mtime_ns
    assert rendered(clip, tmp_path)[0].stat().st_mtime_ns == made_at


def test_plates_are_in_the_lanes_of_the_truth():
    scene = CLIPS["day"].scene()
    tables = [{"number": n + 1, "outline": o} for n, o in enumerate(lane_outlines(scene))]
    camera = CameraConfig.model_validate({"id": "c", "source": "v.mp4", "lane": tables})
    outlines = Outlines.of(camera)
    for passing in scene.passes[::12]:
        frame = render_frame(replace(scene, passes=(passing,)), scene.best_seen_at(passing))
        (plate,) = frame.truth
        x, y = (sum(c[i] for c in plate.quad_px) / 4 for i in (0, 1))
        assert outlines.lane(x / 1920, y / 1080) == passing.lane + 1
