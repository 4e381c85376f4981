"""Laws of driving: distance and time belong together, and a stop is a stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rendering.driving import Stop, drive_s, driven_m, speed_m_s

speeds = st.floats(3.0, 40.0)
stops = st.one_of(st.none(), st.builds(Stop, st.floats(0.5, 60.0), st.floats(0.5, 120.0)))
times = st.floats(0.0, 300.0)


@given(speed=speeds, stop=stops, first=times, second=times)
def test_nobody_drives_backwards_or_faster_than_they_cruise(speed, stop, first, second):
    early, late = sorted((first, second))
    way = driven_m(speed, stop, late) - driven_m(speed, stop, early)
    assert -1e-6 <= way <= speed * (late - early) + 1e-6
    assert 0.0 <= speed_m_s(speed, stop, late) <= speed + 1e-9


@given(speed=speeds, stop=stops, way=st.floats(0.01, 500.0))
def test_the_time_of_a_way_leads_back_to_the_way(speed, stop, way):
    assert driven_m(speed, stop, drive_s(speed, stop, way)) == pytest.approx(way, abs=1e-3)


@given(speed=speeds, stop=st.builds(Stop, st.floats(0.5, 60.0), st.floats(1.0, 120.0)))
def test_a_stop_lasts_as_long_as_it_should_where_it_should(speed, stop):
    arrives_s = next(
        t / 20 for t in range(100_000) if driven_m(speed, stop, t / 20) >= stop.after_m - 1e-6
    )
    for share in (0.1, 0.5, 0.9):
        at_s = arrives_s + share * (stop.for_s - 0.05)
        assert driven_m(speed, stop, at_s) == pytest.approx(stop.after_m, abs=1e-6)
        assert speed_m_s(speed, stop, at_s) == pytest.approx(0.0, abs=1e-6)
    assert driven_m(speed, stop, arrives_s + stop.for_s + 1.0) > stop.after_m


@pytest.mark.parametrize("wrong", [{"after_m": 0, "for_s": 1}, {"after_m": 1, "for_s": 0}])
def test_a_stop_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="ahead"):
        Stop(**wrong)
