"""What is measured must be measurable: calibration, degradations, confusions, times."""

from types import SimpleNamespace

import numpy as np
import pytest

from anpr import Box, PlateRead, Quad
from anpr.plate import PROVINCES, PlateColor, PlateKind
from anpr.types import Character
from benchmarks import calibration, provinces
from benchmarks.checkpoint_frames import CheckpointFrame, Shown
from benchmarks.confusion_counts import Confusion
from benchmarks.degradations import DEGRADATIONS
from benchmarks.latency import Clock

PLATE = Box(130.0, 100.0, 230.0, 132.0)


def scored(odds_factor, n=4000, seed=0):
    """Reads whose true log-odds are the given factor of those that their score claims."""
    rng = np.random.default_rng(seed)
    claimed = rng.normal(1.5, 1.5, n)
    right = rng.random(n) < 1 / (1 + np.exp(-odds_factor * claimed))
    return [(float(1 / (1 + np.exp(-c))), bool(r)) for c, r in zip(claimed, right, strict=True)]


def test_honest_scores_have_hardly_any_calibration_error():
    assert calibration.expected_calibration_error(scored(1.0)) < 0.02


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_dishonest_scores_are_found_out_and_set_right(factor):
    reads = scored(factor)
    slope, offset = calibration.fitted(reads)
    assert slope == pytest.approx(factor, rel=0.1)
    assert offset == pytest.approx(0.0, abs=0.2)
    before = calibration.expected_calibration_error(reads)
    after = calibration.expected_calibration_error(calibration.cross_validated(reads))
    assert after < before / 2


def test_the_proposal_is_for_raw_scores_whatever_mapping_is_in_use():
    raw = scored(2.0)
    in_use = (0.5, 0.3)
    report = calibration.report(calibration.mapped(raw, in_use), in_use)
    assert report["proposed"]["calibration"] == pytest.approx(calibration.fitted(raw), abs=0.01)


@pytest.mark.parametrize("reads", [[], [(0.9, True)], [(0.9, True), (0.4, False)]])
def test_however_few_reads_there_are_they_are_reported(reads):
    """Frames of foreign plates alone hold none that the calibration is about."""
    assert calibration.report(reads, (0.85, 0.0))["reads"] == len(reads)


@pytest.mark.parametrize(
    ("read", "truth", "right"),
    [("京A12345", "京A12345", True), ("京A1?345", "京A12345", True), ("京A1234", "京A12345", False),
     ("京A12346", "京A12345", False)],
)  # fmt: skip
def test_unread_places_claim_nothing(read, truth, right):
    assert calibration.claims_are_right(read, truth) is right


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_a_degradation_keeps_the_size_and_gets_worse_with_its_level(name):
    rng = np.random.default_rng(1)
    small = rng.integers(40, 216, (30, 45, 3)).astype(np.uint8)
    image = np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
    degradation = DEGRADATIONS[name]
    distances = []
    for level in degradation.levels:
        worse = degradation.apply(image.copy(), PLATE, level, np.random.default_rng(5))
        assert worse.shape == image.shape
        assert worse.dtype == np.uint8
        distances.append(float(np.abs(worse.astype(int) - image)[100:132, 130:230].mean()))
    assert distances[0] < 12
    assert distances[-1] > distances[0] + 1
    assert distances[-1] >= distances[1]


def read_of(text, alternatives):
    characters = tuple(Character(c, 0.9, a) for c, a in zip(text, alternatives, strict=True))
    quad = Quad((0, 0), (10, 0), (10, 4), (0, 4))
    return PlateRead(text, 0.9, PlateKind.SMALL, PlateColor.BLUE, quad, 1, 0.9, characters)


def test_a_province_is_judged_by_its_plates_wide_enough_and_says_what_it_was_taken_for(monkeypatch):
    box = Box(0, 0, 10, 4)
    shown = [
        ("京A", 90),
        ("京B", 90),
        ("京C", 60),
        *((f"{p}A", 90) for p in PROVINCES if p != "京"),
    ]
    frames = [
        CheckpointFrame(np.zeros((1, 1, 3), np.uint8), (Shown(text, box, wide),))
        for text, wide in shown
    ]
    monkeypatch.setattr(provinces, "plate_widths", lambda *_: frames)
    answers = iter(["京A", "津B", "??", *(text for text, _ in shown[3:])])
    reads = {id(f.image): read_of(text, ((), ())) for f, text in zip(frames, answers, strict=True)}
    reader = SimpleNamespace(
        read=lambda image: [reads[id(image)]], detector_name="d", recogniser_name="r"
    )
    found = provinces.measure(reader, 1, None)
    assert found["provinces"]["京"] == {
        "plates": 2, "found": 1.0, "exact": 0.5, "taken for": {"津": 1},
    }  # fmt: skip
    assert (found["least"], found["below the goal"]) == (0.5, ["京"])
    assert found["all"] == pytest.approx(31 / 32, abs=1e-4)


def test_confusions_count_what_was_shown_claimed_and_believed():
    counts = Confusion()
    counts.add("real", "B8", read_of("88", ((("B", 0.1),), ())))
    counts.add("real", "B8", read_of("B8", ((("8", 0.1),), ())))
    counts.add("real", "B8", read_of("B88", ((), (), ())))
    counts.add("real", "B8", None)
    found = counts.as_json()["characters"]
    assert found["B"]["shown"] == {"real": 2}
    assert found["B"]["read"] == {"real": {"8": 1, "B": 1}}
    assert found["B"]["believed"]["real"]["8"] == pytest.approx(0.5)
    assert counts.mistakes() == [{"true": "B", "read": "8", "times": 1, "of": 2}]


def test_a_clock_adds_up_within_a_frame_and_starts_anew_with_the_next():
    clock = Clock()
    work = clock.timed(lambda: sum(range(20_000)), "work")
    for times in (1, 8, 1):
        clock.next_frame()
        for _ in range(times):
            work()
    assert clock.frames[1]["work"] > clock.frames[0]["work"]
    assert "never" not in clock.frames[1]


def test_bf16_keeps_eight_bits_of_a_number_and_rounds_to_the_nearest():
    rounded_to_bf16 = pytest.importorskip(
        "benchmarks.quantised", reason="kakou[bench] is not installed", exc_type=ImportError
    ).rounded_to_bf16
    values = np.random.default_rng(3).normal(0, 10, 4000).astype(np.float32)
    rounded = rounded_to_bf16(values.reshape(40, 100))
    assert rounded.shape == (40, 100)
    assert not (rounded.ravel().view(np.uint32) & 0xFFFF).any()
    assert (np.abs(rounded.ravel() - values) <= np.abs(values) * 2.0**-8).all()
    assert np.array_equal(rounded_to_bf16(rounded), rounded)
    halfway = np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)
    assert rounded_to_bf16(halfway).view(np.uint32).tolist() == [0x3F800000, 0x3F820000]
