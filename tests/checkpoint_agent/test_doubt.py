"""Laws of doubtful plates: hidden vehicles are not two, and nobody waits for ever."""

from datetime import timedelta

import pytest

from checkpoint_agent.crossing import Border, has_left, has_stood
from checkpoint_agent.doubt import Doubts
from tests.checkpoint_agent.fakes import NOON, track

SIZE = Border((1920, 1080))
A, GLIMPSE, OTHER = "京A12345", "京AI2345", "沪B77777"


def doubts():
    """Of a camera with 25 frames a second; moving ones wait 10 s, standing ones 300 s."""
    found = Doubts(10.0, 300.0)
    found.note_frame(NOON - timedelta(seconds=0.08))
    found.note_frame(NOON - timedelta(seconds=0.04))
    return found


STOOD = [(400, 400)] * 4
DRIVES = [(400, 400 + 30 * n) for n in range(4)]


@pytest.mark.parametrize(
    ("law", "lost", "sure", "same"),
    [
        (
            "a plate in the place of one that stood is the same vehicle, a minute later too",
            track(*STOOD, text=OTHER),
            track((420, 430), (430, 460), begins_s=60, number=1),
            True,
        ),
        (
            "one a vehicle's length behind is another",
            track(*STOOD, text=OTHER),
            track((420, 60), (430, 80), begins_s=60, number=1),
            False,
        ),
        (
            "in the next lane, too",
            track(*STOOD, text=OTHER),
            track((1200, 400), (1200, 430), begins_s=60, number=1),
            False,
        ),
        (
            "what drives on is where it should be",
            track(*DRIVES, text=OTHER),
            track((400, 610), (400, 640), begins_s=0.48, number=1),
            True,
        ),
        (
            "a minute later it is gone",
            track(*DRIVES, text=OTHER),
            track((400, 500), (400, 530), begins_s=60, number=1),
            False,
        ),
        (
            "a glimpse is known again by its text, further along",
            track((400, 10), text=GLIMPSE),
            track((430, 380), (440, 410), begins_s=60, number=1),
            True,
        ),
        (
            "a glimpse of another text is another vehicle",
            track((400, 10), text=OTHER),
            track((430, 380), (440, 410), begins_s=60, number=1),
            False,
        ),
        (
            "who was seen at the same time is another vehicle",
            track(*STOOD * 4, text=OTHER),
            track((400, 400), (400, 400), begins_s=0.2, number=1),
            False,
        ),
    ],
)
def test_who_is_who(law, lost, sure, same):
    waiting = doubts()
    assert waiting.hold(lost, SIZE)
    assert waiting.explained_by(sure, A) == ([lost] if same else []), law
    assert waiting.waiting is not same


def test_who_leaves_the_picture_does_not_wait():
    leaving = track(*[(400, 900 + 30 * n) for n in range(4)])
    assert has_left(leaving, SIZE)
    assert not doubts().hold(leaving, SIZE)
    coming = track(*[(400, 5 + 30 * n) for n in range(3)])
    assert not has_left(coming, SIZE)


def test_where_frames_are_rare_nobody_waits():
    """At a frame a second a vehicle is seen once, and the next one is another."""
    rare = Doubts(10.0, 300.0)
    rare.note_frame(NOON - timedelta(seconds=1))
    rare.note_frame(NOON)
    assert not rare.hold(track((400, 400)), SIZE)


@pytest.mark.parametrize(("lost", "patience_s"), [(track(*STOOD), 300), (track(*DRIVES), 10)])
def test_nobody_waits_for_ever(lost, patience_s):
    waiting = doubts()
    assert waiting.hold(lost, SIZE)
    assert waiting.due(lost.last_at + timedelta(seconds=patience_s)) == []
    assert waiting.due(lost.last_at + timedelta(seconds=patience_s + 0.1)) == [lost]
    assert not waiting.waiting


def test_a_clock_set_back_ends_the_waiting():
    waiting, lost = doubts(), track(*STOOD)
    assert waiting.hold(lost, SIZE)
    assert waiting.due(lost.last_at - timedelta(hours=1)) == [lost]


def test_each_is_given_once():
    waiting = doubts()
    one, two = track(*STOOD, number=1), track(*STOOD, number=2)
    assert waiting.hold(one, SIZE)
    assert waiting.hold(two, SIZE)
    assert waiting.of([2, 7]) == [two]
    assert waiting.end() == [one]
    assert waiting.end() == []


def test_who_stood():
    assert has_stood(track(*STOOD))
    assert not has_stood(track(*DRIVES))
