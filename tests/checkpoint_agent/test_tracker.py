"""Laws of the tracker: one vehicle is one track, two vehicles are never one."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from anpr.plate import PROVINCES, SERIAL
from checkpoint_agent.tracker import DIFFERENT, Tracker, apart, is_credible
from tests.checkpoint_agent.fakes import NOON, detection, read_of


def run(frames, close_after_s=1.5):
    """Step a tracker; ``frames`` are ``(seconds, [(x, y, width, text or None)])``.

    Returns the tracks, each as the list of texts read on it, in the order of their numbers.
    """
    tracker = Tracker(close_after_s)
    seen = {}
    for t, plates in frames:
        at = NOON + timedelta(seconds=t)
        tracker.close_lost(at)
        detections = [detection(x, y, width) for x, y, width, _ in plates]
        matches = tracker.match(at, detections)
        reads = [
            None if text is None else read_of(text, at=place)
            for (_, _, _, text), place in zip(plates, detections, strict=True)
        ]
        pairs = list(zip(matches, reads, strict=True))
        for track in tracker.update(at, str(t), pairs):
            seen[track.number] = track
    return [[read.text for read in seen[number].reads] for number in sorted(seen)]


A, B, C = "京A12345", "沪B77777", "粤C88D66"


@pytest.mark.parametrize(
    ("law", "frames", "wanted"),
    [
        (
            "a car that drives on is one track",
            [(n / 10, [(100 + 20 * n, 50 + 10 * n, 80, A)]) for n in range(10)],
            [[A] * 10],
        ),
        (
            "a car is one track through frames without a read",
            [(n / 10, [(100, 50 + 10 * n, 80, A if n == 4 else None)]) for n in range(10)],
            [[A]],
        ),
        (
            "a car hidden for a second is found again where it should be",
            [(n / 10, [(100, 10 * n, 80, A)] if not 5 <= n < 14 else []) for n in range(20)],
            [[A] * 11],
        ),
        (
            "a car hidden for longer than a vehicle may be is another track",
            [(n / 10, [(100, 50, 80, A)] if not 5 <= n < 25 else []) for n in range(30)],
            [[A] * 5, [A] * 5],
        ),
        (
            "two cars side by side keep apart",
            [(n / 10, [(100, 10 * n, 80, A), (220, 10 * n, 80, B)]) for n in range(5)],
            [[A] * 5, [B] * 5],
        ),
        (
            "two cars that cross each other keep their plates",
            [(n / 10, [(100 + 30 * n, 100, 80, A), (370 - 30 * n, 130, 80, B)]) for n in range(10)],
            [[A] * 10, [B] * 10],
        ),
        (
            "another plate at the same place is another car",
            [(n / 10, [(100, 50, 80, A if n < 5 else B)]) for n in range(10)],
            [[A] * 5, [B] * 5],
        ),
        (
            "at two frames a second the text finds the car again",
            [(n / 2, [(100, 20 + 220 * n, 60 + 10 * n, A)]) for n in range(4)],
            [[A] * 4],
        ),
        (
            "a misread character is no other car",
            [(n / 10, [(100, 50, 80, A if n != 5 else "京A12346")]) for n in range(10)],
            [[A] * 5 + ["京A12346"] + [A] * 4],
        ),
        (
            "three cars in a queue that moves up are three tracks",
            [
                (n / 5, [(100, 60 + 100 * k + 4 * n, 80, text) for k, text in enumerate((A, B, C))])
                for n in range(10)
            ],
            [[A] * 10, [B] * 10, [C] * 10],
        ),
        (
            "a read that lost its beginning is no other car",
            [(n / 10, [(100, 50, 80, "鲁F29113F" if n % 3 else "29113F")]) for n in range(6)],
            [["29113F", "鲁F29113F", "鲁F29113F"] * 2],
        ),
        (
            "time that jumps back begins anew",
            [(100, [(100, 50, 80, A)]), (1, [(100, 50, 80, A)])],
            [[A], [A]],
        ),
    ],
)
def test_steps(law, frames, wanted):
    assert run(frames) == wanted, law


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (A, A, 0.0),
        ("京A11111", "苏E55555", 7.0),
        (A, "A12345", 0.3),
        (A, "12345", 0.6),
        (A, "京A1234", 0.3),
        (A, "2345", 3.0),
        ("京A12345", "京A12346", 1.0),
        ("京AD12345", "京A12345", 1.0),
    ],
)
def test_how_far_apart(a, b, wanted):
    assert apart(a, b) == apart(b, a) == pytest.approx(wanted, abs=0.01)


plates = st.builds(
    lambda head, tail: head + tail,
    st.sampled_from(list(PROVINCES)),
    st.text(alphabet=SERIAL, min_size=6, max_size=6),
)
places = st.tuples(st.floats(0, 500), st.floats(0, 300), st.floats(40, 120))


@given(
    first=plates,
    second=plates,
    frames=st.lists(
        st.tuples(
            st.floats(0.04, 1.0), places, places, st.sampled_from(["both", "first", "second"])
        ),
        min_size=2,
        max_size=12,
    ),
)
def test_two_cars_are_never_mixed(first, second, frames):
    """However they drive and whichever is seen: no track holds credible reads of both."""
    assume(apart(first, second) >= DIFFERENT)
    t, steps = 0.0, []
    for dt, one, two, shown in frames:
        t += dt
        row = []
        if shown != "second":
            row.append((*one, first))
        if shown != "first":
            row.append((*two, second))
        steps.append((t, row))
    tracks = run(steps)
    assert all(len(set(track)) == 1 for track in tracks)
    assert sum(len(track) for track in tracks) == sum(len(row) for _, row in steps)


@given(
    frames=st.lists(st.lists(places, max_size=4), min_size=1, max_size=10),
    dt=st.floats(0.04, 2.0),
)
def test_each_detection_belongs_to_one_track_of_its_own_frame(frames, dt):
    tracker = Tracker(1.5)
    for n, row in enumerate(frames):
        at = NOON + timedelta(seconds=n * dt)
        tracker.close_lost(at)
        matches = tracker.match(at, [detection(*place) for place in row])
        tracks = tracker.update(at, str(n), [(match, None) for match in matches])
        assert len({track.number for track in tracks}) == len(row)
        assert all(track.last_at == at for track in tracks)


@given(frames=st.lists(st.lists(places, max_size=3), min_size=1, max_size=8))
def test_the_same_footage_gives_the_same_tracks(frames):
    def origins():
        tracker = Tracker(1.5)
        found = []
        for n, row in enumerate(frames):
            at = NOON + timedelta(seconds=n / 5)
            matches = tracker.match(at, [detection(*place) for place in row])
            seen = [(match, None) for match in matches]
            found.append([track.origin for track in tracker.update(at, str(n), seen)])
        return found

    assert origins() == origins()


def test_a_long_track_stays_small():
    """A car that stands for an hour before a 25 fps camera holds no more than a short one."""
    tracker = Tracker(1.5)
    for n in range(5000):
        at = NOON + timedelta(seconds=n / 25)
        place = detection(100 + n % 3, 100)
        (match,) = tracker.match(at, [place])
        (track,) = tracker.update(at, str(n), [(match, read_of(A, 0.5 + n % 7 / 20))])
    assert track.frames == track.read_count == 5000
    assert len(track.points) <= 64
    assert len(track.reads) <= 24
    assert track.points[0].at == NOON


def test_what_is_hardly_legible_neither_founds_nor_splits():
    tracker = Tracker(1.5)
    for n, (text, score) in enumerate([(A, 0.9), (B, 0.2), (A, 0.9)]):
        at = NOON + timedelta(seconds=n / 10)
        place = detection(100, 100)
        (match,) = tracker.match(at, [place])
        (track,) = tracker.update(at, str(n), [(match, read_of(text, score, at=place))])
    assert track.number == 0
    assert not is_credible(track.reads[1])
    assert track.best.text == A


drives = st.tuples(st.floats(0, 300), st.floats(-60, 60), st.floats(-30, 30))
"""Where a car is at first, and how far it moves between two frames, across and down."""


def driven(start, drive, n):
    x, across, down = drive
    return (start + x + across * n, 400 + down * n, 80.0)


@given(
    one=drives,
    other=drives,
    hidden=st.tuples(st.sampled_from("AB"), st.integers(2, 9), st.integers(0, 8)),
)
def test_cars_whose_paths_cross_are_two_tracks_even_if_one_is_hidden_for_a_while(
    one, other, hidden
):
    who, since, frames = hidden
    steps = []
    for n in range(14):
        gone = since <= n < since + frames
        row = []
        if not (gone and who == "A"):
            row.append((*driven(0, one, n), A))
        if not (gone and who == "B"):
            row.append((*driven(300, other, n), B))
        steps.append((n / 10, row))
    tracks = sorted(run(steps))
    seen = {text: sum(r[3] == text for _, row in steps for r in row) for text in (A, B)}
    assert tracks == sorted([[A] * seen[A], [B] * seen[B]])


@given(
    frames=st.lists(
        st.lists(st.tuples(places, plates), min_size=1, max_size=4, unique_by=lambda p: p[1]),
        min_size=1,
        max_size=6,
    ),
    data=st.data(),
)
def test_the_order_of_detections_means_nothing(frames, data):
    rows = [(n / 5, [(*place, text) for place, text in row]) for n, row in enumerate(frames)]
    shuffled = [(t, data.draw(st.permutations(row))) for t, row in rows]
    assert sorted(map(sorted, run(rows))) == sorted(map(sorted, run(shuffled)))
