"""Laws of sight: a camera that no longer sees is noticed, and a good one is left in peace."""

import json
import random
import threading
import time
from dataclasses import replace
from datetime import timedelta
from functools import cache

import cv2
import numpy as np
import pytest

from checkpoint_agent.capture import Feed
from checkpoint_agent.frames import Frame
from checkpoint_agent.health import CameraHealth, _camera
from checkpoint_agent.sight import PictureQuality, Sight, difference, judged, look_at
from tests.checkpoint_agent.fakes import NOON

SIZE = (270, 480)


@cache
def scene() -> np.ndarray:
    """Houses, a road and markings."""
    image = np.full((*SIZE, 3), 120, np.uint8)
    image[:100] = (200, 190, 180)
    for n in range(8):
        height_px = 30 + 15 * n % 45
        image[100 - height_px : 100, 60 * n : 60 * n + 45] = 40 + 23 * n
    for n in range(6):
        image[180:185, 80 * n : 80 * n + 40] = 235
    image[125:165, 50:130] = (60, 60, 160)
    return image


@cache
def grain(n: int) -> np.ndarray:
    """What a sensor adds, never the same: a level and a half."""
    return np.random.default_rng(n).normal(0, 1.5, (*SIZE, 3)).astype(np.float32)


@cache
def _street(n: int, share: float) -> np.ndarray:
    return np.clip(scene() * share + grain(n), 0, 255).astype(np.uint8)


def street(n: int, share: float = 1.0) -> np.ndarray:
    """A fresh picture of the street, this bright."""
    return _street(n % 7, share)


def watch(pictures, sight: Sight | None = None, start=NOON) -> tuple[Sight, list[str]]:
    """A picture every two seconds; the verdict after each."""
    sight = sight or Sight()
    return sight, [
        sight.see(picture, start + timedelta(seconds=2 * n)).state
        for n, picture in enumerate(pictures)
    ]


def with_clock(image: np.ndarray, second: int) -> np.ndarray:
    """With the time that cameras write into their pictures."""
    image = image.copy()
    text = f"2026-11-22 12:00:{second % 60:02d}"
    cv2.putText(image, text, (10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1)
    return image


@cache
def black() -> np.ndarray:
    """A lens cap, and the camera's own clock."""
    return with_clock(np.clip(6 + 2 * grain(1), 0, 255).astype(np.uint8), 0)


@cache
def _soft(n: int) -> np.ndarray:
    return np.clip(cv2.GaussianBlur(scene(), (0, 0), 4) + grain(n), 0, 255).astype(np.uint8)


def soft(n: int) -> np.ndarray:
    """The same street out of focus."""
    return _soft(n % 7)


def test_a_good_picture_is_good_and_stays_so():
    _, states = watch(street(n) for n in range(25))
    assert states[:3] == ["unknown"] * 3
    assert set(states[3:]) == {"good"}


def test_a_quiet_night_is_not_a_frozen_camera():
    """Nothing moves but a sensor's noise, of a level and a half."""
    _, states = watch(street(n, 0.3) for n in range(45))
    assert set(states) == {"unknown", "good"}


@pytest.mark.parametrize(
    ("bad", "name", "after_s"),
    [
        (lambda n: street(5), "frozen", 60),
        (lambda n: black(), "black", 10),
        (soft, "defocused", 60),
        (lambda n: np.full((*SIZE, 3), 90 + n % 9, np.uint8), "defocused", 60),
    ],
    ids=["frozen", "black", "out of focus", "covered"],
)
def test_a_camera_that_no_longer_sees_is_noticed_in_time_and_believed_again(bad, name, after_s):
    sight, _ = watch(street(n) for n in range(10))
    assert sight.quality.state == "good"
    later = NOON + timedelta(seconds=100)
    _, states = watch((bad(n) for n in range(after_s // 2 + 3)), sight, later)
    assert states[after_s // 4] == "good", "not at once"
    assert states[-1] == name
    assert abs(sight.quality.since_at - later) <= timedelta(seconds=2)
    _, states = watch((street(n) for n in range(10)), sight, later + timedelta(seconds=200))
    assert states[-1] == "good"


def test_a_frozen_picture_is_noticed_although_the_clock_in_it_goes_on():
    _, states = watch(with_clock(street(5), n) for n in range(35))
    assert states[-1] == "frozen"


def test_moments_change_nothing():
    """A lorry before the lens, a flash, a repeated picture: each for a few seconds."""
    sight, _ = watch(street(n) for n in range(10))
    start = NOON + timedelta(seconds=20)
    for n in range(48):
        picture = [street(n), black(), soft(n), street(7)][n // 4 % 4]
        assert sight.see(picture, start + timedelta(seconds=2 * n)).state == "good"


def test_a_camera_that_was_away_is_looked_at_anew():
    sight, _ = watch(street(5) for _ in range(25))
    sight.interrupt()
    _, states = watch((street(5) for _ in range(25)), sight, NOON + timedelta(seconds=52))
    assert "frozen" not in states


def test_a_clock_that_is_set_back_does_not_blind():
    sight, _ = watch(street(n) for n in range(10))
    _, states = watch((black() for _ in range(10)), sight, NOON - timedelta(hours=1))
    assert states[-1] == "black"


def test_nothing_is_said_before_something_is_seen():
    assert Sight().quality == PictureQuality()
    assert Sight().quality.state == "unknown"


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 4000, 3), (2160, 3840, 3), (17, 16, 3)])
def test_pictures_of_any_size_are_looked_at(shape):
    look = look_at(np.zeros(shape, np.uint8))
    assert look.bright_share == 0
    assert look.edge_px is None
    assert difference(look, look) == 0


def test_between_two_thresholds_the_verdict_stays():
    between = replace(look_at(street(1)), edge_px=1.7)
    assert judged(between, 1.0, "good") == "good"
    assert judged(between, 1.0, "defocused") == "defocused"


class Blind:
    """A live camera with its lens cap on, a frame every two seconds."""

    recorded, broken, fault, skipped = False, 0, None, 0

    def __init__(self, recorded: bool = False) -> None:
        self.recorded = recorded

    def frames(self, stop):
        for n in range(12):
            yield Frame(black(), NOON + timedelta(seconds=2 * n), n, str(n))


@pytest.mark.parametrize(("recorded", "told"), [(False, "black"), (True, None)])
def test_the_heartbeat_tells_of_a_live_camera_that_is_blind(recorded, told):
    """A recording is no camera that somebody could go and clean."""
    feed = Feed("gate-1", Blind(recorded), threading.Event())
    camera = CameraHealth("gate-1", feed)
    assert _camera(camera, 0.0).state.picture is None, "nothing was seen yet"
    feed.start()
    ends = time.monotonic() + 20
    while not feed.ended and time.monotonic() < ends:
        feed.take()
        time.sleep(0.005)
    assert _camera(camera, 0.0).state.picture == told


@pytest.mark.data
def test_real_street_scenes_are_seen_and_their_blurred_copies_are_not(imagery):
    """Sampled from the public benchmark: none is called black or soft, nearly all are if spoiled."""
    rows = [
        json.loads(line) for line in (imagery / "dev" / "scenes.jsonl").read_text().splitlines()
    ]
    rows = [row for row in rows if row["width"] >= 960]
    good = soft_found = black_found = 0
    chosen = random.Random(3).sample(rows, 8)
    for row in chosen:
        image = cv2.imread(str(imagery / row["file"]))
        good += judged(look_at(image), None, "unknown") == "good"
        blurred = cv2.GaussianBlur(image, (0, 0), 4 * image.shape[1] / 960)
        soft_found += judged(look_at(blurred), None, "good") == "defocused"
        black_found += judged(look_at(image // 16), None, "good") == "black"
    assert good == len(chosen)
    assert black_found == len(chosen)
    assert soft_found >= len(chosen) - 1
