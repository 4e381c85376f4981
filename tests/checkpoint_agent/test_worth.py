"""Which tracks are vehicles: a read plate always, an unread one only if it is surely a plate."""

from datetime import UTC, datetime, timedelta

import pytest

from anpr.types import Box
from checkpoint_agent.passage import is_worth_reporting
from checkpoint_agent.tracker import Track
from checkpoint_agent.voting import vote

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
UNREAD = vote([], sure_reads=2, sure_alone_score=0.97)


@pytest.mark.parametrize(
    ("sure_frames", "frames", "denials", "stills", "worth"),
    [
        (0, 9, 0, False, False),  # a lamp that the detector never believed
        (1, 3, 0, False, False),  # a lamp that it believed once
        (2, 9, 0, False, False),
        (3, 3, 0, False, True),  # dirt on a plate: there in every frame, never read
        (3, 9, 4, False, False),  # the reader looked closely and found none
        (1, 1, 0, True, True),  # a picture that stands for itself
        (0, 1, 0, True, False),
    ],
)
def test_an_unread_plate_is_a_vehicle_only_if_the_detector_was_sure_again_and_again(
    sure_frames: int, frames: int, denials: int, *, stills: bool, worth: bool
) -> None:
    track = Track(1, "a", AT, AT + timedelta(seconds=1), Box(10, 10, 90, 36))
    track.frames, track.sure_frames, track.widest_px = frames, sure_frames, 80.0
    track.attempts, track.denials = 4, denials
    assert is_worth_reporting(track, UNREAD, min_width_px=24, stills=stills) is worth
