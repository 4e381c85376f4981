"""Laws of vehicles without a plate: each is one passage, and nothing else is."""

from datetime import timedelta

import cv2
import numpy as np
import pytest

from checkpoint_agent.clock import ClockState
from checkpoint_agent.config import CameraConfig, PassageConfig
from checkpoint_agent.foreground import Foreground
from checkpoint_agent.frames import Frame
from checkpoint_agent.pipeline import Kept, Pipeline
from server.wire import Models
from tests.checkpoint_agent.fakes import ILLEGIBLE, NOON, FakeReader, Signs

FPS = 10.0
SIZE = (180, 320)
CAR, LORRY, WALKER = 65.0, 110.0, 15.0
"""Widths on the trip line, px of a frame 320 wide."""
PAINT, TRIM = (45, 45, 45), (200, 200, 200)
TEXTS = ["京A12345", "沪B77777", "粤C88D66"]
SIGNS = Signs([*TEXTS, ILLEGIBLE])
NOISE = [
    np.random.default_rng(n).normal(10, 4, (*SIZE, 3)).clip(0, 40).astype(np.uint8)
    for n in range(7)
]


class Road:
    """A grey, noisy road; what drives on it is a dark box, with a sign for a plate or without."""

    def __init__(self, seconds, light=lambda t: 1.0):
        self.frames = round(seconds * FPS)
        self.light = light
        self.things = []

    def drive(self, enters_s, x, *, width=CAR, text=None, stands_s=0.0, up=False, high=75.0):
        """Something crosses the picture in two seconds, or stands on the line for a while."""
        self.things.append((enters_s, x, width, text, stands_s, up, high))
        return self

    def _place(self, t, enters_s, stands_s, *, up):
        """Where its near end is, px from the top."""
        s = t - enters_s
        if s > 1.2:
            s = max(1.2, s - stands_s)
        y = 20 + s * 130
        return SIZE[0] + 90 - y if up else y

    def picture(self, n):
        t = n / FPS
        image = np.full((*SIZE, 3), 110, np.uint8)
        signs = []
        for enters_s, x, width, text, stands_s, up, high in self.things:
            y = self._place(t, enters_s, stands_s, up=up)
            if not -25 < y < SIZE[0] + 125 or t < enters_s:
                continue
            a, b = (round(x), round(y - high)), (round(x + width), round(y))
            cv2.rectangle(image, a, b, PAINT, -1)
            for bar in range(a[1] + 8, b[1], 16):  # grille, edges and glass: nothing is quite flat
                cv2.rectangle(image, (a[0] + 4, bar), (b[0] - 4, bar + 5), TRIM, -1)
            if text and 10 < y - 15 < SIZE[0] - 15:
                signs.append((text, round(x + width / 2 - 13), round(y - 15)))
        image = cv2.add(cv2.convertScaleAbs(image, alpha=self.light(t)), NOISE[n % len(NOISE)])
        for text, x, y in signs:
            cv2.rectangle(image, (x, y), (x + 26, y + 8), SIGNS.color_of[text], -1)
        return image

    def passages(self, **camera):
        pipeline = Pipeline(
            CameraConfig.model_validate({"id": "c", "source": "v.mp4", "unplated": True} | camera),
            PassageConfig(),
            FakeReader(SIGNS),
            models=Models(agent="a", detector="d", recogniser="r"),
            clock_state=lambda: ClockState(synchronised=True),
            stills=False,
            kept=None,
        )
        found = []
        for n in range(self.frames):
            at = NOON + timedelta(seconds=n / FPS)
            frame = Frame(self.picture(n), at, n, str(n), str(n), str(n + 1))
            found += pipeline.see(frame).entries
        found += pipeline.flush().entries
        return [entry.passage for entry in found]


def states(passages):
    return sorted(p.plate.text or p.plate.state for p in passages)


LANES = [
    {"number": 1, "outline": [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]},
    {"number": 2, "outline": [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]},
]


@pytest.mark.parametrize(
    ("law", "road", "wanted"),
    [
        ("an empty road is no vehicle", Road(8), []),
        ("a vehicle without a plate is one", Road(8).drive(3, 50), ["none"]),
        ("one with a plate is not counted twice", Road(8).drive(3, 50, text=TEXTS[0]), TEXTS[:1]),
        (
            "one whose plate is illegible is one",
            Road(8).drive(3, 50, text=ILLEGIBLE),
            ["unread"],
        ),
        (
            "side by side each is its own",
            Road(8).drive(3, 50).drive(3, 200, text=TEXTS[0]),
            ["none", TEXTS[0]],
        ),
        (
            "one behind the other, too",
            Road(12).drive(3, 50).drive(5.5, 50, text=TEXTS[0]).drive(8, 50),
            ["none", "none", TEXTS[0]],
        ),
        ("a lorry is one", Road(9).drive(3, 30, width=LORRY, high=165), ["none"]),
        ("a walker is none", Road(8).drive(3, 50, width=WALKER), []),
        ("who goes away is seen, too", Road(8).drive(3, 50, up=True), ["none"]),
        ("standing on the line makes one", Road(40).drive(3, 50, stands_s=30), ["none"]),
        (
            "standing with a plate makes one",
            Road(40).drive(3, 50, stands_s=30, text=TEXTS[0]),
            TEXTS[:1],
        ),
        ("nightfall is no vehicle", Road(12, lambda t: 1.0 if t < 5 else 0.35), []),
        (
            "after nightfall vehicles are seen again",
            Road(20, lambda t: max(0.35, 1.0 - t / 12)).drive(16, 50),
            ["none"],
        ),
        ("a cloud is no vehicle", Road(12, lambda t: 1.0 - 0.3 * (5 < t < 7)), []),
    ],
)
def test_who_is_a_passage(law, road, wanted):
    assert states(road.passages(lane=LANES)) == sorted(wanted), law


def test_an_unplated_passage_says_where_and_shows_it():
    road = Road(8).drive(3, 200)
    (passage,) = road.passages(lane=LANES)
    assert (passage.lane, passage.direction) == (2, "approaching")
    assert [e.role for e in passage.evidence] == ["scene", "vehicle"]
    assert passage.captured_at == passage.evidence[0].captured_at
    x1, _, x2, _ = passage.vehicle_box_px
    assert x1 == pytest.approx(200, abs=8)
    assert x2 == pytest.approx(265, abs=8)


def test_who_goes_away_is_said_to():
    (passage,) = Road(8).drive(3, 50, up=True).passages()
    assert passage.direction == "receding"


def test_outside_the_region_nobody_is_counted():
    region = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    assert Road(8).drive(3, 50).passages(region=region) == []


def test_switched_off_only_plates_count():
    road = Road(8).drive(3, 50).drive(3, 200, text=TEXTS[0])
    assert states(road.passages(unplated=False)) == TEXTS[:1]


def test_a_plate_across_the_trip_line_is_reported_at_once():
    road = Road(8).drive(2, 50, text=TEXTS[0])
    (passage,) = road.passages(trip_line=[[0.0, 0.5], [1.0, 0.5]])
    assert passage.plate.text == TEXTS[0]
    assert passage.track.last_at < NOON + timedelta(seconds=4)


def test_a_plate_cut_off_by_the_picture_is_not_read():
    """What is left of it would be another plate."""
    reader = FakeReader(SIGNS)
    pipeline = Pipeline(
        CameraConfig.model_validate({"id": "c", "source": "v.mp4", "unplated": False}),
        PassageConfig(),
        reader,
        models=Models(agent="a", detector="d", recogniser="r"),
        clock_state=lambda: ClockState(synchronised=True),
        stills=False,
        kept=None,
    )
    entries = []
    for n, y in enumerate((336, 339, 342, 345, 348)):
        image = SIGNS.picture((TEXTS[0], 200, y, 80))
        at = NOON + timedelta(seconds=n / 5)
        entries += pipeline.see(Frame(image, at, n, str(n), str(n), str(n + 1))).entries
    assert [*entries, *pipeline.flush().entries] == []
    assert reader.reads == 0


def pipeline_of(road, kept=None):
    camera = {"id": "c", "source": "v.mp4", "unplated": True, "lane": LANES}
    return Pipeline(
        CameraConfig.model_validate(camera),
        PassageConfig(),
        FakeReader(SIGNS),
        models=Models(agent="a", detector="d", recogniser="r"),
        clock_state=lambda: ClockState(synchronised=True),
        stills=False,
        kept=kept,
    )


@pytest.mark.parametrize("killed_at", [44, 57, 75, 90])
def test_a_recording_read_again_has_each_vehicle_without_a_plate_once(killed_at):
    """Whatever frame the power goes at: what was stored until then and what comes after make one."""
    road = Road(12).drive(3, 50).drive(6, 50, text=TEXTS[0]).drive(8, 200)
    camera = CameraConfig.model_validate({"id": "c", "source": "v.mp4"})
    stored, place, marks = {}, None, None

    def take(outcome):
        nonlocal place, marks
        stored.update({entry.passage.passage_id: entry.passage for entry in outcome.entries})
        place, marks = outcome.kept or place, outcome.marks or marks

    def frame(n):
        at = NOON + timedelta(seconds=n / FPS)
        return Frame(road.picture(n), at, n, str(n), str(n), str(n + 1))

    pipeline = pipeline_of(road)
    place = pipeline.kept_before(frame(0))
    for n in range(killed_at):
        take(pipeline.see(frame(n)))
    kept = Kept.load(place, camera, marks)
    pipeline = pipeline_of(road, kept)
    for n in range(int(kept.reads_from), road.frames):
        take(pipeline.see(frame(n)))
    take(pipeline.flush())
    assert states(stored.values()) == sorted(["none", TEXTS[0], "none"])


def test_a_dark_lorry_is_no_night():
    """It fills the picture for a while; the road stays known."""
    road = Road(14).drive(4, 0, width=320, high=250, stands_s=2).drive(10, 50)
    view = Foreground()
    seen = [view.see(road.picture(n), occupied=20 < n < 100).dark for n in range(road.frames)]
    assert not any(seen)


def test_nightfall_is_noticed_on_an_empty_road_soon_and_on_a_full_one_at_last():
    day, night = Road(1).picture(0), Road(1, lambda _: 0.3).picture(0)
    for occupied, frames in ((False, 60), (True, 1600)):
        view = Foreground()
        view.see(day, occupied=False)
        assert not view.see(night, occupied=occupied).dark
        assert [view.see(night, occupied=occupied) for _ in range(frames)][-1].dark
