"""Laws of the clock state: what is said of the offset is true, and a clock that is set is seen."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_agent import clock as clock_module
from checkpoint_agent.clock import Clock, ClockState, Reference

EPOCH = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
TRUE_REFERENCE_S = EPOCH.timestamp()
"""Reference time when the monotonic clock of these tests reads 0."""


class Box(Clock):
    """A clock whose wall is a known distance ahead of the reference."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.s, self.ahead_s = 0.0, ahead_s

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.s + self.ahead_s)

    def monotonic_s(self) -> float:
        return self.s


def date_at(s: float) -> str:
    """What a correct server writes when the monotonic clock of these tests reads ``s``."""
    return format_datetime(EPOCH + timedelta(seconds=int(s)), usegmt=True)


@pytest.fixture(autouse=True)
def no_time_service(monkeypatch):
    monkeypatch.setattr(clock_module, "_kernel_state", lambda: ClockState(synchronised=False))


@given(
    ahead_s=st.floats(-5000, 5000),
    exchanges=st.lists(
        st.tuples(st.floats(0.001, 50), st.floats(0, 0.4), st.floats(0, 1)), min_size=1, max_size=25
    ),
)
def test_the_true_offset_is_always_within_what_is_stated(ahead_s, exchanges):
    """However the answers fall between question and answer, the bounds hold the truth."""
    box = Box(ahead_s)
    reference = None
    for pause_s, round_trip_s, share in exchanges:
        box.s += pause_s
        asked_s = box.s
        stated_s = asked_s + share * round_trip_s
        box.s += round_trip_s
        answer = Reference.heard(
            EPOCH + timedelta(seconds=int(stated_s)),
            asked_s=asked_s,
            answered_s=box.s,
            resolution_s=1.0,
        )
        reference = answer if reference is None else reference.narrowed(answer)
        offset_ms, uncertainty_ms = reference.state_of(box.now(), box.s)
        assert abs(offset_ms - ahead_s * 1000) <= uncertainty_ms + 0.01


def test_dates_of_whole_seconds_narrow_down_to_a_fraction_of_one():
    box = Box(ahead_s=3.2)
    for n in range(40):
        box.s = n * 30.07
        asked_s = box.s
        box.s += 0.02
        box.heard_date(date_at(box.s), asked_s=asked_s)
    state = box.state()
    assert state.uncertainty_ms < 150
    assert abs(state.offset_ms - 3200) <= state.uncertainty_ms


@pytest.mark.parametrize("jump_s", [-3600.0, 86_400.0, 0.5])
def test_a_wall_clock_that_is_set_is_seen_before_the_next_answer(jump_s):
    box = Box()
    box.heard(EPOCH, asked_s=0.0, resolution_s=0.001)
    assert abs(box.state().offset_ms) < 2
    box.ahead_s += jump_s
    assert abs(box.state().offset_ms - jump_s * 1000) < 2


def test_a_reference_that_is_set_replaces_what_was_known():
    box = Box()
    box.heard(EPOCH, asked_s=0.0, resolution_s=0.001)
    box.s = 10.0
    box.heard(EPOCH + timedelta(seconds=70), asked_s=10.0, resolution_s=0.001)
    assert abs(box.state().offset_ms + 60_000) < 20


def test_an_offset_that_is_not_sure_is_not_stated():
    box = Box()
    box.heard_date(date_at(0), asked_s=0.0)
    assert box.state().offset_ms is not None
    box.s = 4 * 3600.0  # nothing heard for hours: two quartzes may be seconds apart
    assert box.state() == ClockState(synchronised=False)


def test_what_is_surer_is_stated(monkeypatch):
    box = Box(ahead_s=1.0)
    box.heard(EPOCH, asked_s=0.0, resolution_s=0.1)
    kernel = ClockState(synchronised=True, offset_ms=2.5, uncertainty_ms=8.0)
    monkeypatch.setattr(clock_module, "_kernel_state", lambda: kernel)
    assert box.state() == kernel
    kernel = ClockState(synchronised=True, offset_ms=2.5, uncertainty_ms=900.0)
    assert box.state().synchronised is True
    assert abs(box.state().offset_ms - 1000) <= 60


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 22 Nov 2026 12:00:00"])
def test_what_is_no_date_teaches_nothing(date):
    box = Box()
    box.heard_date(date, asked_s=0.0)
    assert box.state().offset_ms is None


def test_the_kernel_of_this_machine_answers_in_range(monkeypatch):
    monkeypatch.undo()
    state = Clock().state()
    assert state.synchronised in {True, False, None}
    assert state.offset_ms is None or abs(state.offset_ms) < 1000
