"""Laws of repetition: who was hidden is the same vehicle, who comes again passes again."""

import json
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_agent.config import CameraConfig, PassageConfig
from checkpoint_agent.crossing import Border, Scene, has_entered, has_left
from checkpoint_agent.repeats import Repeats, Reported
from tests.checkpoint_agent.fakes import NOON, track

A = "京A12345"
WHOLE = Border((1920, 1080))
HERE, THERE = [(400, 400)] * 4, [(1500, 800)] * 4
COMES = [(600 - 10 * n, 20 + 30 * n) for n in range(5)]
"""From the far edge to (560, 140), and lost there."""
PASSES = [(600 - 10 * n, 20 + 40 * n) for n in range(26)]
"""From edge to edge."""
GOES_ON = [(400 - 10 * n, 620 + 30 * n) for n in range(4)]
ASIDE = [(1200 + 10 * n, 620 + 30 * n) for n in range(4)]
BACK = [*reversed(PASSES)]


def reported(before, border=WHOLE, text=A, *, sure=True):
    """What is remembered of a vehicle, as it comes back from the outbox."""
    kept = Repeats(PassageConfig())
    seen = track(*before, text=text)
    kept.add(Reported.of(seen, border, text, sure=sure, at=seen.last_at))
    again = Repeats(PassageConfig(), kept.as_json())
    assert again.as_json() == kept.as_json()
    return again


def is_repeated(kept, after, gap_s, border=WHOLE, text=A, *, sure=True):
    """Whether a track that begins so much later is no passage of its own."""
    later = track(*after, begins_s=gap_s, text=text)
    return kept.find(text, later, border, sure=sure) is not None


@pytest.mark.parametrize(
    ("law", "text", "after", "gap_s", "sure", "repeats"),
    [
        ("the same plate a moment later", A, THERE, 10, True, True),
        ("much later, elsewhere", A, THERE, 100, True, False),
        ("at the same place, hidden for minutes", A, HERE, 200, True, True),
        ("at the same place, next day", A, HERE, 90_000, True, False),
        ("after the clock was set back an hour", A, HERE, -3600, True, False),
        ("another plate at the same place", "沪B77777", HERE, 1, True, False),
        ("the same plate less well read", "京A1?345", HERE, 10, False, True),
        ("an unread plate at the same place is another car", "", HERE, 2, False, False),
    ],
)
def test_what_repeats_a_report_of_one_that_stood(  # noqa: PLR0917 - a table
    law, text, after, gap_s, sure, repeats
):
    assert is_repeated(reported(HERE), after, gap_s, text=text, sure=sure) is repeats, law


@pytest.mark.parametrize(
    ("law", "before", "after", "gap_s", "repeats"),
    [
        ("lost amid the picture, it shows again where it was lost", COMES, COMES[-1:], 60, True),
        ("moving on from there", COMES, [(560, 140), (550, 170), (540, 200)], 60, True),
        ("farther along its way", COMES, GOES_ON, 60, True),
        ("even at the end of it", COMES, [(300, 1000), (290, 1030)], 290, True),
        ("but not for longer than a hidden vehicle is believed in", COMES, GOES_ON, 400, False),
        ("nor beside its way", COMES, ASIDE, 60, False),
        ("nor coming back", COMES, [*reversed(GOES_ON)], 60, False),
        ("nor from the beginning again", COMES, COMES, 60, False),
        ("one that stood when it was lost goes on", [*COMES, *[COMES[-1]] * 4], GOES_ON, 60, True),
        ("one that was seen standing alone goes on as it drives", HERE, GOES_ON, 60, True),
        ("one that passed is another the next time", PASSES, PASSES, 60, False),
        ("wherever it is seen first", PASSES, PASSES[12:], 60, False),
        ("at the very place where it left", PASSES, PASSES[-2:], 60, False),
        ("and one that turned round and comes back", PASSES, BACK, 60, False),
        ("or comes back hidden at first", PASSES, BACK[12:], 60, False),
    ],
)
def test_who_was_lost_amid_the_picture_is_still_there_and_who_left_is_not(
    law, before, after, gap_s, repeats
):
    assert is_repeated(reported(before), after, gap_s) is repeats, law


@given(
    x=st.integers(300, 1500),
    aside=st.integers(-12, 12),
    step=st.integers(20, 60),
    gap_s=st.floats(31, 300),
    begins=st.floats(0, 0.9),
    up=st.booleans(),
    up_again=st.booleans(),
)
def test_a_vehicle_that_left_passes_again(  # noqa: PLR0917 - drawn
    x, aside, step, gap_s, begins, up, up_again
):
    """Whatever its way, at any speed above walking, and from wherever on it is seen again."""
    count = 1080 // step
    down = [(x + aside * n, 1 + step * n) for n in range(count + 1)]
    before, after = (list(reversed(down)) if turned else down for turned in (up, up_again))
    after = after[int(begins * count) :]
    assert not is_repeated(reported(before), after, gap_s + 0.08 * count)


def test_the_border_of_the_region_is_where_vehicles_leave():
    scene = Scene.of(
        CameraConfig.model_validate(
            {"id": "c", "source": "0", "region": [[0, 0.3], [1, 0.3], [1, 0.7], [0, 0.7]]}
        )
    )
    within = Border((1920, 1080), scene)
    part = [place for place in PASSES if 350 < place[1] < 730]
    assert has_left(track(*part), within)
    assert has_entered(track(*part), within)
    assert not has_left(track(*part), WHOLE)
    assert not has_entered(track(*part), WHOLE)
    assert not is_repeated(reported(part, within), part[-2:], 60, within)


def test_what_an_earlier_version_kept_is_known():
    kept = Repeats(PassageConfig())
    row = json.loads(reported(HERE).as_json())[0][:5]
    kept = Repeats(PassageConfig(), json.dumps([row]))
    assert is_repeated(kept, HERE, 60)


def test_a_better_read_is_no_repetition():
    assert not is_repeated(reported(HERE, text="京A1?345", sure=False), HERE, 1)


def test_a_standing_car_is_reported_again_if_wanted():
    kept = Repeats(PassageConfig(standing_repeat_min=10))
    seen = track(*HERE)
    report = kept.add(Reported.of(seen, WHOLE, A, sure=True, at=NOON))
    assert not kept.due(report, NOON + timedelta(minutes=9))
    assert kept.due(report, NOON + timedelta(minutes=10))
    assert not Repeats(PassageConfig()).due(report, NOON + timedelta(days=9))


def test_what_cannot_be_repeated_is_forgotten():
    kept = Repeats(PassageConfig())
    rng = random.Random(0)
    for n in range(1000):
        seen = track((100, 100), begins_s=60 * n)
        text = f"京A{rng.randrange(10**5):05d}"
        kept.add(Reported.of(seen, WHOLE, text, sure=True, at=seen.last_at))
        kept.forget(seen.last_at)
    assert len(json.loads(kept.as_json())) <= 6
