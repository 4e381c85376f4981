"""Laws of capture times: never in the future, always forward, spaced as the camera took them."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_agent.stream_time import StreamTime

DELAY_S = 0.15
"""The delay that all frames share."""


def dated(frames: list[tuple[float | None, float]]) -> list[float]:
    """Capture times of ``(stamp, arrival)`` pairs, s."""
    dates = StreamTime()
    return [dates.captured_s(stamp_s, arrived_s) for stamp_s, arrived_s in frames]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
            st.floats(0.002, 20),
        ),
        max_size=60,
    )
)
def test_whatever_the_stamps_a_time_is_forward_and_not_after_its_arrival(frames):
    arrived_s = 0.0
    arrivals = []
    for stamp_s, step_s in frames:
        arrived_s += step_s
        arrivals.append((stamp_s, arrived_s))
    times = dated(arrivals)
    assert all(t <= a + 1e-6 for t, (_, a) in zip(times, arrivals, strict=True))
    assert all(b > a for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("fps", [5.0, 12.5, 25.0])
@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4])
def test_jitter_of_the_network_is_taken_out(fps, drift):
    """Once some frames have come, times are right to 15 ms although arrivals are not to 200 ms."""
    chance = random.Random(5)
    taken = [n / fps for n in range(round(60 * fps))]
    frames = [(t * (1 + drift), 100 + t + DELAY_S + chance.expovariate(20)) for t in taken]
    frames = [(s, a) for s, a in zip((s for s, _ in frames), running_max(frames), strict=True)]
    errors = [c - (100 + t + DELAY_S) for c, t in zip(dated(frames), taken, strict=True)]
    settled = errors[len(errors) // 4 :]
    assert max(abs(e) for e in settled) < 0.015


def running_max(frames):
    """Frames do not overtake each other."""
    latest = 0.0
    for _, arrived_s in frames:
        latest = max(latest + 0.001, arrived_s)
        yield latest


def test_a_stall_is_spread_over_the_time_it_shows():
    """Eight seconds of frames that come all at once are dated as they were taken."""
    taken = [n * 0.1 for n in range(400)]
    frames = [(t, 50 + (t if not 20 < t < 28 else 28 + (t - 20) / 1000)) for t in taken]
    errors = [c - (50 + t) for c, t in zip(dated(frames), taken, strict=True)]
    assert max(abs(e) for e in errors) < 0.001


def test_a_stream_that_begins_anew_is_dated_from_there():
    frames = [(n * 0.1, 10 + n * 0.1) for n in range(50)]
    frames += [(n * 0.1, 15 + n * 0.1) for n in range(50)]
    assert dated(frames) == pytest.approx([a for _, a in frames])


@pytest.mark.parametrize("stamp", [0.0, None])
def test_a_stream_without_times_is_dated_by_arrival(stamp):
    frames = [(stamp, 5 + n * 0.04) for n in range(100)]
    assert dated(frames) == [a for _, a in frames]


def test_stamps_that_run_at_the_wrong_rate_are_not_believed_for_long():
    """A camera that says 25 frames a second and sends 12.5: never wrong by more than the limit."""
    dates = StreamTime()
    late = []
    for n in range(2000):
        arrived_s = n * 0.08
        late.append(arrived_s - dates.captured_s(n * 0.04, arrived_s))
    assert max(late) <= 3.2
    assert late[-500:] == [0.0] * 500
    assert not dates.trusted
