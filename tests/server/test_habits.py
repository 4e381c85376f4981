"""What a plate's own drives before say of the present one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.trajectories.habits import Habits, joined
from server.trajectories.links import Links
from server.trajectories.model import END, TravelModel
from server.trajectories.moves import count_moves
from server.trajectories.pursuit import next_places, pursue
from server.trajectories.sketch import time_class

GAP_S = 3_600.0
NAMES = ("west", "fork", "left", "left-out", "right", "right-out")
MONDAY = datetime(2025, 6, 2, 0, 10, tzinfo=UTC)
"""Ten past eight in the morning in China."""


def when(at: datetime) -> int:
    return time_class(at, ZoneInfo("Asia/Shanghai"))


def way(at: datetime, side: str) -> list[tuple[str, datetime]]:
    """From the west to the fork and out by one side, five minutes a leg."""
    return [
        (name, at + timedelta(minutes=5 * n))
        for n, name in enumerate(("west", "fork", side, f"{side}-out"))
    ]


def crossing() -> Links:
    """Nine in ten turn left at the fork, one right."""
    plate, place, at_s = [], [], []
    for vehicle in range(300):
        side = "left" if vehicle % 10 else "right"
        for name, at in way(MONDAY + timedelta(seconds=37 * vehicle), side):
            plate.append(vehicle)
            place.append(NAMES.index(name))
            at_s.append(at.timestamp() + vehicle % 7)
    moves = count_moves(
        np.array(plate), np.array(place), np.array(at_s, float), places=len(NAMES), since_s=0.0,
        until_s=4e9, gap_s=GAP_S, repeat_s=30.0, utc_offset_s=28_800.0,
    )  # fmt: skip
    return Links(TravelModel.of(moves, NAMES))


def driven(days: int, side: str = "right", hour: float = 0.0) -> Habits:
    """So many working days before Monday the ninth on which it went that way."""
    begin = MONDAY + timedelta(hours=hour)
    dates = [begin + timedelta(days=n) for n in range(5)][:days]
    return Habits.of([one for at in dates for one in way(at, side)], GAP_S, when)


def best(habits: Habits, now: datetime) -> tuple[str, float]:
    found = pursue(crossing(), "west", None, now, now, when(now), 600.0, habits)
    return found.roadblocks[0].checkpoint_id, found.roadblocks[0].chance


def test_who_always_turned_right_is_awaited_on_the_right() -> None:
    again = MONDAY + timedelta(days=7)
    assert best(Habits(), again)[0] == "left-out"
    place, chance = best(driven(5), again)
    assert place == "right-out"
    chances = [best(driven(days), again)[1] for days in (4, 5)]
    assert chances[0] < chances[1] == chance <= 1
    found, _ = next_places(crossing().model, "fork", "west", again, again, when(again), driven(5))
    assert found[0].checkpoint_id == "right"


@pytest.mark.parametrize(
    ("later", "hour"),
    [
        (timedelta(days=5), 0.0),  # Saturday
        (timedelta(days=7), 9.0),  # another hour
    ],
)
def test_other_days_and_hours_say_less(later: timedelta, hour: float) -> None:
    def right(habits: Habits, now: datetime) -> float:
        found = pursue(crossing(), "west", None, now, now, when(now), 600.0, habits)
        return sum(o.chance for o in found.roadblocks if o.checkpoint_id == "right-out")

    same = right(driven(5), MONDAY + timedelta(days=7))
    other = right(driven(5), MONDAY + later + timedelta(hours=hour))
    assert right(Habits(), MONDAY + later) < other < same


def test_the_hour_before_midnight_is_near_the_one_after() -> None:
    before = datetime(2025, 6, 3, 15, 50, tzinfo=UTC)  # ten to midnight in China, a Tuesday
    habits = Habits.of(way(before, "right"), GAP_S, when)
    near, far = (
        sum(habits.onward("west", at, when(at)).values())
        for at in (before + timedelta(days=1, minutes=20), before + timedelta(days=1, hours=12))
    )
    assert near > 0.9
    assert far < 0.2


sightings = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 400_000)), min_size=1, max_size=40
)


@given(sightings, st.integers(0, 500_000), st.sampled_from(NAMES))
def test_habits_tell_of_what_was_and_never_of_the_present_trip(seen, now_s: int, here: str) -> None:
    at = MONDAY + timedelta(seconds=now_s)
    rows = sorted(((name, MONDAY + timedelta(seconds=s)) for name, s in seen), key=lambda r: r[1])
    habits = Habits.of(rows, GAP_S, when)
    drives = habits.drives(here, at, when(at), 2_400.0)
    assert len(drives) <= sum(
        name == here and (at - then).total_seconds() >= GAP_S for name, then in rows
    )
    assert sum(habits.onward(here, at, when(at)).values()) == pytest.approx(
        sum(drive.weight for drive in drives)
    )
    for drive in drives:
        assert 0 < drive.weight <= 1
        assert all(0 <= after <= 2_400 for after in drive.passed.values())
        assert drive.then == END or drive.then in NAMES


def test_shares_stay_shares_when_habits_are_joined() -> None:
    everybody = {"left": 0.6, "right": 0.3, END: 0.1}
    found = joined(everybody, {"right": 3.0, END: 1.0})
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["right"] > everybody["right"]
    assert joined(everybody, {}) == everybody
