"""Laws of the small parts: waiting, ids, logs, attention."""

import io
import json
import logging
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.plate import SERIAL
from checkpoint_agent import ids
from checkpoint_agent.attention import gains_from_reading
from checkpoint_agent.backoff import delay_s
from checkpoint_agent.clock import Clock
from checkpoint_agent.foreground import Foreground
from checkpoint_agent.log import masked, set_up
from checkpoint_agent.tracker import Tracker
from tests.checkpoint_agent.fakes import NOON, detection, read_of

# ---------------------------------------------------------------------- waiting


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_wait_stays_between_half_its_step_and_its_step(failures, chance):
    wait_s = delay_s(failures, first_s=0.5, limit_s=60, chance=chance)
    step_s = min(60, 0.5 * 2 ** min(failures - 1, 20))
    assert step_s / 2 <= wait_s <= step_s


@pytest.mark.parametrize(
    "wrong", [{"failures": 0}, {"chance": 1.1}, {"first_s": 0}, {"limit_s": 0.1}]
)
def test_a_wrong_wait_is_refused(wrong):
    with pytest.raises(ValueError, match="out of range"):
        delay_s(**{"failures": 1, "first_s": 0.5, "limit_s": 60, "chance": 0.5, **wrong})


def test_the_real_clock_tells_utc_and_its_state():
    clock = Clock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.state().synchronised in {True, False, None}


# ---------------------------------------------------------------------- ids


@given(st.datetimes(min_value=NOON.replace(tzinfo=None), timezones=st.just(NOON.tzinfo)))
def test_ids_are_version_7_and_carry_the_time(at):
    for name in (ids.mint(at), ids.derive(at, "gate-1", "frame", "0")):
        assert name.version == 7
        assert name.variant == "specified in RFC 4122"
        assert name.int >> 80 == (at - NOON) // timedelta(milliseconds=1) + 1_795_348_800_000


def test_the_same_origin_gives_the_same_id_and_another_one_another():
    assert ids.derive(NOON, "a", "b") == ids.derive(NOON, "a", "b")
    assert len({ids.derive(NOON, *o) for o in (("a", "b"), ("ab", ""), ("b", "a"), ("a",))}) == 4
    assert ids.mint(NOON) != ids.mint(NOON)


# ---------------------------------------------------------------------- logs


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rtsp://admin:pa@ss@cam/1", "rtsp://***@cam/1"),
        ("see http://u:p@cam/x?user=a&password=b&n=1", "see http://***@cam/x?user=***&password=***&n=1"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("mail me@home", "mail me@home"),
    ],
)  # fmt: skip
def test_credentials_are_masked(text, wanted):
    assert masked(text) == wanted


@pytest.fixture
def log_lines():
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    stream = io.StringIO()

    def lines(log_format):
        set_up(log_format, "info", stream)
        log = logging.getLogger("checkpoint_agent.live")
        log.info("camera lost: %s", "rtsp://u:secret@cam", extra={"camera": "gate-1"})
        log.debug("not shown")
        try:
            int("http://u:secret@x")
        except ValueError:
            log.exception("broken")
        return stream.getvalue()

    yield lines
    root.handlers[:] = kept
    root.setLevel(level)
    logging.getLogger("checkpoint_agent").setLevel(logging.NOTSET)


def test_json_logs_are_one_object_a_line(log_lines):
    first, second = map(json.loads, log_lines("json").splitlines())
    assert (first["level"], first["part"], first["camera"]) == ("info", "live", "gate-1")
    assert first["message"] == "camera lost: rtsp://***@cam"
    assert "ValueError" in second["traceback"]
    assert "secret" not in json.dumps(second)


def test_text_logs_name_the_fields(log_lines):
    text = log_lines("text")
    assert "INFO live: camera lost: rtsp://***@cam camera=gate-1" in text
    assert "secret" not in text
    assert "not shown" not in text


# ---------------------------------------------------------------------- attention


def noisy(level: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, 12, (720, 1280, 3)), 0, 255).astype(np.uint8)


def test_noise_is_no_motion_and_a_car_is():
    foreground = Foreground()
    assert foreground.see(noisy(60, 0), occupied=False).moved, "the first picture counts"
    assert not any(foreground.see(noisy(60, n), occupied=False).moved for n in range(1, 5))
    car = noisy(60, 9)
    car[300:360, 500:600] = 160
    assert foreground.see(car, occupied=False).moved


def read_until(texts: list[str], *, step_px: float = 0.0, fps: float = 25.0) -> int:
    """How many of the frames of a car are read."""
    tracker = Tracker(1.5)
    count = 0
    for n, text in enumerate(texts):
        at = NOON + timedelta(seconds=n / fps)
        place = detection(100 + step_px * n, 100)
        (match,) = tracker.match(at, [place])
        read = None
        if gains_from_reading(match, at, enough_reads=4):
            count += 1
            read = read_of(text, 0.95 if text else 0.0, at=place)
        tracker.update(at, str(n), [(match, read)])
    return count


@pytest.mark.parametrize(
    ("law", "texts", "step_px", "most"),
    [
        ("a standing car is read until sure, then every two seconds", ["京A12345"] * 250, 0, 4 + 5),
        ("a moving one is checked each plate width", ["京A12345"] * 250, 4, 4 + 13),
        ("an illegible one is tried now and then", [""] * 250, 0, 4 + 20),
        ("one that never agrees is tried now and then", [f"京A1234{SERIAL[n % 34]}" for n in range(250)], 0, 12 + 20),
    ],
)  # fmt: skip
def test_reading_stops_where_it_gains_nothing(law, texts, step_px, most):
    assert 4 <= read_until(texts, step_px=step_px) <= most, law
